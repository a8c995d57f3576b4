//! `galton compare` and `galton plan`, on run directories that the simulator filled.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::Output;

use galton_core::Scenario;
use galton_core::plan::Plan;
use galton_report::{Generator, HostInfo, Kind, Report, RunData, RunMeta, decisions, fleet, trace};
use galton_tests::Galton;
use serde_json::{Value, json};

/// Something differs.
const DIFFERS: i32 = 3;

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

/// Round robin at 8 Erlang on a fleet that grows on demand: retries, refusals, starts. 2400 requests.
fn base() -> Value {
    json!({
        "simulation": {"seed": 42, "duration_ms": 60_000, "drain_ms": 5_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 40},
            "request_duration_ms": {"mode": "distribution", "distribution": "lognormal", "mean_ms": 200, "sigma": 0.5}
        },
        "load_balancer": {
            "architecture": "round_robin", "hosts": 2,
            "rr": {"retry_limit": 2, "retry_delay_ms": 5, "sync_delay_ms": 500}
        },
        "targets": {"initial_count": 6, "max_concurrency_per_target": 2},
        "scaling": {"min_targets": 1, "max_targets": 20, "scale_up": "coalesced", "scale_up_delay_ms": 500}
    })
}

/// `base` with another value at a JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut scenario = base();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    scenario.pointer_mut(parent).unwrap()[key] = value;
    scenario
}

/// Simulates a scenario and leaves a run directory of this name.
fn simulate(galton: &Galton, name: &str, scenario: &Value) {
    let scenario = Scenario::from_value(name, scenario, &mut |_| Err("no files here".to_owned())).unwrap();
    let run = galton_sim::simulate(&scenario).expect("time goes on");
    let meta = RunMeta {
        kind: Kind::Simulated,
        id: name.to_owned(),
        started_unix_ns: 0,
        command: Vec::new(),
        version: String::new(),
        time_scale: 1.0,
        host: HostInfo::default(),
        plan_sha256: Plan::new(&scenario).sha256(),
    };
    let data = RunData {
        meta,
        scenario,
        trace: run.trace,
        decisions: Some(run.decisions),
        fleet: run.fleet,
        counters: run.counters,
        generator: Generator::default(),
        reasons: Vec::new(),
        interrupted: false,
    };
    let dir = galton.dir().join(name);
    fs::create_dir(&dir).unwrap();
    let file = |name: &str| BufWriter::new(File::create(dir.join(name)).unwrap());
    trace::write(file("trace.csv"), &data.trace).unwrap();
    fleet::write(file("fleet.csv"), &data.fleet).unwrap();
    decisions::write(file("decisions.csv"), data.decisions.as_ref().unwrap()).unwrap();
    fs::write(dir.join("scenario.json"), data.scenario.to_value().to_string()).unwrap();
    fs::write(dir.join("result.json"), Report::compute(&data).to_json()).unwrap();
}

/// Compares; the exit code and the JSON.
fn compare(galton: &Galton, args: &[&str]) -> (i32, Value) {
    let out = galton.output(&[&["compare", "--json", "-"], args].concat());
    let said = String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap(), serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{args:?}: {said}")))
}

fn verdicts(comparison: &Value) -> Vec<(&str, &str)> {
    let metrics = comparison["metrics"].as_array().unwrap();
    metrics.iter().map(|one| (one["metric"].as_str().unwrap(), one["verdict"].as_str().unwrap())).collect()
}

fn verdict<'a>(comparison: &'a Value, metric: &str) -> &'a str {
    verdicts(comparison).into_iter().find(|(name, _)| *name == metric).map_or("none", |(_, verdict)| verdict)
}

#[track_caller]
fn refused(out: &Output, says: &str) {
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{says}: {said}");
    assert!(said.contains(says), "the message must say {says:?}: {said}");
}

#[test]
fn equal_runs_are_the_same_in_every_metric() {
    let galton = galton();
    simulate(&galton, "a", &base());
    simulate(&galton, "b", &base());
    let (code, found) = compare(&galton, &["a", "b", "--strict"]);
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(verdicts(&found).len(), 19);
    assert!(verdicts(&found).iter().all(|(_, verdict)| *verdict == "same"), "{:?}", verdicts(&found));
    let paired = &found["paired"];
    assert_eq!((&paired["by"], &paired["same_target"]["of"]), (&json!("seq"), &paired["same_target"]["same"]));
    assert_eq!((&found["differs_in"], &found["response_distance"]["ks"]), (&json!([]), &json!(0.0)));
}

