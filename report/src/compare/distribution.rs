//! Whole distributions of a latency: quantiles, and the distance of Kolmogorov and Smirnov.

use serde::Serialize;

use super::bootstrap::{FEWEST_VALUES, Resamples};
use crate::stats::needed;

/// The levels of a quantile-quantile table.
const LEVELS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999];

/// At how many levels the noise of a distance is looked at; more find a supremum that is hardly larger.
const GRID: usize = 32;

/// A sample in ascending order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted(Vec<u64>);

/// How far two distributions are apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distance {
    /// The largest difference between the two shares of values at or below any value.
    pub ks: f64,
    /// What chance alone exceeds in one of 20 cases, by the resamples, so with the autocorrelation and the pairing.
    pub critical: f64,
    /// Share of resamples in which chance alone made as much.
    pub p: f64,
}

/// One row of a quantile-quantile table. Nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantilePair {
    /// The level.
    pub q: f64,
    /// Of the first; none: the sample cannot bear it.
    pub a: Option<u64>,
    /// Of the second.
    pub b: Option<u64>,
}

/// One side: the sample, and the values along the axis of the resamples.
pub(crate) struct Side<'a> {
    pub(crate) sorted: &'a Sorted,
    pub(crate) values: &'a [Option<u64>],
    pub(crate) resamples: &'a Resamples,
}

// === impl Sorted ===

impl Sorted {
    pub(crate) fn of(values: &[Option<u64>]) -> Self {
        let mut sorted: Vec<u64> = values.iter().copied().flatten().collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest value with a cumulative count of at least ⌈q·n⌉, where the sample can bear it.
    pub(crate) fn quantile(&self, q: f64) -> Option<u64> {
        if (self.0.len() as u64) < needed(q.max(1.0 - q)) { None } else { self.at(self.rank(q)) }
    }

    /// ⌈q·n⌉, from 1. Exact in millionths.
    pub(crate) fn rank(&self, q: f64) -> usize {
        let millionths = (q * 1e6).round() as u128;
        ((millionths * self.0.len() as u128).div_ceil(1_000_000) as usize).max(1)
    }

    /// The value of this rank, from 1, or the nearest there is.
    pub(crate) fn at(&self, rank: usize) -> Option<u64> {
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied()
    }

    /// Values at or below.
    pub(crate) fn up_to(&self, value: u64) -> usize {
        self.0.partition_point(|x| *x <= value)
    }

    fn share_up_to(&self, value: u64) -> f64 {
        self.up_to(value) as f64 / self.0.len().max(1) as f64
    }
}

/// The quantiles of both, level by level.
pub(crate) fn quantile_table(a: impl Fn(f64) -> Option<u64>, b: impl Fn(f64) -> Option<u64>) -> Vec<QuantilePair> {
    LEVELS.into_iter().map(|q| QuantilePair { q, a: a(q), b: b(q) }).collect()
}

/// The quantiles of one side, by level in millionths.
pub(crate) fn levels(sorted: &Sorted) -> impl Iterator<Item = (u32, u64)> + '_ {
    LEVELS.into_iter().filter_map(|q| Some((super::summary::millionths(q), sorted.quantile(q)?)))
}

/// The largest difference between the two distribution functions.
fn largest_difference(a: &Sorted, b: &Sorted) -> f64 {
    let difference = |value: &u64| (a.share_up_to(*value) - b.share_up_to(*value)).abs();
    a.0.iter().chain(&b.0).map(difference).fold(0.0, f64::max)
}

/// The distance, with what chance alone makes of it. None for a sample that is too small to say that.
pub(crate) fn distance(a: &Side<'_>, b: &Side<'_>) -> Option<Distance> {
    if a.sorted.len().min(b.sorted.len()) < FEWEST_VALUES {
        return None;
    }
    let ks = largest_difference(a.sorted, b.sorted);
    let mut noise = noise(a, b);
    noise.sort_unstable_by(f64::total_cmp);
    let critical = noise.get(noise.len() * 19 / 20).copied().unwrap_or(1.0);
    let above = noise.len() - noise.partition_point(|x| *x < ks);
    Some(Distance { ks, critical, p: above as f64 / noise.len() as f64 })
}

