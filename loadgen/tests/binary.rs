//! The binary from outside: under a conductor, interrupted, out of descriptors, misused.
#![cfg(test)]

#[path = "../src/test_server.rs"]
mod test_server;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use galton_core::plan::Plan;
use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::wire::{Announce, Progress, Start};
use galton_core::{Outcome, Scenario};
use galton_report::GeneratorFacts;
use galton_runtime::{http_client, mono_ns, scenario_file};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use test_server::{Answer, Server};

const DEADLINE: Duration = Duration::from_secs(20);

fn loadgen() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for the end, kills at the deadline.
fn exit_code(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    panic!("it did not end");
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::yield_now();
    }
}

/// A load generator under this test as its conductor.
struct Conducted {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    admin: String,
    runtime: tokio::runtime::Runtime,
}

impl Conducted {
    fn start(scenario: &Path, trace: &Path, servers: &[Server]) -> Self {
        let mut command = loadgen();
        command.stdin(Stdio::piped()).stderr(Stdio::inherit());
        command.args(["--lifeline", "--wait-start", "--time-scale", "2", "--scenario"]).arg(scenario);
        command.arg("--trace").arg(trace);
        command.arg("--book").arg(trace.with_extension("book"));
        command.arg("--generator").arg(trace.with_extension("json"));
        for (host, server) in servers.iter().enumerate() {
            command.arg("--proxy").arg(format!("{host}={}", server.addr));
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let announce: Announce = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!((announce.role.as_str(), announce.data), ("loadgen", None));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { child, lines, admin: announce.admin, runtime }
    }

    fn post(&self, path: &str, body: &impl serde::Serialize) -> u16 {
        self.runtime.block_on(http_client::post_json(&self.admin, path, body, DEADLINE)).unwrap().status.as_u16()
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = self.runtime.block_on(http_client::get(&self.admin, path, DEADLINE)).unwrap();
        (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
    }

    /// The last line of progress.
    fn finished(&mut self) -> Progress {
        loop {
            let line = self.lines.next().expect("it ends its progress before its output").unwrap();
            let progress: Progress = serde_json::from_str(&line).unwrap();
            if progress.finished {
                return progress;
            }
        }
    }
}

fn write_scenario(dir: &Path, duration_ms: u64) -> (std::path::PathBuf, Scenario) {
    let path = dir.join("scenario.json");
    let tree = json!({
        "simulation": { "seed": 7, "duration_ms": duration_ms, "drain_ms": 5000 },
        "traffic": { "arrival": { "distribution": "poisson", "rate_per_sec": 200 } },
        "load_balancer": { "hosts": 2 },
    });
    std::fs::write(&path, tree.to_string()).unwrap();
    let scenario = scenario_file::load(&path, &[]).unwrap();
    (path, scenario)
}

fn read_trace(path: &Path) -> Vec<TraceRow> {
    let mut rows = galton_report::trace::read(BufReader::new(std::fs::File::open(path).unwrap())).unwrap();
    rows.sort_by_key(|row| row.seq);
    rows
}

#[test]
fn under_a_conductor_it_sends_the_plan_and_leaves_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (path, scenario) = write_scenario(dir.path(), 1000);
    let trace = dir.path().join("trace.csv");
    let servers = [Server::start(Answer::ok(Duration::ZERO, "")), Server::start(Answer::ok(Duration::ZERO, ""))];
    let mut run = Conducted::start(&path, &trace, &servers);
    assert_eq!(run.get("/readyz").0, 200);
    let t0_ns = mono_ns() + 50_000_000;
    assert_eq!(run.post("/start", &Start { t0_ns }), 200);
    assert_eq!(run.post("/start", &Start { t0_ns }), 409);

    let plan: Vec<_> = Plan::new(&scenario).open_loop().collect();
    let last = run.finished();
    assert_eq!((last.planned, last.done, last.in_flight), (Some(plan.len() as u64), plan.len() as u64, 0));
    let rows = read_trace(&trace);
    assert_eq!(rows.len(), plan.len());
    for (row, planned) in rows.iter().zip(&plan) {
        assert_eq!((row.seq, row.t_intended, row.host), (planned.seq, planned.at, Some(planned.host.0)));
        assert_eq!(row.outcome, TraceOutcome::Offered(Outcome::Ok));
        assert!(row.t_send.unwrap() >= row.t_intended);
    }
    for (host, server) in servers.iter().enumerate() {
        assert!(server.connections() > 0);
        let meant = plan.iter().filter(|p| p.host.0 as usize == host).count();
        assert_eq!(server.seen().len(), meant, "host {host}");
        for seen in server.seen() {
            let planned = &plan[seen.header("galton-seq").unwrap().parse::<usize>().unwrap()];
            // Twice as fast: half the hold, half the time.
            let hold_ns: f64 = seen.header("galton-hold-ns").unwrap().parse().unwrap();
            assert!((hold_ns - planned.demand.hold.0 as f64 / 2.0).abs() <= 1.0);
            assert!(seen.at_ns >= t0_ns + planned.at.0 / 2);
        }
    }

    let facts = std::fs::read_to_string(trace.with_extension("json")).unwrap();
    let facts: GeneratorFacts = serde_json::from_str(&facts).unwrap();
    let planned = plan.len() as u64;
    assert_eq!((facts.generator.planned, facts.counters.sent, facts.time_scale), (Some(planned), planned, 2.0));
    assert!(!facts.interrupted);
    let ok = format!("galton_load_requests_total{{outcome=\"ok\"}} {}", plan.len());
    let metrics = run.get("/metrics").1;
    assert!(metrics.contains(&ok), "it keeps serving its metrics: {metrics}");
    assert!(metrics.contains("galton_load_send_lag_seconds_bucket"));
    signal(&run.child, Signal::TERM);
    assert_eq!(exit_code(&mut run.child), Some(0));
    let book = galton_runtime::book::read(&trace.with_extension("book")).unwrap();
    assert!(book.contains(&("galton_load_sent_total".to_owned(), plan.len() as u64)));
}

#[test]
fn a_stop_ends_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let (path, scenario) = write_scenario(dir.path(), 600_000);
    let trace = dir.path().join("trace.csv");
    let servers = [Server::start(Answer::ok(Duration::ZERO, "")), Server::start(Answer::ok(Duration::ZERO, ""))];
    let mut run = Conducted::start(&path, &trace, &servers);
    assert_eq!(run.post("/start", &Start { t0_ns: mono_ns() }), 200);
    wait_until("the first request", || !servers[0].seen().is_empty());
    assert_eq!(run.post("/stop", &json!({})), 200);
    let last = run.finished();
    let rows = read_trace(&trace);
    let unsent = rows.iter().filter(|row| row.outcome == TraceOutcome::Unsent).count();
    assert_eq!(last.done as usize + unsent, rows.len());
    assert!(last.done > 0);
    // Ten minutes of it were planned.
    let plan: Vec<_> = Plan::new(&scenario).open_loop().take(rows.len() + 1).map(|planned| planned.at).collect();
    assert_eq!(rows.iter().map(|row| row.t_intended).collect::<Vec<_>>(), plan[..rows.len()]);
    assert!(plan.len() > rows.len());
    // The lifeline ends: so does it.
    drop(run.child.stdin.take());
    assert_eq!(exit_code(&mut run.child), Some(1));
}

