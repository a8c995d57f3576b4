//! `--profile`: the rate over time.

use std::str::FromStr;

use galton_core::Nanos;
use galton_core::scenario::{Ramp, RateStep};

use super::{above_zero, duration, positive};

/// Most steps of a profile, as of a scenario's ramp.
const MOST_STEPS: usize = 1000;

/// What `--profile` names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Profile {
    /// The rate of `--rate`.
    Const,
    /// A rate of its own.
    Over(Ramp),
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "const" => Ok(Self::Const),
            Some(("linear", spec)) => linear(spec),
            Some(("steps", spec)) => steps(spec.split(',').map(step)),
            Some(("sine", spec)) => sine(spec),
            Some(("file", path)) => file(path),
            _ => Err(
                "expected const, linear:A..B/30s, steps:50@0s,200@60s, sine:MEAN,AMPLITUDE,PERIOD or file:RATES.csv"
                    .to_owned(),
            ),
        }
    }
}

fn linear(spec: &str) -> Result<Profile, String> {
    let parts = spec.split_once('/').and_then(|(rates, time)| Some((rates.split_once("..")?, time)));
    let Some(((start, end), time)) = parts else { return Err("expected linear:A..B/30s".to_owned()) };
    let (start, end) = (rate(start)?, rate(end)?);
    above_zero(start.max(end))?;
    Ok(Profile::Over(Ramp::Linear { start_rate_per_sec: start, end_rate_per_sec: end, ramp: nanos(time)?, hold: None }))
}

fn sine(spec: &str) -> Result<Profile, String> {
    let [mean, amplitude, period] = spec.split(',').map(str::trim).collect::<Vec<_>>()[..] else {
        return Err("expected sine:MEAN,AMPLITUDE,PERIOD such as sine:100,50,60s".to_owned());
    };
    let (mean, amplitude, period) = (positive(mean)?, rate(amplitude)?, nanos(period)?);
    if amplitude > mean {
        return Err(format!("the amplitude must be at most the mean, got {amplitude} and {mean}"));
    }
    if period == Nanos::ZERO {
        return Err("the period must be longer than 0".to_owned());
    }
    Ok(Profile::Over(Ramp::Sine { mean_rate_per_sec: mean, amplitude_per_sec: amplitude, period }))
}

fn step(text: &str) -> Result<RateStep, String> {
    let (value, at) =
        text.trim().split_once('@').ok_or_else(|| format!("{text:?}: expected RATE@TIME such as 50@0s"))?;
    Ok(RateStep { at: nanos(at)?, rate_per_sec: rate(value)? })
}

fn steps(steps: impl Iterator<Item = Result<RateStep, String>>) -> Result<Profile, String> {
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    if steps.len() > MOST_STEPS {
        return Err(format!("at most {MOST_STEPS} steps, got {}", steps.len()));
    }
    if !steps.is_sorted_by_key(|step| step.at) {
        return Err("the times of the steps must not fall".to_owned());
    }
    if !steps.iter().any(|step| step.rate_per_sec > 0.0) {
        return Err("no step has a rate above 0".to_owned());
    }
    Ok(Profile::Over(Ramp::Steps(steps)))
}

/// A CSV file with the header `t_ms,rate_per_sec`: each rate holds from its time on.
fn file(path: &str) -> Result<Profile, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    let mut lines = text.lines().map(str::trim).enumerate().map(|(i, line)| (i + 1, line));
    if lines.next().is_none_or(|(_, header)| header != "t_ms,rate_per_sec") {
        return Err(format!("{path}: line 1: the header must be t_ms,rate_per_sec"));
    }
    let row = |(number, line): (usize, &str)| {
        let step = line.split_once(',').and_then(|(at, value)| {
            let at: f64 = at.trim().parse().ok().filter(|at: &f64| at.is_finite() && *at >= 0.0)?;
            Some(RateStep { at: Nanos::from_millis_f64(at), rate_per_sec: rate(value.trim()).ok()? })
        });
        step.ok_or_else(|| format!("{path}: line {number}: expected two numbers from 0, got {line:?}"))
    };
    steps(lines.filter(|(_, line)| !line.is_empty()).map(row))
        .map_err(|e| if e.contains(path) { e } else { format!("{path}: {e}") })
}

/// A rate that may be 0 for a while.
fn rate(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("{text:?} is not a rate (requests per second)"))?;
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(format!("a rate must be 0 or more, got {value}")) }
}

fn nanos(text: &str) -> Result<Nanos, String> {
    let parsed = duration(text.trim())?;
    Ok(Nanos(u64::try_from(parsed.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_by_name() {
        let of = |text: &str| text.parse::<Profile>();
        assert_eq!(of("const"), Ok(Profile::Const));
        let ramp = Nanos::from_millis(30_000);
        let linear = Ramp::Linear { start_rate_per_sec: 10.0, end_rate_per_sec: 100.0, ramp, hold: None };
        assert_eq!(of("linear:10..100/30s"), Ok(Profile::Over(linear)));
        let at = |s: u64, rate_per_sec| RateStep { at: Nanos::from_millis(s * 1000), rate_per_sec };
        assert_eq!(of("steps:50@0s,200@60s"), Ok(Profile::Over(Ramp::Steps(vec![at(0, 50.0), at(60, 200.0)]))));
        assert!(matches!(of("sine:100,50,1m"), Ok(Profile::Over(Ramp::Sine { .. }))));
        for (wrong, why) in [
            ("linear:0..0/3s", "above 0"),
            ("linear:1..2", "expected linear"),
            ("steps:50@0", "has no unit"),
            ("steps:50@5s,20@1s", "must not fall"),
            ("steps:0@0s", "no step has a rate"),
            ("sine:10,20,1s", "at most the mean"),
            ("file:/nowhere.csv", "cannot read"),
            ("ramp:1", "expected const"),
        ] {
            let error = of(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_file_of_rates_is_a_profile_in_steps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rates.csv");
        let of = |content: &str| {
            std::fs::write(&path, content).unwrap();
            format!("file:{}", path.display()).parse::<Profile>()
        };
        let Ok(Profile::Over(Ramp::Steps(steps))) = of("t_ms,rate_per_sec\n0,10\n1500.5, 20\n") else {
            panic!("steps")
        };
        assert_eq!((steps[1].at, steps[1].rate_per_sec), (Nanos(1_500_500_000), 20.0));
        assert!(of("a,b\n").unwrap_err().contains("line 1: the header"));
        assert!(of("t_ms,rate_per_sec\n0,10\nx,1\n").unwrap_err().contains("line 3: expected two numbers"));
    }
}
