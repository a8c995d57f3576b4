//! The fleet's decisions, input by input.

use super::{Effect, Fleet, Input, Restarts, TimerId};
use crate::ids::{CallId, HostId, TargetId};
use crate::record::FleetWhat;
use crate::scenario::Scenario;
use crate::time::Nanos;

const HOST: HostId = HostId(0);

fn ms(ms: u64) -> Nanos {
    Nanos::from_millis(ms)
}

/// The fleet of the default scenario (a start takes 200 ms), with one host.
fn fleet() -> Fleet {
    let mut fx = Vec::new();
    let mut fleet = Fleet::new(&Scenario::default(), Restarts::at_scale(1.0), &mut fx);
    fleet.on(Nanos::ZERO, Input::HostJoined(HOST), &mut fx);
    fleet
}

fn on(fleet: &mut Fleet, now: Nanos, input: Input) -> Vec<Effect> {
    let mut fx = Vec::new();
    fleet.on(now, input, &mut fx);
    fx
}

#[test]
fn the_delay_of_a_start_counts_from_when_it_was_asked_for() {
    let mut fleet = fleet();
    let waiter = Some((HOST, CallId(1)));
    // Asked at 100 ms, heard at 160: the way is part of the delay.
    let fx = on(&mut fleet, ms(160), Input::ScaleUp { waiter, asked: Some(ms(100)) });
    let target = TargetId(Scenario::default().targets.initial_count + 1);
    let id = TimerId::StartDelay(target, 0);
    assert!(fx.contains(&Effect::Sleep { id, until: ms(300) }), "{fx:?}");
    // What is later than that is an overrun, and is told.
    assert_eq!(on(&mut fleet, ms(300), Input::Timer { id }), []);
    let fx = on(&mut fleet, ms(310), Input::Spawned { target, incarnation: 0 });
    let ready = fx.iter().find_map(|effect| match effect {
        Effect::Log(event) if event.what == FleetWhat::Ready => Some(event.overrun),
        _ => None,
    });
    assert_eq!(ready, Some(ms(10)));
}

#[test]
fn nobody_asks_in_the_future() {
    let fx = on(&mut fleet(), ms(100), Input::ScaleUp { waiter: None, asked: Some(ms(500)) });
    let until = |effect: &Effect| match effect {
        Effect::Sleep { until, .. } => Some(*until),
        _ => None,
    };
    assert_eq!(fx.iter().find_map(until), Some(ms(300)));
}

/// A scenario of round robin (news takes 100 ms) with these keys of `scaling`, and two hosts.
fn two_hosts(scaling: serde_json::Value) -> Fleet {
    let scenario = serde_json::json!({"scaling": scaling, "targets": {"initial_count": 2}});
    let scenario = Scenario::from_value("fleet", &scenario, &mut |_| Err("no files".to_owned())).unwrap();
    let mut fx = Vec::new();
    let mut fleet = Fleet::new(&scenario, Restarts::at_scale(1.0), &mut fx);
    (0..2).for_each(|host| fleet.on(Nanos::ZERO, Input::HostJoined(HostId(host)), &mut fx));
    fleet
}

fn logged(fx: &[Effect]) -> Vec<FleetWhat> {
    let what = |effect: &Effect| match effect {
        Effect::Log(event) => Some(event.what),
        _ => None,
    };
    fx.iter().filter_map(what).collect()
}

/// Who is told something, and when.
fn told(fx: &[Effect]) -> Vec<(u32, Nanos)> {
    let told = |effect: &Effect| match effect {
        Effect::Tell { host, due, .. } => Some((host.0, *due)),
        _ => None,
    };
    fx.iter().filter_map(told).collect()
}

fn down(host: u32, target: u32) -> Input {
    Input::ScaleDown { host: Some(HostId(host)), target: TargetId(target) }
}

fn up(host: u32, call: u64) -> Input {
    Input::ScaleUp { waiter: Some((HostId(host), CallId(call))), asked: None }
}

#[test]
fn who_has_been_given_up_leaves_its_place_at_a_start() {
    let shared = serde_json::json!({"scale_up": "coalesced", "max_targets": 10});
    let mut fleet = two_hosts(shared);
    let leave = |host, call| Input::LeaveStart { host: HostId(host), call: CallId(call) };
    // The default target has ten slots.
    assert_eq!(logged(&on(&mut fleet, ms(1), up(0, 1))), [FleetWhat::Starting]);
    (2..=10).for_each(|call| assert_eq!(logged(&on(&mut fleet, ms(2), up(0, call))), [FleetWhat::Joined]));
    assert_eq!(on(&mut fleet, ms(3), leave(0, 1)), []);
    assert_eq!(on(&mut fleet, ms(3), leave(1, 2)), [], "of another host");
    assert_eq!(logged(&on(&mut fleet, ms(4), up(1, 1))), [FleetWhat::Joined]);
    assert_eq!(logged(&on(&mut fleet, ms(4), up(1, 3))), [FleetWhat::Starting], "the first is full");
    (2..=10).for_each(|call| assert_eq!(on(&mut fleet, ms(5), leave(0, call)), []));
    // Nobody of host 0 waits any more: it learns of the target as news.
    let started = TargetId(3);
    on(&mut fleet, ms(201), Input::Timer { id: TimerId::StartDelay(started, 0) });
    let fx = on(&mut fleet, ms(201), Input::Spawned { target: started, incarnation: 0 });
    assert_eq!(told(&fx), [(1, ms(201)), (1, ms(201)), (0, ms(301))]);
}

