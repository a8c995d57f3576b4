//! A connection to a host, as one lane of the sender holds it: an HTTP/1.1 connection of its own, or a share of an HTTP/2
//! connection.
//!
//! Nothing is ever sent twice: a connection that turns out to be dead takes its request with it.

mod dial;
mod shared;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

pub(crate) use self::dial::{Dial, LinkCounts, Protocol};
use self::shared::Share;

/// What is sent: a body that is there as a whole.
pub(crate) type Outgoing = Request<Full<Bytes>>;

/// How long a connection may take to become idle after its response was complete; it needs microseconds. One that does not
/// (the server still reads the request) is closed.
const SETTLE: Duration = Duration::from_millis(100);

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection that carries one request of its lane at a time.
#[derive(Debug)]
pub(crate) struct Link {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The lane's task drives the connection too: a response costs one wake-up, not one for each of two tasks.
    Http1 { requests: http1::SendRequest<Full<Bytes>>, driver: Box<Driver>, life: Life },
    /// Driven by a task of its own.
    Http2 { requests: http2::SendRequest<Full<Bytes>>, share: Share },
}

/// What an HTTP/1.1 connection has behind and before it.
#[derive(Debug)]
struct Life {
    /// Requests that it may still carry; none: any number.
    left: Option<u64>,
    used: bool,
    /// The connection has ended.
    over: bool,
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

// === impl Link ===

impl Link {
    /// A request goes over it. Whether it is not the first one.
    pub(crate) fn use_again(&mut self) -> bool {
        match &mut self.kind {
            Kind::Http1 { life, .. } => {
                life.left = life.left.map(|left| left.saturating_sub(1));
                std::mem::replace(&mut life.used, true)
            }
            Kind::Http2 { share, .. } => share.use_again(),
        }
    }

    /// Sends a request; `read` takes the response to its end.
    pub(crate) async fn exchange<T, R>(
        &mut self,
        request: Outgoing,
        read: impl FnOnce(http::Response<Incoming>) -> R,
    ) -> hyper::Result<T>
    where
        R: Future<Output = T>,
    {
        match &mut self.kind {
            Kind::Http1 { requests, driver, life } => {
                let work = async { Ok(read(requests.send_request(request).await?).await) };
                driven(driver, life, work).await
            }
            Kind::Http2 { requests, .. } => {
                requests.ready().await?;
                Ok(read(requests.send_request(request).await?).await)
            }
        }
    }

    /// Waits until it can carry another request. False: it cannot, and is to be dropped.
    pub(crate) async fn settled(&mut self) -> bool {
        match &mut self.kind {
            Kind::Http1 { life: Life { left: Some(0), .. }, .. } => false,
            Kind::Http1 { requests, .. } if requests.is_ready() => true,
            Kind::Http1 { requests, driver, life } => {
                let ready = driven(driver, life, async { requests.ready().await.is_ok() });
                tokio::time::timeout(SETTLE, ready).await.unwrap_or(false)
            }
            Kind::Http2 { requests, share } => !requests.is_closed() && share.reserve(),
        }
    }

    /// Ready when the server has closed it while nothing was in flight. Of an HTTP/2 connection that shows when it is used.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.kind {
            Kind::Http1 { driver, life, .. } => poll_driver(driver, life, cx),
            Kind::Http2 { .. } => Poll::Pending,
        }
    }

    /// Whether nothing is known against sending another request over it.
    pub(crate) fn is_open(&self) -> bool {
        match &self.kind {
            Kind::Http1 { requests, life, .. } => !life.over && !requests.is_closed(),
            Kind::Http2 { requests, .. } => !requests.is_closed(),
        }
    }
}

/// Does `work` and drives the connection under it meanwhile.
async fn driven<T>(driver: &mut Driver, life: &mut Life, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        // What the driver has read is there for the work, and what the work then asks for is there for the driver: first the
        // head, then the body. More comes by a wake-up.
        for _ in 0..2 {
            let _ = poll_driver(driver, life, cx);
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    })
    .await
}

/// Ready when the connection is over; what went wrong reaches the request that was on it.
fn poll_driver(driver: &mut Driver, life: &mut Life, cx: &mut Context<'_>) -> Poll<()> {
    life.over = life.over || Pin::new(driver).poll(cx).is_ready();
    if life.over { Poll::Ready(()) } else { Poll::Pending }
}

// === impl ConnectError ===

impl ConnectError {
    /// Descriptors or local ports have run out: the load generator is the bottleneck, not the server.
    pub(crate) fn exhausted(&self) -> bool {
        let Self::Io(error) = self else { return false };
        matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL))
    }
}
