//! Scrapes: every `/metrics` once a second and at the ends, kept raw in the run directory.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use galton_core::wire::TargetList;
use galton_core::{HostId, Incarnation, TargetId};
use galton_results::run_files;
use galton_runtime::http_client;
use galton_runtime::samples::Samples;

use crate::cluster::CALL_WITHIN;
use crate::run_dir::RunDir;

/// What stands before the time at which a scrape was taken.
const STAMP: &str = "# scraped at ";

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
}

/// The name of a proxy in the run directory: `proxy-0`.
pub(crate) fn proxy_name(host: HostId) -> String {
    format!("proxy-{host}")
}

/// The name of a target process in the run directory: `target-t-001-0`.
pub(crate) fn target_name(target: TargetId, incarnation: Incarnation) -> String {
    format!("target-{target}-{incarnation}")
}

/// The last scrape of a file.
pub(crate) fn last(path: &Path) -> anyhow::Result<Samples> {
    let mut text = String::new();
    for line in run_files::open(path)?.lines() {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        if line.starts_with(STAMP) {
            text.clear();
        }
        text.push_str(&line);
        text.push('\n');
    }
    Ok(Samples::parse(&text))
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
        Self { dir }
    }

    /// Scrapes all of them at once; `stamp` says when. Returns the names of those that did not answer.
    pub(crate) async fn scrape(&self, processes: Vec<Scrapee>, stamp: &str) -> anyhow::Result<Vec<String>> {
        let tasks: Vec<_> = processes
            .into_iter()
            .map(|p| tokio::spawn(async move { (p.name, http_client::get(&p.admin, "/metrics", CALL_WITHIN).await) }))
            .collect();
        let mut silent = Vec::new();
        for task in tasks {
            let (name, answer) = task.await.context("a scrape")?;
            match answer {
                Ok(answer) if answer.status.is_success() => self.keep(&name, &answer.body, stamp)?,
                _ => silent.push(name),
            }
        }
        Ok(silent)
    }

    fn keep(&self, name: &str, text: &[u8], stamp: &str) -> anyhow::Result<()> {
        let path = self.dir.scrapes(name);
        append(&path, text, stamp).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn append(path: &Path, text: &[u8], stamp: &str) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{STAMP}{stamp}\n").as_bytes())?;
    file.write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_scrape_of_a_file_is_read_stamped_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.prom");
        append(&path, b"a 1\nb 1\n", "the start").unwrap();
        append(&path, b"a 2\n", "5 s").unwrap();
        let found = last(&path).unwrap();
        assert_eq!((found.count("a", &[]), found.count("b", &[])), (2, 0));
        std::fs::write(&path, "a 3\n").unwrap();
        assert_eq!(last(&path).unwrap().count("a", &[]), 3);
    }
}
