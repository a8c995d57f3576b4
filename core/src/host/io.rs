//! What goes into a host and what comes out of it.

use crate::ids::{CallId, HostId, Incarnation, RequestId, TargetId};
use crate::outcome::Outcome;
use crate::record::Decision;
use crate::table::Slot;
use crate::time::Nanos;

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// A request has arrived.
    Arrive(Arrival),
    /// An attempt is over. The slot it held is free with it.
    AttemptEnded {
        /// The attempt, consumed.
        ticket: Ticket,
        /// How it ended.
        end: AttemptEnd,
    },
    /// The client went away. An open attempt's ticket is returned as well, with [`AttemptEnd::Closed`].
    Cancelled {
        /// Whose.
        call: CallId,
    },
    /// A sleep is over.
    Timer {
        /// Which.
        id: TimerId,
    },
    /// The fleet changed, and this host learns it now.
    FleetChange {
        /// The fleet's version with the change.
        version: u64,
        /// The change.
        change: Change,
    },
    /// This host learns the whole fleet.
    Snapshot {
        /// Version of the fleet; changes of this version and before are known with it.
        version: u64,
        /// The ready targets, by number.
        members: Vec<Endpoint>,
    },
    /// What came of [`Effect::AskScaleUp`].
    ScaleUp {
        /// Who asked.
        call: CallId,
        /// What came of it.
        answer: ScaleUpAnswer,
    },
    /// [`Effect::AskScaleDown`] was answered, or cannot be.
    ScaleDown {
        /// Which target was proposed.
        target: TargetId,
    },
    /// What came of [`Effect::ReadCounts`].
    Counts {
        /// Per target that answered: accepted within the idle window (up to the threshold), and in flight.
        counts: Vec<(TargetId, IdleCounts)>,
    },
    /// Slots are free: another host released one and this host's queue has waited longest, or one died that held some.
    Wake {
        /// How many of its queue this host may try.
        most: u32,
    },
}

/// A request that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Unique at this host.
    pub call: CallId,
    /// The key of its coins and records.
    pub request: RequestId,
    /// When it is given up.
    pub deadline: Nanos,
    /// Whether it may be sent again after it may have been processed (RFC 9110, section 9.2.2).
    pub idempotent: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The target refused, being full, before any work.
    Full {
        /// The request's body cannot be sent again.
        committed: bool,
    },
    /// There was no connection.
    Gone,
    /// The connection broke.
    Reset {
        /// A byte of the response has been forwarded already, or the request's body cannot be sent again.
        committed: bool,
    },
    /// The driver closed it: [`Effect::Abort`], or the client went away.
    Closed {
        /// As in [`Self::Reset`].
        committed: bool,
    },
    /// The response is complete.
    Done {
        /// Status below 400.
        ok: bool,
    },
}

/// A change of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The target takes requests.
    Ready(Endpoint),
    /// The target is being removed: no new dispatches.
    Cordoned(TargetId),
    /// This process of the target died.
    Gone(TargetId, Incarnation),
}

/// The balancer's record of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which slot.
    pub target: TargetId,
    /// Which process of it.
    pub incarnation: Incarnation,
    /// Failover tier, 0 first.
    pub tier: u8,
    /// Relative weight.
    pub weight: u32,
    /// Since when it has been ready, by the scaler's timestamp.
    pub since: Nanos,
}

impl Endpoint {
    /// Of tier 0 and weight 1.
    pub const fn new(target: TargetId, incarnation: Incarnation, since: Nanos) -> Self {
        Self { target, incarnation, tier: 0, weight: 1, since }
    }
}

/// What came of a request for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleUpAnswer {
    /// The start was accepted, or shared.
    Accepted(TargetId),
    /// The target is ready.
    Ready(TargetId, Incarnation),
    /// The fleet is at its maximum.
    Refused,
    /// The start did not come up.
    StartFailed,
}

/// What an idle scan needs to know of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleCounts {
    /// Accepted within the idle window, from any host; counted up to the threshold.
    pub accepted_in_window: u32,
    /// Held now.
    pub in_flight: u32,
}

/// A sleep of a host. Opaque to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerId {
    /// The deadline of a call.
    Deadline(CallId),
    /// An injected delay of a call: retry delay or lock latency; with the number of its wait.
    Wait(CallId, u32),
    /// The longest time for an attempt of a call; with the attempt's number.
    Try(CallId, u32),
    /// The longest wait in the queue.
    Queue(CallId),
    /// The next idle scan.
    Scan,
    /// A release that takes effect late.
    Release(u64),
}

