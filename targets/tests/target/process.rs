//! A target process under test.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use galton_core::wire::TargetCounts;
use galton_runtime::{book, child, http_client};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Connection, PATIENCE};

/// Waits for a condition.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The target `t-007`, incarnation 3. It ends with this, by its lifeline.
pub(crate) struct Target {
    process: tokio::process::Child,
    lifeline: Option<tokio::process::ChildStdin>,
    runtime: tokio::runtime::Runtime,
    data: String,
    admin: String,
    dir: tempfile::TempDir,
}

impl Target {
    pub(crate) fn start(scenario: &serde_json::Value, flags: &[&str]) -> Self {
        Self::try_start(scenario, flags).unwrap_or_else(|error| panic!("{error:#}"))
    }

    pub(crate) fn try_start(scenario: &serde_json::Value, flags: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("scenario.json"), scenario.to_string()).unwrap();
        let paths = [format!("--scenario={}", file("scenario.json").display()), book_flag(file("book"))];
        let fixed = ["target", "--lifeline", "--target=t-007", "--incarnation=3"].map(str::to_owned);
        let args: Vec<_> = fixed.into_iter().chain(paths).chain(flags.iter().map(|&flag| flag.to_owned())).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let program = std::env::current_exe().unwrap();
        let child = runtime.block_on(child::spawn(&program, &args, Some(file("log")), PATIENCE))?;
        Ok(Self {
            process: child.process,
            lifeline: Some(child.lifeline),
            runtime,
            data: child.announce.data.expect("a target has a data port"),
            admin: child.announce.admin,
            dir,
        })
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.data)
    }

    pub(crate) fn admin(&self, method: &str, path: &str) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            match method {
                "GET" => http_client::get(&self.admin, path, PATIENCE).await,
                _ => http_client::post_json(&self.admin, path, &(), PATIENCE).await,
            }
        });
        let answer = answer.unwrap();
        (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
    }

    pub(crate) fn counts(&self, window_ns: u64) -> TargetCounts {
        let (status, body) = self.admin("GET", &format!("/counts?window_ns={window_ns}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The sum of a metric's rows whose series contains `part`.
    fn metrics(&self, part: &str) -> f64 {
        let (_, page) = self.admin("GET", "/metrics");
        let rows: Vec<&str> = page.lines().filter(|line| !line.starts_with('#') && line.contains(part)).collect();
        assert!(!rows.is_empty(), "no {part} in {page}");
        rows.iter().map(|row| row.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.metrics(name)
    }

    pub(crate) fn requests(&self, outcome: &str) -> u64 {
        self.metrics(&format!("outcome=\"{outcome}\"")) as u64
    }

    /// What the book's file says.
    pub(crate) fn book(&self, series: &str) -> u64 {
        let all = book::read(&self.dir.path().join("book")).unwrap();
        all.iter().find(|(name, _)| name == series).unwrap_or_else(|| panic!("no {series} in {all:?}")).1
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.process.id().expect("it lives");
        kill_process(Pid::from_raw(pid as i32).expect("not 0"), signal).unwrap();
    }

    pub(crate) fn cut_lifeline(&mut self) {
        self.lifeline = None;
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let ended = async { tokio::time::timeout(PATIENCE, self.process.wait()).await };
        self.runtime.block_on(ended).expect("it did not end").unwrap()
    }
}

fn book_flag(path: PathBuf) -> String {
    format!("--book={}", path.display())
}
