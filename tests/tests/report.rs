//! `galton report`: the report of a run that is over, from the files alone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use galton_core::Outcome;
use galton_core::record::{Decision, TraceOutcome, TraceRow};
use galton_report::{decisions, trace};
use galton_runtime::records;
use galton_tests::role::Role;
use galton_tests::{Galton, Run, SOON, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

/// Two hosts, a fleet that grows, requests of 40 ms for two seconds.
fn scenario(hosts: u32) -> Value {
    json!({
        "simulation": {"seed": 5, "duration_ms": 2000, "drain_ms": 3000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 100},
            "request_duration_ms": {"mode": "distribution", "distribution": "exponential", "mean_ms": 40},
            "timeout_ms": 2000
        },
        "load_balancer": {"architecture": "least_conns", "hosts": hosts},
        "targets": {"initial_count": 2, "max_concurrency_per_target": 2},
        "scaling": {"min_targets": 1, "max_targets": 6, "idle_window_ms": 60_000}
    })
}

/// A run whose roles were started by hand, one by one, and have ended.
struct ByHand {
    galton: Galton,
}

impl ByHand {
    /// `proxies`: the arguments of each of them, besides what all have.
    fn run(scenario: &Value, proxies: &[&[&str]]) -> Self {
        let galton = galton();
        fs::create_dir(galton.dir().join("run")).unwrap();
        galton.file("run/scenario.json", &scenario.to_string());
        let mut scaler = Role::start(
            galton.command(&["scaler", "--run-dir", "run", "--map", "run/load.map"]).env("GALTON_SCENARIO", SCENARIO),
        );
        let admin = scaler.admin().to_owned();
        let common = ["proxy", "--scenario", SCENARIO, "--map", "run/load.map", "--scaler", &admin];
        eventually(SOON, "the directories of the run", || galton.dir().join("run/metrics").is_dir());
        let start = |more: &&[&str]| Role::start(&mut galton.command(&[&common[..], more].concat()));
        let started: Vec<Role> = proxies.iter().map(start).collect();
        // Every file of the load generator by variable, as in a container.
        let mut loadgen = galton.command(&["loadgen"]);
        loadgen.env("GALTON_SCENARIO", SCENARIO).env("GALTON_SCALER", &admin).env("GALTON_TRACE", "run/trace.csv");
        let output = loadgen.env("GALTON_GENERATOR", "run/generator.json").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for mut proxy in started {
            assert_eq!(proxy.end(Signal::TERM), Some(0));
        }
        assert_eq!(scaler.end(Signal::TERM), Some(0));
        Self { galton }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.galton.dir().join("run").join(name)
    }

    fn trace(&self) -> Vec<TraceRow> {
        trace::read(fs::read(self.file("trace.csv")).unwrap().as_slice()).unwrap()
    }

    fn report(&self) -> Output {
        self.galton.output(&["report", "run"])
    }

    /// The report's figures; it must exit with 0.
    fn figures(&self) -> Value {
        let output = self.report();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        result(&self.file(""))
    }
}

const SCENARIO: &str = "run/scenario.json";
/// Two processes of one host each.
const TWO: [&[&str]; 2] = [
    &["--host", "0", "--book", "run/book/proxy-0.book", "--records", "run/book/proxy-0.decisions"],
    &["--host", "1", "--book", "run/book/proxy-1.book", "--records", "run/book/proxy-1.decisions"],
];
/// One process of two hosts.
const THREADS: [&[&str]; 1] =
    [&["--threads", "2", "--book", "run/book/proxy.book", "--records", "run/book/proxy.decisions"]];

fn result(dir: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join("result.json")).unwrap()).unwrap()
}

fn codes(result: &Value) -> Vec<&str> {
    result["validity"]["reasons"].as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap()).collect()
}

fn count(trace: &[TraceRow], outcome: Outcome) -> u64 {
    trace.iter().filter(|row| row.outcome == TraceOutcome::Offered(outcome)).count() as u64
}

