//! The load table: in-flight counts over all hosts, for the policies that share knowledge.
//!
//! The policy is written once, in [`crate::host`], against [`LoadTable`]; this module has the simulator's
//! implementation, [`BucketTable`], and the conformance suite that every implementation must pass.
//! The scaler's side is [`FleetRows`].

mod bucket;
mod buckets;
pub mod conformance;
mod row;

pub use bucket::BucketTable;

use crate::ids::{HostId, Incarnation, TargetId};
use crate::time::Nanos;

/// What `lowest` saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowest {
    /// The smallest in-flight count over the candidates.
    pub count: u32,
    /// How many candidates have it.
    pub len: u32,
    /// The table's version when it was seen; opaque to the policy.
    pub stamp: u64,
}

/// The head of a host's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Since when it has been waiting; below 2⁶³ nanoseconds.
    pub since: Nanos,
    /// A target has refused it although the table had room: there is no use in trying it again before something changes.
    pub refused: bool,
}

impl Head {
    /// One that no target has refused.
    pub const fn fresh(since: Nanos) -> Self {
        Self { since, refused: false }
    }
}

/// The table changed since `lowest` looked: look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved;

/// One unit of a target's capacity, taken by a host; give it back with [`LoadTable::release`].
#[must_use = "a slot that is not released is lost"]
#[derive(Debug, PartialEq, Eq)]
pub struct Slot {
    target: TargetId,
    incarnation: Incarnation,
}

impl Slot {
    /// For implementations of [`LoadTable`]: the slot has been counted.
    pub const fn granted(target: TargetId, incarnation: Incarnation) -> Self {
        Self { target, incarnation }
    }

    /// At which target.
    pub const fn target(&self) -> TargetId {
        self.target
    }

    /// At which process of it.
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

/// In-flight counts shared by all hosts, as one host sees and changes them.
///
/// A *candidate* is a row that is [`RowState::Ready`], whose count is below its limit, and which is not excepted.
pub trait LoadTable {
    /// The smallest count over the candidates, and how many have it; `None` if there is no candidate.
    fn lowest(&self, except: &[TargetId]) -> Option<Lowest>;

    /// The `k`-th (from 0, in order of number) of the candidates with the lowest count; `None` if the table moved.
    fn nth(&self, low: &Lowest, k: u32, except: &[TargetId]) -> Option<TargetId>;

    /// The position `k` for [`Self::nth`] of the first lowest candidate whose number is above `after`, wrapping around.
    fn position_after(&self, low: &Lowest, after: TargetId, except: &[TargetId]) -> u32;

    /// Takes a slot at `target`, if the table is as `low` saw it, so that the pick is the minimum *at its moment*.
    fn reserve(&mut self, host: HostId, target: TargetId, low: &Lowest) -> Result<Slot, Moved>;

    /// Takes a slot at a target that is starting or ready and below its limit, whatever its count: for a start that was
    /// asked for.
    fn reserve_at(&mut self, host: HostId, target: TargetId) -> Option<Slot>;

    /// Gives a slot back. A slot of an incarnation that is gone is forgotten without effect.
    fn release(&mut self, host: HostId, slot: Slot, now: Nanos);

    /// Claims the injected lock for an operation asked at `now`: granted at g = max(now, free), sets free = g + latency,
    /// returns g + latency, when the operation takes effect. One compare-and-swap; nobody waits here.
    fn claim(&mut self, now: Nanos, latency: Nanos) -> Nanos;

    /// Ready targets whose count has been below the idle threshold ever since `now - window` or before, highest number
    /// first. A target never used counts from when it became ready.
    fn idle(&self, now: Nanos, window: Nanos) -> Vec<TargetId>;

    /// The number of ready rows.
    fn ready(&self) -> u32;

    /// Says who is at the head of this host's queue, or that nobody waits.
    fn set_waiting(&mut self, host: HostId, head: Option<Head>);

    /// The host whose head has waited longest, the lowest number among equals. `refused`: whether heads that have been refused
    /// count.
    fn longest_waiting(&self, refused: bool) -> Option<HostId>;
}

/// Where a row is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    /// Asked for; slots can be reserved with [`LoadTable::reserve_at`].
    Starting,
    /// A candidate while below its limit.
    Ready,
    /// No new slots; what is held goes on.
    Cordoned,
}

/// The scaler's side of the table.
pub trait FleetRows {
    /// Adds a row, or moves it to another state. `now` starts the idle window of a row that becomes ready. A newer
    /// incarnation is a new row in place of the old one, an older one is no news.
    fn put(&mut self, target: TargetId, incarnation: Incarnation, state: RowState, now: Nanos);

    /// Removes the row; slots still held on it are forgotten when they are released.
    fn remove(&mut self, target: TargetId, incarnation: Incarnation);

    /// A host is gone: everything it held is given back.
    fn forget_host(&mut self, host: HostId, now: Nanos);

    /// In-flight count of one row, over all hosts.
    fn in_flight(&self, target: TargetId) -> u32;

    /// Sum of all counts.
    fn total_in_flight(&self) -> u64;
}
