//! Relations between keys of different parts of a scenario. A relation is checked where both sides could be read.

use serde_json::Value;

use super::fault::Faults;
use super::model::Scenario;
use super::traffic::{Arrival, ArrivalProcess, ClosedLoop, Population, TrafficModel};
use crate::arrivals;

/// Checks a tree as [`super::read::read`] left it.
pub(super) fn check(tree: &Value, faults: &mut Faults) {
    simulation(tree, faults);
    fleet(tree, faults);
    arrival(tree, faults);
}

/// Checks what only shows once everything could be read: that somebody may arrive before the duration is over.
pub(super) fn check_whole(scenario: &Scenario, faults: &mut Faults) {
    let (TrafficModel::Open(arrival)
    | TrafficModel::Closed(ClosedLoop { population: Population::Sessions { arrival, .. }, .. })) =
        &scenario.traffic.model
    else {
        return;
    };
    let duration = scenario.simulation.duration;
    if arrivals::by_rate(arrival, duration) > 0.0 {
        return;
    }
    let before = format!("before simulation.duration_ms ({})", duration.as_millis_f64());
    match arrival {
        // The first so many rows, wherever the duration ends.
        Arrival { process: ArrivalProcess::Trace { .. }, count: Some(_), .. } => {}
        Arrival { process: ArrivalProcess::Trace { .. }, .. } => {
            faults.add("traffic.arrival.file", format!("must have a row {before}"));
        }
        _ => faults.add("traffic.arrival.ramp", format!("must have a rate above 0 {before}")),
    }
}

/// The value at a dotted path.
fn at<'v>(tree: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(tree, |value, name| value.get(name))
}

fn number(tree: &Value, path: &str) -> Option<f64> {
    at(tree, path)?.as_f64()
}

/// Adds a fault unless `holds` of the numbers at both paths.
fn relation(
    tree: &Value,
    faults: &mut Faults,
    (path, word, other): (&str, &str, &str),
    holds: impl Fn(f64, f64) -> bool,
) {
    if let (Some(left), Some(right)) = (number(tree, path), number(tree, other))
        && !holds(left, right)
    {
        faults.add(path, format!("must be {word} {other} ({right}), got {left}"));
    }
}

fn simulation(tree: &Value, faults: &mut Faults) {
    let (warmup, duration) = ("simulation.warmup_ms", "simulation.duration_ms");
    relation(tree, faults, (warmup, "<", duration), |a, b| a < b);
    relation(tree, faults, ("simulation.total_time_ms", ">", warmup), |a, b| a > b);
}

fn fleet(tree: &Value, faults: &mut Faults) {
    let (min, max, initial) = ("scaling.min_targets", "scaling.max_targets", "targets.initial_count");
    relation(tree, faults, (min, "≤", max), |a, b| a <= b);
    relation(tree, faults, (initial, "≥", min), |a, b| a >= b);
    relation(tree, faults, (initial, "≤", max), |a, b| a <= b);
}

fn arrival(tree: &Value, faults: &mut Faults) {
    let Some(arrival) = at(tree, "traffic.arrival") else { return };
    let distribution = arrival["distribution"].as_str().unwrap_or_default();
    let ramped = arrival["ramp"]["mode"].as_str().is_some_and(|mode| mode != "none");
    if ramped && distribution == "mmpp" {
        faults.add("traffic.arrival.ramp.mode", "must be none with mmpp, whose phases have rates of their own");
    }
    if ramped && distribution == "trace" {
        faults.add("traffic.arrival.ramp.mode", "must be none with a trace, whose times are fixed");
    }
    if let (Some(rates), Some(dwells)) = (arrival["rates_per_sec"].as_array(), arrival["mean_dwell_ms"].as_array())
        && rates.len() != dwells.len()
    {
        let message = format!("must have as many entries as rates_per_sec ({}), got {}", rates.len(), dwells.len());
        faults.add("traffic.arrival.mean_dwell_ms", message);
    }
    if let Some(steps) = arrival["ramp"]["steps"].as_array() {
        ramp_steps(steps, faults);
    }
}

fn ramp_steps(steps: &[Value], faults: &mut Faults) {
    let path = "traffic.arrival.ramp.steps";
    let times: Vec<f64> = steps.iter().filter_map(|step| step["t_ms"].as_f64()).collect();
    if times.len() == steps.len() {
        for (i, pair) in times.windows(2).enumerate().filter(|(_, pair)| pair[1] <= pair[0]) {
            let message = format!("must be > that of the step before ({}), got {}", pair[0], pair[1]);
            faults.add(format!("{path}[{}].t_ms", i + 1), message);
        }
    }
    if steps.iter().all(|step| step["rate_per_sec"].as_f64() == Some(0.0)) {
        faults.add(path, "must have a rate_per_sec that is not 0");
    }
}
