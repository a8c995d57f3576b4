//! What the terminal shows of a run, as figures: what [`super::draw`] puts on the screen, and nothing more.

use std::sync::Arc;
use std::time::Duration;

use galton_report::Verdict;

use crate::progress::figures::Figure;

/// The percentiles of every row of latencies.
pub(crate) const COLUMNS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

/// A run at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) title: Arc<Title>,
    pub(crate) phase: Phase,
    pub(crate) elapsed: Duration,
    /// How much of the run is over, and how long the rest takes, as far as can be told.
    pub(crate) share: Option<f64>,
    pub(crate) left: Option<Duration>,
    pub(crate) planned: Option<u64>,
    pub(crate) sent: u64,
    pub(crate) done: u64,
    pub(crate) in_flight: u64,
    /// By outcome in words: `ok` first, then the most frequent.
    pub(crate) outcomes: Vec<(String, u64)>,
    pub(crate) offered: Rate,
    pub(crate) completed: Rate,
    pub(crate) latencies: Vec<Row>,
    /// The last seconds, the latest at the end.
    pub(crate) seconds: Vec<Second>,
    /// Response times so far, from the first bar that is not empty to the last.
    pub(crate) bars: Vec<Bar>,
    /// Share of one core: of the whole process lately, and of the sending thread at most.
    pub(crate) cpu_now: f64,
    pub(crate) cpu_peak: f64,
    pub(crate) verdict: Verdict,
    /// What speaks against the measurement so far, the gravest first.
    pub(crate) reasons: Vec<String>,
}

/// What does not change during a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Title {
    pub(crate) url: String,
    /// The model in words, with the seed.
    pub(crate) words: String,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Sending.
    Sending,
    /// Waiting for what is in flight.
    Draining,
    /// Told to stop.
    Stopping,
}

/// Requests per second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    pub(crate) now: f64,
    pub(crate) overall: f64,
}

/// A row of [`COLUMNS`].
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) figures: [Figure; COLUMNS.len()],
}

/// One second of the run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Second {
    pub(crate) completed: u64,
    /// Median response time; none if nothing was answered.
    pub(crate) p50_ns: Option<u64>,
    /// The 99th percentile, or the maximum where there were too few for one.
    pub(crate) high_ns: Option<u64>,
    /// It is the 99th percentile.
    pub(crate) bears_p99: bool,
}

/// Response times up to `below_ns`, and above the bar before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) below_ns: u64,
    pub(crate) count: u64,
}
