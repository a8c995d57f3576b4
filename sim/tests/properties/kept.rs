//! Scenarios that failed once, made small.

use galton_core::record::DecisionKind;
use galton_core::{FailReason, Nanos, Outcome};
use serde_json::json;

use crate::run::Run;
use crate::{assert_same, check};

#[test]
fn the_last_request_that_times_out_gives_its_slot_back() {
    // Nobody is left to be answered at 20 ms, but the attempt that is closed then has yet to end.
    let scenario = json!({
        "simulation": {"duration_ms": 10},
        "traffic": {
            "arrival": {"distribution": "deterministic", "interval_ms": 10},
            "request_duration_ms": {"distribution": "deterministic", "value_ms": 100},
            "timeout_ms": 20
        }
    });
    let run = Run::of(&scenario);
    assert_eq!(run.count(|outcome| outcome == Outcome::TimedOut), 1);
    assert_eq!(run.open_tickets(), 0);
    assert_eq!(run.records.decisions.len(), 1);
    check(&scenario);
}

#[test]
fn requests_that_are_cut_off_together_go_on_in_the_same_order_each_time() {
    // 16 requests of 5 s, half of them on each target; the second is idle by its threshold, and does not drain in time.
    let scenario = json!({
        "simulation": {"duration_ms": 160},
        "traffic": {
            "arrival": {"distribution": "deterministic", "interval_ms": 10},
            "request_duration_ms": {"distribution": "deterministic", "value_ms": 5_000}
        },
        "load_balancer": {"architecture": "least_conns", "lc": {"idle_scale_down_threshold_outstanding_5m": 9}},
        "targets": {"initial_count": 2, "max_concurrency_per_target": 10},
        "scaling": {"min_targets": 1, "idle_window_ms": 200, "scan_interval_ms": 100, "drain_timeout_ms": 100}
    });
    let run = Run::of(&scenario);
    let cut = run.records.decisions.iter().filter(|d| d.kind == DecisionKind::Fail(FailReason::Reset));
    assert_eq!(cut.map(|d| d.until).collect::<Vec<_>>(), [Nanos::from_millis(300); 8]);
    (0..4).for_each(|_| assert_same(&run, &Run::of(&scenario)));
    check(&scenario);
}

#[test]
fn hosts_that_find_a_target_full_do_not_wake_each_other_for_ever() {
    // Callers leave after 50 ms, holds go on for 200: at 60 ms the table says that both slots are free, the target refuses, and
    // one request waits at each host.
    let scenario = json!({
        "simulation": {"duration_ms": 400},
        "traffic": {
            "arrival": {"distribution": "trace", "file": "t_ms,host\n0,0\n10,0\n20,0\n30,1\n"},
            "request_duration_ms": {"distribution": "deterministic", "value_ms": 200},
            "timeout_ms": 50
        },
        "load_balancer": {
            "architecture": "least_conns",
            "hosts": 2,
            "no_capacity": {"mode": "queue", "depth": 10, "timeout_ms": 1_000},
            "lc": {"retry_limit": 0}
        },
        "targets": {"initial_count": 1, "max_concurrency_per_target": 2, "on_disconnect": "finish"},
        "scaling": {"max_targets": 1}
    });
    check(&scenario);
}

#[test]
fn what_callers_have_left_behind_does_not_take_longer_and_longer() {
    // Holds of 20 s whose callers leave after one: of what is in the queue nineteen in twenty are ends that nobody waits for.
    let scenario = json!({
        "simulation": {"duration_ms": 60_000},
        "traffic": {
            "arrival": {"distribution": "deterministic", "interval_ms": 1},
            "request_duration_ms": {"distribution": "lognormal", "mean_ms": 20_000, "sigma": 1},
            "timeout_ms": 1_000
        },
        "load_balancer": {"no_capacity": "fail"},
        "targets": {"initial_count": 100, "max_concurrency_per_target": 100}
    });
    let run = Run::of(&scenario);
    assert!(run.count(|outcome| outcome == Outcome::TimedOut) > 55_000);
}
