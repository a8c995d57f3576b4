//! The books balance whatever dies, stalls or gives up.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Stdio;
use std::time::Duration;

use galton_core::record::{FleetWhat, TraceOutcome};
use galton_core::{FailReason, Nanos, Outcome};
use galton_tests::{Galton, Run, Running, alive, eventually, signal};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A steady load on four targets, 5 s long: 40 requests/s of 100 ms.
fn scenario(architecture: &str, hosts: u32) -> Value {
    json!({
        "simulation": {"seed": 3, "duration_ms": 5000, "drain_ms": 5000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 40},
            "request_duration_ms": {"mode": "distribution", "distribution": "exponential", "mean_ms": 100},
            "timeout_ms": 4000
        },
        "load_balancer": {"architecture": architecture, "hosts": hosts, "rr": {"sync_delay_ms": 20}},
        "targets": {"initial_count": 4, "max_concurrency_per_target": 10},
        "scaling": {"min_targets": 1, "max_targets": 8, "idle_window_ms": 600_000}
    })
}

/// What whoever kills a conductor may expect.
const GONE_WITHIN: Duration = Duration::from_secs(2);

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

fn one(pids: Vec<u32>) -> u32 {
    *pids.first().expect("a process of this role")
}

fn finish(running: Running) -> Run {
    let (code, run) = running.finish();
    assert_eq!(code, Some(0));
    run.assert_books_balance();
    run
}

fn ended(run: &Run, wanted: impl Fn(Outcome) -> bool) -> usize {
    let is = |o: &TraceOutcome| matches!(o, TraceOutcome::Offered(outcome) if wanted(*outcome));
    run.trace.iter().filter(|row| is(&row.outcome)).count()
}

fn ok(run: &Run) -> usize {
    ended(run, |o| o == Outcome::Ok)
}

/// Requests that one process sent and the next never saw.
fn never(run: &Run) -> u64 {
    let rows = run.result["conservation"]["rows"].as_array().unwrap();
    let never: Vec<u64> = rows.iter().filter_map(|row| row["never"].as_u64()).collect();
    assert_eq!(never.len(), 2, "loadgen to proxies, and proxies to targets");
    never.iter().sum()
}

#[test]
fn a_target_killed_mid_run_comes_back() {
    for architecture in ["round_robin", "least_conns"] {
        let galton = galton();
        let running = galton.start(&scenario(architecture, 2), &[]);
        running.wait_for_load();
        signal(one(running.processes("t-002")), Signal::KILL);
        running.wait_for_fleet(FleetWhat::Restarting, 1);
        let run = finish(running);
        assert_eq!(run.count(FleetWhat::Died), 1, "{architecture}");
        let back = run.fleet.iter().any(|e| e.what == FleetWhat::Ready && e.incarnation == 1);
        assert!(back, "{architecture}: the target did not come back");
        assert!(ok(&run) * 10 > run.trace.len() * 9, "{architecture}: {} of {} ok", ok(&run), run.trace.len());
        let odd = |o| !matches!(o, Outcome::Ok | Outcome::Failed(FailReason::Reset | FailReason::Connect));
        assert_eq!(ended(&run, odd), 0, "{architecture}: only resets are due to a kill");
    }
}

#[test]
fn a_proxy_killed_mid_run_gives_everything_back() {
    let galton = galton();
    let running = galton.start(&scenario("least_conns", 3), &[]);
    running.wait_for_load();
    signal(one(running.processes("proxy")), Signal::KILL);
    let run = finish(running);
    assert!(ended(&run, |o| matches!(o, Outcome::Failed(_))) > 0, "requests for a dead proxy fail");
    let map = galton_runtime::load_map::LoadMap::open(&run.dir.join("load.map")).unwrap();
    assert_eq!(galton_core::table::FleetRows::total_in_flight(&map), 0, "the map must return to zero");
}

#[test]
fn a_scaler_stopped_for_two_seconds_costs_nothing() {
    let galton = galton();
    let running = galton.start(&scenario("round_robin", 2), &[]);
    running.wait_for_load();
    pause(&running, "scaler", Duration::from_secs(2));
    let run = finish(running);
    assert_eq!(ok(&run), run.trace.len());
    assert_eq!(never(&run), 0);
}

#[test]
fn a_target_paused_for_a_second_costs_no_request() {
    let galton = galton();
    let running = galton.start(&scenario("least_conns", 2), &[]);
    running.wait_for_load();
    pause(&running, "t-001", Duration::from_secs(1));
    let run = finish(running);
    assert_eq!(ok(&run), run.trace.len());
    assert_eq!(never(&run), 0);
    let slowest = run.trace.iter().filter_map(|row| row.response()).max().unwrap();
    assert!(slowest.as_secs_f64() > 0.5, "the pause must be seen in a response time, the slowest is {slowest}");
}

/// Stops a process for a while of machine time: what is under test is that very while.
fn pause(running: &Running, word: &str, length: Duration) {
    let pid = one(running.processes(word));
    signal(pid, Signal::STOP);
    std::thread::sleep(length);
    signal(pid, Signal::CONT);
}

