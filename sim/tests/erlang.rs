//! Loss systems against Erlang's B formula (Erlang 1917): with T targets of c slots, Poisson arrivals and *any* hold
//! distribution, least connections loses B(T·c, a).

mod common;

use galton_core::Outcome;
use galton_core::record::TraceOutcome;
use galton_sim::simulate;
use serde_json::{Value, json};

/// 8 slots at 8 Erlang.
const B_8_8: f64 = 0.235_570;
/// Three standard errors of batch means at 60 000 requests: the spread is 0.005 at 20 000.
const TOLERANCE: f64 = 0.009;

/// B(n, a) by its recursion.
fn erlang_b(slots: u32, erlang: f64) -> f64 {
    (1..=slots).fold(1.0, |b, n| erlang * b / (f64::from(n) + erlang * b))
}

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
    let run = simulate(&common::scenario(&base(), &[change]));
    let lost = |o: &TraceOutcome| matches!(o, TraceOutcome::Offered(Outcome::Rejected(_)));
    let lost = run.trace.iter().filter(|row| lost(&row.outcome)).count();
    assert!(run.trace.len() > 59_000);
    assert!(run.counters.proxies.iter().all(|p| p.in_flight_at_end == 0));
    lost as f64 / run.trace.len() as f64
}

fn round_robin(hosts: u32, retry_limit: u32) -> Value {
    json!({"load_balancer": {"architecture": "round_robin", "hosts": hosts, "rr": {"retry_limit": retry_limit}}})
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= TOLERANCE, "lost {found}, expected {expected} ± {TOLERANCE}");
}

#[test]
fn the_formula_gives_the_textbook_s_number() {
    assert!((erlang_b(8, 8.0) - B_8_8).abs() < 1e-5);
}

#[test]
fn least_connections_loses_erlang_b_with_one_host_and_with_three() {
    close(loss(&json!({})), B_8_8);
    close(loss(&json!({"load_balancer": {"hosts": 3}})), B_8_8);
}

#[test]
fn the_hold_distribution_does_not_matter() {
    let lognormal = json!({"mode": "distribution", "distribution": "lognormal", "mean_ms": 800, "sigma": 1.0});
    close(loss(&json!({"traffic": {"request_duration_ms": lognormal}})), B_8_8);
    let fixed = json!({"mode": "distribution", "distribution": "deterministic", "value_ms": 800});
    close(loss(&json!({"traffic": {"request_duration_ms": fixed}})), B_8_8);
}

#[test]
fn round_robin_of_one_host_loses_the_same_when_it_may_try_every_target() {
    close(loss(&round_robin(1, 1)), B_8_8);
}

#[test]
fn round_robin_without_a_retry_loses_more() {
    // Two targets of 4 slots fed in turn: the balance equations of their joint state, solved numerically.
    close(loss(&round_robin(1, 0)), 0.2736);
}

/// The probability of waiting in M/M/c by Erlang's C formula.
fn erlang_c(slots: u32, erlang: f64) -> f64 {
    let b = erlang_b(slots, erlang);
    let rho = erlang / f64::from(slots);
    b / (1.0 - rho + rho * b)
}

#[test]
fn a_queue_in_front_of_the_fleet_is_m_m_c() {
    // 7 requests/s of 800 ms on 8 slots: the mean wait is C / (c·mu − lambda), 0.4 s; the tolerance is 8 % of it, three
    // standard errors of batch means at 140 000 requests.
    let expected = erlang_c(8, 5.6) / (8.0 / 0.8 - 7.0);
    let queue = json!({"mode": "queue", "depth": 100_000, "timeout_ms": 600_000});
    for architecture in ["least_conns", "round_robin"] {
        let lb = json!({"architecture": architecture, "no_capacity": queue, "rr": {"retry_limit": 1}});
        let arrival = json!({"distribution": "poisson", "rate_per_sec": 7});
        let simulation = json!({"duration_ms": 20_000_000, "drain_ms": 600_000});
        let traffic = json!({"arrival": arrival, "timeout_ms": 3_000_000});
        let change = json!({"load_balancer": lb, "traffic": traffic, "simulation": simulation});
        let run = simulate(&common::scenario(&base(), &[&change]));
        let waits = run.trace.iter().map(|row| row.overhead.unwrap().as_secs_f64());
        let mean = waits.sum::<f64>() / run.trace.len() as f64;
        assert!((mean / expected - 1.0).abs() < 0.08, "{architecture}: mean wait {mean} s, expected {expected} s");
    }
}
