//! The fleet during a replay: which targets there are, what each of them holds, and what is free.

use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{Nanos, Scenario, TargetId};

use super::sampler::{Area, Position, Sampler, Weights};
use crate::compute::by_target::ByTarget;

/// The gauges of one target, from ready to its end, draining included.
#[derive(Clone, Debug)]
pub(crate) struct TargetGauges {
    held: u32,
    ready: bool,
    serving: bool,
    demanded: Units,
    /// Requests in flight, and CPU demanded.
    holding: Sampler<2>,
    /// CPU demanded, in millionths of a unit, over the run.
    cpu_over_time: Area<1>,
    measured: Box<Measured>,
}

/// CPU that was really spent, where requests say so.
#[derive(Clone, Debug, Default)]
struct Measured {
    spent: Units,
    cpu: Sampler<1>,
}

/// CPU units of what is held, in millionths: whole, so that they come back to 0.
#[derive(Clone, Copy, Debug, Default)]
struct Units(i64);

impl Units {
    #[inline]
    fn of(units: f64) -> Self {
        Self((units * 1e6 + 0.5) as i64)
    }

    /// In thousandths of a capacity, of which one millionth of a unit is `part`.
    #[inline]
    fn thousandths(self, part: f64) -> usize {
        // By way of a signed number: a processor has no instruction for the other.
        (self.0 as f64 * part * super::CPU_SCALE + 0.5) as i64 as usize
    }
}

/// What one request takes of a target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// CPU demanded, in units.
    pub(crate) demanded: f64,
    /// CPU really spent, in units.
    pub(crate) spent: f64,
}

/// The whole fleet.
#[derive(Clone, Debug)]
pub(crate) struct FleetState {
    limit: u32,
    /// What a millionth of a CPU unit is of a target's capacity.
    part: f64,
    bucket: Nanos,
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
}

// === impl TargetGauges ===

impl TargetGauges {
    fn new(bucket: Nanos) -> Self {
        Self {
            held: 0,
            ready: false,
            serving: false,
            demanded: Units::default(),
            holding: Sampler::default(),
            cpu_over_time: Area::new(bucket),
            measured: Box::default(),
        }
    }

    pub(crate) fn in_flight(&self) -> &Weights {
        self.holding.weights(0)
    }

    pub(crate) fn cpu(&self) -> &Weights {
        self.holding.weights(1)
    }

    /// As `cpu`, from what was really spent instead of demanded.
    pub(crate) fn cpu_measured(&self) -> &Weights {
        self.measured.cpu.weights(0)
    }

    fn begin(&mut self, here: Position) {
        self.holding.begin(here);
        self.measured.cpu.begin(here);
    }

    fn end(&mut self, here: Position) {
        self.holding.end(here);
        self.measured.cpu.end(here);
    }
}

// === impl FleetState ===