/// In every resample, how far the difference of the distribution functions strays from that of the samples.
fn noise(a: &Side<'_>, b: &Side<'_>) -> Vec<f64> {
    let (of_a, of_b) = (a.counts(), b.counts());
    let mut largest = vec![0.0_f64; of_a.len()];
    for level in 1..=GRID {
        let sorted = if level % 2 == 0 { a.sorted } else { b.sorted };
        let value = sorted.at(sorted.len() * level / (GRID + 1)).unwrap_or_default();
        let (in_a, in_b) = (a.strays(value, &of_a), b.strays(value, &of_b));
        for ((largest, a), b) in largest.iter_mut().zip(in_a).zip(in_b) {
            *largest = largest.max((a - b).abs());
        }
    }
    largest
}

// === impl Side ===

impl Side<'_> {
    fn counts(&self) -> Vec<u64> {
        self.resamples.sums(|i| u64::from(self.values[i].is_some()))
    }

    /// The share at or below `value` in every resample, less that in the sample.
    fn strays(&self, value: u64, counts: &[u64]) -> Vec<f64> {
        let share = self.sorted.share_up_to(value);
        let up_to = self.resamples.sums(|i| u64::from(self.values[i].is_some_and(|x| x <= value)));
        up_to.iter().zip(counts).map(|(n, of)| *n as f64 / (*of).max(1) as f64 - share).collect()
    }
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    fn some(values: impl IntoIterator<Item = u64>) -> Vec<Option<u64>> {
        values.into_iter().map(Some).collect()
    }

    #[test]
    fn the_distance_is_that_of_the_distribution_functions() {
        let of = |a: &[u64], b: &[u64]| {
            largest_difference(&Sorted::of(&some(a.iter().copied())), &Sorted::of(&some(b.iter().copied())))
        };
        // By hand, and by scipy.stats.kstest.
        assert_eq!(of(&[10, 20, 30, 40], &[25, 35, 45, 55]), 0.5);
        assert_eq!(of(&[1, 2, 3], &[1, 2, 3]), 0.0);
        assert_eq!(of(&[1, 1, 1, 1], &[2, 2]), 1.0);
        assert_eq!(of(&[1, 2, 2, 3], &[2, 2, 2, 2]), 0.25);
    }

    #[test]
    fn the_critical_value_of_independent_values_is_the_textbook_one() {
        // 1.358 · √(2/n) for two samples of n each; the resamples' own noise and the grid leave some 15 %.
        let mut rng = KeyedRng::new(5, Purpose::Hold, 0);
        let mut sample = || some((0..2_000).map(|_| (rng.uniform() * 1e6) as u64));
        let (a, b) = (sample(), sample());
        let (sorted_a, sorted_b) = (Sorted::of(&a), Sorted::of(&b));
        let (of_a, of_b) = (Resamples::new(a.len(), 5, 1), Resamples::new(b.len(), 5, 2));
        let found = distance(
            &Side { sorted: &sorted_a, values: &a, resamples: &of_a },
            &Side { sorted: &sorted_b, values: &b, resamples: &of_b },
        )
        .unwrap();
        let expected = 1.358 * (2.0_f64 / 2_000.0).sqrt();
        assert!((found.critical / expected - 1.0).abs() < 0.15, "{found:?} against {expected}");
        assert!(found.p > 0.05, "{found:?}");
    }

    #[test]
    fn a_quantile_that_the_sample_cannot_bear_is_none() {
        let sorted = Sorted::of(&some(1..=1_000));
        assert_eq!([0.01, 0.5, 0.99, 0.999].map(|q| sorted.quantile(q)), [Some(10), Some(500), Some(990), None]);
        assert_eq!(sorted.up_to(10), 10);
    }
}
