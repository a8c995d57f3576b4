//! Sorted response times, their distribution function, and whether a quantile sits on a jump.

use crate::stats::{exact_quantile, needed};

/// How far a distribution function may be off where a quantile sits on a jump.
pub(super) const JUMP_SHARE: f64 = 0.003;
/// The share of the requests over which a quantile that sits on a jump leaps.
const LEAP_SHARE: f64 = 0.000_5;
/// Requests that this share must be: the gap between fewer is chance.
const LEAST_LEAP: usize = 4;

/// Durations, ascending, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorted(Vec<u64>);

// === impl Sorted ===

impl Sorted {
    pub(super) fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        Self(values)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The quantile `q` as reports have it; none: the sample cannot bear it.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let borne = self.0.len() as u64 >= needed(q);
        exact_quantile(&self.0, q).filter(|_| borne).map(|ns| ns as f64)
    }

    /// The share of the values that are at most `value`.
    pub(super) fn share_up_to(&self, value: f64) -> f64 {
        let up_to = self.0.partition_point(|ns| *ns as f64 <= value);
        up_to as f64 / self.0.len().max(1) as f64
    }

    /// Whether the quantile `q` sits on a jump: somewhere within [`JUMP_SHARE`] of `q`, values that are [`LEAP_SHARE`] of
    /// the sample apart differ by more than `least`. There two samples that hardly differ have quantiles that do: which
    /// of the two sides a quantile is on hangs on a handful of requests.
    pub(super) fn leaps(&self, q: f64, least: f64) -> bool {
        let n = self.0.len() as f64;
        let apart = (n * LEAP_SHARE) as usize;
        if apart < LEAST_LEAP {
            return false;
        }
        let from = ((q - JUMP_SHARE) * n).max(0.0) as usize;
        let to = ((q + JUMP_SHARE) * n).ceil().min(n) as usize;
        self.0[from..to].windows(apart + 1).any(|values| (values[apart] - values[0]) as f64 > least)
    }
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    #[test]
    fn a_quantile_that_the_sample_cannot_bear_is_none() {
        let sorted = Sorted::of((1..=367).rev().collect());
        assert_eq!((sorted.quantile(0.5), sorted.quantile(0.99)), (Some(184.0), None));
        assert_eq!(Sorted::of((1..=368).collect()).quantile(0.99), Some(365.0));
        assert_eq!(Sorted::default().quantile(0.5), None);
    }

    #[test]
    fn the_distribution_function_counts_what_is_at_most_there() {
        let sorted = Sorted::of(vec![10, 20, 20, 30]);
        assert_eq!([9.0, 10.0, 20.0, 29.9, 30.0].map(|x| sorted.share_up_to(x)), [0.0, 0.25, 0.75, 0.75, 1.0]);
        assert_eq!(Sorted::default().share_up_to(1.0), 0.0);
    }

    /// 10 000 values: 90 % about 100, the others 500 and more.
    fn split(below: usize) -> Sorted {
        let low = (0..below).map(|i| 100_000 + i as u64);
        let high = (below..10_000).map(|i| 500_000 + i as u64);
        Sorted::of(low.chain(high).collect())
    }

    #[test]
    fn a_quantile_sits_on_a_jump_as_far_as_the_tolerated_share_reaches() {
        assert!(split(9_000).leaps(0.9, 300_000.0));
        assert!(split(8_980).leaps(0.9, 300_000.0) && split(9_020).leaps(0.9, 300_000.0));
        assert!(!split(8_960).leaps(0.9, 300_000.0) && !split(9_040).leaps(0.9, 300_000.0));
        assert!(!split(9_000).leaps(0.5, 10_000.0));
        assert!(!split(9_000).leaps(0.9, 500_000.0), "a leap of less than what matters is none");
    }

    #[test]
    fn the_tail_of_a_smooth_distribution_has_no_jump() {
        for key in 0..50 {
            let mut rng = KeyedRng::new(3, Purpose::Hold, key);
            let sorted = Sorted::of((0..10_000).map(|_| (-rng.uniform().ln() * 1e8) as u64).collect());
            for q in [0.5, 0.8, 0.9, 0.99] {
                let floor = 0.02 * sorted.quantile(q).unwrap();
                assert!(!sorted.leaps(q, 2.0 * floor), "{key} {q}");
            }
        }
    }

    #[test]
    fn a_small_sample_shows_no_jump() {
        let few = Sorted::of((0..4_000).map(|i| if i < 3_600 { 1 } else { 1_000_000 }).collect());
        assert!(!few.leaps(0.9, 10.0));
    }
}
