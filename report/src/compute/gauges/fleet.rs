//! The fleet during a replay: which targets there are, what each of them holds, and what is free.

use galton_core::prefetch::prefetch;
use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{Nanos, Scenario, TargetId};

use super::sampler::{Area, Position, Sampler, Weights};
use super::target::{Measure, STEPS, Step, TargetGauges, Units};
use crate::compute::bounds::Bounds;
use crate::compute::by_target::ByTarget;

/// The whole fleet.
#[derive(Clone, Debug)]
pub(crate) struct FleetState {
    limit: u32,
    measure: Measure,
    bucket: Nanos,
    seats: ByTarget<Seats>,
    pub(crate) targets: ByTarget<TargetGauges>,
    /// Requests in flight, and free slots.
    slots: Sampler<2>,
    ready: Sampler<1>,
    held: i64,
    ready_count: u32,
    free: u64,
    free_targets: u32,
    /// Requests in flight and free slots over time, for the plots.
    slots_over_time: Area<2>,
    ready_over_time: Area<1>,
    /// Changes of the fleet that those do not know of yet. A fleet may change long after the last request, and what is then
    /// is not drawn.
    late: Vec<Late>,
}

/// So many more targets are ready, and so many more slots free.
#[derive(Clone, Copy, Debug)]
struct Late {
    at: Nanos,
    ready: i64,
    freed: i64,
}

/// What a target holds now. Small, and apart from its gauges: this is looked at in every step.
#[derive(Clone, Debug, Default)]
struct Seats {
    held: u32,
    ready: bool,
    /// Attempts that it has held.
    taken: u64,
    /// What its gauges have not gone through.
    steps: Vec<Step>,
}

/// An attempt begins or ends to be held. They wait until there are some, so that what they need is fetched for all of them together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) at: Nanos,
    pub(super) target: TargetId,
    /// +1 or −1.
    pub(super) by: i32,
    /// By how much the CPU demanded changes.
    pub(super) demanded: Units,
}

/// Moves that wait, at most.
pub(super) const TOGETHER: usize = 64;

// === impl Seats ===

impl Seats {
    fn free(&self, limit: u32) -> u32 {
        limit.saturating_sub(self.held)
    }
}

// === impl FleetState ===

impl FleetState {
    pub(super) fn new(scenario: &Scenario, here: Position, bounds: &Bounds) -> Self {
        let mut all = Self {
            limit: scenario.targets.max_concurrency,
            measure: Measure { window: bounds.window, part: 1e-6 / scenario.targets.cpu_capacity },
            bucket: bounds.bucket,
            seats: ByTarget::default(),
            targets: ByTarget::default(),
            slots: Sampler::default(),
            ready: Sampler::default(),
            held: 0,
            ready_count: 0,
            free: 0,
            free_targets: 0,
            slots_over_time: Area::new(bounds.bucket),
            ready_over_time: Area::new(bounds.bucket),
            late: Vec::new(),
        };
        all.slots.begin(here);
        all.ready.begin(here);
        all
    }

    /// Targets that are ready now; after a replay, at the end of the run.
    pub(crate) fn ready_count(&self) -> u32 {
        self.ready_count
    }

    /// Slots that are free now.
    pub(super) fn free_now(&self) -> u64 {
        self.free
    }

    /// Attempts that a target has held, or holds.
    pub(crate) fn held_by(&self, id: TargetId) -> u64 {
        self.seats.get(id).map_or(0, |seats| seats.taken)
    }

