//! When a run is over, and what is said of what is under way then.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use galton_core::{Nanos, Outcome, Scenario};
use galton_sim::simulate;
use serde_json::{Value, json};

/// A request every 100 ms for a second, on one target with room for all.
fn scenario(change: &Value) -> Scenario {
    let base = json!({
        "simulation": {"duration_ms": 1_000, "drain_ms": 200},
        "traffic": {
            "arrival": {"distribution": "deterministic", "interval_ms": 100},
            "request_duration_ms": {"distribution": "deterministic", "value_ms": 150}
        },
        "load_balancer": {"no_capacity": "fail"},
        "targets": {"initial_count": 1, "max_concurrency_per_target": 100},
        "scaling": {"max_targets": 1}
    });
    common::scenario(&base, &[change])
}

fn arrivals(count: u32) -> Value {
    json!({"arrival": {"distribution": "deterministic", "interval_ms": 100, "count": count}})
}

#[test]
fn a_count_is_sent_wherever_the_duration_ends_and_then_the_drain_begins() {
    let run = simulate(&scenario(&json!({"traffic": arrivals(40)})));
    let ends = |ms| Some(Nanos::from_millis(ms));
    assert_eq!(run.trace.len(), 40);
    assert!(run.trace.iter().all(|row| common::outcome(row) == Some(Outcome::Ok)));
    assert_eq!(run.trace.last().unwrap().t_end, ends(3_900 + 150));
    // Of the last two, one is over when the drain is.
    let short = simulate(&scenario(&json!({"simulation": {"drain_ms": 100}, "traffic": arrivals(40)})));
    let last: Vec<_> = short.trace[38..].iter().map(|row| row.t_end).collect();
    assert_eq!(last, [ends(3_800 + 150), None]);
}

#[test]
fn the_drain_does_not_begin_before_the_duration_is_over() {
    let hold = json!({"distribution": "deterministic", "value_ms": 1_050});
    let mut traffic = arrivals(2);
    traffic["request_duration_ms"] = hold;
    let run = simulate(&scenario(&json!({"simulation": {"drain_ms": 100}, "traffic": traffic})));
    let ends: Vec<_> = run.trace.iter().map(|row| row.t_end).collect();
    assert_eq!(ends, [Some(Nanos::from_millis(1_050)), None]);
}

#[test]
fn nothing_is_sent_behind_the_hard_stop() {
    let run = simulate(&scenario(&json!({"simulation": {"total_time_ms": 2_050}, "traffic": arrivals(40)})));
    assert_eq!(run.trace.iter().filter(|row| row.t_send.is_some()).count(), 21);
}
