//! A sample of durations in order of time: exact quantiles with confidence intervals, mean, spread.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::binomial::{ALPHA, ranks};
use super::{QUANTILES, effective};

/// Durations in order of time, in nanoseconds. Some may be censored: then the value is what was waited, at least.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    values: Vec<u64>,
    censored: u64,
}

/// Figures of one sample. Durations are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Values.
    pub n: u64,
    /// Independent values that the mean is worth, by batch means.
    pub n_eff: u64,
    /// Values that are lower bounds (timed out); they are the largest.
    pub censored: u64,
    /// Smallest; none: no values.
    pub min: Option<u64>,
    /// Mean.
    pub mean: Option<u64>,
    /// Standard deviation.
    pub std: Option<u64>,
    /// Quantiles, ascending.
    pub quantiles: Vec<Quantile>,
}

/// One quantile with its 95 % confidence interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantile {
    /// Which: 0.99 is p99.
    pub q: f64,
    /// The smallest value with a cumulative count of at least ⌈q·n⌉; none: the sample cannot bear it.
    pub value: Option<u64>,
    /// Lower end of the interval, where the sample bears one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lo: Option<u64>,
    /// Upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hi: Option<u64>,
    /// How many values it would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_n: Option<u64>,
    /// The true value is at least this one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub censored: bool,
}

// === impl Samples ===

impl Samples {
    pub(crate) fn push(&mut self, value: u64) {
        self.values.push(value);
    }

    pub(crate) fn push_censored(&mut self, at_least: u64) {
        self.values.push(at_least);
        self.censored += 1;
    }

    pub(crate) fn values(&self) -> &[u64] {
        &self.values
    }

    /// The quantile `q`, however small the sample is; none: no values.
    pub(crate) fn quantile_of(&self, q: f64) -> Option<u64> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable();
        exact_quantile(&sorted, q)
    }

    /// All figures.
    pub(crate) fn summary(&self) -> Summary {
        let values = &self.values;
        let n = values.len();
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let (mean, std) = moments(values);
        let quantile = |q| self.quantile(&sorted, q);
        Summary {
            n: n as u64,
            n_eff: effective::size(n, |i| values[i] as f64).floor() as u64,
            censored: self.censored,
            min: sorted.first().copied(),
            mean,
            std,
            quantiles: QUANTILES.into_iter().map(quantile).collect(),
        }
    }

    fn quantile(&self, sorted: &[u64], q: f64) -> Quantile {
        let n = sorted.len();
        let needs_n = Some(needed(q)).filter(|needed| (n as u64) < *needed);
        let value = exact_quantile(sorted, q).filter(|_| needs_n.is_none());
        let (lo, hi) = value.map_or((None, None), |value| self.interval(sorted, q, value));
        let first_censored = n as u64 - self.censored;
        let censored = value.is_some() && rank(n, q) as u64 > first_censored;
        Quantile { q, value, lo, hi, needs_n, censored }
    }

    /// The interval from as many independent values as the indicator "at most the quantile" is worth.
    fn interval(&self, sorted: &[u64], q: f64, value: u64) -> (Option<u64>, Option<u64>) {
        if q >= 1.0 {
            return (None, None);
        }
        let n = sorted.len();
        let worth = effective::size(n, |i| f64::from(self.values[i] <= value)).floor();
        let at = |rank: u64| {
            let scaled = (rank as f64 / worth * n as f64).ceil() as usize;
            sorted[scaled.clamp(1, n) - 1]
        };
        let (below, above) = ranks(worth as u64, q);
        // With few independent values the rounding of ranks may pass the quantile itself; the interval holds it.
        (below.map(|r| at(r).min(value)), above.map(|r| at(r).max(value)))
    }

    /// The mergeable form: nanoseconds with three significant digits.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).expect("three significant digits are allowed");
        for value in &self.values {
            histogram.record(*value).expect("a histogram that resizes itself takes every value");
        }
        histogram
    }
}

/// How many values it takes for a 95 % upper bound of the `q`-quantile, 0 < `q` ≤ 1; 1 for the largest.
pub fn needed(q: f64) -> u64 {
    if q >= 1.0 { 1 } else { (ALPHA.ln() / q.ln()).ceil() as u64 }
}

/// The smallest value with a cumulative count of at least ⌈q·n⌉.
pub(crate) fn exact_quantile(sorted: &[u64], q: f64) -> Option<u64> {
    sorted.get(rank(sorted.len(), q).saturating_sub(1)).copied()
}

