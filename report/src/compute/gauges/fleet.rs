//! The fleet during a replay: which targets there are, what each of them holds, and what is free.

use std::collections::BTreeMap;

use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{Nanos, Scenario, TargetId};

use super::sampler::{Area, Position, Sampler};
use crate::compute::series::Axis;

/// The gauges of one target, from ready to its end, draining included.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetGauges {
    pub(crate) in_flight: Sampler,
    pub(crate) cpu: Sampler,
    /// As `cpu`, from what was really spent instead of demanded.
    pub(crate) cpu_measured: Sampler,
    /// Over the run, for the targets that are drawn.
    pub(crate) cpu_over_time: Option<Area>,
    ready: bool,
    serving: bool,
    held: u32,
    demanded: Units,
    spent: Units,
}

/// CPU units of what is held, in millionths: whole, so that they come back to 0.
#[derive(Clone, Copy, Debug, Default)]
struct Units(i64);

impl Units {
    fn add(&mut self, by: i32, units: f64) {
        self.0 += i64::from(by) * (units * 1e6).round() as i64;
    }

    /// As a share of `capacity` units.
    fn share(self, capacity: f64) -> f64 {
        self.0 as f64 / 1e6 / capacity
    }
}

/// What one request takes of a target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// CPU demanded, in units.
    pub(super) demanded: f64,
    /// CPU really spent, in units.
    pub(super) spent: f64,
}

/// The whole fleet.
#[derive(Clone, Debug)]
pub(crate) struct FleetState {
    limit: u32,
    capacity: f64,
    pub(crate) targets: BTreeMap<TargetId, TargetGauges>,
    pub(crate) in_flight: Sampler,
    pub(crate) ready: Sampler,
    pub(crate) free_slots: Sampler,
    held: i64,
    ready_count: u32,
    free: u64,
    free_targets: u32,
    pub(crate) areas: Areas,
}

/// Means over time, for the plots.
#[derive(Clone, Debug)]
pub(crate) struct Areas {
    pub(crate) in_flight: Area,
    pub(crate) free_slots: Area,
    pub(crate) ready: Area,
}

// === impl TargetGauges ===

impl TargetGauges {
    fn gauges(&mut self) -> [&mut Sampler; 3] {
        [&mut self.in_flight, &mut self.cpu, &mut self.cpu_measured]
    }
}

// === impl FleetState ===

impl FleetState {
    pub(super) fn new(scenario: &Scenario, here: Position, axis: Axis, drawn: &[TargetId]) -> Self {
        let area = || Area::new(axis.bucket, axis.buckets);
        let with_area = |id: &TargetId| (*id, TargetGauges { cpu_over_time: Some(area()), ..TargetGauges::default() });
        let mut all = Self {
            limit: scenario.targets.max_concurrency,
            capacity: scenario.targets.cpu_capacity,
            targets: drawn.iter().map(with_area).collect(),
            in_flight: Sampler::default(),
            ready: Sampler::default(),
            free_slots: Sampler::default(),
            held: 0,
            ready_count: 0,
            free: 0,
            free_targets: 0,
            areas: Areas { in_flight: area(), free_slots: area(), ready: area() },
        };
        for gauge in [&mut all.in_flight, &mut all.ready, &mut all.free_slots] {
            gauge.begin(here);
        }
        all
    }

    /// Targets that are ready now; after a replay, at the end of the run.
    pub(crate) fn ready_count(&self) -> u32 {
        self.ready_count
    }

    pub(super) fn free_slots(&self) -> u64 {
        self.free
    }

    /// The share of the ready targets' slots that was taken, over time.
    pub(super) fn slot_use(&self) -> Option<f64> {
        let slots = self.ready.by_time.area() as f64 * f64::from(self.limit);
        (slots > 0.0).then(|| 1.0 - self.free_slots.by_time.area() as f64 / slots)
    }

    /// Ready targets with a free slot. A target that has just refused was full, whatever the hosts have seen of it so far.
    pub(super) fn free_targets(&self, but: Option<TargetId>) -> u32 {
        let counted = |id| self.targets.get(&id).is_some_and(|t| t.ready && t.held < self.limit);
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
        let target = self.targets.entry(id).or_default();
        if target.ready != ready {
            // Leaves the sums with the old state, and comes back with the new one.
            let free = u64::from(self.limit.saturating_sub(target.held));
            let has_room = u32::from(free > 0);
            if ready {
                (self.ready_count, self.free, self.free_targets) =
                    (self.ready_count + 1, self.free + free, self.free_targets + has_room);
            } else {
                (self.ready_count, self.free, self.free_targets) =
                    (self.ready_count - 1, self.free - free, self.free_targets - has_room);
            }
            target.ready = ready;
        }
        if target.serving != serving {
            target.serving = serving;
            for gauge in target.gauges() {
                if serving { gauge.begin(here) } else { gauge.end(here) }
            }
        }
        self.publish(here, at);
    }

    /// An attempt begins (+1) or ends (−1) to be held by a target.
    pub(super) fn hold(&mut self, here: Position, at: Nanos, id: TargetId, by: i32, load: Load) {
        let (limit, capacity) = (self.limit, self.capacity);
        let target = self.targets.entry(id).or_default();
        let free_before = limit.saturating_sub(target.held);
        target.held = target.held.saturating_add_signed(by);
        target.demanded.add(by, load.demanded);
        target.spent.add(by, load.spent);
        let thousandths = |units: Units| (units.share(capacity) * super::CPU_SCALE).round() as usize;
        target.in_flight.set(here, target.held as usize);
        target.cpu.set(here, thousandths(target.demanded));
        target.cpu_measured.set(here, thousandths(target.spent));
        if let Some(area) = &mut target.cpu_over_time {
            area.set(at, target.demanded.share(capacity));
        }
        if target.ready {
            let free = limit.saturating_sub(target.held);
            self.free = self.free + u64::from(free) - u64::from(free_before);
            self.free_targets = self.free_targets + u32::from(free > 0) - u32::from(free_before > 0);
        }
        self.held += i64::from(by);
        self.publish(here, at);
    }

    /// The run is over: settles every gauge.
    pub(super) fn finish(&mut self, here: Position, at: Nanos) {
        self.publish(here, at);
        for target in self.targets.values_mut() {
            target.gauges().into_iter().for_each(|gauge| gauge.end(here));
            if let Some(area) = &mut target.cpu_over_time {
                area.set(at, 0.0);
            }
        }
    }

    fn publish(&mut self, here: Position, at: Nanos) {
        let held = self.held.max(0);
        self.in_flight.set(here, held as usize);
        self.ready.set(here, self.ready_count as usize);
        self.free_slots.set(here, self.free as usize);
        self.areas.in_flight.set(at, held as f64);
        self.areas.ready.set(at, f64::from(self.ready_count));
        self.areas.free_slots.set(at, self.free as f64);
    }
}
