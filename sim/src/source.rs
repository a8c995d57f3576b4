//! Where requests come from: the plan of an open loop, or the users of a closed one.

use galton_core::plan::{Demand, OpenLoop, Plan, PlanHash, Planned};
use galton_core::users::{UserEnds, UserStep, Users};
use galton_core::{HostId, Nanos, Outcome, RequestId, Scenario};

/// The traffic of one run.
#[derive(Debug)]
pub(crate) enum Source {
    /// Times and demands are known in advance.
    Open(Box<Hashed>),
    /// Who is answered thinks and sends again.
    Closed { plan: Box<Plan>, users: Box<Users>, sent: u64 },
}

/// A plan, hashed as it is gone through.
#[derive(Debug)]
pub(crate) struct Hashed {
    plan: OpenLoop,
    hash: PlanHash,
}

/// One request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) seq: u64,
    pub(crate) request: RequestId,
    pub(crate) at: Nanos,
    pub(crate) host: HostId,
    pub(crate) demand: Demand,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    Send(Sent),
    Wait(Nanos),
    Over,
    /// Users send without end while time stands still: so many by now.
    Endless(u64),
}

// === impl Source ===

impl Source {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let plan = Plan::new(scenario);
        match Users::new(scenario) {
            Some(users) => Self::Closed { plan: Box::new(plan), users: Box::new(users), sent: 0 },
            None => Self::Open(Box::new(Hashed { plan: plan.open_loop(), hash: PlanHash::default() })),
        }
    }

    /// What is to be done at `now`.
    #[inline(always)]
    pub(crate) fn next(&mut self, now: Nanos) -> Next {
        match self {
            Self::Open(hashed) => match hashed.plan.peek() {
                Some(first) if first.at > now => Next::Wait(first.at),
                Some(_) | None => hashed.take().map_or(Next::Over, Next::Send),
            },
            Self::Closed { plan, users, sent } => match users.next(now) {
                UserStep::Send { .. } if users.go_round() => Next::Endless(*sent),
                UserStep::Send { request, at } => {
                    let seq = *sent;
                    *sent += 1;
                    Next::Send(Sent { seq, request, at, host: plan.host(request), demand: plan.demand(request) })
                }
                UserStep::Wait(until) => Next::Wait(until),
                UserStep::Over => Next::Over,
            },
        }
    }

    /// A request has ended. Whether somebody will send another one because of that.
    pub(crate) fn ended(&mut self, request: RequestId, outcome: Outcome, now: Nanos) -> bool {
        match self {
            Self::Open(_) => false,
            Self::Closed { users, .. } => {
                users.ended(request, outcome, now);
                true
            }
        }
    }

    /// A closed loop is over with its last answer; an open one lasts as long as the scenario says.
    pub(crate) fn ends_with_its_requests(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    /// What the plan still holds.
    pub(crate) fn unsent(&mut self) -> impl Iterator<Item = Sent> + '_ {
        let open = match self {
            Self::Open(hashed) => Some(std::iter::from_fn(|| hashed.take())),
            Self::Closed { .. } => None,
        };
        open.into_iter().flatten()
    }

    /// The hash of the plan. Of what it still holds nothing will be sent.
    pub(crate) fn plan_sha256(self) -> String {
        match self {
            Self::Open(mut hashed) => {
                std::iter::from_fn(|| hashed.take()).for_each(drop);
                hashed.hash.finish()
            }
            Self::Closed { plan, .. } => plan.sha256(),
        }
    }

    pub(crate) fn user_ends(&self) -> Option<UserEnds> {
        match self {
            Self::Open(_) => None,
            Self::Closed { users, .. } => Some(users.ends()),
        }
    }
}

// === impl Hashed ===

impl Hashed {
    #[inline(always)]
    fn take(&mut self) -> Option<Sent> {
        let planned = self.plan.next()?;
        self.hash.add(&planned);
        Some(Sent::from(planned))
    }
}

impl From<Planned> for Sent {
    #[inline(always)]
    fn from(planned: Planned) -> Self {
        let Planned { seq, at, host, demand } = planned;
        Self { seq, request: RequestId::open(seq), at, host, demand }
    }
}
