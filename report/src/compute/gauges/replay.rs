//! Goes through the records of a run, in order of time.

use std::collections::BTreeMap;

use galton_core::record::FleetEvent;
use galton_core::scenario::{SampleOn, Scenario};
use galton_core::{Nanos, TargetId};

use super::CPU_SCALE;
use super::fleet::{FleetState, Move, TOGETHER};
use super::sampler::{Position, Weights};
use super::target::{Load, Units};
use crate::compute::bounds::Bounds;
use crate::compute::window::Window;
use crate::model::{BothSamplings, Gauges};
use crate::stats::{GaugeSummary, Weighted};

/// The gauges of a run; told of everything in order of time.
#[derive(Clone, Debug)]
pub(crate) struct Gauging {
    pub(crate) fleet: FleetState,
    /// Not yet told to the fleet.
    moves: Vec<Move>,
    /// What was free when each fleet event happened, by its index.
    pub(crate) at_fleet_events: Vec<SlotsAt>,
    window: Window,
    /// Whether a sample is taken at decisions, completions, changes of the fleet.
    sample_on: [bool; 3],
    here: Position,
    /// The last begin or end of an attempt that a target held.
    last: Nanos,
    recorded: bool,
    /// Some request says what CPU it really took.
    cpu_spent: bool,
    free_at_refusal: BTreeMap<u32, u64>,
    free_at_rejection: BTreeMap<u32, u64>,
}

/// What was ready and free at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotsAt {
    pub(crate) ready: u32,
    pub(crate) free_slots: u64,
}

/// What came of a decision that took no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vain {
    /// This target refused.
    Refused(Option<TargetId>),
    /// The host rejected the request.
    Rejected,
    /// It broke.
    Broke,
}

// === impl Gauging ===

impl Gauging {
    /// `recorded`: whether there are decisions at all.
    pub(crate) fn new(scenario: &Scenario, bounds: &Bounds, recorded: bool) -> Self {
        let here = Position { samples: 0, time: bounds.window.start };
        let kinds = [SampleOn::LbDecision, SampleOn::RequestComplete, SampleOn::TopologyChange];
        Self {
            fleet: FleetState::new(scenario, here, bounds),
            moves: Vec::with_capacity(TOGETHER),
            at_fleet_events: Vec::new(),
            window: bounds.window,
            sample_on: kinds.map(|on| scenario.sampling.sample_on.contains(&on)),
            here,
            last: Nanos::ZERO,
            recorded,
            cpu_spent: false,
            free_at_refusal: BTreeMap::new(),
            free_at_rejection: BTreeMap::new(),
        }
    }

    /// The fleet changes.
    pub(crate) fn changed(&mut self, event: &FleetEvent) {
        self.catch_up();
        self.sample(event.at, 2);
        let before = SlotsAt { ready: self.fleet.ready_count(), free_slots: self.fleet.free_now() };
        self.at_fleet_events.push(before);
        self.fleet.change(self.here, event.at, event);
    }

    /// A target takes an attempt.
    #[inline(always)]
    pub(crate) fn taken(&mut self, at: Nanos, target: TargetId, load: Load) {
        self.held(at, target, 1, load);
    }

    /// Its slot is free again.
    #[inline(always)]
    pub(crate) fn freed(&mut self, at: Nanos, target: TargetId, load: Load) {
        self.held(at, target, -1, load);
    }

    /// An attempt begins (+1) or ends (−1) to be held by a target.
    #[inline(always)]
    fn held(&mut self, at: Nanos, target: TargetId, by: i32, load: Load) {
        let demanded = Units::of(load.demanded, by);
        self.moves.push(Move { at, target, by, demanded });
        if self.moves.len() == TOGETHER {
            self.catch_up();
        }
        if load.spent > 0.0 {
            self.catch_up();
            self.cpu_spent = true;
            self.fleet.spend(self.here, target, load.spent, by);
        }
    }

    /// Tells the fleet what waits.
    #[inline(never)]
    pub(crate) fn catch_up(&mut self) {
        let Self { fleet, moves, here, window, sample_on, last, .. } = self;
        let Some(of) = moves.last() else { return };
        *last = of.at;
        fleet.catch_up(Nanos::MAX);
        fleet.fetch(moves);
        for of in moves.drain(..) {
            take_sample(here, *window, sample_on[usize::from(of.by < 0)], of.at);
            fleet.hold(*here, of);
        }
    }

