//! Flags of what is measured, and of where it goes: `--warmup`, `--slo`, `--output-dir`.

use galton_core::Nanos;
use galton_report::WarmUp;
use galton_report::slo::Slo;

use crate::units;

/// What counts, and what was promised.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Measure")]
pub(crate) struct MeasureArgs {
    /// Leave out of the statistics what is meant for before D (10s), the first N requests (10k), or, with auto, whatever comes
    /// before response times have settled.
    #[arg(short, long, value_name = "D|N|auto", value_parser = warm_up)]
    pub(crate) warmup: Option<WarmUp>,
    /// What the run is to keep, repeatable: p99<250ms, mean<=20ms, max<1s, errors<0.1%, rate>900. Exit with 99 if it does not.
    #[arg(long, value_name = "OBJECTIVE", value_parser = |text: &str| text.parse::<Slo>())]
    pub(crate) slo: Vec<Slo>,
}

/// A duration has a unit; a bare number counts requests.
fn warm_up(text: &str) -> Result<WarmUp, String> {
    if text == "auto" {
        return Ok(WarmUp::Auto);
    }
    let time = units::duration(text).map(|time| Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
    // `1m` is a minute, as everywhere where a duration may stand.
    match (time, units::count(text)) {
        (Ok(time), _) => Ok(WarmUp::Time(time)),
        (Err(_), Ok(n)) => Ok(WarmUp::Requests(n)),
        (Err(_), Err(_)) => Err(format!("{text:?}: write a time (10s), a number of requests (10k) or auto")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_up_is_a_time_or_a_number_or_found() {
        assert_eq!(warm_up("1.5s"), Ok(WarmUp::Time(Nanos::from_millis(1_500))));
        assert_eq!(warm_up("1m"), Ok(WarmUp::Time(Nanos::from_millis(60_000))));
        assert_eq!(warm_up("10k"), Ok(WarmUp::Requests(10_000)));
        assert_eq!(warm_up("250"), Ok(WarmUp::Requests(250)));
        assert_eq!(warm_up("auto"), Ok(WarmUp::Auto));
        for wrong in ["", "automatic", "-1s", "0"] {
            assert!(warm_up(wrong).unwrap_err().contains("write a time"), "{wrong}");
        }
    }
}
