//! The report of a synthetic run against naive recounts and closed forms.

mod synthetic;

use galton_core::record::{DecisionKind, FleetWhat, TraceOutcome};
use galton_core::{Nanos, Outcome, RequestId, TargetId};
use galton_report::{GaugeSummary, Report, RunData, Severity, Verdict};
use std::collections::BTreeMap;

fn data() -> RunData {
    synthetic::run(150.0, 30)
}

#[test]
fn counts_add_up() {
    let data = data();
    let report = Report::compute(&data);
    let c = &report.counts;
    let measured = data.trace.iter().filter(|r| r.t_intended >= data.scenario.simulation.warmup).count() as u64;
    assert_eq!(c.planned, measured);
    assert_eq!(c.planned, c.offered + c.unsent);
    let ended = c.ok + c.rejected_in_all() + c.timed_out + c.failed_in_all() + c.shed + c.unfinished;
    assert_eq!(c.offered, ended);
    assert!(c.ok > 0 && c.rejected["no_capacity"] > 0 && c.timed_out > 0 && c.failed["connect"] > 0, "{c:?}");
    let retried: u64 = report.retries.values().flat_map(BTreeMap::values).sum();
    assert_eq!(retried + report.no_attempt, c.offered);
    assert_eq!(report.latency.response.n, c.ok + c.timed_out);
    assert_eq!(report.latency.response.censored, c.timed_out);
    assert!(report.conservation.ok, "{:?}", report.conservation);
    assert_eq!(report.validity.verdict, Verdict::Valid, "{:?}", report.validity);
    let rejected: u64 = report.gauges.free_targets_at_rejection.as_ref().unwrap().values().sum();
    assert_eq!(rejected, c.rejected_in_all());
}

#[test]
fn in_flight_over_time_obeys_littles_law() {
    let data = data();
    let report = Report::compute(&data);
    let (start, end) = (data.scenario.simulation.warmup, data.scenario.simulation.duration);
    let within = |at: Nanos| at.clamp(start, end);
    let held: u64 =
        data.decisions.iter().flatten().filter(|d| d.kind.occupied()).map(|d| (within(d.until) - within(d.at)).0).sum();
    let expected = held as f64 / (end - start).0 as f64;
    let found = report.gauges.in_flight.time.as_ref().unwrap().mean;
    assert!((found - expected).abs() < 1e-9 * expected, "{found} against {expected}");
    let pooled = report.gauges.target_in_flight.time.as_ref().unwrap();
    assert!((pooled.mean * pooled.weight as f64 - held as f64).abs() < 1.0);
}

/// The state of the targets, recounted from scratch at one instant, just before the decision taken then.
struct Recount<'a> {
    data: &'a RunData,
}

impl Recount<'_> {
    fn held(&self, target: TargetId, at: Nanos) -> u64 {
        let open = |d: &&galton_core::record::Decision| {
            d.kind.occupied() && d.target.is_some_and(|(t, _)| t == target) && d.at < at && d.until > at
        };
        self.data.decisions.iter().flatten().filter(open).count() as u64
    }

    fn last_state(&self, target: TargetId, at: Nanos) -> Option<FleetWhat> {
        let states = [FleetWhat::Ready, FleetWhat::Cordoned, FleetWhat::Stopped];
        let of =
            |e: &&galton_core::record::FleetEvent| e.target == Some(target) && e.at <= at && states.contains(&e.what);
        self.data.fleet.iter().rfind(of).map(|e| e.what)
    }
}

