//! Reading a run directory: what `run` and `simulate` left there, for whoever works on finished runs.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use galton_core::Scenario;
use galton_core::plan::Plan;
use galton_core::record::{Decision, FleetEvent, TraceRow};
use galton_core::scenario::{Arrival, ArrivalProcess, TrafficModel};
use galton_report::{Kind, decisions, fleet, trace};
use galton_runtime::scenario_file;
use serde::Deserialize;

use crate::unfit;

/// The code of the reason that a run has whom somebody stopped.
const INTERRUPTED: &str = "INTERRUPTED";

/// One finished run. What is large is read when it is asked for.
#[derive(Clone, Debug)]
pub struct RunFiles {
    path: PathBuf,
    /// What was run.
    pub scenario: Scenario,
    /// What `result.json` says of the run itself.
    pub meta: Meta,
}

/// The part of `result.json` that says which run it is and whether to believe it.
#[derive(Clone, Debug, Deserialize)]
pub struct Meta {
    /// Live or simulated.
    pub kind: Kind,
    /// Which run.
    pub run: MetaRun,
    /// Whether to believe it.
    pub validity: MetaValidity,
}

/// The part of `run` that is needed.
#[derive(Clone, Debug, Deserialize)]
pub struct MetaRun {
    /// Scenario seconds per machine second.
    pub time_scale: f64,
    /// Hash of the plan.
    pub plan_sha256: String,
}

/// The part of `validity` that is needed.
#[derive(Clone, Debug, Deserialize)]
pub struct MetaValidity {
    /// `VALID`, `SUSPECT`, `INVALID`.
    pub verdict: String,
    /// Why.
    pub reasons: Vec<MetaReason>,
}

/// The part of a reason that is needed.
#[derive(Clone, Debug, Deserialize)]
pub struct MetaReason {
    /// Its stable name.
    pub code: String,
}

// === impl RunFiles ===

impl RunFiles {
    /// Reads what is small: `scenario.json` and the head of `result.json`.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = path.join("result.json");
        let meta = serde_json::from_reader(open(&file)?).map_err(|error| unfit::no_result(error, &file))?;
        Ok(Self { path: path.to_owned(), scenario: scenario(path)?, meta })
    }

    /// `trace.csv`, by seq.
    pub fn trace(&self) -> anyhow::Result<Vec<TraceRow>> {
        let mut rows = self.records("trace.csv", trace::read)?;
        rows.sort_by_key(|row| row.seq);
        Ok(rows)
    }

    /// `fleet.csv`.
    pub fn fleet(&self) -> anyhow::Result<Vec<FleetEvent>> {
        self.records("fleet.csv", fleet::read)
    }

    /// `decisions.csv`.
    pub fn decisions(&self) -> anyhow::Result<Vec<Decision>> {
        self.records("decisions.csv", decisions::read)
    }

    /// Whether a file of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.path.join(name).is_file()
    }

    /// Whether somebody stopped the run.
    pub fn interrupted(&self) -> bool {
        self.meta.validity.reasons.iter().any(|reason| reason.code == INTERRUPTED)
    }

    /// Hash of the plan: as the run said, or of its scenario.
    pub fn plan_sha256(&self) -> String {
        match self.meta.run.plan_sha256.as_str() {
            "" => Plan::new(&self.scenario).sha256(),
            said => said.to_owned(),
        }
    }

    fn records<T, E>(&self, name: &str, read: fn(BufReader<File>) -> Result<Vec<T>, E>) -> anyhow::Result<Vec<T>>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let path = self.path.join(name);
        read(open(&path)?).with_context(|| format!("cannot read {}", path.display()))
    }
}

/// The run's scenario. An arrival trace that is not where it was is replaced by the run's own: it plans the same requests.
pub fn scenario(path: &Path) -> anyhow::Result<Scenario> {
    let file = path.join("scenario.json");
    let loaded = scenario_file::load(&file, &[]).or_else(|error| {
        let own = path.join("trace.csv");
        let own = serde_json::Value::from(own.to_string_lossy()).to_string();
        let with_own = scenario_file::load(&file, &[("traffic.arrival.file".to_owned(), own)]);
        with_own.ok().filter(is_of_a_trace).ok_or(error)
    });
    // Nobody wrote it by hand: that it is faulty is no wrong usage.
    loaded.map_err(|error| anyhow!("cannot read the scenario of a run: {error}"))
}

fn is_of_a_trace(scenario: &Scenario) -> bool {
    let of_trace = |arrival: &Arrival| matches!(arrival.process, ArrivalProcess::Trace { .. });
    matches!(&scenario.traffic.model, TrafficModel::Open(arrival) if of_trace(arrival))
}

/// Opens a file for reading.
pub fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?))
}

/// Reads a file of JSON.
pub fn json(path: &Path) -> anyhow::Result<serde_json::Value> {
    serde_json::from_reader(open(path)?).with_context(|| format!("{} is not valid JSON", path.display()))
}
