//! The report: what every writer writes. Serialises to `result.json` as it stands.
//!
//! Durations are integer nanoseconds of scenario time, rates per second, fractions 0 to 1. What is not known is null.

mod client;
mod errors;

use std::collections::BTreeMap;

use galton_core::record::FleetWhat;
use galton_core::users::UserEnds;
use galton_core::{HostId, Incarnation, Nanos, TargetId};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::input::{Kind, RunMeta};
use crate::plot_data::PlotData;
use crate::slo::Kept;
use crate::stats::{GaugeSummary, Summary, plain_option};
use crate::validity::Validity;

pub use self::client::{Client, Connections, Excluded, GeneratorFigures, MergedRun, Span};
pub use self::errors::{ErrorCount, Errors};

/// Everything there is to say about one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of the schema; a change that breaks readers raises it.
    pub schema_version: u32,
    /// Live or simulated.
    pub kind: Kind,
    /// Which run.
    pub run: Run,
    /// The whole resolved scenario.
    pub scenario: Value,
    /// Whether to believe the rest.
    pub validity: Validity,
    /// What was promised, and whether it was kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<Kept>,
    /// What only a load generator by itself knows; none: the run had proxies and targets, which know more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Client>,
    /// Requests of the measured window.
    pub counts: Counts,
    /// What the processes counted against each other, over the whole run.
    pub conservation: Conservation,
    /// Rates over the measured window.
    pub rates: Rates,
    /// Requests with at least one attempt, by outcome and number of retries.
    pub retries: BTreeMap<&'static str, BTreeMap<u32, u64>>,
    /// Requests known to have ended without an attempt.
    pub no_attempt: u64,
    /// Response time by class of outcome.
    pub latency_by_outcome: BTreeMap<&'static str, Summary>,
    /// Latencies by name.
    pub latency: Latency,
    /// Gauges under both samplings.
    #[serde(skip_serializing_if = "Gauges::never_existed")]
    pub gauges: Gauges,
    /// At every refusal by a target: how many other targets had a free slot. None: recording off.
    pub free_targets_at_reject: Option<BTreeMap<u32, u64>>,
    /// What the scaler did.
    #[serde(skip_serializing_if = "Scaling::never_existed")]
    pub scaling: Scaling,
    /// Every target there was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetReport>,
    /// The run over time.
    pub series: Series,
    /// `no_attempt` by class of outcome.
    #[serde(skip)]
    pub no_attempt_by_outcome: BTreeMap<&'static str, u64>,
    /// What the plots draw besides.
    #[serde(skip)]
    pub(crate) plots: PlotData,
    /// The scenario in a sentence.
    #[serde(skip)]
    pub(crate) summary: String,
}

/// Which run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// As the conductor gave it.
    #[serde(flatten)]
    pub meta: RunMeta,
    /// The one seed.
    pub seed: u64,
    /// How the users of a closed loop ended.
    pub users: Option<UserEnds>,
}

/// Requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Planned; `offered + unsent`.
    pub planned: u64,
    /// Planned and never offered.
    pub unsent: u64,
    /// Offered; the sum of all below.
    pub offered: u64,
    /// A target did the work.
    pub ok: u64,
    /// By reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// The deadline passed.
    pub timed_out: u64,
    /// By reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// Dropped by the load generator.
    pub shed: u64,
    /// In flight when the run ended.
    pub unfinished: u64,
}

/// Rates per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Requests offered in the window.
    pub offered: f64,
    /// `ok` responses that ended within the window.
    pub completed: f64,
}

/// What the processes counted against each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conservation {
    /// Every row holds.
    pub ok: bool,
    /// The equations.
    pub rows: Vec<ConservationRow>,
}

/// One equation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConservationRow {
    /// In words.
    pub what: &'static str,
    /// Its left side.
    pub left: u64,
    /// Its right side.
    pub right: u64,
    /// The *never* term within the right side, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never: Option<u64>,
    /// The sides are equal, and the *never* term is explained.
    pub ok: bool,
}

/// Latencies of the measured window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// From the intended send, of `ok` and `timed_out` (censored).
    pub response: Summary,
    /// From the actual send, of the same.
    pub service: Summary,
    /// On the target, of `ok`.
    pub hold: Summary,
    /// At the load balancer outside of the serving attempt, of `ok`.
    pub overhead: Summary,
    /// Actual minus intended send, of everything sent.
    pub send_lag: Summary,
}

/// One gauge under both samplings; none: recording off, or it never existed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BothSamplings {
    /// What decisions met.
    pub decision: Option<GaugeSummary>,
    /// Over time.
    pub time: Option<GaugeSummary>,
}

/// Gauges over the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gauges {
    /// Why figures are missing, if they are.
    pub note: Option<&'static str>,
    /// Requests that one target holds, over all targets.
    pub target_in_flight: BothSamplings,
    /// Σ demand ÷ capacity of one target, over all targets.
    pub target_cpu: BothSamplings,
    /// The same from the CPU time that was really spent on each request (`burn`); none: nothing was burned.
    pub target_cpu_measured: Option<BothSamplings>,
    /// Ready targets.
    pub fleet: BothSamplings,
    /// Σ limit − in-flight over ready targets.
    pub free_slots: BothSamplings,
    /// Requests that all targets hold together.
    pub in_flight: BothSamplings,
    /// Share of the ready targets' slots that were taken, over time.
    #[serde(serialize_with = "plain_option")]
    pub slot_use: Option<f64>,
    /// At every request that a host rejected: how many targets had a free slot.
    pub free_targets_at_rejection: Option<BTreeMap<u32, u64>>,
}

