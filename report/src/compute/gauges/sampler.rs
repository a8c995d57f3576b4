//! Gauges that change together, under both samplings, and their integrals over equal buckets of time.

use galton_core::Nanos;
use galton_core::prefetch::prefetch;

use crate::compute::bounds::MOST_KEPT;
use crate::stats::{Sparse, Weighted};

/// Where a replay is: the number of samples taken so far, and the time, clipped to the measured window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    pub(super) samples: u64,
    pub(super) time: Nanos,
}

/// Some gauges. When one changes, the old values get the samples and the time since the last change.
#[derive(Clone, Debug)]
pub(crate) struct Sampler<const N: usize> {
    values: [u64; N],
    since: Position,
    exists: bool,
    weights: [Weights; N],
}

/// Samples and nanoseconds by the value of a gauge, side by side: both change together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weights {
    small: Vec<(u64, u64)>,
    large: Option<Box<Large>>,
}

/// The same of values above [`LARGEST`].
#[derive(Clone, Debug, Default)]
struct Large {
    samples: Sparse,
    time: Sparse,
}

/// What is larger than this is not counted in a row of all values, but apart: few gauges are, and memory has a limit.
const LARGEST: u64 = 1 << 20;

// === impl Sampler ===

impl<const N: usize> Default for Sampler<N> {
    fn default() -> Self {
        let weights = std::array::from_fn(|_| Weights::default());
        Self { values: [0; N], since: Position::default(), exists: false, weights }
    }
}

impl<const N: usize> Sampler<N> {
    /// The gauges begin to exist, with the values they have.
    pub(super) fn begin(&mut self, here: Position) {
        (self.since, self.exists) = (here, true);
    }

    /// The gauges cease to exist.
    pub(super) fn end(&mut self, here: Position) {
        self.settle(here);
        self.exists = false;
    }

    /// The gauges change; while they do not exist, they are only remembered.
    #[inline(always)]
    pub(super) fn set(&mut self, here: Position, values: [u64; N]) {
        self.settle(here);
        self.values = values;
    }

    #[inline(always)]
    fn settle(&mut self, here: Position) {
        if !self.exists {
            return;
        }
        let (samples, time) = (here.samples - self.since.samples, (here.time - self.since.time).0);
        for (weights, value) in self.weights.iter_mut().zip(self.values) {
            weights.add(value, samples, time);
        }
        self.since = here;
    }

    /// Of the gauge with this number.
    pub(super) fn weights(&self, gauge: usize) -> &Weights {
        &self.weights[gauge]
    }
}

// === impl Weights ===

impl Weights {
    #[inline(always)]
    fn add(&mut self, value: u64, samples: u64, time: u64) {
        match self.small.get_mut(value as usize) {
            Some(weight) => *weight = (weight.0 + samples, weight.1 + time),
            None => self.above(value, samples, time),
        }
    }

    /// Of a value that is higher than every one before, or than what is counted in a row.
    #[cold]
    fn above(&mut self, value: u64, samples: u64, time: u64) {
        if value > LARGEST {
            let large = self.large.get_or_insert_default();
            large.samples.add(value, samples);
            large.time.add(value, time);
        } else {
            self.small.resize(value as usize + 1, (0, 0));
            self.small[value as usize] = (samples, time);
        }
    }

    /// Fetches the weights of a value that is left soon.
    #[inline]
    pub(super) fn fetch(&self, value: u64) {
        self.small.get(value as usize).into_iter().for_each(|(samples, _)| prefetch(samples));
    }

    /// What decisions met.
    pub(crate) fn by_decision(&self) -> Weighted {
        let large = self.large.as_ref().map(|large| large.samples.clone());
        Weighted::of(self.small.iter().map(|(samples, _)| *samples), large.unwrap_or_default())
    }

    /// What it was over time.
    pub(crate) fn by_time(&self) -> Weighted {
        let large = self.large.as_ref().map(|large| large.time.clone());
        Weighted::of(self.small.iter().map(|(_, time)| *time), large.unwrap_or_default())
    }
}

/// The integrals of some gauges over buckets that begin at 0: as many as time has passed, or half of them when there would be
/// too many.
#[derive(Clone, Debug)]
pub(crate) struct Area<const N: usize> {
    bucket: u64,
    /// The end of the bucket at hand.
    ends: u64,
    values: [i64; N],
    /// Over the bucket at hand, if nothing changes any more.
    sum: [i128; N],
    /// Of the buckets that are over.
    sums: Vec<[f64; N]>,
}

// === impl Area ===

impl<const N: usize> Area<N> {
    pub(super) fn new(bucket: Nanos) -> Self {
        let bucket = bucket.0.max(1);
        Self { bucket, ends: bucket, values: [0; N], sum: [0; N], sums: Vec::new() }
    }

