//! Two runs against each other, metric by metric: live or simulated, or what somebody else's simulator produced.
//!
//! The figures are those of the report. Their uncertainty, and that of every difference, comes from one set of block
//! bootstrap resamples (`bootstrap`); runs of the same plan are paired request by request, so that what the requests
//! themselves vary does not blur what the runs differ in. A verdict asks for more than a difference that chance does not
//! explain: it must also exceed a margin below which nobody cares.

mod bootstrap;
mod course;
mod differences;
mod distribution;
mod estimate;
mod foreign;
mod metric;
mod over_time;
mod pair;
mod refusal;
mod retries;
mod subject;
mod summary;
mod terminal;
mod verdict;

use galton_core::Nanos;
use serde::Serialize;

pub use self::bootstrap::Interval;
pub use self::differences::KeyDifference;
pub use self::distribution::{Distance, QuantilePair};
pub use self::foreign::{ForeignError, read as read_foreign};
pub use self::metric::{Metric, Unit};
pub use self::pair::{Agreement, Pairing};
pub use self::refusal::Refusal;
pub use self::retries::RetriesRow;
pub use self::subject::{Asked, Ending, Recorded, Records, Request, Subject, Window};
pub use self::summary::{Figures, NotAResult};
pub use self::verdict::{Figure, MetricComparison, Sameness};

use self::bootstrap::{FEWEST_VALUES, Resamples, block_length};
use self::distribution::{Side, Sorted};
use self::estimate::Sample;
use self::metric::LatencyName;
use self::over_time::OverTime;
use self::pair::Positions;
use self::summary::millionths;
use self::verdict::Candidate;
use crate::input::Kind;

/// Version of the schema of a comparison's JSON.
const SCHEMA_VERSION: u32 = 1;
/// What makes the resamples of the two sides independent where they are not paired.
const KEYS: [u64; 2] = [1, 2];

/// How to compare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// What does not matter.
    pub margins: Margins,
    /// Whether to pair requests.
    pub pairing: PairingWish,
    /// Compare runs that are `INVALID` too.
    pub allow_invalid: bool,
}

/// Whether to pair requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PairingWish {
    /// Where the plan is the same.
    #[default]
    Auto,
    /// Or refuse.
    Must,
    /// Never: as if the plans were different.
    Never,
}

/// Differences that do not matter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Margins {
    /// Of the shares lost and served.
    pub loss: f64,
    /// Of a latency, a rate, the mean fleet: this part of the larger value.
    pub relative: f64,
    /// Of a latency, besides: machine time.
    #[serde(rename = "time_ns")]
    pub time: Nanos,
    /// Total variation distance of the retries.
    pub retries: f64,
    /// Of the mean fleet, at least.
    pub targets: f64,
    /// Of starts, and of the fleet's peak.
    pub scale_ups: f64,
}

/// The whole comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Version of the schema; a change that breaks readers raises it.
    pub schema_version: u32,
    /// The worst of all metrics.
    pub verdict: Sameness,
    /// The first run.
    pub a: About,
    /// The second.
    pub b: About,
    /// How requests were paired; none: they were not.
    pub paired: Option<Pairing>,
    /// Keys in which the scenarios differ.
    pub differs_in: Vec<KeyDifference>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// The margins used.
    pub margins: Margins,
    /// Metric by metric.
    pub metrics: Vec<MetricComparison>,
    /// Metrics that one side does not know.
    pub unavailable: Vec<Metric>,
    /// Distance of the response times; none: one side does not know them.
    pub response_distance: Option<Distance>,
    /// Quantiles of the response times.
    pub response_quantiles: Vec<QuantilePair>,
    /// Both histograms of retries.
    pub retries: Vec<RetriesRow>,
}

/// Which run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    /// Its path.
    pub name: String,
    /// Live, simulated, or unknown.
    pub kind: Option<Kind>,
    /// Its own verdict.
    pub verdict: Option<String>,
    /// Scenario seconds per machine second.
    pub time_scale: f64,
    /// Requests offered in the measured window.
    pub requests: u64,
    /// Hash of the plan.
    pub plan_sha256: Option<String>,
}

