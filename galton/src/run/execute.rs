//! One live run as a function: processes up, load, processes down, records read. What is made of them is the caller's.

use std::path::{Path, PathBuf};

use galton_core::plan::Plan;
use galton_core::{HostId, Scenario};
use galton_loadgen::ProgressStyle;
use galton_report::{Report, RunData};
use galton_runtime::{Shutdown, role, terminal};

use super::conduct::{Conductor, Ending};
use crate::cluster::{Cluster, Launch, Places, Process, flag};
use crate::collect::{self, Watched};
use crate::machine;
use crate::report_files;
use crate::run_dir::{self, RunDir};

/// How a run is made, beside its scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunOptions {
    /// Scenario seconds per machine second.
    pub(crate) time_scale: f64,
    /// What is shown while it runs.
    pub(crate) progress: ProgressStyle,
    /// Whether seed, plan and scenario are told on stdout before it begins.
    pub(crate) announce: bool,
    /// Whether its directory stays when the command has ended.
    pub(crate) stays: bool,
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Executed {
    /// Its records.
    pub(crate) data: RunData,
    /// How the load came to its end.
    pub(crate) ending: Ending,
    /// Its directory, below the scenario's `reporting.output_dir`. It has no report yet.
    pub(crate) dir: RunDir,
}

/// Runs a scenario on real processes. An interrupt ends the run early and is told in [`Executed::ending`]. None: it came before
/// T0, and nothing was sent. None of the processes is left when this returns.
pub(crate) fn execute(
    scenario: Scenario,
    options: &RunOptions,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Executed>> {
    let started = machine::wall_clock();
    let dir = RunDir::create(&scenario, &machine::file_name(started))?.with_processes()?;
    if options.announce {
        announce(&scenario);
    }
    let Some((watched, ending)) = role::run_local(conduct(options, &scenario, &dir, shutdown))? else {
        if options.stays {
            let log = dir.file("log");
            terminal::note(format_args!(
                "interrupted before the load began: no report; the logs are in {}",
                log.display()
            ));
        }
        return Ok(None);
    };
    watched.write(&dir)?;
    let data = collect::collect(&dir, scenario)?;
    Ok(Some(Executed { data, ending, dir }))
}

fn announce(scenario: &Scenario) {
    let (seed, plan) = (scenario.simulation.seed, Plan::new(scenario).sha256());
    terminal::say(format_args!("seed {seed} · {} · plan {}", scenario.name, &plan[..12]));
    terminal::say(galton_report::sentence(scenario));
}

async fn conduct(
    options: &RunOptions,
    scenario: &Scenario,
    dir: &RunDir,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<(Watched, Ending)>> {
    let launch = Launch::new(dir.file("scenario.json"), options.time_scale)?;
    let Some((mut cluster, loadgen)) = start(&launch, scenario, dir, shutdown).await? else { return Ok(None) };
    let mut conductor = Conductor::new(dir, scenario, options, loadgen);
    let ending = conductor.run(&mut cluster, shutdown).await?;
    let watched = conductor.end(&mut cluster).await?;
    Ok(Some((watched, ending)))
}

/// None: somebody stopped it before T0, and no process is left.
async fn start(
    launch: &Launch,
    scenario: &Scenario,
    dir: &RunDir,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<(Cluster, Process)>> {
    let cluster = Cluster::start(launch, scenario, dir, Vec::new(), |_| Vec::new(), shutdown).await?;
    let Some(mut cluster) = cluster else { return Ok(None) };
    let mut loadgen = launch.start("loadgen", "loadgen".to_owned(), loadgen_args(dir, &cluster), dir).await?;
    if shutdown.cause().is_some() {
        loadgen.end().await;
        cluster.end().await;
        return Ok(None);
    }
    Ok(Some((cluster, loadgen)))
}

fn loadgen_args(dir: &RunDir, cluster: &Cluster) -> Vec<String> {
    let mut args = vec!["--wait-start".to_owned()];
    args.extend(flag("--trace", dir.file(run_dir::TRACE).display()));
    args.extend(flag("--generator", dir.file(run_dir::GENERATOR).display()));
    for (host, proxy) in cluster.proxies.iter().enumerate() {
        let data = proxy.announce().data.as_deref().unwrap_or_default();
        args.extend(flag("--proxy", format!("{host}={data}")));
    }
    args
}

// === impl Executed ===

impl Executed {
    /// Writes the report, and the series behind it, into the run directory; returns the path to look at.
    pub(crate) fn write(&self, report: &Report) -> anyhow::Result<PathBuf> {
        report_files::write(&self.dir, &self.data, report)
    }
}

// === impl RunDir ===

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
