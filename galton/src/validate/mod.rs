//! `galton validate`: does the simulation tell the truth? Runs each scenario live, several times, and simulated, as an
//! ensemble with the machine's delays, and compares.

mod ensemble;
mod profile;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use galton_core::Scenario;
use galton_core::plan::Plan;
use galton_loadgen::ProgressStyle;
use galton_report::RunMeta;
use galton_report::validate::{LiveRun, NotJudged, Observed, ScenarioResult, Validation, Why, judge, pairs_assertable};
use galton_results::{new_dir, place, table_width};
use galton_runtime::scenario_file::{self, ScenarioFileError};
use galton_runtime::{Shutdown, role, telemetry, terminal};

use crate::live::{Live, MOST_TRIES, Tried};
use crate::scenario_args::key_value;
use crate::{machine, run};
use profile::NamedProfile;

/// The simulation does not tell the truth.
const DISAGREES: u8 = 3;
/// Members of an ensemble if nobody says otherwise: from 39 on a 95 % range by order statistics is one.
const MEMBERS: &str = "40";
/// Fewer members have no range to speak of.
const FEWEST_MEMBERS: u64 = 20;
/// More members tell nothing more.
const MOST_MEMBERS: u64 = 10_000;
/// More live runs than anybody waits for.
const MOST_RUNS: u64 = 1_000;

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 every scenario agrees, 1 could not run, 2 wrong usage, scenario or profile, \
    3 something differs, 130 interrupted (what was found before is still written)";

/// What to validate, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Scenario files (JSON or YAML)
    #[arg(required = true, value_name = "SCENARIO")]
    files: Vec<PathBuf>,
    /// Live runs of each scenario
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u64).range(1..=MOST_RUNS))]
    runs: u64,
    /// Simulated runs of each scenario, with other delays of the machine
    #[arg(long, value_name = "R", default_value = MEMBERS,
          value_parser = clap::value_parser!(u64).range(FEWEST_MEMBERS..=MOST_MEMBERS))]
    ensemble: u64,
    /// Run live S times faster than the scenario says (0.25: four times slower)
    #[arg(long, value_name = "S", default_value = "1", value_parser = role::time_scale)]
    time_scale: f64,
    /// Machine profile, as measured by galton calibrate (default: galton-profile.json)
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Simulate a machine that adds no delay of its own; the ensemble is then a single run
    #[arg(long, conflicts_with = "profile")]
    no_profile: bool,
    /// Override a key of every scenario, live and simulated; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Override a key on the simulated side alone: what if the simulation believed otherwise? Repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    sim_set: Vec<(String, String)>,
    /// Where the result and the live runs go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    output_dir: PathBuf,
    /// Write validate.json there too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// While running: a bar on a terminal, one line a second elsewhere
    #[arg(long, value_name = "HOW", default_value = "auto")]
    progress: ProgressStyle,
}

/// One scenario, as it is run and as it is simulated.
#[derive(Debug)]
struct Pair {
    live: Scenario,
    simulated: Scenario,
}

/// Validates every scenario. Exit codes: 0 all agree, 1 could not run, 2 wrong usage, scenario or profile, 3
/// something differs, 130 interrupted.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    telemetry::init("validate");
    let pairs = load(args)?;
    if let Some(name) = named_twice(&pairs) {
        terminal::note(format_args!("galton: two scenarios are named {name}; their results could not be told apart"));
        return Ok(ExitCode::from(crate::USAGE));
    }
    let profile = profile::choose(args.profile.as_deref(), args.no_profile)?;
    if profile.is_none() && !args.no_profile {
        terminal::note(profile::missing());
        return Ok(ExitCode::from(crate::USAGE));
    }
    validate(args, &pairs, profile.as_ref())
}

/// All scenarios, or all faults of all of them.
fn load(args: &Args) -> Result<Vec<Pair>, ScenarioFileError> {
    let mut pairs = Vec::new();
    let mut fault = None;
    let believed: Vec<_> = args.set.iter().chain(&args.sim_set).cloned().collect();
    for file in &args.files {
        let simulated = || scenario_file::load(file, &believed);
        match scenario_file::load(file, &args.set).and_then(|live| Ok(Pair { live, simulated: simulated()? })) {
            Ok(pair) => pairs.push(pair),
            Err(error) => {
                // The last one is printed by whoever ends the command.
                if let Some(earlier) = fault.replace(error) {
                    terminal::note(earlier);
                }
            }
        }
    }
    fault.map_or(Ok(pairs), Err)
}

fn named_twice(pairs: &[Pair]) -> Option<&str> {
    let name = |pair: &Pair| pair.live.name.clone();
    let twice = pairs.iter().enumerate().find(|(i, pair)| pairs[..*i].iter().any(|one| name(one) == name(pair)));
    twice.map(|(_, pair)| pair.live.name.as_str())
}

