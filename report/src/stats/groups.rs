//! A sample of which only histograms over time are known: its quantiles, and intervals from how the groups differ.
//!
//! Groups have unequal sizes, so the variance of a share is that of a ratio (Cochran, "Sampling Techniques", 3rd ed., section
//! 6.3), against what it would be without correlation: the factor of [`super::effective`].

use hdrhistogram::Histogram;

use super::QUANTILES;
use super::binomial::ranks;
use super::by_rank::{needed, rank};
use super::sample::{Quantile, Summary};

/// Fewer groups than this do not tell a variance; then what the mean is worth has to do.
const FEWEST: usize = 10;

/// The histograms of neighbouring stretches of time, and what is known of their values besides.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    pub(crate) histograms: Vec<Histogram<u64>>,
    /// The ends, exactly.
    pub(crate) min: u64,
    pub(crate) max: u64,
    /// Values that are lower bounds; they are the largest.
    pub(crate) censored: u64,
    /// Independent values that the mean is worth.
    pub(crate) worth: u64,
}

// === impl Groups ===

impl Groups {
    fn all(&self) -> Histogram<u64> {
        let mut all = super::classes::new_histogram(3);
        self.histograms.iter().for_each(|one| all.add(one).expect("a histogram that resizes itself takes every other"));
        all
    }

    /// Every value with how often it is there, ascending.
    pub(crate) fn counts(&self) -> Vec<(u64, u64)> {
        let all = self.all();
        all.iter_recorded().map(|v| (v.value_iterated_to(), v.count_since_last_iteration())).collect()
    }

    /// All figures but mean and standard deviation, which histograms only have to their digits.
    pub(crate) fn summary(&self) -> Summary {
        let all = self.all();
        let n = all.len();
        Summary {
            n,
            n_eff: self.worth.min(n),
            censored: self.censored,
            min: (n > 0).then_some(self.min),
            mean: None,
            std: None,
            quantiles: QUANTILES.into_iter().map(|q| self.quantile(&all, q)).collect(),
        }
    }

    fn quantile(&self, all: &Histogram<u64>, q: f64) -> Quantile {
        let n = all.len();
        let needs_n = Some(needed(q)).filter(|needed| n < *needed);
        let value = needs_n.is_none().then(|| self.at(all, rank(n, q)));
        let (lo, hi) = value.filter(|_| q < 1.0).map_or((None, None), |value| self.interval(all, q, value));
        let censored = value.is_some() && rank(n, q) > n - self.censored.min(n);
        Quantile { q, value, lo, hi, needs_n, censored }
    }

    fn at(&self, all: &Histogram<u64>, rank: u64) -> u64 {
        match rank {
            1 => self.min,
            rank if rank >= all.len() => self.max,
            // Half a value less reaches the rank that is meant.
            rank => all.value_at_quantile((rank as f64 - 0.5) / all.len() as f64).clamp(self.min, self.max),
        }
    }

    fn interval(&self, all: &Histogram<u64>, q: f64, value: u64) -> (Option<u64>, Option<u64>) {
        let n = all.len();
        let worth = self.worth_of_share(value).unwrap_or(self.worth as f64).clamp(1.0, n as f64).floor();
        let scaled = |rank: u64| ((rank as f64 / worth * n as f64).ceil() as u64).clamp(1, n);
        let (below, above) = ranks(worth as u64, q);
        let known = above.map(scaled).filter(|rank| *rank <= n - self.censored.min(n));
        (below.map(|r| self.at(all, scaled(r)).min(value)), known.map(|r| self.at(all, r).max(value)))
    }

    /// How many independent values the share up to `value` is worth.
    fn worth_of_share(&self, value: u64) -> Option<f64> {
        let groups = || self.histograms.iter().map(|one| (one.len() as f64, one.count_between(0, value) as f64));
        let k = self.histograms.len();
        let (n, below) = groups().fold((0.0, 0.0), |(n, below), (own, own_below)| (n + own, below + own_below));
        let share = below / n;
        let residuals: f64 = groups().map(|(own, own_below)| (own_below - share * own).powi(2)).sum();
        let variance = residuals * k as f64 / (k as f64 - 1.0) / (n * n);
        let factor = variance / (share * (1.0 - share) / n);
        (k >= FEWEST).then(|| n / factor.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    /// Exponential values with a mean of 1 ms in `k` groups, each slower or faster by up to `by`.
    fn groups(k: u64, each: u64, by: f64) -> Groups {
        let mut rng = KeyedRng::new(k, Purpose::Hold, 1);
        let mut value = |scale: f64| (-rng.uniform().ln() * 1e6 * scale) as u64;
        let values: Vec<Vec<u64>> =
            (0..k).map(|g| (0..each).map(|_| value(1.0 + by * (g % 3) as f64)).collect()).collect();
        let histogram = |values: &Vec<u64>| {
            let mut one = super::super::classes::new_histogram(3);
            values.iter().for_each(|v| one.record(*v).unwrap());
            one
        };
        let all = || values.iter().flatten().copied();
        Groups {
            histograms: values.iter().map(histogram).collect(),
            min: all().min().unwrap(),
            max: all().max().unwrap(),
            censored: 0,
            worth: k * each,
        }
    }

    #[test]
    fn quantiles_of_groups_are_those_of_all_values() {
        let summary = groups(32, 1_000, 0.0).summary();
        let p99 = summary.quantiles.iter().find(|x| x.q == 0.99).unwrap();
        let truth = (100.0_f64.ln() * 1e6) as u64;
        assert!(p99.lo.unwrap() < truth && truth < p99.hi.unwrap(), "{p99:?}");
        assert!((p99.hi.unwrap() - p99.lo.unwrap()) as f64 / (truth as f64) < 0.15, "{p99:?}");
        assert_eq!(summary.quantiles.last().unwrap().value, Some(groups(32, 1_000, 0.0).max));
    }

    #[test]
    fn an_end_among_lower_bounds_is_not_known() {
        let groups = Groups { censored: 310, ..groups(32, 1_000, 0.0) };
        let p99 = groups.summary().quantiles.into_iter().find(|x| x.q == 0.99).unwrap();
        assert!(!p99.censored && p99.lo.is_some() && p99.hi.is_none(), "{p99:?}");
    }

    #[test]
    fn groups_that_differ_make_wider_intervals() {
        let width = |groups: &Groups| {
            let p50 = groups.summary().quantiles[0].clone();
            p50.hi.unwrap() - p50.lo.unwrap()
        };
        assert!(width(&groups(32, 1_000, 1.0)) > 3 * width(&groups(32, 1_000, 0.0)));
        let few = groups(3, 1_000, 1.0);
        assert_eq!(few.worth_of_share(1_000_000), None);
        assert!(width(&few) > 0);
    }
}
