//! The writers: `validate.json` for programs, `validate.html` for the eye, a table for the terminal.

mod html;
mod plots;
mod table;

use std::fmt::{self, Display};

use galton_core::Scenario;
use serde::{Serialize, Serializer};

use super::judge::{Judgement, Metric, Verdicts};
use super::observed::Observed;
use crate::input::{HostInfo, RunMeta};
use crate::units::things;
use crate::validity::{Validity, Verdict};
use plots::Plot;

/// Version of the schema of `validate.json`.
const SCHEMA_VERSION: u32 = 1;

/// Everything that one use of `galton validate` found.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// Version of the schema; a change that breaks readers raises it.
    pub schema_version: u32,
    /// Every scenario agrees; none: no one that was judged differs, and not all of them were.
    pub agrees: Option<bool>,
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
    /// One per scenario that was judged.
    pub scenarios: Vec<ScenarioResult>,
    /// The others.
    pub not_judged: Vec<NotJudged>,
}

/// A scenario of which nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotJudged {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: Why,
}

/// Why a scenario was not judged. In a file it is the words of its `Display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody stopped it, or one before it.
    Interrupted,
    /// It could not be run, or one before it could not; with the error.
    Failed(String),
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
    /// Of scenarios that have been judged, and those that have not; `meta` is that of any live run, and `command` the command of
    /// the whole.
    pub fn new(
        meta: &RunMeta,
        command: Vec<String>,
        ensemble: usize,
        scenarios: Vec<ScenarioResult>,
        not_judged: Vec<NotJudged>,
    ) -> Self {
        let agree = scenarios.iter().all(|scenario| scenario.verdicts.agrees);
        Self {
            schema_version: SCHEMA_VERSION,
            agrees: (!agree || not_judged.is_empty()).then_some(agree),
            started_unix_ns: meta.started_unix_ns,
            command,
            version: meta.version.clone(),
            host: meta.host.clone(),
            time_scale: meta.time_scale,
            ensemble,
            profile: None,
            sim_set: Vec::new(),
            scenarios,
            not_judged,
        }
    }

    /// What came of it, in a line of words.
    pub fn conclusion(&self) -> String {
        let word = match self.agrees {
            Some(true) => Some("everything agrees".to_owned()),
            Some(false) => Some("the simulation DIFFERS".to_owned()),
            None => None,
        };
        word.into_iter().chain(self.missing()).collect::<Vec<_>>().join("; ")
    }

    /// How many scenarios were judged, and why no more; none: all were.
    fn missing(&self) -> Option<String> {
        let NotJudged { why, .. } = self.not_judged.first()?;
        let judged = self.scenarios.len();
        let all = things((judged + self.not_judged.len()) as u64, "scenario");
        Some(match why {
            Why::Interrupted => format!("{judged} of {all} judged, interrupted"),
            Why::Failed(why) => format!("{judged} of {all} judged: {why}"),
        })
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

// === impl Why ===

impl Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "interrupted",
            Self::Failed(error) => error,
        })
    }
}

impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

    /// The table for a terminal of so many columns, with a line for the verdict on the whole: 80 suffice, and from 100 on a metric
    /// takes one line.
    pub fn to_text(&self, colour: bool, width: usize) -> String {
        table::text(self, colour, width)
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
