//! Nothing leaves its limits: slots, the fleet, time.

use std::collections::BTreeMap;

use galton_core::record::{FleetEvent, FleetWhat, TraceRow};
use galton_core::scenario::Architecture;
use galton_core::{Nanos, Outcome, TargetId};

use crate::run::Run;

pub(crate) fn check(run: &Run) {
    slots_of_each_target(run);
    fleet_within_min_and_max(run);
    only_targets_in_service(run);
    time_never_goes_back(run);
    holds_are_those_demanded(run);
}

/// At every target, the attempts that occupy it never exceed its limit.
fn slots_of_each_target(run: &Run) {
    let mut changes: BTreeMap<TargetId, Vec<(Nanos, i64)>> = BTreeMap::new();
    for decision in run.records.decisions.iter().filter(|d| d.kind.occupied()) {
        let (target, _) = decision.target.expect("an attempt has a target");
        changes.entry(target).or_default().extend([(decision.at, 1), (decision.until, -1)]);
    }
    for (target, mut changes) in changes {
        changes.sort_unstable();
        let mut held = 0;
        for (at, change) in changes {
            held += change;
            assert!(held <= i64::from(run.scenario.targets.max_concurrency), "{target:?} holds {held} at {at}");
        }
    }
}

fn fleet_within_min_and_max(run: &Run) {
    let scaling = &run.scenario.scaling;
    let (mut there, mut ready) = (0, 0);
    for event in &run.records.fleet {
        match event.what {
            FleetWhat::Starting => there += 1,
            FleetWhat::Ready => ready += 1,
            FleetWhat::Cordoned => ready -= 1,
            FleetWhat::Stopped => there -= 1,
            _ => {}
        }
        let initial = i64::from(run.scenario.targets.initial_count);
        assert!(initial + there <= i64::from(scaling.max_targets), "too many with {event:?}");
        // The initial targets become ready one by one at 0.
        assert!(ready >= i64::from(scaling.min_targets) || event.at == Nanos::ZERO, "too few with {event:?}");
    }
}

/// A target accepts from when it is ready, and nothing that is sent after its cordon is known.
fn only_targets_in_service(run: &Run) {
    let when = |what| -> BTreeMap<TargetId, Nanos> {
        let of_it = |e: &&FleetEvent| e.what == what;
        run.records.fleet.iter().filter(of_it).filter_map(|e| Some((e.target?, e.at))).collect()
    };
    let (ready, cordoned, stopped) = (when(FleetWhat::Ready), when(FleetWhat::Cordoned), when(FleetWhat::Stopped));
    let news_delay = match run.scenario.load_balancer.architecture {
        Architecture::RoundRobin => run.scenario.load_balancer.rr.sync_delay,
        Architecture::LeastConns => Nanos::ZERO,
    };
    for decision in run.records.decisions.iter() {
        let Some((target, _)) = decision.target else { continue };
        assert!(ready[&target] <= decision.at, "not ready: {decision:?}");
        assert!(cordoned.get(&target).is_none_or(|at| decision.at <= *at + news_delay), "cordoned: {decision:?}");
        let gone = stopped.get(&target).is_some_and(|at| *at < decision.until);
        assert!(!(gone && decision.kind.occupied()), "held after its stop: {decision:?}");
    }
}

fn time_never_goes_back(run: &Run) {
    let (records, end) = (&run.records, run.end());
    assert!(records.decisions.is_sorted_by_key(|d| d.until), "decisions are written down as they end");
    assert!(records.decisions.iter().all(|d| d.at <= d.until && d.until <= end));
    assert!(records.fleet.is_sorted_by_key(|event| (event.at, event.version)));
    assert!(records.fleet.iter().all(|event| event.at <= end));
    for (row, _) in run.offered() {
        let times = [Some(row.t_intended), row.t_send, row.proxy_recv, row.target_start, row.target_done, row.t_end];
        assert!(times.iter().flatten().is_sorted(), "{row:?}");
        assert!(times.iter().flatten().all(|at| *at <= end), "{row:?}");
    }
}

/// What a target holds without a lack of CPU it holds for as long as demanded; the rest is overhead.
fn holds_are_those_demanded(run: &Run) {
    let overhead = |row: &TraceRow| row.target_start.map(|start| start - row.t_intended);
    for (row, _) in run.offered().filter(|(_, outcome)| *outcome == Outcome::Ok) {
        assert_eq!(row.hold(), Some(row.hold_demand), "{row:?}");
        assert_eq!(row.overhead, overhead(row), "{row:?}");
        assert_eq!(row.t_end, row.target_done, "{row:?}");
    }
}