fn sum(result: &Value, of: &str) -> u64 {
    result["targets"].as_array().unwrap().iter().map(|target| target[of].as_u64().unwrap()).sum()
}

/// The figures are those of the trace, and what every process counted goes together.
#[track_caller]
fn assert_whole(run: &ByHand, result: &Value) -> Vec<Decision> {
    let trace = run.trace();
    assert!(trace.len() > 100, "{} requests", trace.len());
    assert_eq!(result["counts"]["planned"], trace.len());
    assert_eq!(result["counts"]["ok"], count(&trace, Outcome::Ok));
    assert_eq!(result["counts"]["timed_out"], count(&trace, Outcome::TimedOut));
    assert_eq!(result["latency"]["response"]["n"], count(&trace, Outcome::Ok) + count(&trace, Outcome::TimedOut));
    assert_eq!(result["conservation"]["ok"], true, "{:#}", result["conservation"]);
    assert_eq!(result["conservation"]["rows"].as_array().unwrap().len(), 5, "{:#}", result["conservation"]);
    let all = decisions::read(fs::read(run.file("decisions.csv")).unwrap().as_slice()).unwrap();
    let attempts = all.iter().filter(|decision| decision.target.is_some()).count() as u64;
    assert_eq!(sum(result, "accepted") + sum(result, "refused"), attempts);
    assert_eq!(sum(result, "requests"), attempts);
    assert!(result["gauges"]["target_in_flight"]["time"]["mean"].as_f64().unwrap() > 0.0);
    assert!(result["gauges"]["fleet"]["time"]["mean"].as_f64().unwrap() >= 2.0);
    // Nobody watched, and the report says so; nothing else may be made up, or missing.
    let missing = ["NOT_WATCHED", "MISSING_SCRAPE", "MISSING_RECORDS", "T0_DIFFERS", "CONSERVATION"];
    let told: Vec<&str> = codes(result).into_iter().filter(|code| missing.contains(code)).collect();
    assert_eq!(told, ["NOT_WATCHED"]);
    assert_ne!(result["validity"]["verdict"], "VALID");
    assert_eq!(result["run"]["command"], json!([]));
    all
}

#[test]
fn roles_that_were_started_by_hand_have_a_report() {
    let run = ByHand::run(&scenario(2), &TWO);
    let result = run.figures();
    let all = assert_whole(&run, &result);
    for host in 0..2 {
        let mut recorded = records::read(&run.file(&format!("book/proxy-{host}.decisions"))).unwrap();
        recorded.sort_by_key(|decision| decision.at);
        let merged: Vec<Decision> = all.iter().filter(|decision| decision.host.0 == host).copied().collect();
        assert!(merged == recorded && !merged.is_empty(), "host {host}");
    }
    assert!(run.file("report.html").is_file() && run.file("report.md").is_file());
    assert_eq!(run.figures(), result, "asked again, it says the same");
}

#[test]
fn the_hosts_of_one_process_have_books_and_records_of_their_own() {
    let run = ByHand::run(&scenario(2), &THREADS);
    let result = run.figures();
    let all = assert_whole(&run, &result);
    for host in 0..2 {
        assert!(all.iter().any(|decision| decision.host.0 == host), "host {host}");
    }
}

