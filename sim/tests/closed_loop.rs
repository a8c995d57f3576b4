//! Closed loops against theory: X = N / (S + Z) without contention, and the machine-repair model where users wait for slots.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use galton_core::record::TraceRow;
use galton_core::{Nanos, Outcome, Scenario};
use galton_sim::Simulated;
use serde_json::{Value, json};

const DURATION_S: f64 = 4_000.0;
/// Users start one after the other; after these many cycles of about a second they are where chance puts them.
const WARM_UP: Nanos = Nanos::from_millis(100_000);
/// Four standard errors of a count of 75 000, were it Poisson's; it is steadier. The seed is 5.
const TOLERANCE: f64 = 0.015;

/// Users that think for 600 ms on average, and targets with room for all of them.
fn base() -> Value {
    json!({
        "simulation": {"seed": 5, "duration_ms": DURATION_S * 1e3, "drain_ms": 60_000},
        "traffic": {
            "closed_loop": {"concurrency": 20, "think_time_ms": {"distribution": "exponential", "mean_ms": 600}},
            "request_duration_ms": {"distribution": "exponential", "mean_ms": 400},
            "timeout_ms": 3_000_000
        },
        "load_balancer": {"architecture": "least_conns", "no_capacity": "fail"},
        "targets": {"initial_count": 4, "max_concurrency_per_target": 10},
        "scaling": {"min_targets": 4, "max_targets": 4}
    })
}

fn scenario(change: &Value) -> Scenario {
    common::scenario(&base(), &[change])
}

/// Requests per second between warm-up and the end, by their ends.
fn throughput(run: &Simulated) -> f64 {
    let end = Nanos::from_secs_f64(DURATION_S);
    let ended = |row: &&TraceRow| row.t_end.is_some_and(|at| at >= WARM_UP && at < end);
    run.trace.iter().filter(ended).count() as f64 / (end - WARM_UP).as_secs_f64()
}

/// The rows of each user, by round.
fn by_user(run: &Simulated) -> BTreeMap<u32, Vec<&TraceRow>> {
    let mut users: BTreeMap<u32, Vec<&TraceRow>> = BTreeMap::new();
    run.trace.iter().for_each(|row| users.entry(row.user.unwrap()).or_default().push(row));
    users
}

#[test]
fn throughput_is_users_by_cycle() {
    // N / (S + Z), exact for any distributions of S and Z (the response time law).
    for (architecture, hosts) in [("least_conns", 1), ("least_conns", 3), ("round_robin", 2)] {
        let change = json!({"load_balancer": {"architecture": architecture, "hosts": hosts}});
        let run = common::simulate(&scenario(&change));
        assert!(run.trace.iter().all(|row| common::outcome(row) == Some(Outcome::Ok)));
        common::close(architecture, throughput(&run), 20.0 / (0.4 + 0.6), TOLERANCE);
    }
}

#[test]
fn sessions_offer_their_rate_times_their_length() {
    // λ · E[requests]; and by Little's law as many sessions are there as arrive while one lasts: 3 responses, 2 thoughts.
    let mut base = base();
    base["traffic"].as_object_mut().unwrap().remove("closed_loop");
    let sessions = json!({"mean_requests": 3, "think_time_ms": {"distribution": "exponential", "mean_ms": 600}});
    let arrival = json!({"arrival": {"rate_per_sec": 5, "sessions": sessions}});
    let run = common::simulate(&common::scenario(&base, &[&json!({ "traffic": arrival })]));
    common::close("throughput", throughput(&run), 15.0, 2.0 * TOLERANCE);
    let lasted: f64 = by_user(&run)
        .values()
        .map(|rows| (rows.last().unwrap().t_end.unwrap() - rows[0].t_intended).as_secs_f64())
        .sum();
    common::close("sessions", lasted / DURATION_S, 5.0 * (3.0 * 0.4 + 2.0 * 0.6), 0.04);
}

#[test]
fn without_think_time_a_user_sends_as_soon_as_it_has_its_answer() {
    let hold = json!({"distribution": "deterministic", "value_ms": 400});
    let run = common::simulate(&scenario(&json!({
        "simulation": {"duration_ms": 10_000},
        "traffic": {"closed_loop": {"think_time_ms": 0}, "request_duration_ms": hold}
    })));
    assert_eq!(run.trace.len(), 20 * 25);
    for rows in by_user(&run).values() {
        assert!(rows.windows(2).all(|pair| pair[0].t_end == pair[1].t_send));
    }
}

