//! Work is conserved: with one table and a fixed fleet, nobody waits and nobody is rejected while a slot is free.

use std::collections::HashMap;

use galton_core::record::Decision;
use galton_core::{Nanos, Outcome, RequestId};
use serde_json::{Value, json};

use crate::common;
use crate::run::Run;

/// What makes a scenario one in which work is conserved, each request is held once, and all of it is over before the run is.
pub(crate) fn one_table(scenario: &Value) -> Value {
    let mut scenario = scenario.clone();
    scenario["simulation"].as_object_mut().expect("a section").remove("total_time_ms");
    scenario["load_balancer"].as_object_mut().expect("a section").remove("try_timeout_ms");
    let slots = scenario["targets"]["initial_count"].clone();
    common::merge(
        &mut scenario,
        &json!({
            "simulation": {"drain_ms": 100_000},
            "load_balancer": {
                "architecture": "least_conns",
                "lc": {"shared_map_lock_latency_ms": 0, "idle_scale_down_threshold_outstanding_5m": 0}
            },
            "targets": {"on_disconnect": "cancel"},
            "scaling": {"min_targets": slots.clone(), "max_targets": slots}
        }),
    );
    scenario
}

/// As [`one_table`], and what finds no slot waits in a queue.
pub(crate) fn one_queue(scenario: &Value) -> Value {
    let mut scenario = one_table(scenario);
    if !scenario["load_balancer"]["no_capacity"].is_object() {
        scenario["load_balancer"]["no_capacity"] = json!({"mode": "queue", "depth": 10, "timeout_ms": 500});
    }
    scenario
}

/// At one time: how many requests are held, and how many wait, from then to the next time.
struct Moment {
    at: Nanos,
    held: i64,
    waiting: i64,
    /// Most that are held at that very time, whatever the order of what happens then.
    most_held: i64,
}

pub(crate) fn check(run: &Run) {
    let capacity = i64::from(run.scenario.targets.initial_count * run.scenario.targets.max_concurrency);
    let moments = moments(run);
    for moment in &moments {
        assert!(moment.held <= capacity);
        let idle = moment.held < capacity && moment.waiting > 0;
        assert!(!idle, "{} wait from {} on while {} are held", moment.waiting, moment.at, moment.held);
    }
    for (row, _) in run.offered().filter(|(_, outcome)| matches!(outcome, Outcome::Rejected(_))) {
        let at = row.t_end.expect("it was answered");
        let last = moments.partition_point(|moment| moment.at <= at);
        let most =
            moments[..last].last().map_or(0, |moment| if moment.at == at { moment.most_held } else { moment.held });
        assert!(most >= capacity, "rejected with a free slot: {row:?}");
    }
}

/// Goes through all changes in order of time.
fn moments(run: &Run) -> Vec<Moment> {
    let occupying = run.records.decisions.iter().filter(|d| d.kind.occupied());
    let held: HashMap<RequestId, &Decision> = occupying.map(|d| (d.request, d)).collect();
    let mut changes: Vec<(Nanos, i64, i64)> = Vec::new();
    for (row, _) in run.offered() {
        let answered = row.t_end.expect("everything is over");
        let held = held.get(&row.request());
        changes.extend([(row.t_intended, 0, 1), (held.map_or(answered, |d| d.at), 0, -1)]);
        changes.extend(held.into_iter().flat_map(|d| [(d.at, 1, 0), (d.until, -1, 0)]));
    }
    // At equal times, first what is taken, then what is given back.
    changes.sort_unstable_by_key(|(at, held, waiting)| (*at, -held, -waiting));
    let (mut held, mut waiting) = (0, 0);
    let mut moments: Vec<Moment> = Vec::new();
    for (at, more_held, more_waiting) in changes {
        (held, waiting) = (held + more_held, waiting + more_waiting);
        match moments.last_mut().filter(|last| last.at == at) {
            Some(last) => (last.held, last.waiting, last.most_held) = (held, waiting, last.most_held.max(held)),
            None => moments.push(Moment { at, held, waiting, most_held: held.max(held - more_held) }),
        }
    }
    moments
}
