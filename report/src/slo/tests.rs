use galton_core::Outcome;

use super::*;
use crate::compute::client_tests::report_of;

fn slo(text: &str) -> Slo {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn objectives_are_read_and_said_alike() {
    for (text, said) in [
        ("p99<250ms", "p99 < 250 ms"),
        ("p99.99 <= 1.5s", "p99.99 <= 1.50 s"),
        ("p75<900us", "p75 < 900 µs"),
        ("mean>=2ms", "mean >= 2 ms"),
        ("max<1m", "max < 60 s"),
        ("errors<0.1%", "errors < 0.10 %"),
        ("errors<=0.5", "errors <= 50 %"),
        ("rate>900/s", "rate > 900/s"),
    ] {
        assert_eq!(slo(text).to_string(), said);
    }
    for (text, why) in [
        ("p99=250ms", "there is no < or >"),
        ("p99<250", "\"250\" has no unit of time"),
        ("p49<1s", "percentiles go from p50 to p99.99"),
        ("latency<1s", "no figure is named \"latency\""),
        ("errors<101%", "more than all requests"),
        ("rate>fast", "\"fast\" is not a number"),
        ("p99<-1ms", "0 or more"),
        ("p99<", "has no unit"),
    ] {
        let error = text.parse::<Slo>().unwrap_err();
        assert!(error.contains(why) && error.contains("write p99<250ms"), "{error}");
    }
}

#[test]
fn figures_decide() {
    // 1000 requests of 1 to 1000 ms; 10 of them failed.
    let report = report_of((1..=1_000).map(|ms| (if ms <= 10 { Outcome::Shed } else { Outcome::Ok }, ms)));
    let verdict = |text: &str| slo(text).evaluate(&report).verdict;
    assert_eq!(verdict("p50<510ms"), SloVerdict::Kept);
    assert_eq!(verdict("p50<500ms"), SloVerdict::Missed);
    assert_eq!(verdict("p75<800ms"), SloVerdict::Kept);
    assert_eq!(verdict("max<=1s"), SloVerdict::Kept);
    assert_eq!(verdict("max<1s"), SloVerdict::Missed);
    assert_eq!(verdict("errors<=1%"), SloVerdict::Kept);
    assert_eq!(verdict("errors<1%"), SloVerdict::Missed);
    assert_eq!(verdict("rate>1"), SloVerdict::Kept);
    let p50 = slo("p50<510ms").evaluate(&report);
    assert!(p50.text.starts_with("p50 < 510 ms: kept: 505 ms ["), "{}", p50.text);
    assert!(p50.text.ends_with("another run may end otherwise"), "{}", p50.text);
    let p999 = slo("p99.9<2s").evaluate(&report);
    assert_eq!((p999.verdict, p999.value), (SloVerdict::Undecided, None));
    assert_eq!(p999.text, "p99.9 < 2 s: undecided: p99.9 takes 3,688 requests, there were 990");
    let all = evaluate(&[slo("max<=1s"), slo("p50<500ms"), slo("p99.9<2s")], &report);
    assert_eq!((worst(&all), worst(&all[..1]), worst(&[])), (SloVerdict::Missed, SloVerdict::Kept, SloVerdict::Kept));
}

#[test]
fn what_was_given_up_shows_no_more_than_a_lower_bound() {
    // Given up after 1 s: every tenth.
    let report = report_of((0..1_000).map(|i| (if i % 10 == 0 { Outcome::TimedOut } else { Outcome::Ok }, 5)));
    let verdict = |text: &str| slo(text).evaluate(&report).verdict;
    assert_eq!(verdict("p50<10ms"), SloVerdict::Kept);
    assert_eq!(verdict("p99<500ms"), SloVerdict::Missed);
    assert_eq!(verdict("p99<2s"), SloVerdict::Undecided);
    assert_eq!(verdict("p99>500ms"), SloVerdict::Kept);
    assert_eq!(verdict("p99>2s"), SloVerdict::Undecided);
    let text = slo("p99<2s").evaluate(&report).text;
    assert!(text.contains("≥ 1 s") && text.contains("given up"), "{text}");
}
