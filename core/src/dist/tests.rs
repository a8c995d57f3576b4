//! Every distribution against its closed forms, on 100 000 draws with seed 42; and the corners that draws do not reach.

use super::special::{gamma_cdf, normal_cdf, normal_quantile, weibull_power};
use super::*;
use crate::rng::Purpose;

const DRAWS: usize = 100_000;

/// Largest distance between the empirical and the given distribution function, atoms allowed.
pub(crate) fn ks_distance(sample: &mut [f64], cdf: impl Fn(f64) -> f64) -> f64 {
    sample.sort_by(f64::total_cmp);
    let n = sample.len() as f64;
    let mut seen = 0.0;
    let mut distance: f64 = 0.0;
    for equal in sample.chunk_by(|a, b| a == b) {
        distance = distance.max((cdf(equal[0].next_down()) - seen / n).abs());
        seen += equal.len() as f64;
        distance = distance.max((cdf(equal[0]) - seen / n).abs());
    }
    distance
}

/// What the Kolmogorov–Smirnov distance of `n` draws stays below 99 times in 100.
pub(crate) fn ks_limit(n: usize) -> f64 {
    1.63 / (n as f64).sqrt()
}

/// Asserts that mean and variance are within 4 standard errors of the distribution's and the distance within its limit.
pub(crate) fn assert_like(sample: &mut [f64], dist: &Dist) {
    let n = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / n;
    let moment = |power| sample.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    let (variance, fourth) = (moment(2), moment(4));
    // Rounding to the nanosecond, and in the sums, is all that is left when every draw is the same.
    let rounding = 1e-6 * dist.mean();
    let close = |found: f64, wanted: f64, error: f64| (found - wanted).abs() <= 4.0 * error + rounding;
    assert!(close(mean, dist.mean(), (variance / n).sqrt()), "{dist:?}: mean {mean}, not {}", dist.mean());
    let error = ((fourth - variance * variance).max(0.0) / n).sqrt();
    assert!(close(variance, dist.variance(), error), "{dist:?}: variance {variance}, not {}", dist.variance());
    let distance = ks_distance(sample, |x| dist.cdf(x));
    assert!(distance < ks_limit(sample.len()), "{dist:?}: distance {distance}");
}

/// From one stream: what is tested is the transform. Arrivals and hosts test that streams of different keys are
/// independent.
fn draws(dist: &Dist) -> Vec<f64> {
    let sampler = dist.sampler();
    let mut rng = KeyedRng::new(42, Purpose::Hold, 0);
    (0..DRAWS).map(|_| sampler.sample(&mut rng)).collect()
}

#[test]
fn every_distribution_has_its_mean_variance_and_shape() {
    for dist in [
        Dist::Deterministic { value: 7.5 },
        Dist::Normal { mean: 10.0, stddev: 2.0 },
        Dist::Normal { mean: 10.0, stddev: 20.0 },
        Dist::Normal { mean: -10.0, stddev: 5.0 },
        Dist::LogNormal { median: 88.25, sigma: 0.5 },
        Dist::Exponential { mean: 100.0 },
        Dist::Gamma { mean: 3.0, cv: 0.25 },
        Dist::Gamma { mean: 3.0, cv: 1.0 },
        Dist::Gamma { mean: 3.0, cv: 2.5 },
        Dist::Weibull { mean: 3.0, cv: 0.25 },
        Dist::Weibull { mean: 3.0, cv: 2.0 },
        Dist::Pareto { min: 5.0, alpha: 6.0 },
        Dist::Uniform { min: 2.0, max: 9.0 },
        Dist::Bimodal { fast: 10.0, slow: 500.0, slow_fraction: 0.05 },
        Dist::Percentiles { p50: 20.0, p80: 50.0, p90: 80.0, p99: 300.0, p100: 1000.0 },
        Dist::Percentiles { p50: 20.0, p80: 20.0, p90: 20.0, p99: 300.0, p100: 300.0 },
    ] {
        assert_like(&mut draws(&dist), &dist);
    }
}

#[test]
fn a_spread_of_zero_is_a_constant() {
    for dist in [
        Dist::Normal { mean: 5.0, stddev: 0.0 },
        Dist::LogNormal { median: 5.0, sigma: 0.0 },
        Dist::Gamma { mean: 5.0, cv: 0.0 },
        Dist::Weibull { mean: 5.0, cv: 0.0 },
        Dist::Uniform { min: 5.0, max: 5.0 },
        Dist::Bimodal { fast: 5.0, slow: 9.0, slow_fraction: 0.0 },
    ] {
        let draw = dist.sample(&mut KeyedRng::new(1, Purpose::Hold, 0));
        assert!((draw - 5.0).abs() < 1e-14, "{dist:?} drew {draw}");
        assert!((dist.mean() - 5.0).abs() < 1e-14 && dist.variance() == 0.0);
        assert_eq!((dist.cdf(4.999), dist.cdf(5.0)), (0.0, 1.0), "{dist:?}");
    }
}

