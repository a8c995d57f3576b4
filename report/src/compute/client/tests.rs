use galton_core::plan::Demand;
use galton_core::{FailReason, HostId, RequestId};

use super::*;
use crate::generator::Pace;
use crate::input::{Generator, Kind, RunFacts, RunMeta};
use crate::model::{Connections, Errors, Report};
use crate::validity::{Severity, Verdict};

/// A row with intended send, send and end in milliseconds.
pub(super) fn row(seq: u64, outcome: Outcome, ms: [f64; 3]) -> TraceRow {
    let [intended, send, end] = ms.map(Nanos::from_millis_f64);
    let demand = Demand { hold: Nanos::ZERO, cpu: 0.0 };
    TraceRow {
        t_send: Some(send),
        t_end: Some(end),
        outcome: TraceOutcome::Offered(outcome),
        status: (outcome == Outcome::Ok).then_some(200),
        ..TraceRow::unsent(seq, RequestId::open(seq), HostId(0), intended, demand)
    }
}

fn unsent(seq: u64, at_ms: f64) -> TraceRow {
    TraceRow { t_send: None, t_end: None, outcome: TraceOutcome::Unsent, ..row(seq, Outcome::Shed, [at_ms; 3]) }
}

fn plan(warm_up: WarmUp) -> Plan {
    Plan { timeout: Nanos::from_millis(1_000), warm_up, log: true, ..Plan::default() }
}

/// What is known besides the rows, of a generator with nothing to hide.
fn finish(fold: ClientFold, interrupted: bool) -> (Report, String) {
    finish_as(fold, Pace::Planned, interrupted, |_| {})
}

fn finish_as(fold: ClientFold, pace: Pace, interrupted: bool, noticed: impl Fn(&mut RunFacts)) -> (Report, String) {
    finish_with(fold, pace, interrupted, noticed, Errors::default())
}

fn finish_with(
    fold: ClientFold,
    pace: Pace,
    interrupted: bool,
    noticed: impl Fn(&mut RunFacts),
    errors: Errors,
) -> (Report, String) {
    let all = fold.whole.counts();
    let mut facts = RunFacts {
        meta: RunMeta { id: "loadgen".to_owned(), ..RunMeta::nameless(Kind::Live) },
        counters: Default::default(),
        generator: Generator { in_flight_integral: Some(fold.whole.service_sum), ..Generator::default() },
        reasons: Vec::new(),
        interrupted,
    };
    facts.counters.load.sent = all.offered - all.shed;
    noticed(&mut facts);
    let client = ClientFacts {
        pace,
        model: "open loop".to_owned(),
        to: "http://127.0.0.1:8080/".to_owned(),
        scenario: serde_json::json!({}),
        seed: 1,
        connections: Connections::default(),
        errors,
        body_bytes: 0,
    };
    fold.finish(&facts, &client)
}

/// `n` requests a millisecond apart, each 0.05 ms late, with this response time.
fn steady(n: u64, warm_up: WarmUp, response_ms: impl Fn(u64) -> f64) -> ClientFold {
    let mut fold = ClientFold::new(plan(warm_up));
    for seq in 0..n {
        let at = seq as f64;
        fold.add(&row(seq, Outcome::Ok, [at, at + 0.05, at + response_ms(seq)]));
    }
    fold
}

/// A report of requests that failed with these texts, in their order, and its interval log.
pub(crate) fn report_and_log_of_errors(texts: &[(FailReason, &str)], warm_up: WarmUp) -> (Report, String) {
    let (mut fold, mut errors) = (ClientFold::new(plan(warm_up)), Errors::default());
    for (seq, (reason, text)) in (0..).zip(texts) {
        let at = seq as f64;
        fold.add(&row(seq, Outcome::Failed(*reason), [at, at, at + 1.0]));
        errors.count(*reason, text);
    }
    finish_with(fold, Pace::Planned, false, |_| {}, errors)
}

/// The report of requests 10 ms apart: how each ended, and its response time in milliseconds.
pub(crate) fn report_of(requests: impl Iterator<Item = (Outcome, u64)>) -> Report {
    report_and_log_of(requests).0
}

