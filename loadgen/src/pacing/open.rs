//! Open loop: the plan says when, whatever the server does. A cap on requests in flight makes the rest queue.

use std::iter::{Peekable, Take};

use galton_core::plan::{OpenLoop, Plan, Planned};
use galton_core::users::UserEnds;
use galton_core::{Nanos, Outcome, RequestId};

use super::{Call, Next, Pacing};

/// A request that was due before the cut-off is still sent if it is at most this late: the last requests of a run that
/// keeps up are not lost to a wake-up that came some microseconds after the end.
const LATE: Nanos = Nanos::from_millis(10);

/// Where an open loop ends, and what holds it back. `None`: nothing does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Most requests in flight.
    pub(crate) in_flight: Option<u64>,
    /// What is due at the cap is dropped instead of waiting.
    pub(crate) shed: bool,
    /// Most requests.
    pub(crate) requests: Option<u64>,
    /// From then on what is late is not sent any more.
    pub(crate) cut_off: Option<Nanos>,
    /// The loop is not over before then, even if nothing is left to send: a scenario lasts as long as it says.
    pub(crate) lasts: Nanos,
}

/// The pacing of an open loop.
#[derive(Debug)]
pub(crate) struct Open {
    plan: Peekable<Take<OpenLoop>>,
    limits: Limits,
    in_flight: u64,
}

// === impl Open ===

impl Open {
    /// Sends the plan, within `limits`.
    pub(crate) fn new(plan: &Plan, limits: Limits) -> Self {
        let requests = limits.requests.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Self { plan: plan.open_loop().take(requests).peekable(), limits, in_flight: 0 }
    }

    fn full(&self) -> bool {
        self.limits.in_flight.is_some_and(|cap| self.in_flight >= cap)
    }

    fn too_late(&self, at: Nanos, now: Nanos) -> bool {
        self.limits.cut_off.is_some_and(|end| now >= end && now > at + LATE)
    }
}

impl Pacing for Open {
    fn next(&mut self, now: Nanos) -> Next {
        let Some(&planned) = self.plan.peek() else {
            return if now < self.limits.lasts { Next::Wait(self.limits.lasts) } else { Next::Over };
        };
        if planned.at > now {
            return Next::Wait(planned.at);
        }
        if self.too_late(planned.at, now) {
            return Next::Over;
        }
        if self.full() && self.limits.shed {
            self.plan.next();
            return Next::Shed(planned.into());
        }
        if self.full() {
            // Past the cut-off only the grace is left to wait for.
            let end = self.limits.cut_off.map_or(Nanos::MAX, |end| end.max(planned.at + LATE) + Nanos(1));
            return Next::Wait(end);
        }
        self.plan.next();
        self.in_flight += 1;
        Next::Send(planned.into())
    }

    fn ended(&mut self, _request: RequestId, _outcome: Outcome, _now: Nanos) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    fn take_unsent(&mut self, until: Nanos) -> Option<Call> {
        self.plan.next_if(|planned| planned.at <= until).map(Call::from)
    }

    fn user_ends(&self) -> Option<UserEnds> {
        None
    }
}

impl From<Planned> for Call {
    fn from(planned: Planned) -> Self {
        Self {
            seq: planned.seq,
            request: RequestId::open(planned.seq),
            at: planned.at,
            host: planned.host,
            demand: planned.demand,
        }
    }
}