#[test]
fn zero_is_drawn_where_nothing_else_is_left() {
    for dist in [
        Dist::Deterministic { value: 0.0 },
        Dist::LogNormal { median: 0.0, sigma: 1.0 },
        Dist::Exponential { mean: 0.0 },
        Dist::Gamma { mean: 0.0, cv: 1.0 },
        Dist::Normal { mean: -100.0, stddev: 1.0 },
        Dist::Percentiles { p50: 0.0, p80: 0.0, p90: 0.0, p99: 0.0, p100: 0.0 },
    ] {
        assert_eq!(dist.sample(&mut KeyedRng::new(1, Purpose::Hold, 0)), 0.0, "{dist:?}");
        assert_eq!((dist.mean(), dist.cdf(0.0)), (0.0, 1.0), "{dist:?}");
    }
}

#[test]
fn moments_that_do_not_exist_are_infinite() {
    assert_eq!(Dist::Pareto { min: 1.0, alpha: 1.0 }.mean(), f64::INFINITY);
    assert_eq!(Dist::Pareto { min: 1.0, alpha: 2.0 }.variance(), f64::INFINITY);
    assert_eq!(Dist::Pareto { min: 1.0, alpha: 2.0 }.mean(), 2.0);
}

#[test]
fn percentiles_are_where_they_were_put() {
    let dist = Dist::Percentiles { p50: 20.0, p80: 50.0, p90: 80.0, p99: 300.0, p100: 1000.0 };
    for (x, level) in [(0.0, 0.0), (10.0, 0.25), (20.0, 0.5), (35.0, 0.65), (80.0, 0.9), (300.0, 0.99), (2000.0, 1.0)] {
        assert!((dist.cdf(x) - level).abs() < 1e-15, "{x}");
    }
    let tied = Dist::Percentiles { p50: 20.0, p80: 20.0, p90: 80.0, p99: 80.0, p100: 80.0 };
    assert_eq!((tied.cdf(20.0), tied.cdf(80.0)), (0.8, 1.0));
    assert!((tied.cdf(19.0) - 0.475).abs() < 1e-15 && (tied.cdf(79.999_999) - 0.9).abs() < 1e-6);
}

#[test]
fn the_normal_quantile_inverts_the_distribution_function() {
    // The test values of AS 241.
    for (p, x) in [(0.25, -0.674_489_750_196_081_7), (0.001, -3.090_232_306_167_814), (1e-20, -9.262_340_089_798_408)] {
        assert!((normal_quantile(p) / x - 1.0).abs() < 1e-15, "{p}");
    }
    for exponent in 1..300 {
        let p = 10f64.powi(-exponent);
        let relative = normal_cdf(normal_quantile(p)) / p - 1.0;
        // A relative error e of x is one of x²·e in Φ(x).
        assert!(relative.abs() < 1e-12, "{p}: off by {relative}");
    }
    assert_eq!(normal_quantile(0.5), 0.0);
    assert_eq!(normal_quantile(0.9), -normal_quantile(1.0 - 0.9));
}

#[test]
fn the_gamma_distribution_function_has_its_closed_forms() {
    for x in [0.01, 0.5, 1.0, 1.9, 2.1, 5.0, 30.0] {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-14, "{x}: {a}, not {b}");
        near(gamma_cdf(1.0, x), 1.0 - libm::exp(-x));
        near(gamma_cdf(0.5, x), libm::erf(x.sqrt()));
        near(gamma_cdf(3.0, x), 1.0 - libm::exp(-x) * (1.0 + x + x * x / 2.0));
    }
    assert!((gamma_cdf(1e8, 1e8) - 0.5).abs() < 1e-4);
}

#[test]
fn the_weibull_shape_has_the_asked_for_variation() {
    assert!((weibull_power(1.0) - 1.0).abs() < 1e-14);
    for cv in [0.01, 0.1, 0.5, 2.0, 10.0] {
        let power = weibull_power(cv);
        let ratio = libm::tgamma(1.0 + 2.0 * power) / libm::tgamma(1.0 + power).powi(2);
        assert!(((ratio - 1.0).sqrt() / cv - 1.0).abs() < 1e-9, "{cv}: {power}");
    }
}
