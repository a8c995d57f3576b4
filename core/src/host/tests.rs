//! One host's decisions, input by input; whole scenarios are the simulator's tests.

use serde_json::{Value, json};

use super::{Arrival, AttemptEnd, Change, Effect, Endpoint, Host, IdleCounts, Input, ScaleUpAnswer, Ticket, TimerId};
use crate::ids::{CallId, HostId, RequestId, TargetId};
use crate::outcome::RejectReason;
use crate::record::DecisionKind;
use crate::scenario::Scenario;
use crate::table::{BucketTable, FleetRows, Head, LoadTable, RowState};
use crate::time::Nanos;

/// A host, its table, and the tickets that it has handed out and not got back.
struct Rig {
    host: Host,
    table: BucketTable,
    tickets: Vec<Ticket>,
}

fn ms(ms: u64) -> Nanos {
    Nanos::from_millis(ms)
}

fn endpoint(target: u32) -> Endpoint {
    Endpoint::new(TargetId(target), 0, Nanos::ZERO)
}

/// Over `targets` targets of one slot; `lb` is laid over the load balancer's defaults.
fn rig(targets: u32, lb: Value) -> Rig {
    let scenario = json!({"load_balancer": lb, "targets": {"max_concurrency_per_target": 1},
        "scaling": {"idle_window_ms": 1000, "scan_interval_ms": 500}});
    let scenario = Scenario::from_value("host", &scenario, &mut |_| Err("no files".to_owned())).unwrap();
    let mut table = BucketTable::new(1, 1);
    let members: Vec<Endpoint> = (1..=targets).map(endpoint).collect();
    for member in &members {
        table.put(member.target, 0, RowState::Ready, Nanos::ZERO);
    }
    let mut fx = Vec::new();
    let host = Host::new(HostId(0), &scenario, Nanos::ZERO, 10, &members, &mut fx);
    assert!(matches!(fx[..], [Effect::Sleep { id: TimerId::Scan, until }] if until == ms(500)));
    Rig { host, table, tickets: Vec::new() }
}

fn round_robin(more: Value) -> Value {
    laid_over(json!({"architecture": "round_robin", "rr": {"retry_limit": 1}}), more)
}

fn least_conns(more: Value) -> Value {
    laid_over(json!({"architecture": "least_conns", "lc": {"retry_limit": 1, "tie_break": "lowest_id"}}), more)
}

fn laid_over(mut base: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

impl Rig {
    /// Feeds an input; keeps the tickets; what is left, without records and forgotten sleeps, in words.
    fn on(&mut self, now: Nanos, input: Input) -> Vec<String> {
        let mut fx = Vec::new();
        self.host.on(now, input, &mut self.table, &mut fx);
        fx.into_iter().filter_map(|effect| self.word(effect)).collect()
    }

    fn word(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Dispatch { ticket, .. } => {
                let (call, attempt) = (ticket.call(), ticket.attempt());
                let word = format!("{} to {} as attempt {attempt}", call.0, ticket.target());
                self.tickets.push(ticket);
                word
            }
            Effect::Answer { call, outcome, attempts, .. } => format!("{} {outcome} after {attempts}", call.0),
            Effect::Abort { call } => format!("abort {}", call.0),
            Effect::Sleep { id: TimerId::Wait(..), until } => format!("wait until {until}"),
            Effect::AskScaleUp { call } => format!("ask for {}", call.0),
            Effect::LeaveStart { call } => format!("{} leaves", call.0),
            Effect::AskScaleDown { target } => format!("down with {target}"),
            Effect::Released { target } => format!("released {target}"),
            Effect::ReadCounts { targets, .. } => format!("read {}", targets.len()),
            Effect::Wake { host } => format!("wake {host}"),
            Effect::Sleep { .. } | Effect::Forget { .. } | Effect::Record { .. } => return None,
        })
    }

    fn arrive(&mut self, now: Nanos, call: u64) -> Vec<String> {
        let arrival =
            Arrival { call: CallId(call), request: RequestId(call), deadline: now + ms(60_000), idempotent: true };
        self.on(now, Input::Arrive(arrival))
    }

    /// Ends the oldest open attempt.
    fn end(&mut self, now: Nanos, end: AttemptEnd) -> Vec<String> {
        let ticket = self.tickets.remove(0);
        self.on(now, Input::AttemptEnded { ticket, end })
    }
}

