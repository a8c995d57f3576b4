//! What end-to-end tests share: starting `galton`, waiting for conditions, reading what a run left behind.

pub mod role;
pub mod vector;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use galton_core::record::{Decision, FleetEvent, FleetWhat, TraceRow};
use galton_report::{decisions, fleet, trace};
use serde_json::Value;
use tempfile::TempDir;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a condition may take that normally takes a moment.
pub const SOON: Duration = Duration::from_secs(20);

/// One use of `galton`, in a directory of its own.
#[derive(Debug)]
pub struct Galton {
    program: PathBuf,
    dir: Arc<TempDir>,
}

/// A `galton` that is running. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
    dir: Arc<TempDir>,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    /// The run directory, which goes with this.
    pub dir: PathBuf,
    _dir: Arc<TempDir>,
    /// `result.json`.
    pub result: Value,
    /// `trace.csv`.
    pub trace: Vec<TraceRow>,
    /// `decisions.csv`.
    pub decisions: Vec<Decision>,
    /// `fleet.csv`.
    pub fleet: Vec<FleetEvent>,
}

// === impl Galton ===

impl Galton {
    /// `program`: `env!("CARGO_BIN_EXE_galton-under-test")`, which only a test knows.
    pub fn new(program: &str) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self { program: program.into(), dir }
    }

    /// The directory that it works in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file there, and returns its path.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir().join(name);
        std::fs::write(&path, content).expect("a temporary file");
        path
    }

    /// The command, with nothing on its standard input.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.dir()).stdin(Stdio::null()).env_remove("GALTON_LOG");
        command
    }

    /// Runs it to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("galton starts")
    }

    /// Starts `galton run` on a scenario, with its output into files.
    pub fn start(&self, scenario: &Value, args: &[&str]) -> Running {
        self.file("scenario.json", &scenario.to_string());
        let out = File::create(self.dir().join("stdout")).expect("a temporary file");
        let err = File::create(self.dir().join("stderr")).expect("a temporary file");
        let all = [&["run", "scenario.json", "--progress", "none"], args].concat();
        let child = self.command(&all).stdout(out).stderr(err).spawn().expect("galton starts");
        Running { child: Some(child), dir: Arc::clone(&self.dir) }
    }

    /// Runs a scenario to its end; it must exit with 0.
    pub fn run(&self, scenario: &Value, args: &[&str]) -> Run {
        let (code, run) = self.start(scenario, args).finish();
        assert_eq!(code, Some(0), "galton run:\n{}", run.dir.display());
        run
    }
}

// === impl Running ===

impl Running {
    /// Process id of the conductor.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Waits until the run has ended; its exit code and what it left.
    pub fn finish(mut self) -> (Option<i32>, Run) {
        let mut child = self.child.take().expect("finished once");
        let status = child.wait().expect("its exit status");
        let said = |file| std::fs::read_to_string(self.dir.path().join(file)).unwrap_or_default();
        let dir = run_dir(self.dir.path());
        let run = dir.as_deref().and_then(|dir| Run::read(dir, &self.dir).ok());
        let run = run.unwrap_or_else(|| panic!("no report ({status})\n{}\n{}", said("stdout"), said("stderr")));
        (status.code(), run)
    }

    /// Process ids of the processes of this run that have `word` on their command line: a role, or a target's name.
    pub fn processes(&self, word: &str) -> Vec<u32> {
        descendants(self.pid()).into_iter().filter(|pid| command_line(*pid).iter().any(|arg| arg == word)).collect()
    }

    /// Waits until the run directory's fleet log has at least `count` events of a kind.
    pub fn wait_for_fleet(&self, what: FleetWhat, count: usize) {
        let found = || {
            let log = run_dir(self.dir.path()).map(|dir| dir.join("fleet.jsonl"));
            let text = log.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
            let events = text.lines().filter_map(|line| serde_json::from_str::<FleetEvent>(line).ok());
            events.filter(|event| event.what == what).count() >= count
        };
        eventually(SOON, &format!("{count} × {what:?} in the fleet log"), found);
    }

    /// Waits until the load has begun: the trace has rows.
    pub fn wait_for_load(&self) {
        let trace = || run_dir(self.dir.path()).map(|dir| dir.join("trace.csv"));
        let begun = || trace().and_then(|t| std::fs::metadata(t).ok()).is_some_and(|m| m.len() > 1000);
        eventually(SOON, "rows in the trace", begun);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if it has ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

// === impl Run ===

impl Run {
    fn read(dir: &Path, parent: &Arc<TempDir>) -> anyhow::Result<Self> {
        let open = |name: &str| File::open(dir.join(name)).map(BufReader::new);
        Ok(Self {
            dir: dir.to_owned(),
            _dir: Arc::clone(parent),
            result: serde_json::from_reader(open("result.json")?)?,
            trace: trace::read(open("trace.csv")?)?,
            decisions: decisions::read(open("decisions.csv")?)?,
            fleet: fleet::read(open("fleet.csv")?)?,
        })
    }

    /// How often something happened to the fleet.
    pub fn count(&self, what: FleetWhat) -> usize {
        self.fleet.iter().filter(|event| event.what == what).count()
    }

    /// The books balance; prints them if not.
    #[track_caller]
    pub fn assert_books_balance(&self) {
        assert_eq!(self.result["conservation"]["ok"], true, "{:#}", self.result["conservation"]);
    }

    /// The verdict.
    pub fn verdict(&self) -> &str {
        self.result["validity"]["verdict"].as_str().unwrap_or("none")
    }
}

/// The one run directory below `runs/`.
fn run_dir(dir: &Path) -> Option<PathBuf> {
    Some(std::fs::read_dir(dir.join("runs")).ok()?.next()?.ok()?.path())
}

/// Waits for a condition.
#[track_caller]
pub fn eventually(within: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Children of a process, their children, and so on.
pub fn descendants(of: u32) -> Vec<u32> {
    let mut found = vec![of];
    let mut next = 0;
    while next < found.len() {
        let children = format!("/proc/{}/task/{0}/children", found[next]);
        let children = std::fs::read_to_string(children).unwrap_or_default();
        found.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        next += 1;
    }
    found.remove(0);
    found
}

/// The arguments of a process; none if it is gone.
pub fn command_line(pid: u32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
}

/// Whether a process is there and not a zombie.
pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Sends a signal to a process of a test's own run.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("a process of this run");
}
