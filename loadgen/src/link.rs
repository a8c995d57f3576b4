//! A connection to a host, as one lane of the sender holds it: an HTTP/1.1 connection of its own, or a share of an HTTP/2
//! connection.
//!
//! Nothing is ever sent twice: a connection that turns out to be dead takes its request with it.

mod dial;
mod shared;

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use galton_core::Nanos;
use galton_report::units::time;
use galton_runtime::http1::{Link as OwnLink, LinkError, ReadError};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;

pub(crate) use self::dial::{Dial, LinkCounts, Protocol};
use self::shared::Share;
use crate::template::{Ask, Template};

/// How long a connection may take to become idle after its response was complete; it needs microseconds. One that does not
/// (the server still reads the request) is closed.
const SETTLE: Duration = Duration::from_millis(100);

/// A cause for people: the server hung up.
const CLOSED: &str = "connection closed before the response was complete";

/// A connection that carries one request of its lane at a time.
#[derive(Debug)]
pub(crate) struct Link {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Driven by the lane's task.
    Http1 { link: Box<OwnLink<Full<Bytes>>>, life: Life, spare: HeaderMap },
    /// Driven by a task of its own.
    Http2 { requests: http2::SendRequest<Full<Bytes>>, share: Share },
}

/// What an HTTP/1.1 connection has behind and before it.
#[derive(Debug)]
struct Life {
    /// Requests that it may still carry; none: any number.
    left: Option<u64>,
    used: bool,
}

/// The body of a response.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// On a connection of the lane's own.
    Http1(&'a mut OwnLink<Full<Bytes>>),
    /// On a shared one.
    Http2(Incoming),
}

/// A connection broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// One of HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] LinkError),
    /// One of HTTP/2.
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// No connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// It took too long: more than this.
    #[error("connect timed out after {}", time(*.0))]
    TimedOut(Nanos),
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

    /// Sends a request; returns the head of its response, and the body to read.
    pub(crate) async fn send(&mut self, template: &Template, ask: Ask) -> Result<(Response<()>, Body<'_>), Broken> {
        match &mut self.kind {
            Kind::Http1 { link, spare, .. } => {
                let head = template.head(ask);
                let response = link.send(template.with_head(&head, std::mem::take(spare)), |_| {}).await?;
                Ok((response, Body::Http1(link)))
            }
            Kind::Http2 { requests, .. } => {
                requests.ready().await?;
                let (head, body) = requests.send_request(template.request(ask)).await?.into_parts();
                Ok((Response::from_parts(head, ()), Body::Http2(body)))
            }
        }
    }

    /// Takes a map that is no longer used, for the headers of the next response.
    pub(crate) fn reuse(&mut self, headers: HeaderMap) {
        if let Kind::Http1 { spare, .. } = &mut self.kind {
            *spare = headers;
        }
    }

    /// Waits until it can carry another request. False: it cannot, and is to be dropped.
    pub(crate) async fn settled(&mut self) -> bool {
        match &mut self.kind {
            Kind::Http1 { life: Life { left: Some(0), .. }, .. } => false,
            Kind::Http1 { link, .. } if link.is_ready() => true,
            Kind::Http1 { link, .. } => {
                tokio::time::timeout(SETTLE, poll_fn(|cx| link.poll_settled(cx))).await.unwrap_or(false)
            }
            Kind::Http2 { requests, share } => !requests.is_closed() && share.reserve(),
        }
    }

    /// Ready when the server has closed it while nothing was in flight. Of an HTTP/2 connection that shows when it is used.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.kind {
            Kind::Http1 { link, .. } => link.poll_closed(cx),
            Kind::Http2 { .. } => Poll::Pending,
        }
    }

    /// Whether nothing is known against sending another request over it.
    pub(crate) fn is_open(&self) -> bool {
        match &self.kind {
            Kind::Http1 { link, .. } => link.is_open(),
            Kind::Http2 { requests, .. } => !requests.is_closed(),
        }
    }
}

// === impl Body ===

impl Body<'_> {
    /// The next part of it.
    pub(crate) async fn frame(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        match self {
            Self::Http1(link) => poll_fn(|cx| link.poll_frame(cx)).await.map(|frame| Ok(frame?)),
            Self::Http2(body) => body.frame().await.map(|frame| Ok(frame?)),
        }
    }
}

// === impl Broken ===

impl Broken {
    /// What broke it, in words that are the same for every connection that it breaks.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Http1(LinkError::Response(ReadError::Incomplete)) => CLOSED.to_owned(),
            Self::Http1(LinkError::Unsent(e) | LinkError::Io(e)) => e.to_string(),
            Self::Http1(e) => e.to_string(),
            Self::Http2(e) => http2_cause(e),
        }
    }
}

// === impl ConnectError ===

impl ConnectError {
    /// Why there is none, in words that are the same for every one that there is not.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::TimedOut(_) | Self::Io(_) => self.to_string(),
            Self::Http(e) => http2_cause(e),
        }
    }

    /// Descriptors or local ports have run out: the load generator is the bottleneck, not the server.
    pub(crate) fn exhausted(&self) -> bool {
        let Self::Io(error) = self else { return false };
        matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL))
    }
}

/// Says the error that led to all others. Of a connection that ends, each request on it learns in another way.
fn http2_cause(error: &hyper::Error) -> String {
    let mut root: &dyn Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let root = root.to_string();
    let closed = error.is_closed() || error.is_canceled() || root.to_lowercase().contains("broken pipe");
    if closed { CLOSED.to_owned() } else { root }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_names_no_connection() {
        let io = |code| io::Error::from_raw_os_error(code);
        let refused = ConnectError::from(io(libc::ECONNREFUSED));
        assert_eq!(refused.cause(), "Connection refused (os error 111)");
        assert_eq!(ConnectError::TimedOut(Nanos::from_millis(2_000)).cause(), "connect timed out after 2 s");
        let broken = |error: LinkError| Broken::from(error).cause();
        assert_eq!(broken(ReadError::Incomplete.into()), CLOSED);
        assert_eq!(broken(ReadError::Malformed.into()), "the response is malformed");
        assert_eq!(broken(io(libc::ECONNRESET).into()), "Connection reset by peer (os error 104)");
        assert_eq!(broken(LinkError::Unsent(io(libc::EPIPE))), "Broken pipe (os error 32)");
    }
}