#[test]
fn values_are_those_of_the_report() {
    let galton = galton();
    let warm = with("/simulation/warmup_ms", json!(5_000));
    simulate(&galton, "a", &warm);
    let (_, found) = compare(&galton, &["a", "a"]);
    let result: Value = serde_json::from_slice(&fs::read(galton.dir().join("a/result.json")).unwrap()).unwrap();
    let quantile = |latency: &str, q: f64| {
        let quantiles = result["latency"][latency]["quantiles"].as_array().unwrap();
        quantiles.iter().find(|one| one["q"] == q).unwrap()["value"].as_f64().unwrap()
    };
    let number = |pointer: &str| result.pointer(pointer).unwrap().as_f64().unwrap();
    for (metric, expected) in [
        ("ok", number("/counts/ok") / number("/counts/offered")),
        ("offered", number("/rates/offered")),
        ("throughput", number("/rates/completed")),
        ("response_mean", number("/latency/response/mean")),
        ("response_p50", quantile("response", 0.5)),
        ("response_p99", quantile("response", 0.99)),
        ("service_p99", quantile("service", 0.99)),
        ("hold_mean", number("/latency/hold/mean")),
        ("overhead_p99", quantile("overhead", 0.99)),
        ("fleet_mean", number("/gauges/fleet/time/mean")),
        ("fleet_peak", number("/scaling/peak")),
        ("scale_ups", number("/scaling/ups")),
    ] {
        let metrics = found["metrics"].as_array().unwrap();
        let value = metrics.iter().find(|one| one["metric"] == metric).unwrap()["a"]["value"].as_f64().unwrap();
        assert!(
            (value - expected).abs() <= 1e-9 * expected.abs() + 0.5 * f64::from(expected > 1e4),
            "{metric}: {value} {expected}"
        );
    }
}

#[test]
fn another_policy_differs_on_the_same_requests() {
    let galton = galton();
    simulate(&galton, "rr", &base());
    simulate(&galton, "lc", &with("/load_balancer/architecture", json!("least_conns")));
    let (code, found) = compare(&galton, &["rr", "lc", "--paired"]);
    assert_eq!(code, DIFFERS, "{found:#}");
    let key = json!({"key": "load_balancer.architecture", "a": "round_robin", "b": "least_conns"});
    assert_eq!(found["differs_in"], json!([key]));
    assert_eq!((verdict(&found, "overhead_p99"), verdict(&found, "retries_distance")), ("differs", "differs"));
    // What was asked is the same, and pairing sees that.
    assert_eq!((verdict(&found, "offered"), verdict(&found, "hold_mean")), ("same", "same"));
    let text = String::from_utf8(galton.output(&["compare", "rr", "lc"]).stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains("differs in load_balancer.architecture") && text.contains("DIFFERS"), "{text}");
}

#[test]
fn later_knowledge_differs() {
    let galton = galton();
    let mut stale: Value = serde_json::from_str(include_str!("../../scenarios/stale.json")).unwrap();
    stale["simulation"]["duration_ms"] = json!(200_000);
    let step = |i: usize| json!({"t_ms": 5_000 * i, "rate_per_sec": if i.is_multiple_of(2) { 20 } else { 140 }});
    let steps: Vec<Value> = (0..40).map(step).collect();
    stale["traffic"]["arrival"]["ramp"]["steps"] = json!(steps);
    remove_idle_targets(&mut stale, 2_000, 500);
    stale["load_balancer"]["rr"]["sync_delay_ms"] = json!(3_000);
    simulate(&galton, "late", &stale);
    stale["load_balancer"]["rr"]["sync_delay_ms"] = json!(0);
    simulate(&galton, "at-once", &stale);
    let (code, found) = compare(&galton, &["late", "at-once"]);
    assert_eq!(code, DIFFERS, "{:?}", verdicts(&found));
    assert_eq!(found["differs_in"][0]["key"], "load_balancer.rr.sync_delay_ms");
    assert_eq!([verdict(&found, "loss"), verdict(&found, "scale_ups")], ["differs"; 2], "{:?}", verdicts(&found));
}

