//! Where a further run of the ensemble would lie.

/// What each side of the range leaves out.
const TAIL: f64 = 0.025;

/// The mean of a sample and its 95 % range.
///
/// The ends are the values at ranks 0.025 (n + 1) and 0.975 (n + 1), linear between neighbours, and the smallest and the largest
/// where those ranks do not exist. A further value of the same distribution, whatever it is, falls between them with 95 %
/// from n = 39 on, and with (n − 1)/(n + 1) before that (Hyndman and Fan, "Sample Quantiles in Statistical Packages",
/// definition 6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

// === impl Range ===

impl Range {
    /// Of a sample; none: of nothing.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        let mean = mean(&values)?;
        values.sort_by(f64::total_cmp);
        Some(Self { mean, low: at(&values, TAIL), high: at(&values, 1.0 - TAIL) })
    }

    /// Whether a value lies within, ends included.
    pub(super) fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The arithmetic mean; none: of nothing.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    // Of equal values the mean is that value, to the last bit, so that an ensemble without chance has no width.
    let first = values[0];
    Some(first + values.iter().map(|value| value - first).sum::<f64>() / values.len() as f64)
}

/// The value at rank `p` (n + 1), from 1.
fn at(sorted: &[f64], p: f64) -> f64 {
    let last = sorted.len() - 1;
    let place = (p * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, last as f64);
    let below = place as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    #[test]
    fn small_samples_span_from_their_smallest_to_their_largest() {
        let twenty = Range::of((1..=20).rev().map(f64::from).collect()).unwrap();
        assert_eq!(twenty, Range { mean: 10.5, low: 1.0, high: 20.0 });
        let thirty_nine = Range::of((1..=39).map(f64::from).collect()).unwrap();
        assert_eq!(thirty_nine, Range { mean: 20.0, low: 1.0, high: 39.0 });
        let many = Range::of((1..=99).map(f64::from).collect()).unwrap();
        assert_eq!(many, Range { mean: 50.0, low: 2.5, high: 97.5 });
        assert!(many.holds(2.5) && many.holds(97.5) && !many.holds(2.4) && !many.holds(97.6));
        assert_eq!(Range::of(Vec::new()), None);
    }

    #[test]
    fn equal_values_have_no_width() {
        assert_eq!(Range::of(vec![0.1; 20]), Some(Range { mean: 0.1, low: 0.1, high: 0.1 }));
    }

    #[test]
    fn a_further_value_falls_within_as_often_as_promised() {
        let mut rng = KeyedRng::new(11, Purpose::Hold, 0);
        let mut skewed = || -rng.uniform().ln();
        for (n, promised) in [(20, 19.0 / 21.0), (39, 0.95), (80, 0.95)] {
            let trials = 4_000;
            let within = (0..trials).filter(|_| Range::of((0..n).map(|_| skewed()).collect()).unwrap().holds(skewed()));
            let share = within.count() as f64 / f64::from(trials);
            // The standard error is below 0.005.
            assert!((share - promised).abs() < 0.015, "{n}: {share}");
        }
    }
}
