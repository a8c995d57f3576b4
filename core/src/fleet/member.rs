//! One target slot of the fleet, and where it is in its life.

use std::collections::BTreeSet;

use crate::ids::{CallId, HostId, Incarnation};
use crate::time::Nanos;

/// Where a target is in its life, for lists and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Asked for, not ready.
    Starting,
    /// Takes requests.
    Ready,
    /// Takes no new requests; ends when it is empty.
    Draining,
    /// Died; it comes back.
    Restarting,
    /// Gone for good.
    Ended,
}

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Ready, Self::Draining, Self::Restarting, Self::Ended];

    /// The name in lists and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Restarting => "restarting",
            Self::Ended => "ended",
        }
    }
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) incarnation: Incarnation,
    /// Restarts since it was last stable.
    pub(super) restarts: u32,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Starting(Start),
    Ready {
        since: Nanos,
    },
    Draining(Drain),
    /// Dead, in its backoff.
    Down,
    /// Spawned again, not yet up.
    Restarting,
    Ended,
}

/// A start in progress: over when both the process is up and the configured delay has passed.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) asked_by: Option<HostId>,
    pub(super) delay: Nanos,
    pub(super) due: Nanos,
    pub(super) delay_over: bool,
    pub(super) spawned: bool,
    pub(super) waiters: Vec<(HostId, CallId)>,
}

/// A removal in progress: the process is stopped when the configured delay has passed and every host has let go.
#[derive(Debug)]
pub(super) struct Drain {
    pub(super) asked_by: Option<HostId>,
    pub(super) delay: Nanos,
    pub(super) delay_over: bool,
    pub(super) holders: BTreeSet<HostId>,
    pub(super) stopping: bool,
}

// === impl Member ===

impl Member {
    pub(super) fn initial() -> Self {
        Self { incarnation: 0, restarts: 0, state: State::Ready { since: Nanos::ZERO } }
    }

    pub(super) fn starting(start: Start) -> Self {
        Self { incarnation: 0, restarts: 0, state: State::Starting(start) }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Starting(_) => Phase::Starting,
            State::Ready { .. } => Phase::Ready,
            State::Draining(_) => Phase::Draining,
            State::Down | State::Restarting => Phase::Restarting,
            State::Ended => Phase::Ended,
        }
    }

    pub(super) fn forget_waiters(&mut self, which: impl Fn(&(HostId, CallId)) -> bool) {
        if let State::Starting(start) = &mut self.state {
            start.waiters.retain(|waiter| !which(waiter));
        }
    }
}
