//! The body of a response: one of the proxy's own, or a target's on its way to the client.
//!
//! A target's body holds the call: the attempt ends, and its slot is free, when the body is complete, when it breaks,
//! when the deadline passes, or when the client goes away and hyper drops it. Hyper asks for more only when the client has
//! taken what there is, so a client that reads nothing would hold a slot beyond the deadline: where that can be, a guard
//! watches the deadline beside the body.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use galton_core::host::AttemptEnd;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::{AbortHandle, spawn_local};

use crate::call::Call;
use crate::front::{Client, Ongoing};
use crate::replay::RequestBody;
use crate::upstream::{Lease, Upstreams};
use crate::{headers, limits};

/// The body of a response, and with it the request's place among those in flight.
#[derive(Debug)]
pub(crate) struct ProxyBody {
    content: Content,
    ongoing: Option<Ongoing>,
}

#[derive(Debug)]
enum Content {
    /// All there.
    Own(Option<Bytes>),
    /// Not sent, but so long (304): hyper would drop the length that the head states.
    Absent(u64),
    /// From a target.
    Forwarded(Rc<RefCell<Forwarded>>),
}

/// A target's body on its way to the client.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// Of the head: below 400.
    ok: bool,
    call: Call,
    /// A target may answer before it has read the whole request.
    request: RequestBody,
    lease: Option<Lease>,
    upstreams: Rc<Upstreams>,
    /// Bytes handed to hyper.
    passed: u64,
    over: bool,
    /// What hyper has not been told yet.
    broken: Option<BrokenOff>,
    guard: Option<AbortHandle>,
    /// Who waits for more, when there is a guard.
    reader: Option<Waker>,
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

/// Once a head was handed on, there is no other attempt.
const CLOSED: AttemptEnd = AttemptEnd::Closed { committed: true };

type Polled = Poll<Option<Result<Frame<Bytes>, BrokenOff>>>;

// === impl ProxyBody ===

impl ProxyBody {
    /// One of the proxy's own.
    pub(crate) fn own(bytes: Bytes, ongoing: Option<Ongoing>) -> Self {
        Self { content: Content::Own(Some(bytes)), ongoing: ongoing.map(Ongoing::answered) }
    }

    /// None, though the head states a length.
    pub(crate) fn absent(len: u64, ongoing: Ongoing) -> Self {
        Self { content: Content::Absent(len), ongoing: Some(ongoing.answered()) }
    }

    /// The rest of a target's response.
    pub(crate) fn forwarded(forwarded: Forwarded, ongoing: Ongoing) -> Self {
        let http2 = ongoing.client().http2();
        let over = forwarded.over;
        let forwarded = Rc::new(RefCell::new(forwarded));
        if http2 && !over {
            // A stream's window may be shut before the first byte.
            Forwarded::watch(&forwarded, ongoing.client());
        }
        Self { content: Content::Forwarded(forwarded), ongoing: Some(ongoing.answered()) }
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let forwarded = match &mut this.content {
            Content::Own(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Absent(_) => return Poll::Ready(None),
            Content::Forwarded(forwarded) => forwarded,
        };
        let polled = forwarded.borrow_mut().poll_frame(cx);
        if let Some(ongoing) = &this.ongoing
            && forwarded.borrow().may_be_held_up()
        {
            Forwarded::watch(forwarded, ongoing.client());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(bytes) => bytes.is_none(),
            Content::Absent(_) => false,
            Content::Forwarded(forwarded) => forwarded.borrow().is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Absent(len) => SizeHint::with_exact(*len),
            Content::Forwarded(forwarded) => forwarded.borrow().size_hint(),
        }
    }
}

impl Drop for ProxyBody {
    fn drop(&mut self) {
        if let (Content::Forwarded(forwarded), Some(ongoing)) = (&self.content, &self.ongoing)
            && forwarded.borrow().request.unread()
        {
            ongoing.client().leave_unread();
        }
    }
}

// === impl Forwarded ===

impl Forwarded {
    /// The rest of a response whose head has been looked at; `ok`: its status is below 400.
    pub(crate) fn begin(ok: bool, call: Call, request: RequestBody, lease: Lease, upstreams: Rc<Upstreams>) -> Self {
        let empty = lease.is_end_stream();
        let (passed, over, broken, guard, reader) = (0, false, None, None, None);
        let mut body = Self { ok, call, request, lease: Some(lease), upstreams, passed, over, broken, guard, reader };
        if empty {
            body.complete();
        }
        body
    }

