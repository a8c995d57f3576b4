//! One gauge under both samplings, and the integral of one gauge over equal buckets of time.

use galton_core::Nanos;

use crate::stats::Weighted;

/// Where a replay is: the number of samples taken so far, and the time, clipped to the measured window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    pub(super) samples: u64,
    pub(super) time: Nanos,
}

/// One gauge. When it changes, the old value gets the samples and the time since the last change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampler {
    value: usize,
    since: Option<Position>,
    /// Samples and nanoseconds by value, side by side: both change together.
    weights: Vec<(u64, u64)>,
}

/// Gauges above this are counted as this: a limit on memory that no fleet of one machine reaches.
const LARGEST: usize = 1 << 20;

impl Sampler {
    /// The gauge begins to exist, with the value it has.
    pub(super) fn begin(&mut self, here: Position) {
        self.since = Some(here);
    }

    /// The gauge ceases to exist.
    pub(super) fn end(&mut self, here: Position) {
        self.settle(here);
        self.since = None;
    }

    /// The gauge changes; while it does not exist, it is only remembered.
    #[inline]
    pub(super) fn set(&mut self, here: Position, value: usize) {
        if self.value != value {
            self.settle(here);
            self.value = value;
        }
    }

    #[inline]
    fn settle(&mut self, here: Position) {
        if let Some(since) = &mut self.since {
            let (samples, time) = (here.samples - since.samples, (here.time - since.time).0);
            *since = here;
            if self.weights.len() <= self.value {
                self.value = self.value.min(LARGEST);
                self.weights.resize(self.value + 1, (0, 0));
            }
            let weight = &mut self.weights[self.value];
            *weight = (weight.0 + samples, weight.1 + time);
        }
    }

    /// What decisions met.
    pub(crate) fn by_decision(&self) -> Weighted {
        Weighted::of(self.weights.iter().map(|(samples, _)| *samples))
    }

    /// What it was over time.
    pub(crate) fn by_time(&self) -> Weighted {
        Weighted::of(self.weights.iter().map(|(_, time)| *time))
    }
}

/// The integral of one gauge over buckets that begin at 0: as many as time has passed.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    bucket: u64,
    /// Of the buckets that are over.
    sums: Vec<f64>,
    /// Of the bucket at hand.
    sum: f64,
    /// Its end.
    ends: u64,
    value: f64,
    since: u64,
}

impl Area {
    pub(super) fn new(bucket: Nanos) -> Self {
        let bucket = bucket.0.max(1);
        Self { bucket, sums: Vec::new(), sum: 0.0, ends: bucket, value: 0.0, since: 0 }
    }

    /// The gauge changes.
    #[inline]
    pub(super) fn set(&mut self, at: Nanos, value: f64) {
        if self.value == value {
            return;
        }
        self.settle(at.0);
        self.value = value;
    }

    /// The run is over: whole buckets up to `at`.
    pub(super) fn finish(&mut self, at: Nanos) {
        self.settle(at.0.next_multiple_of(self.bucket));
    }

    #[inline]
    fn settle(&mut self, at: u64) {
        while self.ends <= at {
            self.sums.push(self.sum + self.value * (self.ends - self.since) as f64);
            (self.sum, self.since) = (0.0, self.ends);
            self.ends += self.bucket;
        }
        self.sum += self.value * (at.max(self.since) - self.since) as f64;
        self.since = at.max(self.since);
    }

    /// The mean within each bucket.
    pub(crate) fn means(&self) -> impl Iterator<Item = f64> + '_ {
        self.sums.iter().map(|sum| sum / self.bucket as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_gets_the_samples_and_the_time_since_the_last_change() {
        let at = |samples, time| Position { samples, time: Nanos(time) };
        let mut gauge = Sampler::default();
        gauge.set(at(3, 5), 2);
        gauge.begin(at(4, 10));
        gauge.set(at(6, 30), 1);
        gauge.end(at(7, 35));
        gauge.set(at(9, 90), 8);
        let figures = |w: &Weighted| (w.total(), w.area());
        assert_eq!(figures(&gauge.by_decision()), (3, 2 * 2 + 1));
        assert_eq!(figures(&gauge.by_time()), (25, 2 * 20 + 5));
    }

    #[test]
    fn an_area_is_spread_over_its_buckets() {
        let mut area = Area::new(Nanos(10));
        area.set(Nanos(5), 2.0);
        area.set(Nanos(21), 0.0);
        area.set(Nanos(25), 0.0);
        area.finish(Nanos(38));
        assert_eq!(area.means().collect::<Vec<_>>(), [1.0, 2.0, 0.2, 0.0]);
    }
}