    /// No target has a number as high as this.
    pub(crate) fn targets(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn in_flight(&self) -> &Weights {
        self.slots.weights(0)
    }

    pub(super) fn free_slots(&self) -> &Weights {
        self.slots.weights(1)
    }

    pub(super) fn ready(&self) -> &Weights {
        self.ready.weights(0)
    }

    /// The buckets of what is over time are no wider than this.
    pub(crate) fn bucket(&self) -> Nanos {
        self.slots_over_time.bucket().max(self.ready_over_time.bucket())
    }

    /// Means over time, in buckets that are made of its own: requests in flight, free slots, ready targets.
    pub(crate) fn over_time(&self, bucket: Nanos) -> [Vec<f64>; 3] {
        let (slots, ready) = (&self.slots_over_time, &self.ready_over_time);
        [slots.means(0, bucket).collect(), slots.means(1, bucket).collect(), ready.means(0, bucket).collect()]
    }

    /// The share of its CPU that was asked of a target, over time.
    pub(crate) fn cpu_over_time(&self, id: TargetId, bucket: Nanos) -> Option<Vec<f64>> {
        let part = self.measure.part;
        Some(self.targets.get(id)?.cpu_over_time(bucket).map(|millionths| millionths * part).collect())
    }

    /// The share of the ready targets' slots that was taken, over time.
    pub(super) fn slot_use(&self) -> Option<f64> {
        let slots = self.ready().by_time().area() as f64 * f64::from(self.limit);
        (slots > 0.0).then(|| 1.0 - self.free_slots().by_time().area() as f64 / slots)
    }

    /// Ready targets with a free slot. A target that has just refused was full, whatever the hosts have seen of it so far.
    pub(super) fn free_targets(&self, but: Option<TargetId>) -> u32 {
        let counted = |id| self.seats.get(id).is_some_and(|target| target.ready && target.held < self.limit);
        self.free_targets - u32::from(but.is_some_and(counted))
    }

    /// A target's state changes.
    pub(super) fn change(&mut self, here: Position, at: Nanos, event: &FleetEvent) {
        let Some(id) = event.target else { return };
        let (ready, serving) = match event.what {
            FleetWhat::Ready => (true, true),
            FleetWhat::Cordoned => (false, true),
            FleetWhat::Died | FleetWhat::GivenUp | FleetWhat::StartFailed | FleetWhat::Stopped => (false, false),
            _ => return,
        };
        let seats = self.seats.of(id, Seats::default);
        // Leaves the sums with the old state, and comes back with the new one.
        let by = i64::from(ready) - i64::from(seats.ready);
        seats.ready = ready;
        let free = i64::from(seats.free(self.limit));
        self.ready_count = self.ready_count.wrapping_add_signed(by as i32);
        self.free_targets = self.free_targets.wrapping_add_signed(if free > 0 { by as i32 } else { 0 });
        let (bucket, steps) = (self.bucket, std::mem::take(&mut seats.steps));
        let target = self.targets.of(id, || TargetGauges::new(bucket));
        target.go_through(&steps, self.measure);
        target.serve(here, serving);
        self.ready.set(here, [self.ready_count.into()]);
        let freed = by * free;
        self.late.push(Late { at, ready: by, freed });
        self.free = self.free.wrapping_add_signed(freed);
        self.slots.set(here, [self.held.max(0) as u64, self.free]);
    }

    /// Attempts follow: what is over time has to know of the changes of the fleet before `end`.
    pub(super) fn catch_up(&mut self, end: Nanos) {
        for Late { at, ready, freed } in self.late.drain(..).filter(|late| late.at < end) {
            self.ready_over_time.rise(at, [ready]);
            self.slots_over_time.rise(at, [0, freed]);
        }
    }

    /// Fetches what these will need.
    pub(super) fn fetch(&self, moves: &[Move]) {
        if self.seats.is_large() {
            let seats = || moves.iter().filter_map(|of| self.seats.get(of.target));
            seats().for_each(prefetch);
            seats().filter_map(|seats| seats.steps.last()).for_each(prefetch);
        }
    }

    /// An attempt begins or ends to be held by a target.
    #[inline(always)]
    pub(super) fn hold(&mut self, here: Position, of: Move) {
        let Move { at, target, by, demanded } = of;
        let seats = self.seats.of(target, Seats::default);
        let free_before = seats.free(self.limit);
        seats.held = seats.held.wrapping_add_signed(by);
        seats.taken += u64::from(by > 0);
        let (free, ready) = (seats.free(self.limit), seats.ready);
        seats.steps.push(Step { at, samples: here.samples, demanded, held: seats.held });
        if seats.steps.len() == STEPS {
            self.go_through(target);
        }
        let mut freed = 0;
        if ready {
            freed = i64::from(free) - i64::from(free_before);
            self.free_targets = self.free_targets + u32::from(free > 0) - u32::from(free_before > 0);
        }
        self.publish(here, at, by.into(), freed);
    }

    /// A target begins (+1) or ends (−1) to really spend so much CPU.
    #[cold]
    pub(super) fn spend(&mut self, here: Position, id: TargetId, units: f64, by: i32) {
        let bucket = self.bucket;
        let target = self.targets.of(id, || TargetGauges::new(bucket));
        target.spend(here, Units::of(units, by), self.measure);
    }

    /// A target's gauges go through the steps that wait.
    fn go_through(&mut self, id: TargetId) {
        let bucket = self.bucket;
        let steps = &mut self.seats.of(id, Seats::default).steps;
        self.targets.of(id, || TargetGauges::new(bucket)).go_through(steps, self.measure);
        steps.clear();
    }

    /// The run is over: settles every gauge.
    pub(super) fn finish(&mut self, here: Position, at: Nanos) {
        self.catch_up(at);
        self.slots.end(here);
        self.ready.end(here);
        self.slots_over_time.finish(at);
        self.ready_over_time.finish(at);
        let waiting: Vec<TargetId> = self.seats.iter().map(|(id, _)| id).collect();
        waiting.into_iter().for_each(|id| self.go_through(id));
        self.targets.values_mut().for_each(|target| target.finish(here, at));
    }

    /// So many more requests are in flight, and so many more slots are free.
    #[inline(always)]
    fn publish(&mut self, here: Position, at: Nanos, held: i64, freed: i64) {
        self.held += held;
        self.free = self.free.wrapping_add_signed(freed);
        self.slots.set(here, [self.held.max(0) as u64, self.free]);
        self.slots_over_time.rise(at, [held, freed]);
    }
}
