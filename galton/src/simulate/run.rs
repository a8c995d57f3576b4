//! One simulated run: over its records where they are wanted, otherwise told to the report as it happens.

use galton_core::profile::Profile;
use galton_core::record::{Decision, Ended, FleetEvent, TraceRow};
use galton_core::{Nanos, Scenario, TargetId};
use galton_loadgen::ProgressStyle;
use galton_report::{Fold, Generator, Kind, Report, RunData, RunFacts, RunMeta};
use galton_sim::{Asked, Endless, Machine, Observer, Simulated, Totals};

use super::progress::Progress;
use crate::machine;

/// What a simulated run is besides its scenario.
#[derive(Clone, Debug)]
pub(crate) struct Setting<'a> {
    /// The machine under it; none: nothing takes time but what the scenario says.
    pub(crate) jitter: Option<Jitter<'a>>,
    /// Scenario seconds per machine second.
    pub(crate) time_scale: f64,
    /// The name of the run.
    pub(crate) id: String,
    /// When it was started, nanoseconds since 1970.
    pub(crate) started_unix_ns: u64,
}

/// A machine, and the seed of its jitter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jitter<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) seed: u64,
}

/// A simulated run that is over.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) report: Report,
    pub(crate) fleet: Vec<FleetEvent>,
    /// Where they were kept.
    pub(crate) records: Option<RunData>,
}

/// Tells the report everything, and whoever waits how far it is.
struct Telling {
    fold: Fold,
    progress: Progress,
}

/// Simulates. The records are kept if they are wanted or if the report cannot do without: on a machine the fate of an attempt
/// shows later than its dispatch, and some windows show when the run is over.
pub(crate) fn run(
    scenario: &Scenario,
    setting: &Setting<'_>,
    keep: bool,
    style: ProgressStyle,
) -> Result<Done, Endless> {
    let fold = Fold::new(scenario).filter(|_| !keep && setting.jitter.is_none());
    let Some(fold) = fold else {
        let data = records(scenario, setting)?;
        let report = Report::compute(&data);
        return Ok(Done { report, fleet: data.fleet.clone(), records: Some(data) });
    };
    let mut telling = Telling { fold, progress: Progress::new(style, scenario) };
    let totals = galton_sim::run(scenario, None, &mut telling);
    telling.progress.finish();
    let Totals { counters, users, plan_sha256 } = totals?;
    let facts = RunFacts {
        meta: meta(setting, plan_sha256),
        counters,
        generator: Generator { users, ..Generator::default() },
        reasons: Vec::new(),
        interrupted: false,
    };
    let fleet = telling.fold.fleet_log().to_vec();
    Ok(Done { report: telling.fold.finish(&facts), fleet, records: None })
}

/// Simulates, and keeps every record.
pub(crate) fn records(scenario: &Scenario, setting: &Setting<'_>) -> Result<RunData, Endless> {
    let time_scale = setting.time_scale;
    let machine = setting.jitter.map(|Jitter { profile, seed }| Machine { profile, seed, time_scale });
    let Simulated { trace, decisions, fleet, counters, users, plan_sha256 } =
        galton_sim::simulate_on(scenario, machine)?;
    Ok(RunData {
        meta: meta(setting, plan_sha256),
        scenario: scenario.clone(),
        trace,
        decisions: Some(decisions),
        fleet,
        counters,
        generator: Generator { users, ..Generator::default() },
        reasons: Vec::new(),
        interrupted: false,
    })
}

fn meta(setting: &Setting<'_>, plan_sha256: String) -> RunMeta {
    RunMeta {
        kind: Kind::Simulated,
        id: setting.id.clone(),
        started_unix_ns: setting.started_unix_ns,
        command: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time_scale: setting.time_scale,
        host: machine::host_info(),
        plan_sha256,
    }
}

// === impl Telling ===

impl Observer for Telling {
    #[inline(always)]
    fn taken(&mut self, at: Nanos, target: TargetId, asked: &Asked) {
        self.fold.taken(at, target, asked.demand.cpu);
    }

    #[inline(always)]
    fn decided(&mut self, decision: &Decision, asked: &Asked) {
        self.fold.decided(decision, asked.t_intended, asked.demand.cpu);
    }

    fn changed(&mut self, event: &FleetEvent) {
        self.fold.changed(event);
    }

    #[inline(always)]
    fn ended(&mut self, ended: &Ended, _: impl FnOnce() -> TraceRow) {
        self.progress.ended(ended.t_end.unwrap_or(ended.t_intended));
        self.fold.ended(ended);
    }
}
