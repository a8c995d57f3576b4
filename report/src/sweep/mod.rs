//! How figures depend on a setting: a scenario simulated with several values of one key, each with many seeds, and live
//! runs on the same plans beside them.
//!
//! Every run, live or simulated, is reduced to the same [`Figures`](crate::Figures). Here is what is made of them: a table,
//! a drawing, and files for programs. Who simulates and who runs is not here.

mod axis;
mod files;
mod panel;
mod places;
mod svg;
mod table;

use serde::Serialize;

use crate::input::HostInfo;
use crate::replications::{Replicated, Replications};

/// Version of the schema of `sweep.json`.
pub const SCHEMA_VERSION: u32 = 1;
/// The figures that are shown unless others are asked for: what goes wrong with a request, what the fleet did about it,
/// what the client saw.
pub const DEFAULT_FIGURES: [&str; 6] =
    ["retries per request", "starts", "targets mean", "response p99", "overhead mean", "rejected"];

/// Everything that one use of `galton sweep` found.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    /// [`SCHEMA_VERSION`]; a change that breaks readers raises it.
    pub schema_version: u32,
    /// When it began, nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// The command, word by word.
    pub command: Vec<String>,
    /// Version of Galton.
    pub version: String,
    /// The machine.
    pub host: HostInfo,
    /// The scenario's name.
    pub name: String,
    /// The scenario as it is before anything is varied, in a sentence.
    pub sentence: String,
    /// Scenario seconds per machine second of the live runs.
    pub time_scale: f64,
    /// The machine profile, in words; none: the simulated machine adds nothing.
    pub profile: Option<String>,
    /// The key that is varied.
    pub key: String,
    /// The figures that the table and the drawing show.
    pub shown: Vec<&'static str>,
    /// One per value, in the order that was asked for.
    pub points: Vec<Point>,
    /// What the points are to be seen against: the scenario with other overrides, not varied.
    pub references: Vec<Point>,
}

/// The scenario with some overrides: what was simulated, and what was run live.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Of a point: the value; of a reference: its overrides.
    pub label: String,
    /// Keys and values.
    pub overrides: Vec<(String, String)>,
    /// Over all seeds.
    pub simulated: Replications,
    /// Over the live runs that count, each of which has the plan of the simulated run of its seed.
    pub live: Replications,
    /// Names of their run directories.
    pub live_runs: Vec<String>,
    /// Live runs that were INVALID however often they were tried, and are left out.
    pub left_out: usize,
}

// === impl Sweep ===

impl Sweep {
    /// Points, then references.
    fn all(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().chain(&self.references)
    }

    /// Seeds of each point.
    fn seeds(&self) -> usize {
        self.points.first().map_or(0, |point| point.simulated.seeds.len())
    }
}

// === impl Point ===

impl Point {
    fn simulated(&self, figure: &str) -> Option<&Replicated> {
        self.simulated.figure(figure)
    }

    fn live(&self, figure: &str) -> Option<&Replicated> {
        self.live.figure(figure)
    }
}

/// The smallest and the largest of what runs have; none: no run has it.
fn range(figure: &Replicated) -> Option<(f64, f64)> {
    let known = || figure.values.iter().flatten().copied();
    Some((known().reduce(f64::min)?, known().reduce(f64::max)?))
}

#[cfg(test)]
mod tests;
