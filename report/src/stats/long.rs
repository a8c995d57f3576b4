//! A sample of which not every value is kept: how many there are of each class, and what it takes to tell its correlation.

use hdrhistogram::Histogram;

use super::batches::Batches;
use super::classes::ByClass;

/// A sample of which not every value is kept.
#[derive(Clone, Debug)]
pub(super) struct Long {
    by_class: ByClass,
    n: u64,
    /// The smallest and the largest value, exactly.
    pub(super) ends: (u64, u64),
    sum: u128,
    pub(super) batches: Batches,
}

// === impl Long ===

impl Long {
    /// Of these values, with so many significant digits.
    pub(super) fn new(digits: u8, values: &[u64]) -> Self {
        let batches = Batches::new(values.len(), digits > 2);
        let mut long = Self { by_class: ByClass::new(digits), n: 0, ends: (u64::MAX, 0), sum: 0, batches };
        long.count(values);
        long
    }

    /// More values.
    pub(super) fn count(&mut self, values: &[u64]) {
        let Some(first) = values.first().copied() else { return };
        // They often are the same: an injected delay that only some requests meet.
        if values.iter().all(|value| *value == first) {
            return self.count_alike(first, values.len() as u64);
        }
        self.n += values.len() as u64;
        self.by_class.add_all(values);
        self.ends = values.iter().fold(self.ends, |(low, high), value| (low.min(*value), high.max(*value)));
        self.sum += self.batches.add(values);
    }

    /// `n` times the same value.
    pub(super) fn count_alike(&mut self, value: u64, n: u64) {
        self.n += n;
        self.by_class.add(value, n);
        self.ends = (self.ends.0.min(value), self.ends.1.max(value));
        self.sum += self.batches.add_alike(value, n);
    }

    pub(super) fn len(&self) -> u64 {
        self.n
    }

    pub(super) fn mean(&self) -> u64 {
        let n = u128::from(self.len().max(1));
        ((self.sum + n / 2) / n) as u64
    }

    pub(super) fn histogram(&self) -> Histogram<u64> {
        self.by_class.histogram()
    }
}
