//! From flags to what a standalone run does: which model they name, and which of them do not go together.
//!
//! The result is a [`Scenario`], so that the flags and a scenario file drive the same code.

mod open;
mod scenario;
mod users;
mod words;

use std::path::Path;
use std::time::Duration;

use galton_core::dist::Dist;
use galton_core::scenario::{Scenario, TrafficModel};
use galton_core::{Nanos, plan::Plan};

pub(crate) use self::scenario::GRACE_NS;
use crate::args::{ModelArgs, RequestArgs};
use crate::link::Protocol;
use crate::pacing::{Closed, Limits, Open, Pacing};
use crate::units::Keys;

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
    /// How long after the deadline we give up ourselves, machine time.
    pub(crate) grace_ns: u64,
    /// The keys that requests carry.
    pub(crate) keys: Option<Keys>,
    /// What is spoken, and how many requests a connection carries at most.
    pub(crate) protocol: Protocol,
    pub(crate) max_requests_per_conn: Option<u64>,
    /// The model in words, the seed first.
    pub(crate) words: String,
}

/// A model: who sends, within which limits, for how long arrivals are planned, and all that in words.
struct Model {
    traffic: TrafficModel,
    limits: Limits,
    duration: Nanos,
    words: String,
}

/// What the flags mean, or the scenario that stands for them.
pub(crate) fn settings(args: &ModelArgs, request: &RequestArgs, file: Option<&Path>) -> Result<Settings, UsageError> {
    let (protocol, max_requests_per_conn) = connections(request)?;
    if let Some(file) = file {
        return scenario::settings(file, protocol, max_requests_per_conn);
    }
    let Model { traffic, limits, duration, words } = model(args)?;
    let mut scenario = Scenario::default();
    "loadgen".clone_into(&mut scenario.name);
    scenario.simulation.seed = args.seed.unwrap_or(scenario.simulation.seed);
    scenario.simulation.duration = duration;
    scenario.traffic.model = traffic;
    scenario.traffic.timeout = nanos(request.timeout);
    scenario.load_balancer.hosts = 1;
    // What is not asked for is not drawn: the record of a request says what was demanded of the server.
    let asked = |dist: &Option<Dist>| dist.clone().unwrap_or(Dist::Deterministic { value: 0.0 });
    scenario.traffic.request_duration_ms = asked(&request.hold);
    scenario.traffic.cpu_demand = asked(&request.cpu);
    let drain = args.drain.map_or(scenario.traffic.timeout + SLACK, nanos);
    let words = format!("seed {}: {words}", scenario.simulation.seed);
    let keys = request.key.clone();
    Ok(Settings { scenario, limits, drain, grace_ns: 0, keys, protocol, max_requests_per_conn, words })
}

/// The model that the flags name, by the one that no other model has.
fn model(args: &ModelArgs) -> Result<Model, UsageError> {
    let named = [
        ("--concurrency", args.concurrency.is_some()),
        ("--rate", args.rate.is_some()),
        ("--profile", args.profile.is_some() && args.rate.is_none()),
        ("--schedule", args.schedule.is_some()),
        ("--sessions", args.sessions.is_some()),
    ];
    let mut named = named.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag);
    let first = named.next();
    if let (Some(first), Some(second)) = (first, named.next()) {
        let hint = match args.concurrency {
            Some(users) if second != "--sessions" => format!("; to cap an open loop use --max-in-flight {users}"),
            _ => String::new(),
        };
        return usage(format!("{first} and {second} are mutually exclusive{hint}"));
    }
    match first {
        Some("--rate" | "--profile") => open::at_a_rate(args),
        Some("--schedule") => open::scheduled(args),
        Some("--sessions") => users::sessions(args),
        _ => users::closed(args),
    }
}

/// Refuses the flags that are given and belong to something else.
fn refuse(belongs: &str, flags: &[(&str, bool)]) -> Result<(), UsageError> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => usage(format!("{flag} {belongs}")),
        None => Ok(()),
    }
}

fn connections(request: &RequestArgs) -> Result<(Protocol, Option<u64>), UsageError> {
    let protocol = if request.http2 { Protocol::Http2 } else { Protocol::Http1 };
    if request.http2 && !request.keepalive {
        return usage("--keepalive off belongs to HTTP/1.1: leave out --http2");
    }
    let most = match (request.keepalive, request.max_requests_per_conn) {
        (false, Some(_)) => return usage("--keepalive off means --max-requests-per-conn 1: give one of them"),
        (false, None) => Some(1),
        (true, most) => most,
    };
    Ok((protocol, most))
}

fn usage<T>(message: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError(message.into()))
}

/// Scenario time of a standalone run is machine time.
pub(crate) fn nanos(duration: Duration) -> Nanos {
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

    /// Most requests, if there is a limit.
    pub(crate) fn budget(&self) -> Option<u64> {
        match &self.scenario.traffic.model {
            TrafficModel::Closed(closed) => closed.num_requests,
            TrafficModel::Open(_) => self.limits.requests,
        }
    }
}

#[cfg(test)]
mod tests;