#[test]
fn decision_sampled_gauges_meet_a_naive_recount() {
    let data = synthetic::run(150.0, 6);
    let report = Report::compute(&data);
    let (start, end) = (data.scenario.simulation.warmup, data.scenario.simulation.duration);
    let recount = Recount { data: &data };
    let ids: Vec<TargetId> = report.targets.iter().map(|t| t.id).collect();
    let (mut in_flight, mut fleet, mut free_slots, mut at_refusal) = (vec![], vec![], vec![], BTreeMap::new());
    for d in data.decisions.iter().flatten() {
        let state = |id: &TargetId| recount.last_state(*id, d.at);
        let ready: Vec<TargetId> = ids.iter().copied().filter(|id| state(id) == Some(FleetWhat::Ready)).collect();
        let free = |id: &TargetId| 10 - recount.held(*id, d.at);
        if d.kind == DecisionKind::Refuse && data.trace[d.request.0 as usize].t_intended >= start {
            let others = ready.iter().filter(|id| free(id) > 0 && Some(**id) != d.target.map(|(t, _)| t)).count();
            *at_refusal.entry(others as u32).or_default() += 1;
        }
        if start <= d.at && d.at < end {
            let serving = ids.iter().filter(|id| matches!(state(id), Some(FleetWhat::Ready | FleetWhat::Cordoned)));
            in_flight.extend(serving.map(|id| recount.held(*id, d.at)));
            fleet.push(ready.len() as u64);
            free_slots.push(ready.iter().map(free).sum::<u64>());
        }
    }
    assert!(at_refusal.values().sum::<u64>() > 50, "the run must refuse: {at_refusal:?}");
    assert_eq!(report.free_targets_at_reject, Some(at_refusal));
    for (gauge, mut naive, what) in [
        (&report.gauges.target_in_flight, in_flight, "in-flight"),
        (&report.gauges.fleet, fleet, "fleet"),
        (&report.gauges.free_slots, free_slots, "free slots"),
    ] {
        naive.sort_unstable();
        assert_same(gauge.decision.as_ref().unwrap(), &naive, what);
    }
}

fn assert_same(found: &GaugeSummary, naive: &[u64], what: &str) {
    assert_eq!(found.weight, naive.len() as u64, "{what}");
    let mean = naive.iter().sum::<u64>() as f64 / naive.len() as f64;
    assert!((found.mean - mean).abs() < 1e-9, "{what}: {} against {mean}", found.mean);
    for q in found.quantiles.iter().filter(|q| q.value.is_some()) {
        let rank = ((q.q * 1e6).round() as usize * naive.len()).div_ceil(1_000_000);
        assert_eq!(q.value, Some(naive[rank - 1] as f64), "{what} p{}", q.q);
    }
}

#[test]
fn cpu_over_time_is_the_demand_that_was_held() {
    let data = data();
    let report = Report::compute(&data);
    let (start, end) = (data.scenario.simulation.warmup, data.scenario.simulation.duration);
    let within = |at: Nanos| at.clamp(start, end);
    let demand = |r: RequestId| data.trace[r.0 as usize].cpu_demand;
    let held = data.decisions.iter().flatten().filter(|d| d.kind.occupied());
    let used: f64 = held.map(|d| (within(d.until) - within(d.at)).0 as f64 * demand(d.request)).sum();
    let cpu = report.gauges.target_cpu.time.as_ref().unwrap();
    let expected = used / data.scenario.targets.cpu_capacity / cpu.weight as f64;
    // Kept in thousandths.
    assert!((cpu.mean - expected).abs() < 1e-4, "{} against {expected}", cpu.mean);
}

#[test]
fn burned_cpu_is_a_gauge_of_its_own() {
    let mut data = data();
    assert_eq!(Report::compute(&data).gauges.target_cpu_measured, None);
    let unit = data.scenario.targets.cpu_unit.0 as f64;
    for row in &mut data.trace {
        row.cpu_used = Some(Nanos((row.cpu_demand * 1.5 * unit) as u64));
    }
    let gauges = Report::compute(&data).gauges;
    let (accounted, measured) = (gauges.target_cpu.time.unwrap().mean, gauges.target_cpu_measured.unwrap());
    let ratio = measured.time.unwrap().mean / accounted;
    assert!((ratio - 1.5).abs() < 1e-3, "{ratio}");
}

#[test]
fn a_page_without_plots_has_the_tables() {
    let report = Report::compute(&data());
    let page = report.to_html(false);
    assert!(page.contains("Conservation") && !page.contains("<script") && !page.contains("<figure"));
}

#[test]
fn a_sample_may_be_taken_at_completions_and_changes_of_the_fleet_too() {
    let mut data = data();
    let samples = |data: &RunData| Report::compute(data).gauges.fleet.decision.unwrap().weight;
    let decisions = samples(&data);
    use galton_core::scenario::SampleOn;
    data.scenario.sampling.sample_on = vec![SampleOn::LbDecision, SampleOn::RequestComplete, SampleOn::TopologyChange];
    let (start, end) = (data.scenario.simulation.warmup, data.scenario.simulation.duration);
    let holds = |at: Nanos| start <= at && at < end;
    let completions = data.decisions.iter().flatten().filter(|d| d.kind.occupied() && holds(d.until)).count();
    let changes = data.fleet.iter().filter(|e| holds(e.at)).count();
    assert_eq!(samples(&data), decisions + (completions + changes) as u64);
}

