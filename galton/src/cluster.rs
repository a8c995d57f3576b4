//! The processes of a run: scaler (which owns the targets), proxies, load generator.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use galton_core::scenario::Architecture;
use galton_core::wire::{Announce, Start, TargetList};
use galton_core::{HostId, Scenario};
use galton_runtime::child::{self, Child};
use galton_runtime::{Shutdown, http_client, terminal};

/// How long a process may take to bind its ports.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(10);
/// How long all processes may take to be ready: a fleet of hundreds of targets on a slow machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often readiness is asked for.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// How often a process that serves is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a process may take to end after SIGTERM; proxies and the scaler bound their own drains below this.
const END_WITHIN: Duration = Duration::from_secs(8);
/// How long a call to an admin port may take.
pub(crate) const CALL_WITHIN: Duration = Duration::from_secs(2);

/// A child process by name: `scaler`, `proxy-0`, `loadgen`.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
    log: Option<PathBuf>,
    /// Its exit status, once it has ended.
    ended: Option<ExitStatus>,
}

/// Where the processes write.
pub(crate) trait Places {
    /// The counters of a process.
    fn book(&self, process: &str) -> Option<PathBuf>;
    /// The log of a process; none: stderr is inherited.
    fn log(&self, process: &str) -> Option<PathBuf>;
    /// The decision records of a host; none: recording is off.
    fn records(&self, host: HostId) -> Option<PathBuf>;
    /// The run directory of the scaler.
    fn run_dir(&self) -> Option<&Path>;
    /// The shared load map.
    fn map(&self) -> PathBuf;
}

/// What is the same for all processes.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    program: PathBuf,
    scenario_file: PathBuf,
    time_scale: f64,
}

/// The scaler with its targets, and the proxies.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) scaler: Process,
    pub(crate) proxies: Vec<Process>,
}

// === impl Launch ===

impl Launch {
    /// The roles of this very binary, on a resolved scenario file.
    pub(crate) fn new(scenario_file: PathBuf, time_scale: f64) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the running program")?;
        Ok(Self { program, scenario_file, time_scale })
    }

    /// Starts one role and waits until it has bound its ports.
    pub(crate) async fn start(
        &self,
        role: &str,
        name: String,
        args: Vec<String>,
        places: &impl Places,
    ) -> anyhow::Result<Process> {
        let mut all = vec![role.to_owned(), "--lifeline".to_owned()];
        all.extend(flag("--scenario", self.scenario_file.display()));
        all.extend(flag("--time-scale", self.time_scale));
        all.extend(places.book(&name).iter().flat_map(|path| flag("--book", path.display())));
        all.extend(args);
        let log = places.log(&name);
        let child = child::spawn(&self.program, &all, log.clone(), ANNOUNCE_WITHIN).await?;
        Ok(Process { name, child, log, ended: None })
    }
}

/// Two arguments: a flag and its value.
pub(crate) fn flag(name: &str, value: impl std::fmt::Display) -> [String; 2] {
    [name.to_owned(), value.to_string()]
}

// === impl Process ===

impl Process {
    /// What it announced.
    pub(crate) fn announce(&self) -> &Announce {
        &self.child.announce
    }

    /// Address of its admin port.
    pub(crate) fn admin(&self) -> &str {
        &self.child.announce.admin
    }

