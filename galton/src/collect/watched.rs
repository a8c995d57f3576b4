//! `conductor.json`: what only a conductor can know, because it is there while the processes live.

use std::collections::BTreeSet;

use anyhow::Context as _;
use galton_core::HostId;
use galton_core::record::{FleetEvent, FleetWhat};
use galton_report::{Quantity, Reason, Severity};
use galton_results::run_files;
use serde::{Deserialize, Serialize};

use crate::run_dir::{RunDir, existing};
use crate::scrape::{proxy_name, target_name};

/// The file's name.
const FILE: &str = "conductor.json";

/// What the conductor saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watched {
    /// Its command line.
    pub(crate) command: Vec<String>,
    /// Those that ended by themselves.
    pub(crate) dead_proxies: BTreeSet<HostId>,
    pub(crate) scaler_died: bool,
    /// Who did not answer the last scrape.
    pub(crate) silent: Vec<String>,
}

/// What speaks against the run, or that nobody can say so.
pub(super) fn reasons(watched: Option<&Watched>) -> Vec<Reason> {
    let reason = |code: &str, severity, [value, limit]: [u64; 2], text: String| {
        Reason::new(code, severity, Quantity::Count(value), Quantity::Count(limit), text)
    };
    let Some(watched) = watched else {
        let text = format!("no conductor watched ({FILE} is not there): whether a process died or hung is not known");
        return vec![reason("NOT_WATCHED", Severity::Suspect, [0, 1], text)];
    };
    let mut reasons = Vec::new();
    if !watched.dead_proxies.is_empty() {
        let who: Vec<String> = watched.dead_proxies.iter().map(|host| proxy_name(*host)).collect();
        let text = format!("{} died during the run", who.join(", "));
        reasons.push(reason("PROXY_DIED", Severity::Suspect, [who.len() as u64, 0], text));
    }
    if watched.scaler_died {
        let text = "the scaler died during the run, and its targets with it".to_owned();
        reasons.push(reason("SCALER_DIED", Severity::Invalid, [1, 0], text));
    }
    reasons
}

// === impl Watched ===

impl Watched {
    /// Writes it into the run directory.
    pub(crate) fn write(&self, dir: &RunDir) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("what the conductor saw, as JSON")?;
        dir.write(FILE, &(text + "\n"))
    }

    /// None: there was no conductor.
    pub(super) fn read(dir: &RunDir) -> anyhow::Result<Option<Self>> {
        let Some(path) = existing(dir.file(FILE)) else { return Ok(None) };
        let read = serde_json::from_reader(run_files::open(&path)?);
        read.map(Some).with_context(|| format!("{}: not what a conductor leaves behind", path.display()))
    }

    /// Who did not answer the last scrape although it should have been there: a target that was stopped between being listed
    /// and being asked has had its last scrape from the scaler.
    pub(super) fn silent(&self, fleet: &[FleetEvent]) -> Vec<String> {
        let stopped = fleet.iter().filter(|e| e.what == FleetWhat::Stopped);
        let stopped = stopped.filter_map(|e| Some(target_name(e.target?, e.incarnation)));
        let dead = self.dead_proxies.iter().map(|host| proxy_name(*host));
        let excused: BTreeSet<String> = stopped.chain(dead).collect();
        let asked = self.silent.iter().filter(|_| !self.scaler_died);
        asked.filter(|name| !excused.contains(*name)).cloned().collect()
    }
}
