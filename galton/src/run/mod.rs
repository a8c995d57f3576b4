//! `galton run`: the conductor. Starts everything, lets the load run, watches, drains, stops, and reports.

mod collect;
mod conduct;
mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use galton_core::plan::Plan;
use galton_core::{HostId, Scenario};
use galton_loadgen::ProgressStyle;
use galton_report::{Report, Verdict};
use galton_runtime::{Shutdown, role, telemetry, terminal};

use crate::cluster::{Cluster, Launch, Places, flag};
use crate::machine;
use crate::run_dir::RunDir;
use crate::scenario_args::ScenarioArgs;
use conduct::{Conductor, Ending};

/// Columns of the summary: what a terminal has that nobody made wider.
const SUMMARY_WIDTH: usize = 80;
/// Not valid, under `--strict`.
const NOT_VALID: u8 = 98;
/// Interrupted; the results are still written.
const INTERRUPTED: u8 = 130;

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done (VALID or SUSPECT; without --strict INVALID too), 1 could not run, 2 wrong usage or \
    scenario, 98 INVALID under --strict, 130 interrupted (the report is still written)";

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
    let started = machine::wall_clock();
    let dir = RunDir::create(&scenario, &machine::file_name(started))?;
    let plan_sha256 = Plan::new(&scenario).sha256();
    terminal::say(format_args!("seed {} · {} · plan {}", scenario.simulation.seed, scenario.name, &plan_sha256[..12]));
    terminal::say(galton_report::sentence(&scenario));
    let shutdown = Shutdown::listen(false)?;
    let (evidence, ending) = role::run_local(conduct(&args, &scenario, &dir, shutdown))?;
    let data = collect::collect(&dir, scenario, evidence, args.time_scale, plan_sha256)?;
    let report = Report::compute(&data);
    let path = collect::write(&dir, &data, &report)?;
    Ok(finish(&report, ending, args.strict, &path))
}

async fn conduct(
    args: &Args,
    scenario: &Scenario,
    dir: &RunDir,
    shutdown: Shutdown,
) -> anyhow::Result<(collect::Evidence, Ending)> {
    let launch = Launch::new(dir.file("scenario.json"), args.time_scale)?;
    let (mut cluster, loadgen) = tokio::select! {
        started = start(&launch, scenario, dir) => started?,
        _ = shutdown.wait() => anyhow::bail!("interrupted before the run began"),
    };
    let mut conductor = Conductor::new(dir, scenario, args, loadgen);
    let ending = conductor.run(&mut cluster, &shutdown).await?;
    let evidence = conductor.end(&mut cluster).await?;
    Ok((evidence, ending))
}

async fn start(
    launch: &Launch,
    scenario: &Scenario,
    dir: &RunDir,
) -> anyhow::Result<(Cluster, crate::cluster::Process)> {
    let cluster = Cluster::start(launch, scenario, dir, Vec::new(), |_| Vec::new()).await?;
    let loadgen = launch.start("loadgen", "loadgen".to_owned(), loadgen_args(dir, &cluster), dir).await?;
    Ok((cluster, loadgen))
}

fn loadgen_args(dir: &RunDir, cluster: &Cluster) -> Vec<String> {
    let mut args = vec!["--wait-start".to_owned()];
    args.extend(flag("--trace", dir.file("trace.csv").display()));
    for (host, proxy) in cluster.proxies.iter().enumerate() {
        let data = proxy.announce().data.as_deref().unwrap_or_default();
        args.extend(flag("--proxy", format!("{host}={data}")));
    }
    args
}

fn finish(report: &Report, ending: Ending, strict: bool, path: &Path) -> ExitCode {
    terminal::say(format_args!("\n{}", report.summary(SUMMARY_WIDTH, crate::colour())));
    terminal::say(path.display());
    match ending {
        Ending::Interrupted => ExitCode::from(INTERRUPTED),
        Ending::Finished if strict && report.validity.verdict == Verdict::Invalid => ExitCode::from(NOT_VALID),
        Ending::Finished => ExitCode::SUCCESS,
    }
}

impl Places for RunDir {
    fn book(&self, process: &str) -> Option<PathBuf> {
        Some(RunDir::book(self, process))
    }

    fn log(&self, process: &str) -> Option<PathBuf> {
        Some(RunDir::log(self, process))
    }

    fn records(&self, host: HostId) -> Option<PathBuf> {
        Some(RunDir::records(self, host))
    }

    fn run_dir(&self) -> Option<&Path> {
        Some(self.path())
    }

    fn map(&self) -> PathBuf {
        self.file("load.map")
    }
}
