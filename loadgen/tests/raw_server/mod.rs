//! A server of raw bytes: what it does with a connection is a closure, and it can go away and come back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a test waits for what takes a moment.
const SOON: Duration = Duration::from_secs(20);
/// How often the accepting thread looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(1);

type Behaviour = Arc<dyn Fn(&mut Talk) + Send + Sync>;

/// The server. Threads that wait for a client end with the process.
pub(crate) struct Raw {
    addr: SocketAddr,
    behave: Behaviour,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Which of its lives this is: a listening thread of an earlier one ends.
    life: AtomicU64,
    /// The one that listens no more, for who waits for that.
    ended: AtomicU64,
    answered: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// A connection whose first request has been read.
pub(crate) struct Talk {
    stream: TcpStream,
    state: Arc<State>,
}

/// An address where nobody listens.
pub(crate) fn free_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

// === impl Raw ===

impl Raw {
    /// Starts it. A connection is closed when `behave` returns.
    pub(crate) fn start(behave: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { addr: listener.local_addr().unwrap(), behave: Arc::new(behave), state: Arc::default() };
        server.listen(listener);
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    pub(crate) fn answered(&self) -> u64 {
        self.state.answered.load(Ordering::SeqCst)
    }

    /// Waits until so many answers have been given.
    pub(crate) fn wait_for(&self, answers: u64) {
        wait(|| self.answered() >= answers);
    }

    /// Listens no more, and breaks off what is open.
    pub(crate) fn down(&self) {
        let life = self.state.life.fetch_add(1, Ordering::SeqCst) + 1;
        wait(|| self.state.ended.load(Ordering::SeqCst) == life);
        for stream in self.state.open.lock().unwrap().drain(..) {
            // The client may have closed it.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Listens again, at the same address.
    pub(crate) fn up(&self) {
        self.listen(TcpListener::bind(self.addr).unwrap());
    }

    fn listen(&self, listener: TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let (state, behave) = (self.state.clone(), self.behave.clone());
        let life = state.life.load(Ordering::SeqCst);
        std::thread::spawn(move || {
            while state.life.load(Ordering::SeqCst) == life {
                match listener.accept() {
                    Ok((stream, _)) => accepted(stream, &state, &behave),
                    Err(_) => std::thread::sleep(LOOK_EVERY),
                }
            }
            drop(listener);
            state.ended.store(life + 1, Ordering::SeqCst);
        });
    }
}

fn accepted(stream: TcpStream, state: &Arc<State>, behave: &Behaviour) {
    stream.set_nonblocking(false).unwrap();
    stream.set_nodelay(true).unwrap();
    state.open.lock().unwrap().push(stream.try_clone().unwrap());
    let (mut talk, behave) = (Talk { stream, state: state.clone() }, behave.clone());
    std::thread::spawn(move || {
        if talk.read_request() {
            behave(&mut talk);
        }
        // A clone is still open.
        talk.stream.shutdown(Shutdown::Both).ok();
    });
}

fn wait(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {SOON:?}");
        std::thread::sleep(LOOK_EVERY);
    }
}

// === impl Talk ===

impl Talk {
    /// Reads the head of the next request; false at the end.
    pub(crate) fn read_request(&mut self) -> bool {
        let (mut head, mut bytes) = (Vec::new(), [0; 4096]);
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut bytes) {
                Ok(n) if n > 0 => head.extend_from_slice(&bytes[..n]),
                _ => return false,
            }
        }
        true
    }

    /// Writes these bytes, whatever they are.
    pub(crate) fn answer(&mut self, text: &str) {
        self.write(text.as_bytes());
        self.state.answered.fetch_add(1, Ordering::SeqCst);
    }

    /// A client that is gone gets nothing.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    /// Says nothing until the client closes.
    pub(crate) fn wait_for_the_end(&mut self) {
        while self.stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
    }
}
