//! Waits in front of a full fleet, by the `queue` mode: M/M/c against Erlang's C formula, M/G/1 against Pollaczek (1930) and
//! Khinchine (1932).
//!
//! The seed is 7. A tolerance is four standard errors of what is measured at that number of requests; waits of requests that
//! follow each other are alike, so that these are taken from the spread over 16 other seeds.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use galton_core::Outcome;
use serde_json::{Value, json};

/// 7 requests/s of 800 ms on 8 slots, 5.6 Erlang; nobody leaves the queue.
fn base() -> Value {
    json!({
        "simulation": {"seed": 7, "duration_ms": 20_000_000, "drain_ms": 600_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 7},
            "request_duration_ms": {"distribution": "exponential", "mean_ms": 800},
            "timeout_ms": 3_000_000
        },
        "load_balancer": {
            "architecture": "least_conns",
            "hosts": 1,
            "no_capacity": {"mode": "queue", "depth": 100_000, "timeout_ms": 3_000_000},
            "rr": {"retry_limit": 1}
        },
        "targets": {"initial_count": 2, "max_concurrency_per_target": 4},
        "scaling": {"min_targets": 2, "max_targets": 2}
    })
}

/// How long each request waited, in seconds.
fn waits(change: &Value) -> Vec<f64> {
    let run = common::simulate(&common::scenario(&base(), &[change]));
    assert!(run.trace.iter().all(|row| common::outcome(row) == Some(Outcome::Ok)));
    run.trace.iter().map(|row| row.overhead.unwrap().as_secs_f64()).collect()
}

#[test]
fn a_queue_in_front_of_the_fleet_is_m_m_c() {
    // 280 000 requests. P(W > t) = C·exp(−(c·µ − λ)·t); the mean is C / (c·µ − λ).
    let waits = waits(&json!({"simulation": {"duration_ms": 40_000_000}}));
    let (wait_probability, drain_per_sec) = (common::erlang_c(8, 5.6), 8.0 / 0.8 - 7.0);
    common::close("mean wait", common::mean(&waits), wait_probability / drain_per_sec, 0.12);
    for (t, tolerance) in [(0.0, 0.04), (0.2, 0.08), (0.5, 0.16), (1.0, 0.36)] {
        let expected = wait_probability * (-drain_per_sec * t).exp();
        common::close(&format!("P(W > {t} s)"), common::share(&waits, |w| *w > t), expected, tolerance);
    }
}

#[test]
fn first_come_first_served_waits_are_the_same_whoever_keeps_the_queue() {
    // To the nanosecond: any release wakes the host whose head has waited longest, so that the queues of three hosts are one; and
    // one host with round robin that tries every target knows as much as one with least connections.
    let waits = |balancer: Value| waits(&json!({"simulation": {"duration_ms": 3_000_000}, "load_balancer": balancer}));
    let one = waits(json!({"hosts": 1}));
    assert!(common::share(&one, |w| *w > 0.0) > 0.2);
    assert!(one == waits(json!({"hosts": 3})), "three hosts");
    assert!(one == waits(json!({"hosts": 6, "lc": {"tie_break": "rotate"}})), "six hosts");
    assert!(one == waits(json!({"architecture": "round_robin"})), "round robin");
}

/// One target of one slot, 0.75 requests/s of 800 ms: the slot is busy 0.6 of the time.
fn single_server(hold: &Value) -> Value {
    json!({
        "simulation": {"duration_ms": 160_000_000},
        "traffic": {"arrival": {"distribution": "poisson", "rate_per_sec": 0.75}, "request_duration_ms": hold},
        "targets": {"initial_count": 1, "max_concurrency_per_target": 1},
        "scaling": {"min_targets": 1, "max_targets": 1}
    })
}

/// The mean wait of M/G/1: λ·E[S²] / 2(1 − ρ), in seconds.
fn pollaczek_khinchine(hold: &Value) -> f64 {
    let change = single_server(hold);
    let hold = common::scenario(&base(), &[&change]).traffic.request_duration_ms;
    let (mean, variance) = (hold.mean() / 1e3, hold.variance() / 1e6);
    0.75 * (mean * mean + variance) / (2.0 * (1.0 - 0.75 * mean))
}

#[test]
fn the_formula_of_m_d_1_is_half_that_of_m_m_1() {
    let [(_, exponential), (_, deterministic), ..] = common::holds_of_800_ms();
    // rho·h / (1 - rho) = 1.2 s.
    common::close("M/M/1", pollaczek_khinchine(&exponential), 1.2, 1e-12);
    common::close("M/D/1", pollaczek_khinchine(&deterministic), 0.6, 1e-12);
}

#[test]
fn one_slot_with_a_queue_is_m_g_1() {
    // 120 000 requests each. Not the Pareto holds: the spread of the mean wait depends on their fourth moment, which is infinite.
    let tolerance = |name| match name {
        "deterministic" => 0.045,
        "exponential" | "bimodal" => 0.08,
        _ => 0.13,
    };
    for (name, hold) in common::holds_of_800_ms().into_iter().filter(|(name, _)| *name != "pareto") {
        let waits = waits(&single_server(&hold));
        common::close(&format!("M/G/1, {name}"), common::mean(&waits), pollaczek_khinchine(&hold), tolerance(name));
        // An arrival finds the slot busy as often as it is busy, whatever the holds (Wolff 1982).
        common::close(&format!("P(W > 0), {name}"), common::share(&waits, |w| *w > 0.0), 0.6, 0.02);
    }
}
