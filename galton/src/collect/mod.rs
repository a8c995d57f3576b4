//! After a run: from the files of its directory to what the report is computed from. `galton run` does this when its processes are
//! gone, `galton report` whenever somebody asks: there is no other way to a report of a live run.
//!
//! Without scenario, trace, fleet log and `generator.json` there is none. What else is not there is told as missing.

mod beginning;
mod counters;
mod decisions;
mod watched;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use galton_core::plan::Plan;
use galton_core::record::{FleetEvent, FleetWhat, TraceRow};
use galton_core::{HostId, Incarnation, Scenario, TargetId};
use galton_report::{GeneratorFacts, Kind, RunData, RunMeta, trace};
use galton_results::run_files;

use crate::run_dir::{self, RunDir};
pub(crate) use watched::Watched;

/// Which processes did not end because they were told to.
#[derive(Debug, Default)]
struct Deaths {
    proxies: BTreeSet<HostId>,
    targets: BTreeSet<(TargetId, Incarnation)>,
}

/// Everything about the run of this scenario, from its files.
pub(crate) fn collect(dir: &RunDir, scenario: Scenario) -> anyhow::Result<RunData> {
    let trace = rows(&dir.file(run_dir::TRACE))?;
    let facts = generator(&dir.file(run_dir::GENERATOR))?;
    let fleet = fleet_log(&dir.file(run_dir::FLEET_LOG))?;
    let watched = Watched::read(dir)?;
    let deaths = deaths(watched.as_ref(), &fleet);
    let mut counters = counters::collect(dir, facts.counters, scenario.load_balancer.hosts, &fleet, &deaths)?;
    let decisions = decisions::collect(dir, scenario.load_balancer.hosts, &counters)?;
    let mut reasons = watched::reasons(watched.as_ref());
    reasons.extend(beginning::differs(&trace, decisions.all.as_deref().unwrap_or_default()));
    reasons.extend(decisions.lacking);
    counters.missing.extend(watched.iter().flat_map(|watched| watched.silent(&fleet)));
    Ok(RunData {
        meta: meta(dir, &scenario, &facts, watched),
        trace,
        decisions: decisions.all,
        fleet,
        counters,
        generator: facts.generator,
        reasons,
        interrupted: facts.interrupted,
        scenario,
    })
}

fn meta(dir: &RunDir, scenario: &Scenario, facts: &GeneratorFacts, watched: Option<Watched>) -> RunMeta {
    RunMeta {
        kind: Kind::Live,
        id: dir.id().to_owned(),
        started_unix_ns: facts.started_unix_ns,
        // Of processes that were started by hand, no one command is known.
        command: watched.map(|watched| watched.command).unwrap_or_default(),
        version: facts.version.clone(),
        time_scale: facts.time_scale,
        host: facts.host.clone(),
        plan_sha256: Plan::new(scenario).sha256(),
    }
}

fn rows(path: &Path) -> anyhow::Result<Vec<TraceRow>> {
    let mut rows = trace::read(run_files::open(path)?).with_context(|| format!("cannot read {}", path.display()))?;
    rows.sort_by_key(|row| row.seq);
    Ok(rows)
}

fn generator(path: &Path) -> anyhow::Result<GeneratorFacts> {
    serde_json::from_reader(run_files::open(path)?)
        .with_context(|| format!("{}: not what a load generator leaves behind", path.display()))
}

fn fleet_log(path: &Path) -> anyhow::Result<Vec<FleetEvent>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = |(n, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}: line {}: not a fleet event", path.display(), n + 1))
    };
    text.lines().enumerate().map(line).collect()
}

/// The processes that died by themselves, as far as that is known.
fn deaths(watched: Option<&Watched>, fleet: &[FleetEvent]) -> Deaths {
    let died = |e: &&FleetEvent| matches!(e.what, FleetWhat::Died | FleetWhat::StartFailed);
    Deaths {
        proxies: watched.map(|watched| watched.dead_proxies.clone()).unwrap_or_default(),
        targets: fleet.iter().filter(died).filter_map(|e| Some((e.target?, e.incarnation))).collect(),
    }
}
