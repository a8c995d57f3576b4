//! Weight by value where values are large: only those that occur take room.
//!
//! They are kept as they are until there are too many; then as many leading bits of each as there is room for. Total, mean and
//! variance stay those of the values themselves.

use std::collections::BTreeMap;

/// Values kept apart, at most: half a megabyte. Eight leading bits of every number there is have room in half of it.
const MOST: usize = 1 << 14;

/// Weight by value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sparse {
    /// By the leading bits of the value, the rest 0.
    classes: BTreeMap<u64, Class>,
    /// How many bits lead.
    bits: u32,
    total: u64,
    /// Sum of value times weight.
    area: u128,
    /// What squares are taken from, so that they lose no digits: the first value.
    origin: u64,
    /// Sum of (value − origin)² times weight.
    squares: f64,
    least: u64,
}

/// Values with the same leading bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Class {
    weight: u64,
    highest: u64,
}

// === impl Sparse ===

impl Default for Sparse {
    fn default() -> Self {
        let (total, area, origin, squares) = (0, 0, 0, 0.0);
        Self { classes: BTreeMap::new(), bits: u64::BITS, total, area, origin, squares, least: u64::MAX }
    }
}

impl Sparse {
    pub(crate) fn add(&mut self, value: u64, weight: u64) {
        if weight == 0 {
            return;
        }
        if self.total == 0 {
            self.origin = value;
        }
        self.total += weight;
        self.area += u128::from(value) * u128::from(weight);
        self.squares += (value as f64 - self.origin as f64).powi(2) * weight as f64;
        self.least = self.least.min(value);
        self.put(value, Class { weight, highest: value });
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if self.total == 0 {
            *self = other.clone();
            return;
        }
        self.squares += other.squares_around(self.origin as f64);
        self.total += other.total;
        self.area += other.area;
        self.least = self.least.min(other.least);
        self.bits = self.bits.min(other.bits);
        other.classes.iter().for_each(|(value, class)| self.put(*value, *class));
    }

    fn put(&mut self, value: u64, more: Class) {
        let class = self.classes.entry(leading(value, self.bits)).or_default();
        *class = Class { weight: class.weight + more.weight, highest: class.highest.max(more.highest) };
        if self.classes.len() > MOST {
            self.coarsen();
        }
    }

    /// Fewer bits lead, until half of the room is free.
    #[cold]
    fn coarsen(&mut self) {
        let classes = std::mem::take(&mut self.classes);
        let fits = |bits: &u32| {
            let mut leads: Vec<u64> = classes.keys().map(|value| leading(*value, *bits)).collect();
            leads.dedup();
            leads.len() <= MOST / 2
        };
        self.bits = (1..self.bits).rev().find(fits).unwrap_or(1);
        classes.into_iter().for_each(|(value, class)| self.put(value, class));
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Sum of value times weight.
    pub(crate) fn area(&self) -> u128 {
        self.area
    }

    /// Sum of (value − mean)² times weight, whatever this mean is.
    pub(crate) fn squares_around(&self, mean: f64) -> f64 {
        let shift = self.origin as f64 - mean;
        let from_origin = self.area as i128 - i128::from(self.origin) * i128::from(self.total);
        (self.squares + 2.0 * shift * from_origin as f64 + shift.powi(2) * self.total as f64).max(0.0)
    }

    /// The smallest value; none: there is none.
    pub(crate) fn least(&self) -> Option<u64> {
        (self.total > 0).then_some(self.least)
    }

    /// Values, ascending, with their weights: the highest of those with the same leading bits.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.classes.values().map(|class| (class.highest, class.weight))
    }
}

/// The first so many bits of a number, from the highest one that is set.
fn leading(value: u64, bits: u32) -> u64 {
    let dropped = (u64::BITS - value.leading_zeros()).saturating_sub(bits);
    value >> dropped << dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_kept_as_they_are() {
        let mut sparse = Sparse::default();
        for (value, weight) in [(3_000_000, 7), (2_999_990, 2), (3_000_000, 1), (5, 0)] {
            sparse.add(value, weight);
        }
        assert_eq!(sparse.iter().collect::<Vec<_>>(), [(2_999_990, 2), (3_000_000, 8)]);
        assert_eq!((sparse.total(), sparse.area(), sparse.least()), (10, 29_999_980, Some(2_999_990)));
        let squares = sparse.squares_around(2_999_998.0);
        assert!((squares - (2.0 * 64.0 + 8.0 * 4.0)).abs() < 1e-6, "{squares}");
        assert_eq!(Sparse::default().least(), None);
    }

    #[test]
    fn memory_is_bounded_and_moments_stay_exact() {
        let (mut sparse, mut halves) = (Sparse::default(), [Sparse::default(), Sparse::default()]);
        let values: Vec<u64> = (0..300_000_u64).map(|i| (i * i * i) % 1_000_003 * 1_000_000_007 + (1 << 20)).collect();
        for (i, value) in values.iter().enumerate() {
            sparse.add(*value, 1);
            halves[i % 2].add(*value, 1);
            assert!(sparse.classes.len() <= MOST);
        }
        let [mut merged, other] = halves;
        merged.merge(&other);
        let n = values.len() as f64;
        let mean = values.iter().map(|v| u128::from(*v)).sum::<u128>() as f64 / n;
        let squares: f64 = values.iter().map(|v| (*v as f64 - mean).powi(2)).sum();
        for found in [&sparse, &merged] {
            assert_eq!(found.area() as f64 / n, mean);
            assert!((found.squares_around(mean) / squares - 1.0).abs() < 1e-9);
            assert_eq!(found.iter().last().unwrap().0, *values.iter().max().unwrap());
            assert_eq!(found.iter().map(|(_, weight)| weight).sum::<u64>(), found.total());
            // A median to the leading bits.
            let mut seen = 0;
            let median = found.iter().find(|(_, weight)| {
                seen += weight;
                seen >= values.len() as u64 / 2
            });
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let truth = sorted[values.len() / 2 - 1] as f64;
            assert!((median.unwrap().0 as f64 / truth - 1.0).abs() < 0.01, "{median:?} {truth}");
        }
        // Every number there is.
        (0..64)
            .flat_map(|bit| (0..1_000_u64).map(move |i| (1 << bit) + i * ((1 << bit) / 1_000 + 1) % (1 << bit)))
            .for_each(|v| sparse.add(v, 1));
        assert!(sparse.classes.len() <= MOST && sparse.bits >= 8, "{}", sparse.bits);
    }
}
