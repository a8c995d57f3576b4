use galton_core::{FailReason, Outcome};

use super::*;
use crate::compute::WarmUp;
use crate::compute::client_tests::{report_and_log_of, report_and_log_of_errors};
use crate::validity::Verdict;

/// A run that started `after_ms` after the first, of requests 10 ms apart with these response times in milliseconds.
fn part(name: &str, after_ms: u64, n: u64, response_ms: impl Fn(u64) -> u64) -> Part {
    part_with(name, after_ms * 1_000_000, n, response_ms, |_| {})
}

/// As [`part`], in nanoseconds, and with a result that was changed.
fn part_with(
    name: &str,
    after_ns: u64,
    n: u64,
    response_ms: impl Fn(u64) -> u64,
    change: impl Fn(&mut serde_json::Value),
) -> Part {
    let (report, log) = report_and_log_of((0..n).map(|i| (Outcome::Ok, response_ms(i))));
    let mut result: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    result["run"]["started_unix_ns"] = (1_700_000_000_000_000_000_u64 + after_ns).into();
    change(&mut result);
    Part::new(name.to_owned(), result, hlog::read(log.as_bytes()).unwrap()).unwrap()
}

/// Merged, written and read again.
fn again(name: &str, parts: &[&Part]) -> Part {
    let parts: Vec<Part> = parts.iter().copied().cloned().collect();
    let (report, log) = merge(&parts, meta()).unwrap();
    let result = serde_json::from_str(&report.to_json()).unwrap();
    Part::new(name.to_owned(), result, hlog::read(log.as_bytes()).unwrap()).unwrap()
}

/// What merging gives, but for the course over time; apart from it means and standard deviations, and the log.
fn figures(parts: &[&Part]) -> (serde_json::Value, Vec<u64>, String) {
    let parts: Vec<Part> = parts.iter().copied().cloned().collect();
    let (report, log) = merge(&parts, meta()).unwrap();
    let mut all: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    all["series"] = serde_json::Value::Null;
    let mut moments = Vec::new();
    for tag in TAGS {
        moments.extend(["mean", "std"].map(|name| all["latency"][tag][name].take().as_u64().unwrap()));
    }
    (all, moments, log)
}

fn meta() -> RunMeta {
    RunMeta {
        kind: Kind::Live,
        id: "merged".to_owned(),
        started_unix_ns: 0,
        command: Vec::new(),
        version: String::new(),
        time_scale: 1.0,
        host: Default::default(),
        plan_sha256: String::new(),
    }
}

#[test]
fn counts_are_added_and_histograms_merged() {
    // 9000 fast requests and 1000 slow ones: averaged, the medians would be 55 ms.
    let parts = [part("fast", 0, 9_000, |_| 10), part("slow", 500, 1_000, |_| 100)];
    let (report, log) = merge(&parts, meta()).unwrap();
    assert_eq!((report.counts.offered, report.counts.ok, report.latency.response.n), (10_000, 10_000, 10_000));
    let at = |q: f64| report.latency.response.quantiles.iter().find(|found| found.q == q).unwrap().value.unwrap();
    assert!(at(0.5).abs_diff(10_000_000) < 20_000 && at(0.95).abs_diff(100_000_000) < 200_000, "{}", at(0.95));
    assert_eq!((at(1.0), report.latency.response.min), (100_000_000, Some(10_000_000)));
    assert_eq!(report.latency.response.mean, Some(19_000_000));
    assert!(report.latency.response.std.unwrap().abs_diff(27_000_000) < 10_000);
    let client = report.client.as_ref().unwrap();
    assert_eq!((client.statuses[&200], client.merged.len()), (10_000, 2));
    // 90 s and 10 s within them.
    assert!((report.rates.offered - 10_000.0 / 90.0).abs() < 0.5, "{:?}", report.rates);
    assert_eq!(report.series.rows.iter().filter_map(|row| row.0[1]).sum::<f64>(), 10_000.0);
    let in_flight: f64 = report.series.rows.iter().filter_map(|row| row.0[7]).sum::<f64>();
    let area = in_flight * report.series.bucket_ns.as_secs_f64();
    assert!((area / 190.0 - 1.0).abs() < 0.01, "{area}");
    let again = hlog::read(log.as_bytes()).unwrap();
    assert_eq!(again.iter().filter(|i| i.tag == "response").map(|i| i.histogram.len()).sum::<u64>(), 10_000);
    assert!(report.summary(80, false).lines().count() <= 30);
    assert!(report.conservation.ok && report.conservation.rows[0].left == 10_000);
}

#[test]
fn errors_are_added_up_and_results_of_before_have_none() {
    let (refused, closed) = ((FailReason::Connect, "refused"), (FailReason::Reset, "closed"));
    let (report, log) = report_and_log_of_errors(&[refused, closed, closed], WarmUp::None);
    let result: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let mut before = result.clone();
    before["client"].as_object_mut().unwrap().remove("errors").unwrap();
    let part = |name: &str, result: &serde_json::Value| {
        let mut result = result.clone();
        result["run"]["id"] = name.into();
        Part::new(name.to_owned(), result, hlog::read(log.as_bytes()).unwrap()).unwrap()
    };
    let (report, _) = merge(&[part("a", &result), part("before", &before), part("b", &result)], meta()).unwrap();
    let client = report.client.unwrap();
    let told: Vec<_> = client.errors.iter().map(|one| (one.reason, one.text.as_deref(), one.requests)).collect();
    assert_eq!(told, [(FailReason::Reset, Some("closed"), 4), (FailReason::Connect, Some("refused"), 2)]);
}

