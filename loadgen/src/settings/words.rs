//! The models in words, for the first line of output.

use std::time::Duration;

use galton_core::dist::Dist;
use galton_core::scenario::Ramp;

use crate::args::{ModelArgs, Overflow};
use crate::units::ArrivalKind;

/// So many steps are named.
const STEPS: usize = 8;

/// An open loop with these arrivals.
pub(super) fn open(args: &ModelArgs, arrivals: &str) -> String {
    let overflow = if args.overflow == Some(Overflow::Shed) { "are shed" } else { "queue" };
    let cap = args.max_in_flight.map_or(String::new(), |n| format!(", at most {n} in flight, the rest {overflow}"));
    format!("open loop, {arrivals}{cap}{}", end(args.num_requests, args.duration))
}

/// A closed loop.
pub(super) fn closed(args: &ModelArgs, users: u64, think: &Dist, budget: Option<u64>) -> String {
    format!("closed loop, {}, {}{}", things(users, "user"), think_time(think), end(budget, args.duration))
}

/// A partly open loop.
pub(super) fn sessions(args: &ModelArgs, arrivals: &str, mean: f64, think: &Dist) -> String {
    let end = end(args.num_requests, args.duration);
    format!("partly open, sessions of {mean} requests on average, {arrivals}, {}{end}", think_time(think))
}

/// When requests or sessions arrive.
pub(super) fn arrivals(kind: ArrivalKind, own_rate: f64, ramp: &Ramp) -> String {
    let gaps = match kind {
        ArrivalKind::Poisson => "Poisson".to_owned(),
        ArrivalKind::PoissonExact => "Poisson with an exact count".to_owned(),
        ArrivalKind::Fixed => "fixed gaps".to_owned(),
        ArrivalKind::Uniform(jitter) => format!("uniform gaps (± {} %)", jitter * 100.0),
        ArrivalKind::Gamma(cv) => format!("gamma gaps (cv {cv})"),
        ArrivalKind::Weibull(shape) => format!("Weibull gaps (shape {shape})"),
        ArrivalKind::LogNormal(sigma) => format!("lognormal gaps (sigma {sigma})"),
    };
    format!("{gaps} {}", rate(own_rate, ramp))
}

/// Arrivals after a file.
pub(super) fn schedule(rows: usize, file: &str, speedup: f64) -> String {
    let faster = if speedup == 1.0 { String::new() } else { format!(", {speedup} times as fast") };
    format!("{} after {file}{faster}", things(rows as u64, "arrival"))
}

fn rate(own_rate: f64, ramp: &Ramp) -> String {
    match ramp {
        Ramp::None => format!("{own_rate}/s"),
        Ramp::Linear { start_rate_per_sec: start, end_rate_per_sec: end, ramp, .. } => {
            format!("from {start} to {end}/s within {} s", ramp.as_secs_f64())
        }
        Ramp::Steps(steps) => {
            let rates: Vec<String> = steps.iter().map(|step| step.rate_per_sec.to_string()).collect();
            let shown = rates.len().min(STEPS);
            let more = if rates.len() > STEPS { ", …" } else { "" };
            format!("in steps of {}{more}/s", rates[..shown].join(", "))
        }
        Ramp::Sine { mean_rate_per_sec: mean, amplitude_per_sec: amplitude, period } => {
            format!("in waves of {mean} ± {amplitude}/s every {} s", period.as_secs_f64())
        }
        Ramp::Spike { .. } => "with a spike".to_owned(),
    }
}

fn think_time(think: &Dist) -> String {
    match think {
        Dist::Deterministic { value: 0.0 } => "no think time".to_owned(),
        Dist::Deterministic { value } => format!("{value} ms think time"),
        Dist::Exponential { mean } => format!("exponential think time of {mean} ms"),
        Dist::Uniform { min, max } => format!("think time between {min} and {max} ms"),
        other => format!("think time of {} ms on average", other.mean()),
    }
}

fn end(num_requests: Option<u64>, duration: Option<Duration>) -> String {
    let time = duration.map(|d| format!("{} s", d.as_secs_f64()));
    match (num_requests.map(|n| things(n, "request")), time) {
        (Some(n), Some(time)) => format!("; {n} or {time}, whichever comes first"),
        (Some(end), None) | (None, Some(end)) => format!("; {end}"),
        // A schedule ends by itself.
        (None, None) => String::new(),
    }
}

fn things(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}
