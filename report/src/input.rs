//! What a report is computed from: the records of one run, live or simulated, and what its conductor knows besides.
//!
//! The conductor of a live run and the simulator fill the same [`RunData`]; nothing in this crate asks which of the two it
//! was, but for the word in the heading.

use galton_core::counters::{Counters, LoadCounters};
use galton_core::record::{Decision, FleetEvent, TraceRow};
use galton_core::users::UserEnds;
use galton_core::{Nanos, Scenario};
use serde::{Deserialize, Serialize};

use crate::validity::Reason;

/// Everything about one run.
#[derive(Clone, Debug)]
pub struct RunData {
    /// Which run it is.
    pub meta: RunMeta,
    /// What was run.
    pub scenario: Scenario,
    /// One row per planned request, in any order.
    pub trace: Vec<TraceRow>,
    /// The merged decisions of all hosts, in any order; none: recording was off.
    pub decisions: Option<Vec<Decision>>,
    /// The fleet's log, in its order. Targets of the initial fleet are `Ready` at time 0.
    pub fleet: Vec<FleetEvent>,
    /// What only the processes know.
    pub counters: Counters,
    /// What the load generator noticed about itself.
    pub generator: Generator,
    /// What the conductor noticed: each makes the verdict at least as bad as its severity.
    pub reasons: Vec<Reason>,
    /// Somebody stopped the run before its end.
    pub interrupted: bool,
}

/// What there is to say about a run besides its records.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Which run it is.
    pub meta: RunMeta,
    /// What only the processes know.
    pub counters: Counters,
    /// What the load generator noticed about itself.
    pub generator: Generator,
    /// What the conductor noticed: each makes the verdict at least as bad as its severity.
    pub reasons: Vec<Reason>,
    /// Somebody stopped the run before its end.
    pub interrupted: bool,
}

impl RunFacts {
    pub(crate) fn of(data: &RunData) -> Self {
        Self {
            meta: data.meta.clone(),
            counters: data.counters.clone(),
            generator: data.generator,
            reasons: data.reasons.clone(),
            interrupted: data.interrupted,
        }
    }
}

/// Which run it is: the `run` object of `result.json`, the seed aside.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunMeta {
    /// Live or simulated.
    #[serde(skip)]
    pub kind: Kind,
    /// The name of the run directory.
    pub id: String,
    /// Wall-clock time of T0, nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// The command that reproduces it, word by word.
    pub command: Vec<String>,
    /// Version of Galton.
    pub version: String,
    /// Scenario seconds per machine second. 1 for a simulation.
    pub time_scale: f64,
    /// The machine.
    pub host: HostInfo,
    /// Hash of the plan, in hex.
    pub plan_sha256: String,
}

#[cfg(test)]
impl RunMeta {
    pub(crate) fn nameless(kind: Kind) -> Self {
        Self {
            kind,
            id: String::new(),
            started_unix_ns: 0,
            command: Vec::new(),
            version: String::new(),
            time_scale: 1.0,
            host: HostInfo::default(),
            plan_sha256: String::new(),
        }
    }
}

/// Live or simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// On real processes.
    Live,
    /// In the simulator.
    Simulated,
}

/// The machine of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Processors.
    pub cpus: u32,
    /// Name and release of the kernel.
    pub kernel: String,
    /// Model of the processor, as the kernel names it.
    pub cpu_model: String,
}

/// What the load generator noticed about itself. The default is that of a simulation: nothing can go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Requests planned as the generator counted them, apart from the trace; none: not counted.
    pub planned: Option<u64>,
    /// The longest time for which a sender with something to send did not get to run. Machine time.
    pub longest_stall: Nanos,
    /// Integral of the requests in flight over the whole run, as the sender kept it: request-nanoseconds of scenario
    /// time. None: not kept.
    pub in_flight_integral: Option<f64>,
    /// A request could not be sent for want of a file descriptor.
    pub descriptors_exhausted: bool,
    /// How the users of a closed loop ended.
    pub users: Option<UserEnds>,
}

/// What a load generator that is a part of a run leaves behind besides the trace: `generator.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorFacts {
    /// Wall-clock time of T0, nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Scenario seconds per machine second.
    pub time_scale: f64,
    /// Version of Galton.
    pub version: String,
    /// The machine.
    pub host: HostInfo,
    /// It was told to stop before everything was sent.
    pub interrupted: bool,
    /// What it counted, apart from the trace.
    pub counters: LoadCounters,
    /// What it noticed about itself.
    pub generator: Generator,
}
