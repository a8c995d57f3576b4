use galton_core::record::{FleetEvent, FleetWhat, TraceOutcome, TraceRow};
use galton_core::{HostId, Nanos, Outcome, RequestId, Scenario, TargetId};
use serde_json::{Value, json};

use super::*;
use crate::validate::judge;
use crate::{Generator, Kind, Report, RunData};

/// A second of one request each 2 ms; `late` more for each response, `retries` for one in ten.
fn data(late_ns: u64, retries: u32) -> RunData {
    let value = json!({"description": "<b>synthetic</b>", "simulation": {"duration_ms": 1000}});
    let scenario = Scenario::from_value("a b<i>", &value, &mut |_: &str| Err(String::new())).unwrap();
    let demand = galton_core::plan::Demand { hold: Nanos(50_000_000), cpu: 1.0 };
    let row = |seq: u64| {
        let at = Nanos(seq * 2_000_000);
        let extra = if seq.is_multiple_of(10) { retries } else { 0 };
        TraceRow {
            t_send: Some(at),
            t_end: Some(at + Nanos(50_000_000 + seq * 1_000 + late_ns)),
            outcome: TraceOutcome::Offered(Outcome::Ok),
            attempts: Some(1 + extra),
            ..TraceRow::unsent(seq, RequestId::open(seq), HostId(0), at, demand)
        }
    };
    let ready = |target| FleetEvent {
        at: Nanos::ZERO,
        version: 1,
        target: Some(TargetId(target)),
        incarnation: 0,
        what: FleetWhat::Ready,
        host: None,
        delay: Nanos::ZERO,
        overrun: Nanos::ZERO,
        held: 0,
    };
    RunData {
        meta: meta(),
        scenario,
        trace: (0..500).map(row).collect(),
        decisions: Some(Vec::new()),
        fleet: vec![ready(1), ready(2)],
        counters: Default::default(),
        generator: Generator::default(),
        reasons: Vec::new(),
        interrupted: false,
    }
}

fn meta() -> RunMeta {
    RunMeta {
        kind: Kind::Live,
        id: "a-1".to_owned(),
        started_unix_ns: 0,
        command: Vec::new(),
        version: "0".to_owned(),
        time_scale: 1.0,
        host: HostInfo::default(),
        plan_sha256: String::new(),
    }
}

fn validation(late_ns: u64) -> Validation {
    with_rest(late_ns, Vec::new())
}

fn with_rest(late_ns: u64, not_judged: Vec<NotJudged>) -> Validation {
    let observed = |data: RunData| Observed::of(&data, &Report::compute(&data));
    let live = [observed(data(late_ns, 1)), observed(data(late_ns + 1_000, 1))];
    let ensemble: Vec<Observed> = (0..20).map(|i| observed(data(i * 10_000, 1))).collect();
    let verdicts = judge(&live, &ensemble, 1.0, false, true);
    let report = Report::compute(&data(late_ns, 1));
    let runs = vec![LiveRun::new("a-1", &report.validity), LiveRun::new("a-2", &report.validity)];
    let scenario = ScenarioResult::new(&data(0, 0).scenario, "abc", runs, &live, &ensemble, verdicts);
    let mut validation = Validation::new(&meta(), vec!["galton".to_owned()], 20, vec![scenario], not_judged);
    validation.sim_set = vec![("a.b".to_owned(), "</script>".to_owned())];
    validation
}

/// The data of the page's plots.
fn plots(page: &str) -> Vec<Value> {
    let (_, data) = page.split_once("id=\"plots\">").unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    serde_json::from_str(data).unwrap()
}

