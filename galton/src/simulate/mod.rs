//! `galton simulate`: a scenario in the simulator, once or with many seeds, with the report of a live run.

mod progress;
mod replicate;
mod run;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use galton_loadgen::ProgressStyle;
use galton_runtime::{role, terminal};

use crate::report_files;
use crate::run_dir::RunDir;
use crate::scenario_args::ScenarioArgs;
use crate::{machine, profile_file};

pub(crate) use progress::bar;
pub(crate) use replicate::on_all_cores;
pub(crate) use run::{Jitter, Setting, records, run as simulate};

/// Shown by `--help`.
const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 could not run, 2 wrong usage, scenario or profile, 98 INVALID under --strict";

/// What to simulate, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Short for --set reporting.output_dir=…
    #[arg(long, value_name = "DIR")]
    output_dir: Option<String>,
    /// Simulate R times, with the scenario's seed and those after it
    #[arg(long, value_name = "R", default_value = "1")]
    replications: NonZeroUsize,
    /// Threads for replications; as many as there are cores, unless given
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Write trace.csv and decisions.csv too: memory and disk then grow with the run
    #[arg(long, conflicts_with = "replications")]
    trace: bool,
    /// Add what a machine adds, as galton calibrate measured it; without, nothing takes time but what the scenario says
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// The seed of the machine's jitter; of replications that of the first
    #[arg(long, value_name = "N", default_value = "1", requires = "profile")]
    jitter_seed: u64,
    /// The time scale of the live run that is to be met: the machine's delays count so many times
    #[arg(long, value_name = "S", default_value = "1", value_parser = role::time_scale, requires = "profile")]
    time_scale: f64,
    /// Exit with 98 if the verdict is INVALID
    #[arg(long)]
    strict: bool,
    /// While running: a bar on a terminal, one line a second elsewhere
    #[arg(long, value_name = "HOW", default_value = "auto")]
    progress: ProgressStyle,
}

/// Simulates a scenario.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output_dir = args.output_dir.as_deref().map(|dir| serde_json::Value::from(dir).to_string());
    let scenario = args.scenario.load(output_dir.map(|dir| ("reporting.output_dir", dir)))?;
    let profile = args.profile.as_deref().map(profile_file::read).transpose()?;
    terminal::say(format_args!("seed {} · {} · simulated", scenario.simulation.seed, scenario.name));
    terminal::say(galton_report::sentence(&scenario));
    let started = machine::wall_clock();
    let dir = RunDir::create(&scenario, &machine::file_name(started))?;
    let jitter = profile.as_ref().map(|profile| Jitter { profile, seed: args.jitter_seed });
    let setting = Setting {
        jitter,
        time_scale: args.time_scale,
        id: dir.id().to_owned(),
        started_unix_ns: machine::unix_ns(started),
    };
    if args.replications.get() > 1 {
        return replicate::run(args, &scenario, &setting, &dir);
    }
    let done = run::run(&scenario, &setting, args.trace, args.progress)?;
    match &done.records {
        Some(data) if args.trace => report_files::write_records(&dir, data)?,
        _ => report_files::write_fleet(&dir, &done.fleet)?,
    }
    let path = report_files::write_report(&dir, &scenario, &done.report)?;
    report_files::tell(&done.report, &path);
    Ok(report_files::exit_code(&done.report, args.strict))
}
