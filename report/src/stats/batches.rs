//! Batches of a series that is not kept: their sums, and how their values are spread.
//!
//! Each holds as many values as the others; when there are too many batches, neighbours are merged. From the spread of their
//! means, or of their shares below a value, follows how many independent values the series is worth, as in
//! [`super::effective`].

/// When there are so many, they are merged in pairs: never fewer than 32, once there were.
const MOST: usize = 64;

/// Classes of values: sixteen to each doubling.
const STEPS: u32 = 16;
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

    #[inline]
    pub(super) fn push(&mut self, value: u64) {
        if self.filled == self.length {
            self.begin();
        }
        self.filled += 1;
        if let Some(sum) = self.sums.last_mut() {
            *sum += value as f64;
        }
        if let Some(classes) = self.spread.as_mut().and_then(|spread| spread.last_mut()) {
            classes[class(value)] += 1;
        }
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
        let class = class(value);
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

/// The class of a value: exact below [`STEPS`], then so many to each doubling.
#[inline]
fn class(value: u64) -> usize {
    if value < u64::from(STEPS) {
        return value as usize;
    }
    let doubling = 63 - value.leading_zeros() - STEPS.ilog2();
    ((doubling + 1) * STEPS) as usize + (value >> doubling) as usize % STEPS as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_ascend_and_are_narrow() {
        let mut last = 0;
        for value in
            (0..1_000).chain((10..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + (1 << (bit - 4))]))
        {
            assert!(class(value) >= last && class(value) < CLASSES, "{value}");
            last = class(value);
        }
        assert_eq!(class(16) + 1, class(17));
        assert_eq!(class(32), class(33));
        assert!(class(u64::MAX) < CLASSES);
    }

    #[test]
    fn neighbours_are_merged_and_nothing_is_lost() {
        let mut batches = Batches::new(640, true);
        for value in 0..100_000 {
            batches.push(value);
        }
        assert!((MOST / 2..=MOST).contains(&batches.sums.len()));
        assert_eq!(batches.sums.iter().sum::<f64>(), (0..100_000).sum::<u64>() as f64);
        let counted = batches.spread.iter().flatten().flat_map(|classes| classes.iter()).map(|n| u64::from(*n));
        assert_eq!(counted.sum::<u64>(), 100_000);
    }
}
