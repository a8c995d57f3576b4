//! Service level objectives: what was promised of a run, and whether it was kept. `p99<250ms`, `errors<0.1%`, `rate>900`.
//!
//! An objective is kept only if the figures show it. A percentile that the sample does not bear, or that lies among requests
//! that were given up, shows nothing, unless what is known of it already decides.

use std::fmt;
use std::str::FromStr;

use galton_core::Nanos;
use serde::{Serialize, Serializer};

use crate::model::Report;
use crate::stats::{needed, plain_option};
use crate::units::{count, percent, rate, time};

/// What is accepted, for errors.
const EXAMPLES: &str = "write p99<250ms, mean<=20ms, max<1s, errors<0.1% or rate>900";
const UNITS: [(&str, f64); 5] = [("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9)];

/// One objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    metric: Metric,
    relation: Relation,
    /// Nanoseconds, a fraction, or per second.
    limit: f64,
}

/// The figure that it is about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// A quantile of the response time; 1 is the largest.
    Quantile(f64),
    Mean,
    /// Offered requests that did not end `ok`.
    Errors,
    /// `ok` responses per second.
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// What came of one objective.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// As it was given.
    pub objective: String,
    /// Whether it was kept.
    pub verdict: SloVerdict,
    /// What was found: nanoseconds, a fraction, or per second; none: the sample does not bear it.
    #[serde(serialize_with = "plain_option")]
    pub value: Option<f64>,
    /// What it was held against.
    #[serde(serialize_with = "plain")]
    pub limit: f64,
    /// The same for people.
    pub text: String,
}

/// Whether an objective was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SloVerdict {
    /// It was.
    Kept,
    /// The run does not show it.
    Undecided,
    /// It was not.
    Missed,
}

/// What is known of a figure.
struct Found {
    value: Option<f64>,
    /// The true value is this or more.
    at_least: bool,
    interval: Option<(f64, f64)>,
    /// Why there is no value.
    why_not: String,
}

/// Holds a report against objectives, in their order.
pub fn evaluate(objectives: &[Slo], report: &Report) -> Vec<Kept> {
    objectives.iter().map(|slo| slo.evaluate(report)).collect()
}

/// The worst of all; none is as good as kept.
pub fn worst(results: &[Kept]) -> SloVerdict {
    results.iter().map(|kept| kept.verdict).max().unwrap_or(SloVerdict::Kept)
}

fn plain<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
    plain_option(&Some(*value), s)
}

// === impl Slo ===

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?}: {why}; {EXAMPLES}");
        let at = text.find(['<', '>']).ok_or_else(|| wrong("there is no < or >"))?;
        let (name, rest) = text.split_at(at);
        let (relation, limit) = match (rest.strip_prefix("<="), rest.strip_prefix(">="), &rest[..1]) {
            (Some(limit), ..) => (Relation::AtMost, limit),
            (_, Some(limit), _) => (Relation::AtLeast, limit),
            (_, _, "<") => (Relation::Below, &rest[1..]),
            _ => (Relation::Above, &rest[1..]),
        };
        let metric = Metric::parse(name.trim()).map_err(|why| wrong(&why))?;
        let limit = metric.parse_limit(limit.trim()).map_err(|why| wrong(&why))?;
        Ok(Self { metric, relation, limit })
    }
}

impl Slo {
    /// Holds a report against it.
    pub fn evaluate(&self, report: &Report) -> Kept {
        let found = self.metric.find(report);
        let verdict = self.judge(&found);
        Kept {
            objective: self.to_string(),
            verdict,
            value: found.value,
            limit: self.limit,
            text: self.sentence(&found, verdict),
        }
    }

    /// Requests without which a run cannot show whether it is kept.
    pub fn needs(&self) -> u64 {
        match self.metric {
            Metric::Quantile(q) => needed(q),
            Metric::Mean | Metric::Errors | Metric::Rate => 1,
        }
    }

    fn judge(&self, found: &Found) -> SloVerdict {
        let Some(value) = found.value else { return SloVerdict::Undecided };
        let holds = self.relation.holds(value, self.limit);
        let upper = matches!(self.relation, Relation::Below | Relation::AtMost);
        match (holds, found.at_least) {
            // The true value is larger: below the limit it may be anywhere, above it it stays there.
            (true, true) if upper => SloVerdict::Undecided,
            (false, true) if !upper => SloVerdict::Undecided,
            (true, _) => SloVerdict::Kept,
            (false, _) => SloVerdict::Missed,
        }
    }

    fn sentence(&self, found: &Found, verdict: SloVerdict) -> String {
        let Some(value) = found.value else { return format!("{self}: {verdict}: {}", found.why_not) };
        let show = |value| self.metric.show(value);
        let bound = if found.at_least { "≥ " } else { "" };
        let interval = found.interval.map_or(String::new(), |(lo, hi)| {
            format!(" [{}, {}]", show(lo), if hi.is_finite() { show(hi) } else { "–".to_owned() })
        });
        let straddles = found.interval.is_some_and(|(lo, hi)| lo < self.limit && self.limit < hi);
        let remark = match (verdict, found.at_least, straddles) {
            (SloVerdict::Undecided, ..) => "; it lies among requests that were given up, so the true value is larger",
            (_, false, true) => "; the limit lies within the 95 % interval: another run may end otherwise",
            _ => "",
        };
        format!("{self}: {verdict}: {bound}{}{interval}{remark}", show(value))
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = match self.relation {
            Relation::Below => "<",
            Relation::AtMost => "<=",
            Relation::Above => ">",
            Relation::AtLeast => ">=",
        };
        write!(f, "{} {relation} {}", self.metric, self.metric.show(self.limit))
    }
}

