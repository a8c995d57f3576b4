//! Whoever stops a command gets 130 in every phase of it, what was measured, and nothing else that is left behind.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::process::Child;

use galton_tests::{Galton, SOON, alive, command_line, descendants, eventually, signal};
use rustix::process::Signal;
use serde_json::{Value, json};

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

/// A steady load, always with some requests in flight, on so many targets.
fn scenario(targets: u32) -> Value {
    json!({
        "simulation": {"seed": 3, "duration_ms": 10_000, "drain_ms": 10_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 40},
            "request_duration_ms": {"mode": "distribution", "distribution": "exponential", "mean_ms": 600}
        },
        "load_balancer": {"architecture": "least_conns", "hosts": 2},
        "targets": {"initial_count": targets, "max_concurrency_per_target": 20},
        "scaling": {"min_targets": targets, "max_targets": targets, "idle_window_ms": 600_000}
    })
}

/// A command whose temporary files are below its own directory, with its output there too.
fn start(galton: &Galton, args: &[&str]) -> Child {
    let into = |name: &str| File::create(galton.dir().join(name)).unwrap();
    let temporary = galton.dir().join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = galton.command(args);
    command.env("TMPDIR", temporary).stdout(into("stdout")).stderr(into("stderr")).spawn().unwrap()
}

/// Stops it as soon as it has a process: long before all of them are ready.
fn stop_early(child: &mut Child, by: Signal) -> Option<i32> {
    eventually(SOON, "a process of the cluster", || !descendants(child.id()).is_empty());
    let pids = descendants(child.id());
    signal(child.id(), by);
    let code = child.wait().unwrap().code();
    eventually(SOON, "every process is gone", || pids.iter().all(|pid| !alive(*pid)));
    code
}

fn said(galton: &Galton) -> String {
    fs::read_to_string(galton.dir().join("stderr")).unwrap()
}

#[track_caller]
fn assert_no_scratch(galton: &Galton) {
    let left: Vec<_> = fs::read_dir(galton.dir().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn ctrl_c_before_the_load_is_no_failure() {
    let galton = galton();
    galton.file("scenario.json", &scenario(60).to_string());
    for args in [
        &["run", "scenario.json"][..],
        &["validate", "scenario.json", "--no-profile"],
        &["sweep", "scenario.json", "--vary=load_balancer.hosts=1,2", "--replications=1", "--live=1"],
        &["calibrate", "--output", "own.json"],
    ] {
        let mut child = start(&galton, &[args, &["--progress=none"]].concat());
        assert_eq!(stop_early(&mut child, Signal::INT), Some(130), "{args:?}: {}", said(&galton));
        assert!(!said(&galton).contains("galton: "), "{args:?}: {}", said(&galton));
        assert_no_scratch(&galton);
    }
    assert!(!galton.dir().join("own.json").exists());
}

#[test]
fn a_closed_terminal_ends_a_cluster_and_a_run_as_sigterm_does() {
    let galton = galton();
    galton.file("scenario.json", &scenario(4).to_string());
    let mut up = start(&galton, &["up", "scenario.json", "--listen", "127.0.0.1:0"]);
    assert_eq!(stop_early(&mut up, Signal::HUP), Some(0), "{}", said(&galton));
    assert_no_scratch(&galton);
    let running = galton.start(&scenario(4), &[]);
    running.wait_for_load();
    signal(running.pid(), Signal::HUP);
    let (code, run) = running.finish();
    assert_eq!(code, Some(130));
    run.assert_books_balance();
}

/// Stops it, and again and again until it has ended.
fn insist(child: &mut Child) -> Option<i32> {
    let mut status = None;
    eventually(SOON, "its end", || {
        status = child.try_wait().unwrap();
        if status.is_none() {
            signal(child.id(), Signal::INT);
        }
        status.is_some()
    });
    status.and_then(|status| status.code())
}

#[test]
fn a_second_ctrl_c_leaves_what_a_report_is_made_of() {
    let galton = galton();
    galton.file("scenario.json", &scenario(4).to_string());
    let mut child = start(&galton, &["run", "scenario.json", "--progress=none"]);
    let run = || fs::read_dir(galton.dir().join("runs")).ok()?.next().map(|entry| entry.unwrap().path());
    let rows =
        || run().and_then(|run| fs::metadata(run.join("trace.csv")).ok()).is_some_and(|trace| trace.len() > 1000);
    eventually(SOON, "rows in the trace", rows);
    assert_eq!(insist(&mut child), Some(130));
    let run = format!("runs/{}", run().unwrap().file_name().unwrap().display());
    assert!(said(&galton).contains(&format!("again: end at once; then: galton report {run}\n")), "{}", said(&galton));
    assert!(!galton.dir().join(&run).join("result.json").exists(), "it ended at once");
    // Its processes may take a moment longer than itself.
    eventually(SOON, "the report of it", || galton.output(&["report", &run]).status.code() == Some(0));
}

#[test]
fn a_second_ctrl_c_leaves_nothing_of_a_calibration() {
    let galton = galton();
    let mut child = start(&galton, &["calibrate", "--output", "own.json", "--progress=none"]);
    let is_loadgen = |pid: &u32| command_line(*pid).iter().any(|arg| arg == "loadgen");
    eventually(SOON, "a whole cluster", || descendants(child.id()).iter().any(is_loadgen));
    assert_eq!(insist(&mut child), Some(130));
    assert!(!said(&galton).contains("galton report"), "{}", said(&galton));
    assert_no_scratch(&galton);
}