#[test]
fn what_was_not_kept_is_missing_and_not_made_up() {
    let run = ByHand::run(&scenario(2), &TWO);
    fs::remove_file(run.file("book/proxy-1.decisions")).unwrap();
    let result = run.figures();
    assert!(codes(&result).contains(&"MISSING_RECORDS"), "{:?}", codes(&result));
    assert_eq!(result["gauges"]["target_in_flight"]["time"], Value::Null, "half of the records are no gauge");
    assert_eq!(result["conservation"]["rows"].as_array().unwrap().len(), 5, "books are there");

    fs::remove_file(run.file("book/proxy-0.book")).unwrap();
    let result = run.figures();
    let reasons = result["validity"]["reasons"].as_array().unwrap();
    let missing = reasons.iter().find(|r| r["code"] == "MISSING_SCRAPE").unwrap_or_else(|| panic!("{reasons:?}"));
    assert_eq!(missing["severity"], "suspect");
    assert!(missing["text"].as_str().unwrap().ends_with("proxy-0"), "{missing}");
    assert_eq!(result["conservation"]["rows"].as_array().unwrap().len(), 3, "the generator's own");
    assert!(!codes(&result).contains(&"CONSERVATION"), "what is not known is not unequal");

    fs::remove_file(run.file("book/target-t-001-0.book")).unwrap();
    let result = run.figures();
    assert_eq!(result["targets"][0]["id"], "t-001");
    assert_eq!(result["targets"][0]["accepted"], Value::Null, "neither counted nor recorded");
}

#[test]
fn records_of_a_sample_are_not_taken_for_all() {
    let sampled = ["--recording", "sample:8"];
    let run = ByHand::run(&scenario(2), &[&[TWO[0], &sampled].concat(), TWO[1]]);
    let result = run.figures();
    let reasons = result["validity"]["reasons"].as_array().unwrap();
    let missing = reasons.iter().find(|r| r["code"] == "MISSING_RECORDS").unwrap_or_else(|| panic!("{reasons:?}"));
    assert!(missing["text"].as_str().unwrap().contains("proxy-0: "), "{missing}");
    assert_eq!(result["gauges"]["target_in_flight"]["time"], Value::Null);
}

