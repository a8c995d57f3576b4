//! The run directory: everything that a run leaves behind.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use galton_core::{HostId, Scenario};
use galton_results::new_dir;

/// The files of one run.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    id: String,
}

impl RunDir {
    /// Makes `<output dir>/<scenario>-<time>/`, and the resolved scenario in it. Runs of one second get numbers.
    pub(crate) fn create(scenario: &Scenario, time: &str) -> anyhow::Result<Self> {
        let parent = Path::new(&scenario.reporting.output_dir);
        let (path, id) = new_dir::below(parent, &format!("{}-{time}", scenario.name))?;
        let dir = Self { path, id };
        dir.write("scenario.json", &format!("{:#}\n", scenario.to_value()))?;
        Ok(dir)
    }

    /// With the subdirectories for what processes leave behind.
    pub(crate) fn with_processes(self) -> anyhow::Result<Self> {
        for sub in ["metrics", "log", "book"] {
            let sub = self.path.join(sub);
            std::fs::create_dir(&sub).with_context(|| format!("cannot create {}", sub.display()))?;
        }
        Ok(self)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The counters of a process.
    pub(crate) fn book(&self, process: &str) -> PathBuf {
        self.path.join("book").join(format!("{process}.book"))
    }

    /// The log of a process.
    pub(crate) fn log(&self, process: &str) -> PathBuf {
        self.path.join("log").join(format!("{process}.log"))
    }

    /// The scrapes of a process.
    pub(crate) fn scrapes(&self, process: &str) -> PathBuf {
        self.path.join("metrics").join(format!("{process}.prom"))
    }

    /// The decision records of a host.
    pub(crate) fn records(&self, host: HostId) -> PathBuf {
        self.path.join("book").join(format!("proxy-{host}.decisions"))
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.file(name);
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }
}
