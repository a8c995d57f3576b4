//! One call at a host, from arrival to answer.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Arrival;
use crate::ids::{CallId, TargetId};
use crate::table::Slot;
use crate::time::Nanos;

#[derive(Debug)]
pub(super) struct Call {
    pub(super) arrival: Arrival,
    pub(super) arrived: Nanos,
    /// Dispatches so far.
    pub(super) attempts: u32,
    /// Attempts of this round: one budget of retries. A call that waited in the queue has a new one.
    pub(super) round: u32,
    /// Targets that refused in this round.
    pub(super) tried: Vec<TargetId>,
    /// The last target tried.
    pub(super) last: Option<TargetId>,
    /// Injected waits so far; tells an old timer from a new one.
    pub(super) waits: u32,
    /// Its place in the queue, once it has had to wait there; kept until it is answered.
    pub(super) queue_place: Option<u64>,
    /// The longest wait in the queue is over.
    pub(super) queue_over: bool,
    pub(super) stage: Stage,
}

/// What a call is doing.
#[derive(Debug)]
pub(super) enum Stage {
    /// An injected delay; when it is over, `next`.
    Waiting { wait: u32, next: Next },
    /// At a target; with the overhead at its dispatch.
    Attempting { overhead: Nanos },
    /// Waiting for the target that was asked for, with a slot reserved there (least connections).
    ScalingUp { reserved: Option<Slot> },
    /// In the queue.
    Queued,
}

/// What follows an injected delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another attempt, or, with the budget spent, nobody can take it.
    Retry,
    /// The pick for which the table's lock was claimed.
    Pick,
}

/// The open calls of a host: looked up, never iterated.
#[derive(Debug, Default)]
pub(super) struct Calls(HashMap<CallId, Call, BuildHasherDefault<CallHasher>>);

/// Spreads call numbers by Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, section 6.4): no entropy.
#[derive(Debug, Default)]
pub(super) struct CallHasher(u64);

// === impl Call ===

impl Call {
    pub(super) fn new(arrival: Arrival, now: Nanos) -> Self {
        Self {
            arrival,
            arrived: now,
            attempts: 0,
            round: 0,
            tried: Vec::new(),
            last: None,
            waits: 0,
            queue_place: None,
            queue_over: false,
            stage: Stage::Queued,
        }
    }
}

// === impl Calls ===

impl Calls {
    pub(super) fn insert(&mut self, id: CallId, call: Call) {
        self.0.insert(id, call);
    }

    pub(super) fn get(&self, id: CallId) -> Option<&Call> {
        self.0.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.0.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: CallId) -> Option<Call> {
        self.0.remove(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

// === impl CallHasher ===

impl Hasher for CallHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
