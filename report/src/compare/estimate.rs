//! Figures of requests, in the sample and in every resample.

use std::collections::BTreeMap;

use galton_core::Nanos;

use super::bootstrap::{FEWEST_VALUES, Resamples};
use super::distribution::Sorted;
use super::metric::{LatencyName, Metric, OfLatency};
use super::retries::Retries;
use super::subject::{Ending, Recorded, Request};
use super::summary::{Estimate, Figures, Spread};

/// The requests of one side along the axis of its resamples.
pub(crate) struct Sample<'a> {
    pub(crate) side: &'a Recorded,
    pub(crate) requests: &'a [Option<&'a Request>],
    pub(crate) resamples: &'a Resamples,
}

/// One latency of all requests.
struct Values<'a> {
    along: Vec<Option<u64>>,
    sorted: Sorted,
    /// Values that are lower bounds; they are the largest.
    censored: usize,
    resamples: &'a Resamples,
    counts: Vec<u64>,
}

// === impl Sample ===

impl Sample<'_> {
    /// Everything that requests say.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = Figures { requests: self.count(|_| true), ..Figures::default() };
        if !self.side.missing.contains(&"outcome") {
            self.shares(&mut figures.estimates);
        }
        for latency in [LatencyName::Response, LatencyName::Service, LatencyName::Hold, LatencyName::Overhead] {
            let values = self.values(latency);
            if values.sorted.len() > 0 {
                figures.estimates.extend(values.estimates(latency));
            }
        }
        self.retries(&mut figures);
        figures
    }

    /// One latency in nanoseconds along the axis; timed out requests at their deadline.
    pub(crate) fn latency(&self, latency: LatencyName) -> Vec<Option<u64>> {
        self.requests.iter().map(|request| of_request((*request)?, latency, self.side.timeout)).collect()
    }

    fn count(&self, is: impl Fn(&Request) -> bool) -> u64 {
        self.requests.iter().flatten().filter(|request| is(request)).count() as u64
    }

    fn shares(&self, estimates: &mut BTreeMap<Metric, Estimate>) {
        let sums = |is: fn(&Request) -> bool| self.resamples.sums(|i| u64::from(self.requests[i].is_some_and(is)));
        let (offered, in_resamples) = (self.count(|_| true), sums(|_| true));
        let lost = |request: &Request| matches!(request.outcome, Some(Ending::Lost | Ending::TimedOut));
        for (metric, is) in [(Metric::Loss, lost as fn(&Request) -> bool), (Metric::Ok, Request::ok)] {
            let value = self.count(is) as f64 / offered.max(1) as f64;
            let spread = spread(ratios(&sums(is), &in_resamples), self.resamples, offered as usize);
            estimates.insert(metric, Estimate { value, spread, censored: false, share_of: offered });
        }
    }

    fn values(&self, latency: LatencyName) -> Values<'_> {
        let along = self.latency(latency);
        let timed_out = |request: &Request| request.outcome == Some(Ending::TimedOut);
        let cut = matches!(latency, LatencyName::Response | LatencyName::Service);
        Values {
            sorted: Sorted::of(&along),
            censored: if cut { self.count(timed_out) as usize } else { 0 },
            resamples: self.resamples,
            counts: self.resamples.sums(|i| u64::from(along[i].is_some())),
            along,
        }
    }

    fn retries(&self, figures: &mut Figures) {
        let attempts: Vec<Option<u32>> = self.requests.iter().map(|request| (*request)?.attempts).collect();
        let n = attempts.iter().flatten().count();
        if n == 0 {
            return;
        }
        let retries = |i: usize| attempts[i].map_or(0, |n| u64::from(n.saturating_sub(1)));
        let value = (0..attempts.len()).map(retries).sum::<u64>() as f64 / n as f64;
        let known = self.resamples.sums(|i| u64::from(attempts[i].is_some()));
        let spread = spread(ratios(&self.resamples.sums(retries), &known), self.resamples, n);
        figures.estimates.insert(Metric::RetriesMean, Estimate::plain(value, spread));
        figures.retries = Some(Retries::of_attempts(&attempts, self.resamples));
    }
}

