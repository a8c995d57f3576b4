//! Replays the records of a run.

use std::collections::{BTreeMap, HashMap};

use galton_core::record::{Decision, DecisionKind, TraceRow};
use galton_core::scenario::SampleOn;
use galton_core::{Nanos, RequestId, TargetId};

use super::CPU_SCALE;
use super::events::{Event, EventKind, in_order};
use super::fleet::{FleetState, Load};
use super::sampler::{Position, Sampler};
use crate::compute::series;
use crate::compute::window::Window;
use crate::input::RunData;
use crate::model::{BothSamplings, Gauges};
use crate::stats::{GaugeSummary, Weighted};

/// What a replay found.
#[derive(Clone, Debug)]
pub(crate) struct Replayed {
    pub(crate) fleet: FleetState,
    /// What was free when each fleet event happened, by its index.
    pub(crate) at_fleet_events: Vec<SlotsAt>,
    recorded: bool,
    /// Some request says what CPU it really took.
    cpu_spent: bool,
    samples: u64,
    free_at_refusal: BTreeMap<u32, u64>,
    free_at_rejection: BTreeMap<u32, u64>,
}

/// What was ready and free at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotsAt {
    pub(crate) ready: u32,
    pub(crate) free_slots: u64,
}

/// Replays everything; without decisions, the fleet alone.
pub(crate) fn replay(data: &RunData, window: Window) -> Replayed {
    let decisions = data.decisions.as_deref().unwrap_or_default();
    let axis = series::Axis::of(data);
    let drawn = series::drawn_targets(decisions);
    let here = Position { samples: 0, time: window.start };
    let mut replay = Replay {
        data,
        decisions,
        window,
        requests: data.trace.iter().map(|row| (row.request(), Asked::by(row, data, window))).collect(),
        here,
        found: Replayed {
            fleet: FleetState::new(&data.scenario, here, axis, &drawn),
            at_fleet_events: vec![SlotsAt::default(); data.fleet.len()],
            recorded: data.decisions.is_some(),
            cpu_spent: data.trace.iter().any(|row| row.cpu_used.is_some()),
            samples: 0,
            free_at_refusal: BTreeMap::new(),
            free_at_rejection: BTreeMap::new(),
        },
    };
    for event in in_order(data) {
        replay.step(event);
    }
    replay.here.time = window.end;
    let mut found = replay.found;
    found.samples = replay.here.samples;
    found.fleet.finish(replay.here, axis.end());
    found
}

/// What a replay needs to know of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    load: Load,
    measured: bool,
}

struct Replay<'a> {
    data: &'a RunData,
    decisions: &'a [Decision],
    window: Window,
    requests: HashMap<RequestId, Asked>,
    here: Position,
    found: Replayed,
}

impl Asked {
    fn by(row: &TraceRow, data: &RunData, window: Window) -> Self {
        let unit = data.scenario.targets.cpu_unit.0.max(1) as f64;
        let spent = row.cpu_used.map_or(0.0, |used| used.0 as f64 / unit);
        Self { load: Load { demanded: row.cpu_demand, spent }, measured: window.measures(row) }
    }
}

