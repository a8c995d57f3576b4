//! The body of a client's request, such that it can be sent to a second target if the first did not take it.
//!
//! It streams: what an attempt reads from the client goes to its target at once, and into a buffer of [`REPLAY_BYTES`]
//! from which a later attempt begins. A body longer than that cannot be sent again once the buffer has overflowed.
//! At any time one attempt reads; the body of an earlier one ends in an error, which closes its connection.
//! So does a body that is too long, or of which nothing comes: it is the client's fault then, and no target's.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::headers;
use crate::limits::REPLAY_BYTES;

/// The request's body over all attempts. Dropping it ends whatever attempt still reads.
#[derive(Debug)]
pub(crate) struct RequestBody<B: Body<Data = Bytes> + Unpin = Incoming> {
    /// None: there is no body.
    source: Option<Rc<RefCell<Source<B>>>>,
}

/// The request's body for one attempt.
#[derive(Debug)]
pub(crate) struct AttemptBody<B: Body<Data = Bytes> + Unpin = Incoming> {
    source: Option<Rc<RefCell<Source<B>>>>,
    attempt: u32,
    /// Bytes of the buffer that this attempt has sent.
    sent: usize,
    trailers_sent: bool,
}

/// What a client's body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Bytes at most.
    pub(crate) bytes: u64,
    /// The longest time, and at most twice that, in which nothing comes.
    pub(crate) patience: Duration,
}

/// What is wrong with a client's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It broke off.
    #[error("the client's request body broke off")]
    Broken,
    /// It is longer than it may be.
    #[error("the client's request body is too large")]
    TooLarge,
    /// Nothing comes.
    #[error("the client's request body does not come")]
    Slow,
}

/// Why an attempt's body ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is the client's fault.
    #[error(transparent)]
    Client(Fault),
    /// Another attempt reads now, or the request is over.
    #[error("the request's body is no longer wanted here")]
    Superseded,
}

struct Source<B> {
    client: Option<B>,
    limits: BodyLimits,
    /// Bytes that came.
    came: u64,
    /// Runs while the client is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    /// Something came since the timer was set.
    moved: bool,
    buffer: BytesMut,
    trailers: Option<HeaderMap>,
    /// Whether the buffer, and with it all that was read, is gone.
    overflowed: bool,
    fault: Option<Fault>,
    attempt: u32,
    reader: Option<Waker>,
}

// === impl RequestBody ===

impl<B: Body<Data = Bytes> + Unpin> RequestBody<B> {
    pub(crate) fn new(client: B, limits: BodyLimits) -> Self {
        if client.is_end_stream() {
            return Self { source: None };
        }
        let source = Source {
            client: Some(client),
            limits,
            came: 0,
            timer: None,
            moved: false,
            buffer: BytesMut::new(),
            trailers: None,
            overflowed: false,
            fault: None,
            attempt: 0,
            reader: None,
        };
        Self { source: Some(Rc::new(RefCell::new(source))) }
    }

    /// The body for one more attempt, from its first byte; call it only while [`Self::replayable`].
    pub(crate) fn attempt(&self) -> AttemptBody<B> {
        let attempt = self.source.as_ref().map_or(0, |source| Source::supersede(source));
        AttemptBody { source: self.source.clone(), attempt, sent: 0, trailers_sent: false }
    }

    /// Whether another attempt can send the whole body.
    pub(crate) fn replayable(&self) -> bool {
        self.source.as_ref().is_none_or(|source| !source.borrow().overflowed)
    }

    /// What the client did wrong within the body.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.source.as_ref().and_then(|source| source.borrow().fault)
    }

    /// Whether there is a body at all.
    pub(crate) fn is_some(&self) -> bool {
        self.source.is_some()
    }

    /// Whether the client may still send some of it.
    pub(crate) fn unread(&self) -> bool {
        self.source.as_ref().is_some_and(|source| {
            let source = source.borrow();
            source.fault.is_some() || source.client.as_ref().is_some_and(|client| !client.is_end_stream())
        })
    }
}

