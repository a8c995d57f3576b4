//! One row per target.

use std::collections::BTreeMap;

use galton_core::counters::TargetCounters;
use galton_core::prefetch::prefetch;
use galton_core::record::{Decision, DecisionKind, Ended, FleetEvent, FleetWhat, TraceOutcome};
use galton_core::{Nanos, Outcome, TargetId};

use super::by_target::ByTarget;
use super::fold::Fold;
use super::gauges::{CPU_SCALE, TargetGauges};
use super::served::Columns;
use super::window::Window;
use crate::input::RunFacts;
use crate::model::TargetReport;
use crate::stats::{Samples, Twin};

/// What is counted per target.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerTarget {
    vain: ByTarget<Vain>,
    served: ByTarget<Served>,
}

/// The attempts at a target that it never held.
#[derive(Clone, Debug, Default)]
struct Vain {
    dispatched: u64,
    refused: u64,
}

/// The requests that a target served.
#[derive(Clone, Debug)]
struct Served {
    hold: Twin,
    response: Samples,
}

// === impl PerTarget ===

impl PerTarget {
    /// A decision is complete, and no target ever held its attempt.
    pub(super) fn tried_in_vain(&mut self, decision: &Decision) {
        let Some((id, _)) = decision.target else { return };
        let target = self.vain.of(id, Vain::default);
        target.dispatched += 1;
        target.refused += u64::from(decision.kind == DecisionKind::Refuse);
    }

    /// A measured request has ended.
    #[inline]
    pub(super) fn add(&mut self, row: &Ended) {
        let (TraceOutcome::Offered(Outcome::Ok), Some(id)) = (row.outcome, row.target) else { return };
        let target = self.served.of(id, Served::nothing);
        let Some(response) = row.response() else { return };
        target.hold.push(row.hold.map(|hold| hold.0), &target.response, response.0);
        target.response.push(response.0);
    }

    /// As [`Self::add`] of each.
    pub(super) fn add_served(&mut self, served: Columns<'_>) {
        if self.served.is_large() {
            let known = || served.target.iter().filter_map(|id| self.served.get(*id));
            known().for_each(prefetch);
            known().for_each(|target| target.response.fetch());
        }
        let responses = served.hold.iter().zip(served.response);
        for (id, (hold, response)) in served.target.iter().zip(responses) {
            let target = self.served.of(*id, Served::nothing);
            target.hold.push(Some(*hold), &target.response, *response);
            target.response.push(*response);
        }
    }
}

impl Served {
    fn nothing() -> Self {
        Self { hold: Twin::default(), response: Samples::of_many() }
    }
}

/// Every target with its attempts.
pub(super) fn busy(fold: &Fold) -> impl Iterator<Item = (TargetId, u64)> {
    let tried = |id: TargetId| fold.gauging.fleet.held_by(id) + fold.targets.vain.get(id).map_or(0, |of| of.dispatched);
    let targets = fold.targets.vain.len().max(fold.gauging.fleet.targets()) as u32;
    (0..targets).map(TargetId).map(move |id| (id, tried(id))).filter(|(_, attempts)| *attempts > 0)
}

/// All rows, by number.
pub(super) fn table(fold: &Fold, facts: &RunFacts, window: Window) -> Vec<TargetReport> {
    let mut events: BTreeMap<TargetId, Vec<&FleetEvent>> = BTreeMap::new();
    for (event, id) in fold.events.iter().filter_map(|e| Some((e, e.target?))) {
        events.entry(id).or_default().push(event);
    }
    let mut counters: BTreeMap<TargetId, Vec<&TargetCounters>> = BTreeMap::new();
    for of_process in &facts.counters.targets {
        counters.entry(of_process.target).or_default().push(of_process);
    }
    let counted = busy(fold).map(|(id, _)| id).chain(fold.targets.served.iter().map(|(id, _)| id));
    let mut all: Vec<TargetId> = events.keys().chain(counters.keys()).copied().chain(counted).collect();
    all.sort_unstable();
    all.dedup();
    let of = |id: TargetId| {
        let (events, counters) = (events.get(&id).map_or(&[][..], |e| e), counters.get(&id).map_or(&[][..], |c| c));
        row(id, events, counters, fold, facts, window)
    };
    all.into_iter().map(of).collect()
}

fn row(
    id: TargetId,
    events: &[&FleetEvent],
    counters: &[&TargetCounters],
    fold: &Fold,
    facts: &RunFacts,
    window: Window,
) -> TargetReport {
    let (no_attempt, nothing) = (Vain::default(), Served::nothing());
    let vain = fold.targets.vain.get(id).unwrap_or(&no_attempt);
    let held = fold.gauging.fleet.held_by(id);
    let Served { hold, response } = fold.targets.served.get(id).unwrap_or(&nothing);
    let responses = response.summary();
    let first = |what| events.iter().find(|e| e.what == what).map(|e| e.at);
    let ended = |e: &&&FleetEvent| matches!(e.what, FleetWhat::Stopped | FleetWhat::GivenUp | FleetWhat::StartFailed);
    let counted = |field: fn(&TargetCounters) -> u64, recorded: u64| {
        let recorded = fold.gauging.recorded().then_some(recorded);
        if counters.is_empty() { recorded } else { Some(counters.iter().map(|c| field(c)).sum()) }
    };
    let ready_ns = first(FleetWhat::Ready);
    let stopped_ns = events.iter().rfind(ended).map(|e| e.at);
    // CPU time is that of the whole run, the drain included, and the machine's, so the time it is held against is too.
    let end = stopped_ns.unwrap_or(window.end.max(fold.last).max(fold.gauging.last()));
    let served = ready_ns.map(|ready| (end - ready).as_secs_f64() / facts.meta.time_scale);
    let cores = |field: fn(&TargetCounters) -> Nanos| {
        let used = counters.iter().map(|c| field(c).as_secs_f64()).sum::<f64>();
        served.filter(|secs| *secs > 0.0 && used > 0.0).map(|secs| used / secs)
    };
    let gauging = &fold.gauging;
    TargetReport {
        id,
        requests: gauging.recorded().then_some(held + vain.dispatched),
        accepted: counted(|c| c.accepted, held),
        refused: counted(|c| c.refused, vain.refused),
        restarts: events.iter().filter(|e| e.what == FleetWhat::Restarting).count() as u64,
        started_ns: first(FleetWhat::Starting).or(ready_ns),
        ready_ns,
        drained_ns: first(FleetWhat::Drained),
        stopped_ns,
        in_flight: gauging.both_of(id, TargetGauges::in_flight, 1.0),
        cpu: gauging.both_of(id, TargetGauges::cpu, CPU_SCALE),
        cpu_cores: cores(|c| c.cpu),
        cpu_cores_burned: cores(|c| c.cpu_burned),
        hold: hold.summary(&responses),
        response: responses,
    }
}
