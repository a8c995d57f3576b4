//! One call at a host, from arrival to answer.

use super::Arrival;
use crate::ids::{CallId, RequestId, TargetId};
use crate::prefetch::prefetch;
use crate::table::Slot;
use crate::time::Nanos;

/// Small, since thousands are open at once: what most calls never need is apart, and the rest has one line of the processor's
/// caches.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: RequestId,
    pub(super) arrived: Nanos,
    /// Dispatches so far.
    pub(super) attempts: u32,
    /// Of these, those before this round.
    before_round: u32,
    /// The last target tried, if there was an attempt.
    last: TargetId,
    pub(super) stage: Stage,
    /// See [`Arrival::idempotent`].
    pub(super) idempotent: bool,
    trouble: Option<Box<Trouble>>,
}

/// What there is to say of a call that is not served at once.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Targets that refused in this round.
    pub(super) tried: Vec<TargetId>,
    /// Injected waits so far; tells an old timer from a new one.
    pub(super) waits: u32,
    /// Its place in the queue, once it has had to wait there; kept until it is answered.
    pub(super) queue_place: Option<u64>,
    /// The longest wait in the queue is over.
    pub(super) queue_over: bool,
    /// Its body cannot be sent again: no further attempt.
    pub(super) last_try: bool,
}

/// What a call is doing.
#[derive(Debug)]
pub(super) enum Stage {
    /// An injected delay; when it is over, `next`.
    Waiting { wait: u32, next: Next },
    /// At a target; with the overhead at its dispatch, and whether it has been there for as long as it may.
    Attempting { overhead: Nanos, overdue: bool },
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
    by_place: Vec<Place>,
    open: usize,
}

/// A call, or room for one.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place(Option<(CallId, Call)>);

const _: () = assert!(size_of::<Place>() == 64);

// === impl Call ===

impl Call {
    #[inline(always)]
    pub(super) fn new(arrival: Arrival, now: Nanos) -> Self {
        Self {
            request: arrival.request,
            arrived: now,
            attempts: 0,
            before_round: 0,
            last: TargetId(0),
            stage: Stage::Queued,
            idempotent: arrival.idempotent,
            trouble: None,
        }
    }

    /// A new budget of retries: a call that waited in the queue has one.
    pub(super) fn begin_round(&mut self) {
        self.before_round = self.attempts;
        if let Some(trouble) = &mut self.trouble {
            trouble.tried.clear();
        }
    }

    /// One more attempt, at this target.
    #[inline(always)]
    pub(super) fn begin_attempt(&mut self, target: TargetId) {
        self.attempts += 1;
        self.last = target;
    }

    /// The last target tried.
    #[inline(always)]
    pub(super) fn last(&self) -> Option<TargetId> {
        (self.attempts > 0).then_some(self.last)
    }

    /// It waits for a target that was asked for.
    pub(super) fn waits_for_start(&self) -> bool {
        matches!(self.stage, Stage::ScalingUp { .. })
    }

    /// Attempts of this round.
    pub(super) fn round(&self) -> u32 {
        self.attempts - self.before_round
    }

    /// Targets that refused in this round.
    #[inline(always)]
    pub(super) fn tried(&self) -> &[TargetId] {
        self.trouble.as_ref().map_or(&[], |trouble| &trouble.tried)
    }

    /// See [`Trouble::queue_place`].
    #[inline(always)]
    pub(super) fn queue_place(&self) -> Option<u64> {
        self.trouble.as_ref()?.queue_place
    }

    /// Whether its attempt is to be closed because of its time.
    pub(super) fn overdue(&self) -> bool {
        matches!(self.stage, Stage::Attempting { overdue: true, .. })
    }

    /// See [`Trouble::last_try`].
    pub(super) fn last_try(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.last_try)
    }

    pub(super) fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }
}

// === impl Calls ===

impl Calls {
    #[inline(always)]
    pub(super) fn insert(&mut self, id: CallId, call: Call) {
        let place = id.place();
        if self.by_place.len() <= place {
            self.by_place.resize_with(place + 1, Place::default);
        }
        let place = &mut self.by_place[place].0;
        self.open += usize::from(place.is_none());
        *place = Some((id, call));
    }

    #[inline(always)]
    pub(super) fn get(&self, id: CallId) -> Option<&Call> {
        let (open, call) = self.by_place.get(id.place())?.0.as_ref()?;
        (*open == id).then_some(call)
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        let (open, call) = self.by_place.get_mut(id.place())?.0.as_mut()?;
        (*open == id).then_some(call)
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, id: CallId) -> Option<Call> {
        let (_, call) = self.by_place.get_mut(id.place())?.0.take_if(|(open, _)| *open == id)?;
        self.open -= 1;
        Some(call)
    }

    /// Fetches a call that comes soon.
    #[inline(always)]
    pub(super) fn fetch(&self, id: CallId) {
        self.by_place.get(id.place()).into_iter().for_each(prefetch);
    }

    pub(super) fn len(&self) -> usize {
        self.open
    }
}
