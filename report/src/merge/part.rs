//! One of the runs that are merged: what its `result.json` says, and its interval log.

use std::collections::BTreeMap;

use galton_core::Nanos;
use galton_core::users::UserEnds;
use serde::Deserialize;
use serde_json::Value;

use crate::compute::SCHEMA_VERSION;
use crate::hlog::{Interval, TAGS};
use crate::input::HostInfo;
use crate::model::{Connections, Errors, Excluded, GeneratorFigures, MergedRun, Span};
use crate::units::utc;
use crate::validity::{Quantity, Reason, Severity};

/// Codes of reasons whose figures are times: JSON has plain numbers.
const TIMES: [&str; 3] = ["SEND_LAG_P99", "QUEUED_AT_CAP", "SENDER_STALL"];
/// The code of what is said anew whenever something is merged.
pub(super) const NOT_SIMULTANEOUS: &str = "NOT_SIMULTANEOUS";

/// One run.
#[derive(Clone, Debug)]
pub struct Part {
    /// What people call it: its directory.
    pub name: String,
    /// Itself, or all that it was merged from.
    pub(super) runs: Vec<MergedRun>,
    pub(super) result: ResultPart,
    pub(super) log: Vec<Interval>,
}

/// Why runs cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum NotAPart {
    /// One alone is merged already.
    #[error("it takes two runs or more to merge")]
    Few,
    /// Another version wrote it.
    #[error("schema_version {0} is not known; known: {SCHEMA_VERSION}")]
    Version(u64),
    /// It is the result of something else.
    #[error("not the result of a load generator's own run: there is no `client`")]
    NoClient,
    /// An earlier version merged it, and kept nothing of its runs but their names.
    #[error("merged without what its runs measured, as earlier versions did: merge those runs themselves")]
    MergedNames,
    /// Its requests would count twice.
    #[error("{one} and {other} are the same run (started {}): it would count twice", utc(*started_unix_ns))]
    Twice {
        /// Where it is, ...
        one: String,
        /// ... and where else.
        other: String,
        /// When it started.
        started_unix_ns: u64,
    },
    /// It is none at all.
    #[error("not the result of a run")]
    NotAResult(#[from] serde_json::Error),
    /// The log belongs to another run.
    #[error("latency.hlog has {found} values of {tag}, result.json has {expected}")]
    OtherLog {
        /// Which latency.
        tag: &'static str,
        /// In the log.
        found: u64,
        /// In the result.
        expected: u64,
    },
}

/// The part of `result.json` that can be merged.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ResultPart {
    pub(super) run: RunPart,
    pub(super) scenario: Value,
    validity: ValidityPart,
    pub(super) client: ClientPart,
    pub(super) counts: CountsPart,
    pub(super) conservation: ConservationPart,
    pub(super) rates: RatesPart,
    pub(super) retries: BTreeMap<String, BTreeMap<u32, u64>>,
    pub(super) no_attempt: u64,
    latency: BTreeMap<String, SummaryPart>,
    pub(super) series: SeriesPart,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RunPart {
    id: String,
    started_unix_ns: u64,
    pub(super) seed: u64,
    pub(super) host: HostInfo,
    pub(super) users: Option<UserEnds>,
}

#[derive(Clone, Debug, Deserialize)]
struct ValidityPart {
    reasons: Vec<ReasonPart>,
}

