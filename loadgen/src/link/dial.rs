//! Opening connections to one host, and counting them.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use tokio::net::TcpStream;

use super::shared::{Share, Shared};
use super::{ConnectError, Kind, Life, Link, OwnLink};
use crate::settings::nanos;

/// Bytes of a response's head: more than any that makes sense.
const HEAD_BYTES: usize = 64 * 1024;

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// How connections to one host are opened.
#[derive(Debug)]
pub(crate) struct Dial {
    addr: SocketAddr,
    protocol: Protocol,
    connect_timeout: Duration,
    /// Most requests of a connection.
    max_requests: Option<u64>,
    counts: Cell<LinkCounts>,
    /// There was a response.
    answered: Cell<bool>,
    /// HTTP/2 connections, open or being opened.
    shared: RefCell<Vec<Rc<Shared>>>,
}

/// What was counted about connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkCounts {
    /// Connections opened.
    pub(crate) opened: u64,
    /// Requests that went over a connection used before.
    pub(crate) reused: u64,
    /// Connections that could not be opened because descriptors or local ports had run out.
    pub(crate) exhausted: u64,
}

// === impl Dial ===

impl Dial {
    /// HTTP/1.1 to this address, any number of requests per connection.
    pub(crate) fn new(addr: SocketAddr, connect_timeout: Duration) -> Self {
        Self {
            addr,
            protocol: Protocol::Http1,
            connect_timeout,
            max_requests: None,
            counts: Cell::default(),
            answered: Cell::default(),
            shared: RefCell::default(),
        }
    }

    /// Speaks this protocol, with at most so many requests per connection.
    pub(crate) fn with(self, protocol: Protocol, max_requests: Option<u64>) -> Self {
        Self { protocol, max_requests, ..self }
    }

    /// A new HTTP/1.1 connection, or a place on an HTTP/2 connection.
    pub(crate) async fn link(&self) -> Result<Link, ConnectError> {
        let kind = match self.protocol {
            Protocol::Http1 => self.open().await,
            Protocol::Http2 => self.share().await,
        };
        let kind = kind.inspect_err(|e| {
            if e.exhausted() {
                self.count(|counts| counts.exhausted += 1);
            }
        })?;
        Ok(Link { kind })
    }

    /// A request goes over a connection that was used before.
    pub(crate) fn count_reuse(&self) {
        self.count(|counts| counts.reused += 1);
    }

    /// There was a response: the host speaks what we speak.
    pub(crate) fn on_response(&self) {
        self.answered.set(true);
    }

    /// The cause of a broken connection, with what may be behind it.
    pub(crate) fn explained(&self, cause: String) -> String {
        match self.protocol {
            Protocol::Http2 if !self.answered.get() => format!("{cause}; does the server speak HTTP/2?"),
            Protocol::Http1 | Protocol::Http2 => cause,
        }
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> LinkCounts {
        self.counts.get()
    }

    async fn open(&self) -> Result<Kind, ConnectError> {
        let stream = self.connect().await?;
        self.count(|counts| counts.opened += 1);
        let (link, spare) = (Box::new(OwnLink::new(stream, HEAD_BYTES)), HeaderMap::new());
        Ok(Kind::Http1 { link, life: Life { left: self.max_requests, used: false }, spare })
    }

    async fn share(&self) -> Result<Kind, ConnectError> {
        let share = self.place();
        let requests = share.requests(|| self.connect(), || self.count(|c| c.opened += 1)).await?;
        Ok(Kind::Http2 { requests, share })
    }

    /// A place on a connection that has one left, or on a new one.
    fn place(&self) -> Share {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| !connection.is_retired());
        shared.iter().find_map(Share::take).unwrap_or_else(|| {
            let new = Rc::new(Shared::new(self.max_requests));
            shared.push(new.clone());
            Share::take(&new).expect("a new connection has places")
        })
    }

    async fn connect(&self) -> Result<TcpStream, ConnectError> {
        let connecting = TcpStream::connect(self.addr);
        let late = |_| ConnectError::TimedOut(nanos(self.connect_timeout));
        let stream = tokio::time::timeout(self.connect_timeout, connecting).await.map_err(late)??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn count(&self, change: impl FnOnce(&mut LinkCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}

// === impl LinkCounts ===

impl LinkCounts {
    /// The counts of two hosts together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            reused: self.reused + other.reused,
            exhausted: self.exhausted + other.exhausted,
        }
    }
}
