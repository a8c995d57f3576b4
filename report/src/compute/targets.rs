//! One row per target.

use std::collections::BTreeMap;

use galton_core::counters::TargetCounters;
use galton_core::record::{DecisionKind, FleetEvent, FleetWhat, TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome, TargetId};

use super::gauges::{CPU_SCALE, Replayed};
use super::window::Window;
use crate::input::RunData;
use crate::model::TargetReport;
use crate::stats::Samples;

/// What is gathered of one target before its row is made.
#[derive(Debug, Default)]
struct Gathered<'a> {
    counters: Vec<&'a TargetCounters>,
    events: Vec<&'a FleetEvent>,
    dispatched: u64,
    accepted: u64,
    refused: u64,
    hold: Samples,
    response: Samples,
}

/// All rows, by number.
pub(super) fn table(data: &RunData, window: Window, replayed: &Replayed) -> Vec<TargetReport> {
    let gathered = gather(data, window);
    gathered.into_iter().map(|(id, target)| row(id, &target, data, window, replayed)).collect()
}

fn gather(data: &RunData, window: Window) -> BTreeMap<TargetId, Gathered<'_>> {
    let mut all: BTreeMap<TargetId, Gathered<'_>> = BTreeMap::new();
    for counters in &data.counters.targets {
        all.entry(counters.target).or_default().counters.push(counters);
    }
    for (event, id) in data.fleet.iter().filter_map(|e| Some((e, e.target?))) {
        all.entry(id).or_default().events.push(event);
    }
    for (decision, (id, _)) in data.decisions.iter().flatten().filter_map(|d| Some((d, d.target?))) {
        let target = all.entry(id).or_default();
        target.dispatched += 1;
        target.accepted += u64::from(decision.kind.occupied());
        target.refused += u64::from(decision.kind == DecisionKind::Refuse);
    }
    let mut served: Vec<(&TraceRow, TargetId)> = data
        .trace
        .iter()
        .filter(|row| window.measures(row) && row.outcome == TraceOutcome::Offered(Outcome::Ok))
        .filter_map(|row| Some((row, row.target?)))
        .collect();
    served.sort_by_key(|(row, _)| (row.t_intended, row.seq));
    for (row, id) in served {
        let target = all.entry(id).or_default();
        row.hold().into_iter().for_each(|t| target.hold.push(t.0));
        row.response().into_iter().for_each(|t| target.response.push(t.0));
    }
    all
}

fn row(id: TargetId, target: &Gathered<'_>, data: &RunData, window: Window, replayed: &Replayed) -> TargetReport {
    let first = |what| target.events.iter().find(|e| e.what == what).map(|e| e.at);
    let ended = |e: &&&FleetEvent| matches!(e.what, FleetWhat::Stopped | FleetWhat::GivenUp | FleetWhat::StartFailed);
    let counted = |field: fn(&TargetCounters) -> u64, recorded: u64| {
        if target.counters.is_empty() { recorded } else { target.counters.iter().map(|c| field(c)).sum() }
    };
    let ready_ns = first(FleetWhat::Ready);
    let stopped_ns = target.events.iter().rfind(ended).map(|e| e.at);
    // CPU time is the machine's, so the time it is held against is too.
    let served = ready_ns.map(|ready| (stopped_ns.unwrap_or(window.end) - ready).as_secs_f64() / data.meta.time_scale);
    let cores = |field: fn(&TargetCounters) -> Nanos| {
        let used = target.counters.iter().map(|c| field(c).as_secs_f64()).sum::<f64>();
        served.filter(|secs| *secs > 0.0 && used > 0.0).map(|secs| used / secs)
    };
    TargetReport {
        id,
        requests: replayed.recorded().then_some(target.dispatched),
        accepted: counted(|c| c.accepted, target.accepted),
        refused: counted(|c| c.refused, target.refused),
        restarts: target.events.iter().filter(|e| e.what == FleetWhat::Restarting).count() as u64,
        started_ns: first(FleetWhat::Starting).or(ready_ns),
        ready_ns,
        drained_ns: first(FleetWhat::Drained),
        stopped_ns,
        in_flight: replayed.both_of(id, |t| &t.in_flight, 1.0),
        cpu: replayed.both_of(id, |t| &t.cpu, CPU_SCALE),
        cpu_cores: cores(|c| c.cpu),
        cpu_cores_burned: cores(|c| c.cpu_burned),
        hold: target.hold.summary(),
        response: target.response.summary(),
    }
}