    /// Its next line on stdout; none when it is at its end. Safe to cancel.
    pub(crate) async fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        self.child.lines.next_line().await.with_context(|| format!("cannot read the output of {}", self.name))
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.process.try_wait().ok().flatten();
        }
        self.ended
    }

    /// An error that says how it ended, and where its log is.
    pub(crate) fn died(&self, status: ExitStatus) -> anyhow::Error {
        let log = self.log.as_ref().map_or_else(String::new, |log| format!("; see {}", log.display()));
        anyhow::anyhow!("{} ended by itself ({status}){log}", self.name)
    }

    /// Waits until `/readyz` says yes.
    async fn ready(&mut self, deadline: Instant) -> anyhow::Result<()> {
        loop {
            if let Some(status) = self.ended() {
                return Err(self.died(status));
            }
            let answer = http_client::get(self.admin(), "/readyz", CALL_WITHIN).await;
            if answer.is_ok_and(|a| a.status.is_success()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{} was not ready within {} s", self.name, READY_WITHIN.as_secs());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Tells it to begin scenario time.
    pub(crate) async fn begin(&self, start: &Start) -> anyhow::Result<()> {
        let answer = http_client::post_json(self.admin(), "/start", start, CALL_WITHIN).await;
        let answer = answer.with_context(|| format!("cannot start {}", self.name))?;
        if !answer.status.is_success() {
            bail!("{} refused to start: {}", self.name, String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    }

    /// Asks it to end, and kills it if it does not.
    pub(crate) async fn end(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.signal(rustix::process::Signal::TERM);
        match tokio::time::timeout(END_WITHIN, self.child.process.wait()).await {
            Ok(status) => self.ended = status.ok(),
            Err(_) => {
                terminal::note(format_args!(
                    "galton: {} did not end within {} s and is killed",
                    self.name,
                    END_WITHIN.as_secs()
                ));
                // An error here means that it has just ended by itself.
                self.child.process.kill().await.ok();
            }
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.process.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended meanwhile.
            rustix::process::kill_process(pid, signal).ok();
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Starts the scaler, then the proxies, and waits until the initial fleet and every proxy are ready. None: somebody stopped
    /// it, and all that was started has ended.
    pub(crate) async fn start(
        launch: &Launch,
        scenario: &Scenario,
        places: &impl Places,
        scaler_args: Vec<String>,
        proxy_args: impl Fn(HostId) -> Vec<String>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Option<Self>> {
        let deadline = Instant::now() + READY_WITHIN;
        let shared = scenario.load_balancer.architecture == Architecture::LeastConns;
        let map: Vec<String> = shared.then(|| flag("--map", places.map().display())).into_iter().flatten().collect();
        let run_dir = places.run_dir().into_iter().flat_map(|dir| flag("--run-dir", dir.display()));
        let args = map.iter().cloned().chain(run_dir).chain(scaler_args).collect();
        let scaler = launch.start("scaler", "scaler".to_owned(), args, places).await?;
        let mut cluster = Self { scaler, proxies: Vec::new() };
        // One that is coming up is waited for: only what has announced itself can be told to end.
        for host in (0..scenario.load_balancer.hosts).map(HostId).take_while(|_| shutdown.cause().is_none()) {
            let mut args = [flag("--host", host), flag("--scaler", cluster.scaler.admin())].concat();
            args.extend(map.iter().cloned());
            args.extend(places.records(host).iter().flat_map(|path| flag("--records", path.display())));
            args.extend(proxy_args(host));
            let name = format!("proxy-{host}");
            cluster.proxies.push(launch.start("proxy", name, args, places).await?);
        }
        let ready = tokio::select! {
            biased;
            _ = shutdown.wait() => false,
            ready = cluster.ready(deadline) => ready.map(|()| true)?,
        };
        if !ready {
            cluster.end().await;
        }
        Ok(ready.then_some(cluster))
    }

    /// Waits until every process is.
    async fn ready(&mut self, deadline: Instant) -> anyhow::Result<()> {
        for process in std::iter::once(&mut self.scaler).chain(&mut self.proxies) {
            process.ready(deadline).await?;
        }
        Ok(())
    }

    /// The targets that there are or were.
    pub(crate) async fn targets(&self) -> anyhow::Result<TargetList> {
        let answer = http_client::get(self.scaler.admin(), "/v1/targets", CALL_WITHIN).await?;
        serde_json::from_slice(&answer.body).context("the scaler's list of targets")
    }

    /// Completes when the scaler or a proxy has ended by itself, with who and how. Safe to cancel.
    pub(crate) async fn first_death(&mut self) -> anyhow::Error {
        loop {
            for process in std::iter::once(&mut self.scaler).chain(&mut self.proxies) {
                if let Some(status) = process.ended() {
                    return process.died(status);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends the proxies, which finish what they have, then the scaler with its targets.
    pub(crate) async fn end(&mut self) {
        for proxy in &mut self.proxies {
            proxy.end().await;
        }
        self.scaler.end().await;
    }
}
