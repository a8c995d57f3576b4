//! Values by class: exact while they are small, then so many classes to each doubling, as in HdrHistogram.

use hdrhistogram::Histogram;

/// The class of a value: itself below 2 to the (`bits` + 1), then 2 to the `bits` classes to each doubling.
#[inline]
pub(super) fn class(value: u64, bits: u32) -> usize {
    let doublings = 63 - (value | 1 << bits).leading_zeros() - bits;
    ((doublings as usize) << bits) + (value >> doublings) as usize
}

/// The smallest value of a class.
fn least(class: usize, bits: u32) -> u64 {
    let doublings = (class >> bits).saturating_sub(1);
    ((class - (doublings << bits)) as u64) << doublings
}

/// How many values there are of each class. The classes are those of a [`Histogram`] with as many significant digits, which is
/// made of it in the end: it asks more of every value than a value needs.
#[derive(Clone, Debug)]
pub(super) struct ByClass {
    digits: u8,
    bits: u32,
    counts: Vec<u64>,
}

impl ByClass {
    /// With so many significant digits.
    pub(super) fn new(digits: u8) -> Self {
        // Half of 2·10^digits, rounded up to a power of two.
        let bits = 10_u64.pow(u32::from(digits)).next_power_of_two().ilog2();
        Self { digits, bits, counts: Vec::new() }
    }

    /// Counts a value `n` times.
    pub(super) fn add(&mut self, value: u64, n: u64) {
        *self.count_of(value) += n;
    }

    /// Counts values.
    pub(super) fn add_all(&mut self, values: &[u64]) {
        values.iter().for_each(|value| *self.count_of(*value) += 1);
    }

    #[inline]
    fn count_of(&mut self, value: u64) -> &mut u64 {
        let class = class(value, self.bits);
        if class >= self.counts.len() {
            self.counts.resize(class + 1, 0);
        }
        &mut self.counts[class]
    }

    pub(super) fn histogram(&self) -> Histogram<u64> {
        let mut histogram = new_histogram(self.digits);
        for (class, n) in self.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            record(&mut histogram, least(class, self.bits), *n);
        }
        histogram
    }
}

/// With so many significant digits.
pub(super) fn new_histogram(digits: u8) -> Histogram<u64> {
    Histogram::new(digits).expect("one to five significant digits are allowed")
}

/// Counts a value `n` times.
pub(super) fn record(histogram: &mut Histogram<u64>, value: u64, n: u64) {
    histogram.record_n(value, n).expect("a histogram that resizes itself takes every value");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_ascend_and_are_narrow() {
        let mut last = 0;
        let around = (10..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + (1 << (bit - 4))]);
        for value in (0..1_000).chain(around) {
            let class = class(value, 4);
            assert!(class >= last && class < 1024, "{value}");
            assert!(least(class, 4) <= value && value - least(class, 4) <= value / 16, "{value}");
            last = class;
        }
        assert_eq!(class(32, 4) + 1, class(34, 4));
        assert_eq!(class(32, 4), class(33, 4));
        assert!(class(u64::MAX, 4) < 1024);
    }

    #[test]
    fn they_are_those_of_the_histogram() {
        for digits in [2, 3] {
            let (mut by_class, mut histogram) = (ByClass::new(digits), new_histogram(digits));
            for i in 0..20_000_u64 {
                let value = i * i * i % (1 << (i % 50 + 1));
                by_class.add(value, 1 + i % 3);
                record(&mut histogram, value, 1 + i % 3);
            }
            let recorded = |histogram: &Histogram<u64>| {
                let all = histogram.iter_recorded();
                all.map(|v| (v.value_iterated_to(), v.count_since_last_iteration())).collect::<Vec<_>>()
            };
            assert_eq!(recorded(&by_class.histogram()), recorded(&histogram));
        }
    }
}
