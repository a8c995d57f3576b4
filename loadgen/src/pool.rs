//! Connections of one sending thread to one host: reused last in, first out; a new one whenever none is idle.
//!
//! No limit of its own: an open loop needs as many connections as it has requests in flight, and the model limits those.
//! Nothing is ever sent twice: a connection that turns out to be dead takes its request with it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection that carries one request at a time.
pub(crate) type Connection = SendRequest<Full<Bytes>>;

/// Buffer limit of a connection: more than any header block that makes sense; bodies are read and dropped piecewise.
const MAX_BUFFER: usize = 64 * 1024;
/// How long a connection may take to become idle after its response was complete; it needs microseconds. One that does not
/// (the server still reads the request) is closed.
const SETTLE: Duration = Duration::from_millis(100);

/// The connections to one host.
#[derive(Debug)]
pub(crate) struct Pool {
    addr: SocketAddr,
    connect_timeout: Duration,
    idle: RefCell<Vec<Connection>>,
    counts: Cell<PoolCounts>,
}

/// What a pool counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolCounts {
    /// Connections opened.
    pub(crate) opened: u64,
    /// Requests that went over a connection used before.
    pub(crate) reused: u64,
    /// Connections that could not be opened because descriptors or local ports had run out.
    pub(crate) exhausted: u64,
}

/// No connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// It took too long.
    #[error("timed out")]
    TimedOut,
    /// The kernel refused, or the peer.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The connection broke at once.
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

// === impl Pool ===

impl Pool {
    /// An empty pool.
    pub(crate) fn new(addr: SocketAddr, connect_timeout: Duration) -> Self {
        Self { addr, connect_timeout, idle: RefCell::default(), counts: Cell::default() }
    }

    /// An idle connection, or a new one.
    pub(crate) async fn take(&self) -> Result<Connection, ConnectError> {
        match self.take_idle() {
            Some(connection) => {
                self.count(|counts| counts.reused += 1);
                Ok(connection)
            }
            None => self.open().await.inspect_err(|e| {
                if e.exhausted() {
                    self.count(|counts| counts.exhausted += 1);
                }
            }),
        }
    }

    /// Gives a connection back whose response has been read to its end. Closes it if it cannot be used again.
    pub(crate) async fn give_back(&self, mut connection: Connection) {
        if connection.is_ready() || matches!(tokio::time::timeout(SETTLE, connection.ready()).await, Ok(Ok(()))) {
            self.idle.borrow_mut().push(connection);
        }
    }

    /// What it counted so far.
    pub(crate) fn counts(&self) -> PoolCounts {
        self.counts.get()
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(connection) = idle.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    async fn open(&self) -> Result<Connection, ConnectError> {
        let connecting = TcpStream::connect(self.addr);
        let stream =
            tokio::time::timeout(self.connect_timeout, connecting).await.map_err(|_| ConnectError::TimedOut)??;
        stream.set_nodelay(true)?;
        let (connection, driver) =
            http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await?;
        // What goes wrong on the connection reaches the request that is on it.
        tokio::task::spawn_local(async move { drop(driver.await) });
        self.count(|counts| counts.opened += 1);
        Ok(connection)
    }

    fn count(&self, change: impl FnOnce(&mut PoolCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}

// === impl PoolCounts ===

impl PoolCounts {
    /// The counts of two pools together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            reused: self.reused + other.reused,
            exhausted: self.exhausted + other.exhausted,
        }
    }
}

// === impl ConnectError ===

impl ConnectError {
    /// Descriptors or local ports have run out: the load generator is the bottleneck, not the server.
    fn exhausted(&self) -> bool {
        let Self::Io(error) = self else { return false };
        matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL))
    }
}
