//! `galton calibrate`: what this machine adds to a run. Three small live runs, and from their records the distribution of
//! every delay that the simulator can apply, written as a machine profile.

mod derive;
mod scenarios;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use galton_loadgen::ProgressStyle;
use galton_report::{Reason, Report, RunData, Severity};
use galton_runtime::{Shutdown, telemetry, terminal};

use crate::run::{self, Ending, RunOptions};
use crate::scratch::Scratch;
use crate::{machine, profile_file};
use derive::Samples;
use scenarios::Stage;

/// Reasons against a run that a busy machine explains.
const BUSY: [&str; 2] = ["SEND_LAG_P99", "PLAN_NOT_SENT_IN_TIME"];
/// How often a run is made at most, each time because the machine was busy during the last.
const TRIES: u32 = 3;

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
    profile_file::check_place(&args.output)?;
    let shutdown = Shutdown::listen(false)?;
    let scratch = Scratch::new("galton-calibrate-")?;
    let measured = measure(args, scratch.path(), &shutdown).map_err(|error| {
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
fn measure(args: &Args, dir: &Path, shutdown: &Shutdown) -> anyhow::Result<Option<Samples>> {
    let mut samples = Samples::default();
    for stage in scenarios::stages(args.requests, dir) {
        let Some(data) = undisturbed(&stage, args.progress, shutdown)? else { return Ok(None) };
        (stage.add)(&mut samples, &data);
    }
    if samples.sizes().contains(&0) {
        bail!("no sample of a delay: more requests are needed than --requests {}", args.requests);
    }
    Ok(Some(samples))
}

/// Runs a stage; again if the machine was busy with something else, which passes. None if somebody interrupted.
fn undisturbed(stage: &Stage, progress: ProgressStyle, shutdown: &Shutdown) -> anyhow::Result<Option<RunData>> {
    let Stage { what, scenario, expected, .. } = stage;
    terminal::note(format_args!("{what}: {}", galton_report::sentence(scenario)));
    let options = RunOptions { time_scale: 1.0, progress, announce: false, stays: false };
    let mut tries = 0;
    loop {
        tries += 1;
        let executed = run::execute(scenario.clone(), &options, shutdown)?;
        let finished = executed.filter(|executed| executed.ending == Ending::Finished && shutdown.cause().is_none());
        let Some(data) = finished.map(|executed| executed.data) else { return Ok(None) };
        let reasons = Report::compute(&data).validity.reasons;
        let against: Vec<Reason> = reasons.into_iter().filter(|r| !expected.contains(&r.code.as_str())).collect();
        match judge(what, &against) {
            Ok(()) => return Ok(Some(data)),
            Err(error) if tries < TRIES && is_busy(&against) => terminal::note(format_args!("{error}; again")),
            Err(error) => return Err(error),
        }
    }
}

/// A run that does not say what it claims to is no measurement; one that may be bent is, with a warning.
fn judge(what: &str, against: &[Reason]) -> anyhow::Result<()> {
    for Reason { code, severity, text, .. } in against {
        match severity {
            Severity::Invalid => bail!("the run that measures {what} is INVALID: {code}: {text}"),
            Severity::Suspect => {
                terminal::note(format_args!("warning: the run that measures {what} is SUSPECT: {code}: {text}"));
            }
            Severity::Note => {}
        }
    }
    Ok(())
}

/// Whether nothing makes a run invalid that a busy machine does not explain.
fn is_busy(against: &[Reason]) -> bool {
    against.iter().filter(|r| r.severity == Severity::Invalid).all(|r| BUSY.contains(&r.code.as_str()))
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
        assert!(judge("hops", &[reason("LITTLE", Severity::Suspect), reason("X", Severity::Note)]).is_ok());
        let error = judge("hops", &[reason("LITTLE", Severity::Suspect), reason("CONSERVATION", Severity::Invalid)]);
        let expected = "the run that measures hops is INVALID: CONSERVATION: so it is";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_a_busy_machine_explains_is_worth_another_try() {
        let late = reason("SEND_LAG_P99", Severity::Invalid);
        assert!(is_busy(&[late.clone(), reason("LITTLE", Severity::Suspect)]));
        assert!(!is_busy(&[late, reason("CONSERVATION", Severity::Invalid)]));
    }
}