#[test]
fn without_decisions_the_rest_is_there() {
    let mut data = data();
    let with = Report::compute(&data);
    data.decisions = None;
    let without = Report::compute(&data);
    assert_eq!(with.counts, without.counts);
    assert_eq!(with.latency, without.latency);
    assert_eq!(with.gauges.fleet.time, without.gauges.fleet.time);
    assert_eq!(without.gauges.target_in_flight.time, None);
    assert_eq!(without.free_targets_at_reject, None);
    assert!(without.to_markdown().contains("n/a (recording off)"));
    assert_eq!(without.targets[0].accepted, with.targets[0].accepted);
}

#[test]
fn what_a_process_counted_that_left_nothing_is_not_made_up() {
    let mut data = data();
    let whole = Report::compute(&data).conservation.rows;
    let what = |data: &RunData| -> Vec<_> {
        Report::compute(data).conservation.rows.iter().map(|row| (row.what, row.ok)).collect()
    };
    let rows: Vec<_> = whole.iter().map(|row| (row.what, row.ok)).collect();
    data.counters.targets.clear();
    data.counters.uncounted.targets = true;
    assert_eq!(what(&data), rows[..rows.len() - 1], "attempts against targets");
    data.decisions = None;
    assert_eq!(Report::compute(&data).targets[0].accepted, None, "neither counted nor recorded");
    data.counters.proxies.pop();
    data.counters.uncounted.proxies = true;
    assert_eq!(what(&data), rows[..rows.len() - 2], "requests against proxies, too");
}

#[test]
fn something_lost_is_invalid_unless_a_process_died() {
    let mut data = data();
    let lost = 1;
    data.counters.targets[0].accepted -= lost;
    let report = Report::compute(&data);
    assert_eq!(report.validity.verdict, Verdict::Invalid);
    assert_eq!(report.validity.reasons[0].code, "CONSERVATION");
    assert_eq!(report.conservation.rows.last().unwrap().never, Some(lost));
    data.counters.targets[0].died = true;
    assert!(Report::compute(&data).conservation.ok);
    data.counters.targets[0].accepted += lost + 1;
    assert!(!Report::compute(&data).conservation.ok, "more arrived than was sent");
}

#[test]
fn what_a_sender_gave_up_may_never_have_arrived() {
    let mut data = data();
    let balanced =
        |data: &RunData| Report::compute(data).conservation.rows.iter().map(|row| row.ok).collect::<Vec<_>>();
    data.counters.targets[0].accepted -= 1;
    data.counters.proxies[0].received -= 1;
    assert_eq!(balanced(&data), [true, true, true, false, false]);
    // The generator closed one connection when the run ended ...
    data.trace.last_mut().unwrap().outcome = TraceOutcome::Offered(Outcome::Unfinished);
    assert_eq!(balanced(&data), [true, true, true, true, false]);
    // ... and the proxy another one: its client had gone, or the attempt had its time.
    data.counters.proxies[0].closed += 1;
    assert_eq!(balanced(&data), [true; 5]);
    data.counters.targets[0].cancelled += 1;
    assert_eq!(balanced(&data), [true, true, true, true, false], "the one that was given up did arrive");
    data.counters.targets[0].cancelled -= 1;
    data.counters.targets[0].accepted -= 1;
    assert_eq!(balanced(&data), [true, true, true, true, false], "more is missing than was given up");
}

#[test]
fn requests_that_no_policy_saw_make_a_run_invalid() {
    let mut data = data();
    data.counters.proxies[1].overloaded = 3;
    let report = Report::compute(&data);
    assert_eq!(report.validity.verdict, Verdict::Invalid);
    let codes: Vec<_> = report.validity.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["PROXY_OVERLOADED"], "{:?}", report.validity.reasons);
    assert!(report.validity.reasons[0].text.starts_with("3 requests found no room"));
}

#[test]
fn a_late_generator_makes_a_live_run_invalid() {
    let mut data = data();
    data.meta.kind = galton_report::Kind::Live;
    assert_eq!(Report::compute(&data).validity.verdict, Verdict::Valid);
    for row in data.trace.iter_mut().step_by(50) {
        row.t_send = row.t_send.map(|at| at + Nanos::from_millis(30));
    }
    let validity = Report::compute(&data).validity;
    assert_eq!(validity.verdict, Verdict::Invalid);
    let codes: Vec<&str> = validity.reasons.iter().map(|r| r.code.as_str()).collect();
    assert_eq!(codes, ["SEND_LAG_P99", "PLAN_NOT_SENT_IN_TIME"]);
    data.counters.load.peak_thread_cpu = 0.9;
    assert!(Report::compute(&data).validity.reasons.iter().any(|r| r.code == "GENERATOR_CPU"));
}

