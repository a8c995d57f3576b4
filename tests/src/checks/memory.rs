//! A simulated run without a trace needs no more memory when it is longer: ten million requests against one million, or as many
//! as the command line says, by the peak that the kernel noted (`VmHWM`).

use std::time::Duration;

use galton_tests::Galton;
use serde_json::{Value, json};

use super::Tally;

const SHORT: u64 = 1_000_000;
const LONG: u64 = 10_000_000;
/// What a run of any length may take.
const MOST_KB: u64 = 64 * 1024;
/// What a longer one may take more: series have up to twice as many buckets, samples grow to their largest size.
const MORE_KB: u64 = 8 * 1024;
const RATE_PER_SEC: u64 = 2_000;
/// How often the kernel is asked: a process that has ended has no peak any more.
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub(super) fn check(tally: &mut Tally) {
    let long = tally.requests.unwrap_or(LONG);
    for architecture in ["round_robin", "least_conns"] {
        let [short_kb, long_kb] = [SHORT, long].map(|requests| peak_kb(architecture, requests));
        let figures = format!("{architecture}: {short_kb} kB for {SHORT} requests, {long_kb} kB for {long}");
        let limits = format!("limits: {MOST_KB} kB, {MORE_KB} kB more");
        tally.check(long_kb <= MOST_KB && long_kb <= short_kb + MORE_KB, &format!("{figures}; {limits}"));
    }
}

/// At three quarters of what 20 targets take.
fn scenario(architecture: &str, requests: u64) -> Value {
    json!({
        "simulation": {"seed": 42, "duration_ms": requests * 1000 / RATE_PER_SEC, "drain_ms": 5_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": RATE_PER_SEC},
            "request_duration_ms": {"mode": "distribution", "distribution": "lognormal", "mean_ms": 75, "sigma": 0.5}
        },
        "load_balancer": {"architecture": architecture, "hosts": 2, "no_capacity": "fail"},
        "targets": {"initial_count": 20, "max_concurrency_per_target": 10},
        "scaling": {"min_targets": 20, "max_targets": 20}
    })
}

/// The most memory that a simulation had at any moment.
fn peak_kb(architecture: &str, requests: u64) -> u64 {
    let program = std::env::current_exe().expect("the running program");
    let galton = Galton::new(&program.to_string_lossy());
    galton.file("scenario.json", &scenario(architecture, requests).to_string());
    let mut command = galton.command(&["simulate", "scenario.json", "--progress", "none"]);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("galton starts");
    let mut peak = 0;
    let status = loop {
        peak = high_water_kb(child.id()).unwrap_or(peak);
        match child.try_wait().expect("its exit status") {
            Some(status) => break status,
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    assert!(status.success(), "galton simulate: {status}");
    peak
}

fn high_water_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
