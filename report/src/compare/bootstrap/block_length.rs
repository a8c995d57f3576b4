//! How long the blocks of a bootstrap should be, from the series' own autocorrelation.
//!
//! Politis and White, "Automatic block-length selection for the dependent bootstrap", Econometric Reviews 23, 2004, with the
//! correction by Patton, Politis and White, Econometric Reviews 28, 2009: the length that minimises the mean square error of
//! the variance of the mean, from the autocovariances up to twice the lag after which they are noise.

/// Lags in a row that must be noise; more for very long series.
const QUIET_LAGS: usize = 5;

/// The length for the circular bootstrap, at least the n^(1/3) that its theory asks for whatever the constant (Hall, Horowitz
/// and Jing, "On blocking rules for the bootstrap with dependent data", Biometrika 82, 1995).
pub(crate) fn block_length(series: &[f64]) -> usize {
    let n = series.len() as f64;
    let least = n.cbrt().ceil().max(1.0);
    automatic(series).unwrap_or(1.0).max(least).ceil() as usize
}

/// None for a series without spread.
fn automatic(series: &[f64]) -> Option<f64> {
    let n = series.len();
    let mean = series.iter().sum::<f64>() / n as f64;
    let deviations: Vec<f64> = series.iter().map(|x| x - mean).collect();
    let variance = autocovariance(&deviations, 0);
    if variance.is_nan() || variance <= 0.0 {
        return None;
    }
    let covariances = covariances(&deviations, variance);
    let (mut slope, mut spectrum) = (0.0, variance);
    let lags = covariances.len() as f64;
    for (lag, covariance) in (1..).map(f64::from).zip(&covariances) {
        // The flat-top window: 1 up to half of the lags, then down to 0.
        let window = (2.0 * (1.0 - lag / lags)).min(1.0);
        slope += 2.0 * window * lag * covariance;
        spectrum += 2.0 * window * covariance;
    }
    let n = n as f64;
    let length = (1.5 * slope.powi(2) / spectrum.powi(2) * n).cbrt();
    let most = (3.0 * n.sqrt()).min(n / 3.0).ceil();
    // An alternating series may have no spectrum at 0 to speak of.
    Some(if length.is_finite() { length.min(most) } else { most })
}

/// The autocovariances from lag 1 to twice the last lag that is not noise.
fn covariances(deviations: &[f64], variance: f64) -> Vec<f64> {
    let n = deviations.len();
    let log = (n as f64).log10();
    let quiet_lags = QUIET_LAGS.max(log as usize);
    let most = ((n as f64).sqrt().ceil() as usize + quiet_lags).min(n.saturating_sub(1));
    let noise = 2.0 * (log / n as f64).sqrt() * variance;
    let mut covariances = Vec::new();
    let mut quiet = 0;
    while covariances.len() < most && quiet < quiet_lags {
        let covariance = autocovariance(deviations, covariances.len() + 1);
        quiet = if covariance.abs() < noise { quiet + 1 } else { 0 };
        covariances.push(covariance);
    }
    // The first of the quiet lags, one more than in the paper: a little longer blocks, as other implementations have them.
    let first_quiet = if quiet == quiet_lags { covariances.len() + 1 - quiet_lags } else { most };
    let wanted = (2 * first_quiet).min(most);
    for lag in covariances.len() + 1..=wanted {
        covariances.push(autocovariance(deviations, lag));
    }
    covariances.truncate(wanted);
    covariances
}

fn autocovariance(deviations: &[f64], lag: usize) -> f64 {
    let n = deviations.len();
    deviations.iter().zip(&deviations[lag.min(n)..]).map(|(x, y)| x * y).sum::<f64>() / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First-order autoregression of a linear congruential generator, so that another program can make the same series.
    fn autoregression(n: usize, coefficient: f64) -> Vec<f64> {
        let (mut state, mut last) = (12_345_u64, 0.0);
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            last = coefficient * last + (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
            last
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn lengths_agree_with_another_implementation() {
        // `optimal_block_length` of the Python package arch 8.0, column "circular".
        for (n, coefficient, expected) in
            [(500, 0.0, 0.684_87), (1_000, 0.5, 14.186_272), (2_000, 0.9, 71.484_52), (3_000, 0.99, 127.129_467)]
        {
            let found = automatic(&autoregression(n, coefficient)).unwrap();
            // The other one scales the sample's autocorrelation by the spread of what overlaps.
            assert!((found / expected - 1.0).abs() < 0.02, "{n} {coefficient}: {found} against {expected}");
        }
    }

    #[test]
    fn no_length_is_below_the_cube_root_and_none_needs_a_spread() {
        assert_eq!(block_length(&autoregression(1_000, 0.0)), 10);
        assert_eq!(block_length(&[3.0; 1_000]), 10);
        assert_eq!(block_length(&[]), 1);
        assert_eq!(block_length(&[1.0]), 1);
    }
}