const DONE: AttemptEnd = AttemptEnd::Done { ok: true };
const FULL: AttemptEnd = AttemptEnd::Full { committed: false };

#[test]
fn round_robin_takes_turns_and_waits_after_every_refusal() {
    let mut rig = rig(2, round_robin(json!({"rr": {"retry_limit": 1, "retry_delay_ms": 7}})));
    assert_eq!(rig.arrive(ms(1), 1), ["1 to t-001 as attempt 1"]);
    assert_eq!(rig.end(ms(2), FULL), ["wait until 9 ms"]);
    assert_eq!(rig.on(ms(9), Input::Timer { id: TimerId::Wait(CallId(1), 1) }), ["1 to t-002 as attempt 2"]);
    // The wait after the last refusal comes before the scale-up, too.
    assert_eq!(rig.end(ms(10), FULL), ["wait until 17 ms"]);
    assert_eq!(rig.on(ms(17), Input::Timer { id: TimerId::Wait(CallId(1), 2) }), ["ask for 1"]);
    let members = vec![endpoint(1), endpoint(2), endpoint(3)];
    assert!(rig.on(ms(20), Input::Snapshot { version: 11, members }).is_empty());
    let answer = ScaleUpAnswer::Ready(TargetId(3), 0);
    assert_eq!(rig.on(ms(20), Input::ScaleUp { call: CallId(1), answer }), ["1 to t-003 as attempt 3"]);
    // The attempt on the new target did not touch the index.
    assert_eq!(rig.arrive(ms(21), 2), ["2 to t-001 as attempt 1"]);
}

#[test]
fn a_new_target_that_refuses_ends_the_call() {
    let mut rig = rig(0, round_robin(json!({})));
    assert_eq!(rig.arrive(ms(1), 1), ["ask for 1"]);
    let answer = ScaleUpAnswer::Ready(TargetId(1), 0);
    assert_eq!(rig.on(ms(2), Input::ScaleUp { call: CallId(1), answer }), ["1 to t-001 as attempt 1"]);
    assert_eq!(rig.end(ms(3), FULL), ["1 rejected;reason=new_target_full after 1"]);
    assert_eq!(rig.host.open_calls(), 0);
}

#[test]
fn least_connections_leaves_out_what_was_tried_while_another_has_room() {
    let mut rig = rig(2, least_conns(json!({"no_capacity": "fail"})));
    assert_eq!(rig.arrive(ms(1), 1), ["1 to t-001 as attempt 1"]);
    assert_eq!(rig.end(ms(2), FULL), ["1 to t-002 as attempt 2"]);
    assert_eq!(rig.end(ms(3), FULL), ["1 rejected;reason=retries_exhausted after 2"]);
    assert_eq!(rig.table.total_in_flight(), 0);
}

#[test]
fn least_connections_reserves_at_a_target_that_starts() {
    let mut rig = rig(0, least_conns(json!({})));
    assert_eq!(rig.arrive(ms(1), 1), ["ask for 1"]);
    rig.table.put(TargetId(1), 0, RowState::Starting, ms(1));
    assert!(rig.on(ms(1), Input::ScaleUp { call: CallId(1), answer: ScaleUpAnswer::Accepted(TargetId(1)) }).is_empty());
    assert_eq!(rig.table.in_flight(TargetId(1)), 1);
    rig.table.put(TargetId(1), 0, RowState::Ready, ms(5));
    assert_eq!(rig.arrive(ms(6), 2), ["ask for 2"], "the slot belongs to the first");
    let answer = ScaleUpAnswer::Ready(TargetId(1), 0);
    assert_eq!(rig.on(ms(6), Input::ScaleUp { call: CallId(1), answer }), ["1 to t-001 as attempt 1"]);
    assert_eq!(
        rig.on(ms(7), Input::ScaleUp { call: CallId(2), answer: ScaleUpAnswer::Refused }),
        ["2 rejected;reason=no_capacity after 0"]
    );
}

