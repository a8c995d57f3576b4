//! Whatever the scenario: every request ends, the books balance, no target is over its limit, no slot is lost.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use galton_core::record::{DecisionKind, FleetWhat, TraceOutcome};
use galton_core::{Nanos, Outcome, RejectReason, Scenario};
use galton_sim::Simulated;
use serde_json::{Value, json};

/// A load that rises and falls, so that a fleet of small targets grows and shrinks.
fn base() -> Value {
    json!({
        "simulation": {"seed": 11, "duration_ms": 60_000, "drain_ms": 60_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "ramp": {
                "mode": "sine", "mean_rate_per_sec": 40, "amplitude_per_sec": 38, "period_ms": 20_000}},
            "request_duration_ms": {"mode": "distribution", "distribution": "lognormal", "mean_ms": 150, "sigma": 1.0},
            "timeout_ms": 2_000
        },
        "load_balancer": {"hosts": 3, "rr": {"sync_delay_ms": 100, "retry_delay_ms": 3}},
        "targets": {"initial_count": 2, "max_concurrency_per_target": 2},
        "scaling": {"min_targets": 1, "max_targets": 12, "scale_up_delay_ms": 300, "scale_down_delay_ms": 150,
            "idle_window_ms": 1_500, "scan_interval_ms": 500}
    })
}

fn check(run: &Simulated, scenario: &Scenario) {
    let offered = |row: &galton_core::record::TraceRow| match row.outcome {
        TraceOutcome::Offered(outcome) => outcome,
        TraceOutcome::Unsent => panic!("request {} was not sent", row.seq),
    };
    assert!(run.trace.iter().all(|row| !matches!(offered(row), Outcome::Unfinished)), "something never ended");
    let (proxies, targets) = (&run.counters.proxies, &run.counters.targets);
    let attempts: u64 = proxies.iter().map(|p| p.attempts).sum();
    let gone: u64 = proxies.iter().map(|p| p.connection_failures).sum();
    let answered: u64 = targets.iter().map(|t| t.accepted + t.refused).sum();
    assert_eq!(attempts, answered + gone, "attempts = accepted + refused + without a connection");
    let by_trace: u64 = run.trace.iter().map(|row| u64::from(row.attempts.unwrap())).sum();
    assert_eq!(attempts, by_trace);
    assert!(proxies.iter().all(|p| p.in_flight_at_end == 0), "a slot was lost");
    assert!(targets.iter().all(|t| t.accepted == t.completed + t.cancelled));
    peak_within_limit(run, scenario.targets.max_concurrency);
    fleet_within_limits(run, scenario);
}

/// Reconstructs the in-flight count of every target from the decisions.
fn peak_within_limit(run: &Simulated, limit: u32) {
    let mut changes: BTreeMap<_, Vec<(Nanos, i32)>> = BTreeMap::new();
    for d in run.decisions.iter().filter(|d| d.kind.occupied()) {
        let of = changes.entry(d.target.unwrap()).or_default();
        of.extend([(d.at, 1), (d.until, -1)]);
    }
    for (target, mut of) in changes {
        of.sort_unstable_by_key(|(at, change)| (*at, *change));
        let mut in_flight = 0;
        for (at, change) in of {
            in_flight += change;
            assert!(in_flight <= limit as i32, "{target:?} held {in_flight} at {at}");
        }
    }
}

fn fleet_within_limits(run: &Simulated, scenario: &Scenario) {
    let mut there = scenario.targets.initial_count as i64;
    let mut ready = there;
    for event in run.fleet.iter().filter(|e| e.at > Nanos::ZERO || e.what != FleetWhat::Ready) {
        match event.what {
            FleetWhat::Starting => there += 1,
            FleetWhat::Ready => ready += 1,
            FleetWhat::Cordoned => ready -= 1,
            FleetWhat::Stopped => {
                there -= 1;
                assert_eq!(event.held, 0, "stopped while it held something");
            }
            _ => {}
        }
        assert!(there <= i64::from(scenario.scaling.max_targets), "{there} targets at {}", event.at);
        assert!(ready >= i64::from(scenario.scaling.min_targets), "{ready} ready at {}", event.at);
    }
}