#[test]
fn other_seeds_do_not_differ() {
    let galton = galton();
    for seed in 1..=8 {
        simulate(&galton, &format!("seed-{seed}"), &with("/simulation/seed", json!(seed)));
    }
    // 28 comparisons of equals, each wrong in one of 20 cases at most: 1.4 on average, 4 or fewer in 98 of 100 cases. (They
    // share runs, which makes that a bit less sure.)
    let mut wrong = Vec::new();
    for a in 1..=8 {
        for b in a + 1..=8 {
            let (code, found) = compare(&galton, &[&format!("seed-{a}"), &format!("seed-{b}")]);
            assert_eq!(found["paired"], Value::Null);
            if code != 0 {
                let differ = verdicts(&found).into_iter().filter(|(_, verdict)| *verdict == "differs");
                wrong.push((a, b, differ.map(|(metric, _)| metric.to_owned()).collect::<Vec<_>>()));
            }
        }
    }
    assert!(wrong.len() <= 4, "{wrong:?}");
}

/// Lets a fleet that was needed shrink again.
fn remove_idle_targets(scenario: &mut Value, window_ms: u32, scan_ms: u32) {
    scenario["load_balancer"]["rr"]["idle_scale_down_threshold_requests_5m"] = json!(500);
    let times = [("idle_window_ms", window_ms), ("scan_interval_ms", scan_ms), ("drain_timeout_ms", 3_000)];
    times.into_iter().for_each(|(key, ms)| scenario["scaling"][key] = json!(ms));
}

/// Ten comparisons of equals, no run in two of them. How many say that something differs, and in how many the interval of the
/// mean fleet is there, and excludes 0.
fn disjoint_pairs(galton: &Galton, scenario: &Value) -> (usize, Vec<bool>) {
    let (mut wrong, mut excluded) = (0, Vec::new());
    for seed in 1..=20 {
        let mut scenario = scenario.clone();
        scenario["simulation"]["seed"] = json!(seed);
        simulate(galton, &format!("seed-{seed}"), &scenario);
    }
    for a in (1..=20).step_by(2) {
        let (code, found) = compare(galton, &[&format!("seed-{a}"), &format!("seed-{}", a + 1)]);
        wrong += usize::from(code == DIFFERS);
        let metrics = found["metrics"].as_array().unwrap();
        let interval = &metrics.iter().find(|one| one["metric"] == "fleet_mean").unwrap()["difference"]["interval"];
        let ends = interval["lo"].as_f64().zip(interval["hi"].as_f64());
        excluded.extend(ends.map(|(lo, hi)| lo > 0.0 || hi < 0.0));
        let noted = found["notes"].to_string().contains("targets mean has no interval");
        assert_eq!(noted, ends.is_none(), "{:#}", found["notes"]);
    }
    (wrong, excluded)
}

#[test]
fn a_fleet_that_grows_and_stays_says_nothing_of_other_seeds() {
    for scenario in [include_str!("../../scenarios/round_robin.json"), include_str!("../../scenarios/least_conns.json")]
    {
        let (wrong, intervals) = disjoint_pairs(&galton(), &serde_json::from_str(scenario).unwrap());
        // Each is wrong in one of 20 cases at most: 3 or more of 10 in one of 80 cases.
        assert!(wrong <= 2, "{wrong}");
        assert!(intervals.is_empty(), "each run has one realisation of its level");
    }
}

#[test]
fn a_fleet_that_goes_up_and_down_covers_that_of_other_seeds() {
    let galton = galton();
    let mut scenario = with("/simulation/duration_ms", json!(150_000));
    remove_idle_targets(&mut scenario, 8_000, 1_000);
    let (wrong, intervals) = disjoint_pairs(&galton, &scenario);
    assert!(wrong <= 2, "{wrong}");
    assert!(intervals.len() >= 9, "each goes up and down a dozen times: {}", intervals.len());
    assert!(intervals.iter().filter(|excluded| **excluded).count() <= 2, "{intervals:?}");
    scenario["traffic"]["arrival"]["rate_per_sec"] = json!(70);
    simulate(&galton, "busier", &scenario);
    let (_, found) = compare(&galton, &["seed-1", "busier"]);
    assert_eq!(verdict(&found, "fleet_mean"), "differs", "{:?}", verdicts(&found));
}