    /// A decision that took no slot.
    pub(crate) fn in_vain(&mut self, at: Nanos, vain: Vain, measured: bool) {
        self.catch_up();
        if measured {
            let (counts, but) = match vain {
                Vain::Refused(target) => (&mut self.free_at_refusal, target),
                Vain::Rejected => (&mut self.free_at_rejection, None),
                Vain::Broke => return self.sample(at, 0),
            };
            *counts.entry(self.fleet.free_targets(but)).or_default() += 1;
        }
        self.sample(at, 0);
    }

    /// Takes a sample of every gauge, before the event has its effect.
    #[inline]
    fn sample(&mut self, at: Nanos, kind: usize) {
        take_sample(&mut self.here, self.window, self.sample_on[kind], at);
    }

    /// The run is over: the gauges end with the window, the plots at `end`.
    pub(crate) fn finish(&mut self, window: Window, end: Nanos) {
        self.catch_up();
        self.here.time = window.end.max(self.here.time);
        self.fleet.finish(self.here, end);
    }

    /// The gauges of the report.
    pub(crate) fn gauges(&self, fleet_known: bool) -> Gauges {
        let fleet = &self.fleet;
        let pooled = |gauge: fn(&super::TargetGauges) -> &Weights, by: fn(&Weights) -> Weighted| {
            let mut pool = Weighted::default();
            fleet.targets.iter().for_each(|(_, t)| pool.merge(&by(gauge(t))));
            pool
        };
        let by_target = |gauge, scale| BothSamplings {
            decision: self.sampled(&pooled(gauge, Weights::by_decision), scale),
            time: self.watched(&pooled(gauge, Weights::by_time), scale),
        };
        Gauges {
            note: if self.recorded { None } else { Some("n/a (recording off)") },
            target_in_flight: by_target(super::TargetGauges::in_flight, 1.0),
            target_cpu: by_target(super::TargetGauges::cpu, CPU_SCALE),
            target_cpu_measured: self.cpu_spent.then(|| by_target(super::TargetGauges::cpu_measured, CPU_SCALE)),
            fleet: BothSamplings {
                decision: self.sampled(&fleet.ready().by_decision(), 1.0),
                // The fleet's log is enough for this one.
                time: fleet.ready().by_time().summary(1.0, None).filter(|_| fleet_known),
            },
            slot_use: fleet.slot_use().filter(|_| self.recorded),
            free_slots: self.both(fleet.free_slots()),
            in_flight: self.both(fleet.in_flight()),
            free_targets_at_rejection: self.recorded.then(|| self.free_at_rejection.clone()),
        }
    }

    /// Free targets at every refusal.
    pub(crate) fn free_at_refusal(&self) -> Option<BTreeMap<u32, u64>> {
        self.recorded.then(|| self.free_at_refusal.clone())
    }

    /// One gauge of one target under both samplings.
    pub(crate) fn both_of(
        &self,
        target: TargetId,
        gauge: fn(&super::TargetGauges) -> &Weights,
        scale: f64,
    ) -> BothSamplings {
        self.fleet.targets.get(target).map_or_else(BothSamplings::default, |t| BothSamplings {
            decision: self.sampled(&gauge(t).by_decision(), scale),
            time: self.watched(&gauge(t).by_time(), scale),
        })
    }

    /// The last begin or end of an attempt that a target held.
    pub(crate) fn last(&self) -> Nanos {
        self.last
    }

    /// Whether decisions were recorded.
    pub(crate) fn recorded(&self) -> bool {
        self.recorded
    }

    fn both(&self, gauge: &Weights) -> BothSamplings {
        BothSamplings { decision: self.sampled(&gauge.by_decision(), 1.0), time: self.watched(&gauge.by_time(), 1.0) }
    }

    fn sampled(&self, weights: &Weighted, scale: f64) -> Option<GaugeSummary> {
        weights.summary(scale, Some(self.here.samples)).filter(|_| self.recorded)
    }

    fn watched(&self, weights: &Weighted, scale: f64) -> Option<GaugeSummary> {
        weights.summary(scale, None).filter(|_| self.recorded)
    }
}

#[inline]
fn take_sample(here: &mut Position, window: Window, on: bool, at: Nanos) {
    here.time = window.clip(at);
    here.samples += u64::from(on && window.holds(at));
}
