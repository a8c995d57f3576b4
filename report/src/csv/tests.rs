use galton_core::plan::Demand;
use galton_core::record::{Decision, DecisionKind, FleetEvent, FleetWhat, TraceOutcome, TraceRow};
use galton_core::{FailReason, HostId, Nanos, Outcome, RejectReason, RequestId, TargetId};

use super::*;

fn rows() -> Vec<TraceRow> {
    let full = TraceRow {
        seq: 0,
        user: Some(3),
        round: Some(0),
        host: Some(1),
        t_intended: Nanos(10),
        t_send: Some(Nanos(11)),
        t_end: Some(Nanos(99)),
        outcome: TraceOutcome::Offered(Outcome::Rejected(RejectReason::NoCapacity)),
        status: Some(503),
        attempts: Some(2),
        target: Some(TargetId(7)),
        proxy_recv: Some(Nanos(12)),
        proxy_done: Some(Nanos(98)),
        target_start: Some(Nanos(20)),
        target_done: Some(Nanos(90)),
        hold_demand: Nanos(70),
        cpu_demand: 0.1,
        cpu_used: Some(Nanos(5)),
        overhead: Some(Nanos(3)),
    };
    let demand = Demand { hold: Nanos(70), cpu: 0.1 };
    let planned = TraceRow::unsent(u64::MAX, RequestId::open(0), HostId(0), Nanos(10), demand);
    let unsent = TraceRow { host: None, ..planned };
    vec![full, unsent]
}

#[test]
fn a_trace_reads_back_as_it_was_written() {
    let text = trace::write(Vec::new(), &rows()).unwrap();
    assert!(
        text.starts_with(
            b"seq,user,round,host,t_intended_ns,t_send_ns,t_end_ns,outcome,reason,status,attempts,target,"
        )
    );
    assert_eq!(trace::read(&text[..]).unwrap(), rows());
    let windows = String::from_utf8(text).unwrap().replace('\n', "\r\n");
    assert_eq!(trace::read(windows.as_bytes()).unwrap(), rows());
}

#[test]
fn decisions_and_fleet_read_back_as_they_were_written() {
    let decisions: Vec<Decision> = [
        (DecisionKind::Accept, Some((TargetId(1), 2))),
        (DecisionKind::Fail(FailReason::Reset), Some((TargetId(12), 0))),
        (DecisionKind::Reject(RejectReason::QueueFull), None),
    ]
    .map(|(kind, target)| Decision {
        at: Nanos(1),
        until: Nanos(2),
        host: HostId(3),
        request: RequestId::closed(5, 6),
        attempt: 1,
        target,
        kind,
        known: 4,
        own: 5,
    })
    .to_vec();
    let text = decisions::write(Vec::new(), &decisions).unwrap();
    assert_eq!(decisions::read(&text[..]).unwrap(), decisions);

    let events: Vec<FleetEvent> = [(FleetWhat::Ready, Some(TargetId(1))), (FleetWhat::UpRefused, None)]
        .map(|(what, target)| FleetEvent {
            at: Nanos(9),
            version: 2,
            target,
            incarnation: 1,
            what,
            host: target.map(|_| HostId(0)),
            delay: Nanos(200),
            overrun: Nanos(1),
            held: 3,
        })
        .to_vec();
    let text = fleet::write(Vec::new(), &events).unwrap();
    assert_eq!(fleet::read(&text[..]).unwrap(), events);
}

#[test]
fn a_fault_names_line_and_column() {
    let good = String::from_utf8(trace::write(Vec::new(), &rows()).unwrap()).unwrap();
    let error = |text: &str| trace::read(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(error(&good.replace(",503,", ",x,")), "line 2, column status: \"x\" is not a u16");
    assert_eq!(error(&good.replace("t-007", "7")), "line 2, column target: \"7\" is not a TargetId");
    assert_eq!(
        error(&good.replace("unsent", "lost")),
        "line 3, column outcome: \"lost\" with reason \"\" is no outcome"
    );
    assert_eq!(error(&good.replace("0.1", "NaN")), "line 2, column cpu_demand: must be ≥ 0 and finite, got NaN");
    assert_eq!(error(&good.replace("user", "usr")), "line 1: column 2 is \"usr\", expected \"user\"");
    assert_eq!(error(""), "line 1: column 1 is \"\", expected \"seq\"");
    assert_eq!(error(&format!("{good}1,2\n")), "line 4: expected 20 cells, found 2");
    assert_eq!(error(&good[..good.len() - 1]), "line 3: cut off: it has no end");
    assert_eq!(error(&"x".repeat(5000)), "line 1: longer than 4096 bytes");
}