#[test]
fn a_call_that_ends_while_it_waits_for_a_start_leaves_it_and_gives_its_reservation_back() {
    for end in [Input::Timer { id: TimerId::Deadline(CallId(1)) }, Input::Cancelled { call: CallId(1) }] {
        let mut rig = rig(0, least_conns(json!({})));
        rig.arrive(ms(1), 1);
        rig.table.put(TargetId(1), 0, RowState::Starting, ms(1));
        rig.on(ms(1), Input::ScaleUp { call: CallId(1), answer: ScaleUpAnswer::Accepted(TargetId(1)) });
        let told = rig.on(ms(2), end);
        assert_eq!(told.last().map(String::as_str), Some("1 leaves"));
        assert_eq!(rig.table.total_in_flight(), 0);
        assert_eq!(rig.host.open_calls(), 0);
    }
}

#[test]
fn a_deadline_closes_the_attempt_and_its_ticket_frees_the_slot() {
    let mut rig = rig(1, least_conns(json!({})));
    rig.arrive(ms(1), 1);
    let fired = rig.on(ms(60_001), Input::Timer { id: TimerId::Deadline(CallId(1)) });
    assert_eq!(fired, ["abort 1", "1 timed_out after 1"]);
    assert_eq!(rig.table.total_in_flight(), 1);
    assert!(rig.end(ms(60_001), AttemptEnd::Closed { committed: false }).is_empty());
    assert_eq!((rig.table.total_in_flight(), rig.host.in_flight()), (0, 0));
    assert!(rig.on(ms(60_002), Input::Timer { id: TimerId::Deadline(CallId(1)) }).is_empty(), "an old timer");
}

/// The attempt's time is over, and the driver has closed it.
fn try_over(rig: &mut Rig, now: Nanos, attempt: u32, committed: bool) -> Vec<String> {
    assert_eq!(rig.on(now, Input::Timer { id: TimerId::Try(CallId(1), attempt) }), ["abort 1"]);
    rig.end(now, AttemptEnd::Closed { committed })
}

#[test]
fn an_attempt_that_takes_too_long_is_made_elsewhere_as_long_as_it_may_be() {
    let lb = json!({"try_timeout_ms": 50, "retry_on": ["timeout"]});
    let mut rig = rig(2, least_conns(lb));
    rig.arrive(ms(1), 1);
    assert_eq!(try_over(&mut rig, ms(51), 1, false), ["1 to t-002 as attempt 2"], "not where it was");
    assert_eq!(rig.table.total_in_flight(), 1, "the first slot is free");
    assert!(rig.on(ms(60), Input::Timer { id: TimerId::Try(CallId(1), 1) }).is_empty(), "an old timer");
    assert_eq!(try_over(&mut rig, ms(101), 2, false), ["1 failed;reason=timeout after 2"], "the budget is spent");
    assert_eq!((rig.table.total_in_flight(), rig.host.in_flight()), (0, 0));
}

#[test]
fn an_attempt_that_takes_too_long_is_made_again_only_where_that_is_safe() {
    let again = json!({"try_timeout_ms": 50, "retry_on": ["timeout"]});
    let mut committed = rig(2, least_conns(again.clone()));
    committed.arrive(ms(1), 1);
    assert_eq!(try_over(&mut committed, ms(51), 1, true), ["1 failed;reason=timeout after 1"]);

    let mut not_listed = rig(2, least_conns(json!({"try_timeout_ms": 50})));
    not_listed.arrive(ms(1), 1);
    assert_eq!(try_over(&mut not_listed, ms(51), 1, false), ["1 failed;reason=timeout after 1"]);

    let mut unsafe_method = rig(2, least_conns(again));
    let (call, request, deadline) = (CallId(1), RequestId(1), ms(60_000));
    unsafe_method.on(ms(1), Input::Arrive(Arrival { call, request, deadline, idempotent: false }));
    assert_eq!(try_over(&mut unsafe_method, ms(51), 1, false), ["1 failed;reason=timeout after 1"]);
}

#[test]
fn an_attempt_that_ends_just_then_has_ended() {
    let mut rig = rig(1, least_conns(json!({"try_timeout_ms": 50})));
    rig.arrive(ms(1), 1);
    assert_eq!(rig.on(ms(51), Input::Timer { id: TimerId::Try(CallId(1), 1) }), ["abort 1"]);
    assert_eq!(rig.end(ms(51), DONE), ["1 ok after 1"]);
}

