use galton_core::record::TraceOutcome;
use galton_core::{FailReason, Nanos};
use galton_report::Verdict;

use super::*;
use crate::tally::test_row;

const MS: u64 = 1_000_000;

fn track(end: End) -> Track {
    Track::new(Title::default(), end, Pace::Planned, 0, 0)
}

fn sample(now_ms: u64, sent: u64) -> Sample {
    let (now_ns, cpu_ns) = (now_ms * MS, now_ms * MS / 4);
    Sample { now_ns, sent, in_flight: 0, cpu_ns, peak_thread_cpu: 0.2, stopping: false }
}

/// `n` more requests with this response time, sent 50 µs late.
fn add(tally: &mut Tally, n: u64, outcome: Outcome, response_ms: u64) {
    let times = [Nanos::ZERO, Nanos(50_000), Nanos(response_ms * MS)];
    (0..n).for_each(|seq| tally.add(&test_row(seq, TraceOutcome::Offered(outcome), times)));
}

#[test]
fn the_last_seconds_forget_what_was_before() {
    let mut track = track(End { requests: None, duration: Some(Duration::from_secs(20)) });
    let mut tally = Tally::new();
    for second in 1..=10 {
        add(&mut tally, 1000, Outcome::Ok, if second <= 3 { 100 } else { 10 });
        track.view(&tally, &sample(second * 1000, second * 1000));
    }
    let view = track.view(&tally, &sample(10_250, 10_000));
    let about = |row: usize, column: usize, ms: u64| match view.latencies[row].figures[column] {
        Figure::Value(ns) => assert!(tally.response.equivalent(ns, ms * MS), "{ns} ns, not {ms} ms"),
        other => panic!("{other:?}"),
    };
    about(0, 2, 100);
    about(1, 2, 10);
    assert_eq!(view.seconds.len(), 10);
    assert!(view.seconds.iter().all(|second| second.completed == 1000 && second.bears_p99));
    assert_eq!((view.share, view.left), (Some(0.5125), Some(Duration::from_millis(9750))));
    assert_eq!((view.sent, view.done, view.phase), (10_000, 10_000, Phase::Sending));
    assert_eq!((view.verdict, view.reasons.len()), (Verdict::Valid, 0));
    assert!((view.cpu_now - 0.25).abs() < 1e-9);
}

#[test]
fn rates_are_those_of_the_last_second_and_of_the_whole() {
    let mut track = track(End::default());
    let mut tally = Tally::new();
    add(&mut tally, 100, Outcome::Ok, 1);
    track.view(&tally, &sample(1000, 100));
    add(&mut tally, 300, Outcome::Ok, 1);
    let view = track.view(&tally, &sample(2000, 400));
    assert_eq!((view.completed.now, view.completed.overall), (300.0, 200.0));
    assert_eq!((view.share, view.left), (None, None), "without an end nothing is left");
}

#[test]
fn outcomes_stand_in_the_order_of_their_number() {
    let mut tally = Tally::new();
    add(&mut tally, 3, Outcome::Failed(FailReason::Connect), 1);
    add(&mut tally, 5, Outcome::TimedOut, 1);
    let view = track(End { requests: Some(8), duration: None }).view(&tally, &sample(1000, 8));
    let named: Vec<_> = view.outcomes.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(named, [("ok", 0), ("timed out", 5), ("failed (connect)", 3)]);
    assert_eq!(view.phase, Phase::Draining, "all is sent");
}

#[test]
fn a_late_generator_is_told_while_it_runs() {
    let mut tally = Tally::new();
    let times = [Nanos::ZERO, Nanos(5 * MS), Nanos(6 * MS)];
    (0..1000).for_each(|seq| tally.add(&test_row(seq, TraceOutcome::Offered(Outcome::Ok), times)));
    let view = track(End::default()).view(&tally, &sample(1000, 1000));
    assert_eq!(view.verdict, Verdict::Invalid);
    assert!(view.reasons[0].contains("late"), "{:?}", view.reasons);
}

#[test]
fn bars_reach_from_the_shortest_to_the_longest() {
    let mut tally = Tally::new();
    add(&mut tally, 6, Outcome::Ok, 1);
    add(&mut tally, 4, Outcome::Ok, 4);
    let bars = bars(&tally.response);
    let at = |ms: f64, count| Bar { below_ns: (ms * MS as f64) as u64, count };
    assert_eq!(bars, [at(1.5, 6), at(2.0, 0), at(3.0, 0), at(5.0, 4)]);
}
