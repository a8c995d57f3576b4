//! A sample of which not every value is kept: a histogram, and what it takes to tell its correlation.

use std::borrow::Cow;

use hdrhistogram::Histogram;

use super::batches::Batches;

/// Values of a long sample that are counted together.
const TOGETHER: usize = 1 << 9;

/// A sample of which not every value is kept.
#[derive(Clone, Debug)]
pub(super) struct Long {
    /// Values that are not in the figures below yet. One after the other, each would find the tables of another sample in the
    /// processor's cache.
    waiting: Vec<u64>,
    pub(super) histogram: Histogram<u64>,
    /// The smallest and the largest value, exactly.
    pub(super) ends: (u64, u64),
    sum: u128,
    pub(super) batches: Batches,
}

/// With so many significant digits.
pub(super) fn new_histogram(digits: u8) -> Histogram<u64> {
    Histogram::new(digits).expect("one to five significant digits are allowed")
}

/// Counts a value.
#[inline]
pub(super) fn record(histogram: &mut Histogram<u64>, value: u64) {
    histogram.record(value).expect("a histogram that resizes itself takes every value");
}

// === impl Long ===

impl Long {
    pub(super) fn new(digits: u8, values: &[u64]) -> Self {
        let mut long = Self {
            waiting: Vec::with_capacity(TOGETHER),
            histogram: new_histogram(digits),
            ends: (u64::MAX, 0),
            sum: 0,
            batches: Batches::new(values.len(), digits > 2),
        };
        values.iter().for_each(|value| long.push(*value));
        long
    }

    #[inline]
    pub(super) fn push(&mut self, value: u64) {
        self.waiting.push(value);
        if self.waiting.len() == TOGETHER {
            self.count();
        }
    }

    fn count(&mut self) {
        for value in self.waiting.drain(..) {
            record(&mut self.histogram, value);
            self.ends = (self.ends.0.min(value), self.ends.1.max(value));
            self.sum += u128::from(value);
            self.batches.push(value);
        }
    }

    /// With nothing waiting.
    pub(super) fn counted(&self) -> Cow<'_, Self> {
        if self.waiting.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut counted = self.clone();
        counted.count();
        Cow::Owned(counted)
    }

    pub(super) fn len(&self) -> u64 {
        self.histogram.len() + self.waiting.len() as u64
    }

    pub(super) fn mean(&self) -> u64 {
        let n = u128::from(self.len().max(1));
        ((self.sum + n / 2) / n) as u64
    }
}
