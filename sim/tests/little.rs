//! Little's law (Little 1961), L = λ·W, without a tolerance: over a whole run, the number in the system integrated over time is
//! the sum of the times in it, to the nanosecond. Both sides come from records of their own.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::HashSet;

use galton_core::record::TraceRow;
use galton_core::{Nanos, Outcome, RequestId};
use galton_sim::Simulated;
use serde_json::{Value, json};

fn base() -> Value {
    json!({
        "simulation": {"seed": 3, "duration_ms": 120_000, "drain_ms": 60_000},
        "traffic": {
            "arrival": {"distribution": "gamma", "rate_per_sec": 60, "cv": 2},
            "request_duration_ms": {"distribution": "lognormal", "mean_ms": 150, "sigma": 1.0},
            "timeout_ms": 2_000
        },
        "load_balancer": {"hosts": 3, "rr": {"retry_delay_ms": 3}},
        "targets": {"initial_count": 4, "max_concurrency_per_target": 2},
        "scaling": {"min_targets": 4, "max_targets": 8, "idle_window_ms": 2_000, "scan_interval_ms": 500}
    })
}

fn scenarios() -> [(&'static str, Value); 6] {
    let queue = json!({"mode": "queue", "depth": 50, "timeout_ms": 700});
    let lc = |more: Value| json!({"load_balancer": {"architecture": "least_conns", "lc": more}});
    [
        ("round robin that scales", json!({})),
        ("round robin that rejects", json!({"load_balancer": {"no_capacity": "fail"}})),
        ("round robin with a queue", json!({"load_balancer": {"no_capacity": queue}})),
        ("least connections that scales", lc(json!({}))),
        ("least connections behind a lock", lc(json!({"shared_map_lock_latency_ms": 2}))),
        (
            "callers that leave",
            json!({"traffic": {"timeout_ms": 200}, "load_balancer": {"architecture": "least_conns"}}),
        ),
    ]
}

/// A request is in the system from its send to its answer.
fn stay(row: &TraceRow) -> (Nanos, Nanos) {
    (row.t_send.unwrap(), row.t_end.unwrap())
}

/// When a target held it to the end of its hold. Of others the trace does not know it, as their answers do not say.
fn served(row: &TraceRow) -> Option<(Nanos, Nanos)> {
    let ok = common::outcome(row) == Some(Outcome::Ok);
    ok.then(|| (row.target_start.unwrap(), row.target_done.unwrap()))
}

fn length((from, to): (Nanos, Nanos)) -> u128 {
    u128::from((to - from).0)
}

fn check(what: &str, run: &Simulated) {
    let in_system = common::integral(run.trace.iter().map(stay));
    assert_eq!(in_system, run.trace.iter().map(|row| length(stay(row))).sum(), "{what}: in the system");
    let ok: HashSet<RequestId> = run.trace.iter().filter(|row| served(row).is_some()).map(TraceRow::request).collect();
    let occupying = run.decisions.iter().filter(|d| d.kind.occupied() && ok.contains(&d.request));
    let at_targets = common::integral(occupying.map(|d| (d.at, d.until)));
    assert_eq!(at_targets, run.trace.iter().filter_map(served).map(length).sum(), "{what}: at the targets");
}

#[test]
fn what_is_in_the_system_is_the_rate_times_the_stay() {
    for (what, change) in scenarios() {
        let run = common::simulate(&common::scenario(&base(), &[&change]));
        assert!(run.trace.len() > 6_000, "{what}");
        check(what, &run);
    }
}

#[test]
fn the_slots_that_are_busy_are_the_load_that_is_not_lost() {
    // 9 Erlang on 8 slots: a·(1 − B) of them are busy on average. Three standard errors are 0.8 % at 60 000 requests.
    let erlang = 60.0 * 0.15;
    let run = common::simulate(&common::scenario(
        &base(),
        &[&json!({
            "simulation": {"duration_ms": 1_000_000},
            "traffic": {"arrival": {"distribution": "poisson", "rate_per_sec": 60}, "timeout_ms": 60_000},
            "load_balancer": {"architecture": "least_conns", "no_capacity": "fail"}
        })],
    ));
    let busy = common::integral(run.trace.iter().filter_map(served)) as f64 / 1e9 / 1_000.0;
    common::close("busy slots", busy, erlang * (1.0 - common::erlang_b(8, erlang)), 0.008);
    let share = common::share(&run.trace, |row| served(row).is_some());
    common::close("served", share, 1.0 - common::erlang_b(8, erlang), 0.01);
}