#[test]
fn the_page_has_a_place_and_data_for_every_plot() {
    let page = validation(0).to_html();
    let plots = plots(&page);
    let ids: Vec<&str> = plots.iter().map(|plot| plot["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["cdf", "qq", "retries", "fleet", "in-flight"].map(|what| format!("a-b-i--{what}")));
    for (id, plot) in ids.iter().zip(&plots) {
        assert!(page.contains(&format!("<div class=\"plot\" id=\"plot-{id}\">")), "{id}");
        let places = plot["x"].as_array().or(plot["labels"].as_array()).unwrap().len();
        assert!(places > 1, "{id}");
        for line in plot["series"].as_array().unwrap() {
            assert_eq!(line["values"].as_array().unwrap().len(), places, "{id}: {line}");
        }
        assert!(plot["series"].to_string().contains("live 2"), "{id}");
    }
    assert!(plots[3]["series"][4]["values"].as_array().unwrap().iter().all(|ready| *ready == json!(2.0)));
}

#[test]
fn the_page_needs_nothing_else_and_takes_text_as_text() {
    let page = validation(0).to_html();
    assert!(page.contains("&lt;b&gt;synthetic") && !page.contains("<b>synthetic"));
    assert!(page.contains("a.b = &lt;/script&gt;"));
    for fetched in ["src=\"http", "href=\"http", "@import", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn the_verdict_and_what_differs_are_named_everywhere() {
    let (same, late) = (validation(0), validation(20_000_000));
    assert_eq!((same.agrees, late.agrees), (Some(true), Some(false)));
    assert!(late.scenarios[0].differing().contains(&"response p50"));
    let json: Value = serde_json::from_str(&late.to_json()).unwrap();
    assert_eq!((&json["agrees"], &json["scenarios"][0]["agrees"]), (&json!(false), &json!(false)));
    let metrics = json["scenarios"][0]["metrics"].as_array().unwrap();
    let p50 = metrics.iter().find(|metric| metric["name"] == "response p50").unwrap();
    assert_eq!((&p50["judgement"], &p50["rule"], &p50["unit"]), (&json!("differs"), &json!("none"), &json!("ns")));
    assert_eq!(p50["live_runs"].as_array().unwrap().len(), 2);
    assert!(late.to_html().contains("class=\"verdict differs\">DIFFERS"));
    let text = late.scenarios[0].to_text(false, 100);
    assert!(text.starts_with("DIFFERS  a b<i>: 2 live runs of at least 500 responses\n"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("response p50") && line.ends_with("DIFFERS")), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let narrow = late.scenarios[0].to_text(false, 80);
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    assert!(narrow.lines().any(|line| line.starts_with("response p50") && line.ends_with("DIFFERS")), "{narrow}");
    assert!(narrow.contains("\n  [70.2, 70.3 ms] live, "), "{narrow}");
    assert!(same.scenarios[0].to_text(true, 100).contains("\u{1b}[32mAGREES"));
}

#[test]
fn what_was_not_judged_does_not_agree() {
    let rest = || vec![NotJudged { name: "c".to_owned(), why: Why::Interrupted }];
    let (same, late) = (with_rest(0, rest()), with_rest(20_000_000, rest()));
    assert_eq!((same.agrees, late.agrees), (None, Some(false)));
    assert_eq!(same.conclusion(), "1 of 2 scenarios judged, interrupted");
    assert_eq!(late.conclusion(), "the simulation DIFFERS; 1 of 2 scenarios judged, interrupted");
    let json: Value = serde_json::from_str(&same.to_json()).unwrap();
    assert_eq!(json["agrees"], json!(null));
    assert_eq!(json["not_judged"], json!([{"name": "c", "why": "interrupted"}]));
    let page = same.to_html();
    assert!(page.contains("<h1>Live against simulated</h1><span class=\"verdict suspect\">INTERRUPTED"));
    assert!(page.contains("1 of 2 scenarios judged, interrupted.") && page.contains("not judged: interrupted"));
    assert!(late.to_html().contains("<h1>Live against simulated</h1><span class=\"verdict differs\">DIFFERS"));
    let why = Why::Failed("cannot validate c: 3 live runs in a row were INVALID".to_owned());
    let given_up = with_rest(0, vec![NotJudged { name: "c".to_owned(), why }]);
    let words = "1 of 2 scenarios judged: cannot validate c: 3 live runs in a row were INVALID";
    assert_eq!((given_up.agrees, given_up.conclusion().as_str()), (None, words));
    assert!(given_up.to_html().contains("class=\"verdict suspect\">INCOMPLETE"));
}
