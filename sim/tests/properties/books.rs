//! The books balance: planned, offered, outcomes, attempts, acceptances, slots.

use galton_core::plan::Plan;
use galton_core::record::{Decision, DecisionKind, FleetWhat};
use galton_core::scenario::{NoCapacity, OnDisconnect};
use galton_core::{Outcome, TargetId};

use crate::run::Run;

pub(crate) fn check(run: &Run) {
    planned(run);
    outcomes(run);
    attempts(run);
    decisions_and_trace_agree(run);
    slots(run);
}

/// planned = offered + unsent, and what is planned is the plan.
fn planned(run: &Run) {
    let rows = &run.records.trace;
    let plan: Vec<_> = Plan::new(&run.scenario).open_loop().collect();
    assert_eq!(plan.len(), rows.len(), "planned");
    for (planned, row) in plan.iter().zip(rows) {
        assert_eq!((planned.seq, planned.at, Some(planned.host.0)), (row.seq, row.t_intended, row.host));
        assert_eq!((planned.demand.hold, planned.demand.cpu), (row.hold_demand, row.cpu_demand));
        match row.t_send {
            Some(_) => assert!(row.t_intended <= run.end(), "{row:?} was sent after the end"),
            None => assert!(row.t_intended > run.end(), "{row:?} was never sent"),
        }
    }
}

/// What was offered has ended in one way or is unfinished, and the hosts count what the trace says.
fn outcomes(run: &Run) {
    let counters = &run.records.counters;
    assert_eq!(counters.load.sent, run.count(|_| true), "sent");
    let proxies = || counters.proxies.iter();
    assert_eq!(proxies().map(|p| p.received).sum::<u64>(), run.count(|_| true), "received");
    assert_eq!(proxies().map(|p| p.ok).sum::<u64>(), run.count(|o| o == Outcome::Ok), "ok");
    let rejected = run.count(|o| matches!(o, Outcome::Rejected(_)));
    assert_eq!(proxies().map(|p| p.rejected).sum::<u64>(), rejected, "rejected");
    assert_eq!(proxies().map(|p| p.timed_out).sum::<u64>(), run.count(|o| o == Outcome::TimedOut), "timed out");
    let failed = run.count(|o| matches!(o, Outcome::Failed(_)));
    assert_eq!(proxies().map(|p| p.failed).sum::<u64>(), failed, "failed");
    for (row, outcome) in run.offered() {
        let deadline = row.t_intended + run.scenario.traffic.timeout;
        match (outcome, row.t_end) {
            (Outcome::Unfinished, end) => assert!(end.is_none() && deadline > run.end(), "{row:?} was forgotten"),
            (Outcome::TimedOut, end) => assert_eq!(end, Some(deadline), "{row:?}"),
            (_, end) => assert!(end.is_some_and(|end| end <= deadline), "{row:?} is late"),
        }
    }
}

/// attempts = accepted + refused + without a connection; the latter only where a drain was cut short.
fn attempts(run: &Run) {
    let counters = &run.records.counters;
    let attempts: u64 = counters.proxies.iter().map(|p| p.attempts).sum();
    let gone: u64 = counters.proxies.iter().map(|p| p.connection_failures).sum();
    let met: u64 = counters.targets.iter().map(|t| t.accepted + t.refused).sum();
    assert_eq!(attempts, met + gone, "attempts");
    let cut_short = run.records.fleet.iter().any(|event| event.what == FleetWhat::DrainTimeout);
    assert!(gone == 0 || cut_short, "{gone} attempts found nobody");
    let written = run.records.decisions.iter().filter(|d| d.target.is_some()).count() as u64;
    assert_eq!(attempts, written, "attempts are written down when they end, or when the run does");
}

/// Per request: attempts are numbered from 1, and the last decision is what came of it.
fn decisions_and_trace_agree(run: &Run) {
    let decisions = run.by_request();
    let mut open = 0;
    for (row, outcome) in run.offered() {
        let decisions = decisions.get(&row.request()).map_or(&[][..], Vec::as_slice);
        let of_attempts = || decisions.iter().filter(|d| d.target.is_some());
        assert!(of_attempts().zip(1..).all(|(d, n)| d.attempt == n), "{row:?}: {decisions:?}");
        let last = decisions.last();
        match outcome {
            Outcome::Unfinished => {
                let cut_off = |d: &&&Decision| d.kind.occupied() && d.until == run.end();
                open += of_attempts().filter(cut_off).count() as u64;
                continue;
            }
            Outcome::Ok => assert!(last.is_some_and(|d| d.kind.occupied() && Some(d.until) == row.t_end)),
            Outcome::Rejected(reason) => {
                assert!(last.is_some_and(|d| d.kind == DecisionKind::Reject(reason)), "{row:?}: {decisions:?}");
            }
            _ => {}
        }
        assert_eq!(row.attempts, Some(of_attempts().count() as u32), "{row:?}: {decisions:?}");
        within_the_budget(run, decisions);
    }
    assert_eq!(open, run.open_tickets(), "what is cut off is written down until the end");
}

/// The first attempt, the retries, and the dispatch to a target started for it.
fn within_the_budget(run: &Run, decisions: &[&Decision]) {
    let balancer = &run.scenario.load_balancer;
    let most = 2 + balancer.rr.retry_limit.max(balancer.lc.retry_limit);
    if !matches!(balancer.no_capacity, NoCapacity::Queue { .. }) {
        let attempts = decisions.iter().filter(|d| d.target.is_some()).count() as u32;
        assert!(attempts <= most, "{attempts} attempts: {decisions:?}");
    }
}

/// accepted = completed + cancelled + held when it was stopped, or at the end; no ticket is lost.
fn slots(run: &Run) {
    let mut held_at_end = 0;
    for target in &run.records.counters.targets {
        let held = target.accepted - target.completed - target.cancelled;
        match held_when_stopped(run, target.target) {
            Some(then) => assert_eq!(held, u64::from(then), "{target:?} when it was stopped"),
            None => held_at_end += held,
        }
    }
    let open = run.open_tickets();
    match run.scenario.targets.on_disconnect {
        OnDisconnect::Cancel => assert_eq!(open, held_at_end, "what the hosts have is what the targets hold"),
        OnDisconnect::Finish => assert!(open <= held_at_end, "{open} of {held_at_end}"),
    }
    let unfinished = run.count(|outcome| outcome == Outcome::Unfinished);
    assert!(open <= unfinished, "a ticket was lost: {open} open, {unfinished} unfinished");
}

fn held_when_stopped(run: &Run, target: TargetId) -> Option<u32> {
    let stopped = |e: &&galton_core::record::FleetEvent| e.what == FleetWhat::Stopped && e.target == Some(target);
    run.records.fleet.iter().find(stopped).map(|event| event.held)
}