#[test]
fn a_target_without_a_connection_is_left_out_until_the_fleet_changes() {
    let mut rig = rig(2, round_robin(json!({})));
    rig.arrive(ms(1), 1);
    assert_eq!(rig.end(ms(2), AttemptEnd::Gone), ["1 to t-002 as attempt 2"]);
    assert_eq!(rig.arrive(ms(3), 2), ["2 to t-002 as attempt 1"]);
    rig.on(ms(4), Input::FleetChange { version: 11, change: Change::Ready(endpoint(3)) });
    let next: Vec<_> = (3..6).flat_map(|call| rig.arrive(ms(5), call)).collect();
    assert_eq!(next, ["3 to t-001 as attempt 1", "4 to t-002 as attempt 1", "5 to t-003 as attempt 1"]);
}

#[test]
fn what_may_not_be_tried_again_ends_failed() {
    let mut rig = rig(2, round_robin(json!({"retry_on": ["connect"]})));
    rig.arrive(ms(1), 1);
    assert_eq!(rig.end(ms(2), FULL), ["1 failed;reason=http after 1"]);
    rig.arrive(ms(3), 2);
    assert_eq!(rig.end(ms(4), AttemptEnd::Reset { committed: false }), ["2 failed;reason=reset after 1"]);
}

/// A target refused after more of the body was sent than can be sent again.
const FULL_FOR_GOOD: AttemptEnd = AttemptEnd::Full { committed: true };

#[test]
fn a_refusal_that_cannot_be_tried_again_rejects_whatever_the_mode() {
    let queue = json!({"mode": "queue", "depth": 9, "timeout_ms": 100});
    for no_capacity in [json!("fail"), json!("wait_scale_up"), queue] {
        for lb in [round_robin(json!({})), least_conns(json!({}))] {
            let mut rig = rig(2, laid_over(lb, json!({"no_capacity": no_capacity})));
            rig.arrive(ms(1), 1);
            assert_eq!(rig.end(ms(2), FULL_FOR_GOOD), ["1 rejected;reason=retries_exhausted after 1"]);
            assert_eq!((rig.host.open_calls(), rig.table.total_in_flight()), (0, 0));
        }
    }
    let mut not_listed = rig(2, round_robin(json!({"retry_on": ["connect"]})));
    not_listed.arrive(ms(1), 1);
    assert_eq!(not_listed.end(ms(2), FULL_FOR_GOOD), ["1 failed;reason=http after 1"]);
}

#[test]
fn a_refusal_that_cannot_be_tried_again_is_waited_for_and_written_down_as_any_other() {
    let mut rig = rig(2, round_robin(json!({"rr": {"retry_limit": 1, "retry_delay_ms": 7}})));
    rig.arrive(ms(1), 1);
    let mut fx = Vec::new();
    let ticket = rig.tickets.remove(0);
    rig.host.on(ms(2), Input::AttemptEnded { ticket, end: FULL_FOR_GOOD }, &mut rig.table, &mut fx);
    assert!(fx.iter().any(|effect| matches!(
        effect,
        Effect::Record { decision, .. } if decision.kind == DecisionKind::Refuse
    )));
    let over = rig.on(ms(9), Input::Timer { id: TimerId::Wait(CallId(1), 1) });
    assert_eq!(over, ["1 rejected;reason=retries_exhausted after 1"]);
}

#[test]
fn a_call_that_is_rejected_for_its_body_leaves_its_slot_to_who_waits() {
    let queue = json!({"no_capacity": {"mode": "queue", "depth": 9, "timeout_ms": 100}});
    let mut rig = rig(1, least_conns(queue));
    rig.arrive(ms(1), 1);
    assert!(rig.arrive(ms(2), 2).is_empty());
    let freed = ["1 rejected;reason=retries_exhausted after 1", "2 to t-001 as attempt 1"];
    assert_eq!(rig.end(ms(3), FULL_FOR_GOOD), freed);
}

#[test]
fn a_cordon_is_released_when_nothing_is_in_flight_there() {
    let mut rig = rig(2, round_robin(json!({})));
    rig.arrive(ms(1), 1);
    let cordon = |version, target| Input::FleetChange { version, change: Change::Cordoned(TargetId(target)) };
    assert_eq!(rig.on(ms(2), cordon(11, 2)), ["released t-002"]);
    assert!(rig.on(ms(3), cordon(12, 1)).is_empty(), "it holds a ticket there");
    assert_eq!(rig.arrive(ms(4), 2), ["ask for 2"], "no dispatch to a cordoned target");
    assert_eq!(rig.end(ms(5), DONE), ["released t-001", "1 ok after 1"]);
    // A snapshot that knows of the cordon already does not spare the answer.
    rig.on(ms(6), Input::Snapshot { version: 20, members: vec![] });
    assert_eq!(rig.on(ms(7), cordon(13, 9)), ["released t-009"]);
}

