//! The requests under way: from the send until the client has its response and the last attempt is over.

use galton_core::host::{AttemptEnd, Ticket};
use galton_core::prefetch::prefetch;
use galton_core::record::{Ended, TraceOutcome, TraceRow};
use galton_core::{CallId, Nanos, Outcome, TargetId};

use crate::observer::Asked;
use crate::queue::Place;
use crate::source::Sent;

/// The requests under way, by call.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// By the place of their call. Where nobody is any more, the last one stays until the place is taken again.
    at: Vec<Request>,
    /// Places that are free, by the host that had them last: it has its own memory of a call at the same place.
    free: Vec<Vec<u32>>,
    len: usize,
    serial: u64,
}

/// One request under way. Small, since thousands are under way at once, each looked at after the others: three lines of the
/// processor's caches.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Request {
    /// Of one that is over, [`OVER`].
    call: CallId,
    pub(crate) sent: Sent,
    pub(crate) t_send: Nanos,
    pub(crate) proxy_recv: Moment,
    pub(crate) target_start: Moment,
    pub(crate) target_done: Moment,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) deadline: Deadline,
    /// Its host has answered.
    pub(crate) answered: bool,
    /// The client has its response.
    pub(crate) closed: bool,
}

/// An instant; or that it has not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(Nanos);

/// The open attempt of a request.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) ticket: Ticket,
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

/// Calls have serial numbers from 1.
const OVER: CallId = CallId::at_place(0, 0);

const _: () = assert!(size_of::<Request>() == 192);

// === impl Requests ===

impl Requests {
    /// A request is sent.
    #[inline(always)]
    pub(crate) fn open(&mut self, sent: Sent, t_send: Nanos) -> CallId {
        let host = sent.host.0 as usize;
        if self.free.len() <= host {
            self.free.resize_with(host + 1, Vec::new);
        }
        let place = self.free[host].pop().map_or(self.at.len(), |place| place as usize);
        self.len += 1;
        assert!(place < CallId::PLACES, "more requests under way than there can be calls");
        self.serial += 1;
        let call = CallId::at_place(place, self.serial);
        let request = Request {
            call,
            sent,
            t_send,
            proxy_recv: Moment::TO_COME,
            target_start: Moment::TO_COME,
            target_done: Moment::TO_COME,
            attempt: None,
            deadline: Deadline::None,
            answered: false,
            closed: false,
        };
        match self.at.get_mut(place) {
            Some(free) => *free = request,
            None => self.at.push(request),
        }
        call
    }

    #[inline(always)]
    pub(crate) fn get(&mut self, call: CallId) -> Option<&mut Request> {
        self.at.get_mut(call.place()).filter(|request| request.call == call)
    }

    /// Fetches a request that comes soon.
    #[inline(always)]
    pub(crate) fn fetch(&self, call: CallId) {
        self.at.get(call.place()).into_iter().for_each(prefetch);
    }

    /// Whether this call is under way.
    #[inline(always)]
    pub(crate) fn holds(&self, call: CallId) -> bool {
        self.at.get(call.place()).is_some_and(|request| request.call == call)
    }

    /// Whether a target holds this attempt of it.
    pub(crate) fn is_held(&self, call: CallId, number: u32) -> bool {
        let request = self.at.get(call.place()).filter(|request| request.call == call);
        let attempt = request.and_then(|request| request.attempt.as_ref());
        attempt.is_some_and(|attempt| attempt.is_held(number))
    }

    /// Its open attempt, if it is this one.
    #[inline(always)]
    pub(crate) fn attempt(&mut self, call: CallId, number: u32) -> Option<&mut Attempt> {
        self.get(call)?.attempt.as_mut().filter(|attempt| attempt.ticket.attempt() == number)
    }

    /// Forgets the request, if nothing more can come of it.
    #[inline(always)]
    pub(crate) fn close_if_over(&mut self, call: CallId) {
        let over = |request: &&mut Request| request.closed && request.attempt.is_none();
        if let Some(request) = self.get(call).filter(over) {
            request.call = OVER;
            let host = request.sent.host.0 as usize;
            self.free[host].push(call.place() as u32);
            self.len -= 1;
        }
    }

    /// How many there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All of them with their calls, in the order in which they were sent.
    pub(crate) fn in_order(&self) -> Vec<(CallId, &Request)> {
        let open = self.at.iter().filter(|request| request.call != OVER);
        let mut all: Vec<_> = open.map(|request| (request.call, request)).collect();
        all.sort_by_key(|(_, request)| request.sent.seq);
        all
    }
}

// === impl Moment ===

impl Moment {
    pub(crate) const TO_COME: Self = Self(Nanos::MAX);

    #[inline(always)]
    pub(crate) fn at(at: Nanos) -> Self {
        Self(at)
    }

    #[inline(always)]
    pub(crate) fn get(self) -> Option<Nanos> {
        Some(self.0).filter(|at| *at < Nanos::MAX)
    }
}

// === impl Attempt ===

impl Attempt {
    /// It is this one, and a target holds it.
    #[inline(always)]
    pub(crate) fn is_held(&self, number: u32) -> bool {
        self.ticket.attempt() == number && self.held && self.end.is_none()
    }
}

// === impl Request ===

impl Request {
    #[inline(always)]
    pub(crate) fn asked(&self) -> Asked {
        Asked { t_intended: self.sent.at, demand: self.sent.demand }
    }

    /// Its host has it, and has not answered.
    pub(crate) fn is_at_its_host(&self) -> bool {
        self.proxy_recv.get().is_some() && !self.answered
    }

    /// What the report asks of it, once it has ended: with its answer, and the time at which the client had it; or without.
    #[inline(always)]
    pub(crate) fn ended(&self, answer: Option<&Answer>, t_end: Option<Nanos>) -> Ended {
        let outcome = answer.map_or(Outcome::Unfinished, |answer| answer.outcome);
        let held = self.target_start.get().zip(self.target_done.get());
        Ended {
            t_intended: self.sent.at,
            t_send: Some(self.t_send),
            t_end,
            outcome: TraceOutcome::Offered(outcome),
            attempts: answer.map(|answer| answer.attempts),
            target: answer.and_then(|answer| answer.target),
            hold: held.filter(|_| outcome == Outcome::Ok).map(|(start, done)| done - start),
            overhead: answer.map(|answer| answer.overhead),
        }
    }

    /// Its row, as its client knows it: as [`Self::ended`]. `burnt`: what CPU time such a request takes.
    pub(crate) fn row(&self, answer: Option<&Answer>, t_end: Option<Nanos>, burnt: Option<Nanos>) -> TraceRow {
        let Ended { outcome, attempts, target, overhead, .. } = self.ended(answer, t_end);
        let ok = outcome == TraceOutcome::Offered(Outcome::Ok);
        TraceRow {
            t_send: Some(self.t_send),
            t_end,
            outcome,
            status: answer.map(|answer| status(answer.outcome)),
            attempts,
            target,
            proxy_recv: self.proxy_recv.get().filter(|_| answer.is_some()),
            proxy_done: answer.map(|answer| answer.at),
            target_start: self.target_start.get().filter(|_| ok),
            target_done: self.target_done.get().filter(|_| ok),
            cpu_used: burnt.filter(|_| ok),
            overhead,
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