#[derive(Clone, Debug, Deserialize)]
struct ReasonPart {
    code: String,
    severity: Severity,
    value: f64,
    limit: f64,
    text: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ClientPart {
    pub(super) model: String,
    #[serde(default)]
    pub(super) to: String,
    pub(super) window_ns: Span,
    pub(super) timeout_ns: Nanos,
    pub(super) timeout_from_send: bool,
    #[serde(default)]
    pub(super) excluded: Option<Excluded>,
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Results of earlier versions have none.
    #[serde(default)]
    pub(super) errors: Errors,
    pub(super) connections: Connections,
    pub(super) body_bytes: u64,
    pub(super) generator: GeneratorFigures,
    #[serde(default)]
    merged: Vec<MergedRun>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CountsPart {
    pub(super) planned: u64,
    pub(super) unsent: u64,
    pub(super) offered: u64,
    pub(super) ok: u64,
    pub(super) rejected: BTreeMap<String, u64>,
    pub(super) timed_out: u64,
    pub(super) failed: BTreeMap<String, u64>,
    pub(super) shed: u64,
    pub(super) unfinished: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ConservationPart {
    pub(super) rows: Vec<RowPart>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct RowPart {
    pub(super) left: u64,
    pub(super) right: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct RatesPart {
    completed: f64,
}

/// A latency.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SummaryPart {
    pub(super) n: u64,
    pub(super) n_eff: u64,
    pub(super) censored: u64,
    pub(super) min: Option<u64>,
    pub(super) mean: Option<u64>,
    pub(super) std: Option<u64>,
    quantiles: Vec<QuantilePart>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct QuantilePart {
    q: f64,
    value: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SeriesPart {
    pub(super) bucket_ns: Nanos,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Option<f64>>>,
}

// === impl Part ===

impl Part {
    /// From a parsed `result.json` and its interval log.
    ///
    /// # Errors
    /// They are something else, or do not belong together.
    pub fn new(name: String, result: Value, log: Vec<Interval>) -> Result<Self, NotAPart> {
        let version = result["schema_version"].as_u64().unwrap_or_default();
        if version != u64::from(SCHEMA_VERSION) {
            return Err(NotAPart::Version(version));
        }
        if result.get("client").is_none() {
            return Err(NotAPart::NoClient);
        }
        if result["client"]["merged"][0].is_string() {
            return Err(NotAPart::MergedNames);
        }
        let result = ResultPart::deserialize(&result)?;
        let part = Self { runs: result.runs(&name), name, result, log };
        for tag in TAGS {
            let found = part.log.iter().filter(|interval| interval.tag == tag).map(|i| i.histogram.len()).sum();
            let expected = part.latency(tag).map_or(0, |latency| latency.n);
            if found != expected {
                return Err(NotAPart::OtherLog { tag, found, expected });
            }
        }
        Ok(part)
    }

    pub(super) fn started_unix_ns(&self) -> u64 {
        self.result.run.started_unix_ns
    }

    pub(super) fn latency(&self, name: &str) -> Option<&SummaryPart> {
        self.result.latency.get(name)
    }

    /// Whether it is a merged result itself.
    fn is_merged(&self) -> bool {
        !self.result.client.merged.is_empty()
    }

    /// Where one of its runs is to be found, in words.
    pub(super) fn place(&self, run: &MergedRun) -> String {
        if self.is_merged() { format!("{} in {}", run.name, self.name) } else { self.name.clone() }
    }

    /// Its reasons, with its name; those of a merged one have the names of its runs.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let text = |text: &str| if self.is_merged() { text.to_owned() } else { format!("{}: {text}", self.name) };
        let one = |reason: &ReasonPart| {
            let quantity = |value: f64| match value {
                v if TIMES.contains(&reason.code.as_str()) => Quantity::Time(Nanos(v as u64)),
                v if v.fract() == 0.0 && v != 1.0 => Quantity::Count(v as u64),
                v => Quantity::Ratio(v),
            };
            let (value, limit) = (quantity(reason.value), quantity(reason.limit));
            Reason::new(&reason.code, reason.severity, value, limit, text(&reason.text))
        };
        self.result.validity.reasons.iter().filter(|reason| reason.code != NOT_SIMULTANEOUS).map(one).collect()
    }
}

// === impl ResultPart ===

impl ResultPart {
    fn runs(&self, name: &str) -> Vec<MergedRun> {
        if !self.client.merged.is_empty() {
            return self.client.merged.clone();
        }
        let window_ns = self.client.window_ns;
        vec![MergedRun {
            name: name.to_owned(),
            id: self.run.id.clone(),
            started_unix_ns: self.run.started_unix_ns,
            model: self.client.model.clone(),
            window_ns,
            completed: (self.rates.completed * (window_ns.end - window_ns.start).as_secs_f64()).round() as u64,
        }]
    }
}

// === impl SummaryPart ===

impl SummaryPart {
    /// The largest value.
    pub(super) fn max(&self) -> Option<u64> {
        self.quantiles.iter().find(|found| found.q == 1.0).and_then(|found| found.value)
    }
}