    /// The gauges rise by so much, or fall: from now to the end of the bucket.
    #[inline(always)]
    pub(super) fn rise(&mut self, at: Nanos, by: [i64; N]) {
        if at.0 >= self.ends {
            self.close_before(at.0);
        }
        let left = (self.ends - at.0) as i64;
        for (at, by) in by.into_iter().enumerate() {
            self.values[at] += by;
            self.sum[at] += i128::from(by) * i128::from(left);
        }
    }

    /// The run is over: whole buckets up to `at`.
    pub(super) fn finish(&mut self, at: Nanos) {
        self.close_before(at.0.next_multiple_of(self.bucket));
    }

    /// The buckets that end by then are over.
    #[cold]
    fn close_before(&mut self, at: u64) {
        while self.ends <= at {
            self.sums.push(self.sum.map(|sum| sum as f64));
            if self.sums.len() as u64 == MOST_KEPT {
                self.sums = self.sums.chunks(2).map(|pair| add(pair[0], pair[1])).collect();
                self.bucket *= 2;
            }
            self.sum = self.values.map(|value| i128::from(value) * i128::from(self.bucket));
            self.ends += self.bucket;
        }
    }

    /// The length of a bucket: the first one, or a power of two times that.
    pub(super) fn bucket(&self) -> Nanos {
        Nanos(self.bucket)
    }

    /// The mean of one of the gauges within each of some buckets that are as long, or a power of two times as long.
    pub(crate) fn means(&self, gauge: usize, bucket: Nanos) -> impl Iterator<Item = f64> + '_ {
        let those = self.sums.chunks((bucket.0 / self.bucket).max(1) as usize);
        those.map(move |sums| sums.iter().map(|sums| sums[gauge]).sum::<f64>() / bucket.0 as f64)
    }
}

fn add<const N: usize>(one: [f64; N], other: [f64; N]) -> [f64; N] {
    std::array::from_fn(|gauge| one[gauge] + other[gauge])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_gets_the_samples_and_the_time_since_the_last_change() {
        let at = |samples, time| Position { samples, time: Nanos(time) };
        let mut gauges = Sampler::default();
        gauges.set(at(3, 5), [2, 0]);
        gauges.begin(at(4, 10));
        gauges.set(at(5, 20), [2, 3]);
        gauges.set(at(6, 30), [1, 3]);
        gauges.end(at(7, 35));
        gauges.set(at(9, 90), [8, 8]);
        let figures = |w: Weighted| (w.total(), w.area());
        assert_eq!(figures(gauges.weights(0).by_decision()), (3, 2 * 2 + 1));
        assert_eq!(figures(gauges.weights(0).by_time()), (25, 2 * 20 + 5));
        assert_eq!(figures(gauges.weights(1).by_time()), (25, 3 * 15));
    }

    #[test]
    fn a_value_of_any_size_counts_as_it_is() {
        let at = |samples, time| Position { samples, time: Nanos(time) };
        let mut gauges = Sampler::default();
        gauges.begin(at(0, 0));
        for (i, value) in [3_000_000, LARGEST, LARGEST + 1, u64::MAX, 0].into_iter().enumerate() {
            gauges.set(at(i as u64, 10 * i as u64), [value]);
        }
        gauges.end(at(5, 50));
        let (decisions, time) = (gauges.weights(0).by_decision(), gauges.weights(0).by_time());
        let area = 3_000_000 + u128::from(2 * LARGEST + 1) + u128::from(u64::MAX);
        assert_eq!((decisions.area(), time.area(), time.total()), (area, 10 * area, 50));
        let values: Vec<f64> = time.summary(1.0, None).unwrap().quantiles.iter().filter_map(|q| q.value).collect();
        assert_eq!((values[0], values[1], values[7]), ((LARGEST + 1) as f64, 3e6, u64::MAX as f64));
    }

    #[test]
    fn an_area_is_spread_over_its_buckets() {
        let mut area = Area::new(Nanos(10));
        area.rise(Nanos(5), [2]);
        area.rise(Nanos(21), [-2]);
        area.rise(Nanos(25), [0]);
        area.finish(Nanos(38));
        assert_eq!(area.means(0, Nanos(10)).collect::<Vec<_>>(), [1.0, 2.0, 0.2, 0.0]);
        assert_eq!(area.means(0, Nanos(20)).collect::<Vec<_>>(), [1.5, 0.1]);
    }

    #[test]
    fn buckets_are_wider_where_there_would_be_too_many() {
        let mut area = Area::new(Nanos(10));
        area.rise(Nanos(5), [2]);
        area.rise(Nanos(10 * MOST_KEPT + 5), [-1]);
        let day = 86_400_000_000_000;
        area.rise(Nanos(day), [-1]);
        area.finish(Nanos(2 * day));
        assert!(area.sums.len() as u64 <= MOST_KEPT, "{}", area.sums.len());
        let sum: f64 = area.sums.iter().map(|[sum]| sum).sum();
        assert_eq!(sum, (2 * 10 * MOST_KEPT + (day - 10 * MOST_KEPT - 5)) as f64);
    }
}
