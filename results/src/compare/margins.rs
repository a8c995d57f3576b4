//! Margins on the command line: `relative=2%`, `time=0.2ms`.

use galton_core::Nanos;
use galton_report::compare::Margins;

/// One margin that is not the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MarginArg {
    what: What,
    value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Loss,
    Relative,
    /// In milliseconds.
    Time,
    Retries,
    Targets,
    ScaleUps,
}

/// `what=value`; a value may be a percentage, the time has its unit.
pub(crate) fn parse(text: &str) -> Result<MarginArg, String> {
    let (name, value) = text.split_once('=').ok_or("expected WHAT=VALUE, such as relative=2%")?;
    let (what, value) = match name {
        "loss" => (What::Loss, share(value)?),
        "relative" => (What::Relative, share(value)?),
        "time" => (What::Time, number(value.strip_suffix("ms").ok_or("a time needs its unit: time=0.2ms")?)?),
        "retries" => (What::Retries, share(value)?),
        "targets" => (What::Targets, number(value)?),
        "scale-ups" => (What::ScaleUps, number(value)?),
        _ => return Err(format!("no margin {name:?}: loss, relative, time, retries, targets, scale-ups")),
    };
    Ok(MarginArg { what, value })
}

fn share(text: &str) -> Result<f64, String> {
    text.strip_suffix('%').map_or_else(|| number(text), |percent| Ok(number(percent)? / 100.0))
}

fn number(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim().parse().map_err(|_| format!("{text:?} is not a number"))?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(format!("must be ≥ 0, got {text}")) }
}

// === impl MarginArg ===

impl MarginArg {
    /// Sets it.
    pub(crate) fn apply(&self, margins: &mut Margins) {
        match self.what {
            What::Loss => margins.loss = self.value,
            What::Relative => margins.relative = self.value,
            What::Time => margins.time = Nanos::from_millis_f64(self.value),
            What::Retries => margins.retries = self.value,
            What::Targets => margins.targets = self.value,
            What::ScaleUps => margins.scale_ups = self.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_shares_times_or_numbers() {
        let mut margins = Margins::default();
        for text in ["relative=5%", "time=1.5ms", "loss=0.01", "targets=2", "scale-ups=3", "retries=2%"] {
            parse(text).unwrap().apply(&mut margins);
        }
        let expected =
            Margins { loss: 0.01, relative: 0.05, time: Nanos(1_500_000), retries: 0.02, targets: 2.0, scale_ups: 3.0 };
        assert_eq!(margins, expected);
        for bad in ["relative", "time=1", "loss=-1", "loss=x", "speed=1", "relative=inf"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
