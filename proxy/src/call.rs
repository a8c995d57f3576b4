//! One call as its task holds it: the open attempt's ticket and the call itself are given back when this is dropped.
//!
//! Whatever ends the task (an answer, a client that goes away, a panic, the end of the process's drain), the host learns
//! it here, so that no slot is ever lost.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use galton_core::host::{Arrival, AttemptEnd, Input, Ticket};
use galton_core::{CallId, Incarnation, Nanos, RequestId, TargetId};

use crate::calls::{Answer, Mail};
use crate::engine::Engine;

/// An open call.
#[derive(Debug)]
pub(crate) struct Call {
    engine: Rc<Engine>,
    id: CallId,
    ticket: Option<Ticket>,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    /// The key of its coins and records.
    pub(crate) request: RequestId,
    /// When it is given up.
    pub(crate) deadline: Nanos,
    /// Whether it may be processed twice.
    pub(crate) idempotent: bool,
    /// When its head was there, machine nanoseconds.
    pub(crate) recv_ns: u64,
}

/// What the host decided.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Send it there.
    Attempt(Attempt),
    /// It is over.
    Answer(Answer),
}

/// An attempt to carry out; its ticket stays with the [`Call`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// Where.
    pub(crate) target: TargetId,
    /// To which process.
    pub(crate) incarnation: Incarnation,
    /// Attempts of the call, this one included.
    pub(crate) attempts: u32,
    /// Time at the load balancer so far.
    pub(crate) overhead: Nanos,
}

// === impl Call ===

impl Call {
    /// A request has arrived.
    pub(crate) fn arrive(engine: Rc<Engine>, asking: Asking) -> Self {
        let Asking { request, deadline, idempotent, recv_ns } = asking;
        let id = engine.calls.borrow_mut().open(recv_ns);
        let call = Self { engine, id, ticket: None };
        call.engine.feed(Input::Arrive(Arrival { call: id, request, deadline, idempotent }));
        call
    }

    /// What is to be done next.
    pub(crate) async fn step(&mut self) -> Step {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    /// Ready when the open attempt is to be closed; the next [`Self::step`] gives it back.
    pub(crate) fn poll_abort(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.with_mail(|mail| {
            if mail.abort {
                return Poll::Ready(());
            }
            mail.wake_later(cx);
            Poll::Pending
        })
    }

    /// The attempt is over; nothing happens if none is open.
    pub(crate) fn end_attempt(&mut self, end: AttemptEnd) {
        let Some(ticket) = self.ticket.take() else { return };
        // This task is awake: what comes of it must not wake it once more.
        self.with_mail(|mail| mail.waker = None);
        self.engine.end_attempt(ticket, end);
    }

    /// The open attempt is closed, as [`Self::poll_abort`] says; `committed`: its request cannot be sent again.
    pub(crate) fn close_attempt(&mut self, committed: bool) {
        self.with_mail(|mail| mail.abort = false);
        self.end_attempt(AttemptEnd::Closed { committed });
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.with_mail(|mail| std::mem::take(&mut mail.abort)) {
            self.ticket = self.ticket.take().or_else(|| self.with_mail(|mail| mail.dispatch.take()).map(|d| d.ticket));
            self.end_attempt(AttemptEnd::Closed { committed: false });
        }
        let (answer, dispatch) = self.with_mail(|mail| {
            let seen = (mail.answer.take(), mail.dispatch.take());
            if let (None, None) = seen {
                mail.wake_later(cx);
            }
            seen
        });
        if let Some(dispatch) = dispatch {
            let (target, incarnation) = (dispatch.ticket.target(), dispatch.ticket.incarnation());
            self.ticket = Some(dispatch.ticket);
            let (attempts, overhead) = (dispatch.attempts, dispatch.overhead);
            return Poll::Ready(Step::Attempt(Attempt { target, incarnation, attempts, overhead }));
        }
        answer.map_or(Poll::Pending, |answer| Poll::Ready(Step::Answer(answer)))
    }

    fn with_mail<R>(&self, see: impl FnOnce(&mut Mail) -> R) -> R {
        see(self.engine.calls.borrow_mut().mail(self.id).expect("a call is closed by its drop alone"))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let unseen = self.engine.calls.borrow_mut().close(self.id);
        let Some(Mail { answered, dispatch, deadline, .. }) = unseen else { return };
        if let Some(deadline) = deadline {
            self.engine.outside.timer.cancel(deadline);
        }
        if !answered {
            self.engine.outside.metrics.cancelled();
            self.engine.feed(Input::Cancelled { call: self.id });
        }
        for ticket in self.ticket.take().into_iter().chain(dispatch.map(|d| d.ticket)) {
            self.engine.end_attempt(ticket, AttemptEnd::Closed { committed: true });
        }
    }
}
