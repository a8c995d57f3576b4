//! A sample of durations in order of time: quantiles with confidence intervals, mean, spread.
//!
//! While it is small every value is kept and quantiles are exact. A long one goes into a histogram with so many
//! significant digits, and its correlation over time is told by batches: then memory no longer grows.

use std::borrow::Cow;

use galton_core::prefetch::prefetch;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::binomial::ranks;
use super::by_rank::{ByRank, needed, rank, selected};
use super::classes::{new_histogram, record};
use super::long::Long;
use super::{QUANTILES, effective};

/// Values kept of a sample that a report is about: 2 MB.
const MOST: usize = 1 << 18;
/// Values kept of one of many samples.
const MOST_OF_MANY: usize = 1 << 12;
/// Values of a long sample that are counted together: one after the other, each would find the tables of another sample in the
/// processor's cache.
const TOGETHER: usize = 1 << 9;

/// Durations in order of time, in nanoseconds. Some may be censored: then the value is what was waited, at least.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    /// The first value, and how often it came until now, as long as there is no other one: without a network a sender is never
    /// late.
    alike: (u64, u64),
    /// There are others; then all values are below.
    varied: bool,
    /// All of them; of a long sample, those that are not counted yet.
    values: Vec<u64>,
    /// So many values are kept at once.
    room: usize,
    long: Option<Box<Long>>,
    censored: u64,
    digits: u8,
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
    /// Upper end; none also where it lies among lower bounds.
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

impl Default for Samples {
    /// A sample that a report is about: three significant digits when it is long.
    fn default() -> Self {
        Self::keeping(MOST, 3)
    }
}

impl Samples {
    /// One of many samples, which have to be small: two significant digits when it is long.
    pub(crate) fn of_many() -> Self {
        Self::keeping(MOST_OF_MANY, 2)
    }

    pub(super) fn keeping(most: usize, digits: u8) -> Self {
        Self { alike: (0, 0), varied: false, values: Vec::new(), room: most, long: None, censored: 0, digits }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: u64) {
        if self.varied {
            return self.keep(value);
        }
        let (first, n) = self.alike;
        if n > 0 && value != first {
            return self.push_other(value);
        }
        self.alike = (value, n + 1);
    }

    /// Some values, one after the other.
    pub(crate) fn extend(&mut self, mut values: &[u64]) {
        if !self.varied {
            let (first, n) = (values.first().copied().unwrap_or_default(), values.len() as u64);
            let alike = self.alike.1 == 0 || self.alike.0 == first;
            if alike && values.iter().all(|value| *value == first) {
                self.alike = (first, self.alike.1 + n);
                return;
            }
        }
        while !self.varied
            && let Some((first, others)) = values.split_first()
        {
            self.push(*first);
            values = others;
        }
        while !values.is_empty() {
            if self.values.len() == self.room {
                self.count();
            }
            let (now, later) = values.split_at(values.len().min(self.room - self.values.len()));
            self.values.extend_from_slice(now);
            values = later;
        }
    }

    #[inline]
    fn keep(&mut self, value: u64) {
        if self.values.len() == self.room {
            self.count();
        }
        self.values.push(value);
    }

    #[cold]
    fn push_other(&mut self, value: u64) {
        self.write_out();
        self.varied = true;
        self.keep(value);
    }

    /// Keeps the values that are alike, as if each had been kept when it came.
    fn write_out(&mut self) {
        let (value, n) = std::mem::take(&mut self.alike);
        let at_first = n.min(self.room as u64);
        self.values.resize(at_first as usize, value);
        let mut later = n - at_first;
        if later == 0 {
            return;
        }
        self.count();
        if let Some(long) = &mut self.long {
            while later > TOGETHER as u64 {
                long.count_alike(value, TOGETHER as u64);
                later -= TOGETHER as u64;
            }
        }
        self.values.resize(later as usize, value);
    }

