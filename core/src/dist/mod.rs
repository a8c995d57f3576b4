//! Distributions of durations and of CPU demand.

#[cfg(test)]
mod oracle;
mod percentiles;
mod sampler;
mod special;
#[cfg(test)]
pub(crate) mod tests;
mod together;

pub use sampler::Sampler;
pub use special::normal_quantile;

use self::percentiles::Ladder;
use crate::rng::KeyedRng;

/// A distribution of non-negative numbers, in the unit of its key (milliseconds, or CPU units).
///
/// Sampled by inverse transform where there is a closed form, with every transcendental function from `libm`, so that
/// the same key gives the same bits on every machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Dist {
    /// Always `value`.
    Deterministic {
        /// The value.
        value: f64,
    },
    /// Normal, truncated at 0 (conditional on being ≥ 0).
    Normal {
        /// Mean before truncation.
        mean: f64,
        /// Standard deviation before truncation.
        stddev: f64,
    },
    /// exp(N(mu, sigma²)).
    LogNormal {
        /// Median; the mean is median · exp(sigma²/2).
        median: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Exponential.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// Gamma.
    Gamma {
        /// Mean.
        mean: f64,
        /// Coefficient of variation; shape = 1/cv².
        cv: f64,
    },
    /// Weibull.
    Weibull {
        /// Mean.
        mean: f64,
        /// Coefficient of variation.
        cv: f64,
    },
    /// Pareto (type I).
    Pareto {
        /// Smallest value.
        min: f64,
        /// Tail exponent; the mean is finite above 1.
        alpha: f64,
    },
    /// Uniform in `[min, max)`.
    Uniform {
        /// Lower end.
        min: f64,
        /// Upper end.
        max: f64,
    },
    /// `slow` with probability `slow_fraction`, else `fast`.
    Bimodal {
        /// The usual value.
        fast: f64,
        /// The rare value.
        slow: f64,
        /// How often the rare one.
        slow_fraction: f64,
    },
    /// Piecewise-linear inverse CDF through the percentiles, uniform from 0 to p50.
    Percentiles {
        /// Median.
        p50: f64,
        /// 80th.
        p80: f64,
        /// 90th.
        p90: f64,
        /// 99th.
        p99: f64,
        /// Largest value.
        p100: f64,
    },
}

// === impl Dist ===

impl Dist {
    /// Prepares the distribution for drawing.
    pub fn sampler(&self) -> Sampler {
        Sampler::new(self)
    }

    /// One draw. Where many are made, prepare a [`Sampler`] once.
    pub fn sample(&self, rng: &mut KeyedRng) -> f64 {
        self.sampler().sample(rng)
    }

    /// The mean; infinite for a Pareto distribution with alpha ≤ 1.
    pub fn mean(&self) -> f64 {
        match *self {
            Self::Deterministic { value } => value,
            Self::Normal { mean, stddev } => special::truncated_normal(mean, stddev).0,
            Self::LogNormal { median, sigma } => median * libm::exp(sigma * sigma / 2.0),
            Self::Exponential { mean } | Self::Gamma { mean, .. } | Self::Weibull { mean, .. } => mean,
            Self::Pareto { alpha, .. } if alpha <= 1.0 => f64::INFINITY,
            Self::Pareto { min, alpha } => min * alpha / (alpha - 1.0),
            Self::Uniform { min, max } => (min + max) / 2.0,
            Self::Bimodal { fast, slow, slow_fraction } => fast + (slow - fast) * slow_fraction,
            Self::Percentiles { p50, p80, p90, p99, p100 } => Ladder::new([p50, p80, p90, p99, p100]).mean(),
        }
    }

