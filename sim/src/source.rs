//! Where requests come from: the plan of an open loop, or the users of a closed one.

use galton_core::plan::{Demand, OpenLoop, Plan, PlanHash, Planned};
use galton_core::users::{UserEnds, UserStep, Users};
use galton_core::{HostId, Nanos, Outcome, RequestId, Scenario};

/// The traffic of one run.
#[derive(Debug)]
pub(crate) enum Source {
    /// Times and demands are known in advance.
    Open(Box<Ahead>),
    /// Who is answered thinks and sends again.
    Closed { plan: Box<Plan>, users: Box<Users>, sent: u64 },
}

/// A plan, made and hashed some requests ahead: many at once take less than each by itself.
#[derive(Debug)]
pub(crate) struct Ahead {
    plan: OpenLoop,
    hash: PlanHash,
    sent: Vec<Sent>,
    /// How many of them are no longer ahead.
    taken: usize,
}

/// Requests that are made at once.
const AHEAD: usize = 64;

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
}

// === impl Source ===

impl Source {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let plan = Plan::new(scenario);
        match Users::new(scenario) {
            Some(users) => Self::Closed { plan: Box::new(plan), users: Box::new(users), sent: 0 },
            None => Self::Open(Box::new(Ahead::of(plan.open_loop()))),
        }
    }

    /// What is to be done at `now`.
    #[inline]
    pub(crate) fn next(&mut self, now: Nanos) -> Next {
        match self {
            Self::Open(ahead) => match ahead.first().copied() {
                None => Next::Over,
                Some(first) if first.at > now => Next::Wait(first.at),
                Some(first) => {
                    ahead.taken += 1;
                    Next::Send(first)
                }
            },
            Self::Closed { plan, users, sent } => match users.next(now) {
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
            Self::Open(ahead) => Some(std::iter::from_fn(|| ahead.take())),
            Self::Closed { .. } => None,
        };
        open.into_iter().flatten()
    }

    /// The hash of the plan. Of what it still holds nothing will be sent.
    pub(crate) fn plan_sha256(self) -> String {
        match self {
            Self::Open(mut ahead) => {
                std::iter::from_fn(|| ahead.take()).for_each(drop);
                ahead.hash.finish()
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

// === impl Ahead ===

impl Ahead {
    fn of(plan: OpenLoop) -> Self {
        Self { plan, hash: PlanHash::default(), sent: Vec::with_capacity(AHEAD), taken: 0 }
    }

    /// The first one ahead.
    #[inline]
    fn first(&mut self) -> Option<&Sent> {
        if self.taken == self.sent.len() {
            self.make();
        }
        self.sent.get(self.taken)
    }

    fn take(&mut self) -> Option<Sent> {
        let first = self.first().copied()?;
        self.taken += 1;
        Some(first)
    }

    #[inline(never)]
    fn make(&mut self) {
        let Self { plan, hash, sent, taken } = self;
        sent.clear();
        *taken = 0;
        sent.extend(plan.take(AHEAD).map(|planned| {
            hash.add(&planned);
            Sent::from(planned)
        }));
    }
}

impl From<Planned> for Sent {
    fn from(planned: Planned) -> Self {
        let Planned { seq, at, host, demand } = planned;
        Self { seq, request: RequestId::open(seq), at, host, demand }
    }
}
