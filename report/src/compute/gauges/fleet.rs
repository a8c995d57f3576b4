//! The fleet during a replay: which targets there are, what each of them holds, and what is free.

use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{Nanos, Scenario, TargetId};

use super::sampler::{Area, Position, Sampler};
use crate::compute::by_target::ByTarget;

/// The gauges of one target, from ready to its end, draining included.
#[derive(Clone, Debug)]
pub(crate) struct TargetGauges {
    pub(crate) in_flight: Sampler,
    pub(crate) cpu: Sampler,
    /// As `cpu`, from what was really spent instead of demanded.
    pub(crate) cpu_measured: Sampler,
    /// `cpu` over the run.
    pub(crate) cpu_over_time: Area,
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
    #[inline]
    fn add(&mut self, by: i32, units: f64) {
        self.0 += i64::from(by) * (units * 1e6 + 0.5) as i64;
    }

    /// As a share of a capacity, of which one millionth of a unit is `part`.
    #[inline]
    fn share(self, part: f64) -> f64 {
        self.0 as f64 * part
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
    fn new(bucket: Nanos) -> Self {
        Self {
            in_flight: Sampler::default(),
            cpu: Sampler::default(),
            cpu_measured: Sampler::default(),
            cpu_over_time: Area::new(bucket),
            ready: false,
            serving: false,
            held: 0,
            demanded: Units::default(),
            spent: Units::default(),
        }
    }

    fn gauges(&mut self) -> [&mut Sampler; 3] {
        [&mut self.in_flight, &mut self.cpu, &mut self.cpu_measured]
    }
}

// === impl FleetState ===

impl FleetState {
    pub(super) fn new(scenario: &Scenario, here: Position, bucket: Nanos) -> Self {
        let area = || Area::new(bucket);
        let mut all = Self {
            limit: scenario.targets.max_concurrency,
            part: 1e-6 / scenario.targets.cpu_capacity,
            bucket,
            targets: ByTarget::default(),
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
        let slots = self.ready.by_time().area() as f64 * f64::from(self.limit);
        (slots > 0.0).then(|| 1.0 - self.free_slots.by_time().area() as f64 / slots)
    }

    /// Ready targets with a free slot. A target that has just refused was full, whatever the hosts have seen of it so far.
    pub(super) fn free_targets(&self, but: Option<TargetId>) -> u32 {
        let counted = |id| self.targets.get(id).is_some_and(|t| t.ready && t.held < self.limit);
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
        let bucket = self.bucket;
        let target = self.targets.of(id, || TargetGauges::new(bucket));
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
        self.ready.set(here, self.ready_count as usize);
        self.areas.ready.set(at, f64::from(self.ready_count));
        self.publish(here, at);
    }

    /// An attempt begins (+1) or ends (−1) to be held by a target.
    #[inline]
    pub(super) fn hold(&mut self, here: Position, at: Nanos, id: TargetId, by: i32, load: Load) {
        let (limit, part, bucket) = (self.limit, self.part, self.bucket);
        let target = self.targets.of(id, || TargetGauges::new(bucket));
        let free_before = limit.saturating_sub(target.held);
        target.held = target.held.saturating_add_signed(by);
        target.demanded.add(by, load.demanded);
        target.in_flight.set(here, target.held as usize);
        let demanded = target.demanded.share(part);
        target.cpu.set(here, thousandths(demanded));
        target.cpu_over_time.set(at, demanded);
        if load.spent > 0.0 {
            target.spent.add(by, load.spent);
            target.cpu_measured.set(here, thousandths(target.spent.share(part)));
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
        for gauge in [&mut self.in_flight, &mut self.ready, &mut self.free_slots] {
            gauge.end(here);
        }
        for area in [&mut self.areas.in_flight, &mut self.areas.ready, &mut self.areas.free_slots] {
            area.finish(at);
        }
        for target in self.targets.values_mut() {
            target.gauges().into_iter().for_each(|gauge| gauge.end(here));
            target.cpu_over_time.finish(at);
        }
    }

    #[inline]
    fn publish(&mut self, here: Position, at: Nanos) {
        let held = self.held.max(0);
        self.in_flight.set(here, held as usize);
        self.free_slots.set(here, self.free as usize);
        self.areas.in_flight.set(at, held as f64);
        self.areas.free_slots.set(at, self.free as f64);
    }
}

#[inline]
fn thousandths(share: f64) -> usize {
    (share * super::CPU_SCALE + 0.5) as usize
}