/// The figures of both sides, and what only whole distributions tell.
struct Both {
    figures: [Figures; 2],
    /// What of either side cannot be told.
    notes: [Option<String>; 2],
    paired: Option<Pairing>,
    distance: Option<Distance>,
}

// === impl Margins ===

impl Default for Margins {
    /// What a person would not act upon: half a per cent of the requests, 2 % and a fifth of a millisecond (what a proxy
    /// adds on one machine) of a time, half a target or 2 % of the fleet, one start.
    fn default() -> Self {
        Self { loss: 0.005, relative: 0.02, time: Nanos(200_000), retries: 0.01, targets: 0.5, scale_ups: 1.0 }
    }
}

/// Compares two runs. About a second per hundred thousand requests on one core, in a release build.
///
/// # Errors
/// The two cannot be compared.
pub fn compare(mut a: Subject, mut b: Subject, options: &Options) -> Result<Comparison, Refusal> {
    let mut notes = inherit(&mut a, &mut b);
    let paired = refusal::check(&a, &b, options, &mut notes)?;
    let differs_in = refusal::key_differences(&a, &b);
    let both = match (&a.records, &b.records) {
        (Records::Requests(of_a), Records::Requests(of_b)) => Both::of_requests(of_a, of_b, paired),
        _ => Both { figures: [own_figures(&a), own_figures(&b)], notes: [None, None], paired: None, distance: None },
    };
    for (name, note) in [&a.name, &b.name].into_iter().zip(&both.notes) {
        notes.extend(note.iter().map(|note| format!("{name}: {note}")));
    }
    let [of_a, of_b] = &both.figures;
    let candidates = candidates(of_a, of_b);
    let compared = |metric: &Metric| candidates.iter().any(|one| one.metric == *metric);
    let unavailable = Metric::ALL.into_iter().filter(|metric| !compared(metric)).collect();
    let metrics = judge(candidates, &options.margins, a.time_scale.max(b.time_scale));
    let quantile = |figures: &Figures, q| figures.response.get(&millionths(q)).copied();
    Ok(Comparison {
        schema_version: SCHEMA_VERSION,
        verdict: metrics.iter().map(|one| one.verdict).max().unwrap_or(Sameness::Undecided),
        paired: both.paired,
        differs_in,
        notes,
        margins: options.margins,
        metrics,
        unavailable,
        response_distance: both.distance,
        response_quantiles: distribution::quantile_table(|q| quantile(of_a, q), |q| quantile(of_b, q)),
        retries: match (&of_a.retries, &of_b.retries) {
            (Some(a), Some(b)) => retries::rows(a, b),
            _ => Vec::new(),
        },
        a: About::of(a, of_a),
        b: About::of(b, of_b),
    })
}

/// What a foreign file does not say is taken from the other side: the measured window and the deadline. Says so.
fn inherit(a: &mut Subject, b: &mut Subject) -> Vec<String> {
    let known = |subject: &Subject| match &subject.records {
        Records::Requests(recorded) if subject.kind.is_some() => recorded.window.zip(recorded.timeout),
        _ => None,
    };
    let mut notes = Vec::new();
    let (of_a, of_b) = (known(a), known(b));
    for (one, other) in [(a, of_b), (b, of_a)] {
        if let (None, Some((window, timeout)), Records::Requests(recorded)) = (one.kind, other, &mut one.records) {
            (recorded.window, recorded.timeout) = (Some(window), Some(timeout));
            notes.push(format!("{}: measured as the other run was, from {window}", one.name));
        }
    }
    notes
}

/// Of a side that the other cannot be laid beside.
fn own_figures(subject: &Subject) -> Figures {
    match &subject.records {
        Records::Summary(figures) => (**figures).clone(),
        Records::Requests(recorded) => {
            let [figures, _] = Both::of_requests(recorded, recorded, false).figures;
            figures
        }
    }
}