/// ⌈q·n⌉, from 1. Exact in millionths: 0.9999 · 10 000 in floating point is above 9 999.
fn rank(n: usize, q: f64) -> usize {
    let millionths = (q * 1e6).round() as u128;
    ((millionths * n as u128).div_ceil(1_000_000) as usize).max(1)
}

/// Mean and standard deviation, rounded.
fn moments(values: &[u64]) -> (Option<u64>, Option<u64>) {
    if values.is_empty() {
        return (None, None);
    }
    let n = values.len() as f64;
    let mean = values.iter().map(|v| u128::from(*v)).sum::<u128>() as f64 / n;
    let squares = values.iter().map(|v| (*v as f64 - mean).powi(2)).sum::<f64>();
    let std = (squares / (n - 1.0).max(1.0)).sqrt();
    (Some(mean.round() as u64), Some(std.round() as u64))
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    fn samples(values: impl IntoIterator<Item = u64>) -> Samples {
        Samples { values: values.into_iter().collect(), censored: 0 }
    }

    fn value(summary: &Summary, q: f64) -> &Quantile {
        summary.quantiles.iter().find(|x| x.q == q).unwrap()
    }

    #[test]
    fn quantiles_follow_the_definition() {
        let s = samples((1..=10_000).rev()).summary();
        assert_eq!(value(&s, 0.5).value, Some(5_000));
        assert_eq!(value(&s, 0.99).value, Some(9_900));
        assert_eq!(value(&s, 0.999).value, Some(9_990));
        assert_eq!((value(&s, 0.9999).value, value(&s, 0.9999).needs_n), (None, Some(36_887)));
        assert_eq!((s.min, value(&s, 1.0).value, s.mean), (Some(1), Some(10_000), Some(5_001)));
        assert_eq!(exact_quantile(&(1..=10_000).collect::<Vec<_>>(), 0.9999), Some(9_999));
        let naive = |q: f64| (1..=7).find(|k| *k as f64 >= q * 7.0).unwrap();
        for q in [0.5, 0.8, 0.9, 0.95, 1.0] {
            assert_eq!(exact_quantile(&[1, 2, 3, 4, 5, 6, 7], q), Some(naive(q)));
        }
    }

    #[test]
    fn a_small_sample_says_what_it_would_take() {
        let s = samples(1..=367).summary();
        assert_eq!((value(&s, 0.99).value, value(&s, 0.99).needs_n), (None, Some(368)));
        assert_eq!(value(&samples(1..=368).summary(), 0.99).value, Some(365));
        assert_eq!([0.9, 0.99, 0.999, 0.9999].map(needed), [36, 368, 3_688, 36_887]);
        let empty = samples([]).summary();
        assert_eq!((empty.n, empty.min, empty.mean), (0, None, None));
        assert!(empty.quantiles.iter().all(|q| q.value.is_none()));
    }

    #[test]
    fn percentiles_within_the_censored_fraction_are_lower_bounds() {
        let mut s = samples((0..950).map(|_| 5));
        (0..50).for_each(|_| s.push_censored(100));
        let s = s.summary();
        assert!(!value(&s, 0.95).censored);
        assert!(value(&s, 0.99).censored && value(&s, 1.0).censored);
        assert_eq!(value(&s, 0.99).value, Some(100));
    }

    #[test]
    fn intervals_cover_the_true_quantile() {
        // 400 samples of 2000 exponential values: 95 % coverage has a standard error of 1.1 %. Batch means that never
        // credit negative correlation make the intervals a little wide.
        let mut rng = KeyedRng::new(7, Purpose::Hold, 1);
        let (mut covered, runs, q) = (0, 400, 0.9);
        let truth = (-(1.0_f64 - q).ln() * 1e6) as u64;
        for _ in 0..runs {
            let s = samples((0..2_000).map(|_| (-rng.uniform().ln() * 1e6) as u64)).summary();
            let found = value(&s, q);
            covered += u32::from(found.lo.unwrap() <= truth && truth <= found.hi.unwrap());
        }
        let share = f64::from(covered) / f64::from(runs);
        assert!((0.92..=0.995).contains(&share), "{share}");
    }

    #[test]
    fn the_histogram_keeps_three_digits() {
        let s = samples([1_234_567, 1_234_567, 99]);
        let h = s.histogram();
        assert_eq!(h.len(), 3);
        assert!(h.max().abs_diff(1_234_567) <= 1_235);
    }
}
