//! The run directory: everything that a run leaves behind.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use galton_core::{HostId, Scenario};
use galton_results::new_dir;

use crate::scrape::proxy_name;

/// One line per planned request, by the load generator.
pub(crate) const TRACE: &str = "trace.csv";
/// What the load generator counted and noticed about itself.
pub(crate) const GENERATOR: &str = "generator.json";
/// One line per change of the fleet, by the scaler.
pub(crate) const FLEET_LOG: &str = "fleet.jsonl";

/// The file, if there is one.
pub(crate) fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

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

    /// One that is there, whoever filled it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let absolute = path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
        ensure!(absolute.is_dir(), "{} is no directory", path.display());
        let id = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path: path.to_owned(), id })
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
        self.books().join(format!("{process}.book"))
    }

    /// The counters of the proxies, whatever number of hosts each of them has.
    pub(crate) fn proxy_books(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.in_books(|name| name.starts_with("proxy") && name.ends_with(".book"))
    }

    fn books(&self) -> PathBuf {
        self.path.join("book")
    }

    /// The files among the books whose name is wanted, by name.
    fn in_books(&self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<PathBuf>> {
        let Some(books) = existing(self.books()) else { return Ok(Vec::new()) };
        let list = || {
            let entries = std::fs::read_dir(&books)?.collect::<Result<Vec<_>, _>>()?;
            let mut found: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
            found.retain(|path| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy())));
            found.sort();
            Ok::<_, std::io::Error>(found)
        };
        list().with_context(|| format!("cannot read {}", books.display()))
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
        self.books().join(format!("{}.decisions", proxy_name(host)))
    }

    /// The decision records of a host, where they are: a process with several hosts puts the host's number behind the name that it was
    /// given.
    pub(crate) fn find_records(&self, host: HostId) -> anyhow::Result<Option<PathBuf>> {
        if let Some(path) = existing(self.records(host)) {
            return Ok(Some(path));
        }
        let of_thread = format!(".decisions.{host}");
        Ok(self.in_books(|name| name.ends_with(&of_thread))?.into_iter().next())
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.file(name);
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }
}
