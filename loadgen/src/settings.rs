//! From flags to what a standalone run does: which model they name, and which of them do not go together.
//!
//! The result is a [`Scenario`], so that the flags and a scenario file drive the same code.

use std::time::Duration;

use galton_core::dist::Dist;
use galton_core::scenario::{Arrival, ArrivalProcess, ClosedLoop, OnError, Ramp, Scenario, TrafficModel};
use galton_core::{Nanos, plan::Plan};

use crate::args::{AfterError, Args, ModelArgs};
use crate::pacing::{Closed, Limits, Open, Pacing};
use crate::units::ArrivalKind;

/// The closed loop that runs when no flag names a model, as in hey and oha.
const DEFAULT_USERS: u64 = 50;
const DEFAULT_REQUESTS: u64 = 200;
/// Above it a user's number no longer fits into [`galton_core::RequestId`]; far above it memory is the limit.
const MAX_USERS: u64 = 1 << 24;

/// By default everything in flight ends within the timeout; a little later, so that it ends by it and not by the drain.
const SLACK: Nanos = Nanos::from_millis(1000);

/// Flags that do not make sense together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// What a standalone run does.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Model, demand, timeout and seed; one host.
    pub(crate) scenario: Scenario,
    /// Where an open loop ends and what holds it back.
    pub(crate) limits: Limits,
    /// How long to wait for what is in flight.
    pub(crate) drain: Nanos,
    /// The model in words, the seed first.
    pub(crate) words: String,
}

/// What the flags mean.
pub(crate) fn settings(args: &Args) -> Result<Settings, UsageError> {
    let model = &args.model;
    let (traffic, limits, words) = if model.rate.is_some() { open(model)? } else { closed(model)? };
    let mut scenario = Scenario::default();
    "loadgen".clone_into(&mut scenario.name);
    scenario.simulation.seed = model.seed.unwrap_or(scenario.simulation.seed);
    scenario.simulation.duration = plan_length(model);
    scenario.traffic.model = traffic;
    scenario.traffic.timeout = nanos(args.request.timeout);
    scenario.load_balancer.hosts = 1;
    // What is not asked for is not drawn: the record of a request says what was demanded of the server.
    let asked = |dist: &Option<Dist>| dist.clone().unwrap_or(Dist::Deterministic { value: 0.0 });
    scenario.traffic.request_duration_ms = asked(&args.request.hold);
    scenario.traffic.cpu_demand = asked(&args.request.cpu);
    let drain = model.drain.map_or(scenario.traffic.timeout + SLACK, nanos);
    let words = format!("seed {}: {words}", scenario.simulation.seed);
    Ok(Settings { scenario, limits, drain, words })
}

fn open(model: &ModelArgs) -> Result<(TrafficModel, Limits, String), UsageError> {
    check_open(model)?;
    let rate_per_sec = model.rate.expect("the caller has seen a rate");
    let kind = model.arrival.unwrap_or(ArrivalKind::Poisson);
    let process = match kind {
        ArrivalKind::Poisson | ArrivalKind::PoissonExact => ArrivalProcess::Poisson { rate_per_sec },
        ArrivalKind::Fixed => ArrivalProcess::Deterministic { interval_ms: 1000.0 / rate_per_sec },
        ArrivalKind::Gamma(cv) => ArrivalProcess::Gamma { rate_per_sec, cv },
        ArrivalKind::LogNormal(sigma) => ArrivalProcess::LogNormal { rate_per_sec, sigma },
    };
    let count = match (kind, model.duration) {
        (ArrivalKind::PoissonExact, Some(d)) => Some((rate_per_sec * d.as_secs_f64()).round() as u64),
        (ArrivalKind::PoissonExact, None) => model.num_requests,
        _ => None,
    };
    let limits = Limits {
        in_flight: model.max_in_flight,
        requests: model.num_requests,
        cut_off: model.duration.map(nanos),
        lasts: Nanos::ZERO,
    };
    let words = open_words(model, kind, rate_per_sec);
    Ok((TrafficModel::Open(Arrival { process, count, ramp: Ramp::None }), limits, words))
}

