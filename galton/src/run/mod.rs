//! `galton run`: the conductor. Starts everything, lets the load run, watches, drains, stops, and reports.

mod conduct;
mod execute;
mod progress;

use std::process::ExitCode;

use galton_loadgen::ProgressStyle;
use galton_report::Report;
use galton_runtime::{Shutdown, role, telemetry};

use crate::report_files;
use crate::scenario_args::ScenarioArgs;
pub(crate) use conduct::Ending;
pub(crate) use execute::{RunOptions, execute};

/// Interrupted; the results are still written.
pub(crate) const INTERRUPTED: u8 = 130;

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done (VALID or SUSPECT; without --strict INVALID too), 1 could not run, 2 wrong usage or \
    scenario, 98 INVALID under --strict, 130 interrupted (what was sent is still reported)";

/// What to run, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Short for --set reporting.output_dir=…
    #[arg(long, value_name = "DIR")]
    output_dir: Option<String>,
    /// Run S times faster than the scenario says (0.25: four times slower); figures stay in scenario time
    #[arg(long, value_name = "S", default_value = "1", value_parser = role::time_scale)]
    time_scale: f64,
    /// Exit with 98 if the verdict is INVALID
    #[arg(long)]
    strict: bool,
    /// While running: a bar on a terminal, one line a second elsewhere
    #[arg(long, value_name = "HOW", default_value = "auto")]
    progress: ProgressStyle,
}

/// Runs a scenario. Exit codes: 0 VALID or SUSPECT, 1 could not run, 2 wrong usage or scenario, 98 INVALID under `--strict`,
/// 130 interrupted.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init("conductor");
    // A directory is a string even if it looks like a number.
    let output_dir = args.output_dir.as_deref().map(|dir| serde_json::Value::from(dir).to_string());
    let scenario = args.scenario.load(output_dir.map(|dir| ("reporting.output_dir", dir)))?;
    let options = RunOptions { time_scale: args.time_scale, progress: args.progress, announce: true, stays: true };
    let shutdown = Shutdown::listen(false)?;
    let Some(executed) = execute(scenario, &options, &shutdown)? else { return Ok(ExitCode::from(INTERRUPTED)) };
    let report = Report::compute(&executed.data);
    let path = executed.write(&report)?;
    report_files::tell(&report, &path);
    // Somebody who came too late for the load to end early may still mean what would come next.
    let interrupted = shutdown.cause().is_some();
    Ok(if interrupted { ExitCode::from(INTERRUPTED) } else { report_files::exit_code(&report, args.strict) })
}
