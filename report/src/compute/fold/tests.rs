use galton_core::counters::TargetCounters;
use galton_core::record::{FleetWhat, TraceOutcome};
use galton_core::rng::{KeyedRng, Purpose};
use galton_core::{HostId, Outcome, RejectReason, RequestId};

use super::*;
use crate::input::{Kind, RunMeta};

/// Of a run of ten seconds.
fn fold() -> Fold {
    fold_of(10_000, 1_000)
}

fn fold_of(duration_ms: u64, warmup_ms: u64) -> Fold {
    let value = serde_json::json!({
        "simulation": {"seed": 1, "duration_ms": duration_ms, "warmup_ms": warmup_ms},
        "traffic": {"arrival": {"rate_per_sec": 300}, "timeout_ms": 400},
        "targets": {"initial_count": 90, "max_concurrency_per_target": 3},
        "scaling": {"min_targets": 90, "max_targets": 90}
    });
    Fold::new(&Scenario::from_value("together", &value, &mut |_| Err(String::new())).unwrap()).unwrap()
}

fn report(fold: Fold) -> Report {
    let meta = RunMeta::nameless(Kind::Simulated);
    let (counters, generator) = Default::default();
    fold.finish(&RunFacts { meta, counters, generator, reasons: Vec::new(), interrupted: false })
}

fn finish(fold: Fold) -> String {
    report(fold).to_json()
}

/// A request that is sent when it was meant to be, and served by the first target.
fn served(at: Nanos, end: Nanos) -> Ended {
    Ended {
        t_intended: at,
        t_send: Some(at),
        t_end: Some(end),
        outcome: TraceOutcome::Offered(Outcome::Ok),
        attempts: Some(1),
        target: Some(TargetId(1)),
        hold: Some(end - at),
        overhead: Some(Nanos::ZERO),
    }
}

/// The sum of a column of the series.
fn sum(report: &Report, column: &str) -> u64 {
    let at = report.series.columns.iter().position(|name| *name == column).unwrap();
    report.series.rows.iter().filter_map(|row| row.0[at]).sum::<f64>() as u64
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

#[test]
fn the_series_holds_everything_to_the_last_edge() {
    let second = |n: u64| Nanos(n * 1_000_000_000);
    let mut fold = fold_of(10_000, 0);
    for n in 0..10 {
        // All of the last ten end where the last bucket of the window does.
        fold.ended(&served(second(n), second(n) + Nanos(7)));
        fold.ended(&served(second(9), second(10)));
    }
    fold.ended(&Ended { outcome: TraceOutcome::Offered(Outcome::TimedOut), ..served(second(9), second(10)) });
    let report = report(fold);
    let counts = &report.counts;
    assert_eq!((counts.offered, counts.ok, counts.timed_out), (21, 20, 1));
    let columns = ["offered", "ok", "timed_out"];
    assert_eq!(columns.map(|column| sum(&report, column)), [counts.offered, counts.ok, counts.timed_out]);
    let ends = report.series.rows.len() as u64 * report.series.bucket_ns.0;
    assert_eq!(Nanos(ends), second(10) + report.series.bucket_ns);
}

#[test]
fn a_run_that_takes_longer_than_planned_by_far_has_no_more_buckets() {
    let far = Nanos(3 * 86_400_000_000_000);
    let mut fold = fold_of(10, 0);
    for n in 0..8 {
        let at = Nanos(n * 1_000_000);
        fold.taken(at, TargetId(1), 1.0);
        fold.ended(&served(at, at + Nanos(500_000)));
    }
    fold.ended(&served(Nanos(9_000_000), far));
    let report = report(fold);
    let (series, latency) = (&report.series, &report.series.latency);
    assert!((1_000..=4_001).contains(&series.rows.len()), "{}", series.rows.len());
    assert!(latency.rows.len() < 100, "{}", latency.rows.len());
    assert_eq!((sum(&report, "offered"), sum(&report, "ok")), (9, 9));
    assert_eq!(far.0 / series.bucket_ns.0 + 1, series.rows.len() as u64);
    assert!(series.rows.iter().all(|row| row.0.len() == series.columns.len()));
}

#[test]
fn cpu_is_held_against_the_time_in_which_it_was_used() {
    let second = |n: u64| Nanos(n * 1_000_000_000);
    let cores = |ended_by_client: bool| {
        let mut fold = fold_of(1_000, 0);
        let (target, host) = (Some(TargetId(1)), None);
        let (delay, overrun) = (Nanos::ZERO, Nanos::ZERO);
        let what = FleetWhat::Ready;
        fold.changed(&FleetEvent {
            at: Nanos(0),
            version: 1,
            target,
            incarnation: 0,
            what,
            host,
            delay,
            overrun,
            held: 0,
        });
        let row = served(Nanos(0), second(if ended_by_client { 1 } else { 4 }));
        let mut decision = decision(0, &row, &mut KeyedRng::new(1, Purpose::Hold, 0));
        (decision.kind, decision.until) = (DecisionKind::Accept, second(4));
        fold.taken(decision.at, TargetId(1), 1.0);
        fold.decided(&decision, row.t_intended, 1.0);
        fold.ended(&row);
        let (meta, generator, reasons) = (RunMeta::nameless(Kind::Simulated), Default::default(), Vec::new());
        let mut facts = RunFacts { meta, counters: Default::default(), generator, reasons, interrupted: false };
        facts.counters.targets.push(TargetCounters {
            target: TargetId(1),
            incarnation: 0,
            died: false,
            accepted: 1,
            refused: 0,
            completed: 1,
            cancelled: 0,
            cpu: second(4),
            cpu_burned: second(2),
            delays_overrun: 0,
        });
        let report = fold.finish(&facts);
        (report.targets[0].cpu_cores, report.targets[0].cpu_cores_burned)
    };
    // One core, or less, for four seconds, of which the window has but one; even where the client gave up before.
    assert_eq!([cores(false), cores(true)], [(Some(1.0), Some(0.5)); 2]);
}
