//! What has to be known of a run before its records are gone through: what is measured, and how time is divided.

use galton_core::Nanos;
use galton_core::plan::expected_requests;
use galton_core::record::TraceRow;
use galton_core::scenario::{Scenario, TrafficModel};

use super::window::Window;
use crate::input::RunData;
use crate::plot_data::round_up;
use crate::stats::needed;

/// Points per line that a screen can show and a page can carry.
const MOST_BUCKETS: u64 = 2_000;
/// Where a run takes longer than was planned and there are so many buckets, neighbours are merged in pairs.
pub(super) const MOST_KEPT: u64 = 2 * MOST_BUCKETS;
/// Buckets below this make a plot of a short run coarse.
const FEWEST_BUCKETS: u64 = 100;
/// A second, the bucket of a run that is neither long nor short.
const USUAL_BUCKET: u64 = 1_000_000_000;
/// Percentile windows below this no longer show a course.
const FEWEST_WINDOWS: u64 = 20;

/// The bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) window: Window,
    /// Buckets of rates and gauges; wider ones in the end, if there would be more than [`MOST_KEPT`].
    pub(crate) bucket: Nanos,
    /// Windows of percentiles.
    pub(crate) percentiles: Nanos,
    /// A request ends within this after its intended send, or never; none: who knows.
    pub(crate) longest: Option<Nanos>,
}

impl Bounds {
    /// Of a run whose records are all there.
    pub(crate) fn of(data: &RunData) -> Self {
        let window = Window::of(data);
        let last = data.trace.iter().filter_map(|row: &TraceRow| row.t_end).max().unwrap_or_default();
        Self::new(window, last.max(window.end), data.trace.len() as f64, None)
    }

    /// Of a run to come; none if its bounds only show when it is over.
    pub(crate) fn planned(scenario: &Scenario) -> Option<Self> {
        let simulation = &scenario.simulation;
        let requests = expected_requests(scenario);
        let end = simulation.total_time.map_or(simulation.duration, |total| total.min(simulation.duration));
        let counted = matches!(&scenario.traffic.model, TrafficModel::Open(arrival) if arrival.count.is_some());
        let window = Window { start: simulation.warmup.min(end), end };
        (!counted).then(|| Self::new(window, end, requests, Some(scenario.traffic.timeout)))
    }

    fn new(window: Window, end: Nanos, requests: f64, longest: Option<Nanos>) -> Self {
        let (bucket, percentiles) = lengths(end, requests);
        Self { window, bucket, percentiles, longest }
    }
}

/// Buckets and percentile windows that suit a run that takes until `end`.
pub(crate) fn lengths(end: Nanos, requests: f64) -> (Nanos, Nanos) {
    let span = end.0.max(1);
    let bucket = round_up(span / MOST_BUCKETS).max(round_up(span / FEWEST_BUCKETS).min(USUAL_BUCKET));
    let wanted = (2.0 * needed(0.99) as f64 * span as f64 / requests.max(f64::MIN_POSITIVE)) as u64;
    let percentiles = round_up(wanted.min(span / FEWEST_WINDOWS)).max(bucket);
    (Nanos(bucket), Nanos(percentiles))
}
