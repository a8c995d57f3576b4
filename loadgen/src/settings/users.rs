//! Users that wait for their responses: so many of them, or as many as come.

use galton_core::Nanos;
use galton_core::dist::Dist;
use galton_core::scenario::{Arrival, ClosedLoop, OnError, Population, Ramp, TrafficModel};

use super::{Model, UsageError, nanos, open, refuse, usage, words};
use crate::args::{AfterError, ModelArgs};
use crate::pacing::Limits;
use crate::units::{ArrivalKind, ThinkDist};

/// The closed loop that runs when no flag names a model, as in hey and oha.
const DEFAULT_USERS: u64 = 50;
const DEFAULT_REQUESTS: u64 = 200;
/// Above it a user's number no longer fits into [`galton_core::RequestId`]; far above it memory is the limit.
const MAX_USERS: u64 = 1 << 24;

pub(super) fn closed(args: &ModelArgs) -> Result<Model, UsageError> {
    refuse("belongs to an open loop: add --rate R", &[("--arrival", args.arrival.is_some())])?;
    not_of_users(args)?;
    let no_end = args.num_requests.is_none() && args.duration.is_none();
    if no_end && args.concurrency.is_some() {
        return usage("--concurrency needs an end: add --num-requests N or --duration D");
    }
    let users = args.concurrency.unwrap_or(DEFAULT_USERS);
    if users > MAX_USERS {
        return usage(format!("--concurrency: at most {MAX_USERS} users, got {users}"));
    }
    let budget = if no_end { Some(DEFAULT_REQUESTS) } else { args.num_requests };
    let think = think(args)?;
    let words = words::closed(args, users, &think, budget);
    Ok(model(args, Population::Fixed(users as u32), think, budget, words))
}

pub(super) fn sessions(args: &ModelArgs) -> Result<Model, UsageError> {
    not_of_users(args)?;
    let (rate, mean_requests) = args.sessions.expect("the caller has seen it");
    if args.num_requests.is_none() && args.duration.is_none() {
        return usage("--sessions needs an end: add --num-requests N or --duration D");
    }
    let kind = args.arrival.unwrap_or(ArrivalKind::Poisson);
    if kind == ArrivalKind::PoissonExact {
        return usage(
            "--arrival poisson-exact and --sessions are mutually exclusive: the number of sessions is not known before",
        );
    }
    let arrival = Arrival { process: open::process(kind, rate), count: None, ramp: Ramp::None };
    let think = think(args)?;
    let words = words::sessions(args, &words::arrivals(kind, rate, &arrival.ramp), mean_requests, &think);
    Ok(model(args, Population::Sessions { arrival, mean_requests }, think, args.num_requests, words))
}

/// What only a plan has.
fn not_of_users(args: &ModelArgs) -> Result<(), UsageError> {
    let open = [("--max-in-flight", args.max_in_flight.is_some()), ("--overflow", args.overflow.is_some())];
    refuse("belongs to an open loop: add --rate R", &open)?;
    refuse("needs --schedule FILE", &[("--speedup", args.speedup.is_some())])
}

fn think(args: &ModelArgs) -> Result<Dist, UsageError> {
    match (args.think_dist, args.think_time_ms) {
        (Some(ThinkDist::Uniform(..)), Some(_)) => {
            usage("--think-dist uniform:A,B says the times itself: leave out --think-time-ms")
        }
        (Some(dist @ ThinkDist::Uniform(..)), None) => Ok(dist.with_mean(0.0)),
        (Some(_), None) => usage("--think-dist needs the mean: add --think-time-ms X"),
        (dist, mean) => Ok(dist.unwrap_or(ThinkDist::Const).with_mean(mean.unwrap_or(0.0))),
    }
}

fn model(
    args: &ModelArgs,
    population: Population,
    think_time_ms: Dist,
    num_requests: Option<u64>,
    words: String,
) -> Model {
    let on_error = match args.on_error.unwrap_or(AfterError::Continue) {
        AfterError::Continue => OnError::Continue,
        AfterError::Cancel => OnError::Cancel,
        AfterError::Replace => OnError::Replace,
    };
    let traffic = TrafficModel::Closed(ClosedLoop { population, think_time_ms, num_requests, on_error });
    Model { traffic, limits: Limits::default(), duration: args.duration.map_or(Nanos::MAX, nanos), words }
}
