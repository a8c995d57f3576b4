//! The scenarios that are run to calibrate. Requests hold for a fixed time and do nothing else, so that whatever comes on
//! top is the machine's. Rates are those of everyday scenarios: a machine that is hardly busy is later than one that is
//! always awake, and a machine at its limit is later than both.

use std::path::Path;

use galton_core::Scenario;
use galton_report::RunData;
use serde_json::{Value, json};

use super::derive::Samples;

/// Requests before this moment open connections and warm caches; they are not measured.
const WARMUP_MS: u64 = 500;
/// Of the run that measures the hops.
const HOPS_RATE_PER_SEC: u64 = 250;
/// How many of those requests there are for one of the run that measures refusals.
const HOPS_PER_REFUSED: u64 = 4;
/// Of the run that measures refusals: twice what its targets take, so that most requests are refused, at every attempt.
const REFUSALS_RATE_PER_SEC: u64 = 200;
/// How many requests of the hops there are for one start.
const HOPS_PER_START: u64 = 100;
/// Fewest starts: with less there is not even a hint of a distribution.
const FEWEST_STARTS: u64 = 6;
/// From a start to the next: the machine is quiet again by then.
const START_EVERY_MS: u64 = 200;
/// The hold of a request that causes a start: the target is still busy when the next request comes.
const START_HOLD_MS: u64 = 250;

/// Fewest requests for the hops that can be asked for.
pub(super) const FEWEST_REQUESTS: u64 = 100;
/// Most: with these the starts take three minutes.
pub(super) const MOST_REQUESTS: u64 = 100_000;

/// One run of the calibration.
#[derive(Debug)]
pub(super) struct Stage {
    /// What it measures, for people.
    pub(super) what: &'static str,
    /// What is run.
    pub(super) scenario: Scenario,
    /// Reasons against a run that are the very thing to be measured here.
    pub(super) expected: &'static [&'static str],
    /// Takes what it measures from its records.
    pub(super) add: fn(&mut Samples, &RunData),
}

/// All runs of the calibration; `requests` is how many measure the hops.
pub(super) fn stages(requests: u64, output_dir: &Path) -> [Stage; 3] {
    let stage = |what, scenario, expected, add| {
        let scenario = read(&format!("calibrate-{what}"), scenario, output_dir);
        Stage { what, scenario, expected, add }
    };
    [
        stage("hops", hops(requests), &[], Samples::add_hops),
        stage("refusals", refusals(requests), &[], Samples::add_refusals),
        stage("starts", starts(requests), &["SPAWN_OVERRUN"], Samples::add_starts),
    ]
}

/// A fixed fleet with room for all: every hop of a request that is served at once.
fn hops(requests: u64) -> Value {
    json!({
        "simulation": simulation(requests * 1000 / HOPS_RATE_PER_SEC),
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": HOPS_RATE_PER_SEC},
            "request_duration_ms": hold(20),
        },
        "load_balancer": {"architecture": "round_robin", "hosts": 2, "no_capacity": "fail"},
        "targets": {"initial_count": 4, "max_concurrency_per_target": 100},
        "scaling": {"min_targets": 4, "max_targets": 4},
    })
}

/// A fleet that is too small and does not grow: refusals, and the waits between attempts.
fn refusals(requests: u64) -> Value {
    json!({
        "simulation": simulation(requests / HOPS_PER_REFUSED * 1000 / REFUSALS_RATE_PER_SEC),
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": REFUSALS_RATE_PER_SEC},
            "request_duration_ms": hold(20),
        },
        "load_balancer": {
            "architecture": "round_robin",
            "hosts": 2,
            "no_capacity": "fail",
            "rr": {"retry_limit": 2, "retry_delay_ms": 5},
        },
        "targets": {"initial_count": 2, "max_concurrency_per_target": 1},
        "scaling": {"min_targets": 2, "max_targets": 2},
    })
}

/// Every request but the first meets the one target that there is while it is busy, is refused, and starts another; the
/// one before has been removed by the next. A start has no delay, so that what it takes is the machine's.
fn starts(requests: u64) -> Value {
    let starts = (requests / HOPS_PER_START).max(FEWEST_STARTS);
    json!({
        "simulation": simulation(starts * START_EVERY_MS),
        "traffic": {
            "arrival": {"distribution": "deterministic", "interval_ms": START_EVERY_MS},
            "request_duration_ms": hold(START_HOLD_MS),
        },
        "load_balancer": {
            "architecture": "round_robin",
            "hosts": 1,
            "no_capacity": "wait_scale_up",
            "rr": {"retry_limit": 0, "retry_delay_ms": 0, "sync_delay_ms": 0},
        },
        "targets": {"initial_count": 1, "max_concurrency_per_target": 1},
        "scaling": {
            "min_targets": 1,
            "max_targets": 8,
            "scale_up_delay_ms": 0,
            "scale_down_delay_ms": 0,
            "idle_window_ms": 25,
            "scan_interval_ms": 25,
        },
    })
}

fn simulation(measured_ms: u64) -> Value {
    json!({"seed": 42, "warmup_ms": WARMUP_MS, "duration_ms": WARMUP_MS + measured_ms, "drain_ms": 5000})
}

fn hold(ms: u64) -> Value {
    json!({"mode": "distribution", "distribution": "deterministic", "value_ms": ms})
}

fn read(name: &str, mut scenario: Value, output_dir: &Path) -> Scenario {
    scenario["reporting"] = json!({"output_dir": output_dir.to_string_lossy()});
    let mut no_trace = |_: &str| Err("there is no trace".to_owned());
    Scenario::from_value(name, &scenario, &mut no_trace).expect("these scenarios have no fault")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_have_no_fault_whatever_is_asked_for() {
        for requests in [FEWEST_REQUESTS, 4000, MOST_REQUESTS] {
            for Stage { scenario, .. } in stages(requests, Path::new("/tmp/x")) {
                assert!(scenario.simulation.warmup < scenario.simulation.duration);
                assert_eq!(scenario.reporting.output_dir, "/tmp/x");
            }
        }
    }
}