impl TimerId {
    /// Whether it is an injected delay, whose overruns are counted.
    pub const fn injected(self) -> bool {
        matches!(self, Self::Wait(..) | Self::Release(_))
    }
}

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Send the call to the ticket's target.
    Dispatch {
        /// The attempt; give it back with [`Input::AttemptEnded`], whatever happens.
        ticket: Ticket,
        /// Time at the load balancer so far.
        overhead: Nanos,
    },
    /// Close the call's open attempt and return its ticket with [`AttemptEnd::Closed`].
    Abort {
        /// Which call.
        call: CallId,
    },
    /// Feed [`Input::Timer`] at `until`.
    Sleep {
        /// With this id.
        id: TimerId,
        /// When.
        until: Nanos,
    },
    /// That sleep is no longer needed.
    Forget {
        /// Which.
        id: TimerId,
    },
    /// Ask the scaler for one more target.
    AskScaleUp {
        /// For this call.
        call: CallId,
    },
    /// Tell the scaler that the call, which waits for a target that it asked for, has been given up.
    LeaveStart {
        /// Which call.
        call: CallId,
    },
    /// Propose a target to the scaler for removal; feed [`Input::ScaleDown`] when it has answered, whatever it said.
    AskScaleDown {
        /// Which.
        target: TargetId,
    },
    /// Tell the scaler that this host knows of the cordon and has nothing in flight there.
    Released {
        /// Where.
        target: TargetId,
    },
    /// Read the idle counts of these targets, then feed [`Input::Counts`], whoever answered.
    ReadCounts {
        /// Which.
        targets: Vec<TargetId>,
        /// Over how long to count what was accepted.
        window: Nanos,
    },
    /// Feed [`Input::Wake`] to that host, for one.
    Wake {
        /// Which.
        host: HostId,
    },
    /// The call is over. For [`Outcome::Ok`], and when a response has been forwarded in part, this is book-keeping alone.
    Answer {
        /// Which call.
        call: CallId,
        /// How it ended.
        outcome: Outcome,
        /// Its attempts.
        attempts: u32,
        /// The target that served it, or the last one tried.
        target: Option<TargetId>,
        /// Time at the load balancer not spent in the serving attempt.
        overhead: Nanos,
    },
    /// Write this down.
    Record {
        /// Whose.
        call: CallId,
        /// What.
        decision: Decision,
    },
}

/// Where the effects of a host go, in the order in which they happen: a list, or who does them as they come.
///
/// Who does them at once must not need the host, nor the table, both of which are in the midst of a step.
pub trait Effects {
    /// The next one.
    fn push(&mut self, effect: Effect);
}

impl Effects for Vec<Effect> {
    #[inline]
    fn push(&mut self, effect: Effect) {
        self.push(effect);
    }
}

/// One open attempt. Consumed by [`Input::AttemptEnded`]: open tickets are what is in flight.
#[must_use = "an attempt that is not ended holds its slot for ever"]
#[derive(Debug)]
pub struct Ticket {
    pub(super) call: CallId,
    pub(super) request: RequestId,
    pub(super) seat: Seat,
    pub(super) attempt: u32,
    pub(super) dispatched: Nanos,
    pub(super) scale_routed: bool,
    pub(super) known: u32,
    pub(super) own: u32,
}

/// Where an attempt goes.
#[derive(Debug)]
pub(super) enum Seat {
    /// To this process of a target. No slot is held: it may refuse.
    Open(TargetId, Incarnation),
    /// Where a slot is held for it.
    Reserved(Slot),
}

impl Seat {
    pub(super) const fn target(&self) -> TargetId {
        match self {
            Self::Open(target, _) => *target,
            Self::Reserved(slot) => slot.target(),
        }
    }

    pub(super) const fn incarnation(&self) -> Incarnation {
        match self {
            Self::Open(_, incarnation) => *incarnation,
            Self::Reserved(slot) => slot.incarnation(),
        }
    }
}

impl Ticket {
    /// Whose attempt it is.
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// The how-many-eth attempt of its call, from 1.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When it was dispatched.
    pub const fn dispatched(&self) -> Nanos {
        self.dispatched
    }

    /// Where it goes.
    pub const fn target(&self) -> TargetId {
        self.seat.target()
    }

    /// To which process.
    pub const fn incarnation(&self) -> Incarnation {
        self.seat.incarnation()
    }
}
