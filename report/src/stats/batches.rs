//! Batches of a series that is not kept: their sums, and how their values are spread.
//!
//! Each holds as many values as the others; when there are too many batches, neighbours are merged. From the spread of their
//! means, or of their shares below a value, follows how many independent values the series is worth, as in
//! [`super::effective`].

use super::classes::class;

/// When there are so many, they are merged in pairs: never fewer than 32, once there were.
const MOST: usize = 64;

/// Classes of values: sixteen to each doubling.
const CLASS_BITS: u32 = 4;
const CLASSES: usize = 1024;

/// The batches of one series.
#[derive(Clone, Debug)]
pub(super) struct Batches {
    length: u64,
    /// The last one may be unfinished.
    sums: Vec<f64>,
    /// Values per batch and class; none: only the means are told.
    spread: Option<Vec<Box<[u32; CLASSES]>>>,
    /// Values in the last batch.
    filled: u64,
}

// === impl Batches ===

impl Batches {
    /// For a series that has `n` values at once: these make as many batches as there may be.
    pub(super) fn new(n: usize, with_spread: bool) -> Self {
        let length = n.div_ceil(MOST).max(1) as u64;
        Self { length, sums: Vec::new(), spread: with_spread.then(Vec::new), filled: length }
    }

    /// More values; returns their sum.
    pub(super) fn add(&mut self, mut values: &[u64]) -> u128 {
        let mut all = 0;
        while !values.is_empty() {
            let (now, later) = values.split_at(self.room_for(values.len() as u64) as usize);
            let sum = sum(now);
            self.fill(now.len() as u64, sum);
            if let Some(classes) = self.classes() {
                now.iter().for_each(|value| classes[class(*value, CLASS_BITS)] += 1);
            }
            all += sum;
            values = later;
        }
        all
    }

    /// As [`Self::add`], of `n` times the same value.
    pub(super) fn add_alike(&mut self, value: u64, mut n: u64) -> u128 {
        let all = u128::from(value) * u128::from(n);
        while n > 0 {
            let now = self.room_for(n);
            self.fill(now, u128::from(value) * u128::from(now));
            if let Some(classes) = self.classes() {
                classes[class(value, CLASS_BITS)] += now as u32;
            }
            n -= now;
        }
        all
    }

    /// How many of `n` values go into the last batch, which is a new one if there was no room.
    fn room_for(&mut self, n: u64) -> u64 {
        if self.filled == self.length {
            self.begin();
        }
        (self.length - self.filled).min(n)
    }

    /// So many more values, with this sum, are in the last batch.
    fn fill(&mut self, n: u64, sum: u128) {
        self.filled += n;
        if let Some(of_batch) = self.sums.last_mut() {
            *of_batch += sum as f64;
        }
    }

    /// How the values of the last batch are spread.
    fn classes(&mut self) -> Option<&mut [u32; CLASSES]> {
        self.spread.as_mut()?.last_mut().map(|classes| &mut **classes)
    }

    fn begin(&mut self) {
        if self.sums.len() == MOST {
            self.merge();
        }
        self.sums.push(0.0);
        if let Some(spread) = &mut self.spread {
            spread.push(Box::new([0; CLASSES]));
        }
        self.filled = 0;
    }

    fn merge(&mut self) {
        self.sums = self.sums.chunks(2).map(|pair| pair.iter().sum()).collect();
        if let Some(spread) = &mut self.spread {
            let mut merged = Vec::with_capacity(MOST);
            let mut halves = std::mem::take(spread).into_iter();
            while let (Some(mut one), Some(other)) = (halves.next(), halves.next()) {
                one.iter_mut().zip(other.iter()).for_each(|(sum, n)| *sum += n);
                merged.push(one);
            }
            *spread = merged;
        }
        self.length *= 2;
    }

    /// How many independent values the mean is worth, given the variance of the values.
    pub(super) fn worth_of_mean(&self, variance: f64) -> f64 {
        let whole = self.whole();
        let means: Vec<f64> = self.sums[..whole].iter().map(|sum| sum / self.length as f64).collect();
        self.worth(&means, variance)
    }

    /// How many the share of values up to `value` is worth, to the class of the value; none: the spread is not told.
    pub(super) fn worth_of_indicator(&self, value: u64) -> Option<f64> {
        let spread = self.spread.as_ref()?;
        let class = class(value, CLASS_BITS);
        let share = |classes: &[u32; CLASSES]| {
            classes[..=class].iter().map(|n| u64::from(*n)).sum::<u64>() as f64 / self.length as f64
        };
        let shares: Vec<f64> = spread[..self.whole()].iter().map(|classes| share(classes)).collect();
        let share = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        Some(self.worth(&shares, share * (1.0 - share)))
    }

    /// Batches that are finished.
    fn whole(&self) -> usize {
        self.sums.len() - usize::from(self.filled < self.length)
    }

    fn worth(&self, means: &[f64], variance: f64) -> f64 {
        let n = (means.len() as u64 * self.length + if self.filled < self.length { self.filled } else { 0 }) as f64;
        let mean = means.iter().sum::<f64>() / means.len() as f64;
        let of_means = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (means.len() as f64 - 1.0);
        let factor = self.length as f64 * of_means / variance;
        // No spread at all gives NaN: every value is the same, and `max` takes the other operand.
        n / factor.max(1.0)
    }
}

/// The sum of the values. Halves of them, side by side: a wider sum is added to one value at a time.
fn sum(values: &[u64]) -> u128 {
    let halves = |(low, high): (u64, u64), value: &u64| (low + (value & HALF), high + (value >> 32));
    let sums = values.chunks(HALF as usize).map(|chunk| chunk.iter().fold((0, 0), halves));
    sums.map(|(low, high)| u128::from(low) + (u128::from(high) << 32)).sum()
}

/// The lower half of a value; and so many halves have a sum that is no overflow.
const HALF: u64 = u32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_merged_and_nothing_is_lost() {
        let mut batches = Batches::new(640, true);
        let values: Vec<u64> = (0..100_000).collect();
        for some in values.chunks(77) {
            batches.add(some);
        }
        assert!((MOST / 2..=MOST).contains(&batches.sums.len()));
        assert_eq!(batches.sums.iter().sum::<f64>(), (0..100_000).sum::<u64>() as f64);
        let counted = batches.spread.iter().flatten().flat_map(|classes| classes.iter()).map(|n| u64::from(*n));
        assert_eq!(counted.sum::<u64>(), 100_000);
    }
}
