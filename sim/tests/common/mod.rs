//! Scenarios for tests, formulas of queueing theory, and what is read from the records of a run.

#![allow(dead_code, reason = "every test file is a program of its own, and none uses all of this")]

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome, Scenario};
use galton_sim::Simulated;
use serde_json::{Value, json};

/// The scenario that `base` describes with `changes` laid over it. The `file` of an arrival trace is its text.
pub(crate) fn scenario(base: &Value, changes: &[&Value]) -> Scenario {
    let mut value = base.clone();
    changes.iter().for_each(|change| merge(&mut value, change));
    Scenario::from_value("test", &value, &mut |text| Ok(text.to_owned())).expect("the scenario of a test")
}

/// Lays `from` over `into`, key by key; a distribution replaces the whole of another.
pub(crate) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) if !from.contains_key("distribution") => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Holds of these distributions, all with the mean of 800 ms: what must not matter where theory says so.
pub(crate) fn holds_of_800_ms() -> [(&'static str, Value); 6] {
    [
        ("exponential", json!({"distribution": "exponential", "mean_ms": 800})),
        ("deterministic", json!({"distribution": "deterministic", "value_ms": 800})),
        ("lognormal", json!({"distribution": "lognormal", "mean_ms": 800, "sigma": 1.0})),
        ("gamma", json!({"distribution": "gamma", "mean_ms": 800, "cv": 2.0})),
        ("pareto", json!({"distribution": "pareto", "min_ms": 480, "alpha": 2.5})),
        ("bimodal", json!({"distribution": "bimodal", "fast_ms": 400, "slow_ms": 4400, "slow_fraction": 0.1})),
    ]
}

/// Every record of a scenario whose run ends.
pub(crate) fn simulate(scenario: &Scenario) -> Simulated {
    galton_sim::simulate(scenario).expect("time passes")
}

// === formulas ===

/// The probability of loss in M/G/n/n (Erlang 1917), by its recursion.
pub(crate) fn erlang_b(slots: u32, erlang: f64) -> f64 {
    (1..=slots).fold(1.0, |b, n| erlang * b / (f64::from(n) + erlang * b))
}

/// The probability of waiting in M/M/n (Erlang 1917).
pub(crate) fn erlang_c(slots: u32, erlang: f64) -> f64 {
    let b = erlang_b(slots, erlang);
    let rho = erlang / f64::from(slots);
    b / (1.0 - rho + rho * b)
}

// === records ===

/// How an offered request ended.
pub(crate) fn outcome(row: &TraceRow) -> Option<Outcome> {
    match row.outcome {
        TraceOutcome::Offered(outcome) => Some(outcome),
        TraceOutcome::Unsent => None,
    }
}

/// The share of rows of which `f` holds.
pub(crate) fn share<T>(rows: &[T], f: impl Fn(&T) -> bool) -> f64 {
    rows.iter().filter(|row| f(row)).count() as f64 / rows.len() as f64
}

/// The arithmetic mean.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How many of the intervals are open, integrated over time: their number changes at their ends and is gone through in order.
pub(crate) fn integral(intervals: impl IntoIterator<Item = (Nanos, Nanos)>) -> u128 {
    let mut changes: Vec<(Nanos, i64)> = Vec::new();
    intervals.into_iter().for_each(|(from, to)| changes.extend([(from, 1), (to, -1)]));
    changes.sort_unstable_by_key(|(at, change)| (*at, -change));
    let (mut open, mut last, mut sum) = (0_i64, Nanos::ZERO, 0);
    for (at, change) in changes {
        sum += u128::from(at.since(last).0) * u128::try_from(open).expect("an interval ends after its beginning");
        (open, last) = (open + change, at);
    }
    assert_eq!(open, 0);
    sum
}

/// Asserts that `found` is within the relative tolerance of `expected`.
#[track_caller]
pub(crate) fn close(what: &str, found: f64, expected: f64, relative: f64) {
    let off = (found / expected - 1.0).abs();
    assert!(off <= relative, "{what}: found {found}, expected {expected} ± {relative} of it, off by {off}");
}
