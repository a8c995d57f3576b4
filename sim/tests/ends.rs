//! When a run is over, and what is said of what is under way then.

mod common;

use galton_core::counters::ProxyCounters;
use galton_core::profile::{Delay, PROFILE_VERSION, Profile};
use galton_core::record::DecisionKind;
use galton_core::{Nanos, Outcome, Scenario};
use galton_sim::{Endless, Machine};
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
    let run = common::simulate(&scenario(&json!({"traffic": arrivals(40)})));
    let ends = |ms| Some(Nanos::from_millis(ms));
    assert_eq!(run.trace.len(), 40);
    assert!(run.trace.iter().all(|row| common::outcome(row) == Some(Outcome::Ok)));
    assert_eq!(run.trace.last().unwrap().t_end, ends(3_900 + 150));
    // Of the last two, one is over when the drain is.
    let short = common::simulate(&scenario(&json!({"simulation": {"drain_ms": 100}, "traffic": arrivals(40)})));
    let last: Vec<_> = short.trace[38..].iter().map(|row| row.t_end).collect();
    assert_eq!(last, [ends(3_800 + 150), None]);
}

#[test]
fn the_drain_does_not_begin_before_the_duration_is_over() {
    let hold = json!({"distribution": "deterministic", "value_ms": 1_050});
    let mut traffic = arrivals(2);
    traffic["request_duration_ms"] = hold;
    let run = common::simulate(&scenario(&json!({"simulation": {"drain_ms": 100}, "traffic": traffic})));
    let ends: Vec<_> = run.trace.iter().map(|row| row.t_end).collect();
    assert_eq!(ends, [Some(Nanos::from_millis(1_050)), None]);
}

#[test]
fn an_attempt_that_the_end_cuts_off_on_its_way_is_one_that_was_closed() {
    let at_once = Delay::of(Vec::new());
    let profile = Profile {
        schema_version: PROFILE_VERSION,
        machine: "slow to its targets".to_owned(),
        measured_unix_ns: 0,
        send_lag: at_once.clone(),
        client_to_proxy: at_once.clone(),
        pick: at_once.clone(),
        proxy_to_target: Delay::of(vec![250_000_000]),
        hold_over: at_once.clone(),
        target_to_proxy: at_once.clone(),
        proxy_to_client: at_once.clone(),
        refusal: at_once.clone(),
        wait_over: at_once.clone(),
        ask: at_once.clone(),
        push: at_once.clone(),
        spawn: at_once,
    };
    let machine = Machine { profile: &profile, seed: 1, time_scale: 1.0 };
    let cut = scenario(&json!({"simulation": {"total_time_ms": 620}}));
    let counters = galton_sim::simulate_on(&cut, Some(machine)).unwrap().counters;
    // Sent at 0 to 600 ms; those of 400 ms and later have not arrived.
    let (proxies, target) = (&counters.proxies, &counters.targets[0]);
    let sum = |count: fn(&ProxyCounters) -> u64| proxies.iter().map(count).sum::<u64>();
    assert_eq!((sum(|p| p.attempts), target.accepted, sum(|p| p.closed)), (7, 4, 3));
}

/// Users who do not think, and a slot for one of them at most, which `mode` does not wait for.
fn users_without_a_slot(change: &Value) -> Scenario {
    let scenario = json!({
        "simulation": {"duration_ms": 1_000},
        "traffic": {"closed_loop": {"concurrency": 2}},
        "load_balancer": {"no_capacity": "fail"},
        "targets": {"initial_count": 1, "max_concurrency_per_target": 1},
        "scaling": {"max_targets": 1}
    });
    common::scenario(&scenario, &[change])
}

#[test]
fn users_that_are_rejected_in_no_time_do_not_go_round_for_ever() {
    let stuck = |change: &Value| galton_sim::simulate(&users_without_a_slot(change)).err();
    // The second finds no slot, and has sent nothing but requests at 0 when it is noticed; the first has sent one.
    let at_once = Some(Endless { at: Nanos::ZERO, sent: 100_020 });
    assert_eq!(stuck(&json!({})), at_once);
    assert_eq!(stuck(&json!({"traffic": {"closed_loop": {"on_error": "replace"}}})), at_once);
    assert_eq!(stuck(&json!({"simulation": {"total_time_ms": 500}})), at_once);
    // There may be no target at all, or no time in a hold.
    let none = json!({"targets": {"initial_count": 0}, "scaling": {"min_targets": 0}});
    assert_eq!(stuck(&none), at_once);
    let no_hold = json!({"traffic": {"request_duration_ms": {"distribution": "deterministic", "value_ms": 0}}});
    assert_eq!(stuck(&no_hold), at_once);
    let thinking = json!({"traffic": {"closed_loop": {"think_time_ms": 1}}});
    let cancelled = json!({"traffic": {"closed_loop": {"on_error": "cancel"}}});
    let budget = json!({"traffic": {"closed_loop": {"num_requests": 50_000}}});
    let delayed = json!({"load_balancer": {"rr": {"retry_delay_ms": 1}}});
    for ends in [thinking, cancelled, budget, delayed] {
        assert_eq!(stuck(&ends), None, "{ends}");
    }
}

#[test]
fn what_the_end_cuts_off_is_written_down_until_then() {
    // Of ten requests the last four are under way at 1 s, and three at 1.1 s; or all, each on a target that was started for it.
    for (drain, hold, initial, cut) in [(0, 450, 1, 4), (100, 450, 1, 3), (0, 1_050, 0, 10)] {
        let run = common::simulate(&scenario(&json!({
            "simulation": {"drain_ms": drain},
            "traffic": {"request_duration_ms": {"distribution": "deterministic", "value_ms": hold}},
            "load_balancer": {"no_capacity": "wait_scale_up", "rr": {"retry_limit": 10}},
            "targets": {"initial_count": initial, "max_concurrency_per_target": if initial == 0 { 1 } else { 100 }},
            "scaling": {"min_targets": initial, "max_targets": 10, "scale_up_delay_ms": 0}
        })));
        let end = Nanos::from_millis(1_000 + drain);
        let unfinished = run.trace.iter().filter(|row| common::outcome(row) == Some(Outcome::Unfinished)).count();
        let last: Vec<_> = run.decisions.iter().filter(|d| d.until == end).collect();
        assert_eq!((unfinished, last.len()), (cut, cut), "{drain} ms of drain");
        assert!(last.iter().all(|d| d.kind.occupied()), "{last:?}");
        assert!(last.iter().all(|d| (d.kind == DecisionKind::ScaleRoute) == (initial == 0)), "{last:?}");
        let accepted: u64 = run.counters.targets.iter().map(|target| target.accepted).sum();
        assert_eq!(run.decisions.iter().filter(|d| d.kind.occupied()).count() as u64, accepted);
        assert_eq!(run.counters.proxies.iter().map(|proxy| proxy.cancelled).sum::<u64>(), cut as u64);
    }
}

#[test]
fn nothing_is_sent_behind_the_hard_stop() {
    let run = common::simulate(&scenario(&json!({"simulation": {"total_time_ms": 2_050}, "traffic": arrivals(40)})));
    assert_eq!(run.trace.iter().filter(|row| row.t_send.is_some()).count(), 21);
}
