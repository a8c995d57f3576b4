//! What goes into the fleet and what comes out of it.

use crate::host::{Change, Endpoint, ScaleUpAnswer};
use crate::ids::{CallId, HostId, Incarnation, TargetId};
use crate::record::FleetEvent;
use crate::table::RowState;
use crate::time::Nanos;

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A host is there and listens.
    HostJoined(HostId),
    /// A host is gone.
    HostLeft(HostId),
    /// Somebody asks for one more target. Without a waiter (a person), nobody is told what came of it.
    ScaleUp {
        /// Who waits.
        waiter: Option<(HostId, CallId)>,
        /// When that was, by the clock of who asks; absent: now. The configured delay of a start counts from there.
        asked: Option<Nanos>,
    },
    /// A request that waits for a start has been given up.
    LeaveStart {
        /// At which host.
        host: HostId,
        /// Which request.
        call: CallId,
    },
    /// Somebody proposes a target for removal.
    ScaleDown {
        /// Who; none: a person.
        host: Option<HostId>,
        /// Which target.
        target: TargetId,
    },
    /// A process that was to be spawned is up and serves.
    Spawned {
        /// Which slot.
        target: TargetId,
        /// Which process.
        incarnation: Incarnation,
    },
    /// A process died by itself, or did not come up.
    Died {
        /// Which slot.
        target: TargetId,
        /// Which process.
        incarnation: Incarnation,
        /// Requests it held, as far as is known.
        held: u32,
    },
    /// A host knows of the cordon and has nothing in flight there.
    Released {
        /// Who.
        host: HostId,
        /// Where.
        target: TargetId,
    },
    /// A process that was told to stop has ended.
    Stopped {
        /// Which slot.
        target: TargetId,
        /// Requests it still held.
        held: u32,
    },
    /// A sleep is over.
    Timer {
        /// Which.
        id: TimerId,
    },
}

/// A sleep of the fleet. Opaque to the driver. Late ones that no longer matter are ignored: none is ever cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerId {
    /// The configured delay of a start is over.
    StartDelay(TargetId, Incarnation),
    /// The configured delay of a stop is over.
    StopDelay(TargetId, Incarnation),
    /// The drain has lasted as long as it may.
    DrainTimeout(TargetId, Incarnation),
    /// The backoff before a restart is over.
    Backoff(TargetId, Incarnation),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a process; feed [`Input::Spawned`] when it serves, [`Input::Died`] if it does not come up.
    Spawn {
        /// Which slot.
        target: TargetId,
        /// Which process.
        incarnation: Incarnation,
    },
    /// Feed [`Input::Timer`] at `until`.
    Sleep {
        /// With this id.
        id: TimerId,
        /// When.
        until: Nanos,
    },
    /// Set the target's row in the load table; no state: remove it.
    Row {
        /// Which slot.
        target: TargetId,
        /// Which process.
        incarnation: Incarnation,
        /// The state.
        state: Option<RowState>,
    },
    /// Everything this host held in the load table is given back.
    ForgetHost {
        /// Which.
        host: HostId,
    },
    /// Tell a host, to be learned at `due`. Those due at once come first.
    Tell {
        /// Whom.
        host: HostId,
        /// When it learns it.
        due: Nanos,
        /// What.
        message: Message,
    },
    /// Stop the process: refuse what still comes, scrape once more, end it; feed [`Input::Stopped`]. `force`: at once.
    Stop {
        /// Which slot.
        target: TargetId,
        /// Which process.
        incarnation: Incarnation,
        /// Whatever it holds.
        force: bool,
    },
    /// Write this down.
    Log(FleetEvent),
}

/// What a host is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// One change.
    Change {
        /// The fleet's version with it.
        version: u64,
        /// The change.
        change: Change,
    },
    /// The whole ready fleet.
    Snapshot {
        /// Its version.
        version: u64,
        /// The ready targets, by number.
        members: Vec<Endpoint>,
    },
    /// What came of a request for a target.
    ScaleUp {
        /// Whose.
        call: CallId,
        /// What came of it.
        answer: ScaleUpAnswer,
    },
}