#[test]
fn a_timeout_shorter_than_the_hold_gives_the_slot_back() {
    for architecture in ["round_robin", "least_conns"] {
        let galton = galton();
        let mut scenario = scenario(architecture, 2);
        scenario["simulation"]["duration_ms"] = json!(3000);
        scenario["traffic"]["timeout_ms"] = json!(50);
        let run = galton.run(&scenario, &[]);
        run.assert_books_balance();
        assert!(ended(&run, |o| o == Outcome::TimedOut) > 10, "{architecture}");
        assert_eq!(ended(&run, |o| !matches!(o, Outcome::Ok | Outcome::TimedOut)), 0, "{architecture}");
        assert_eq!(never(&run), 0);
    }
}

#[test]
fn a_fleet_that_shrinks_twenty_times_loses_nothing() {
    let galton = galton();
    let scenario = json!({
        "simulation": {"seed": 5, "duration_ms": 20_000, "drain_ms": 5000},
        "traffic": {
            "arrival": {"distribution": "poisson", "ramp": {"mode": "sine", "mean_rate_per_sec": 80,
                "amplitude_per_sec": 78, "period_ms": 4000}},
            "request_duration_ms": {"mode": "distribution", "distribution": "lognormal", "mean_ms": 80, "sigma": 0.5},
            "timeout_ms": 10_000
        },
        "load_balancer": {"architecture": "round_robin", "hosts": 3, "rr": {"sync_delay_ms": 100,
            "idle_scale_down_threshold_requests_5m": 8}},
        "targets": {"initial_count": 2, "max_concurrency_per_target": 2},
        "scaling": {"min_targets": 1, "max_targets": 20, "scale_up_delay_ms": 100, "scale_down_delay_ms": 100,
            "idle_window_ms": 500, "scan_interval_ms": 250}
    });
    let run = galton.run(&scenario, &[]);
    run.assert_books_balance();
    let stopped = run.count(FleetWhat::Stopped);
    assert!(stopped >= 20, "{stopped} scale-downs");
    assert_eq!(ended(&run, |o| matches!(o, Outcome::Failed(_) | Outcome::TimedOut | Outcome::Unfinished)), 0);
    assert!(run.fleet.iter().all(|event| event.held == 0), "a target was stopped while it held something");
}

#[test]
fn ctrl_c_drains_and_reports() {
    let galton = galton();
    let running = galton.start(&scenario("least_conns", 2), &[]);
    running.wait_for_load();
    let pids = galton_tests::descendants(running.pid());
    signal(running.pid(), Signal::INT);
    let (code, run) = running.finish();
    assert_eq!(code, Some(130));
    run.assert_books_balance();
    let last = run.trace.iter().map(|row| row.t_intended).max().expect("something was sent");
    assert!(last < Nanos::from_millis(4_000), "the plan ends there, and not with its five seconds: {last}");
    assert_eq!(ended(&run, |o| o == Outcome::Unfinished), 0, "what was in flight is waited for");
    assert!(pids.iter().all(|pid| !alive(*pid)), "a process was left behind");
}

#[test]
fn nothing_outlives_a_killed_conductor() {
    let galton = galton();
    let running = galton.start(&scenario("least_conns", 2), &[]);
    running.wait_for_load();
    let pids = galton_tests::descendants(running.pid());
    assert!(pids.len() >= 8, "scaler, loadgen, 2 proxies, 4 targets: {pids:?}");
    signal(running.pid(), Signal::KILL);
    eventually(GONE_WITHIN, "every process is gone", || pids.iter().all(|pid| !alive(*pid)));
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    let galton = galton();
    let mut short = scenario("least_conns", 1);
    short["simulation"]["duration_ms"] = json!(1500);
    galton.file("scenario.json", &short.to_string());
    let mut command = galton.command(&["run", "scenario.json", "--progress", "line"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let run = std::fs::read_dir(galton.dir().join("runs")).unwrap().next().unwrap().unwrap();
    assert!(run.path().join("result.json").exists());
}

#[test]
fn a_run_that_waits_for_nothing_at_its_end_keeps_its_books() {
    let mut abrupt = scenario("least_conns", 2);
    abrupt["simulation"] = json!({"seed": 3, "duration_ms": 2000, "drain_ms": 0});
    abrupt["traffic"]["arrival"]["rate_per_sec"] = json!(200);
    abrupt["load_balancer"]["no_capacity"] = json!({"mode": "queue", "depth": 200, "timeout_ms": 4000});
    abrupt["targets"] = json!({"initial_count": 2, "max_concurrency_per_target": 3});
    abrupt["scaling"]["max_targets"] = json!(2);
    let run = finish(galton().start(&abrupt, &[]));
    assert!(ended(&run, |o| o == Outcome::Unfinished) > 20, "the queue was full of them");
    assert!(run.trace.iter().all(|row| row.outcome != TraceOutcome::Unsent), "all of the plan was due before the end");
}