/// Code and severity of every reason.
fn reasons(data: &RunData) -> Vec<(String, Severity)> {
    Report::compute(data).validity.reasons.into_iter().map(|r| (r.code, r.severity)).collect()
}

#[test]
fn what_the_generator_noticed_is_judged_by_machine_time() {
    let mut data = data();
    data.meta.kind = galton_report::Kind::Live;
    data.generator.longest_stall = Nanos::from_millis(11);
    assert_eq!(reasons(&data), [("SENDER_STALL".to_owned(), Severity::Suspect)]);
    data.generator.longest_stall = Nanos::from_millis(9);
    let served: u64 = data.trace.iter().filter_map(|row| row.service()).map(|t| t.0).sum();
    data.generator.in_flight_integral = Some(served as f64 * 1.004);
    assert_eq!(reasons(&data), []);
    data.generator.in_flight_integral = Some(served as f64 * 1.006);
    assert_eq!(reasons(&data), [("LITTLE".to_owned(), Severity::Suspect)]);
    data.generator.in_flight_integral = None;
    data.generator.descriptors_exhausted = true;
    assert_eq!(reasons(&data), [("DESCRIPTORS_EXHAUSTED".to_owned(), Severity::Invalid)]);
}

#[test]
fn what_the_machine_overran_is_judged() {
    let mut data = data();
    let completed: u64 = data.counters.targets.iter().map(|t| t.completed).sum();
    data.counters.proxies[0].delays = 1_000;
    data.counters.proxies[0].delays_overrun = (completed + 1_000) / 100;
    assert_eq!(reasons(&data), []);
    data.counters.targets[0].delays_overrun = 2;
    assert_eq!(reasons(&data), [("DELAYS_OVERRUN".to_owned(), Severity::Suspect)]);
}

#[test]
fn a_start_may_be_late_by_five_milliseconds_of_machine_time_and_by_a_hundredth() {
    let mut data = data();
    // Starts take 200 ms here.
    let late = |data: &mut RunData, by| {
        let starts = data.fleet.iter_mut().filter(|e| e.delay > Nanos::ZERO && e.what == FleetWhat::Ready);
        starts.for_each(|e| e.overrun = Nanos::from_millis(by));
    };
    late(&mut data, 5);
    assert_eq!(reasons(&data), []);
    late(&mut data, 6);
    assert_eq!(reasons(&data), [("SPAWN_OVERRUN".to_owned(), Severity::Suspect)]);
    data.meta.time_scale = 1.5;
    assert_eq!(reasons(&data), []);
    data.meta.time_scale = 1.0;
    data.fleet.iter_mut().for_each(|e| e.delay = Nanos::from_millis(700));
    assert_eq!(reasons(&data), [], "a hundredth of a long delay");
}

#[test]
fn what_is_cut_off_is_suspect_unless_the_scenario_asks_for_it() {
    let mut data = data();
    data.trace.last_mut().unwrap().outcome = TraceOutcome::Offered(Outcome::Unfinished);
    assert_eq!(reasons(&data), [("UNFINISHED".to_owned(), Severity::Suspect)]);
    data.scenario.simulation.drain = Nanos::ZERO;
    assert_eq!(reasons(&data), [("UNFINISHED".to_owned(), Severity::Note)]);
    assert_eq!(Report::compute(&data).validity.verdict, Verdict::Valid);
}

#[test]
fn an_interrupted_run_says_so() {
    let mut data = data();
    let cut = Nanos::from_millis(15_000);
    data.interrupted = true;
    data.trace.retain(|row| row.t_end.is_some_and(|end| end < cut));
    data.counters.load.sent = data.trace.len() as u64;
    data.generator.planned = None;
    let report = Report::compute(&data);
    let reason = report.validity.reasons.iter().find(|r| r.code == "INTERRUPTED").unwrap();
    assert_eq!(reason.severity, Severity::Suspect);
    assert!(report.gauges.fleet.time.unwrap().weight < cut.0);
}

