//! Uniform choices as balls thrown into bins: of a host for each request, and of a target among equals.
//!
//! 64 bins. The sum of squares against the χ² distribution (Pearson 1900), the fullest bin against Raab and Steger, "Balls into
//! bins: a simple and tight analysis" (RANDOM 1998). Seeds as stated at each test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use galton_core::scenario::Scenario;
use serde_json::{Value, json};

const BINS: usize = 64;
/// The 0.1 % and 99.9 % quantiles of χ² with 63 degrees of freedom: one seed in 500 is outside.
const CHI_SQUARE: std::ops::RangeInclusive<f64> = 33.9..=103.4;

/// `count` requests over 100 s, each gone before the next one comes: nobody ever finds a target busy.
fn scenario(seed: u64, count: u64, change: &Value) -> Scenario {
    let interval_ms = 100_000.0 / count as f64;
    let base = json!({
        "simulation": {"seed": seed, "duration_ms": 100_000},
        "traffic": {
            "arrival": {"distribution": "deterministic", "interval_ms": interval_ms},
            "request_duration_ms": {"distribution": "deterministic", "value_ms": interval_ms / 2.0}
        },
        "load_balancer": {"architecture": "least_conns", "no_capacity": "fail"},
        "targets": {"initial_count": 1},
        "scaling": {"min_targets": 1}
    });
    common::scenario(&base, &[change])
}

/// Requests per host.
fn by_host(seed: u64, count: u64) -> [u64; BINS] {
    let run = common::simulate(&scenario(seed, count, &json!({"load_balancer": {"hosts": BINS}})));
    let received: Vec<u64> = run.counters.proxies.iter().map(|proxy| proxy.received).collect();
    let mut bins = [0; BINS];
    run.trace.iter().for_each(|row| bins[row.host.unwrap() as usize] += 1);
    assert_eq!(received, bins, "what the hosts counted is what the trace says");
    bins
}

/// Requests per target.
fn by_target(seed: u64, count: u64, hosts: u32) -> [u64; BINS] {
    let fleet = json!({"targets": {"initial_count": BINS}, "scaling": {"min_targets": BINS}});
    let mut change = json!({"load_balancer": {"hosts": hosts, "lc": {"tie_break": "random"}}});
    common::merge(&mut change, &fleet);
    let mut bins = [0; BINS];
    let run = common::simulate(&scenario(seed, count, &change));
    run.trace.iter().for_each(|row| bins[row.target.unwrap().0 as usize - 1] += 1);
    bins
}

fn chi_square(bins: &[u64; BINS]) -> f64 {
    let expected = bins.iter().sum::<u64>() as f64 / BINS as f64;
    bins.iter().map(|n| (*n as f64 - expected).powi(2) / expected).sum()
}

#[test]
fn every_host_is_as_likely_as_any_other() {
    for seed in 1..=3 {
        let found = chi_square(&by_host(seed, 32_000));
        assert!(CHI_SQUARE.contains(&found), "seed {seed}: χ² is {found}");
    }
}

#[test]
fn among_equals_every_target_is_as_likely_as_any_other() {
    for hosts in [1, 5] {
        let found = chi_square(&by_target(1, 32_000, hosts));
        assert!(CHI_SQUARE.contains(&found), "{hosts} hosts: χ² is {found}");
    }
}

#[test]
fn the_fullest_host_has_what_chance_gives_it() {
    // n = 6400 balls in m = 64 bins: n/m + √(2·n·ln m / m) = 128.8. That is an upper bound in the limit; with 64 bins chance passes
    // it once in eight, and 1.5 times its excess once in 2000. The mean of the maximum of 64 normal deviates is 2.41 standard
    // deviations (of √(n/m) = 10), where the bound is at 2.88; its spread of 0.44 makes 0.35 three standard errors of 16 seeds.
    let (expected, deviation): (f64, f64) = (100.0, 10.0);
    let bound = (2.0 * expected * (BINS as f64).ln()).sqrt();
    let excess: Vec<f64> = (1..=16).map(|seed| *by_host(seed, 6_400).iter().max().unwrap() as f64 - expected).collect();
    assert!(excess.iter().all(|excess| *excess < 1.5 * bound), "{excess:?} against {bound}");
    let mean = common::mean(&excess) / deviation;
    assert!((mean - 2.41).abs() < 0.35, "the fullest host is {mean} standard deviations above the mean");
}
