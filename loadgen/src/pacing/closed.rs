//! Closed loop: users that wait for their responses. The users themselves are [`galton_core::users`]; this numbers their
//! requests in the order of sending and looks up what each asks for.

use galton_core::plan::Plan;
use galton_core::scenario::Scenario;
use galton_core::users::{UserEnds, UserStep, Users};
use galton_core::{Nanos, Outcome, RequestId};

use super::{Call, Next, Pacing};

/// The pacing of a closed loop.
#[derive(Debug)]
pub(crate) struct Closed {
    users: Users,
    plan: Plan,
    sent: u64,
}

// === impl Closed ===

impl Closed {
    /// The users of this scenario; none if it is an open loop.
    pub(crate) fn new(scenario: &Scenario) -> Option<Self> {
        Users::new(scenario).map(|users| Self { users, plan: Plan::new(scenario), sent: 0 })
    }
}

impl Pacing for Closed {
    fn next(&mut self, now: Nanos) -> Next {
        match self.users.next(now) {
            UserStep::Wait(until) => Next::Wait(until),
            UserStep::Over => Next::Over,
            UserStep::Send { request, at } => {
                let seq = self.sent;
                self.sent += 1;
                let host = self.plan.host(request);
                Next::Send(Call { seq, request, at, host, demand: self.plan.demand(request) })
            }
        }
    }

    fn ended(&mut self, request: RequestId, outcome: Outcome, now: Nanos) {
        self.users.ended(request, outcome, now);
    }

    /// None: a request of a closed loop is planned when its user takes it out of the budget, and then it is sent.
    fn take_unsent(&mut self, _until: Nanos) -> Option<Call> {
        None
    }

    fn user_ends(&self) -> Option<UserEnds> {
        Some(self.users.ends())
    }
}
