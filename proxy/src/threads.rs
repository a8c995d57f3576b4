//! The hosts of one process, each on a thread of its own: nothing is shared between them but the data port.

use std::net::TcpListener;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use galton_core::Scenario;
use galton_core::wire::HostInfo;
use galton_runtime::{Shutdown, role};

use crate::app::{Args, assemble, serve};
use crate::metrics::Metrics;
use crate::ready::Ready;
use crate::recording::Recording;
use crate::server::Capacity;

/// What a host's thread begins with.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) args: Args,
    pub(crate) scenario: Scenario,
    pub(crate) metrics: Metrics,
    pub(crate) info: HostInfo,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) ready: Ready,
    pub(crate) capacity: Capacity,
    pub(crate) shutdown: Shutdown,
}

/// Whatever ends one host, a panic included, ends all.
struct EndsAll(Shutdown);

/// Runs all of them; `assembled` is called once they have everything they need. The first error, or the worst code.
pub(crate) fn run(threads: Vec<Thread>, assembled: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let (assembles, came) = mpsc::channel();
    let count = threads.len();
    let start = |thread: Thread| {
        let assembles = assembles.clone();
        let name = format!("host-{}", thread.info.host);
        let thread = std::thread::Builder::new().name(name).spawn(move || thread.run(assembles));
        thread.context("cannot start a host's thread")
    };
    let running = threads.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
    drop(assembles);
    if came.iter().take(count).count() == count {
        assembled()?;
    }
    let mut code = ExitCode::SUCCESS;
    for ended in running.into_iter().map(JoinHandle::join) {
        let ended = ended.map_err(|_| anyhow!("a host's thread panicked"))??;
        if ended != ExitCode::SUCCESS {
            code = ended;
        }
    }
    Ok(code)
}

// === impl Thread ===

impl Thread {
    fn run(self, assembles: mpsc::Sender<()>) -> anyhow::Result<ExitCode> {
        let _ends_all = EndsAll(self.shutdown.clone());
        let timed = self.args.recording != Recording::Off;
        let hosting = async move {
            let Self { args, scenario, metrics, info, listeners, ready, capacity, shutdown } = self;
            let proxy = assemble(&args, scenario, Rc::new(metrics), info.host)?;
            // Nobody listens if another host could not be assembled.
            let _ = assembles.send(());
            drop(assembles);
            serve(proxy, args, info, listeners, capacity, ready, shutdown).await
        };
        // Who preempts at every wake-up is on time, and does little at each: several requests at one cost less.
        if timed { role::run_on_time(hosting) } else { role::run_local(hosting) }
    }
}

impl Drop for EndsAll {
    fn drop(&mut self) {
        self.0.ask();
    }
}
