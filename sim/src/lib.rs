//! Discrete-event simulator over the core: the same hosts and the same fleet as in a live run, with queue entries in the
//! place of sockets, timers and processes.
//!
//! No clock, no threads, no I/O; integer nanoseconds; events at the same instant in the order in which they were caused.
//! Without a machine nothing takes time but what the scenario says; a [`Machine`] adds what a profile has measured. The
//! model, and what it leaves out, is stated in `docs/simulation.md`.

mod calendar;
mod edge;
mod fleet_effects;
mod host_effects;
mod machine;
mod observer;
mod path;
mod queue;
mod requests;
mod source;
mod target;
mod world;

use galton_core::Scenario;
use galton_core::counters::Counters;
use galton_core::record::{Decision, FleetEvent, TraceRow};
use galton_core::users::UserEnds;

pub use machine::Machine;
pub use observer::{Asked, Observer};
pub use world::{Endless, Totals, run};

use observer::Records;

/// Every record of a simulated run.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// One row per planned request, by seq.
    pub trace: Vec<TraceRow>,
    /// Every decision, in order of completion.
    pub decisions: Vec<Decision>,
    /// Every change of the fleet.
    pub fleet: Vec<FleetEvent>,
    /// What the processes would have counted.
    pub counters: Counters,
    /// How the users of a closed loop ended.
    pub users: Option<UserEnds>,
    /// Hash of the plan.
    pub plan_sha256: String,
}

/// Runs a scenario where nothing takes time but what it says itself, and keeps every record.
///
/// # Errors
///
/// Where it would never end.
pub fn simulate(scenario: &Scenario) -> Result<Simulated, Endless> {
    simulate_on(scenario, None)
}

/// As [`simulate`], on a machine.
///
/// # Errors
///
/// As [`simulate`].
pub fn simulate_on(scenario: &Scenario, machine: Option<Machine<'_>>) -> Result<Simulated, Endless> {
    let mut records = Records::default();
    let Totals { counters, users, plan_sha256 } = run(scenario, machine, &mut records)?;
    let Records { mut trace, decisions, fleet } = records;
    trace.sort_by_key(|row| row.seq);
    Ok(Simulated { trace, decisions, fleet, counters, users, plan_sha256 })
}
