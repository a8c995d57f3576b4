//! What one run shows of itself, live or simulated: the figures that are compared, and no more.

use std::collections::BTreeMap;

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome};

use super::courses::Course;
use super::pairs::Fates;
use super::quantiles::Sorted;
use crate::input::RunData;
use crate::model::Report;

/// The figures of one run, over its measured window.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Share of the offered requests that did not end `ok`.
    pub(super) loss: f64,
    /// Offered requests per second.
    pub(super) rate_per_sec: f64,
    /// Shares of the requests by number of retries; none: they ended without an attempt.
    pub(super) retries: BTreeMap<Option<u32>, f64>,
    /// Refusals by targets, per offered request; none: recording off.
    pub(super) refusals: Option<f64>,
    /// Response times of the requests that ended `ok`, or timed out (at their deadline).
    pub(super) responses: Sorted,
    /// Mean of the same.
    pub(super) mean_response: Option<f64>,
    /// Mean time at the load balancer of the requests that ended `ok`.
    pub(super) mean_overhead: Option<f64>,
    /// Ready targets, time-weighted.
    pub(super) mean_fleet: Option<f64>,
    /// Most targets ready at a time.
    pub(super) peak_fleet: f64,
    /// Starts accepted by the scaler.
    pub(super) scale_ups: f64,
    /// Requests held by all targets together, time-weighted; none: recording off.
    pub(super) mean_in_flight: Option<f64>,
    /// Ready targets over time.
    pub(super) fleet: Course,
    /// Requests held over time.
    pub(super) in_flight: Course,
    /// How every request ended, by `seq`.
    pub(super) fates: Fates,
}

// === impl Observed ===

impl Observed {
    /// From a run's records and its report.
    pub fn of(data: &RunData, report: &Report) -> Self {
        let (timeout, warmup) = (data.scenario.traffic.timeout, data.scenario.simulation.warmup);
        let measured = || data.trace.iter().filter(move |row| row.t_intended >= warmup);
        let offered = report.counts.offered.max(1) as f64;
        let refused = report.free_targets_at_reject.as_ref().map(|by_free| by_free.values().sum::<u64>());
        Self {
            loss: 1.0 - report.counts.ok as f64 / offered,
            rate_per_sec: report.rates.offered,
            retries: retries(report),
            refusals: refused.map(|n| n as f64 / offered),
            responses: Sorted::of(measured().filter_map(|row| response(row, timeout)).map(|time| time.0).collect()),
            mean_response: report.latency.response.mean.map(|ns| ns as f64),
            mean_overhead: report.latency.overhead.mean.map(|ns| ns as f64),
            mean_fleet: report.gauges.fleet.time.as_ref().map(|gauge| gauge.mean),
            peak_fleet: f64::from(report.scaling.peak),
            scale_ups: report.scaling.ups as f64,
            mean_in_flight: report.gauges.in_flight.time.as_ref().map(|gauge| gauge.mean),
            fleet: Course::of(&report.series, "fleet"),
            in_flight: Course::of(&report.series, "in_flight"),
            fates: Fates::of(measured(), timeout),
        }
    }

    /// Requests with a response time.
    pub fn responses(&self) -> usize {
        self.responses.len()
    }
}

/// What the report's response time is of: `ok`, and `timed_out` at its deadline.
pub(super) fn response(row: &TraceRow, timeout: Nanos) -> Option<Nanos> {
    match row.outcome {
        TraceOutcome::Offered(Outcome::Ok) => row.response(),
        TraceOutcome::Offered(Outcome::TimedOut) => Some(timeout),
        _ => None,
    }
}

fn retries(report: &Report) -> BTreeMap<Option<u32>, f64> {
    let mut counts: BTreeMap<Option<u32>, u64> = BTreeMap::new();
    for (retries, n) in report.retries.values().flatten() {
        *counts.entry(Some(*retries)).or_default() += n;
    }
    if report.no_attempt > 0 {
        counts.insert(None, report.no_attempt);
    }
    let all = counts.values().sum::<u64>().max(1) as f64;
    counts.into_iter().map(|(retries, n)| (retries, n as f64 / all)).collect()
}

/// Mean of several histograms of shares.
pub(super) fn mean_histogram(all: &[&BTreeMap<Option<u32>, f64>]) -> BTreeMap<Option<u32>, f64> {
    let mut mean = BTreeMap::new();
    for histogram in all {
        for (retries, share) in *histogram {
            *mean.entry(*retries).or_default() += share / all.len() as f64;
        }
    }
    mean
}

/// Total variation distance of two histograms of shares: the share of the requests that would have to change their
/// place to make one of the other.
pub(super) fn distance(a: &BTreeMap<Option<u32>, f64>, b: &BTreeMap<Option<u32>, f64>) -> f64 {
    let share = |of: &BTreeMap<Option<u32>, f64>, key| of.get(key).copied().unwrap_or_default();
    let only_b = b.iter().filter(|(key, _)| !a.contains_key(key)).map(|(_, share)| *share);
    let shared = a.iter().map(|(key, of_a)| (of_a - share(b, key)).abs());
    shared.chain(only_b).sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_the_share_that_would_have_to_move() {
        let a = BTreeMap::from([(Some(0), 0.9), (Some(1), 0.1)]);
        let b = BTreeMap::from([(Some(0), 0.85), (Some(2), 0.05), (None, 0.1)]);
        assert!((distance(&a, &b) - 0.15).abs() < 1e-12);
        assert_eq!(distance(&a, &a), 0.0);
        assert!((distance(&a, &b) - distance(&b, &a)).abs() < 1e-12);
        let middle = mean_histogram(&[&a, &b]);
        assert!((distance(&a, &middle) - 0.075).abs() < 1e-12);
    }
}
