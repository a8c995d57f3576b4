use galton_core::counters::Counters;
use galton_core::plan::Demand;
use galton_core::{HostId, RejectReason, Scenario};
use galton_report::{Generator, HostInfo, Kind, RunMeta};

use super::*;

const WARMUP: Nanos = Nanos(1000);
const RETRY_DELAY: Nanos = Nanos(500);

fn run(trace: Vec<TraceRow>, decisions: Vec<Decision>, fleet: Vec<FleetEvent>) -> RunData {
    let mut scenario = Scenario::default();
    scenario.simulation.warmup = WARMUP;
    scenario.load_balancer.rr.retry_delay = RETRY_DELAY;
    RunData {
        meta: RunMeta {
            kind: Kind::Live,
            id: "x".to_owned(),
            started_unix_ns: 0,
            command: Vec::new(),
            version: String::new(),
            time_scale: 1.0,
            host: HostInfo::default(),
            plan_sha256: String::new(),
        },
        scenario,
        trace,
        decisions: Some(decisions),
        fleet,
        counters: Counters::default(),
        generator: Generator::default(),
        reasons: Vec::new(),
        interrupted: false,
    }
}

/// A request that was served at once: every hop is another power of ten.
fn served(seq: u64, at: u64) -> (TraceRow, Decision) {
    let (request, demand) = (RequestId::open(seq), Demand { hold: Nanos(5_000_000), cpu: 0.0 });
    let row = TraceRow {
        t_send: Some(Nanos(at + 1)),
        proxy_recv: Some(Nanos(at + 11)),
        target_start: Some(Nanos(at + 1111)),
        target_done: Some(Nanos(at + 5_011_111)),
        t_end: Some(Nanos(at + 6_111_111)),
        outcome: TraceOutcome::Offered(Outcome::Ok),
        ..TraceRow::unsent(seq, request, HostId(0), Nanos(at), demand)
    };
    let decision = decision(seq, 1, DecisionKind::Accept, at + 111, at + 5_111_111);
    (row, decision)
}

fn decision(seq: u64, attempt: u32, kind: DecisionKind, at: u64, until: u64) -> Decision {
    let target = Some((TargetId(3), 0));
    let (at, until, request) = (Nanos(at), Nanos(until), RequestId::open(seq));
    Decision { at, until, host: HostId(0), request, attempt, target, kind, known: 1, own: 1 }
}

fn event(target: u32, what: FleetWhat, at: u64) -> FleetEvent {
    FleetEvent {
        at: Nanos(at),
        version: 1,
        target: Some(TargetId(target)),
        incarnation: 0,
        what,
        host: None,
        delay: Nanos::ZERO,
        overrun: Nanos::ZERO,
        held: 0,
    }
}

#[test]
fn every_hop_of_a_request_that_was_served_at_once_is_measured() {
    let (early, late) = (served(0, 999), served(1, 2000));
    let mut samples = Samples::default();
    samples.add_hops(&run(vec![early.0, late.0], vec![early.1, late.1], Vec::new()));
    let expected = Samples {
        send_lag: vec![1],
        client_to_proxy: vec![10],
        pick: vec![100],
        proxy_to_target: vec![1000],
        hold_over: vec![10_000],
        target_to_proxy: vec![100_000],
        proxy_to_client: vec![1_000_000],
        ..Samples::default()
    };
    assert_eq!(samples, expected);
    assert_eq!(samples.sizes(), [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn of_any_other_request_the_lag_alone_is_measured() {
    let retried = served(0, 2000);
    let mut rejected = served(1, 3000);
    rejected.0.outcome = TraceOutcome::Offered(Outcome::Rejected(RejectReason::NoCapacity));
    let mut unknown = served(2, 4000);
    unknown.0.target_start = None;
    let unrecorded = served(3, 5000);
    let refused = decision(0, 1, DecisionKind::Refuse, 2050, 2060);
    let trace = vec![retried.0, rejected.0, unknown.0, unrecorded.0];
    let mut samples = Samples::default();
    samples.add_hops(&run(trace, vec![refused, retried.1, rejected.1, unknown.1], Vec::new()));
    assert_eq!(samples, Samples { send_lag: vec![1; 4], ..Samples::default() });
}

#[test]
fn refusals_and_the_waits_after_them_are_measured() {
    let reject = DecisionKind::Reject(RejectReason::RetriesExhausted);
    let decisions = vec![
        // In any order, and of several requests at once.
        decision(0, 2, DecisionKind::Refuse, 2607, 2630),
        decision(1, 1, DecisionKind::Accept, 2100, 9000),
        decision(0, 1, DecisionKind::Refuse, 2000, 2100),
        decision(0, 2, reject, 3139, 3139),
        // Before the end of the warm-up.
        decision(2, 1, DecisionKind::Refuse, 500, 700),
    ];
    let mut samples = Samples::default();
    samples.add_refusals(&run(Vec::new(), decisions, Vec::new()));
    assert_eq!(samples, Samples { refusal: vec![100, 23], wait_over: vec![7, 9], ..Samples::default() });
}

#[test]
fn a_start_is_measured_from_the_question_to_the_dispatch() {
    let started = [
        decision(0, 1, DecisionKind::Refuse, 2000, 2010),
        decision(0, 2, DecisionKind::ScaleRoute, 2777, 9000),
        // Served by the first attempt: no start.
        decision(1, 1, DecisionKind::Accept, 2500, 9000),
    ];
    let fleet = vec![
        event(1, FleetWhat::Ready, 0),
        event(3, FleetWhat::Starting, 2040),
        event(4, FleetWhat::Starting, 2041),
        event(3, FleetWhat::Ready, 2740),
    ];
    let mut samples = Samples::default();
    samples.add_starts(&run(Vec::new(), started.to_vec(), fleet));
    let expected = Samples { ask: vec![30], spawn: vec![700], push: vec![37], ..Samples::default() };
    assert_eq!(samples, expected);
}

#[test]
fn samples_make_a_profile() {
    let (row, decision) = served(0, 2000);
    let mut samples = Samples::default();
    samples.add_hops(&run(vec![row], vec![decision], Vec::new()));
    let profile = samples.into_profile("a machine".to_owned(), 5);
    assert_eq!((profile.machine.as_str(), profile.measured_unix_ns), ("a machine", 5));
    assert_eq!(profile.pick, Delay::of(vec![100]));
    assert!(profile.spawn.is_empty());
    assert_eq!(Profile::from_value(&serde_json::to_value(&profile).unwrap()).unwrap(), profile);
}