/// What the scaler did, over the whole run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scaling {
    /// Starts accepted.
    pub ups: u64,
    /// Removals accepted.
    pub downs: u64,
    /// Most targets ready at a time.
    pub peak: u32,
    /// Requests that shared a start in progress.
    pub joined: u64,
    /// Starts refused at the maximum.
    pub ups_refused: u64,
    /// Removals refused.
    pub downs_refused: u64,
    /// Processes that died, or did not come up.
    pub deaths: u64,
    /// Processes started again.
    pub restarts: u64,
    /// Starts from requested to ready.
    pub starts: Starts,
    /// Every event of the fleet's log, the initial fleet included.
    pub events: Vec<ScalingEvent>,
}

/// Starts from requested to ready against the configured delay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Starts {
    /// From requested to ready.
    pub took: Summary,
    /// The configured delays of the same starts.
    pub configured: Summary,
    /// Starts that took longer than configured by more than 5 ms of machine time and 1 % of the delay.
    pub overrun: u64,
    /// The largest overrun.
    pub worst_overrun: Nanos,
}

/// One event of the fleet's log, with what was ready and free just before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScalingEvent {
    /// When.
    pub at_ns: Nanos,
    /// What happened.
    pub what: FleetWhat,
    /// To which target.
    pub target: Option<TargetId>,
    /// To which process of it.
    pub incarnation: Incarnation,
    /// Who asked.
    pub host: Option<HostId>,
    /// Why.
    pub why: &'static str,
    /// The configured delay.
    pub delay_ns: Nanos,
    /// How long it took: of `ready` since the start, of `stopped` since the cordon.
    pub took_ns: Option<Nanos>,
    /// By how much the machine overran the delay.
    pub overrun_ns: Nanos,
    /// Requests still held at the end.
    pub held: u32,
    /// Targets ready just before.
    pub ready: u32,
    /// Free slots just before; none: recording off.
    pub free_slots: Option<u64>,
}

/// One target. Counts and times cover the whole run, gauges and latencies the measured window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetReport {
    /// Which.
    pub id: TargetId,
    /// Dispatches to it; none: recording off.
    pub requests: Option<u64>,
    /// Requests it took; none: neither counted nor recorded.
    pub accepted: Option<u64>,
    /// Requests it refused; the same.
    pub refused: Option<u64>,
    /// Processes started again.
    pub restarts: u64,
    /// When its start was accepted; the initial fleet: 0.
    pub started_ns: Option<Nanos>,
    /// When it first took requests.
    pub ready_ns: Option<Nanos>,
    /// When nothing was in flight there any more, after its cordon.
    pub drained_ns: Option<Nanos>,
    /// When it ended.
    pub stopped_ns: Option<Nanos>,
    /// Requests held.
    pub in_flight: BothSamplings,
    /// Accounted utilisation: Σ demand ÷ capacity.
    pub cpu: BothSamplings,
    /// CPU cores that its processes really used while they served.
    #[serde(serialize_with = "plain_option")]
    pub cpu_cores: Option<f64>,
    /// Of these, on demand (`burn`).
    #[serde(serialize_with = "plain_option")]
    pub cpu_cores_burned: Option<f64>,
    /// Hold time of the `ok` requests it served.
    pub hold: Summary,
    /// Their response time.
    pub response: Summary,
}

/// The run over time, warm-up and drain included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Length of a bucket.
    pub bucket_ns: Nanos,
    /// Names of the columns; counts per bucket, gauges as means over the bucket.
    pub columns: &'static [&'static str],
    /// One row per bucket.
    pub rows: Vec<Row>,
    /// Percentiles per window, where the window bears them.
    pub latency: Windows,
}

/// Percentiles per window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Windows {
    /// Length of a window.
    pub bucket_ns: Nanos,
    /// Names of the columns.
    pub columns: &'static [&'static str],
    /// One row per window.
    pub rows: Vec<Row>,
}

/// One row of numbers; none: not known, or too few values.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Option<f64>>);

// === impl ConservationRow ===

impl ConservationRow {
    /// Two sides that must be equal.
    pub(crate) fn equal(what: &'static str, left: u64, right: u64) -> Self {
        Self { what, left, right, never: None, ok: left == right }
    }
}

// === impl Gauges ===

impl Gauges {
    /// There was nothing to gauge: a client sees no targets.
    fn never_existed(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Scaling ===

impl Scaling {
    /// There was no fleet.
    fn never_existed(&self) -> bool {
        self.events.is_empty()
    }
}

// === impl Row ===

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        struct Cell(Option<f64>);
        impl Serialize for Cell {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                plain_option(&self.0, s)
            }
        }
        s.collect_seq(self.0.iter().map(|cell| Cell(*cell)))
    }
}

// === impl Counts ===

impl Counts {
    /// Over all reasons.
    pub fn rejected_in_all(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Over all reasons.
    pub fn failed_in_all(&self) -> u64 {
        self.failed.values().sum()
    }
}
