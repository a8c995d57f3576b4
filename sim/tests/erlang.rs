//! Loss systems against Erlang's B formula (Erlang 1917): with T targets of c slots, Poisson arrivals and *any* hold
//! distribution, least connections loses B(T·c, a).

mod common;

use galton_core::Outcome;
use serde_json::{Value, json};

/// 8 slots at 8 Erlang.
const B_8_8: f64 = 0.235_570;
/// Three standard errors of batch means at 60 000 requests: the spread is 0.005 at 20 000.
const TOLERANCE: f64 = 0.009;

fn base() -> Value {
    json!({
        "simulation": {"seed": 7, "duration_ms": 6_000_000, "drain_ms": 60_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 10},
            "request_duration_ms": {"mode": "distribution", "distribution": "exponential", "mean_ms": 800}
        },
        "load_balancer": {"architecture": "least_conns", "hosts": 1, "no_capacity": "fail"},
        "targets": {"initial_count": 2, "max_concurrency_per_target": 4},
        "scaling": {"min_targets": 2, "max_targets": 2}
    })
}

fn loss(change: &Value) -> f64 {
    let run = common::simulate(&common::scenario(&base(), &[change]));
    assert!(run.trace.len() > 59_000);
    assert!(run.counters.proxies.iter().all(|p| p.in_flight_at_end == 0));
    common::share(&run.trace, |row| matches!(common::outcome(row), Some(Outcome::Rejected(_))))
}

fn round_robin(hosts: u32, retry_limit: u32) -> Value {
    json!({"load_balancer": {"architecture": "round_robin", "hosts": hosts, "rr": {"retry_limit": retry_limit}}})
}

#[track_caller]
fn close(what: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= TOLERANCE, "{what}: lost {found}, expected {expected} ± {TOLERANCE}");
}

#[test]
fn the_formula_gives_the_textbook_s_number() {
    assert!((common::erlang_b(8, 8.0) - B_8_8).abs() < 1e-5);
}

#[test]
fn the_number_of_hosts_does_not_matter_to_least_connections() {
    close("one host", loss(&json!({})), B_8_8);
    close("three hosts", loss(&json!({"load_balancer": {"hosts": 3}})), B_8_8);
}

#[test]
fn the_hold_distribution_does_not_matter() {
    for (name, hold) in common::holds_of_800_ms() {
        let change = json!({"traffic": {"request_duration_ms": hold}, "load_balancer": {"hosts": 3}});
        close(name, loss(&change), B_8_8);
    }
}

#[test]
fn the_layout_of_the_slots_does_not_matter_to_least_connections() {
    for (targets, slots) in [(1, 8), (4, 2), (8, 1)] {
        let fleet = json!({"initial_count": targets, "max_concurrency_per_target": slots});
        let change = json!({"targets": fleet, "scaling": {"min_targets": targets, "max_targets": targets}});
        close("another layout", loss(&change), B_8_8);
    }
}

#[test]
fn round_robin_of_one_host_loses_the_same_when_it_may_try_every_target() {
    close("round robin", loss(&round_robin(1, 1)), B_8_8);
}

#[test]
fn round_robin_without_a_retry_loses_more() {
    // Two targets of 4 slots fed in turn: the balance equations of their joint state, solved numerically.
    close("round robin", loss(&round_robin(1, 0)), 0.2736);
}