// === impl Relation ===

impl Relation {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
        }
    }
}

// === impl Metric ===

impl Metric {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "mean" => return Ok(Self::Mean),
            "max" | "p100" => return Ok(Self::Quantile(1.0)),
            "errors" => return Ok(Self::Errors),
            "rate" => return Ok(Self::Rate),
            _ => {}
        }
        let level = name.strip_prefix('p').and_then(|level| level.parse::<f64>().ok());
        match level {
            // Rounded, so that 99.9 is the 0.999 of the report.
            Some(level) if (50.0..=99.99).contains(&level) => Ok(Self::Quantile((level * 1e4).round() / 1e6)),
            Some(_) => Err(format!("{name}: percentiles go from p50 to p99.99")),
            None => Err(format!("no figure is named {name:?}: p50 to p99.99, mean, max, errors, rate")),
        }
    }

    fn parse_limit(self, text: &str) -> Result<f64, String> {
        let (number, factor) = match self {
            Self::Quantile(_) | Self::Mean => duration(text)?,
            Self::Errors => text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 0.01)),
            Self::Rate => (text.strip_suffix("/s").unwrap_or(text), 1.0),
        };
        let number: f64 = number.trim().parse().map_err(|_| format!("{text:?} is not a number"))?;
        let limit = number * factor;
        match self {
            _ if !limit.is_finite() || limit < 0.0 => Err(format!("the limit must be 0 or more, got {text}")),
            Self::Errors if limit > 1.0 => {
                Err(format!("{text} is more than all requests: a share is a number to 1, or N%"))
            }
            _ => Ok(limit),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Quantile(_) | Self::Mean => time(Nanos(value.round() as u64)),
            Self::Errors if value > 0.0 && value < 1e-4 => format!("{:.4} %", value * 100.0),
            Self::Errors => percent(value),
            Self::Rate => rate(value),
        }
    }

    fn find(self, report: &Report) -> Found {
        let counts = &report.counts;
        let response = &report.latency.response;
        match self {
            Self::Quantile(q) => quantile(report, q),
            Self::Mean => Found {
                at_least: response.censored > 0,
                ..Found::of(response.mean.map(|mean| mean as f64), "no request was answered")
            },
            Self::Errors => {
                let share = (counts.planned - counts.ok) as f64 / counts.planned.max(1) as f64;
                Found::of((counts.planned > 0).then_some(share), "no request was planned")
            }
            Self::Rate => Found::of(Some(report.rates.completed), ""),
        }
    }
}

/// A number and its factor to nanoseconds. The longest unit that fits: `ms` ends with `s` too.
fn duration(text: &str) -> Result<(&str, f64), String> {
    let with_unit = UNITS.iter().filter_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let found = with_unit.min_by_key(|(number, _)| number.len());
    found.ok_or_else(|| format!("{text:?} has no unit of time: us, ms, s or m"))
}

/// From the table of percentiles, or from the histogram where it does not have this one.
fn quantile(report: &Report, q: f64) -> Found {
    let response = &report.latency.response;
    if response.n < needed(q) {
        let why =
            format!("{} takes {} requests, there were {}", Metric::Quantile(q), count(needed(q)), count(response.n));
        return Found::of(None, &why);
    }
    if let Some(found) = response.quantiles.iter().find(|found| found.q == q) {
        // Among requests that were given up there is no upper end.
        let interval = found.lo.map(|lo| (lo as f64, found.hi.map_or(f64::INFINITY, |hi| hi as f64)));
        let value = found.value.map(|value| value as f64);
        return Found { at_least: found.censored, interval, ..Found::of(value, "no request was answered") };
    }
    let rank = (q * response.n as f64).ceil() as u64;
    let mut seen = 0;
    let histograms = &report.plots.histograms;
    let counts = histograms.iter().find(|(name, _)| *name == "response").map_or(&[][..], |(_, counts)| counts);
    let reached = counts.iter().find(|(_, n)| {
        seen += n;
        seen >= rank
    });
    let value = reached.map(|(value, _)| *value as f64);
    Found { at_least: rank > response.n - response.censored, ..Found::of(value, "no request was answered") }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantile(1.0) => f.write_str("max"),
            Self::Quantile(q) => f.write_str(&crate::stats::quantile_name(*q)),
            Self::Mean => f.write_str("mean"),
            Self::Errors => f.write_str("errors"),
            Self::Rate => f.write_str("rate"),
        }
    }
}

// === impl Found ===

impl Found {
    fn of(value: Option<f64>, why_not: &str) -> Self {
        Self { value, at_least: false, interval: None, why_not: why_not.to_owned() }
    }
}

// === impl SloVerdict ===

impl fmt::Display for SloVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Undecided => "undecided",
            Self::Missed => "missed",
        })
    }
}

#[cfg(test)]
mod tests;
