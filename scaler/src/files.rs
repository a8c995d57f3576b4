//! Where the scaler and its targets write: the run directory, or, without one, a directory that goes with the scaler.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use galton_core::{Incarnation, TargetId};
use tempfile::TempDir;

/// One process of a target slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessKey {
    pub(crate) target: TargetId,
    pub(crate) incarnation: Incarnation,
}

/// The files of a run, by what is in them.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    /// Without a run directory: books and load map are how processes share memory, so they need a place all the same. What has
    /// been read is deleted: a fleet that comes and goes for days must not fill it.
    scratch: Option<TempDir>,
}

// === impl ProcessKey ===

impl ProcessKey {
    pub(crate) const fn first(target: TargetId) -> Self {
        Self { target, incarnation: 0 }
    }

    /// The stem of its files: `target-t-001-0`.
    fn stem(self) -> String {
        format!("target-{}-{}", self.target, self.incarnation)
    }
}

// === impl Files ===

impl Files {
    /// Makes the directories.
    pub(crate) fn prepare(run_dir: Option<&Path>) -> anyhow::Result<Self> {
        let files = match run_dir {
            Some(dir) => Self { dir: dir.to_owned(), scratch: None },
            None => {
                let scratch = tempfile::Builder::new().prefix("galton-scaler-").tempdir();
                let scratch = scratch.context("create a temporary directory")?;
                Self { dir: scratch.path().to_owned(), scratch: Some(scratch) }
            }
        };
        for sub in ["book", "log", "metrics"].map(|sub| files.dir.join(sub)) {
            std::fs::create_dir_all(&sub).with_context(|| format!("create {}", sub.display()))?;
        }
        Ok(files)
    }

    /// The counters of a target process.
    pub(crate) fn book(&self, key: ProcessKey) -> PathBuf {
        self.dir.join("book").join(format!("{}.book", key.stem()))
    }

    /// The load map, where nobody named another place.
    pub(crate) fn load_map(&self) -> PathBuf {
        self.dir.join("load.map")
    }

    /// What a target process prints on stderr; none: it is inherited.
    pub(crate) fn log(&self, key: ProcessKey) -> Option<PathBuf> {
        self.kept(format!("log/{}.log", key.stem()))
    }

    /// The last scrape of a target process, if it is kept.
    pub(crate) fn last_scrape(&self, key: ProcessKey) -> Option<PathBuf> {
        self.kept(format!("metrics/{}.final.prom", key.stem()))
    }

    /// One line per fleet event, if they are kept.
    pub(crate) fn journal(&self) -> Option<PathBuf> {
        self.kept("fleet.jsonl".to_owned())
    }

    /// The process has ended and its book was read: deletes it, unless it is kept.
    pub(crate) fn discard(&self, key: ProcessKey) {
        let book = self.book(key);
        if self.scratch.is_some()
            && let Err(error) = std::fs::remove_file(&book)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!("cannot delete {}: {error}", book.display());
        }
    }

    fn kept(&self, file: String) -> Option<PathBuf> {
        self.scratch.is_none().then(|| self.dir.join(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: ProcessKey = ProcessKey { target: TargetId(7), incarnation: 2 };

    #[test]
    fn without_a_run_directory_nothing_is_kept() {
        let files = Files::prepare(None).unwrap();
        let dir = files.dir.clone();
        assert!(files.book(KEY).parent().is_some_and(Path::is_dir) && dir.is_dir());
        assert_eq!((files.log(KEY), files.last_scrape(KEY), files.journal()), (None, None, None));
        std::fs::write(files.book(KEY), "").unwrap();
        files.discard(KEY);
        assert!(!files.book(KEY).exists());
        drop(files);
        assert!(!dir.exists());
    }

    #[test]
    fn a_run_directory_has_a_place_for_everything() {
        let run = tempfile::tempdir().unwrap();
        let files = Files::prepare(Some(run.path())).unwrap();
        assert_eq!(files.book(KEY), run.path().join("book/target-t-007-2.book"));
        assert_eq!(files.log(KEY), Some(run.path().join("log/target-t-007-2.log")));
        assert_eq!(files.last_scrape(KEY), Some(run.path().join("metrics/target-t-007-2.final.prom")));
        assert!(run.path().join("metrics").is_dir());
        std::fs::write(files.book(KEY), "").unwrap();
        files.discard(KEY);
        assert!(files.book(KEY).exists(), "the report reads it");
    }
}