    /// The variance; infinite for a Pareto distribution with alpha ≤ 2.
    pub fn variance(&self) -> f64 {
        match *self {
            Self::Deterministic { .. } => 0.0,
            Self::Normal { mean, stddev } => special::truncated_normal(mean, stddev).1,
            Self::LogNormal { sigma, .. } => self.mean() * self.mean() * libm::expm1(sigma * sigma),
            Self::Exponential { mean } => mean * mean,
            Self::Gamma { mean, cv } | Self::Weibull { mean, cv } => (cv * mean) * (cv * mean),
            Self::Pareto { alpha, .. } if alpha <= 2.0 => f64::INFINITY,
            Self::Pareto { min, alpha } => min * min * alpha / ((alpha - 1.0) * (alpha - 1.0) * (alpha - 2.0)),
            Self::Uniform { min, max } => (max - min) * (max - min) / 12.0,
            Self::Bimodal { fast, slow, slow_fraction: p } => (slow - fast) * (slow - fast) * p * (1.0 - p),
            Self::Percentiles { p50, p80, p90, p99, p100 } => Ladder::new([p50, p80, p90, p99, p100]).variance(),
        }
    }

    /// P(X ≤ x).
    pub fn cdf(&self, x: f64) -> f64 {
        if x < 0.0 {
            return 0.0;
        }
        match *self {
            Self::Deterministic { value } => step(x >= value),
            Self::Normal { mean, stddev } => special::truncated_normal_cdf(mean, stddev, x),
            Self::LogNormal { median, sigma } if median * sigma == 0.0 => step(x >= median),
            Self::LogNormal { median, sigma } => special::normal_cdf(libm::log(x / median) / sigma),
            Self::Exponential { mean: 0.0 } => 1.0,
            Self::Exponential { mean } => -libm::expm1(-x / mean),
            Self::Gamma { mean, cv } | Self::Weibull { mean, cv } if mean * cv == 0.0 => step(x >= mean),
            Self::Gamma { mean, cv } => special::gamma_cdf(1.0 / (cv * cv), x / (mean * cv * cv)),
            Self::Weibull { mean, cv } => {
                let power = special::weibull_power(cv);
                -libm::expm1(-libm::pow(x / special::weibull_scale(mean, power), 1.0 / power))
            }
            Self::Pareto { min, alpha } => 1.0 - libm::pow((min / x).min(1.0), alpha),
            Self::Uniform { min, max } if min == max => step(x >= min),
            Self::Uniform { min, max } => ((x - min) / (max - min)).clamp(0.0, 1.0),
            Self::Bimodal { fast, slow, slow_fraction } => {
                step(x >= fast) * (1.0 - slow_fraction) + step(x >= slow) * slow_fraction
            }
            Self::Percentiles { p50, p80, p90, p99, p100 } => Ladder::new([p50, p80, p90, p99, p100]).cdf(x),
        }
    }

    /// The name that a scenario file uses and the numbers, in the order of their declaration, zeros where there are
    /// fewer.
    pub(crate) fn parameters(&self) -> (&'static str, [f64; 5]) {
        match *self {
            Self::Deterministic { value } => ("deterministic", [value, 0.0, 0.0, 0.0, 0.0]),
            Self::Normal { mean, stddev } => ("normal", [mean, stddev, 0.0, 0.0, 0.0]),
            Self::LogNormal { median, sigma } => ("lognormal", [median, sigma, 0.0, 0.0, 0.0]),
            Self::Exponential { mean } => ("exponential", [mean, 0.0, 0.0, 0.0, 0.0]),
            Self::Gamma { mean, cv } => ("gamma", [mean, cv, 0.0, 0.0, 0.0]),
            Self::Weibull { mean, cv } => ("weibull", [mean, cv, 0.0, 0.0, 0.0]),
            Self::Pareto { min, alpha } => ("pareto", [min, alpha, 0.0, 0.0, 0.0]),
            Self::Uniform { min, max } => ("uniform", [min, max, 0.0, 0.0, 0.0]),
            Self::Bimodal { fast, slow, slow_fraction } => ("bimodal", [fast, slow, slow_fraction, 0.0, 0.0]),
            Self::Percentiles { p50, p80, p90, p99, p100 } => ("percentiles", [p50, p80, p90, p99, p100]),
        }
    }
}

fn step(reached: bool) -> f64 {
    f64::from(u8::from(reached))
}