#[test]
fn the_report_of_a_run_can_be_made_again() {
    let galton = galton();
    let run = galton.run(&scenario(2), &[]);
    let before = files(&run);
    let (mut removed, mut kept) = (0, 0);
    for name in before.iter().map(|(name, _)| run.dir.join(name)) {
        let written = !matches!(name.file_name().unwrap().to_str().unwrap(), "trace.csv" | "scenario.json");
        if written && name.extension().is_some_and(|e| e == "csv" || e == "md" || e == "html")
            || name.ends_with("result.json")
        {
            fs::remove_file(&name).unwrap();
            removed += 1;
        } else {
            kept += 1;
        }
    }
    assert!(removed >= 10 && kept >= 4, "{removed} removed, {kept} kept");
    let output = galton.output(&["report", run.dir.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for ((name, before), (name_again, again)) in before.iter().zip(files(&run)) {
        assert_eq!(*name, name_again);
        assert!(*before == again, "{name} is not the same");
    }
    assert_eq!(result(&run.dir), run.result, "run information included");
    let (told, again) =
        (fs::read_to_string(galton.dir().join("stdout")).unwrap(), String::from_utf8(output.stdout).unwrap());
    let summary = |text: &str| text[text.find(run.verdict()).unwrap()..].trim().to_owned();
    let without_path = |text: String| text.rsplit_once('\n').unwrap().0.to_owned();
    assert_eq!(without_path(summary(&again)), without_path(summary(&told)));
}

/// The files right in the run directory, by name.
fn files(run: &Run) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(&run.dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut all: Vec<_> = entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn a_death_is_told_again() {
    let galton = galton();
    let running = galton.start(&scenario(2), &[]);
    running.wait_for_load();
    galton_tests::signal(*running.processes("proxy").first().unwrap(), Signal::KILL);
    let (code, run) = running.finish();
    assert_eq!(code, Some(0));
    assert!(codes(&run.result).contains(&"PROXY_DIED"), "{:?}", codes(&run.result));
    assert_eq!(galton.output(&["report", run.dir.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(result(&run.dir), run.result);
}

/// How a good directory is spoilt, and what the message must name.
type Fault = (&'static str, fn(&Path), &'static [&'static str]);

const FAULTS: [Fault; 14] = [
    ("no scenario", |dir| fs::remove_file(dir.join("scenario.json")).unwrap(), &["scenario.json"]),
    ("another scenario", |dir| fs::write(dir.join("scenario.json"), "{\"x\": 1}").unwrap(), &["scenario.json", "x"]),
    ("no trace", |dir| fs::remove_file(dir.join("trace.csv")).unwrap(), &["trace.csv"]),
    ("an empty trace", |dir| fs::write(dir.join("trace.csv"), "").unwrap(), &["trace.csv", "line 1", "seq"]),
    ("a trace cut off in a line", |dir| cut(&dir.join("trace.csv"), 30), &["trace.csv", "line ", "cut off"]),
    ("a trace cut off in a cell", |dir| cut(&dir.join("trace.csv"), 1), &["trace.csv", "line ", "cut off"]),
    ("a trace with half a line", |dir| halve_line_2(&dir.join("trace.csv")), &["trace.csv", "line 2", "20 cells"]),
    ("no generator", |dir| fs::remove_file(dir.join("generator.json")).unwrap(), &["generator.json"]),
    ("half a generator", |dir| cut(&dir.join("generator.json"), 20), &["generator.json", "line "]),
    ("no fleet log", |dir| fs::remove_file(dir.join("fleet.jsonl")).unwrap(), &["fleet.jsonl"]),
    ("a fleet log cut off", |dir| cut(&dir.join("fleet.jsonl"), 20), &["fleet.jsonl", "line "]),
    ("no records", |dir| fs::write(dir.join("book/proxy-0.decisions"), "at,until\n").unwrap(), &["proxy-0.decisions"]),
    ("no book", |dir| fs::write(dir.join("book/proxy-1.book"), "requests 5\n").unwrap(), &["proxy-1.book"]),
    ("a conductor", |dir| fs::write(dir.join("conductor.json"), "[]").unwrap(), &["conductor.json"]),
];

/// Takes bytes off a file's end.
fn cut(path: &Path, bytes: usize) {
    let text = fs::read(path).unwrap();
    fs::write(path, &text[..text.len() - bytes]).unwrap();
}

/// Takes half of the first line behind the header.
fn halve_line_2(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().nth(1).unwrap();
    fs::write(path, text.replacen(line, &line[..line.len() / 2], 1)).unwrap();
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, what: &str, names: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{what}: {said}");
    assert!(!said.contains("panicked"), "{what}: {said}");
    for name in names {
        assert!(said.contains(name), "{what}: the message must name {name:?}: {said}");
    }
}

#[test]
fn bad_files_are_refused_with_their_name_and_place() {
    let galton = galton();
    let good = galton.run(&scenario(2), &[]).dir;
    for (what, spoil, names) in FAULTS {
        let dir = galton.dir().join("spoilt");
        copy(&good, &dir);
        spoil(&dir);
        // A directory without a scenario is no run; one with a file that is not what it should be cannot be read.
        let code = if what == "no scenario" { 2 } else { 1 };
        assert_refused(&galton.output(&["report", "spoilt"]), code, what, names);
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::write(galton.dir().join("file"), "").unwrap();
    for (dir, names) in [("nowhere", ["nowhere", "no such file"]), ("file", ["file", "no directory"])] {
        assert_refused(&galton.output(&["report", dir]), 2, dir, &names);
    }
    assert_refused(&galton.output(&["report"]), 2, "nothing", &["DIR"]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &to) } else { fs::copy(entry.path(), to).map(drop).unwrap() }
    }
}

#[test]
fn a_load_that_counts_from_another_t0_is_found_out() {
    let galton = galton();
    galton.file("scenario.json", &scenario(1).to_string());
    let scaler =
        Role::start(&mut galton.command(&["scaler", "--autostart", "--scenario", "scenario.json", "--map", "map"]));
    let load = ["loadgen", "--scenario", "scenario.json", "--trace", "trace.csv", "--scaler", scaler.admin()];
    let args = ["proxy", "--scenario", "scenario.json", "--map", "map", "--scaler", scaler.admin()];
    let _proxy = Role::start(&mut galton.command(&args));
    let output = galton.output(&load);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--autostart"), "{output:?}");
}
