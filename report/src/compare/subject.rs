//! One side of a comparison: what is known of a run, wherever it comes from.

use std::fmt;

use galton_core::record::{FleetEvent, TraceOutcome, TraceRow};
use galton_core::scenario::TrafficModel;
use galton_core::{Nanos, Outcome, RequestId, Scenario, TargetId};
use serde_json::Value;

use super::summary::Figures;
use crate::input::Kind;

/// One side of a comparison.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What people call it: a path.
    pub name: String,
    /// Live or simulated; none: somebody else's.
    pub kind: Option<Kind>,
    /// Scenario seconds per machine second.
    pub time_scale: f64,
    /// Hash of the plan, where it is known.
    pub plan_sha256: Option<String>,
    /// The whole resolved scenario, where it is known.
    pub scenario: Option<Value>,
    /// The run's own verdict, and the codes of its reasons.
    pub validity: Option<(String, Vec<String>)>,
    /// What it recorded.
    pub records: Records,
}

/// What is known of the requests.
#[derive(Clone, Debug)]
pub enum Records {
    /// Every request.
    Requests(Recorded),
    /// Only what a `result.json` says.
    Summary(Box<Figures>),
}

/// Every request of a run, and its fleet.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// In order of intended sends.
    pub requests: Vec<Request>,
    /// What the statistics cover; none: not known, all.
    pub window: Option<Window>,
    /// Deadline of a request, at which response times are cut.
    pub timeout: Option<Nanos>,
    /// The fleet's log; none: not known.
    pub fleet: Option<Vec<FleetEvent>>,
    /// Columns that a foreign file does not have.
    pub missing: Vec<&'static str>,
}

/// The measured window: after the warm-up, before the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Requests intended before this do not count.
    pub start: Nanos,
    /// Rates and gauges end here.
    pub end: Nanos,
}

/// One planned request, as far as a comparison is concerned. None: not known, or not applicable.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its number, or user and round in a closed loop.
    pub id: RequestId,
    /// When it was meant to be sent.
    pub at: Option<Nanos>,
    /// When it ended.
    pub end: Option<Nanos>,
    /// How it ended; none: not known.
    pub outcome: Option<Ending>,
    /// From the intended send to the end.
    pub response: Option<Nanos>,
    /// From the actual send to the end.
    pub service: Option<Nanos>,
    /// On the target.
    pub hold: Option<Nanos>,
    /// At the load balancer.
    pub overhead: Option<Nanos>,
    /// Dispatches to a target.
    pub attempts: Option<u32>,
    /// Who served it.
    pub target: Option<TargetId>,
    /// What it asked for.
    pub asked: Asked,
}

/// What a request asks for, where it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Asked {
    /// Hold time.
    pub hold: Option<Nanos>,
    /// CPU units.
    pub cpu: Option<f64>,
    /// The load-balancer host.
    pub host: Option<u32>,
}

/// How a request ended, without the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A target did the work.
    Ok,
    /// Rejected or failed.
    Lost,
    /// The deadline passed.
    TimedOut,
    /// Shed, or unfinished when the run ended.
    Other,
    /// Planned and never sent.
    Unsent,
}

// === impl Request ===

impl From<&TraceRow> for Request {
    fn from(row: &TraceRow) -> Self {
        Self {
            id: row.request(),
            at: Some(row.t_intended),
            end: row.t_end,
            outcome: Some(row.outcome.into()),
            response: row.response(),
            service: row.service(),
            hold: row.hold(),
            overhead: row.overhead,
            attempts: row.attempts,
            target: row.target,
            asked: Asked { hold: Some(row.hold_demand), cpu: Some(row.cpu_demand), host: row.host },
        }
    }
}

impl Request {
    /// Whether it was offered: not merely planned.
    pub(crate) fn offered(&self) -> bool {
        self.outcome != Some(Ending::Unsent)
    }

    /// Whether its response time counts: of `ok`, and of timed out up to the deadline.
    pub(crate) fn answered(&self) -> bool {
        matches!(self.outcome, Some(Ending::Ok | Ending::TimedOut))
    }

    /// Whether a target did the work.
    pub(crate) fn ok(&self) -> bool {
        self.outcome == Some(Ending::Ok)
    }
}

// === impl Asked ===

impl Asked {
    /// Whether nothing that both know differs.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        self.hold.zip(other.hold).is_none_or(|(one, two)| one == two)
            && self.cpu.zip(other.cpu).is_none_or(|(one, two)| one == two)
            && self.host.zip(other.host).is_none_or(|(one, two)| one == two)
    }
}

// === impl Ending ===

impl From<TraceOutcome> for Ending {
    fn from(outcome: TraceOutcome) -> Self {
        match outcome {
            TraceOutcome::Unsent => Self::Unsent,
            TraceOutcome::Offered(Outcome::Ok) => Self::Ok,
            TraceOutcome::Offered(Outcome::Rejected(_) | Outcome::Failed(_)) => Self::Lost,
            TraceOutcome::Offered(Outcome::TimedOut) => Self::TimedOut,
            TraceOutcome::Offered(Outcome::Shed | Outcome::Unfinished) => Self::Other,
        }
    }
}

// === impl Recorded ===

impl Recorded {
    /// Of a run of this scenario. `interrupted`: somebody stopped it.
    pub fn of_run(scenario: &Scenario, trace: &[TraceRow], fleet: Option<Vec<FleetEvent>>, interrupted: bool) -> Self {
        let mut requests: Vec<Request> = trace.iter().map(Request::from).collect();
        requests.sort_by_key(|request| (request.at, request.id));
        Self {
            requests,
            window: Some(Window::of(scenario, trace, interrupted)),
            timeout: Some(scenario.traffic.timeout),
            fleet,
            missing: Vec::new(),
        }
    }

    /// Of a load generator's own run, which says itself what it measured. `timeout`: where response times are cut; none: at
    /// their ends.
    pub fn of_client(trace: &[TraceRow], window: Window, timeout: Option<Nanos>) -> Self {
        let mut requests: Vec<Request> = trace.iter().map(Request::from).collect();
        requests.sort_by_key(|request| (request.at, request.id));
        Self { requests, window: Some(window), timeout, fleet: None, missing: Vec::new() }
    }

    /// Whether a request counts: by its intended send, however late it ended.
    pub(crate) fn measures(&self, request: &Request) -> bool {
        request.offered() && self.window.is_none_or(|window| request.at.is_none_or(|at| at >= window.start))
    }
}

// === impl Window ===

impl Window {
    /// As the report has it: until the duration is over, or the last request that a count puts behind it; with the last
    /// request in a closed loop and after an interruption.
    fn of(scenario: &Scenario, trace: &[TraceRow], interrupted: bool) -> Self {
        let simulation = &scenario.simulation;
        let planned = simulation.total_time.map_or(simulation.duration, |t| t.min(simulation.duration));
        let closed = matches!(scenario.traffic.model, TrafficModel::Closed(_));
        let last = trace.iter().filter_map(|row| row.t_end.or(row.t_send)).max();
        let end = match last {
            Some(last) if closed || interrupted => planned.min(last),
            _ => trace.iter().filter(|row| row.t_send.is_some()).map(|row| row.t_intended).fold(planned, Nanos::max),
        };
        Self { start: simulation.warmup.min(end), end }
    }

    /// Its length in seconds.
    pub(crate) fn secs(self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", crate::units::time(self.start), crate::units::time(self.end))
    }
}
