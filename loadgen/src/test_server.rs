//! A server for tests: speaks just enough HTTP/1.1 to count requests, to answer late, and to misbehave.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use galton_runtime::mono_ns;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request: waits, writes these bytes, and closes the connection if told to.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) after: Duration,
    pub(crate) bytes: String,
    pub(crate) close: bool,
}

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When its head was there.
    pub(crate) at_ns: u64,
    /// The head, lower case.
    pub(crate) head: String,
}

/// A running server; its thread ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<u64>>,
}

// === impl Answer ===

impl Answer {
    /// 200 with three bytes, after this time; with more headers, each `name: value\r\n`.
    pub(crate) fn ok(after: Duration, headers: &str) -> Self {
        let bytes = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 3\r\n\r\nyes");
        Self { after, bytes, close: false }
    }

    /// Nothing, ever.
    pub(crate) fn silence() -> Self {
        Self { after: Duration::MAX, bytes: String::new(), close: true }
    }
}

// === impl Server ===

impl Server {
    /// Starts a server that answers all requests alike.
    pub(crate) fn start(answer: Answer) -> Self {
        Self::with(move |_| answer.clone())
    }

    /// Starts a server that answers the n-th request, from 0, as `answer` says.
    pub(crate) fn with(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Self { addr: listener.local_addr().unwrap(), seen: Arc::default(), connections: Arc::default() };
        let (running, answer) = (server.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    *running.connections.lock().unwrap() += 1;
                    tokio::spawn(running.clone().serve(stream, answer.clone()));
                }
            });
        });
        server
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> u64 {
        *self.connections.lock().unwrap()
    }

    async fn serve(self, mut stream: TcpStream, answer: Arc<dyn Fn(usize) -> Answer + Send + Sync>) {
        while let Some(head) = read_head(&mut stream).await {
            let number = {
                let mut seen = self.seen.lock().unwrap();
                seen.push(Seen { at_ns: mono_ns(), head });
                seen.len() - 1
            };
            let answer = answer(number);
            if !answer.after.is_zero() {
                tokio::time::sleep(answer.after).await;
            }
            if stream.write_all(answer.bytes.as_bytes()).await.is_err() || answer.close {
                return;
            }
        }
    }
}

impl Seen {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

/// The head of a request without a body; none at the end of the connection.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        head.extend_from_slice(&chunk[..n]);
    }
    Some(String::from_utf8_lossy(&head).to_ascii_lowercase())
}