fn architectures() -> [Value; 3] {
    [
        json!({"load_balancer": {"architecture": "round_robin"}, "scaling": {"scale_up": "coalesced"}}),
        json!({"load_balancer": {"architecture": "least_conns"}}),
        json!({"load_balancer": {"architecture": "least_conns", "lc": {"shared_map_lock_latency_ms": 0.5}}}),
    ]
}

fn modes() -> [Value; 3] {
    [json!("wait_scale_up"), json!("fail"), json!({"mode": "queue", "depth": 20, "timeout_ms": 500})]
}

fn run(changes: &[&Value]) -> (Simulated, Scenario) {
    let scenario = common::scenario(&base(), changes);
    (common::simulate(&scenario), scenario)
}

#[test]
fn the_books_balance_in_every_mode_of_every_architecture() {
    for architecture in architectures() {
        for mode in modes() {
            for timeout in [2_000, 120] {
                let more = json!({"load_balancer": {"no_capacity": mode}, "traffic": {"timeout_ms": timeout}});
                let (run, scenario) = run(&[&architecture, &more]);
                assert!(run.trace.len() > 2_000);
                check(&run, &scenario);
            }
        }
    }
}

#[test]
fn a_fleet_grows_and_shrinks_without_a_loss() {
    for architecture in architectures() {
        let (run, _) = run(&[&architecture, &json!({"traffic": {"timeout_ms": 60_000}})]);
        let count = |what| run.fleet.iter().filter(|e| e.what == what).count();
        assert!(count(FleetWhat::Stopped) >= 5, "{} stops", count(FleetWhat::Stopped));
        assert!(count(FleetWhat::Starting) >= 5);
        let failed = |o| matches!(o, TraceOutcome::Offered(Outcome::Failed(_)));
        assert_eq!(run.trace.iter().filter(|row| failed(row.outcome)).count(), 0);
    }
}

#[test]
fn two_runs_of_one_seed_are_the_same() {
    let (one, _) = run(&[&architectures()[1]]);
    let (two, _) = run(&[&architectures()[1]]);
    assert_eq!(one.trace, two.trace);
    assert_eq!(one.decisions, two.decisions);
    assert_eq!(one.fleet, two.fleet);
}

#[test]
fn rejects_say_why() {
    let reasons = |mode: &Value| {
        let fixed = json!({"load_balancer": {"no_capacity": mode, "rr": {"idle_scale_down_threshold_requests_5m": 0}},
            "scaling": {"max_targets": 2}, "traffic": {"timeout_ms": 60_000}});
        let (run, _) = run(&[&fixed]);
        let mut found: Vec<_> = run
            .decisions
            .iter()
            .filter_map(|d| match d.kind {
                DecisionKind::Reject(reason) => Some(reason),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    assert_eq!(reasons(&modes()[0]), [RejectReason::NoCapacity]);
    assert_eq!(reasons(&modes()[1]), [RejectReason::RetriesExhausted]);
    assert_eq!(reasons(&modes()[2]), [RejectReason::QueueFull, RejectReason::QueueTimeout]);
}

#[test]
fn a_hold_that_goes_on_without_its_caller_gives_its_slot_back_at_its_end() {
    // One slot, held for 150 ms by callers that leave after 60: of the arrivals every 100 ms it takes every other one.
    for architecture in ["round_robin", "least_conns"] {
        let (run, _) = run(&[&json!({
            "simulation": {"duration_ms": 1_000},
            "traffic": {"timeout_ms": 60, "arrival": {
                "distribution": "deterministic", "interval_ms": 100, "ramp": {"mode": "none"}},
                "request_duration_ms": {"distribution": "deterministic", "value_ms": 150}},
            "load_balancer": {"architecture": architecture, "hosts": 1, "no_capacity": "fail"},
            "targets": {"initial_count": 1, "max_concurrency_per_target": 1, "on_disconnect": "finish"}
        })]);
        let timed_out = run.trace.iter().map(|row| row.outcome == TraceOutcome::Offered(Outcome::TimedOut));
        assert!(timed_out.eq((0..10).map(|n| n % 2 == 0)), "{architecture}");
    }
}
