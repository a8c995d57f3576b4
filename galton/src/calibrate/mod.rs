//! `galton calibrate`: what this machine adds to a run. Three small live runs, and from their records the distribution of
//! every delay that the simulator can apply, written as a machine profile.

mod derive;
mod scenarios;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use galton_loadgen::ProgressStyle;
use galton_report::{Reason, Report, Severity};
use galton_runtime::{Shutdown, telemetry, terminal};

use crate::run::{self, Ending, Executed, RunOptions};
use crate::{machine, profile_file};
use derive::Samples;
use scenarios::Stage;

/// Reasons against a run that a busy machine explains.
const BUSY: [&str; 2] = ["SEND_LAG_P99", "PLAN_NOT_SENT_IN_TIME"];

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 written, 1 could not measure (a run was INVALID, say; nothing is written), 2 wrong usage or a \
    faulty profile, 130 interrupted (nothing is written)";

/// What to measure, and where to write it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The profile; a file that is there is replaced
    #[arg(long, value_name = "FILE", default_value = profile_file::DEFAULT_FILE)]
    output: PathBuf,
    /// Requests that measure the hops; refusals and starts follow in proportion
    #[arg(
        long,
        value_name = "N",
        default_value = "4000",
        value_parser = clap::value_parser!(u64).range(scenarios::FEWEST_REQUESTS..=scenarios::MOST_REQUESTS)
    )]
    requests: u64,
    /// Measure nothing; print a profile that there is [default: galton-profile.json]
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with_all = ["output", "requests"])]
    show: Option<Option<PathBuf>>,
    /// While running: a bar on a terminal, one line a second elsewhere
    #[arg(long, value_name = "HOW", default_value = "auto")]
    progress: ProgressStyle,
}

/// Measures this machine and writes its profile, or prints one that there is.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.show {
        Some(file) => show(file.as_deref()),
        None => calibrate(&args),
    }
}

fn show(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (path, profile) = match file {
        Some(file) => (file.to_owned(), profile_file::read(file)?),
        None => profile_file::find_default()?
            .with_context(|| format!("there is no {} here; galton calibrate writes it", profile_file::DEFAULT_FILE))?,
    };
    terminal::say(profile_file::describe(&path, &profile));
    terminal::say(table::table(&profile, None));
    Ok(ExitCode::SUCCESS)
}

fn calibrate(args: &Args) -> anyhow::Result<ExitCode> {
    telemetry::init("conductor");
    let scratch = tempfile::Builder::new().prefix("galton-calibrate-").tempdir().context("cannot make a directory")?;
    let measured = measure(args, scratch.path()).map_err(|error| {
        // What the runs wrote says more; it stays.
        let kept = scratch.keep();
        error.context(format!("cannot calibrate; the runs are in {}", kept.display()))
    })?;
    let Some(samples) = measured else {
        terminal::note("interrupted: nothing is written");
        return Ok(ExitCode::from(run::INTERRUPTED));
    };
    let sizes = samples.sizes();
    let profile = samples.into_profile(machine::description(), machine::unix_ns(machine::wall_clock()));
    profile_file::write(&args.output, &profile)?;
    terminal::say(format_args!("{}\n", profile.machine));
    terminal::say(table::table(&profile, Some(sizes)));
    terminal::say(format_args!("\n{}", args.output.display()));
    Ok(ExitCode::SUCCESS)
}

/// Runs all stages; none if somebody interrupted.
fn measure(args: &Args, dir: &Path) -> anyhow::Result<Option<Samples>> {
    let shutdown = Shutdown::listen(false)?;
    let mut samples = Samples::default();
    for Stage { what, scenario, expected, add } in scenarios::stages(args.requests, dir) {
        terminal::note(format_args!("{what}: {}", galton_report::sentence(&scenario)));
        let options = RunOptions { time_scale: 1.0, progress: args.progress, announce: false };
        let Executed { data, ending, .. } = run::execute(scenario, &options, &shutdown)?;
        if ending == Ending::Interrupted {
            return Ok(None);
        }
        judge(what, &Report::compute(&data).validity.reasons, expected)?;
        add(&mut samples, &data);
    }
    if samples.sizes().contains(&0) {
        bail!("no sample of a delay: more requests are needed than --requests {}", args.requests);
    }
    Ok(Some(samples))
}

/// A run that does not say what it claims to is no measurement; one that may be bent is, with a warning.
fn judge(what: &str, reasons: &[Reason], expected: &[&str]) -> anyhow::Result<()> {
    for reason in reasons.iter().filter(|reason| !expected.contains(&reason.code.as_str())) {
        let (code, text) = (&reason.code, &reason.text);
        let hint = if BUSY.contains(&code.as_str()) { "; is the machine busy?" } else { "" };
        match reason.severity {
            Severity::Invalid => bail!("the run that measures {what} is INVALID: {code}: {text}{hint}"),
            Severity::Suspect => {
                terminal::note(format_args!("warning: the run that measures {what} is SUSPECT: {code}: {text}"));
            }
            Severity::Note => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use galton_report::Quantity;

    use super::*;

    fn reason(code: &str, severity: Severity) -> Reason {
        let (value, limit) = (Quantity::Count(1), Quantity::Count(0));
        Reason { code: code.to_owned(), severity, value, limit, text: "so it is".to_owned() }
    }

    #[test]
    fn an_invalid_run_is_no_measurement_and_a_suspect_one_is() {
        let said =
            |code, severity| judge("hops", &[reason(code, severity)], &["SPAWN_OVERRUN"]).map_err(|e| e.to_string());
        assert_eq!(said("LITTLE", Severity::Suspect), Ok(()));
        assert_eq!(said("SPAWN_OVERRUN", Severity::Invalid), Ok(()));
        let invalid = "the run that measures hops is INVALID: ";
        assert_eq!(said("CONSERVATION", Severity::Invalid), Err(format!("{invalid}CONSERVATION: so it is")));
        let busy = format!("{invalid}SEND_LAG_P99: so it is; is the machine busy?");
        assert_eq!(said("SEND_LAG_P99", Severity::Invalid), Err(busy));
    }
}
