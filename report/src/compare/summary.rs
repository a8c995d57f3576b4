//! The figures of one run, and what a `result.json` says of them when there is nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bootstrap::{FEWEST_VALUES, Interval};
use super::metric::{LatencyName, Metric};
use super::retries::Retries;

/// The version of `result.json` that is understood.
const SCHEMA_VERSION: u64 = 1;
/// The 97.5 % quantile of the standard normal.
const Z: f64 = 1.959_963_985;

/// The figures of one run.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub(crate) estimates: BTreeMap<Metric, Estimate>,
    pub(crate) retries: Option<Retries>,
    /// Offered in the measured window.
    pub(crate) requests: u64,
    /// Quantiles of the response time, by level in millionths.
    pub(crate) response: BTreeMap<u32, u64>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    /// What is known of its uncertainty.
    pub(crate) spread: Spread,
    /// It lies among requests that timed out: the true value is at least this.
    pub(crate) censored: bool,
    /// Of how many requests it is a share; 0: it is none.
    pub(crate) share_of: u64,
}

/// What is known of a figure's uncertainty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spread {
    /// The figure in every resample, and the blocks in one.
    Resampled(Vec<f64>, usize),
    /// Its interval alone.
    Interval(Interval),
    /// Nothing.
    Unknown,
}

/// A `result.json` that says nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotAResult {
    /// It is something else.
    #[error("not a result.json: no {0}")]
    Missing(&'static str),
    /// It was written by another version.
    #[error("schema_version {0} is not known; known: {SCHEMA_VERSION}")]
    Version(u64),
}

// === impl Estimate ===

impl Estimate {
    pub(crate) fn plain(value: f64, spread: Spread) -> Self {
        Self { value, spread, censored: false, share_of: 0 }
    }

    /// Its own 95 % interval.
    pub(crate) fn interval(&self) -> Option<Interval> {
        let interval = match &self.spread {
            Spread::Resampled(values, blocks) => Interval::of(self.value, values.clone(), *blocks),
            Spread::Interval(interval) => *interval,
            Spread::Unknown => return None,
        };
        if self.share_of == 0 {
            // Nothing that is measured here can be negative.
            return Some(interval.within(0.0, f64::INFINITY));
        }
        let certain = self.value == 0.0 || self.value == 1.0;
        let unseen = if certain { unseen(self.share_of) } else { 0.0 };
        Some(interval.at_least(self.value, unseen).within(0.0, 1.0))
    }
}

/// What `n` requests without an event leave possible: a share of 3/n (Hanley and Lippman-Hand, "If nothing goes wrong, is
/// everything all right?", JAMA 249, 1983).
pub(crate) fn unseen(n: u64) -> f64 {
    (3.0 / n.max(1) as f64).min(1.0)
}

// === impl Figures ===

impl Figures {
    /// From a parsed `result.json`.
    ///
    /// # Errors
    /// It is no result, or of another version.
    pub fn of_result(result: &Value) -> Result<Self, NotAResult> {
        let version = result["schema_version"].as_u64().ok_or(NotAResult::Missing("schema_version"))?;
        if version != SCHEMA_VERSION {
            return Err(NotAResult::Version(version));
        }
        let offered = result["counts"]["offered"].as_u64().ok_or(NotAResult::Missing("counts.offered"))?;
        let mut figures = Self { requests: offered, ..Self::default() };
        figures.shares(result, offered);
        figures.latencies(result);
        figures.retries(result);
        figures.bare_values(result);
        figures.response = response_quantiles(&result["latency"]["response"]);
        Ok(figures)
    }

    fn shares(&mut self, result: &Value, offered: u64) {
        if offered == 0 {
            return;
        }
        let counts = &result["counts"];
        let lost = sum(&counts["rejected"]) + sum(&counts["failed"]) + counts["timed_out"].as_u64().unwrap_or_default();
        let ok = counts["ok"].as_u64().unwrap_or_default();
        // Neighbours share their fate; the response time says how much.
        let response = &result["latency"]["response"];
        let worth = response["n_eff"].as_f64().zip(response["n"].as_f64()).filter(|(_, n)| *n > 0.0);
        let n = offered as f64 * worth.map_or(1.0, |(effective, n)| effective / n);
        for (metric, count) in [(Metric::Loss, lost), (Metric::Ok, ok)] {
            let share = count as f64 / offered as f64;
            let half = Z * (share * (1.0 - share) / n.max(1.0)).sqrt();
            let spread = interval(share, half, offered);
            self.estimates.insert(metric, Estimate { value: share, spread, censored: false, share_of: n as u64 });
        }
    }

    fn latencies(&mut self, result: &Value) {
        for metric in Metric::ALL {
            let Some(of) = metric.latency() else { continue };
            let summary = &result["latency"][of.latency.as_str()];
            let estimate = match of.q {
                Some(q) => quantile(summary, q),
                None => mean(summary, of.latency),
            };
            self.estimates.extend(estimate.map(|estimate| (metric, estimate)));
        }
    }