#[test]
fn a_few_requests_tell_nothing() {
    let galton = galton();
    for (name, seed, duration_ms) in [("a", 1, 100_000), ("b", 2, 100_000)] {
        let mut scenario = with("/simulation/duration_ms", json!(duration_ms));
        scenario["simulation"]["seed"] = json!(seed);
        scenario["traffic"]["arrival"] = json!({"distribution": "poisson", "rate_per_sec": 40, "count": 1});
        simulate(&galton, name, &scenario);
    }
    let (code, found) = compare(&galton, &["a", "b"]);
    assert_eq!(code, 0, "{:?}", verdicts(&found));
    for metric in ["response_mean", "hold_mean", "overhead_mean", "loss", "retries_mean", "retries_distance"] {
        let metrics = found["metrics"].as_array().unwrap();
        let one = metrics.iter().find(|one| one["metric"] == metric).unwrap();
        assert_eq!((&one["difference"]["interval"], &one["verdict"]), (&Value::Null, &json!("undecided")), "{metric}");
    }
    assert_eq!(found["response_distance"], Value::Null);
}

#[test]
fn another_simulator_is_compared_by_what_it_knows() {
    let galton = galton();
    simulate(&galton, "a", &base());
    galton.file("scenario.json", &base().to_string());
    let plan = galton.output(&["plan", "scenario.json", "--csv", "plan.csv"]);
    assert_eq!(plan.status.code(), Some(0), "{}", String::from_utf8_lossy(&plan.stderr));
    let planned = fs::read_to_string(galton.dir().join("plan.csv")).unwrap();
    // A simulator that has been given the plan: it appends what it found.
    let rows = trace::read(fs::read(galton.dir().join("a/trace.csv")).unwrap().as_slice()).unwrap();
    let mut lines = planned.lines();
    let mut csv = format!("{},t_end_ms,attempts\n", lines.next().unwrap());
    for (line, row) in lines.zip(&rows) {
        csv += &format!("{line},{},{}\n", row.t_end.unwrap().as_millis_f64(), row.attempts.unwrap());
    }
    galton.file("theirs.csv", &csv);
    let (code, found) = compare(&galton, &["a", "theirs.csv"]);
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(found["paired"]["in_both"], rows.len() as u64);
    for metric in ["response_mean", "response_p99", "retries_mean", "retries_distance", "offered"] {
        assert_eq!(verdict(&found, metric), "same", "{metric}");
    }
    let unavailable = found["unavailable"].as_array().unwrap();
    for metric in ["loss", "overhead_mean", "fleet_mean", "scale_ups"] {
        assert!(unavailable.contains(&json!(metric)), "{unavailable:?}");
    }
    let notes = found["notes"].to_string();
    assert!(notes.contains("theirs.csv has no outcome, service, hold, overhead, target"), "{notes}");
}

#[test]
fn results_alone_are_compared_by_their_intervals() {
    let galton = galton();
    simulate(&galton, "a", &base());
    simulate(&galton, "b", &with("/load_balancer/rr/retry_delay_ms", json!(400)));
    let (code, found) = compare(&galton, &["a/result.json", "b"]);
    assert_eq!(code, DIFFERS, "{found:#}");
    assert_eq!(verdict(&found, "overhead_mean"), "differs");
    assert!(found["notes"].to_string().contains("not both have a trace"));
    let (code, found) = compare(&galton, &["a/result.json", "a/result.json"]);
    assert_eq!((code, verdict(&found, "fleet_peak")), (0, "same"));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let galton = galton();
    simulate(&galton, "a", &base());
    simulate(&galton, "seed", &with("/simulation/seed", json!(7)));
    simulate(&galton, "slots", &with("/targets/max_concurrency_per_target", json!(3)));
    simulate(&galton, "bad", &base());
    let path = galton.dir().join("bad/result.json");
    let mut result: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    result["validity"] = json!({"verdict": "INVALID", "reasons": [{"code": "CONSERVATION"}]});
    fs::write(&path, result.to_string()).unwrap();
    fs::create_dir(galton.dir().join("empty")).unwrap();
    galton.file("x.csv", "t_intended_ms,t_end_ms\n0,1\n1,x\n");
    galton.file("ms.csv", "t_intended_ns,t_end_ns\n0,1\n59,60\n");
    galton.file("none.csv", "t_intended_ms,t_end_ms\n");
    galton.file("x.json", "{}");
    for (args, says) in [
        (&["a", "seed", "--paired"][..], "the plans are different"),
        (&["a", "slots", "--paired"], "targets.max_concurrency_per_target"),
        (&["a", "bad"], "bad: the run is INVALID (CONSERVATION)"),
        (&["a", "empty"], "no result.json"),
        (&["a", "missing"], "missing: there is no such file"),
        (&["a", "x.csv"], "x.csv: line 3: column t_end"),
        (&["a", "ms.csv"], "in another unit"),
        (&["a", "none.csv"], "none.csv: no request"),
        (&["a", "x.json"], "x.json: not a result.json"),
        (&["a", "a", "--margin", "speed=1"], "no margin"),
        (&["a", "a", "--paired", "--unpaired"], "--unpaired"),
    ] {
        refused(&galton.output(&[&["compare"], args].concat()), says);
    }
    assert_eq!(compare(&galton, &["a", "bad", "--allow-invalid"]).0, 0);
}

