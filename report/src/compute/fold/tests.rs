use galton_core::record::TraceOutcome;
use galton_core::rng::{KeyedRng, Purpose};
use galton_core::{HostId, Outcome, RejectReason, RequestId};

use super::*;
use crate::input::{Kind, RunMeta};

/// Of a run of ten seconds.
fn fold() -> Fold {
    let value = serde_json::json!({
        "simulation": {"seed": 1, "duration_ms": 10_000, "warmup_ms": 1_000},
        "traffic": {"arrival": {"rate_per_sec": 300}, "timeout_ms": 400},
        "targets": {"initial_count": 90, "max_concurrency_per_target": 3},
        "scaling": {"min_targets": 90, "max_targets": 90}
    });
    Fold::new(&Scenario::from_value("together", &value, &mut |_| Err(String::new())).unwrap()).unwrap()
}

fn finish(fold: Fold) -> String {
    let meta = RunMeta::nameless(Kind::Simulated);
    let (counters, generator) = Default::default();
    fold.finish(&RunFacts { meta, counters, generator, reasons: Vec::new(), interrupted: false }).to_json()
}

/// The `seq`-th request ends. At first all are served at once, later some wait, and some come to something else.
fn ended(seq: u64, rng: &mut KeyedRng) -> Ended {
    let (mut draw, wild) = (|n: u32| u64::from(rng.below(n)), seq > 1_000);
    let at = Nanos(seq * 3_300_000);
    let sent = at + Nanos(if wild && draw(5) == 0 { draw(3_000_000) } else { 0 });
    let end = sent + Nanos(1_000_000 + draw(300_000_000));
    let ok = !wild || draw(12) > 0;
    let otherwise = [Outcome::TimedOut, Outcome::Rejected(RejectReason::ALL[0]), Outcome::Unfinished];
    let outcome = if ok { Outcome::Ok } else { otherwise[draw(3) as usize] };
    Ended {
        t_intended: at,
        t_send: Some(sent),
        t_end: Some(end).filter(|_| outcome != Outcome::Unfinished),
        outcome: TraceOutcome::Offered(outcome),
        attempts: Some(draw(3) as u32 + 1),
        target: Some(TargetId(draw(90) as u32)),
        hold: Some(end - sent).filter(|_| ok && !(wild && draw(40) == 0)),
        overhead: Some(Nanos(if wild { draw(4) * 50 } else { 0 })),
    }
}

/// Its decision is complete.
fn decision(seq: u64, row: &Ended, rng: &mut KeyedRng) -> Decision {
    Decision {
        at: row.t_intended,
        until: row.t_end.unwrap_or(row.t_intended),
        host: HostId(0),
        request: RequestId::open(seq),
        attempt: 1,
        target: row.target.map(|target| (target, 0)),
        kind: if rng.below(9) == 0 { DecisionKind::Refuse } else { DecisionKind::Accept },
        known: 90,
        own: 1,
    }
}

/// `each`: nothing waits.
fn told(each: bool) -> String {
    let (mut fold, mut rng) = (fold(), KeyedRng::new(5, Purpose::Hold, 0));
    for seq in 0..3_000 {
        let row = ended(seq, &mut rng);
        let decision = decision(seq, &row, &mut rng);
        let (target, _) = decision.target.unwrap();
        if decision.kind.occupied() {
            fold.taken(decision.at, target, 2.5);
            if each {
                fold.gauging.catch_up();
            }
        }
        fold.decided(&decision, row.t_intended, 2.5);
        if each {
            fold.gauging.catch_up();
            fold.ended_otherwise(&row);
        } else {
            fold.ended(&row);
        }
    }
    finish(fold)
}

#[test]
fn many_together_say_what_each_of_them_does() {
    assert!(told(true) == told(false), "the two reports differ");
}
