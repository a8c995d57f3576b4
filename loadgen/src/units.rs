//! How numbers are written on the command line: durations with a unit, counts such as `10k`, distributions such as
//! `exp:100ms`, arrival processes such as `gamma:2`. Errors are sentences that say what would be right.

mod keys;
mod profile;
mod think;

use std::time::Duration;

use galton_core::dist::Dist;

pub(crate) use self::keys::Keys;
pub(crate) use self::profile::Profile;
pub(crate) use self::think::ThinkDist;

/// 2⁵³: above it a float skips integers.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// What `--arrival` names; the rate comes from `--rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ArrivalKind {
    /// Exponential gaps.
    Poisson,
    /// Exactly as many arrivals as the rate gives, uniform over the duration.
    PoissonExact,
    /// Equal gaps.
    Fixed,
    /// Uniform gaps, the mean ± this share of it.
    Uniform(f64),
    /// Weibull gaps of this shape.
    Weibull(f64),
    /// Gamma gaps with this coefficient of variation.
    Gamma(f64),
    /// Lognormal gaps with this standard deviation of the logarithm.
    LogNormal(f64),
}

/// A duration: a number and its unit. A bare number is refused, whatever it might mean.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a duration: write 500ms, 10s, 2m or 1h"))?;
    let seconds = match unit {
        "us" | "µs" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "" => return Err(format!("{text:?} has no unit: write {text}s or {text}ms")),
        unit => return Err(format!("{unit:?} is not a unit of time: use us, ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{text:?} is too long"))
}

/// How long to send. A value that is no duration may have been meant for another tool's `-d`.
pub(crate) fn horizon(text: &str) -> Result<Duration, String> {
    let parsed = duration(text).map_err(|e| format!("{e} (for a request body use -b)"))?;
    if parsed.is_zero() { Err("must be longer than 0".to_owned()) } else { Ok(parsed) }
}

/// `on` or `off`.
pub(crate) fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

/// How many times faster: above 0.
pub(crate) fn factor(text: &str) -> Result<f64, String> {
    positive(text)
}

/// `--sessions RATE:MEAN`.
pub(crate) fn sessions(text: &str) -> Result<(f64, f64), String> {
    let (per_sec, mean) = text.split_once(':').ok_or("expected RATE:MEAN, sessions per second and requests of each")?;
    let (per_sec, mean) = (rate(per_sec)?, positive(mean)?);
    if mean >= 1.0 { Ok((per_sec, mean)) } else { Err(format!("a session has at least 1 request, got {mean}")) }
}

/// A time-out: longer than 0.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed.is_zero() { Err("must be longer than 0".to_owned()) } else { Ok(parsed) }
}

/// A count from 1: `200`, `10k`, `1m`, `1.5k`.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a count: write 200, 10k or 1m, at least 1");
    let lower = text.to_ascii_lowercase();
    let (number, factor) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 1e3),
        Some(b'm') => (&lower[..lower.len() - 1], 1e6),
        _ => (lower.as_str(), 1.0),
    };
    let value = number.parse::<f64>().map_err(|_| wrong())? * factor;
    if (1.0..=LARGEST_COUNT).contains(&value) && value.fract() == 0.0 { Ok(value as u64) } else { Err(wrong()) }
}

/// A rate in requests per second, above 0; a trailing `/s` is accepted.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    positive(text.strip_suffix("/s").unwrap_or(text)).map_err(|e| format!("{e} (requests per second)"))
}

/// A think time in milliseconds; the flag's name carries the unit.
pub(crate) fn milliseconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of milliseconds"))?;
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err("must be 0 or more".to_owned()) }
}

/// `--arrival`.
pub(crate) fn arrival(text: &str) -> Result<ArrivalKind, String> {
    let (name, parameter) = text.split_once(':').map_or((text, None), |(n, p)| (n, Some(p)));
    match (name, parameter) {
        ("poisson", None) => Ok(ArrivalKind::Poisson),
        ("poisson-exact", None) => Ok(ArrivalKind::PoissonExact),
        ("fixed", None) => Ok(ArrivalKind::Fixed),
        ("uniform", Some(jitter)) => match positive(jitter)? {
            jitter if jitter <= 1.0 => Ok(ArrivalKind::Uniform(jitter)),
            jitter => Err(format!("the jitter is a share of the mean gap, at most 1, got {jitter}")),
        },
        ("weibull", Some(shape)) => positive(shape).map(ArrivalKind::Weibull),
        ("gamma", Some(cv)) => positive(cv).map(ArrivalKind::Gamma),
        ("lognormal", Some(sigma)) => positive(sigma).map(ArrivalKind::LogNormal),
        _ => Err(format!(
            "{text:?}: expected poisson, poisson-exact, fixed, uniform:J, gamma:CV, weibull:K or lognormal:SIGMA"
        )),
    }
}