#[test]
fn what_is_no_run_is_wrong_usage_and_a_run_that_cannot_be_read_is_a_failure() {
    let galton = galton();
    galton.file("scenario.json", r#"{"simulation": {"duration_ms": 1000}}"#);
    let simulated = galton.output(&["simulate", "scenario.json", "--output-dir", "runs", "--trace"]);
    assert!(simulated.status.success(), "{}", String::from_utf8_lossy(&simulated.stderr));
    let run = fs::read_dir(galton.dir().join("runs")).unwrap().next().unwrap().unwrap().path();
    fs::rename(&run, galton.dir().join("a")).unwrap();
    fs::create_dir(galton.dir().join("empty")).unwrap();
    fs::create_dir(galton.dir().join("generator")).unwrap();
    let mut result: Value = serde_json::from_slice(&fs::read(galton.dir().join("a/result.json")).unwrap()).unwrap();
    result["client"] = json!({});
    galton.file("generator/result.json", &result.to_string());
    for (args, says) in [
        (&["export", "missing"][..], "missing: there is no such file or directory"),
        (&["export", "empty"], "empty: no run directory: there is no result.json"),
        (&["export", "scenario.json"], "scenario.json is not the result of a run"),
        (&["export", "generator"], "generator: this is a load generator's own run, which export is not for"),
        (&["report", "missing"], "missing: there is no such file or directory"),
        (&["report", "empty"], "empty: no run directory: there is no scenario.json"),
        (&["report", "generator"], "generator: this is a load generator's own run, which report is not for"),
        (&["report", "a"], "a: this is a simulated run, which report is not for"),
    ] {
        refused(&galton.output(args), says);
    }
    galton.file("a/scenario.json", r#"{"simulation": "#);
    let scenario = galton.output(&["compare", "a", "a"]);
    galton.file("a/result.json", r#"{"schema_version": 1, "#);
    let result = galton.output(&["export", "a"]);
    for (out, names) in [(scenario, "a/scenario.json"), (result, "cannot read a/result.json")] {
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(1) && said.contains(names), "{:?}: {said}", out.status);
    }
}

#[test]
fn a_plan_is_told_in_a_few_lines_and_replayed_from_its_csv() {
    let galton = galton();
    galton.file("scenario.json", &base().to_string());
    let summary = |args: &[&str]| {
        let out = galton.output(&[&["plan", "scenario.json"], args].concat());
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let told = summary(&[]);
    let plan_of = |text: &str| text.split("plan ").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert!(told.contains("host 1") && told.lines().count() < 10, "{told}");
    galton.file("plan.csv", &summary(&["--csv"]));
    let arrival = r#"traffic.arrival={"distribution": "trace", "file": "plan.csv"}"#;
    assert_eq!(plan_of(&summary(&["--set", arrival])), plan_of(&told));
    assert_ne!(plan_of(&summary(&["--seed", "1"])), plan_of(&told));
}

#[test]
fn a_closed_loop_has_no_plan() {
    let galton = galton();
    galton.file("scenario.json", r#"{"traffic": {"closed_loop": {"concurrency": 2}}}"#);
    for args in [&["plan", "scenario.json"][..], &["plan", "scenario.json", "--csv"]] {
        refused(&galton.output(args), "a closed loop has no plan in advance");
    }
    refused(&galton.output(&["plan", "missing.json"]), "missing.json");
    assert!(!Path::new(&galton.dir().join("runs")).exists());
}
