//! One call at a host, from arrival to answer.

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

/// The open calls of a host, by place.
#[derive(Debug, Default)]
pub(super) struct Calls {
    by_place: Vec<Option<(CallId, Call)>>,
    open: usize,
}

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
    #[inline]
    pub(super) fn insert(&mut self, id: CallId, call: Call) {
        let place = id.place();
        if self.by_place.len() <= place {
            self.by_place.resize_with(place + 1, || None);
        }
        self.open += usize::from(self.by_place[place].is_none());
        self.by_place[place] = Some((id, call));
    }

    #[inline]
    pub(super) fn get(&self, id: CallId) -> Option<&Call> {
        let (open, call) = self.by_place.get(id.place())?.as_ref()?;
        (*open == id).then_some(call)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        let (open, call) = self.by_place.get_mut(id.place())?.as_mut()?;
        (*open == id).then_some(call)
    }

    #[inline]
    pub(super) fn remove(&mut self, id: CallId) -> Option<Call> {
        let (_, call) = self.by_place.get_mut(id.place())?.take_if(|(open, _)| *open == id)?;
        self.open -= 1;
        Some(call)
    }

    pub(super) fn len(&self) -> usize {
        self.open
    }
}