#[test]
fn changes_that_a_snapshot_holds_are_not_applied_again() {
    let mut rig = rig(1, round_robin(json!({})));
    rig.on(ms(1), Input::Snapshot { version: 12, members: vec![endpoint(1), endpoint(2)] });
    rig.on(ms(2), Input::FleetChange { version: 12, change: Change::Gone(TargetId(2), 0) });
    let picks: Vec<_> = (1..3).flat_map(|call| rig.arrive(ms(3), call)).collect();
    assert_eq!(picks, ["1 to t-001 as attempt 1", "2 to t-002 as attempt 1"]);
}

#[test]
fn a_queue_is_first_in_first_out_and_bounded() {
    let queue = json!({"no_capacity": {"mode": "queue", "depth": 2, "timeout_ms": 100}});
    let mut rig = rig(1, least_conns(queue));
    assert_eq!(rig.arrive(ms(1), 1), ["1 to t-001 as attempt 1"]);
    assert!(rig.arrive(ms(2), 2).is_empty() && rig.arrive(ms(3), 3).is_empty());
    assert_eq!(rig.arrive(ms(4), 4), ["4 rejected;reason=queue_full after 0"]);
    assert_eq!(rig.end(ms(5), DONE), ["1 ok after 1", "2 to t-001 as attempt 1"]);
    let over = rig.on(ms(103), Input::Timer { id: TimerId::Queue(CallId(3)) });
    assert_eq!(over, ["3 rejected;reason=queue_timeout after 0"]);
    assert_eq!(rig.end(ms(104), DONE), ["2 ok after 1"]);
}

#[test]
fn a_round_robin_queue_without_a_completion_to_wait_for_tries_its_head_itself() {
    let queue = json!({"no_capacity": {"mode": "queue", "depth": 9, "timeout_ms": 100}, "rr": {"retry_limit": 0}});
    let mut rig = rig(1, round_robin(queue));
    rig.arrive(ms(1), 1);
    // Another host's request holds the slot: nothing of this host's is in flight, and nobody will wake it.
    assert!(rig.end(ms(2), FULL).is_empty());
    assert_eq!(rig.arrive(ms(3), 2), ["1 to t-001 as attempt 2"], "the head goes first");
    assert_eq!(rig.end(ms(4), DONE), ["1 ok after 2", "2 to t-001 as attempt 1"]);
}

#[test]
fn a_release_wakes_the_host_whose_head_has_waited_longest() {
    let queue = json!({"no_capacity": {"mode": "queue", "depth": 9, "timeout_ms": 100}});
    let mut rig = rig(1, least_conns(queue));
    rig.arrive(ms(1), 1);
    rig.table.set_waiting(HostId(7), Some(Head::fresh(ms(2))));
    assert_eq!(rig.end(ms(5), DONE), ["1 ok after 1", "wake 7"]);
}

#[test]
fn a_host_that_is_woken_tries_as_many_as_it_is_told_and_there_is_room_for() {
    let queue = json!({"no_capacity": {"mode": "queue", "depth": 9, "timeout_ms": 100}});
    let mut rig = rig(2, least_conns(queue));
    let others = [1, 2].map(|n| rig.table.reserve_at(HostId(7), TargetId(n)).expect("it has room"));
    (1..=4).for_each(|n| assert!(rig.arrive(ms(n), n).is_empty()));
    others.into_iter().for_each(|slot| rig.table.release(HostId(7), slot, ms(5)));
    assert_eq!(rig.on(ms(5), Input::Wake { most: 1 }), ["1 to t-001 as attempt 1"]);
    assert_eq!(rig.on(ms(6), Input::Wake { most: 3 }), ["2 to t-002 as attempt 1"]);
}

#[test]
fn an_injected_lock_delays_the_pick_and_the_effect_of_a_release() {
    let lc = json!({"lc": {"shared_map_lock_latency_ms": 2, "tie_break": "lowest_id"}});
    let mut rig = rig(1, least_conns(lc));
    assert_eq!(rig.arrive(ms(1), 1), ["wait until 3 ms"]);
    assert_eq!(rig.on(ms(3), Input::Timer { id: TimerId::Wait(CallId(1), 1) }), ["1 to t-001 as attempt 1"]);
    assert_eq!(rig.end(ms(10), DONE), ["1 ok after 1"], "nobody waits for a release");
    assert_eq!(rig.table.total_in_flight(), 1);
    rig.on(ms(12), Input::Timer { id: TimerId::Release(1) });
    assert_eq!(rig.table.total_in_flight(), 0);
}

