//! What is compared: names, units, and the margins below which a difference does not matter.

use serde::Serialize;

use super::Margins;

/// One figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Rejected, failed and timed out, of what was offered.
    Loss,
    /// Served, of what was offered.
    Ok,
    /// Intended sends per second of the window.
    Offered,
    /// `ok` responses that ended in the window, per second of it.
    Throughput,
    /// Response time.
    ResponseMean,
    /// Its median.
    ResponseP50,
    /// Its 90th percentile.
    ResponseP90,
    /// Its 99th percentile.
    ResponseP99,
    /// Service latency.
    ServiceMean,
    /// Its 99th percentile.
    ServiceP99,
    /// Hold time on the target.
    HoldMean,
    /// Its 99th percentile.
    HoldP99,
    /// Time at the load balancer.
    OverheadMean,
    /// Its 99th percentile.
    OverheadP99,
    /// Retries per request.
    RetriesMean,
    /// Total variation distance between the distributions of retries.
    RetriesDistance,
    /// Ready targets on average over the window.
    FleetMean,
    /// Most targets ready at a time.
    FleetPeak,
    /// Starts accepted over the whole run.
    ScaleUps,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share, 0 to 1.
    Fraction,
    /// Nanoseconds of scenario time.
    Ns,
    /// Per second of scenario time.
    PerSec,
    /// Things.
    Count,
}

/// Which latency, and which figure of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OfLatency {
    pub(crate) latency: LatencyName,
    /// The quantile; none: the mean.
    pub(crate) q: Option<f64>,
}

/// The latencies that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LatencyName {
    Response,
    Service,
    Hold,
    Overhead,
}

// === impl Metric ===

impl Metric {
    /// All, in the order of tables.
    pub const ALL: [Self; 19] = [
        Self::Loss,
        Self::Ok,
        Self::Offered,
        Self::Throughput,
        Self::ResponseMean,
        Self::ResponseP50,
        Self::ResponseP90,
        Self::ResponseP99,
        Self::ServiceMean,
        Self::ServiceP99,
        Self::HoldMean,
        Self::HoldP99,
        Self::OverheadMean,
        Self::OverheadP99,
        Self::RetriesMean,
        Self::RetriesDistance,
        Self::FleetMean,
        Self::FleetPeak,
        Self::ScaleUps,
    ];

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Ok => "ok",
            Self::Offered => "offered rate",
            Self::Throughput => "throughput",
            Self::ResponseMean => "response mean",
            Self::ResponseP50 => "response p50",
            Self::ResponseP90 => "response p90",
            Self::ResponseP99 => "response p99",
            Self::ServiceMean => "service mean",
            Self::ServiceP99 => "service p99",
            Self::HoldMean => "hold mean",
            Self::HoldP99 => "hold p99",
            Self::OverheadMean => "overhead mean",
            Self::OverheadP99 => "overhead p99",
            Self::RetriesMean => "retries mean",
            Self::RetriesDistance => "retries TV",
            Self::FleetMean => "targets mean",
            Self::FleetPeak => "targets peak",
            Self::ScaleUps => "scale-ups",
        }
    }

    /// What it counts.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Loss | Self::Ok | Self::RetriesDistance => Unit::Fraction,
            Self::Offered | Self::Throughput => Unit::PerSec,
            Self::RetriesMean | Self::FleetMean | Self::FleetPeak | Self::ScaleUps => Unit::Count,
            _ => Unit::Ns,
        }
    }

    /// The latency that it is a figure of.
    pub(crate) fn latency(self) -> Option<OfLatency> {
        use LatencyName::{Hold, Overhead, Response, Service};
        let (latency, q) = match self {
            Self::ResponseMean => (Response, None),
            Self::ResponseP50 => (Response, Some(0.5)),
            Self::ResponseP90 => (Response, Some(0.9)),
            Self::ResponseP99 => (Response, Some(0.99)),
            Self::ServiceMean => (Service, None),
            Self::ServiceP99 => (Service, Some(0.99)),
            Self::HoldMean => (Hold, None),
            Self::HoldP99 => (Hold, Some(0.99)),
            Self::OverheadMean => (Overhead, None),
            Self::OverheadP99 => (Overhead, Some(0.99)),
            _ => return None,
        };
        Some(OfLatency { latency, q })
    }

    /// The difference that does not matter, around these values. `time_scale`: the larger of the two runs'.
    pub(crate) fn margin(self, margins: &Margins, (a, b): (f64, f64), time_scale: f64) -> f64 {
        let larger = a.abs().max(b.abs());
        match self {
            Self::Loss | Self::Ok => margins.loss,
            Self::Offered | Self::Throughput => margins.relative * larger,
            Self::RetriesMean => margins.relative * larger + margins.retries,
            Self::RetriesDistance => margins.retries,
            Self::FleetMean => margins.targets.max(margins.relative * larger),
            Self::FleetPeak | Self::ScaleUps => margins.scale_ups,
            _ => margins.relative * larger + margins.time.0 as f64 * time_scale,
        }
    }
}

// === impl LatencyName ===

impl LatencyName {
    /// The name in `result.json`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Service => "service",
            Self::Hold => "hold",
            Self::Overhead => "overhead",
        }
    }
}