impl FleetState {
    pub(super) fn new(scenario: &Scenario, here: Position, bucket: Nanos) -> Self {
        let mut all = Self {
            limit: scenario.targets.max_concurrency,
            part: 1e-6 / scenario.targets.cpu_capacity,
            bucket,
            targets: ByTarget::default(),
            slots: Sampler::default(),
            ready: Sampler::default(),
            held: 0,
            ready_count: 0,
            free: 0,
            free_targets: 0,
            slots_over_time: Area::new(bucket),
            ready_over_time: Area::new(bucket),
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

    pub(super) fn in_flight(&self) -> &Weights {
        self.slots.weights(0)
    }

    pub(super) fn free_slots(&self) -> &Weights {
        self.slots.weights(1)
    }

    pub(super) fn ready(&self) -> &Weights {
        self.ready.weights(0)
    }

    /// Means over time: requests in flight, free slots, ready targets.
    pub(crate) fn over_time(&self) -> [Vec<f64>; 3] {
        let (slots, ready) = (&self.slots_over_time, &self.ready_over_time);
        [slots.means(0).collect(), slots.means(1).collect(), ready.means(0).collect()]
    }

    /// The share of its CPU that was asked of a target, over time.
    pub(crate) fn cpu_over_time(&self, id: TargetId) -> Option<Vec<f64>> {
        let area = &self.targets.get(id)?.cpu_over_time;
        Some(area.means(0).map(|millionths| millionths * self.part).collect())
    }

    /// The share of the ready targets' slots that was taken, over time.
    pub(super) fn slot_use(&self) -> Option<f64> {
        let slots = self.ready().by_time().area() as f64 * f64::from(self.limit);
        (slots > 0.0).then(|| 1.0 - self.free_slots().by_time().area() as f64 / slots)
    }

    /// Ready targets with a free slot. A target that has just refused was full, whatever the hosts have seen of it so far.
    pub(super) fn free_targets(&self, but: Option<TargetId>) -> u32 {
        let counted = |id| self.targets.get(id).is_some_and(|t| t.ready && t.held < self.limit);
        self.free_targets - u32::from(but.is_some_and(counted))
    }

    /// Fetches the gauges of a target whose turn comes soon.
    #[inline]
    pub(super) fn fetch(&self, id: TargetId) {
        self.targets.fetch(id);
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
        let bucket = self.bucket;
        let target = self.targets.of(id, || TargetGauges::new(bucket));
        // Leaves the sums with the old state, and comes back with the new one.
        let by = i64::from(ready) - i64::from(target.ready);
        target.ready = ready;
        let free = i64::from(self.limit.saturating_sub(target.held));
        self.ready_count = self.ready_count.wrapping_add_signed(by as i32);
        self.free_targets = self.free_targets.wrapping_add_signed(if free > 0 { by as i32 } else { 0 });
        if target.serving != serving {
            target.serving = serving;
            if serving { target.begin(here) } else { target.end(here) }
        }
        self.ready.set(here, [self.ready_count as usize]);
        self.ready_over_time.rise(at, [by]);
        self.publish(here, at, 0, by * free);
    }

    /// An attempt begins (+1) or ends (−1) to be held by a target.
    #[inline]
    pub(super) fn hold(&mut self, here: Position, at: Nanos, id: TargetId, by: i32, load: Load) {
        let (limit, part, bucket) = (self.limit, self.part, self.bucket);
        let target = self.targets.of(id, || TargetGauges::new(bucket));
        let free_before = limit.saturating_sub(target.held);
        target.held = target.held.saturating_add_signed(by);
        let demanded = i64::from(by) * Units::of(load.demanded).0;
        target.demanded.0 += demanded;
        target.holding.set(here, [target.held as usize, target.demanded.thousandths(part)]);
        target.cpu_over_time.rise(at, [demanded]);
        if load.spent > 0.0 {
            let Measured { spent, cpu } = &mut *target.measured;
            spent.0 += i64::from(by) * Units::of(load.spent).0;
            cpu.set(here, [spent.thousandths(part)]);
        }
        let mut freed = 0;
        if target.ready {
            let free = limit.saturating_sub(target.held);
            freed = i64::from(free) - i64::from(free_before);
            self.free_targets = self.free_targets + u32::from(free > 0) - u32::from(free_before > 0);
        }
        self.publish(here, at, i64::from(by), freed);
    }

    /// The run is over: settles every gauge.
    pub(super) fn finish(&mut self, here: Position, at: Nanos) {
        self.slots.end(here);
        self.ready.end(here);
        self.slots_over_time.finish(at);
        self.ready_over_time.finish(at);
        for target in self.targets.values_mut() {
            target.end(here);
            target.cpu_over_time.finish(at);
        }
    }

    /// So many more requests are in flight, and so many more slots are free.
    #[inline]
    fn publish(&mut self, here: Position, at: Nanos, held: i64, freed: i64) {
        self.held += held;
        self.free = self.free.wrapping_add_signed(freed);
        self.slots.set(here, [self.held.max(0) as usize, self.free as usize]);
        self.slots_over_time.rise(at, [held, freed]);
    }
}