#[test]
fn idle_targets_are_proposed_from_the_highest_number_down() {
    let mut rr = rig(3, round_robin(json!({})));
    assert!(rr.on(ms(500), Input::Timer { id: TimerId::Scan }).is_empty(), "none is older than the window");
    assert_eq!(rr.on(ms(1500), Input::Timer { id: TimerId::Scan }), ["read 3"]);
    let counts = |accepted_in_window, in_flight| IdleCounts { accepted_in_window, in_flight };
    let counts = vec![(TargetId(1), counts(0, 0)), (TargetId(2), counts(1, 0)), (TargetId(3), counts(0, 0))];
    assert_eq!(rr.on(ms(1500), Input::Counts { counts }), ["down with t-003", "down with t-001"]);
    let mut lc = rig(2, least_conns(json!({})));
    lc.arrive(ms(900), 1);
    assert_eq!(lc.on(ms(1500), Input::Timer { id: TimerId::Scan }), ["down with t-002"]);
}

/// When the next scan is due after one at `now`.
fn next_scan(rig: &mut Rig, now: Nanos) -> Nanos {
    let mut fx = Vec::new();
    rig.host.on(now, Input::Timer { id: TimerId::Scan }, &mut rig.table, &mut fx);
    let next = |effect| match effect {
        Effect::Sleep { id: TimerId::Scan, until } => Some(until),
        _ => None,
    };
    fx.into_iter().find_map(next).unwrap()
}

#[test]
fn scans_that_a_host_is_too_late_for_are_left_out() {
    let mut rig = rig(1, least_conns(json!({})));
    assert_eq!(next_scan(&mut rig, ms(500)), ms(1000));
    assert_eq!(next_scan(&mut rig, ms(2700)), ms(3000));
    assert_eq!(next_scan(&mut rig, ms(3000)), ms(3500));
}

#[test]
fn what_is_proposed_is_not_proposed_again_until_the_scaler_has_answered() {
    let scan = || Input::Timer { id: TimerId::Scan };
    let mut lc = rig(2, least_conns(json!({})));
    assert_eq!(lc.on(ms(1500), scan()), ["down with t-002", "down with t-001"]);
    assert!(lc.on(ms(2000), scan()).is_empty());
    assert!(lc.on(ms(2100), Input::ScaleDown { target: TargetId(2) }).is_empty());
    assert_eq!(lc.on(ms(2500), scan()), ["down with t-002"]);

    let mut rr = rig(1, round_robin(json!({})));
    let counts = || vec![(TargetId(1), IdleCounts { accepted_in_window: 0, in_flight: 0 })];
    assert_eq!(rr.on(ms(1500), scan()), ["read 1"]);
    assert!(rr.on(ms(2000), scan()).is_empty(), "the counts are still being read");
    assert_eq!(rr.on(ms(2100), Input::Counts { counts: counts() }), ["down with t-001"]);
    assert_eq!(rr.on(ms(2500), scan()), ["read 1"]);
    assert!(rr.on(ms(2500), Input::Counts { counts: counts() }).is_empty());
}

#[test]
fn every_attempt_and_reject_is_written_down() {
    let mut rig = rig(1, round_robin(json!({"no_capacity": "fail", "rr": {"retry_limit": 0}})));
    rig.arrive(ms(1), 1);
    let mut fx = Vec::new();
    let ticket = rig.tickets.remove(0);
    rig.host.on(ms(4), Input::AttemptEnded { ticket, end: FULL }, &mut rig.table, &mut fx);
    let record = |effect| match effect {
        Effect::Record { decision: d, .. } => Some((d.kind, d.at, d.until, d.known, d.own)),
        _ => None,
    };
    let records: Vec<_> = fx.into_iter().filter_map(record).collect();
    let refused = (DecisionKind::Refuse, ms(1), ms(4), 1, 1);
    let rejected = (DecisionKind::Reject(RejectReason::RetriesExhausted), ms(4), ms(4), 1, 0);
    assert_eq!(records, [refused, rejected]);
}
