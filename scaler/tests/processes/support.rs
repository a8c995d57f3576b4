//! A scaler with real targets, as processes, and the HTTP to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::wire::{Announce, TargetInfo, TargetList, WatchLine};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

/// How long a condition may take to come true on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A scaler; killed when dropped, and its targets follow.
pub(crate) struct Scaler {
    pub(crate) process: Child,
    pub(crate) admin: String,
    pub(crate) dir: TempDir,
    pub(crate) lifeline: Option<ChildStdin>,
}

/// A scaler to be started.
pub(crate) struct Setup {
    dir: TempDir,
    args: Vec<String>,
    program: PathBuf,
    keeps: bool,
}

/// A watch stream.
pub(crate) struct Watch(BufReader<TcpStream>);

/// The program that has both roles. `cargo test` builds examples before it runs tests.
pub(crate) fn roles() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples/roles");
    assert!(program.exists(), "{program:?} is not there: cargo build -p galton-scaler --examples");
    program
}

/// Waits until `f` has something.
pub(crate) fn until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn alive(pid: u32) -> bool {
    // A zombie is dead: only its parent, or whoever inherits it, has not looked yet.
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = state.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
    !zombie && test_kill_process(Pid::from_raw(pid as i32).unwrap()).is_ok()
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// One HTTP call; status and body.
pub(crate) fn call(addr: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

// === impl Setup ===

impl Setup {
    /// With this scenario.
    pub(crate) fn new(scenario: serde_json::Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("scenario.json"), scenario.to_string()).unwrap();
        Self { dir, args: Vec::new(), program: roles(), keeps: true }
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Without a run directory: what it needs while it runs is in `tmp`, nothing is kept.
    pub(crate) fn without_run_dir(mut self) -> Self {
        self.keeps = false;
        std::fs::create_dir(self.dir.path().join("tmp")).unwrap();
        self
    }

    /// With targets from a shell script, which may use `$ROLES`, the real program.
    pub(crate) fn script(mut self, script: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        self.program = self.dir.path().join("program");
        let script = format!("#!/bin/sh\nROLES='{}'\n{script}\n", roles().display());
        std::fs::write(&self.program, script).unwrap();
        std::fs::set_permissions(&self.program, PermissionsExt::from_mode(0o755)).unwrap();
        self
    }

    /// Starts it and waits until it has announced itself.
    pub(crate) fn announced(self) -> Scaler {
        let path = |file: &str| self.dir.path().join(file);
        let mut command = Command::new(roles());
        if self.keeps {
            command.env("GALTON_RUN_DIR", path("run"));
        } else {
            command.env("TMPDIR", path("tmp"));
        }
        let mut process = command
            .args(["scaler", "--lifeline", "--scenario"])
            .arg(path("scenario.json"))
            .arg("--program")
            .arg(&self.program)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(path("scaler.log")).unwrap())
            .spawn()
            .unwrap();
        let lifeline = process.stdin.take();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(path("scaler.log")).unwrap();
        let announce: Announce = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}\n{}", log()));
        assert_eq!((announce.role.as_str(), announce.pid, announce.data), ("scaler", process.id(), None));
        Scaler { process, admin: announce.admin, dir: self.dir, lifeline }
    }

    /// Starts it and waits until the initial fleet is up.
    pub(crate) fn ready(self) -> Scaler {
        let mut scaler = self.announced();
        until("the initial fleet", || {
            assert_eq!(scaler.process.try_wait().unwrap(), None, "{}", scaler.log());
            (scaler.get("/readyz").0 == 200).then_some(())
        });
        scaler
    }

    /// Starts it, waits until the initial fleet is up, and begins scenario time.
    pub(crate) fn started(self) -> Scaler {
        let scaler = self.ready();
        assert_eq!(scaler.start().0, 200);
        scaler
    }
}

// === impl Scaler ===

impl Scaler {
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        call(&self.admin, "GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, String) {
        call(&self.admin, "POST", path, body)
    }

    pub(crate) fn start(&self) -> (u16, String) {
        self.post("/start", &format!("{{\"t0_ns\":{}}}", galton_runtime::mono_ns()))
    }

    /// Opens a watch, of a host or of an observer.
    pub(crate) fn watch(&self, host: Option<u32>) -> Watch {
        let query = host.map_or_else(String::new, |host| format!("?host={host}&data=127.0.0.1:1&admin=127.0.0.1:2"));
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET /v1/watch{query} HTTP/1.0\r\n\r\n").unwrap();
        let mut stream = BufReader::new(stream);
        let head: Vec<String> = stream.by_ref().lines().map(Result::unwrap).take_while(|l| !l.is_empty()).collect();
        assert!(head[0].contains(" 200 "), "{head:?}");
        Watch(stream)
    }

    pub(crate) fn targets(&self) -> Vec<TargetInfo> {
        let (status, body) = self.get("/v1/targets");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<TargetList>(&body).unwrap().targets
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.targets().iter().filter_map(|target| target.pid).collect()
    }

    pub(crate) fn events(&self) -> Vec<FleetEvent> {
        parse_lines(&self.get("/v1/events").1)
    }

    /// The events in `fleet.jsonl`.
    pub(crate) fn journal(&self) -> Vec<FleetEvent> {
        parse_lines(&std::fs::read_to_string(self.run_file("fleet.jsonl")).unwrap())
    }

    /// Waits for an event of this kind about this target.
    pub(crate) fn event(&self, what: FleetWhat, target: &str) -> FleetEvent {
        until(&format!("{what:?} of {target}"), || {
            let is = |event: &&FleetEvent| event.what == what && event.target.is_some_and(|t| t.to_string() == target);
            self.events().iter().rfind(is).copied()
        })
    }

    /// A series of `/metrics`.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = self.get("/metrics").1;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
    }

    pub(crate) fn run_file(&self, file: &str) -> PathBuf {
        self.dir.path().join("run").join(file)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("scaler.log")).unwrap()
    }

    /// Waits for its end.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        until("the end of the scaler", || self.process.try_wait().unwrap())
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            eprintln!("the scaler's log:\n{}", self.log());
        }
    }
}

fn parse_lines(text: &str) -> Vec<FleetEvent> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// === impl Watch ===

impl Watch {
    /// The next line; none when the stream has ended.
    pub(crate) fn line(&mut self) -> Option<WatchLine> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}")))
    }

    /// The next line that is no `Ping`.
    pub(crate) fn next(&mut self) -> WatchLine {
        loop {
            match self.line().expect("the stream goes on") {
                WatchLine::Ping => {}
                line => return line,
            }
        }
    }
}