impl<B: Body<Data = Bytes> + Unpin> Drop for RequestBody<B> {
    fn drop(&mut self) {
        if let Some(source) = &self.source {
            Source::supersede(source);
            source.borrow_mut().client = None;
        }
    }
}

// === impl AttemptBody ===

impl<B: Body<Data = Bytes> + Unpin> Body for AttemptBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(source) = &this.source else { return Poll::Ready(None) };
        let mut source = source.borrow_mut();
        if source.attempt != this.attempt {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        if this.sent < source.buffer.len() {
            let replayed = Bytes::copy_from_slice(&source.buffer[this.sent..]);
            this.sent = source.buffer.len();
            return Poll::Ready(Some(Ok(Frame::data(replayed))));
        }
        if let Some(trailers) = source.trailers.as_ref().filter(|_| !this.trailers_sent) {
            this.trailers_sent = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))));
        }
        let frame = source.poll_client(cx);
        this.sent = source.buffer.len();
        this.trailers_sent = source.trailers.is_some();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(|source| {
            let source = source.borrow();
            let all_sent = self.sent == source.buffer.len() && (self.trailers_sent || source.trailers.is_none());
            all_sent && source.fault.is_none() && source.client.as_ref().is_none_or(Body::is_end_stream)
        })
    }

    fn size_hint(&self) -> SizeHint {
        let Some(source) = &self.source else { return SizeHint::with_exact(0) };
        let source = source.borrow();
        let replayed = (source.buffer.len() - self.sent) as u64;
        let mut hint = source.client.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + replayed);
        }
        hint.set_lower(hint.lower() + replayed);
        hint
    }
}

// === impl Source ===

impl<B: Body<Data = Bytes> + Unpin> Source<B> {
    /// Makes the next attempt the reader; the one before learns that it is not.
    fn supersede(this: &RefCell<Self>) -> u32 {
        let (attempt, reader) = {
            let mut source = this.borrow_mut();
            source.attempt += 1;
            (source.attempt, source.reader.take())
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        attempt
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(client) = &mut self.client else {
            return Poll::Ready(self.fault.map(|fault| Err(BodyError::Client(fault))));
        };
        match Pin::new(client).poll_frame(cx) {
            Poll::Pending if self.overdue(cx) => self.fail(Fault::Slow),
            Poll::Pending => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.client = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => self.fail(Fault::Broken),
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::keep_trailers(trailers);
                }
                self.moved = true;
                self.came += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.came > self.limits.bytes {
                    return self.fail(Fault::TooLarge);
                }
                self.keep(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn fail(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.client = None;
        self.fault = Some(fault);
        Poll::Ready(Some(Err(BodyError::Client(fault))))
    }

    /// Whether nothing came for too long. The timer is set when the client is first waited for, and anew when it fires.
    fn overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let patience = self.limits.patience;
        if self.timer.is_none() {
            self.moved = false;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(patience)));
        while timer.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.moved) {
                return true;
            }
            timer.as_mut().reset(Instant::now() + patience);
        }
        false
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
        }
        let Some(data) = frame.data_ref().filter(|_| !self.overflowed) else { return };
        if self.buffer.len() + data.len() > REPLAY_BYTES {
            self.overflowed = true;
            self.buffer = BytesMut::new();
        } else {
            self.buffer.extend_from_slice(data);
        }
    }
}