impl Replay<'_> {
    fn asked(&self, decision: &Decision) -> Asked {
        self.requests.get(&decision.request).copied().unwrap_or_default()
    }

    fn step(&mut self, event: Event) {
        self.here.time = self.window.clip(event.at);
        match event.kind {
            EventKind::Fleet => self.fleet(event),
            EventKind::Decision => self.decision(event),
            EventKind::End | EventKind::EndAtOnce => self.hold(event, -1, SampleOn::RequestComplete),
        }
    }

    /// Takes a sample of every gauge, before the event has its effect.
    fn sample(&mut self, at: Nanos, on: SampleOn) {
        if self.window.holds(at) && self.data.scenario.sampling.sample_on.contains(&on) {
            self.here.samples += 1;
        }
    }

    fn fleet(&mut self, event: Event) {
        self.sample(event.at, SampleOn::TopologyChange);
        let fleet = &mut self.found.fleet;
        self.found.at_fleet_events[event.index] =
            SlotsAt { ready: fleet.ready_count(), free_slots: fleet.free_slots() };
        fleet.change(self.here, event.at, &self.data.fleet[event.index]);
    }

    fn decision(&mut self, event: Event) {
        let decision = &self.decisions[event.index];
        let free = |but| self.found.fleet.free_targets(but);
        let target = decision.target.map(|(target, _)| target);
        if self.asked(decision).measured {
            match decision.kind {
                DecisionKind::Refuse => *self.found.free_at_refusal.entry(free(target)).or_default() += 1,
                DecisionKind::Reject(_) => *self.found.free_at_rejection.entry(free(None)).or_default() += 1,
                _ => {}
            }
        }
        if decision.kind.occupied() {
            self.hold(event, 1, SampleOn::LbDecision);
        } else {
            self.sample(event.at, SampleOn::LbDecision);
        }
    }

    fn hold(&mut self, event: Event, by: i32, on: SampleOn) {
        self.sample(event.at, on);
        let decision = &self.decisions[event.index];
        if let Some((target, _)) = decision.target {
            let load = self.asked(decision).load;
            self.found.fleet.hold(self.here, event.at, target, by, load);
        }
    }
}

// === impl Replayed ===

impl Replayed {
    /// The gauges of the report.
    pub(crate) fn gauges(&self) -> Gauges {
        let fleet = &self.fleet;
        let pooled = |gauge: fn(&super::TargetGauges) -> &Sampler, by: fn(&Sampler) -> &Weighted| {
            let mut pool = Weighted::default();
            fleet.targets.values().for_each(|t| pool.merge(by(gauge(t))));
            pool
        };
        let by_target = |gauge, scale| BothSamplings {
            decision: self.sampled(&pooled(gauge, |s| &s.by_decision), scale),
            time: self.watched(&pooled(gauge, |s| &s.by_time), scale),
        };
        Gauges {
            note: if self.recorded { None } else { Some("n/a (recording off)") },
            target_in_flight: by_target(|t| &t.in_flight, 1.0),
            target_cpu: by_target(|t| &t.cpu, CPU_SCALE),
            target_cpu_measured: self.cpu_spent.then(|| by_target(|t| &t.cpu_measured, CPU_SCALE)),
            fleet: BothSamplings {
                decision: self.sampled(&fleet.ready.by_decision, 1.0),
                // The fleet's log is enough for this one.
                time: fleet.ready.by_time.summary(1.0, None).filter(|_| !self.at_fleet_events.is_empty()),
            },
            slot_use: fleet.slot_use().filter(|_| self.recorded),
            free_slots: self.both(&fleet.free_slots),
            in_flight: self.both(&fleet.in_flight),
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
        gauge: fn(&super::TargetGauges) -> &Sampler,
        scale: f64,
    ) -> BothSamplings {
        self.fleet.targets.get(&target).map_or_else(BothSamplings::default, |t| BothSamplings {
            decision: self.sampled(&gauge(t).by_decision, scale),
            time: self.watched(&gauge(t).by_time, scale),
        })
    }

    /// Whether decisions were recorded.
    pub(crate) fn recorded(&self) -> bool {
        self.recorded
    }

    fn both(&self, gauge: &Sampler) -> BothSamplings {
        BothSamplings { decision: self.sampled(&gauge.by_decision, 1.0), time: self.watched(&gauge.by_time, 1.0) }
    }

    fn sampled(&self, weights: &Weighted, scale: f64) -> Option<GaugeSummary> {
        weights.summary(scale, Some(self.samples)).filter(|_| self.recorded)
    }

    fn watched(&self, weights: &Weighted, scale: f64) -> Option<GaugeSummary> {
        weights.summary(scale, None).filter(|_| self.recorded)
    }
}
