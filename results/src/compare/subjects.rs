//! From a path to one side of a comparison.

use std::path::Path;

use galton_report::compare::{self, Figures, Recorded, Records, Subject};
use serde_json::Value;

use super::client;
use crate::run_files::{self, Meta, RunFiles};
use crate::{Usage, unfit};

/// A run directory, a `result.json`, or a CSV with columns of a trace.
pub(super) fn open(path: &Path) -> anyhow::Result<Subject> {
    let is = |extension: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
    if path.is_dir() {
        return run_dir(path);
    }
    if !path.is_file() {
        return Err(unfit::missing(path));
    }
    if is("json") {
        return result(path);
    }
    if is("csv") {
        return foreign(path);
    }
    Err(Usage::error(format_args!("{}: expected a run directory, a result.json, or a .csv", path.display())))
}

fn run_dir(path: &Path) -> anyhow::Result<Subject> {
    if !path.join("result.json").is_file() {
        return Err(unfit::no_run(path, "result.json (reporting.writers: json)"));
    }
    if let Some(subject) = client::open(path)? {
        return Ok(subject);
    }
    let files = RunFiles::open(path)?;
    if !files.has("trace.csv") {
        return result(&path.join("result.json"));
    }
    let fleet = if files.has("fleet.csv") { Some(files.fleet()?) } else { None };
    let recorded = Recorded::of_run(&files.scenario, &files.trace()?, fleet, files.interrupted());
    let scenario = files.scenario.to_value();
    let plan_sha256 = files.plan_sha256();
    Ok(of_meta(path, &files.meta, plan_sha256, scenario, Records::Requests(recorded)))
}

/// The figures alone.
pub(super) fn result(path: &Path) -> anyhow::Result<Subject> {
    let name = path.display();
    let value = run_files::json(path)?;
    let fault = |why: String| Usage::error(format_args!("{name}: {why}"));
    let figures = Figures::of_result(&value).map_err(|error| fault(error.to_string()))?;
    let meta: Meta = serde_json::from_value(value.clone()).map_err(|error| fault(format!("not a result: {error}")))?;
    let (plan, scenario) = (meta.run.plan_sha256.clone(), value["scenario"].clone());
    Ok(of_meta(path, &meta, plan, scenario, Records::Summary(Box::new(figures))))
}

pub(super) fn of_meta(path: &Path, meta: &Meta, plan_sha256: String, scenario: Value, records: Records) -> Subject {
    let codes = meta.validity.reasons.iter().map(|reason| reason.code.clone()).collect();
    Subject {
        name: path.display().to_string(),
        kind: Some(meta.kind),
        time_scale: meta.run.time_scale,
        // A load generator by itself has none: whether the requests are the same, they say themselves.
        plan_sha256: Some(plan_sha256).filter(|hash| !hash.is_empty()),
        scenario: Some(scenario),
        validity: Some((meta.validity.verdict.clone(), codes)),
        records,
    }
}

/// What somebody else's simulator produced.
fn foreign(path: &Path) -> anyhow::Result<Subject> {
    let recorded = compare::read_foreign(run_files::open(path)?)
        .map_err(|error| Usage::error(format_args!("{}: {:#}", path.display(), anyhow::Error::from(error))))?;
    Ok(Subject {
        name: path.display().to_string(),
        kind: None,
        time_scale: 1.0,
        plan_sha256: None,
        scenario: None,
        validity: None,
        records: Records::Requests(recorded),
    })
}
