//! How many independent values a correlated series is worth, by batch means.
//!
//! Requests that meet in the same queue have like fates, so n of them say less than n independent ones. The variance of
//! the means of long batches, against what it would be without correlation, is the factor (Law and Kelton, "Simulation
//! Modeling and Analysis", section 9.5.3). Negative correlation is not credited.

/// Batches; between 20 and 40 serve nearly every purpose (Schmeiser, "Batch size effects in the analysis of simulation
/// output", Operations Research 30, 1982).
const BATCHES: usize = 32;
/// Of a sample that has room for more without becoming short: the factor has half the noise, which only ever widens intervals.
const MORE_BATCHES: usize = 64;
/// From here on: then there are 256 values to a batch.
const LARGE: usize = 1 << 14;

/// With fewer values to a batch than this, the factor would be noise.
const SMALLEST_BATCH: usize = 10;

/// The effective number of values of a series in order of time.
pub(super) fn size(n: usize, value: impl Fn(usize) -> f64) -> f64 {
    let count = if n < LARGE { BATCHES } else { MORE_BATCHES };
    let length = n / count;
    if length < SMALLEST_BATCH {
        return n as f64;
    }
    let used = length * count;
    let batches: Vec<f64> =
        (0..count).map(|b| (b * length..(b + 1) * length).map(&value).sum::<f64>() / length as f64).collect();
    let mean = batches.iter().sum::<f64>() / count as f64;
    let variance = (0..used).map(|i| (value(i) - mean).powi(2)).sum::<f64>() / (used - 1) as f64;
    let of_means = batches.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
    let factor = length as f64 * of_means / variance;
    // No spread at all gives NaN: every value is the same, and `max` takes the other operand.
    n as f64 / factor.max(1.0)
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    #[test]
    fn independent_values_count_in_full_and_correlated_ones_do_not() {
        let mut rng = KeyedRng::new(1, Purpose::Hold, 0);
        let noise: Vec<f64> = (0..32_000).map(|_| rng.uniform() - 0.5).collect();
        let independent = size(noise.len(), |i| noise[i]);
        assert!(independent > 0.5 * noise.len() as f64, "{independent}");
        // First-order autoregression: n_eff / n = (1 − φ) / (1 + φ) = 1/19. The factor's standard error is 25 %.
        let mut last = 0.0;
        let slow: Vec<f64> = noise
            .iter()
            .map(|x| {
                last = 0.9 * last + x;
                last
            })
            .collect();
        let expected = noise.len() as f64 / 19.0;
        let found = size(slow.len(), |i| slow[i]);
        assert!(found > expected / 2.0 && found < expected * 2.0, "{found} against {expected}");
        assert_eq!(size(1_000, |_| 7.0), 1_000.0);
        assert_eq!(size(5, |i| i as f64), 5.0);
    }
}