/// As [`report_of`], and its interval log.
pub(crate) fn report_and_log_of(requests: impl Iterator<Item = (Outcome, u64)>) -> (Report, String) {
    let mut fold = ClientFold::new(plan(WarmUp::None));
    for (seq, (outcome, ms)) in (0..).zip(requests) {
        let at = seq as f64 * 10.0;
        fold.add(&row(seq, outcome, [at, at, at + ms as f64]));
    }
    finish(fold, false)
}

fn codes(report: &Report) -> Vec<&str> {
    report.validity.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

#[test]
fn a_run_of_unknown_length_becomes_a_report() {
    let (report, log) = finish(steady(1_000, WarmUp::None, |_| 2.0), false);
    assert_eq!((report.counts.planned, report.counts.ok), (1_000, 1_000));
    assert_eq!((report.validity.verdict, codes(&report)), (Verdict::Valid, vec![]));
    assert!((report.rates.offered - 1_001.0).abs() < 1.0, "{:?}", report.rates);
    assert_eq!(report.latency.response.quantiles[0].value, Some(2_000_000));
    assert_eq!(report.latency.service.quantiles[0].value, Some(1_950_000));
    let client = report.client.as_ref().unwrap();
    assert_eq!((client.statuses[&200], client.excluded), (1_000, None));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    for absent in ["gauges", "scaling", "targets"] {
        assert!(json.get(absent).is_none(), "{absent}");
    }
    let intervals = crate::hlog::read(log.as_bytes()).unwrap();
    assert_eq!(intervals.iter().filter(|i| i.tag == "response").map(|i| i.histogram.len()).sum::<u64>(), 1_000);
}

#[test]
fn a_late_or_unsent_plan_is_invalid_unless_a_cap_or_somebody_held_it() {
    let late = || {
        let mut fold = ClientFold::new(plan(WarmUp::None));
        (0..1_000).for_each(|i| fold.add(&row(i, Outcome::Ok, [i as f64, i as f64 + 2.0, i as f64 + 3.0])));
        fold
    };
    let of = |pace| finish_as(late(), pace, false, |_| {}).0;
    assert_eq!(codes(&of(Pace::Planned)), ["SEND_LAG_P99", "PLAN_NOT_SENT_IN_TIME"]);
    assert_eq!(codes(&of(Pace::Capped)), ["QUEUED_AT_CAP"]);
    assert_eq!(codes(&of(Pace::Unpaced)), [""; 0]);
    let short = || {
        let mut fold = steady(980, WarmUp::None, |_| 2.0);
        (980..1_000).for_each(|i| fold.add(&unsent(i, i as f64)));
        fold
    };
    assert_eq!(codes(&finish(short(), false).0), ["PLAN_NOT_SENT_IN_TIME"]);
    assert_eq!(codes(&finish_as(short(), Pace::Capped, false, |_| {}).0), ["PLAN_NOT_SENT"]);
    let (stopped, _) = finish(steady(980, WarmUp::None, |_| 2.0), true);
    assert_eq!((stopped.validity.verdict, codes(&stopped)), (Verdict::Valid, vec!["INTERRUPTED"]));
}

#[test]
fn lost_requests_and_what_the_sender_noticed_count() {
    let of =
        |noticed: fn(&mut RunFacts)| finish_as(steady(1_000, WarmUp::None, |_| 2.0), Pace::Planned, false, noticed).0;
    let lost = of(|facts| facts.counters.load.sent -= 1);
    assert_eq!((lost.validity.verdict, codes(&lost)), (Verdict::Invalid, vec!["CONSERVATION"]));
    let noticed = of(|facts| {
        facts.generator.longest_stall = Nanos::from_millis(11);
        facts.generator.descriptors_exhausted = true;
        facts.generator.in_flight_integral = facts.generator.in_flight_integral.map(|area| area * 1.006);
        facts.counters.load.peak_thread_cpu = 0.9;
    });
    assert_eq!(codes(&noticed), ["DESCRIPTORS_EXHAUSTED", "GENERATOR_CPU", "SENDER_STALL", "LITTLE"]);
}

#[test]
fn time_outs_are_censored_where_they_were_given_up() {
    let censored = |from_send| {
        let mut fold = ClientFold::new(Plan { timeout_from_send: from_send, ..plan(WarmUp::None) });
        (0..100).for_each(|i| fold.add(&row(i, Outcome::TimedOut, [0.0, 500.0, 1_600.0])));
        fold.add(&row(100, Outcome::Failed(FailReason::Reset), [0.0, 0.0, 1.0]));
        finish_as(fold, Pace::Capped, false, |_| {}).0
    };
    let median = |report: &Report| (report.latency.response.min, report.latency.service.min);
    assert_eq!(median(&censored(false)), (Some(1_000_000_000), Some(500_000_000)));
    assert_eq!(median(&censored(true)), (Some(1_500_000_000), Some(1_000_000_000)));
    assert_eq!(censored(true).latency_by_outcome["failed"].n, 1);
}

#[test]
fn a_warm_up_of_a_time_or_a_number_is_left_out_and_told() {
    for warm_up in [WarmUp::Time(Nanos::from_millis(300)), WarmUp::Requests(300)] {
        let (report, log) = finish(steady(1_000, warm_up, |i| if i < 300 { 50.0 } else { 2.0 }), false);
        assert_eq!((report.counts.planned, report.latency.response.n), (700, 700), "{warm_up:?}");
        assert_eq!(report.latency.response.quantiles.last().unwrap().value, Some(2_000_000));
        let excluded = report.client.as_ref().unwrap().excluded.unwrap();
        assert_eq!((excluded.requests, excluded.until_ns), (300, Nanos::from_millis(300)));
        // The whole run is in the series, and in the books.
        assert_eq!(report.series.rows.iter().filter_map(|row| row.0[1]).sum::<f64>(), 1_000.0);
        assert_eq!(report.conservation.rows[0].left, 1_000);
        let intervals = crate::hlog::read(log.as_bytes()).unwrap();
        assert_eq!(intervals.iter().filter(|i| i.tag == "send_lag").map(|i| i.histogram.len()).sum::<u64>(), 700);
    }
}

/// A little noise, so that there is an error to make small.
fn noisy(i: u64) -> f64 {
    2.0 + (i.wrapping_mul(2_654_435_761) % 1_000) as f64 / 1_000.0
}

#[test]
fn auto_cuts_the_warm_up_and_says_when_there_was_no_end_of_it() {
    let (report, _) = finish(steady(20_000, WarmUp::Auto, |i| noisy(i) + if i < 1_000 { 40.0 } else { 0.0 }), false);
    let excluded = report.client.as_ref().unwrap().excluded.unwrap();
    assert!(excluded.steady && (1_000..3_000).contains(&excluded.requests), "{excluded:?}");
    assert!(report.latency.response.quantiles.last().unwrap().value.unwrap() < 4_000_000);

    let (rising, _) = finish(steady(20_000, WarmUp::Auto, |i| noisy(i) + i as f64 / 100.0), false);
    let excluded = rising.client.as_ref().unwrap().excluded.unwrap();
    assert!(!excluded.steady && (9_900..10_300).contains(&excluded.requests), "{excluded:?}");
    let reason = rising.validity.reasons.iter().find(|reason| reason.code == "NOT_STEADY").unwrap();
    assert_eq!(reason.severity, Severity::Suspect);
}

#[test]
fn what_was_never_sent_says_nothing_about_the_warm_up() {
    let all = |small: bool| {
        let mut fold = if small {
            outgrown(1_999, |i| noisy(i) + i as f64 / 100.0)
        } else {
            steady(1_999, WarmUp::Auto, |i| noisy(i) + i as f64 / 100.0)
        };
        (1_999..9_000).for_each(|i| fold.add(&unsent(i, 1e6 + i as f64)));
        finish(fold, false).0
    };
    for report in [all(false), all(true)] {
        let excluded = report.client.as_ref().unwrap().excluded.unwrap();
        assert!(!excluded.steady && (700..1_500).contains(&excluded.requests), "{excluded:?}");
    }
}

#[test]
fn a_report_on_nothing_is_invalid() {
    let (report, _) = finish(steady(100, WarmUp::Requests(200), |_| 2.0), false);
    assert_eq!((report.validity.verdict, codes(&report)), (Verdict::Invalid, vec!["NOTHING_MEASURED"]));
}

/// As [`steady`], with a buffer of 1000 rows.
fn outgrown(n: u64, response_ms: impl Fn(u64) -> f64) -> ClientFold {
    let mut fold = ClientFold::new(plan(WarmUp::Auto));
    let Warming::Waiting(waiting) = &mut fold.warming else { panic!("auto waits") };
    waiting.shrink(1_000);
    for seq in 0..n {
        let at = seq as f64;
        fold.add(&row(seq, Outcome::Ok, [at, at + 0.05, at + response_ms(seq)]));
    }
    fold
}

#[test]
fn a_run_that_outgrows_the_buffer_is_still_decided() {
    // Settles at 20 000, which the look at 64 000 finds: the younger candidate began at 32 000.
    let settles = |i: u64| noisy(i) + 100.0 * (1.0 - (i as f64 / 20_000.0)).max(0.0);
    let mut fold = outgrown(70_000, settles);
    assert!(!fold.take_log().is_empty());
    assert!(matches!(fold.warming, Warming::Over(_)));
    let (report, _) = finish(fold, false);
    let excluded = report.client.as_ref().unwrap().excluded.unwrap();
    assert!(excluded.steady && (31_000..33_000).contains(&excluded.requests), "{excluded:?}");
    assert_eq!(report.conservation.rows[0].left, 70_000);

    let (rising, _) = finish(outgrown(50_000, |i| noisy(i) + i as f64 / 100.0), false);
    let excluded = rising.client.as_ref().unwrap().excluded.unwrap();
    let share = excluded.requests as f64 / 50_000.0;
    assert!(!excluded.steady && (0.37..=0.76).contains(&share), "{excluded:?}");
}

#[test]
fn every_form_of_the_report_says_why_requests_failed() {
    let (refused, broke) = ("Connection refused (os error 111)", "connection closed | before the response");
    let texts: Vec<_> =
        (0..30).map(|i| if i < 20 { (FailReason::Reset, broke) } else { (FailReason::Connect, refused) }).collect();
    let (report, _) = report_and_log_of_errors(&texts, WarmUp::None);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let expected = serde_json::json!([
        {"reason": "reset", "text": broke, "requests": 20},
        {"reason": "connect", "text": refused, "requests": 10},
    ]);
    assert_eq!(json["client"]["errors"], expected);
    let said = report.summary(80, false);
    assert!(
        said.contains(&format!("\nerror       reset × 20: {broke}\nerror       connect × 10: {refused}\n\n")),
        "{said}"
    );
    assert!(report.to_html(false).contains(&format!("<td>connect</td><td>{refused}</td><td class=\"n\">10</td>")));
    assert!(report.to_markdown().contains("| reset | connection closed \\| before the response | 20 |"));

    let (report, _) = report_and_log_of_errors(&texts, WarmUp::Requests(10));
    assert!(report.summary(80, false).contains("reset × 20, warm-up included: connection"));
    let (without, _) = finish(steady(100, WarmUp::None, |_| 2.0), false);
    assert!(!without.summary(80, false).contains("\nerror") && !without.to_markdown().contains("what broke"));
}

#[test]
fn a_summary_has_room_for_few_errors_and_says_how_many_more_there_are() {
    let long = "a cause that takes more than a line of the summary because of the many words that somebody put into it";
    let texts: Vec<String> = (0..30).map(|i| format!("{i}: {long}")).collect();
    let texts: Vec<_> = texts.iter().map(|text| (FailReason::Reset, text.as_str())).collect();
    let (report, _) = report_and_log_of_errors(&texts, WarmUp::None);
    let said = report.summary(80, false);
    let lines: Vec<&str> = said.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("error")).unwrap();
    assert_eq!(lines[first + 1], "            because of the many words that somebody put into it", "{said}");
    assert_eq!(lines[first + 2], "error       and 10 more in the result", "{said}");
    assert!(lines.len() <= 28, "{said}");
}
