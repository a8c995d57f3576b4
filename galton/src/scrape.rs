//! Scrapes: every `/metrics` once a second and at the ends, kept raw in the run directory, the last one also in memory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use galton_core::wire::TargetList;
use galton_runtime::http_client;

use crate::cluster::CALL_WITHIN;
use crate::run_dir::RunDir;
use galton_runtime::samples::Samples;

/// A process to scrape: its name and the address of its admin port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scrapee {
    pub(crate) name: String,
    pub(crate) admin: String,
}

/// Scrapes processes and keeps what they said.
#[derive(Debug)]
pub(crate) struct Scraper {
    dir: RunDir,
    latest: BTreeMap<String, Samples>,
}

/// The name of a target process in the run directory: `target-t-001-0`.
pub(crate) fn target_name(target: galton_core::TargetId, incarnation: galton_core::Incarnation) -> String {
    format!("target-{target}-{incarnation}")
}

/// The target processes of a list that can be scraped.
pub(crate) fn scrapees(list: &TargetList) -> impl Iterator<Item = Scrapee> + '_ {
    list.targets.iter().filter(|t| t.state != "ended").filter_map(|t| {
        let admin = t.admin.clone()?;
        Some(Scrapee { name: target_name(t.target, t.incarnation), admin })
    })
}

// === impl Scraper ===

impl Scraper {
    pub(crate) fn new(dir: RunDir) -> Self {
        Self { dir, latest: BTreeMap::new() }
    }

    /// Scrapes all of them at once; `stamp` says when, for the raw file. Returns the names of those that did not answer.
    pub(crate) async fn scrape(&mut self, processes: Vec<Scrapee>, stamp: &str) -> anyhow::Result<Vec<String>> {
        let tasks: Vec<_> = processes
            .into_iter()
            .map(|p| tokio::spawn(async move { (p.name, http_client::get(&p.admin, "/metrics", CALL_WITHIN).await) }))
            .collect();
        let mut silent = Vec::new();
        for task in tasks {
            let (name, answer) = task.await.context("a scrape")?;
            match answer {
                Ok(answer) if answer.status.is_success() => self.keep(name, &answer.body, stamp)?,
                _ => silent.push(name),
            }
        }
        Ok(silent)
    }

    fn keep(&mut self, name: String, text: &[u8], stamp: &str) -> anyhow::Result<()> {
        let path = self.dir.scrapes(&name);
        append(&path, text, stamp).with_context(|| format!("cannot write {}", path.display()))?;
        self.latest.insert(name, Samples::parse(&String::from_utf8_lossy(text)));
        Ok(())
    }

    /// The last scrape of a process.
    pub(crate) fn latest(&self, name: &str) -> Option<&Samples> {
        self.latest.get(name)
    }
}

fn append(path: &PathBuf, text: &[u8], stamp: &str) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("# scraped at {stamp}\n").as_bytes())?;
    file.write_all(text)
}
