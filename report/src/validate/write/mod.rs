//! The writers: `validate.json` for programs, `validate.html` for the eye, a table for the terminal.

mod html;
mod plots;
mod table;

use galton_core::Scenario;
use serde::Serialize;

use super::judge::{Judgement, Metric, Verdicts};
use super::observed::Observed;
use crate::input::{HostInfo, RunMeta};
use crate::validity::{Validity, Verdict};
use plots::Plot;

/// Version of the schema of `validate.json`.
const SCHEMA_VERSION: u32 = 1;

/// Everything that one use of `galton validate` found.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// Version of the schema; a change that breaks readers raises it.
    pub schema_version: u32,
    /// Every scenario agrees.
    pub agrees: bool,
    /// When it began, nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// The command, word by word.
    pub command: Vec<String>,
    /// Version of Galton.
    pub version: String,
    /// The machine.
    pub host: HostInfo,
    /// Scenario seconds per machine second of the live runs.
    pub time_scale: f64,
    /// Members of each ensemble.
    pub ensemble: usize,
    /// The machine profile, in words; none: the simulated machine adds nothing.
    pub profile: Option<String>,
    /// What the simulation was made to believe otherwise: keys and values.
    pub sim_set: Vec<(String, String)>,
    /// One per scenario.
    pub scenarios: Vec<ScenarioResult>,
}

/// What was found for one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioResult {
    /// Its name.
    pub name: String,
    /// What it shows, as the file says.
    pub description: String,
    /// What it is, in a sentence.
    pub sentence: String,
    /// Its seed.
    pub seed: u64,
    /// Hash of the plan of the live runs.
    pub plan_sha256: String,
    /// Requests with a response time, per live run.
    pub responses: Vec<usize>,
    /// The live runs that count.
    pub live: Vec<LiveRun>,
    /// The verdicts.
    #[serde(flatten)]
    pub verdicts: Verdicts,
    #[serde(skip)]
    plots: Vec<Plot>,
}

/// One live run that counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveRun {
    /// Its run directory's name.
    pub id: String,
    /// Whether it may be believed.
    pub verdict: Verdict,
    /// Why not, or not quite.
    pub reasons: Vec<String>,
}

// === impl Validation ===

impl Validation {
    /// Of scenarios that have been judged; `meta` is that of any live run, and `command` the command of the whole.
    pub fn new(meta: &RunMeta, command: Vec<String>, ensemble: usize, scenarios: Vec<ScenarioResult>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            agrees: scenarios.iter().all(|scenario| scenario.verdicts.agrees),
            started_unix_ns: meta.started_unix_ns,
            command,
            version: meta.version.clone(),
            host: meta.host.clone(),
            time_scale: meta.time_scale,
            ensemble,
            profile: None,
            sim_set: Vec::new(),
            scenarios,
        }
    }

    /// `validate.json`. Ends with a newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("maps have string keys, and no writer can fail");
        text.push('\n');
        text
    }

    /// `validate.html`: one file that needs no network.
    pub fn to_html(&self) -> String {
        html::write(self)
    }
}

// === impl ScenarioResult ===

impl ScenarioResult {
    /// Of a scenario as it was run live.
    pub fn new(
        scenario: &Scenario,
        plan_sha256: &str,
        runs: Vec<LiveRun>,
        live: &[Observed],
        ensemble: &[Observed],
        verdicts: Verdicts,
    ) -> Self {
        Self {
            name: scenario.name.clone(),
            description: scenario.description.clone(),
            sentence: crate::sentence(scenario),
            seed: scenario.simulation.seed,
            plan_sha256: plan_sha256.to_owned(),
            responses: live.iter().map(Observed::responses).collect(),
            live: runs,
            verdicts,
            plots: plots::all(scenario, live, ensemble),
        }
    }

    /// Names of the metrics that differ.
    pub fn differing(&self) -> Vec<&str> {
        let differs = |metric: &&Metric| metric.judgement == Judgement::Differs;
        self.verdicts.metrics.iter().filter(differs).map(|metric| metric.name.as_str()).collect()
    }

    /// The table for a terminal, with a line for the verdict on the whole.
    pub fn to_text(&self, colour: bool) -> String {
        table::text(self, colour)
    }
}

// === impl LiveRun ===

impl LiveRun {
    /// From a run's name and what its report says.
    pub fn new(id: &str, validity: &Validity) -> Self {
        let reasons = validity.reasons.iter().map(|reason| format!("{}: {}", reason.code, reason.text)).collect();
        Self { id: id.to_owned(), verdict: validity.verdict, reasons }
    }
}

#[cfg(test)]
mod tests;
