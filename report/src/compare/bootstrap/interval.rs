//! 95 % confidence intervals from resamples, and of differences.

use serde::Serialize;

use crate::stats::student;

/// What each side of an interval may err.
const ALPHA: f64 = 0.025;
/// The 97.5 % quantile of the standard normal.
const Z: f64 = 1.959_963_985;

/// A 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

// === impl Interval ===

impl Interval {
    /// From the same figure in every resample: their 2.5 % and 97.5 % quantiles, as far from `value` as few `blocks` make
    /// necessary, as Student's t is wider than the normal.
    pub(crate) fn of(value: f64, mut resampled: Vec<f64>, blocks: usize) -> Self {
        resampled.sort_unstable_by(f64::total_cmp);
        let last = resampled.len().saturating_sub(1) as f64;
        let at = |q: f64| resampled.get((q * last).round() as usize).copied().unwrap_or(value);
        let (lo, hi) = (at(ALPHA).min(value), at(1.0 - ALPHA).max(value));
        Self { lo, hi }.stretched(value, student(ALPHA, blocks.saturating_sub(1)) / Z)
    }

    /// Both ends `factor` times as far from `value`.
    pub(crate) fn stretched(self, value: f64, factor: f64) -> Self {
        Self { lo: value - (value - self.lo) * factor, hi: value + (self.hi - value) * factor }
    }

    /// At least `by` around `value`.
    pub(crate) fn at_least(self, value: f64, by: f64) -> Self {
        Self { lo: self.lo.min(value - by), hi: self.hi.max(value + by) }
    }

    /// Cut at `least` and `most`.
    pub(crate) fn within(self, least: f64, most: f64) -> Self {
        Self { lo: self.lo.max(least), hi: self.hi.min(most) }
    }

    /// Whether 0 lies outside.
    pub(crate) fn excludes_zero(self) -> bool {
        self.lo > 0.0 || self.hi < 0.0
    }

    /// Whether nothing in it is further from 0 than `margin`.
    pub(crate) fn within_margin(self, margin: f64) -> bool {
        self.lo >= -margin && self.hi <= margin
    }
}

/// The interval of `b − a` from the intervals of two independent figures (Zou and Donner, "Construction of confidence limits
/// about effect measures: a general approach", Statistics in Medicine 27, 2008).
pub(crate) fn difference_of_independent(a: (f64, Interval), b: (f64, Interval)) -> Interval {
    let ((a, of_a), (b, of_b)) = (a, b);
    let difference = b - a;
    Interval { lo: difference - (b - of_b.lo).hypot(of_a.hi - a), hi: difference + (of_b.hi - b).hypot(a - of_a.lo) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_blocks_give_the_quantiles_of_the_resamples() {
        let interval = Interval::of(500.0, (0..=1000).map(f64::from).collect(), 1_000_000);
        assert!((interval.lo - 25.0).abs() < 1.0 && (interval.hi - 975.0).abs() < 1.0, "{interval:?}");
        let few = Interval::of(500.0, (0..=1000).map(f64::from).collect(), 5);
        assert!(few.lo < -150.0 && few.hi > 1150.0, "{few:?}");
        let none = Interval::of(3.0, vec![3.0; 10], 100);
        assert_eq!((none.lo, none.hi), (3.0, 3.0));
    }

    #[test]
    fn independent_errors_add_like_squares() {
        let interval = |lo, hi| Interval { lo, hi };
        let difference = difference_of_independent((10.0, interval(7.0, 14.0)), (20.0, interval(16.0, 23.0)));
        assert!((difference.lo - (10.0 - 32_f64.sqrt())).abs() < 1e-9);
        assert!((difference.hi - (10.0 + 18_f64.sqrt())).abs() < 1e-9);
    }
}