    fn retries(&mut self, result: &Value) {
        let Some(outcomes) = result["retries"].as_object() else { return };
        let by_retries = outcomes.values().filter_map(Value::as_object).flatten();
        let by_retries = by_retries.filter_map(|(retries, n)| Some((retries.parse::<u32>().ok()?, n.as_u64()?)));
        let by_retries: Vec<(u32, u64)> = by_retries.collect();
        let no_attempt = result["no_attempt"].as_u64().unwrap_or_default();
        let histogram = Retries::of_counts(no_attempt, by_retries.iter().copied());
        let n = histogram.total();
        if n > 0 {
            let moment = |power| by_retries.iter().map(|(k, n)| f64::from(*k).powi(power) * *n as f64).sum::<f64>();
            let mean = moment(1) / n as f64;
            let half = Z * ((moment(2) / n as f64 - mean.powi(2)).max(0.0) / n as f64).sqrt();
            let spread = interval(mean, half, n);
            self.estimates.insert(Metric::RetriesMean, Estimate::plain(mean, spread));
            self.retries = Some(histogram);
        }
    }

    /// What has no interval in a result.
    fn bare_values(&mut self, result: &Value) {
        for (metric, value) in [
            (Metric::Offered, &result["rates"]["offered"]),
            (Metric::Throughput, &result["rates"]["completed"]),
            (Metric::FleetMean, &result["gauges"]["fleet"]["time"]["mean"]),
            (Metric::FleetPeak, &result["scaling"]["peak"]),
            (Metric::ScaleUps, &result["scaling"]["ups"]),
        ] {
            let estimate = value.as_f64().map(|value| (metric, Estimate::plain(value, Spread::Unknown)));
            self.estimates.extend(estimate);
        }
    }
}

fn sum(by_reason: &Value) -> u64 {
    by_reason.as_object().map_or(0, |by_reason| by_reason.values().filter_map(Value::as_u64).sum())
}

/// Half as wide as this on both sides, if there are enough values for one.
fn interval(value: f64, half: f64, n: u64) -> Spread {
    if n < FEWEST_VALUES as u64 {
        return Spread::Unknown;
    }
    Spread::Interval(Interval { lo: value - half, hi: value + half })
}

fn mean(summary: &Value, of: LatencyName) -> Option<Estimate> {
    let (value, std) = (summary["mean"].as_f64()?, summary["std"].as_f64()?);
    let half = Z * std / summary["n_eff"].as_f64()?.max(1.0).sqrt();
    let spread = interval(value, half, summary["n"].as_u64().unwrap_or_default());
    let cut = matches!(of, LatencyName::Response | LatencyName::Service) && summary["censored"].as_u64() > Some(0);
    Some(Estimate { value, spread, censored: cut, share_of: 0 })
}

fn quantile(summary: &Value, q: f64) -> Option<Estimate> {
    let found = summary["quantiles"].as_array()?.iter().find(|found| found["q"].as_f64() == Some(q))?;
    let value = found["value"].as_f64()?;
    let spread = match (found["lo"].as_f64(), found["hi"].as_f64()) {
        (Some(lo), Some(hi)) => Spread::Interval(Interval { lo, hi }),
        _ => Spread::Unknown,
    };
    Some(Estimate { value, spread, censored: found["censored"] == true, share_of: 0 })
}

fn response_quantiles(summary: &Value) -> BTreeMap<u32, u64> {
    let quantiles = summary["quantiles"].as_array().into_iter().flatten();
    quantiles.filter_map(|found| Some((millionths(found["q"].as_f64()?), found["value"].as_u64()?))).collect()
}

/// A level as a key.
pub(crate) fn millionths(q: f64) -> u32 {
    (q * 1e6).round() as u32
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_gives_values_with_intervals() {
        let summary = json!({"n": 400, "n_eff": 100, "mean": 50, "std": 20, "censored": 0,
            "quantiles": [{"q": 0.5, "value": 40, "lo": 38, "hi": 43}, {"q": 0.99, "value": null, "needs_n": 368}]});
        let result = json!({
            "schema_version": 1,
            "counts": {"offered": 400, "ok": 392, "rejected": {"no_capacity": 5}, "failed": {"http": 1}, "timed_out": 2},
            "latency": {"response": summary, "hold": summary},
            "retries": {"ok": {"0": 300, "1": 92}, "rejected": {"2": 4}}, "no_attempt": 4,
            "rates": {"offered": 40.0, "completed": 39.2},
            "gauges": {"fleet": {"time": {"mean": 5.5}}}, "scaling": {"ups": 3, "peak": 7}
        });
        let figures = Figures::of_result(&result).unwrap();
        let of = |metric| &figures.estimates[&metric];
        assert_eq!((of(Metric::Loss).value, of(Metric::Ok).value), (0.02, 0.98));
        let mean = of(Metric::HoldMean).interval().unwrap();
        assert!((mean.lo - 46.08).abs() < 0.01 && (mean.hi - 53.92).abs() < 0.01, "{mean:?}");
        assert_eq!(of(Metric::ResponseP50).interval(), Some(Interval { lo: 38.0, hi: 43.0 }));
        assert!(!figures.estimates.contains_key(&Metric::ResponseP99));
        assert_eq!(of(Metric::RetriesMean).value, 100.0 / 400.0);
        assert_eq!((of(Metric::FleetMean).value, of(Metric::ScaleUps).interval()), (5.5, None));
    }

    #[test]
    fn what_is_no_result_is_refused() {
        assert!(Figures::of_result(&json!({"x": 1})).is_err());
        assert!(Figures::of_result(&json!({"schema_version": 2})).unwrap_err().to_string().contains('2'));
    }

    #[test]
    fn nothing_seen_is_not_nothing_possible() {
        let spread = Spread::Resampled(vec![0.0; 10], 100);
        let loss = Estimate { value: 0.0, spread, censored: false, share_of: 300 };
        assert_eq!(loss.interval(), Some(Interval { lo: 0.0, hi: 0.01 }));
    }
}