    /// Whether there is nothing to come.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.over && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.lease {
            Some(lease) => lease.size_hint(),
            None if self.is_end_stream() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }

    /// Whether its length is known.
    pub(crate) fn sized(&self) -> bool {
        self.size_hint().exact().is_some()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(why) = self.broken.take() {
            return Poll::Ready(Some(Err(why)));
        }
        if self.guard.is_some() {
            self.reader = Some(cx.waker().clone());
        } else if !self.over && self.call.poll_abort(cx).is_ready() {
            return self.break_off(CLOSED, BrokenOff::Deadline);
        }
        let Some(lease) = self.lease.as_mut() else { return Poll::Ready(None) };
        match ready!(lease.poll_frame(cx)) {
            None => {
                self.complete();
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a target broke off its response");
                let client = self.request.fault().is_some();
                let end = if client { CLOSED } else { AttemptEnd::Reset { committed: true } };
                self.break_off(end, BrokenOff::Target)
            }
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::keep_trailers(trailers);
                }
                self.passed += frame.data_ref().map_or(0, |data| data.len() as u64);
                // With a known length hyper does not ask again after the last byte.
                if lease.is_end_stream() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn complete(&mut self) {
        self.end(AttemptEnd::Done { ok: self.ok }, true);
    }

    fn break_off(&mut self, end: AttemptEnd, why: BrokenOff) -> Polled {
        self.end(end, false);
        Poll::Ready(Some(Err(why)))
    }

    fn end(&mut self, end: AttemptEnd, whole: bool) {
        self.over = true;
        if let Some(lease) = self.lease.take().filter(|_| whole) {
            self.upstreams.check_in(lease);
        }
        self.call.end_attempt(end);
        if let Some(guard) = self.guard.take() {
            guard.abort();
        }
    }

    // === the guard ===

    /// Whether its client may hold it up, and nobody looks after that.
    fn may_be_held_up(&self) -> bool {
        !self.over && self.guard.is_none() && self.passed > limits::HELD_UP_BYTES
    }

    /// From now on the deadline ends it though nobody asks for more.
    fn watch(this: &Rc<RefCell<Self>>, client: &Rc<Client>) {
        let guard = spawn_local(guard(Rc::downgrade(this), Rc::downgrade(client)));
        this.borrow_mut().guard = Some(guard.abort_handle());
    }

    /// Ready when the deadline has ended it.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.call.poll_abort(cx));
        // This is the guard: it has not done its work yet.
        self.guard = None;
        self.end(CLOSED, false);
        self.broken = Some(BrokenOff::Deadline);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(())
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.abort();
        }
    }
}

/// Ends a response at its deadline; a client that does not let go of it then loses its connection.
async fn guard(forwarded: Weak<RefCell<Forwarded>>, client: Weak<Client>) {
    let deadline = |cx: &mut Context<'_>| match forwarded.upgrade() {
        Some(forwarded) => forwarded.borrow_mut().poll_deadline(cx),
        None => Poll::Ready(()),
    };
    std::future::poll_fn(deadline).await;
    tokio::time::sleep(limits::LET_GO).await;
    let held = forwarded.upgrade().is_some_and(|forwarded| forwarded.borrow().broken.is_some());
    if let Some(client) = client.upgrade().filter(|_| held) {
        client.doom();
    }
}
