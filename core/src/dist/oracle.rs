//! The samplers against those of `rand_distr`, which somebody else wrote: two samples of each distribution, compared by
//! the two-sample Kolmogorov–Smirnov test.
//!
//! [`super::tests`] compares with closed forms, which are ours as well; here only the parametrisation is.

use rand_distr::{Distribution, Exp, Gamma, LogNormal, Normal, Pareto, Uniform, Weibull};

use super::Dist;
use super::special::weibull_power;
use crate::rng::{KeyedRng, Purpose};

const DRAWS: usize = 20_000;

/// What the distance of two samples of n draws stays below 99 times in 100: 1.63·√(2/n).
fn limit() -> f64 {
    1.63 * (2.0 / DRAWS as f64).sqrt()
}

/// Largest distance between two empirical distribution functions.
fn ks_distance(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let share = |sorted: &[f64], x| sorted.partition_point(|y| *y <= x) as f64 / sorted.len() as f64;
    a.iter().chain(&b).map(|x| (share(&a, *x) - share(&b, *x)).abs()).fold(0.0, f64::max)
}

fn ours(dist: &Dist) -> Vec<f64> {
    let (sampler, mut rng) = (dist.sampler(), KeyedRng::new(42, Purpose::Hold, 0));
    (0..DRAWS).map(|_| sampler.sample(&mut rng)).collect()
}

/// Negative draws are rejected.
fn theirs(oracle: impl Distribution<f64>) -> Vec<f64> {
    oracle.sample_iter(KeyedRng::new(7, Purpose::Hold, 0)).filter(|x| *x >= 0.0).take(DRAWS).collect()
}

fn assert_same(dist: &Dist, oracle: impl Distribution<f64>) {
    let distance = ks_distance(ours(dist), theirs(oracle));
    assert!(distance < limit(), "{dist:?}: distance {distance}, limit {}", limit());
}

#[test]
fn the_normal_is_the_one_that_rejects_what_is_below_zero() {
    for (mean, stddev) in [(10.0, 2.0), (10.0, 20.0), (-10.0, 10.0)] {
        assert_same(&Dist::Normal { mean, stddev }, Normal::new(mean, stddev).unwrap());
    }
}

#[test]
fn the_lognormal_has_its_median_at_the_exponential_of_mu() {
    for (median, sigma) in [(88.25, 0.5), (1.0, 2.0)] {
        assert_same(&Dist::LogNormal { median, sigma }, LogNormal::new(median.ln(), sigma).unwrap());
    }
}

#[test]
fn the_exponential_has_the_rate_of_one_in_its_mean() {
    assert_same(&Dist::Exponential { mean: 100.0 }, Exp::new(1.0 / 100.0).unwrap());
}

#[test]
fn the_gamma_has_shape_and_scale_by_mean_and_variation() {
    // Shapes of 16, 1 and 0.16: each is drawn in a way of its own there.
    for cv in [0.25, 1.0, 2.5] {
        let (mean, shape) = (3.0, 1.0 / (cv * cv));
        assert_same(&Dist::Gamma { mean, cv }, Gamma::new(shape, mean / shape).unwrap());
    }
}

#[test]
fn the_weibull_has_its_mean_and_variation() {
    // In closed form where the variation is 1 (shape 1) and √5 (shape 1/2, mean twice the scale).
    assert_same(&Dist::Weibull { mean: 3.0, cv: 1.0 }, Weibull::new(3.0, 1.0).unwrap());
    assert_same(&Dist::Weibull { mean: 3.0, cv: 5.0_f64.sqrt() }, Weibull::new(1.5, 0.5).unwrap());
    let (mean, cv) = (3.0, 0.25);
    let power = weibull_power(cv);
    let scale = mean / libm::tgamma(1.0 + power);
    assert_same(&Dist::Weibull { mean, cv }, Weibull::new(scale, 1.0 / power).unwrap());
}

#[test]
fn the_pareto_starts_at_its_smallest_value() {
    for alpha in [6.0, 1.1] {
        assert_same(&Dist::Pareto { min: 5.0, alpha }, Pareto::new(5.0, alpha).unwrap());
    }
}

#[test]
fn the_uniform_lies_between_its_ends() {
    assert_same(&Dist::Uniform { min: 2.0, max: 9.0 }, Uniform::new(2.0, 9.0).unwrap());
}

#[test]
fn the_comparison_tells_distributions_apart() {
    let near = Dist::Normal { mean: 10.0, stddev: 2.0 };
    let distance = ks_distance(ours(&near), theirs(Normal::new(10.1, 2.0).unwrap()));
    assert!(distance > limit(), "a twentieth of a standard deviation shows: {distance}");
    assert_eq!(ks_distance(vec![1.0, 2.0], vec![2.0, 3.0]), 0.5);
}
