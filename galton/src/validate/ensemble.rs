//! The simulated side: the same scenario many times, each time with other delays of the machine.

use std::sync::atomic::{AtomicU64, Ordering};

use galton_core::plan::Plan;
use galton_core::profile::Profile;
use galton_core::scenario::Scenario;
use galton_report::validate::Observed;
use galton_report::{Generator, Kind, Report, RunData, RunMeta};

use crate::machine;

/// Simulates an ensemble on all cores. The members and their order depend on nothing but the arguments. Without a profile
/// all members would be the same run, and there is one.
pub(super) fn ensemble(scenario: &Scenario, profile: Option<&Profile>, members: u64, time_scale: f64) -> Vec<Observed> {
    let members = if profile.is_some() { members } else { 1 };
    let next = AtomicU64::new(1);
    // A thread takes the next seed when it has done with one, and keeps what it found until all are done.
    let work = || {
        let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed <= members));
        let member = |seed| {
            let data = simulated(scenario, profile, seed, time_scale);
            (seed, Observed::of(&data, &Report::compute(&data)))
        };
        seeds.map(member).collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(members as usize);
    let mut found = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = running.into_iter().map(|thread| thread.join().expect("a simulation does not panic"));
        done.flatten().collect::<Vec<_>>()
    });
    found.sort_by_key(|(seed, _)| *seed);
    found.into_iter().map(|(_, observed)| observed).collect()
}

/// One simulated run as data for a report. `jitter_seed` and `time_scale` are about the profile's delays.
fn simulated(scenario: &Scenario, _profile: Option<&Profile>, jitter_seed: u64, _time_scale: f64) -> RunData {
    let run = galton_sim::simulate(scenario);
    let meta = RunMeta {
        kind: Kind::Simulated,
        id: format!("{} simulated, jitter seed {jitter_seed}", scenario.name),
        started_unix_ns: 0,
        command: Vec::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time_scale: 1.0,
        host: machine::host_info(),
        plan_sha256: Plan::new(scenario).sha256(),
    };
    RunData {
        meta,
        scenario: scenario.clone(),
        trace: run.trace,
        decisions: Some(run.decisions),
        fleet: run.fleet,
        counters: run.counters,
        generator: Generator::default(),
        reasons: Vec::new(),
        interrupted: false,
    }
}
