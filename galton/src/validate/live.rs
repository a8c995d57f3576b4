//! The live side: one run of a scenario on real processes, by the command that runs it for a person.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use clap::ValueEnum as _;
use galton_core::Scenario;
use galton_core::plan::Plan;
use galton_loadgen::ProgressStyle;
use galton_report::{
    Generator, Kind, Quantity, Reason, Report, RunData, RunMeta, Severity, Validity, decisions, fleet, trace,
};
use serde_json::{Value, json};

use crate::machine;

/// How a scenario is run.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) time_scale: f64,
    /// Where the run directory goes.
    pub(super) output_dir: PathBuf,
    pub(super) progress: ProgressStyle,
}

/// A live run.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) data: RunData,
    pub(super) report: Report,
}

/// Runs a scenario.
pub(super) fn run(scenario: &Scenario, options: &Options) -> anyhow::Result<Live> {
    let parent = tempfile::tempdir_in(&options.output_dir)?;
    let file = parent.path().join(format!("{}.json", scenario.name));
    let mut resolved = scenario.to_value();
    resolved["reporting"]["output_dir"] = json!(parent.path());
    resolved["reporting"]["writers"] = json!(["json", "html"]);
    std::fs::write(&file, resolved.to_string())?;
    let progress = options.progress.to_possible_value().expect("every style has a name");
    let status = Command::new(std::env::current_exe()?)
        .arg("run")
        .arg(&file)
        .args(["--time-scale", &options.time_scale.to_string(), "--progress", progress.get_name()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("cannot start a live run")?;
    anyhow::ensure!(status.success(), "the live run ended with {status}");
    let made = std::fs::read_dir(parent.path())?.filter_map(Result::ok).map(|entry| entry.path());
    let dir = made.into_iter().find(|path| path.is_dir()).context("the live run left no run directory")?;
    let kept = options.output_dir.join(dir.file_name().context("a run directory has a name")?);
    std::fs::rename(&dir, &kept).with_context(|| format!("cannot move {}", dir.display()))?;
    read(&kept, scenario, options.time_scale).with_context(|| format!("cannot read {}", kept.display()))
}

fn open(dir: &Path, name: &str) -> anyhow::Result<BufReader<File>> {
    File::open(dir.join(name)).map(BufReader::new).context(name.to_owned())
}

fn read(dir: &Path, scenario: &Scenario, time_scale: f64) -> anyhow::Result<Live> {
    let result: Value = serde_json::from_reader(open(dir, "result.json")?).context("result.json")?;
    let meta = RunMeta {
        kind: Kind::Live,
        id: result["run"]["id"].as_str().unwrap_or_default().to_owned(),
        started_unix_ns: result["run"]["started_unix_ns"].as_u64().unwrap_or_default(),
        command: Vec::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time_scale,
        host: machine::host_info(),
        plan_sha256: Plan::new(scenario).sha256(),
    };
    let data = RunData {
        meta,
        scenario: scenario.clone(),
        trace: trace::read(open(dir, "trace.csv")?).context("trace.csv")?,
        decisions: Some(decisions::read(open(dir, "decisions.csv")?).context("decisions.csv")?),
        fleet: fleet::read(open(dir, "fleet.csv")?).context("fleet.csv")?,
        counters: Default::default(),
        generator: Generator::default(),
        reasons: Vec::new(),
        interrupted: false,
    };
    // The counters are not in these files: the verdict is the one of the run itself.
    let mut report = Report::compute(&data);
    report.validity = validity(&result["validity"]);
    Ok(Live { data, report })
}

fn validity(value: &Value) -> Validity {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reason = |reason: &Value| {
        let severity = match reason["severity"].as_str() {
            Some("invalid") => Severity::Invalid,
            Some("suspect") => Severity::Suspect,
            _ => Severity::Note,
        };
        let none = Quantity::Count(0);
        Reason::new(&text(&reason["code"]), severity, none, none, text(&reason["text"]))
    };
    Validity::of(value["reasons"].as_array().into_iter().flatten().map(reason).collect())
}