fn check_open(model: &ModelArgs) -> Result<(), UsageError> {
    if let Some(users) = model.concurrency {
        return usage(format!(
            "--concurrency and --rate are mutually exclusive; to cap an open loop use --max-in-flight {users}"
        ));
    }
    if model.think_time_ms.is_some() {
        return usage("--think-time-ms and --rate are mutually exclusive; think time belongs to a closed loop");
    }
    if model.on_error.is_some() {
        return usage("--on-error and --rate are mutually exclusive; it says what the users of a closed loop do");
    }
    if model.num_requests.is_none() && model.duration.is_none() {
        return usage("--rate needs an end: add --num-requests N or --duration D");
    }
    let exact = model.arrival == Some(ArrivalKind::PoissonExact);
    if exact && model.num_requests.is_some() && model.duration.is_some() {
        return usage("--arrival poisson-exact takes --num-requests or --duration, not both: the rate gives the other");
    }
    Ok(())
}

fn closed(model: &ModelArgs) -> Result<(TrafficModel, Limits, String), UsageError> {
    for (given, flag) in [(model.arrival.is_some(), "--arrival"), (model.max_in_flight.is_some(), "--max-in-flight")] {
        if given {
            return usage(format!("{flag} belongs to an open loop: add --rate R"));
        }
    }
    let no_end = model.num_requests.is_none() && model.duration.is_none();
    if no_end && model.concurrency.is_some() {
        return usage("--concurrency needs an end: add --num-requests N or --duration D");
    }
    let users = model.concurrency.unwrap_or(DEFAULT_USERS);
    if users > MAX_USERS {
        return usage(format!("--concurrency: at most {MAX_USERS} users, got {users}"));
    }
    let num_requests = if no_end { Some(DEFAULT_REQUESTS) } else { model.num_requests };
    let closed = ClosedLoop {
        concurrency: users as u32,
        think_time_ms: Dist::Deterministic { value: model.think_time_ms.unwrap_or(0.0) },
        num_requests,
        on_error: match model.on_error.unwrap_or(AfterError::Continue) {
            AfterError::Continue => OnError::Continue,
            AfterError::Cancel => OnError::Cancel,
            AfterError::Replace => OnError::Replace,
        },
    };
    let words = closed_words(model, users, num_requests);
    Ok((TrafficModel::Closed(closed), Limits::default(), words))
}

/// How long arrivals are planned for: as long as it takes, without a duration.
fn plan_length(model: &ModelArgs) -> Nanos {
    match (model.duration, model.arrival, model.num_requests, model.rate) {
        (Some(duration), ..) => nanos(duration),
        (None, Some(ArrivalKind::PoissonExact), Some(n), Some(rate)) => Nanos::from_secs_f64(n as f64 / rate),
        _ => Nanos::MAX,
    }
}

fn open_words(model: &ModelArgs, kind: ArrivalKind, rate: f64) -> String {
    let process = match kind {
        ArrivalKind::Poisson => format!("Poisson {rate}/s"),
        ArrivalKind::PoissonExact => format!("Poisson {rate}/s with an exact count"),
        ArrivalKind::Fixed => format!("fixed gaps at {rate}/s"),
        ArrivalKind::Gamma(cv) => format!("gamma gaps (cv {cv}) at {rate}/s"),
        ArrivalKind::LogNormal(sigma) => format!("lognormal gaps (sigma {sigma}) at {rate}/s"),
    };
    let cap = model.max_in_flight.map_or(String::new(), |n| format!(", at most {n} in flight, the rest queue"));
    format!("open loop, {process}{cap}; {}", end_words(model.num_requests, model.duration))
}

fn closed_words(model: &ModelArgs, users: u64, num_requests: Option<u64>) -> String {
    let users = if users == 1 { "1 user".to_owned() } else { format!("{users} users") };
    let think = match model.think_time_ms {
        Some(ms) if ms > 0.0 => format!("{ms} ms think time"),
        _ => "no think time".to_owned(),
    };
    format!("closed loop, {users}, {think}; {}", end_words(num_requests, model.duration))
}

fn end_words(num_requests: Option<u64>, duration: Option<Duration>) -> String {
    let time = duration.map(|d| format!("{} s", d.as_secs_f64()));
    match (num_requests.map(|n| format!("{n} requests")), time) {
        (Some(n), Some(time)) => format!("{n} or {time}, whichever comes first"),
        (Some(end), None) | (None, Some(end)) => end,
        (None, None) => "without an end".to_owned(),
    }
}

fn usage<T>(message: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(message.into()))
}

/// Scenario time of a standalone run is machine time.
fn nanos(duration: Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

// === impl Settings ===

impl Settings {
    /// The model, ready to run.
    pub(crate) fn pacing(&self) -> Box<dyn Pacing> {
        match Closed::new(&self.scenario) {
            Some(closed) => Box::new(closed),
            None => Box::new(Open::new(&Plan::new(&self.scenario), self.limits)),
        }
    }
}

#[cfg(test)]
mod tests;