/// As in the report: response and service of `ok` and of timed out requests (the deadline is what is known of those), hold
/// and overhead of `ok` ones.
fn of_request(request: &Request, latency: LatencyName, timeout: Option<Nanos>) -> Option<u64> {
    let lag = || request.response.zip(request.service).map_or(Nanos::ZERO, |(response, service)| response - service);
    let cut = timeout.filter(|_| request.outcome == Some(Ending::TimedOut));
    let value = match latency {
        LatencyName::Response => cut.or(request.response).filter(|_| request.answered()),
        LatencyName::Service => {
            let cut = cut.filter(|_| request.service.is_some()).map(|timeout| timeout - lag());
            cut.or(request.service).filter(|_| request.answered())
        }
        LatencyName::Hold => request.hold.filter(|_| request.ok()),
        LatencyName::Overhead => request.overhead.filter(|_| request.ok()),
    };
    value.map(|value| value.0)
}

/// Of a figure of `n` values.
fn spread(resampled: Vec<f64>, resamples: &Resamples, n: usize) -> Spread {
    if n < FEWEST_VALUES { Spread::Unknown } else { Spread::Resampled(resampled, resamples.blocks()) }
}

fn ratios(sums: &[u64], counts: &[u64]) -> Vec<f64> {
    sums.iter().zip(counts).map(|(sum, n)| *sum as f64 / (*n).max(1) as f64).collect()
}

// === impl Values ===

impl Values<'_> {
    fn estimates(&self, of: LatencyName) -> impl Iterator<Item = (Metric, Estimate)> + '_ {
        let mine = move |metric: &Metric| metric.latency().filter(|one| one.latency == of);
        let one = move |metric: Metric| {
            let OfLatency { q, .. } = mine(&metric)?;
            Some((metric, q.map_or_else(|| Some(self.mean()), |q| self.quantile(q))?))
        };
        Metric::ALL.into_iter().filter_map(one)
    }

    fn mean(&self) -> Estimate {
        let sum: u128 = self.along.iter().flatten().map(|value| u128::from(*value)).sum();
        let sums = self.resamples.sums(|i| self.along[i].unwrap_or_default());
        let spread = spread(ratios(&sums, &self.counts), self.resamples, self.sorted.len());
        let value = sum as f64 / self.sorted.len() as f64;
        Estimate { value, spread, censored: self.censored > 0, share_of: 0 }
    }

    /// The quantile of a resample without sorting it: how far the share at or below the sample's quantile strays there is
    /// how far the level has to be moved in the sample (Woodruff, "Confidence intervals for medians and other position
    /// measures", JASA 47, 1952). Blocks serve quantiles as they serve means (Sun and Lahiri, "Bootstrapping the sample
    /// quantile of a weakly dependent sequence", Sankhyā 68, 2006).
    fn quantile(&self, q: f64) -> Option<Estimate> {
        let value = self.sorted.quantile(q)?;
        let (n, rank) = (self.sorted.len() as f64, self.sorted.rank(q));
        let below = self.sorted.up_to(value) as f64;
        let sums = self.resamples.sums(|i| u64::from(self.along[i].is_some_and(|x| x <= value)));
        let moved = |(sum, count): (&u64, &u64)| {
            let strays = *sum as f64 / (*count).max(1) as f64 * n - below;
            // A hair less, so that what does not stray at all keeps its rank.
            let rank = (q * n - strays - 1e-6).ceil().max(1.0) as usize;
            self.sorted.at(rank).unwrap_or(value) as f64
        };
        let resampled = sums.iter().zip(&self.counts).map(moved).collect();
        let spread = Spread::Resampled(resampled, self.resamples.blocks());
        let censored = rank > self.sorted.len() - self.censored.min(self.sorted.len());
        Some(Estimate { value: value as f64, spread, censored, share_of: 0 })
    }
}
