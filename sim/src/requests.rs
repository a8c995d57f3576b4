//! The requests under way: from the send until the client has its response and the last attempt is over.

use galton_core::host::{AttemptEnd, Ticket};
use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{CallId, Nanos, Outcome, TargetId};
use slab::Slab;

use crate::observer::Asked;
use crate::queue::Place;
use crate::source::Sent;

/// The requests under way, by call.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    open: Slab<Request>,
    serial: u64,
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) call: CallId,
    pub(crate) sent: Sent,
    pub(crate) t_send: Nanos,
    pub(crate) proxy_recv: Option<Nanos>,
    pub(crate) target_start: Option<Nanos>,
    pub(crate) target_done: Option<Nanos>,
    pub(crate) cpu_used: Option<Nanos>,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) deadline: Deadline,
    pub(crate) answer: Option<Answer>,
    /// The client has its response.
    pub(crate) closed: bool,
}

/// The open attempt of a request.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) ticket: Ticket,
    pub(crate) number: u32,
    pub(crate) dispatched: Nanos,
    /// A target holds it.
    pub(crate) held: bool,
    /// How it ended, once it has, and until its host has seen that.
    pub(crate) end: Option<AttemptEnd>,
}

/// When the host gives a request up. An event is only made of it when what the request is doing may last that long.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// The host has not asked to be woken.
    None,
    /// It has, and no event is in the queue.
    Noted(Nanos, Place),
    /// The event is in the queue.
    Queued,
}

/// How the host answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) at: Nanos,
    pub(crate) outcome: Outcome,
    pub(crate) attempts: u32,
    pub(crate) target: Option<TargetId>,
    pub(crate) overhead: Nanos,
}

// === impl Requests ===

impl Requests {
    /// A request is sent.
    #[inline]
    pub(crate) fn open(&mut self, sent: Sent, t_send: Nanos) -> CallId {
        let entry = self.open.vacant_entry();
        assert!(entry.key() < CallId::PLACES, "more requests under way than there can be calls");
        self.serial += 1;
        let call = CallId::at_place(entry.key(), self.serial);
        entry.insert(Request {
            call,
            sent,
            t_send,
            proxy_recv: None,
            target_start: None,
            target_done: None,
            cpu_used: None,
            attempt: None,
            deadline: Deadline::None,
            answer: None,
            closed: false,
        });
        call
    }

    #[inline]
    pub(crate) fn get(&mut self, call: CallId) -> Option<&mut Request> {
        self.open.get_mut(call.place()).filter(|request| request.call == call)
    }

    /// Whether this call is under way.
    #[inline]
    pub(crate) fn holds(&self, call: CallId) -> bool {
        self.open.get(call.place()).is_some_and(|request| request.call == call)
    }

    /// Its open attempt, if it is this one.
    #[inline]
    pub(crate) fn attempt(&mut self, call: CallId, number: u32) -> Option<&mut Attempt> {
        self.get(call)?.attempt.as_mut().filter(|attempt| attempt.number == number)
    }

    /// Forgets the request, if nothing more can come of it.
    #[inline]
    pub(crate) fn close_if_over(&mut self, call: CallId) {
        if self.get(call).is_some_and(|request| request.closed && request.attempt.is_none()) {
            self.open.remove(call.place());
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// All of them, in the order in which they were sent.
    pub(crate) fn in_order(&self) -> Vec<&Request> {
        let mut all: Vec<_> = self.open.iter().map(|(_, request)| request).collect();
        all.sort_by_key(|request| request.sent.seq);
        all
    }
}

// === impl Request ===

impl Request {
    pub(crate) fn asked(&self) -> Asked {
        Asked { t_intended: self.sent.at, demand: self.sent.demand }
    }

    /// The request's row, as its client knows it: at its end, `t_end`, or without one.
    pub(crate) fn row(&self, t_end: Option<Nanos>) -> TraceRow {
        let ended = self.answer.filter(|_| t_end.is_some());
        let ok = ended.is_some_and(|answer| answer.outcome == Outcome::Ok);
        let outcome = ended.map_or(Outcome::Unfinished, |answer| answer.outcome);
        TraceRow {
            t_send: Some(self.t_send),
            t_end,
            outcome: TraceOutcome::Offered(outcome),
            status: ended.map(|answer| status(answer.outcome)),
            attempts: ended.map(|answer| answer.attempts),
            target: ended.and_then(|answer| answer.target),
            proxy_recv: self.proxy_recv.filter(|_| ended.is_some()),
            proxy_done: ended.map(|answer| answer.at),
            target_start: self.target_start.filter(|_| ok),
            target_done: self.target_done.filter(|_| ok),
            cpu_used: self.cpu_used.filter(|_| ok),
            overhead: ended.map(|answer| answer.overhead),
            ..self.sent.unsent()
        }
    }
}

fn status(outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Ok => 200,
        Outcome::Rejected(_) => 503,
        Outcome::TimedOut => 504,
        _ => 502,
    }
}

// === impl Sent ===

impl Sent {
    /// The row of a request that is not sent.
    pub(crate) fn unsent(&self) -> TraceRow {
        TraceRow::unsent(self.seq, self.request, self.host, self.at, self.demand)
    }
}