fn candidates(a: &Figures, b: &Figures) -> Vec<Candidate> {
    let one = |metric: Metric| match metric {
        Metric::RetriesDistance => {
            let (a, b) = (a.retries.as_ref()?, b.retries.as_ref()?);
            let enough = a.total().min(b.total()) >= FEWEST_VALUES as u64;
            let interval = enough.then(|| retries::interval(a, b));
            Some(Candidate::distance(metric, retries::distance(a, b), interval))
        }
        _ => Some(Candidate::of(metric, a.estimates.get(&metric)?, b.estimates.get(&metric)?)),
    };
    Metric::ALL.into_iter().filter_map(one).collect()
}

fn judge(candidates: Vec<Candidate>, margins: &Margins, time_scale: f64) -> Vec<MetricComparison> {
    let family = candidates.iter().filter(|one| one.errs()).count();
    let one = |candidate: Candidate| {
        let margin = candidate.metric.margin(margins, candidate.values(), time_scale);
        candidate.judge(margin, family)
    };
    candidates.into_iter().map(one).collect()
}

// === impl Both ===

impl Both {
    fn of_requests(a: &Recorded, b: &Recorded, paired: bool) -> Self {
        let positions = if paired { pair::side_by_side(a, b) } else { pair::apart(a, b) };
        let block = common_block_length(&positions);
        let of_a = Resamples::new(positions.a.len(), block, KEYS[0]);
        let of_b = if paired { of_a.clone() } else { Resamples::new(positions.b.len(), block, KEYS[1]) };
        let samples = [
            Sample { side: a, requests: &positions.a, resamples: &of_a },
            Sample { side: b, requests: &positions.b, resamples: &of_b },
        ];
        let mut figures = [samples[0].figures(), samples[1].figures()];
        let courses = [OverTime::of(a), OverTime::of(b)];
        let over_time = over_time::estimates(&courses[0], &courses[1], paired && a.window == b.window);
        for (figures, more) in figures.iter_mut().zip(over_time) {
            figures.estimates.extend(more);
        }
        let values = [0, 1].map(|i: usize| samples[i].latency(LatencyName::Response));
        let sorted = [0, 1].map(|i: usize| Sorted::of(&values[i]));
        for (figures, sorted) in figures.iter_mut().zip(&sorted) {
            figures.response = distribution::levels(sorted).collect();
        }
        let side = |i: usize| Side { sorted: &sorted[i], values: &values[i], resamples: samples[i].resamples };
        let distance = distribution::distance(&side(0), &side(1));
        let notes = courses.each_ref().map(OverTime::note);
        Self { figures, notes, paired: paired.then(|| positions.agreement()), distance }
    }
}

/// One length for all series of requests: that of the one with the longest memory.
fn common_block_length(positions: &Positions<'_>) -> usize {
    let series: [fn(&Request) -> f64; 3] = [
        |request| request.response.map_or(0.0, |response| response.0 as f64),
        |request| f64::from(!request.ok()),
        |request| request.attempts.map_or(0.0, f64::from),
    ];
    let sides = [&positions.a, &positions.b];
    let length = |side: &[Option<&Request>], of: fn(&Request) -> f64| {
        block_length(&side.iter().flatten().map(|request| of(request)).collect::<Vec<_>>())
    };
    let lengths = sides.iter().flat_map(|side| series.map(|of| length(side, of)));
    lengths.max().unwrap_or(1)
}

// === impl About ===

impl About {
    fn of(subject: Subject, figures: &Figures) -> Self {
        Self {
            name: subject.name,
            kind: subject.kind,
            verdict: subject.validity.map(|(verdict, _)| verdict),
            time_scale: subject.time_scale,
            requests: figures.requests,
            plan_sha256: subject.plan_sha256,
        }
    }
}

impl Comparison {
    /// As JSON. Ends with a newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("keys are strings, and no writer can fail");
        text.push('\n');
        text
    }

    /// As tables for a terminal of so many columns: 80 suffice, and from 100 on a metric takes one line.
    pub fn to_text(&self, color: bool, width: usize) -> String {
        terminal::write(self, color, width)
    }
}