impl<B> fmt::Debug for Source<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("buffered", &self.buffer.len())
            .field("overflowed", &self.overflowed)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    /// Frames that are there, then an end or more to come.
    struct Frames {
        frames: VecDeque<Frame<Bytes>>,
        ends: bool,
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.frames.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    const LIMITS: BodyLimits = BodyLimits { bytes: 1 << 20, patience: Duration::from_secs(20) };

    fn body(chunks: &[&[u8]], ends: bool) -> RequestBody<Frames> {
        let frames = chunks.iter().map(|c| Frame::data(Bytes::copy_from_slice(c))).collect();
        RequestBody::new(Frames { frames, ends }, LIMITS)
    }

    /// Timers need a runtime.
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn read(body: AttemptBody<Frames>) -> Vec<u8> {
        body.collect().now_or_never().expect("all there").unwrap().to_bytes().to_vec()
    }

    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_attempt_sends_the_same_bytes() {
        let body = body(&[b"one", b"two", b"three"], true);
        let mut first = body.attempt();
        assert_eq!(first.frame().now_or_never().unwrap().unwrap().unwrap().into_data().unwrap(), "one");
        assert_eq!(read(body.attempt()), b"onetwothree");
        assert_eq!(read(body.attempt()), b"onetwothree");
        assert!(body.replayable());
    }

    #[test]
    fn trailers_are_sent_again() {
        let mut trailers = HeaderMap::new();
        trailers.insert("checksum", http::HeaderValue::from_static("7"));
        let frames = [Frame::data(Bytes::from_static(b"x")), Frame::trailers(trailers)].into();
        let body = RequestBody::new(Frames { frames, ends: true }, LIMITS);
        for _ in 0..2 {
            let all = body.attempt().collect().now_or_never().unwrap().unwrap();
            assert_eq!(all.trailers().unwrap()["checksum"], "7");
            assert_eq!(all.to_bytes(), "x");
        }
    }

    #[test]
    fn a_body_of_exactly_the_limit_can_be_sent_again_and_one_byte_more_cannot() {
        let exact = body(&[&[7; REPLAY_BYTES]], true);
        assert_eq!(read(exact.attempt()).len(), REPLAY_BYTES);
        assert!(exact.replayable());
        assert_eq!(read(exact.attempt()), [7; REPLAY_BYTES]);

        let longer = body(&[&[7; REPLAY_BYTES], &[8]], true);
        assert!(longer.replayable(), "nothing has been sent yet");
        assert_eq!(read(longer.attempt()).len(), REPLAY_BYTES + 1);
        assert!(!longer.replayable());
    }

    #[test]
    fn an_earlier_attempt_is_woken_and_ends_in_an_error() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let body = body(&[], false);
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut first = body.attempt();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut first).poll_frame(&mut cx).is_pending());
        let _second = body.attempt();
        assert!(flag.0.load(Ordering::Relaxed));
        let polled = Pin::new(&mut first).poll_frame(&mut cx);
        assert!(matches!(polled, Poll::Ready(Some(Err(BodyError::Superseded)))));
    }

    #[test]
    fn the_end_of_the_request_ends_the_attempt_that_still_reads() {
        let body = body(&[], false);
        let mut attempt = body.attempt();
        drop(body);
        assert!(matches!(attempt.frame().now_or_never(), Some(Some(Err(BodyError::Superseded)))));
    }

    #[test]
    fn a_body_that_is_too_long_ends_where_it_is() {
        let limits = BodyLimits { bytes: 5, ..LIMITS };
        let frames = || [Frame::data(Bytes::from_static(b"three")), Frame::data(Bytes::from_static(b"!"))].into();
        let exact = RequestBody::new(Frames { frames: frames(), ends: true }, BodyLimits { bytes: 6, ..LIMITS });
        assert_eq!(read(exact.attempt()), b"three!");
        let longer = RequestBody::new(Frames { frames: frames(), ends: true }, limits);
        let sent = longer.attempt().collect().now_or_never().expect("all there");
        assert!(matches!(sent, Err(BodyError::Client(Fault::TooLarge))));
        assert_eq!(longer.fault(), Some(Fault::TooLarge));
        assert!(longer.unread());
    }

    #[test]
    fn a_body_of_which_nothing_comes_is_given_up() {
        runtime().block_on(async {
            let limits = BodyLimits { patience: Duration::from_millis(30), ..LIMITS };
            let frames = [Frame::data(Bytes::from_static(b"some"))].into();
            let slow = RequestBody::new(Frames { frames, ends: false }, limits);
            let before = Instant::now();
            let mut attempt = slow.attempt();
            assert_eq!(attempt.frame().await.unwrap().unwrap().into_data().unwrap(), "some");
            assert!(matches!(attempt.frame().await, Some(Err(BodyError::Client(Fault::Slow)))));
            assert!(before.elapsed() >= limits.patience);
            assert_eq!(slow.fault(), Some(Fault::Slow));
        });
    }
}