#[test]
fn the_worst_verdict_counts_and_says_whose_it_is() {
    let mut one = part("a", 0, 1_000, |_| 10);
    let other = part("b", 3_600_000, 1_000, |_| 10);
    let bad = serde_json::json!({"code": "SENDER_STALL", "severity": "suspect", "value": 20_000_000, "limit": 10_000_000,
        "text": "the sender did not get to run"});
    let (report, log) = report_and_log_of((0..1_000).map(|_| (Outcome::Ok, 10)));
    let mut result: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    result["validity"]["reasons"] = serde_json::json!([bad]);
    result["run"]["started_unix_ns"] = one.started_unix_ns().into();
    one.result = Part::new("a".to_owned(), result, hlog::read(log.as_bytes()).unwrap()).unwrap().result;
    let (report, _) = merge(&[one, other], meta()).unwrap();
    assert!(report.series.rows.len() <= 2_100, "{}", report.series.rows.len());
    assert_eq!(report.validity.verdict, Verdict::Suspect);
    let texts: Vec<&str> = report.validity.reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert!(texts[0].starts_with("a: the sender"), "{texts:?}");
    assert!(texts[1].starts_with("all of them measured at the same time for 0 ms of"), "{texts:?}");
}

/// 2000 requests in 20 s each: one run, a minute of nothing, two runs at once that do not start with a millisecond.
fn three_runs() -> [Part; 3] {
    let stalled = serde_json::json!({"code": "SENDER_STALL", "severity": "suspect", "value": 20_000_000,
        "limit": 10_000_000, "text": "the sender did not get to run"});
    let stall = |result: &mut serde_json::Value| result["validity"]["reasons"] = serde_json::json!([stalled]);
    let model = |result: &mut serde_json::Value| result["client"]["model"] = "another model".into();
    [
        part_with("a", 0, 2_000, |i| 5 + i % 7, stall),
        part_with("b", 80_000_700_001, 2_000, |i| 5 + i % 50 + i / 100, model),
        part_with("c", 80_001_300_999, 2_000, |i| 9 + i % 3 + i / 50, |_| {}),
    ]
}

#[test]
fn what_was_merged_can_be_merged_as_if_it_had_not_been() {
    let [a, b, c] = three_runs();
    let (at_once, moments, log) = figures(&[&a, &b, &c]);
    for rate in ["offered", "completed"] {
        let per_sec = at_once["rates"][rate].as_f64().unwrap();
        assert!((per_sec - 150.0).abs() < 0.5, "{rate} {per_sec}");
    }
    assert_eq!(at_once["validity"]["reasons"].as_array().unwrap().len(), 2, "{:#}", at_once["validity"]);
    assert_eq!(at_once["client"]["model"], "3 runs merged: another model + open loop");
    for (order, parts) in [("(ab)c", [&again("ab", &[&a, &b]), &c]), ("a(bc)", [&a, &again("bc", &[&b, &c])])] {
        let (figures, own_moments, own_log) = figures(&parts);
        assert_eq!(figures, at_once, "{order}");
        assert!(own_log == log, "{order}: intervals lie elsewhere");
        // Whole nanoseconds, rounded once more.
        let off = moments.iter().zip(&own_moments).map(|(one, other)| one.abs_diff(*other)).max();
        assert!(off <= Some(1), "{order}: {moments:?} {own_moments:?}");
    }
}

#[test]
fn a_run_counts_once() {
    let [a, b, c] = three_runs();
    let copy = Part { name: "copy".to_owned(), ..a.clone() };
    let (ab, bc) = (again("ab", &[&a, &b]), again("bc", &[&b, &c]));
    for (parts, words) in [
        ([&a, &a], "a and a are the same run"),
        ([&a, &copy], "a and copy are the same run (started 2023-11-14 22:13:20 UTC): it would count twice"),
        ([&ab, &copy], "a in ab and copy are the same run"),
        ([&ab, &bc], "b in ab and b in bc are the same run"),
    ] {
        let twice = merge(&parts.map(Part::clone), meta()).unwrap_err().to_string();
        assert!(twice.starts_with(words), "{twice}");
    }
    // Its start alone is not what it is.
    let other = part_with("other", 0, 10, |_| 1, |result| result["run"]["id"] = "other".into());
    assert!(merge(&[a, other], meta()).is_ok());
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (report, log) = report_and_log_of((0..100).map(|_| (Outcome::Ok, 10)));
    let result: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let refused = |change: fn(&mut serde_json::Value), log: &str| {
        let mut result = result.clone();
        change(&mut result);
        Part::new("x".to_owned(), result, hlog::read(log.as_bytes()).unwrap()).unwrap_err().to_string()
    };
    assert!(refused(|r| r["schema_version"] = 2.into(), &log).contains("schema_version 2"));
    assert!(refused(|r| drop(r.as_object_mut().unwrap().remove("client")), &log).contains("no `client`"));
    assert!(refused(|r| drop(r.as_object_mut().unwrap().remove("counts")), &log).contains("not the result"));
    assert!(refused(|r| r["client"]["merged"] = ["a", "b"].into(), &log).contains("merge those runs themselves"));
    assert!(refused(|_| (), "").contains("latency.hlog has 0 values of response, result.json has 100"));
    assert!(matches!(merge(&[part("a", 0, 10, |_| 1)], meta()), Err(NotAPart::Few)));
}