#[test]
fn an_empty_run_has_a_report() {
    let mut data = data();
    data.trace.clear();
    data.decisions = Some(Vec::new());
    data.fleet.clear();
    data.counters = Default::default();
    data.generator.planned = Some(0);
    let report = Report::compute(&data);
    assert_eq!(report.latency.response.n, 0);
    assert_eq!(report.validity.verdict, Verdict::Valid, "{:?}", report.validity);
    assert!(report.to_html(true).contains("VALID") && report.to_markdown().contains("n/a"));
}

#[test]
fn starts_are_held_against_their_delay() {
    let data = data();
    let report = Report::compute(&data);
    let starts = &report.scaling.starts;
    assert_eq!(starts.took.n, report.scaling.ups);
    assert_eq!((starts.took.min, starts.configured.min), (Some(200_040_000), Some(200_000_000)));
    assert_eq!((starts.overrun, starts.worst_overrun), (0, Nanos(40_000)));
    assert_eq!(report.scaling.peak, report.targets.len() as u32);
    let mut slow = data.clone();
    slow.fleet.iter_mut().rfind(|e| e.what == FleetWhat::Ready).unwrap().overrun = Nanos::from_millis(30);
    let validity = Report::compute(&slow).validity;
    assert_eq!((validity.verdict, validity.reasons[0].code.as_str()), (Verdict::Suspect, "SPAWN_OVERRUN"));
}

#[test]
fn json_has_the_agreed_shape() {
    let report = Report::compute(&data());
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut agreed = [
        "schema_version",
        "kind",
        "run",
        "scenario",
        "validity",
        "counts",
        "conservation",
        "rates",
        "retries",
        "no_attempt",
        "latency_by_outcome",
        "latency",
        "gauges",
        "free_targets_at_reject",
        "scaling",
        "targets",
        "series",
    ];
    agreed.sort_unstable();
    assert_eq!(keys, agreed);
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["kind"], "simulated");
    assert_eq!(json["run"]["seed"], 7);
    assert_eq!(json["run"]["host"]["cpus"], 2);
    assert_eq!(json["validity"]["verdict"], "VALID");
    let p99 = &json["latency"]["response"]["quantiles"][4];
    assert_eq!(p99["q"], 0.99);
    assert!(p99["value"].is_u64() && p99["lo"].is_u64() && p99["hi"].is_u64(), "{p99}");
    let needs = &json["latency"]["response"]["quantiles"][6];
    assert!(needs["value"].is_null() && needs["needs_n"] == 36_887, "{needs}");
    assert!(json["retries"]["ok"]["0"].is_u64());
    assert_eq!(json["targets"][0]["id"], "t-001");
    let columns = json["series"]["columns"].as_array().unwrap().len();
    assert!(json["series"]["rows"].as_array().unwrap().iter().all(|row| row.as_array().unwrap().len() == columns));
}

#[test]
fn every_writer_names_the_same_figures() {
    let data = data();
    let report = Report::compute(&data);
    let (markdown, html) = (report.to_markdown(), report.to_html(true));
    assert!(markdown.contains("more than the larger of 5 ms of machine time and 1 %"), "{markdown}");
    for text in [&markdown, &html] {
        for needle in ["VALID", "Response time", "Conservation", "t-001", "decision-sampled", "time-weighted"] {
            assert!(text.contains(needle), "{needle}");
        }
    }
    assert!(!html.contains("<fast>"), "text is escaped");
    for fetched in ["src=", "href=\"http", "url(", "@import", "fetch(", "XMLHttpRequest"] {
        assert!(!html.contains(fetched), "the page fetches nothing: {fetched}");
    }
    assert!(html.len() < 5_000_000);
    let summary = report.summary(80, false);
    assert!(summary.lines().count() <= 30, "{summary}");
    assert!(!summary.contains('\u{1b}') && report.summary(80, true).contains('\u{1b}'));
    let csvs = report.to_csvs();
    let (_, series) = csvs.iter().find(|(name, _)| *name == "series.csv").unwrap();
    let offered: u64 = series.lines().skip(1).map(|l| l.split(',').nth(1).unwrap().parse::<u64>().unwrap()).sum();
    let ok = |r: &&galton_core::record::TraceRow| r.outcome != TraceOutcome::Unsent;
    assert_eq!(offered, data.trace.iter().filter(ok).count() as u64);
    let served = data.trace.iter().filter(|r| r.outcome == TraceOutcome::Offered(Outcome::Ok)).count();
    assert!(served > 0);
}
