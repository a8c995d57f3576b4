//! The body of a response: one of the proxy's own, or a target's on its way to the client.
//!
//! A target's body holds the call: the attempt ends, and its slot is free, when the body is complete, when it breaks,
//! when the deadline passes, or when the client goes away and hyper drops it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use galton_core::host::AttemptEnd;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::call::Call;
use crate::replay::RequestBody;
use crate::upstream::{Lease, Upstreams};

/// The body of a response.
#[derive(Debug)]
pub(crate) enum ProxyBody {
    /// All there.
    Own(Option<Bytes>),
    /// From a target.
    Forwarded(Box<Forwarded>),
}

/// A target's body on its way to the client.
#[derive(Debug)]
pub(crate) struct Forwarded {
    incoming: Incoming,
    /// Of the head: below 400.
    ok: bool,
    call: Call,
    /// A target may answer before it has read the whole request.
    request: RequestBody,
    lease: Option<Lease>,
    upstreams: Rc<Upstreams>,
    over: bool,
}

/// Why a forwarded response breaks off.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum BrokenOff {
    /// The connection to the target broke.
    #[error("the target broke off its response")]
    Target,
    /// The deadline passed.
    #[error("the deadline passed within the response")]
    Deadline,
}

// === impl ProxyBody ===

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Forwarded(forwarded) => forwarded.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Forwarded(forwarded) => forwarded.over,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Forwarded(forwarded) => forwarded.incoming.size_hint(),
        }
    }
}

// === impl Forwarded ===

impl Forwarded {
    /// The rest of a response whose head has been looked at; `ok`: its status is below 400.
    pub(crate) fn begin(
        incoming: Incoming,
        ok: bool,
        call: Call,
        request: RequestBody,
        lease: Lease,
        upstreams: Rc<Upstreams>,
    ) -> ProxyBody {
        let mut body = Self { incoming, ok, call, request, lease: Some(lease), upstreams, over: false };
        if body.incoming.is_end_stream() {
            body.complete();
        }
        ProxyBody::Forwarded(Box::new(body))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if self.call.poll_abort(cx).is_ready() {
            return self.break_off(AttemptEnd::Closed, BrokenOff::Deadline);
        }
        let Some(lease) = &mut self.lease else { return Poll::Ready(None) };
        match lease.poll_frame(&mut self.incoming, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "a target broke off its response");
                let end =
                    if self.request.broken() { AttemptEnd::Closed } else { AttemptEnd::Reset { committed: true } };
                self.break_off(end, BrokenOff::Target)
            }
            Poll::Ready(Some(Ok(frame))) => {
                // With a known length hyper does not ask again after the last byte.
                if self.incoming.is_end_stream() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn complete(&mut self) {
        self.over = true;
        if let Some(lease) = self.lease.take() {
            self.upstreams.check_in(lease);
        }
        self.call.end_attempt(AttemptEnd::Done { ok: self.ok });
    }

    fn break_off(&mut self, end: AttemptEnd, why: BrokenOff) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.over = true;
        self.lease = None;
        self.call.end_attempt(end);
        Poll::Ready(Some(Err(why)))
    }
}
