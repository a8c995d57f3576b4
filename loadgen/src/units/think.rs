//! `--think-dist`: how think times spread.

use std::str::FromStr;

use galton_core::dist::Dist;

use super::{duration, positive};

/// The shape of think times; the mean is `--think-time-ms`, but for a uniform one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ThinkDist {
    /// Always the same.
    Const,
    /// Exponential.
    Exp,
    /// Between these, in milliseconds.
    Uniform(f64, f64),
    /// Lognormal, with this standard deviation of the logarithm.
    LogNormal(f64),
}

impl FromStr for ThinkDist {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ms = |text: &str| duration(text.trim()).map(|d| d.as_secs_f64() * 1e3);
        match text.split_once(':') {
            None if text == "const" => Ok(Self::Const),
            None if text == "exp" => Ok(Self::Exp),
            Some(("lognormal", sigma)) => positive(sigma).map(Self::LogNormal),
            Some(("uniform", ends)) => {
                let (min, max) = ends.split_once(',').ok_or("expected uniform:A,B such as uniform:50ms,150ms")?;
                let (min, max) = (ms(min)?, ms(max)?);
                if min < max {
                    Ok(Self::Uniform(min, max))
                } else {
                    Err("the lower end must be below the upper one".to_owned())
                }
            }
            _ => Err("expected const, exp, uniform:A,B or lognormal:SIGMA".to_owned()),
        }
    }
}

impl ThinkDist {
    /// With this mean, in milliseconds.
    pub(crate) fn with_mean(self, mean: f64) -> Dist {
        match self {
            Self::Uniform(min, max) => Dist::Uniform { min, max },
            _ if mean == 0.0 => Dist::Deterministic { value: 0.0 },
            Self::Const => Dist::Deterministic { value: mean },
            Self::Exp => Dist::Exponential { mean },
            Self::LogNormal(sigma) => Dist::LogNormal { median: mean / libm::exp(sigma * sigma / 2.0), sigma },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn think_times_keep_their_mean() {
        for spec in ["const", "exp", "lognormal:0.7", "uniform:20ms,60ms"] {
            let mean = spec.parse::<ThinkDist>().unwrap().with_mean(40.0).mean();
            assert!((mean - 40.0).abs() < 1e-9, "{spec}: {mean}");
        }
        for wrong in ["uniform:20,60", "uniform:60ms,20ms", "lognormal:-1", "gauss"] {
            assert!(wrong.parse::<ThinkDist>().is_err(), "{wrong}");
        }
    }
}
