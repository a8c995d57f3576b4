//! `cpu_mode: slowdown` against theory: targets whose requests share a CPU are processor-sharing queues.
//!
//! They are insensitive: what holds for exponential holds holds for any (Kelly, Reversibility and stochastic networks, 1979).
//! The seed is 9. A tolerance is four standard errors at 60 000 requests, taken from the spread over 12 other seeds, of the
//! distribution that spreads most.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use galton_core::Outcome;
use galton_core::record::TraceRow;
use galton_sim::Simulated;
use serde_json::{Value, json};

/// Mean hold of a request that is alone.
const HOLD_S: f64 = 0.8;

/// One target with a slot for everybody; each request asks for its whole CPU. 0.6 of the work it can do arrives.
fn base() -> Value {
    json!({
        "simulation": {"seed": 9, "duration_ms": 80_000_000, "drain_ms": 3_000_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 0.75},
            "cpu_demand": {"distribution": "deterministic", "value": 100},
            "timeout_ms": 3_000_000
        },
        "load_balancer": {"architecture": "least_conns", "hosts": 1, "no_capacity": "fail"},
        "targets": {
            "initial_count": 1,
            "max_concurrency_per_target": 10_000,
            "cpu_capacity_per_target": 100,
            "cpu_mode": "slowdown"
        },
        "scaling": {"min_targets": 1, "max_targets": 1}
    })
}

fn run(change: &Value) -> Simulated {
    common::simulate(&common::scenario(&base(), &[change]))
}

/// Response times in seconds of the requests that were served.
fn responses<'a>(rows: impl IntoIterator<Item = &'a TraceRow>) -> Vec<f64> {
    let ok = |row: &&TraceRow| common::outcome(row) == Some(Outcome::Ok);
    rows.into_iter().filter(ok).map(|row| row.response().unwrap().as_secs_f64()).collect()
}

#[test]
fn a_shared_cpu_is_m_g_1_processor_sharing() {
    // h / (1 - rho), whatever the distribution.
    for (name, hold) in common::holds_of_800_ms() {
        let run = run(&json!({"traffic": {"request_duration_ms": hold}}));
        common::close(name, common::mean(&responses(&run.trace)), HOLD_S / (1.0 - 0.6), 0.11);
    }
}

#[test]
fn every_request_is_slowed_down_in_proportion() {
    // E[R | S = s] = s / (1 - rho): of 400 ms holds and of 4400 ms holds alike.
    let [.., (name, bimodal)] = common::holds_of_800_ms();
    assert_eq!(name, "bimodal");
    let run = run(&json!({"traffic": {"request_duration_ms": bimodal}}));
    for hold_s in [0.4, 4.4] {
        let of_this = run.trace.iter().filter(|row| (row.hold_demand.as_secs_f64() - hold_s).abs() < 0.1);
        common::close(&format!("holds of {hold_s} s"), common::mean(&responses(of_this)), hold_s / (1.0 - 0.6), 0.08);
    }
}

#[test]
fn a_cpu_with_room_for_two_is_m_m_2_in_the_mean() {
    // Two requests of half the CPU each run at full speed, three at two thirds: the total rate is that of two servers, and so is
    // the number in the system (Cohen 1979), with 1.5 requests/s on 2.5. R = h + C / (2µ - λ).
    let mean = HOLD_S + common::erlang_c(2, 1.2) / (2.0 / HOLD_S - 1.5);
    for (name, hold) in common::holds_of_800_ms() {
        let run = run(&json!({
            "simulation": {"duration_ms": 40_000_000},
            "traffic": {
                "arrival": {"rate_per_sec": 1.5, "distribution": "poisson"},
                "cpu_demand": {"distribution": "deterministic", "value": 50},
                "request_duration_ms": hold
            }
        }));
        common::close(name, common::mean(&responses(&run.trace)), mean, 0.09);
    }
}

#[test]
fn a_shared_cpu_with_few_slots_loses_what_m_m_1_k_loses() {
    // (1 - rho)·rho^K / (1 - rho^(K + 1)), K = 4: 0.0562, insensitive as well.
    let rho = 0.6_f64;
    let expected = (1.0 - rho) * rho.powi(4) / (1.0 - rho.powi(5));
    for (name, hold) in common::holds_of_800_ms() {
        let change = json!({"traffic": {"request_duration_ms": hold}, "targets": {"max_concurrency_per_target": 4}});
        let lost = common::share(&run(&change).trace, |row| common::outcome(row) != Some(Outcome::Ok));
        common::close(name, lost, expected, 0.16);
    }
}

#[test]
fn below_capacity_nothing_is_slowed_down() {
    let run = run(&json!({
        "simulation": {"duration_ms": 2_000_000},
        "traffic": {"cpu_demand": {"distribution": "deterministic", "value": 0.01}}
    }));
    assert!(run.trace.iter().all(|row| row.hold() == Some(row.hold_demand)));
}