#[test]
fn a_removal_waits_for_its_delay_and_for_every_host() {
    let mut fleet = two_hosts(serde_json::json!({"scale_down_delay_ms": 70}));
    let fx = on(&mut fleet, ms(10), down(1, 2));
    assert_eq!(logged(&fx), [FleetWhat::Cordoned]);
    assert_eq!(told(&fx), [(1, ms(10)), (0, ms(110))], "the asker first and at once");
    assert_eq!(logged(&on(&mut fleet, ms(11), down(0, 2))), [], "asked twice, removed once");
    let released = |host| Input::Released { host: HostId(host), target: TargetId(2) };
    assert_eq!(on(&mut fleet, ms(20), released(1)), []);
    assert_eq!(on(&mut fleet, ms(80), Input::Timer { id: TimerId::StopDelay(TargetId(2), 0) }), []);
    let fx = on(&mut fleet, ms(130), released(0));
    assert!(fx.contains(&Effect::Stop { target: TargetId(2), incarnation: 0, force: false }), "{fx:?}");
    let stopped = Input::Stopped { target: TargetId(2), held: 0 };
    assert_eq!(logged(&on(&mut fleet, ms(131), stopped)), [FleetWhat::Stopped]);
    assert_eq!(logged(&on(&mut fleet, ms(140), down(0, 1))), [FleetWhat::DownRefused], "min_targets is 1");
}

#[test]
fn a_host_that_is_gone_is_not_waited_for() {
    let mut fleet = two_hosts(serde_json::json!({"scale_down_delay_ms": 0}));
    on(&mut fleet, ms(10), down(0, 2));
    on(&mut fleet, ms(10), Input::Timer { id: TimerId::StopDelay(TargetId(2), 0) });
    on(&mut fleet, ms(11), Input::Released { host: HostId(0), target: TargetId(2) });
    let fx = on(&mut fleet, ms(12), Input::HostLeft(HostId(1)));
    assert!(fx.contains(&Effect::ForgetHost { host: HostId(1) }), "{fx:?}");
    assert!(fx.contains(&Effect::Stop { target: TargetId(2), incarnation: 0, force: false }), "{fx:?}");
}

#[test]
fn a_drain_that_lasts_too_long_is_cut_short() {
    let mut fleet = two_hosts(serde_json::json!({"drain_timeout_ms": 500}));
    on(&mut fleet, ms(10), down(0, 2));
    let fx = on(&mut fleet, ms(510), Input::Timer { id: TimerId::DrainTimeout(TargetId(2), 0) });
    assert_eq!(logged(&fx), [FleetWhat::DrainTimeout]);
    assert!(fx.contains(&Effect::Stop { target: TargetId(2), incarnation: 0, force: true }), "{fx:?}");
}

#[test]
fn starts_in_progress_count_against_the_maximum_and_can_be_shared() {
    let mut fleet = two_hosts(serde_json::json!({"max_targets": 3}));
    assert_eq!(logged(&on(&mut fleet, ms(1), up(0, 1))), [FleetWhat::Starting]);
    assert_eq!(logged(&on(&mut fleet, ms(2), up(1, 1))), [FleetWhat::UpRefused]);
    assert_eq!(logged(&on(&mut fleet, ms(3), up(0, 1))), [], "asked again, it waits for the same start");
    let mut shared = two_hosts(serde_json::json!({"max_targets": 3, "scale_up": "coalesced"}));
    on(&mut shared, ms(1), up(0, 1));
    assert_eq!(logged(&on(&mut shared, ms(2), up(1, 1))), [FleetWhat::Joined]);
    on(&mut shared, ms(5), Input::Spawned { target: TargetId(3), incarnation: 0 });
    let fx = on(&mut shared, ms(201), Input::Timer { id: TimerId::StartDelay(TargetId(3), 0) });
    let both_at_once = [(0, ms(201)), (1, ms(201)), (0, ms(201)), (1, ms(201))];
    assert_eq!(told(&fx), both_at_once, "both wait: both know the fleet and are answered");
}

#[test]
fn a_failed_start_ends_its_waiters_and_the_slot() {
    let mut fleet = two_hosts(serde_json::json!({}));
    on(&mut fleet, ms(1), up(0, 1));
    let fx = on(&mut fleet, ms(2), Input::Died { target: TargetId(3), incarnation: 0, held: 0 });
    assert_eq!((logged(&fx), told(&fx)), (vec![FleetWhat::StartFailed], vec![(0, ms(2))]));
    assert_eq!(fleet.members().count(), 3);
    assert_eq!(fleet.desired(), 2);
}

#[test]
fn a_dead_target_comes_back_ever_later_and_not_for_ever() {
    let mut fleet = two_hosts(serde_json::json!({}));
    let (mut now, mut incarnation) = (ms(10), 0);
    let rules = Restarts::at_scale(1.0);
    let mut backoffs = Vec::new();
    loop {
        let fx = on(&mut fleet, now, Input::Died { target: TargetId(1), incarnation, held: 3 });
        if logged(&fx).contains(&FleetWhat::GivenUp) {
            break;
        }
        let Some(Effect::Sleep { id, until }) = fx.into_iter().find(|e| matches!(e, Effect::Sleep { .. })) else {
            panic!("no backoff");
        };
        backoffs.push(until - now);
        now = until;
        incarnation += 1;
        let spawn = Effect::Spawn { target: TargetId(1), incarnation };
        assert!(on(&mut fleet, now, Input::Timer { id }).contains(&spawn));
        on(&mut fleet, now, Input::Spawned { target: TargetId(1), incarnation });
    }
    assert_eq!(backoffs.len(), rules.limit as usize);
    assert_eq!(backoffs[..3], [rules.first, rules.first + rules.first, Nanos(rules.first.0 * 4)]);
    assert_eq!(backoffs.last(), Some(&rules.longest));
}