    /// The sample with all its values kept.
    fn written_out(&self) -> Cow<'_, Self> {
        if self.alike.1 == 0 {
            return Cow::Borrowed(self);
        }
        let mut all = self.clone();
        all.write_out();
        Cow::Owned(all)
    }

    /// Fetches where the next value goes, which comes soon.
    #[inline]
    pub(crate) fn fetch(&self) {
        self.values.last().into_iter().for_each(prefetch);
    }

    #[cold]
    fn count(&mut self) {
        match &mut self.long {
            Some(long) => {
                long.count(&self.values);
                self.values.clear();
            }
            None => {
                self.long = Some(Box::new(Long::new(self.digits, &self.values)));
                (self.values, self.room) = (Vec::with_capacity(TOGETHER), TOGETHER);
            }
        }
    }

    /// A long sample with all its values counted.
    fn counted(&self) -> Option<Cow<'_, Long>> {
        let long = self.long.as_deref()?;
        if self.values.is_empty() {
            return Some(Cow::Borrowed(long));
        }
        let mut counted = long.clone();
        counted.count(&self.values);
        Some(Cow::Owned(counted))
    }

    pub(crate) fn push_censored(&mut self, at_least: u64) {
        self.push(at_least);
        self.censored += 1;
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> u64 {
        self.alike.1 + self.long.as_ref().map_or(0, |long| long.len()) + self.values.len() as u64
    }

    /// Every value with how often it is there, ascending; of a long sample, to its digits.
    pub(crate) fn counts(&self) -> Vec<(u64, u64)> {
        let recorded = |histogram: &Histogram<u64>| {
            let recorded = histogram.iter_recorded();
            recorded.map(|v| (v.value_iterated_to(), v.count_since_last_iteration())).collect()
        };
        let each = |sorted: Vec<u64>| sorted.into_iter().map(|value| (value, 1)).collect();
        let all = self.written_out();
        all.counted().map_or_else(|| each(all.sorted()), |long| recorded(&long.histogram()))
    }

    /// The quantile `q`, however small the sample is; none: no values.
    pub(crate) fn quantile_of(&self, q: f64) -> Option<u64> {
        self.quantiles_of(&[q])[0]
    }

    /// Several at once.
    pub(crate) fn quantiles_of(&self, qs: &[f64]) -> Vec<Option<u64>> {
        if let (value, 1..) = self.alike {
            return vec![Some(value); qs.len()];
        }
        if self.long.is_none() {
            return selected(self.values.clone(), qs);
        }
        let by_rank = self.by_rank();
        qs.iter().map(|q| by_rank.quantile(*q)).collect()
    }

    /// All figures.
    pub(crate) fn summary(&self) -> Summary {
        self.written_out().figures()
    }

    fn figures(&self) -> Summary {
        let by_rank = self.by_rank();
        let (mean, std) = match &by_rank {
            ByRank::Exact(_) => moments(&self.values),
            ByRank::Long(long, _, std) => (Some(long.mean()), Some(std.round() as u64)),
        };
        let quantile = |q| self.quantile(&by_rank, q);
        Summary {
            n: self.len(),
            n_eff: self.worth_of_mean(&by_rank).floor() as u64,
            censored: self.censored,
            min: by_rank.at(1),
            mean,
            std,
            quantiles: QUANTILES.into_iter().map(quantile).collect(),
        }
    }

    fn quantile(&self, by_rank: &ByRank<'_>, q: f64) -> Quantile {
        let n = self.len();
        let needs_n = Some(needed(q)).filter(|needed| n < *needed);
        let value = by_rank.quantile(q).filter(|_| needs_n.is_none());
        let (lo, hi) = value.map_or((None, None), |value| self.interval(by_rank, q, value));
        let first_censored = n - self.censored;
        let censored = value.is_some() && rank(n, q) > first_censored;
        Quantile { q, value, lo, hi, needs_n, censored }
    }

    /// The interval from as many independent values as the indicator "at most the quantile" is worth.
    fn interval(&self, by_rank: &ByRank<'_>, q: f64, value: u64) -> (Option<u64>, Option<u64>) {
        if q >= 1.0 {
            return (None, None);
        }
        let n = self.len();
        let worth = self.worth_of_indicator(by_rank, value).floor();
        let at = |rank: u64| by_rank.at(rank).unwrap_or(value);
        let scaled = |rank: u64| ((rank as f64 / worth * n as f64).ceil() as u64).clamp(1, n);
        let (below, above) = ranks(worth as u64, q);
        let known = above.map(scaled).filter(|rank| *rank <= n - self.censored);
        // With few independent values the rounding of ranks may pass the quantile itself; the interval holds it.
        (below.map(|r| at(scaled(r)).min(value)), known.map(|r| at(r).max(value)))
    }

    fn worth_of_mean(&self, by_rank: &ByRank<'_>) -> f64 {
        match by_rank {
            ByRank::Exact(_) => effective::size(self.values.len(), |i| self.values[i] as f64),
            ByRank::Long(long, _, std) => long.batches.worth_of_mean(std.powi(2)),
        }
    }

    fn worth_of_indicator(&self, by_rank: &ByRank<'_>, value: u64) -> f64 {
        match by_rank {
            ByRank::Exact(_) => effective::size(self.values.len(), |i| f64::from(self.values[i] <= value)),
            // One of many: what the mean is worth has to do.
            ByRank::Long(long, ..) => {
                long.batches.worth_of_indicator(value).unwrap_or_else(|| self.worth_of_mean(by_rank))
            }
        }
    }

    fn sorted(&self) -> Vec<u64> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable();
        sorted
    }

    fn by_rank(&self) -> ByRank<'_> {
        self.counted().map_or_else(
            || ByRank::Exact(self.sorted()),
            |long| {
                let histogram = Box::new(long.histogram());
                let std = histogram.stdev();
                ByRank::Long(long, histogram, std)
            },
        )
    }

    /// The mergeable form: nanoseconds with three significant digits.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        let all = self.written_out();
        if let Some(long) = all.counted() {
            return long.histogram();
        }
        let mut histogram = new_histogram(3);
        all.values.iter().for_each(|value| record(&mut histogram, *value, 1));
        histogram
    }
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

    use super::super::by_rank::exact_quantile;
    use super::*;

    fn samples(values: impl IntoIterator<Item = u64>) -> Samples {
        let mut samples = Samples::default();
        values.into_iter().for_each(|value| samples.push(value));
        samples
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
        assert_eq!(samples(1..=10_000).quantile_of(0.9999), Some(9_999));
        let naive = |q: f64| (1..=7).find(|k| *k as f64 >= q * 7.0).unwrap();
        for q in [0.5, 0.8, 0.9, 0.95, 1.0] {
            assert_eq!(samples(1..=7).quantile_of(q), Some(naive(q)));
        }
    }

    #[test]
    fn quantiles_are_found_in_any_order() {
        let mut rng = KeyedRng::new(5, Purpose::Hold, 2);
        let values: Vec<u64> = (0..500).map(|_| u64::from(rng.below(300))).collect();
        let sorted = samples(values.iter().copied()).sorted();
        let qs = [0.9, 0.1, 0.1, 0.5, 0.99, 1.0];
        let expected = qs.map(|q| exact_quantile(&sorted, q));
        assert_eq!(samples(values).quantiles_of(&qs), expected);
    }

    #[test]
    fn values_that_are_alike_count_as_any_others() {
        for n in [0, 1, 15, 16, 17, 700, 1_040, 1_041, 3_000] {
            let (mut alike, mut kept) = (Samples::keeping(16, 3), Samples::keeping(16, 3));
            kept.varied = true;
            for value in std::iter::repeat_n(7, n).chain([9]).take(n + usize::from(n % 2 == 1)) {
                alike.push(value);
                kept.push(value);
            }
            assert_eq!((alike.len(), alike.summary()), (kept.len(), kept.summary()), "{n}");
            assert_eq!((alike.counts(), alike.quantile_of(0.5)), (kept.counts(), kept.quantile_of(0.5)));
            assert_eq!(alike.written_out().values, kept.values);
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
        // What bounds a quantile from above must not be a lower bound itself.
        assert_eq!((value(&s, 0.99).lo, value(&s, 0.99).hi), (Some(100), None));
        assert!(value(&s, 0.5).hi.is_some());
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

    #[test]
    fn a_long_sample_says_what_a_short_one_does_to_three_digits() {
        // First-order autoregression, so that there is correlation to be told.
        let mut rng = KeyedRng::new(3, Purpose::Hold, 5);
        let mut last = 0.0;
        let values: Vec<u64> = (0..300_000)
            .map(|_| {
                last = 0.8 * last + rng.uniform();
                (last * 1e6) as u64
            })
            .collect();
        let long = samples(values.iter().copied());
        assert!(long.long.is_some());
        let exact = Samples { room: usize::MAX, values, ..Samples::default() }.summary();
        let long = long.summary();
        assert_eq!((long.n, long.mean, long.min), (exact.n, exact.mean, exact.min));
        let close = |a: u64, b: u64, by: f64| a.abs_diff(b) as f64 <= b as f64 * by;
        assert!(close(long.std.unwrap(), exact.std.unwrap(), 0.001));
        // Both are estimates with some 25 % of error.
        assert!(close(long.n_eff, exact.n_eff, 0.6), "{} against {}", long.n_eff, exact.n_eff);
        for (found, expected) in long.quantiles.iter().zip(&exact.quantiles) {
            assert!(close(found.value.unwrap(), expected.value.unwrap(), 0.001), "{found:?} against {expected:?}");
            if let (Some(lo), Some(hi)) = (found.lo, found.hi) {
                let width = (expected.hi.unwrap() - expected.lo.unwrap()) as f64;
                assert!(lo <= found.value.unwrap() && found.value.unwrap() <= hi);
                assert!(((hi - lo) as f64) < 2.5 * width + 2e3, "{found:?} against {expected:?}");
            }
        }
    }
}
