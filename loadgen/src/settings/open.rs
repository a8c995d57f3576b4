//! Open loops: at a rate, along a profile, or after a schedule.

use galton_core::Nanos;
use galton_core::plan::expected_requests;
use galton_core::scenario::{Arrival, ArrivalProcess, Ramp, Scenario, TraceArrival, TrafficModel, read_trace};

use super::{Model, UsageError, nanos, refuse, usage, words};
use crate::args::{ModelArgs, Overflow};
use crate::pacing::Limits;
use crate::units::{ArrivalKind, Profile};

/// What the gaps of a process count that a profile gives the rate.
const UNIT_RATE: f64 = 1.0;

pub(super) fn at_a_rate(args: &ModelArgs) -> Result<Model, UsageError> {
    check(args)?;
    let (ramp, rate) = match (&args.profile, args.rate) {
        (None | Some(Profile::Const), Some(rate)) => (Ramp::None, rate),
        (Some(Profile::Over(ramp)), None) => (ramp.clone(), UNIT_RATE),
        (Some(Profile::Const), None) => return usage("--profile const needs --rate R"),
        _ => return usage("--profile gives the rate: leave out --rate"),
    };
    let kind = args.arrival.unwrap_or(ArrivalKind::Poisson);
    let mut arrival = Arrival { process: process(kind, rate), count: None, ramp };
    let duration = duration(args, kind);
    if kind == ArrivalKind::PoissonExact {
        arrival.count = args.num_requests.or_else(|| Some(expected(&arrival, duration)));
    }
    let words = words::open(args, &words::arrivals(kind, rate, &arrival.ramp));
    Ok(Model { traffic: TrafficModel::Open(arrival), limits: limits(args), duration, words })
}

pub(super) fn scheduled(args: &ModelArgs) -> Result<Model, UsageError> {
    refuse("and --schedule are mutually exclusive", &[("--arrival", args.arrival.is_some())])?;
    not_of_users(args, "--schedule")?;
    let path = args.schedule.as_deref().expect("the caller has seen it");
    let text = std::fs::read_to_string(path).map_err(|e| UsageError(format!("cannot read {}: {e}", path.display())))?;
    let faults = |faults: Vec<String>| UsageError(format!("{}: {}", path.display(), faults.join("\n  ")));
    let speedup = args.speedup.unwrap_or(1.0);
    let faster = |row: TraceArrival| TraceArrival { at: Nanos::rounded(row.at.0 as f64 / speedup), host: None, ..row };
    let rows: Vec<TraceArrival> = read_trace(&text).map_err(faults)?.into_iter().map(faster).collect();
    let name = path.display().to_string();
    let words = words::open(args, &words::schedule(rows.len(), &name, speedup));
    let arrival = Arrival { process: ArrivalProcess::Trace { file: name, rows }, count: None, ramp: Ramp::None };
    let duration = args.duration.map_or(Nanos::MAX, nanos);
    Ok(Model { traffic: TrafficModel::Open(arrival), limits: limits(args), duration, words })
}

fn check(args: &ModelArgs) -> Result<(), UsageError> {
    let flag = if args.rate.is_some() { "--rate" } else { "--profile" };
    not_of_users(args, flag)?;
    refuse("needs --schedule FILE", &[("--speedup", args.speedup.is_some())])?;
    if args.num_requests.is_none() && args.duration.is_none() {
        return usage(format!("{flag} needs an end: add --num-requests N or --duration D"));
    }
    let exact = args.arrival == Some(ArrivalKind::PoissonExact);
    if exact && args.num_requests.is_some() && args.duration.is_some() {
        return usage("--arrival poisson-exact takes --num-requests or --duration, not both: the rate gives the other");
    }
    if exact && args.profile.is_some() && args.duration.is_none() {
        return usage("--arrival poisson-exact with --profile needs --duration D");
    }
    Ok(())
}

/// What only users have.
fn not_of_users(args: &ModelArgs, flag: &str) -> Result<(), UsageError> {
    let think = format!("and {flag} are mutually exclusive; think time belongs to a closed loop or to --sessions");
    refuse(&think, &[("--think-time-ms", args.think_time_ms.is_some()), ("--think-dist", args.think_dist.is_some())])?;
    let error = format!("and {flag} are mutually exclusive; it says what the users of a closed loop do");
    refuse(&error, &[("--on-error", args.on_error.is_some())])?;
    let overflow = args.overflow.is_some() && args.max_in_flight.is_none();
    refuse("says what happens at a cap: add --max-in-flight N", &[("--overflow", overflow)])
}

fn limits(args: &ModelArgs) -> Limits {
    Limits {
        in_flight: args.max_in_flight,
        shed: args.overflow == Some(Overflow::Shed),
        requests: args.num_requests,
        cut_off: args.duration.map(nanos),
        lasts: Nanos::ZERO,
    }
}

/// The gaps. Along a profile only their shape matters.
pub(super) fn process(kind: ArrivalKind, rate_per_sec: f64) -> ArrivalProcess {
    match kind {
        ArrivalKind::Poisson | ArrivalKind::PoissonExact => ArrivalProcess::Poisson { rate_per_sec },
        ArrivalKind::Fixed => ArrivalProcess::Deterministic { interval_ms: 1000.0 / rate_per_sec },
        ArrivalKind::Uniform(jitter) => ArrivalProcess::Uniform { rate_per_sec, jitter },
        ArrivalKind::Gamma(cv) => ArrivalProcess::Gamma { rate_per_sec, cv },
        ArrivalKind::Weibull(shape) => ArrivalProcess::Weibull { rate_per_sec, cv: weibull_cv(shape) },
        ArrivalKind::LogNormal(sigma) => ArrivalProcess::LogNormal { rate_per_sec, sigma },
    }
}

/// Γ(1 + 2/k) / Γ(1 + 1/k)² − 1, rooted.
fn weibull_cv(shape: f64) -> f64 {
    let mean = libm::tgamma(1.0 + 1.0 / shape);
    libm::sqrt(libm::tgamma(1.0 + 2.0 / shape) / (mean * mean) - 1.0)
}

/// How long arrivals are planned for: as long as it takes, without a duration.
fn duration(args: &ModelArgs, kind: ArrivalKind) -> Nanos {
    match (args.duration, kind, args.num_requests, args.rate) {
        (Some(duration), ..) => nanos(duration),
        (None, ArrivalKind::PoissonExact, Some(n), Some(rate)) => Nanos::from_secs_f64(n as f64 / rate),
        _ => Nanos::MAX,
    }
}

fn expected(arrival: &Arrival, duration: Nanos) -> u64 {
    let mut scenario = Scenario::default();
    scenario.simulation.duration = duration;
    scenario.traffic.model = TrafficModel::Open(arrival.clone());
    (expected_requests(&scenario).round() as u64).max(1)
}