#[test]
fn an_interrupted_run_still_writes_its_results() {
    let dir = tempfile::tempdir().unwrap();
    let (json, log) = (dir.path().join("result.json"), dir.path().join("requests.csv"));
    let server = Server::start(Answer::ok(Duration::ZERO, ""));
    let mut command = loadgen();
    command.args([&format!("http://{}/", server.addr), "-r", "100", "-n", "5000", "--progress", "none"]);
    let mut child = command.arg("--json").arg(&json).arg("--log-requests").arg(&log).spawn().unwrap();
    wait_until("the first request", || !server.seen().is_empty());
    signal(&child, Signal::INT);
    assert_eq!(exit_code(&mut child), Some(130));
    let text = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert!(text.starts_with("seed 42: open loop, Poisson 100/s; 5000 requests\n"), "{text}");
    assert!(text.contains("INTERRUPTED"), "{text}");
    assert!(text.lines().count() <= 30, "{text}");
    let result: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let planned = result["counts"]["planned"].as_u64().unwrap();
    assert!((1..5000).contains(&planned), "{planned}: what was meant for later is not planned any more");
    assert_eq!(read_trace(&log).len() as u64, planned);
}

#[test]
fn running_out_of_descriptors_is_not_a_valid_measurement() {
    let server = Server::start(Answer::silence());
    let program = env!("CARGO_BIN_EXE_loadgen");
    let line = format!("ulimit -n 24; exec {program} http://{}/ -c 60 -n 60 -t 300ms --strict --json", server.addr);
    let Output { status, stdout, stderr } = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(status.code(), Some(98), "{}", String::from_utf8_lossy(&stderr));
    let result: Value = serde_json::from_slice(&stdout).unwrap();
    assert!(result["counts"]["failed"]["connect"].as_u64().unwrap() > 0, "{result:#}");
    assert_eq!(result["validity"]["verdict"], "INVALID");
    let codes: Vec<&str> =
        result["validity"]["reasons"].as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"DESCRIPTORS_EXHAUSTED"), "{codes:?}");
}

#[test]
fn exit_codes_tell_wrong_usage_from_what_could_not_run() {
    for (line, code, message) in [
        (vec!["-c", "5"], 2, "error: --concurrency needs an end"),
        (vec!["--frobnicate"], 2, "unexpected argument"),
        (vec!["https://127.0.0.1/"], 2, "only http is spoken"),
        (vec!["http://no-such-host.invalid/"], 1, "cannot resolve no-such-host.invalid"),
        (vec!["-b", "@/no/such/file"], 1, "cannot read the body /no/such/file"),
        (vec!["--json", "localhost:18123"], 2, "looks like a URL"),
        (vec!["--json", "http://127.0.0.1/"], 2, "looks like a URL"),
        (vec!["--log-requests", "127.0.0.1:80/x"], 2, "looks like a URL"),
        (vec!["search", "--json", "127.0.0.1:80"], 2, "looks like a URL"),
        (vec!["--json", "/no/such/dir/result.json"], 1, "cannot write /no/such/dir/result.json"),
        (vec!["search", "--slo", "errors<1%", "--json", "/no/such/dir/x.json"], 1, "cannot write /no/such/dir/x.json"),
    ] {
        let Output { status, stderr, .. } = loadgen().args(&line).output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(code), "{line:?}: {stderr}");
        assert!(stderr.contains(message), "{line:?}: {stderr}");
    }
}