fn validate(args: &Args, pairs: &[Pair], profile: Option<&NamedProfile>) -> anyhow::Result<ExitCode> {
    args.json.as_deref().map_or(Ok(()), place::check)?;
    let time = machine::file_name(machine::wall_clock());
    let (dir, _) = new_dir::below(&args.output_dir, &format!("validate-{time}"))?;
    if let Some(profile) = profile {
        terminal::say(format_args!("machine profile {}", profile.description));
    }
    let shutdown = Shutdown::listen(false)?;
    let live = Live { time_scale: args.time_scale, output_dir: &dir, progress: args.progress, shutdown };
    let mut results = Vec::new();
    let mut meta = None;
    let mut ending = Ok(None);
    for pair in pairs {
        match one(args, pair, profile, &live) {
            Ok(Some((result, of_run))) => {
                terminal::say(format_args!("\n{}", result.to_text(crate::colour(), table_width())));
                results.push(result);
                meta = Some(of_run);
            }
            Ok(None) => ending = Ok(Some(run::INTERRUPTED)),
            Err(error) => ending = Err(error.context(format!("cannot validate {}", pair.live.name))),
        }
        if !matches!(ending, Ok(None)) {
            break;
        }
    }
    // What took minutes is not thrown away because the next scenario could not be run.
    let not_judged = not_judged(&pairs[results.len()..], &ending);
    if meta.is_none() {
        terminal::note(format_args!("no scenario was judged; what there is of live runs is in {}", dir.display()));
    }
    let agrees = meta.map(|meta| write(args, &meta, profile, (results, not_judged), &dir)).transpose()?;
    let stopped = live.shutdown.cause().map(|_| run::INTERRUPTED);
    let code = ending?.or(stopped).unwrap_or(if agrees == Some(Some(false)) { DISAGREES } else { 0 });
    Ok(ExitCode::from(code))
}

/// The scenarios from the one on that was not judged, and why.
fn not_judged(pairs: &[Pair], ending: &anyhow::Result<Option<u8>>) -> Vec<NotJudged> {
    let why = ending.as_ref().map_or_else(|error| Why::Failed(format!("{error:#}")), |_| Why::Interrupted);
    pairs.iter().map(|pair| NotJudged { name: pair.live.name.clone(), why: why.clone() }).collect()
}

/// Validates one scenario; the meta data is that of its last live run. None: somebody stopped it.
fn one(
    args: &Args,
    pair: &Pair,
    profile: Option<&NamedProfile>,
    live: &Live<'_>,
) -> anyhow::Result<Option<(ScenarioResult, RunMeta)>> {
    let plan_sha256 = Plan::new(&pair.live).sha256();
    let seed = pair.live.simulation.seed;
    terminal::say(format_args!("seed {seed} · {} · plan {}", pair.live.name, &plan_sha256[..12]));
    let profile = profile.map(|named| &named.profile);
    let ensemble = ensemble::ensemble(&pair.simulated, profile, args.ensemble, args.time_scale, &live.shutdown)?;
    let Some(ensemble) = ensemble else { return Ok(None) };
    let (mut observed, mut runs, mut meta) = (Vec::new(), Vec::new(), None);
    for n in 1..=args.runs {
        terminal::note(format_args!("{}: live run {n} of {}", pair.live.name, args.runs));
        let (data, report) = match live.valid(&pair.live)? {
            Tried::Valid(run) => *run,
            Tried::Stopped => return Ok(None),
            Tried::Invalid => anyhow::bail!("{MOST_TRIES} live runs in a row were INVALID"),
        };
        observed.push(Observed::of(&data, &report));
        runs.push(LiveRun::new(&data.meta.id, &report.validity));
        meta = Some(data.meta);
    }
    let pairs = pairs_assertable(&pair.live, &pair.simulated);
    let verdicts = judge(&observed, &ensemble, args.time_scale, pairs, profile.is_some());
    let result = ScenarioResult::new(&pair.live, &plan_sha256, runs, &observed, &ensemble, verdicts);
    Ok(meta.map(|meta| (result, meta)))
}

/// Writes the files, of what was judged and what was not; whether everything agrees, if that can be said.
fn write(
    args: &Args,
    meta: &RunMeta,
    profile: Option<&NamedProfile>,
    (results, not_judged): (Vec<ScenarioResult>, Vec<NotJudged>),
    dir: &Path,
) -> anyhow::Result<Option<bool>> {
    let members = if profile.is_some() { args.ensemble as usize } else { 1 };
    let validation = Validation {
        profile: profile.map(|named| named.description.clone()),
        sim_set: args.sim_set.clone(),
        time_scale: args.time_scale,
        ..Validation::new(meta, std::env::args().collect(), members, results, not_judged)
    };
    let page = dir.join("validate.html");
    let files = [(page.clone(), validation.to_html()), (dir.join("validate.json"), validation.to_json())];
    let asked_for = args.json.iter().map(|path| (path.clone(), validation.to_json()));
    for (path, content) in files.into_iter().chain(asked_for) {
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    terminal::say(format_args!("\n{}\n{}", validation.conclusion(), page.display()));
    Ok(validation.agrees)
}
