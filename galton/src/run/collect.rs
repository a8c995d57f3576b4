//! After the run: from the files of the run directory to the report.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context as _;
use galton_core::record::{Decision, FleetEvent, FleetWhat};
use galton_core::{HostId, Scenario};
use galton_report::{Generator, Kind, Quantity, Reason, RunData, RunMeta, Severity, trace};
use galton_runtime::records;

use crate::counters::{self, Deaths};
use crate::machine;
use crate::run_dir::RunDir;
use crate::scrape::{Scraper, target_name};

/// What the conductor saw.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) scraper: Scraper,
    pub(crate) generator: Generator,
    pub(crate) started_unix_ns: u64,
    pub(crate) dead_proxies: BTreeSet<HostId>,
    pub(crate) scaler_died: bool,
    /// Who did not answer the last scrape.
    pub(crate) silent: Vec<String>,
    pub(crate) interrupted: bool,
}

/// Everything about the run, from its files.
pub(crate) fn collect(
    dir: &RunDir,
    scenario: Scenario,
    evidence: Evidence,
    time_scale: f64,
    plan_sha256: String,
) -> anyhow::Result<RunData> {
    let trace_file = dir.file("trace.csv");
    let mut rows = trace::read(open(&trace_file)?).with_context(|| format!("cannot read {}", trace_file.display()))?;
    rows.sort_by_key(|row| row.seq);
    let events = fleet_log(&dir.file("fleet.jsonl"))?;
    let deaths = Deaths { proxies: evidence.dead_proxies.clone(), targets: dead_targets(&events) };
    let hosts = scenario.load_balancer.hosts;
    let mut counters = counters::collect(dir, &evidence.scraper, hosts, &events, &deaths);
    counters.missing.extend(silent(&evidence, &events));
    let decisions = (0..hosts).map(|host| read_records(dir, HostId(host))).collect::<anyhow::Result<Vec<_>>>()?;
    let meta = RunMeta {
        kind: Kind::Live,
        id: dir.id().to_owned(),
        started_unix_ns: evidence.started_unix_ns,
        command: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time_scale,
        host: machine::host_info(),
        plan_sha256,
    };
    Ok(RunData {
        meta,
        trace: rows,
        decisions: Some(merged(decisions)),
        fleet: events,
        counters,
        generator: evidence.generator,
        reasons: reasons(&evidence),
        interrupted: evidence.interrupted,
        scenario,
    })
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?))
}

fn fleet_log(path: &Path) -> anyhow::Result<Vec<FleetEvent>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = |(n, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}:{}: not a fleet event", path.display(), n + 1))
    };
    text.lines().enumerate().map(line).collect()
}

/// The processes that died by themselves.
fn dead_targets(events: &[FleetEvent]) -> BTreeSet<(galton_core::TargetId, galton_core::Incarnation)> {
    let died = |e: &&FleetEvent| matches!(e.what, FleetWhat::Died | FleetWhat::StartFailed);
    events.iter().filter(died).filter_map(|e| Some((e.target?, e.incarnation))).collect()
}

fn read_records(dir: &RunDir, host: HostId) -> anyhow::Result<Vec<Decision>> {
    let path = dir.records(host);
    records::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The decisions of all hosts in order of time; those of one host keep their order.
fn merged(by_host: Vec<Vec<Decision>>) -> Vec<Decision> {
    let mut all = by_host.concat();
    all.sort_by_key(|d| (d.at, d.host));
    all
}

/// Who did not answer the last scrape although it should have been there: a target that was stopped between being listed
/// and being asked has had its last scrape from the scaler.
fn silent(evidence: &Evidence, events: &[FleetEvent]) -> impl Iterator<Item = String> {
    let stopped = events.iter().filter(|e| e.what == FleetWhat::Stopped);
    let stopped = stopped.filter_map(|e| Some(target_name(e.target?, e.incarnation)));
    let dead = evidence.dead_proxies.iter().map(|host| format!("proxy-{host}"));
    let excused: BTreeSet<String> = stopped.chain(dead).collect();
    let asked = evidence.silent.iter().filter(|_| !evidence.scaler_died).cloned();
    asked.filter(move |name| !excused.contains(name))
}

/// What only the conductor can know about the run's validity.
fn reasons(evidence: &Evidence) -> Vec<Reason> {
    let reason = |code: &str, severity, count: usize, text: String| Reason {
        code: code.to_owned(),
        severity,
        value: Quantity::Count(count as u64),
        limit: Quantity::Count(0),
        text,
    };
    let mut reasons = Vec::new();
    if !evidence.dead_proxies.is_empty() {
        let who: Vec<String> = evidence.dead_proxies.iter().map(|host| format!("proxy-{host}")).collect();
        let text = format!("{} died during the run", who.join(", "));
        reasons.push(reason("PROXY_DIED", Severity::Suspect, who.len(), text));
    }
    if evidence.scaler_died {
        let text = "the scaler died during the run, and its targets with it".to_owned();
        reasons.push(reason("SCALER_DIED", Severity::Invalid, 1, text));
    }
    reasons
}