/// `--hold`: a distribution of durations, in milliseconds.
pub(crate) fn hold(text: &str) -> Result<Dist, String> {
    dist(text, |s| duration(s).map(|d| d.as_secs_f64() * 1e3))
}

/// `--cpu`: a distribution of CPU units.
pub(crate) fn cpu(text: &str) -> Result<Dist, String> {
    dist(text, |s| s.parse().map_err(|_| format!("{s:?} is not a number of CPU units")))
}

fn dist(text: &str, value: impl Fn(&str) -> Result<f64, String>) -> Result<Dist, String> {
    let Some((name, parameters)) = text.split_once(':') else {
        return value(text).map(|value| Dist::Deterministic { value });
    };
    let parameters: Vec<&str> = parameters.split(',').map(str::trim).collect();
    match (name, parameters.as_slice()) {
        ("const", [v]) => value(v).map(|value| Dist::Deterministic { value }),
        ("exp", [mean]) => above_zero(value(mean)?).map(|mean| Dist::Exponential { mean }),
        ("normal", [mean, stddev]) => Ok(Dist::Normal { mean: value(mean)?, stddev: value(stddev)? }),
        ("lognormal", [mean, sigma]) => {
            let sigma = positive(sigma)?;
            let median = above_zero(value(mean)?)? / libm::exp(sigma * sigma / 2.0);
            Ok(Dist::LogNormal { median, sigma })
        }
        ("gamma", [mean, cv]) => Ok(Dist::Gamma { mean: above_zero(value(mean)?)?, cv: positive(cv)? }),
        ("uniform", [min, max]) => match (value(min)?, value(max)?) {
            (min, max) if min < max => Ok(Dist::Uniform { min, max }),
            _ => Err(format!("{text:?}: the lower end must be below the upper one")),
        },
        _ => Err(format!(
            "{text:?}: expected VALUE, exp:MEAN, normal:MEAN,STDDEV, lognormal:MEAN,SIGMA, gamma:MEAN,CV or uniform:MIN,MAX"
        )),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    above_zero(text.parse().map_err(|_| format!("{text:?} is not a number"))?)
}

fn above_zero(value: f64) -> Result<f64, String> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(format!("must be above 0, got {value}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("35us"), Ok(Duration::from_micros(35)));
        assert_eq!(duration("10").unwrap_err(), "\"10\" has no unit: write 10s or 10ms");
        assert!(duration("-1s").is_err());
        assert!(duration("10 parsecs").is_err());
        assert!(horizon("{\"a\":1}").unwrap_err().ends_with("(for a request body use -b)"));
        assert!(horizon("0s").is_err());
        assert!(timeout("0ms").is_err());
    }

    #[test]
    fn counts_take_suffixes_and_nothing_else() {
        assert_eq!(count("200"), Ok(200));
        assert_eq!(count("10k"), Ok(10_000));
        assert_eq!(count("1M"), Ok(1_000_000));
        assert_eq!(count("1.5k"), Ok(1_500));
        for wrong in ["0", "-3", "1.5", "k", "10s", ""] {
            assert!(count(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rates_are_above_zero() {
        assert_eq!(rate("1000"), Ok(1000.0));
        assert_eq!(rate("0.5/s"), Ok(0.5));
        assert!(rate("0").is_err());
        assert!(rate("inf").is_err());
    }

    #[test]
    fn arrivals_by_name() {
        assert_eq!(arrival("poisson"), Ok(ArrivalKind::Poisson));
        assert_eq!(arrival("gamma:2"), Ok(ArrivalKind::Gamma(2.0)));
        for wrong in ["gamma", "fixed:3", "uniform", "lognormal:-1"] {
            assert!(arrival(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn distributions_by_name_and_with_units() {
        assert_eq!(hold("100ms"), Ok(Dist::Deterministic { value: 100.0 }));
        assert_eq!(hold("exp:2s"), Ok(Dist::Exponential { mean: 2000.0 }));
        assert_eq!(hold("uniform:1ms,3ms"), Ok(Dist::Uniform { min: 1.0, max: 3.0 }));
        assert_eq!(cpu("normal:10,2"), Ok(Dist::Normal { mean: 10.0, stddev: 2.0 }));
        let Ok(Dist::LogNormal { median, sigma }) = hold("lognormal:100ms,0.5") else { panic!("a lognormal") };
        assert!((median * (sigma * sigma / 2.0_f64).exp() - 100.0).abs() < 1e-9, "the first parameter is the mean");
        for wrong in ["100", "exp:0ms", "uniform:3ms,1ms", "gauss:1ms,2ms", "exp:1ms,2ms"] {
            assert!(hold(wrong).is_err(), "{wrong}");
        }
    }
}
