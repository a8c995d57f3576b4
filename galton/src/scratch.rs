//! A directory for the files of processes whose records nobody wants afterwards: it goes with the command, however that ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use galton_runtime::shutdown;

/// A process that ends meanwhile may put a file into a directory that is being removed; it is removed again so often.
const TRIES: u32 = 10;

/// The one that there is: a second Ctrl-C ends the process without a destructor.
static CURRENT: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Such a directory, one at a time; removed when dropped, and by a second Ctrl-C.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

// === impl Scratch ===

impl Scratch {
    /// Makes one, named `prefix` and something random, where temporary files are.
    pub(crate) fn new(prefix: &str) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir().context("cannot make a directory")?;
        let path = dir.keep();
        *current() = Some(path.clone());
        shutdown::before_exit(remove_current);
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// It stays, for whoever wants to look.
    pub(crate) fn keep(self) -> PathBuf {
        current().take();
        self.0.clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_current();
    }
}

fn current() -> MutexGuard<'static, Option<PathBuf>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove_current() {
    let Some(path) = current().take() else { return };
    // Out of the way of processes that still end: what they would make under its name is not made.
    let gone = path.with_extension("gone");
    let path = std::fs::rename(&path, &gone).map_or(path, |()| gone);
    // The command ends: what cannot be removed changes nothing of its result.
    for _ in 0..TRIES {
        if std::fs::remove_dir_all(&path).is_ok() {
            break;
        }
    }
}
