//! Quantiles: which value they are, and how to find it.

use std::borrow::Cow;

use hdrhistogram::Histogram;

use super::binomial::ALPHA;
use super::long::Long;

/// The values in order.
pub(super) enum ByRank<'a> {
    Exact(Vec<u64>),
    /// With its standard deviation, for which the library goes through the whole histogram.
    Long(Cow<'a, Long>, Box<Histogram<u64>>, f64),
}

impl ByRank<'_> {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Exact(sorted) => sorted.len() as u64,
            Self::Long(long, ..) => long.len(),
        }
    }

    /// The value of this rank, from 1.
    pub(super) fn at(&self, rank: u64) -> Option<u64> {
        match self {
            Self::Exact(sorted) => sorted.get(rank.checked_sub(1)? as usize).copied(),
            Self::Long(long, ..) if rank == 1 => Some(long.ends.0),
            Self::Long(long, ..) if rank == long.len() => Some(long.ends.1),
            Self::Long(long, histogram, _) => {
                let ends = long.ends;
                // The library rounds the rank up: half a value less reaches the one that is meant.
                let value = histogram.value_at_quantile((rank as f64 - 0.5) / histogram.len() as f64);
                Some(value.clamp(ends.0, ends.1))
            }
        }
    }

    /// The smallest value with a cumulative count of at least ⌈q·n⌉.
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        if self.len() == 0 { None } else { self.at(rank(self.len(), q)) }
    }
}

/// Quantiles of values in any order: to find a few takes less than to sort. In ascending order they take the least.
pub(super) fn selected(mut values: Vec<u64>, qs: &[f64]) -> Vec<Option<u64>> {
    if values.is_empty() {
        return vec![None; qs.len()];
    }
    let n = values.len() as u64;
    // What is before the last one found is below it.
    let mut last = 0;
    let mut one = |q: &f64| {
        let at = rank(n, *q) as usize - 1;
        let from = if at < last { 0 } else { last };
        last = at;
        let (_, found, _) = values[from..].select_nth_unstable(at - from);
        Some(*found)
    };
    qs.iter().map(&mut one).collect()
}

/// How many values it takes for a 95 % upper bound of the `q`-quantile, 0 < `q` ≤ 1; 1 for the largest.
pub fn needed(q: f64) -> u64 {
    if q >= 1.0 { 1 } else { (ALPHA.ln() / q.ln()).ceil() as u64 }
}

/// The smallest value with a cumulative count of at least ⌈q·n⌉; none: no values.
pub(crate) fn exact_quantile(sorted: &[u64], q: f64) -> Option<u64> {
    sorted.get(rank(sorted.len() as u64, q) as usize - 1).copied()
}

/// ⌈q·n⌉, from 1. Exact in millionths: 0.9999 · 10 000 in floating point is above 9 999.
pub(super) fn rank(n: u64, q: f64) -> u64 {
    let millionths = (q * 1e6).round() as u128;
    ((millionths * u128::from(n)).div_ceil(1_000_000) as u64).max(1)
}
