//! `galton sweep`: how figures depend on a setting. Simulates a scenario with several values of one key, each with many
//! seeds, and puts live runs of the same plans beside it.

mod cases;
mod runs;
mod vary;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use galton_core::profile::Profile;
use galton_loadgen::ProgressStyle;
use galton_report::sweep::{DEFAULT_FIGURES, Point, SCHEMA_VERSION, Sweep};
use galton_report::{Figures, Replications};
use galton_results::new_dir;
use galton_runtime::{Shutdown, role, telemetry, terminal};

use crate::live::Live;
use crate::run::INTERRUPTED;
use crate::scenario_args::ScenarioArgs;
use crate::{Usage, machine, profile_file};
use cases::Case;
use runs::{Lived, Simulation};
use vary::{Reference, Vary};

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 could not run, 2 wrong usage, scenario or profile, 130 interrupted (what \
    was found before is still written)";

/// What to vary, and what to look at.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// The key of the scenario to vary, and its values, JSON or text, such as load_balancer.hosts=1,2,4
    #[arg(long, value_name = "KEY=V1,V2,…", value_parser = vary::vary)]
    vary: Vary,
    /// What to see it against: the scenario with these overrides, not varied; repeatable
    #[arg(long = "reference", value_name = "KEY=VALUE[,…]", value_parser = vary::reference)]
    references: Vec<Reference>,
    /// Simulate each value R times, with the scenario's seed and those after it
    #[arg(long, value_name = "R", default_value = "20")]
    replications: NonZeroUsize,
    /// Run each value live N times as well, with the seeds of the first N replications
    #[arg(long, value_name = "N", default_value = "0")]
    live: usize,
    /// Run live S times faster than the scenario says (0.25: four times slower)
    #[arg(long, value_name = "S", default_value = "1", value_parser = role::time_scale)]
    time_scale: f64,
    /// Add what a machine adds, as galton calibrate measured it; without, nothing takes time but what the scenario says
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Figures to show, such as response-p99,starts; all are in the files
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = figure, default_values_t = DEFAULT_FIGURES)]
    figures: Vec<&'static str>,
    /// Where the result and the live runs go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    output_dir: PathBuf,
    /// While running: a bar on a terminal, one line a second elsewhere
    #[arg(long, value_name = "HOW", default_value = "auto")]
    progress: ProgressStyle,
}

/// A machine, and which one it is in words.
type NamedProfile = (Profile, String);

/// Sweeps. Exit codes: 0 done, 1 could not run, 2 wrong usage, scenario or profile, 130 interrupted.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    telemetry::init("sweep");
    let cases = cases::load(&args.scenario, &args.vary, &args.references)?;
    if args.live > args.replications.get() {
        return Err(Usage::error(format_args!("--live {} has more seeds than --replications", args.live)));
    }
    let profile = args.profile.as_deref().map(read_profile).transpose()?;
    let scenario = args.scenario.load(None)?;
    let started = machine::wall_clock();
    let name = format!("sweep-{}-{}", scenario.name, machine::file_name(started));
    let (dir, _) = new_dir::below(&args.output_dir, &name)?;
    announce(args, &cases, profile.as_ref());
    let simulation = Simulation {
        replications: args.replications.get(),
        profile: profile.as_ref().map(|(profile, _)| profile),
        time_scale: args.time_scale,
        progress: args.progress,
    };
    let simulated = simulation.all(&cases)?;
    let (lived, ending) = live(args, &cases, &dir);
    let mut points: Vec<Point> = cases.into_iter().zip(simulated).zip(lived).map(point).collect();
    let references = points.split_off(args.vary.values.len());
    let sweep = Sweep {
        schema_version: SCHEMA_VERSION,
        started_unix_ns: machine::unix_ns(started),
        command: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: machine::host_info(),
        sentence: galton_report::sentence(&scenario),
        name: scenario.name,
        time_scale: args.time_scale,
        profile: profile.map(|(_, description)| description),
        key: args.vary.key.clone(),
        shown: args.figures.clone(),
        points,
        references,
    };
    write(&sweep, &dir)?;
    ending
}

/// What is about to be done.
fn announce(args: &Args, cases: &[Case], profile: Option<&NamedProfile>) {
    let seed = cases.first().map_or(0, |case| case.scenario.simulation.seed);
    let Vary { key, values } = &args.vary;
    terminal::say(format_args!(
        "seed {seed} and on · {} · {key} = {}",
        args.scenario.file.display(),
        values.join(", ")
    ));
    let machine = profile.map_or("none: the simulated machine adds nothing", |(_, description)| description);
    terminal::say(format_args!("machine profile {machine}"));
    let (replications, live) = (args.replications, args.live);
    terminal::say(format_args!("{} cases, each simulated {replications} times, run live {live} times", cases.len()));
}

/// The live runs of all cases, as far as they came, and how it ended.
fn live(args: &Args, cases: &[Case], dir: &Path) -> (Vec<Lived>, anyhow::Result<ExitCode>) {
    let mut lived: Vec<Lived> = cases.iter().map(|_| Lived::default()).collect();
    let ending = live_each(args, cases, dir, &mut lived);
    (lived, ending)
}

fn live_each(args: &Args, cases: &[Case], dir: &Path, lived: &mut [Lived]) -> anyhow::Result<ExitCode> {
    if args.live == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let shutdown = Shutdown::listen(false)?;
    let runs = Live { time_scale: args.time_scale, output_dir: dir, progress: args.progress, shutdown };
    for (case, lived) in cases.iter().zip(lived) {
        let found = runs::live(case, args.live, &runs);
        *lived = found.with_context(|| format!("cannot run {} live", case.label))?;
        if runs.shutdown.cause().is_some() {
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn point(((case, simulated), lived): ((Case, Replications), Lived)) -> Point {
    Point {
        label: case.label,
        overrides: case.overrides,
        simulated,
        live: Replications::of(&lived.runs),
        live_runs: lived.ids,
        left_out: lived.left_out,
    }
}

/// Writes the files and prints the table; the last line is the path of the drawing.
fn write(sweep: &Sweep, dir: &Path) -> anyhow::Result<()> {
    let drawing = dir.join("sweep.svg");
    let files = [
        (dir.join("sweep.json"), sweep.to_json()),
        (dir.join("sweep.csv"), sweep.to_csv()),
        (drawing.clone(), sweep.to_svg()),
    ];
    for (path, content) in files {
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    terminal::say(format_args!("\n{}", sweep.to_table()));
    for point in sweep.points.iter().chain(&sweep.references).filter(|point| point.left_out > 0) {
        terminal::say(format_args!("{}: {} live, INVALID every time, left out", point.label, point.left_out));
    }
    terminal::say(drawing.display());
    Ok(())
}

fn read_profile(path: &Path) -> Result<NamedProfile, profile_file::ProfileFileError> {
    let profile = profile_file::read(path)?;
    let description = profile_file::describe(path, &profile);
    Ok((profile, description))
}

/// The figure of this name; `-` or `_` may stand for a space.
fn figure(name: &str) -> Result<&'static str, String> {
    let name = name.trim().replace(['-', '_'], " ");
    let all = || Figures::names().collect::<Vec<_>>().join(", ");
    Figures::names().find(|figure| *figure == name).ok_or_else(|| format!("no such figure; there are: {}", all()))
}
