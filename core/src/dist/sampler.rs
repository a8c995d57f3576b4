//! A distribution prepared for drawing: what can be computed once is computed here, so that a draw costs one or two
//! transcendental functions.
//!
//! All but gamma are inverse transforms, increasing in the uniform they consume: one uniform per draw.

use super::Dist;
use super::percentiles::Ladder;
use super::{special, together};
use crate::rng::{Keyed, KeyedRng, Purpose};

/// A prepared [`Dist`].
#[derive(Clone, Copy, Debug)]
pub struct Sampler(Shape);

#[derive(Clone, Copy, Debug)]
enum Shape {
    Constant(f64),
    /// `mass`: of the untruncated distribution, above 0.
    Normal {
        mean: f64,
        stddev: f64,
        mass: f64,
    },
    LogNormal {
        mu: f64,
        sigma: f64,
    },
    Exponential {
        mean: f64,
    },
    Gamma(Gamma),
    /// `scale · E^power` with E exponential.
    Weibull {
        scale: f64,
        power: f64,
    },
    /// `min · v^power` with v uniform.
    Pareto {
        min: f64,
        power: f64,
    },
    Uniform {
        min: f64,
        width: f64,
    },
    Bimodal {
        fast: f64,
        slow: f64,
        fast_fraction: f64,
    },
    Percentiles(Ladder),
}

/// Marsaglia and Tsang, "A simple method for generating gamma variables" (ACM TOMS 26, 2000).
#[derive(Clone, Copy, Debug)]
struct Gamma {
    scale: f64,
    d: f64,
    c: f64,
    /// 1/shape if the shape is below 1: then a draw of shape + 1 is multiplied by u^(1/shape), as in section 6 there.
    boost: Option<f64>,
}

// === impl Sampler ===

impl Sampler {
    pub(super) fn new(dist: &Dist) -> Self {
        Self(match *dist {
            Dist::Deterministic { value } => Shape::Constant(value),
            Dist::Normal { mean, stddev } => Shape::normal(mean, stddev),
            Dist::LogNormal { median, sigma } => Shape::LogNormal { mu: libm::log(median), sigma },
            Dist::Exponential { mean } => Shape::Exponential { mean },
            Dist::Gamma { mean, cv } | Dist::Weibull { mean, cv } if mean * cv == 0.0 => Shape::Constant(mean),
            Dist::Gamma { mean, cv } => Shape::Gamma(Gamma::new(mean, cv)),
            Dist::Weibull { mean, cv } => {
                let power = special::weibull_power(cv);
                Shape::Weibull { scale: special::weibull_scale(mean, power), power }
            }
            Dist::Pareto { min, alpha } => Shape::Pareto { min, power: -1.0 / alpha },
            Dist::Uniform { min, max } => Shape::Uniform { min, width: max - min },
            Dist::Bimodal { fast, slow, slow_fraction } => {
                Shape::Bimodal { fast, slow, fast_fraction: 1.0 - slow_fraction }
            }
            Dist::Percentiles { p50, p80, p90, p99, p100 } => {
                Shape::Percentiles(Ladder::new([p50, p80, p90, p99, p100]))
            }
        })
    }

    /// The first draw of each of the keys `first`, `first` + 1, …: the same values as one by one, in half the time.
    pub fn sample_each(&self, seed: u64, purpose: Purpose, first: u64, out: &mut [f64]) {
        let keys = Keyed::new(seed, purpose);
        match &self.0 {
            Shape::Constant(value) => out.fill(*value),
            Shape::Normal { mean, stddev, mass } => {
                keys.uniforms(first, out);
                out.iter_mut().for_each(|x| *x = (1.0 - *x) * mass);
                special::normal_quantiles(out);
                out.iter_mut().for_each(|x| *x = (mean - stddev * *x).max(0.0));
            }
            Shape::LogNormal { mu, sigma } => {
                keys.uniforms(first, out);
                special::normal_quantiles(out);
                out.iter_mut().for_each(|x| *x = mu + sigma * *x);
                together::exps(out);
            }
            Shape::Exponential { mean } => {
                keys.uniforms(first, out);
                out.iter_mut().for_each(|x| *x = 1.0 - *x);
                together::logs(out);
                out.iter_mut().for_each(|x| *x = mean * -*x);
            }
            _ => (first..).zip(out).for_each(|(key, x)| *x = self.sample(&mut keys.rng(key))),
        }
    }

    /// One draw.
    pub fn sample(&self, rng: &mut KeyedRng) -> f64 {
        match &self.0 {
            Shape::Constant(value) => *value,
            // From the upper tail, where nothing cancels; at most 0 by rounding alone.
            Shape::Normal { mean, stddev, mass } => {
                (mean - stddev * special::normal_quantile((1.0 - rng.uniform()) * mass)).max(0.0)
            }
            Shape::LogNormal { mu, sigma } => libm::exp(mu + sigma * special::normal_quantile(rng.uniform())),
            Shape::Exponential { mean } => mean * exponential(rng),
            Shape::Gamma(gamma) => gamma.sample(rng),
            Shape::Weibull { scale, power } => scale * libm::pow(exponential(rng), *power),
            Shape::Pareto { min, power } => min * libm::pow(1.0 - rng.uniform(), *power),
            Shape::Uniform { min, width } => min + width * rng.uniform(),
            Shape::Bimodal { fast, slow, fast_fraction } => {
                if rng.uniform() < *fast_fraction {
                    *fast
                } else {
                    *slow
                }
            }
            Shape::Percentiles(ladder) => ladder.quantile(rng.uniform()),
        }
    }
}

/// Exponential with mean 1. `1 − u` is exact and never 0.
#[inline]
fn exponential(rng: &mut KeyedRng) -> f64 {
    -libm::log(1.0 - rng.uniform())
}

// === impl Shape ===

impl Shape {
    /// A mean more than 37 standard deviations below 0 leaves no mass that a double could hold: then the value is 0.
    fn normal(mean: f64, stddev: f64) -> Self {
        if stddev == 0.0 {
            return Self::Constant(mean.max(0.0));
        }
        match special::normal_cdf(mean / stddev) {
            0.0 => Self::Constant(0.0),
            mass => Self::Normal { mean, stddev, mass },
        }
    }
}

// === impl Gamma ===

impl Gamma {
    fn new(mean: f64, cv: f64) -> Self {
        let shape = 1.0 / (cv * cv);
        let boost = (shape < 1.0).then_some(1.0 / shape);
        let d = if boost.is_some() { shape + 1.0 } else { shape } - 1.0 / 3.0;
        Self { scale: mean / shape, d, c: 1.0 / libm::sqrt(9.0 * d), boost }
    }

    fn sample(&self, rng: &mut KeyedRng) -> f64 {
        let boost = self.boost.map_or(1.0, |power| libm::pow(rng.uniform(), power));
        loop {
            let x = special::normal_quantile(rng.uniform());
            let v = 1.0 + self.c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            // At least 95 of 100 are accepted, so the loop ends soon.
            if libm::log(rng.uniform()) < x * x / 2.0 + self.d - self.d * v + self.d * libm::log(v) {
                return self.scale * self.d * v * boost;
            }
        }
    }
}