/// Throughput of M/M/c//N (Feller, An introduction to probability theory, vol. 1, XVII.7): N users that think for 1/λ, c
/// slots that serve for 1/µ, and a queue for the others. p(k + 1) = p(k)·(N − k)·λ / (min(k + 1, c)·µ); X = Σ p(k)·min(k, c)·µ.
fn machine_repair(users: u32, slots: u32, think_s: f64, service_s: f64) -> f64 {
    let mut weights = vec![1.0];
    for k in 0..users {
        let next = weights[k as usize] * f64::from(users - k) / think_s * service_s / f64::from((k + 1).min(slots));
        weights.push(next);
    }
    let total: f64 = weights.iter().sum();
    weights.iter().zip(0_u32..).map(|(p, k)| p / total * f64::from(k.min(slots)) / service_s).sum()
}

#[test]
fn the_formula_is_right_where_it_is_plain() {
    common::close("a slot for everybody", machine_repair(5, 5, 0.6, 0.4), 5.0, 1e-12);
    common::close("one user", machine_repair(1, 1, 0.6, 0.4), 1.0, 1e-12);
    common::close("one slot is always busy", machine_repair(100, 1, 0.6, 0.4), 2.5, 1e-9);
}

#[test]
fn users_that_wait_for_slots_are_the_machine_repair_model() {
    let queue = json!({"mode": "queue", "depth": 1000, "timeout_ms": 3_000_000});
    // A single slot serves no more than 10 000 requests in that time.
    for (targets, slots, tolerance) in [(1, 1, 0.04), (2, 4, TOLERANCE), (3, 3, TOLERANCE)] {
        let run = common::simulate(&scenario(&json!({
            "load_balancer": {"no_capacity": queue},
            "targets": {"initial_count": targets, "max_concurrency_per_target": slots},
            "scaling": {"min_targets": targets, "max_targets": targets}
        })));
        let expected = machine_repair(20, targets * slots, 0.6, 0.4);
        common::close(&format!("{targets} × {slots} slots"), throughput(&run), expected, tolerance);
        // The response time law: R = N / X − Z.
        let responses = run.trace.iter().filter(|row| row.t_intended >= WARM_UP).filter_map(TraceRow::response);
        let responses: Vec<f64> = responses.map(Nanos::as_secs_f64).collect();
        common::close("response", common::mean(&responses), 20.0 / expected - 0.6, 0.045);
    }
}

#[test]
fn every_user_has_one_request_at_a_time_and_the_budget_is_exact() {
    for architecture in ["least_conns", "round_robin"] {
        let run = common::simulate(&scenario(&json!({
            "traffic": {"closed_loop": {"num_requests": 1_003}},
            "load_balancer": {"architecture": architecture},
            "targets": {"max_concurrency_per_target": 2}
        })));
        assert_eq!(run.trace.len(), 1_003);
        assert!(run.trace.iter().zip(0..).all(|(row, seq)| row.seq == seq));
        assert!(run.trace.is_sorted_by_key(|row| row.t_send), "seq is the order of sending");
        let users = by_user(&run);
        assert_eq!(users.len(), 20);
        for rows in users.values() {
            assert!(rows.iter().zip(0..).all(|(row, round)| row.round == Some(round)));
            assert!(rows.windows(2).all(|pair| pair[0].t_end.unwrap() <= pair[1].t_intended));
        }
    }
}

#[test]
fn two_policies_meet_the_same_users() {
    let run = |architecture: &str| {
        let change = json!({"load_balancer": {"architecture": architecture}, "simulation": {"duration_ms": 100_000}});
        common::simulate(&scenario(&change))
    };
    let (one, two) = (run("least_conns"), run("round_robin"));
    let asked = |run: &Simulated| -> BTreeMap<_, _> {
        let key = |row: &TraceRow| (row.user.unwrap(), row.round.unwrap());
        run.trace.iter().map(|row| (key(row), (row.hold_demand, row.cpu_demand.to_bits(), row.host))).collect()
    };
    let (one, two) = (asked(&one), asked(&two));
    let both = one.iter().filter_map(|(key, asked)| Some((asked, two.get(key)?)));
    assert!(both.clone().count() > 1_900);
    assert!(both.into_iter().all(|(one, two)| one == two));
}
