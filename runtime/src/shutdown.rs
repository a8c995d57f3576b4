//! When to stop: SIGTERM, SIGHUP, SIGINT, or the end of the lifeline.

use std::io::Read as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long an orphan may take to end by itself.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);
/// The exit code of a Ctrl-C that finds the process stopping already, as shells give it.
const INTERRUPTED: i32 = 130;

/// See [`before_exit`].
static BEFORE_EXIT: OnceLock<fn()> = OnceLock::new();

/// Tells every part of a process to stop. Cloning shares it; usable from any thread.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Option<Cause>>>);

/// Why a process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGINT (ignored while there is a lifeline: the parent decides).
    Interrupt,
    /// SIGTERM, or SIGHUP: the terminal is closed.
    Terminate,
    /// The parent is gone: stop at once, there is nobody to drain for.
    Orphaned,
    /// The process itself asked.
    Asked,
}

/// Calls this before such a SIGINT, or the loss of the parent, ends the process on the spot: no destructor runs then. The
/// first one stays.
pub fn before_exit(hook: fn()) {
    BEFORE_EXIT.get_or_init(|| hook);
}

fn exit(code: i32) -> ! {
    if let Some(hook) = BEFORE_EXIT.get() {
        hook();
    }
    std::process::exit(code)
}

impl Shutdown {
    /// Listens for signals, and with `lifeline` for the end of stdin, on a thread of its own. On `Orphaned` the process
    /// has 1 s to end by itself, then it exits with 1. A SIGINT after any cause to stop, where it is not ignored, exits at once with 130.
    pub fn listen(lifeline: bool) -> anyhow::Result<Self> {
        let shutdown = Self(Arc::new(watch::Sender::new(None)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("no signal runtime")?;
        // Here, and not on the thread: from now on no signal may end the process by itself.
        let (interrupt, terminate, hangup) = {
            let _within = runtime.enter();
            let handle = |kind| signal(kind).context("cannot handle signals");
            (handle(SignalKind::interrupt())?, handle(SignalKind::terminate())?, handle(hangup()?)?)
        };
        let signalled = shutdown.clone();
        thread("signals", move || runtime.block_on(signalled.on_signals(interrupt, [terminate, hangup], lifeline)))?;
        if lifeline {
            let orphaned = shutdown.clone();
            thread("lifeline", move || orphaned.on_lifeline())?;
        }
        Ok(shutdown)
    }

    /// Completes when it is time to stop; at once if it is already.
    pub async fn wait(&self) -> Cause {
        let mut cause = self.0.subscribe();
        let cause = cause.wait_for(Option::is_some).await.map(|cause| *cause);
        cause.ok().flatten().expect("the sender lives in self, and a cause was waited for")
    }

    /// The cause, if it is time to stop. The first one stays.
    pub fn cause(&self) -> Option<Cause> {
        *self.0.borrow()
    }

    /// Stops the process from within.
    pub fn ask(&self) {
        self.stop(Cause::Asked);
    }

    fn stop(&self, cause: Cause) {
        self.0.send_if_modified(|first| {
            let new = first.is_none();
            first.get_or_insert(cause);
            new
        });
    }

    async fn on_signals(&self, mut interrupt: Signal, [mut terminate, mut hangup]: [Signal; 2], lifeline: bool) {
        loop {
            tokio::select! {
                _ = terminate.recv() => self.stop(Cause::Terminate),
                _ = hangup.recv() => self.stop(Cause::Terminate),
                _ = interrupt.recv(), if !lifeline => {
                    if self.cause().is_some() {
                        exit(INTERRUPTED);
                    }
                    self.stop(Cause::Interrupt);
                }
            }
        }
    }

    fn on_lifeline(&self) {
        // What the parent writes has no meaning; an error means as much as the end.
        let mut ignored = [0; 64];
        while std::io::stdin().read(&mut ignored).is_ok_and(|n| n > 0) {}
        self.stop(Cause::Orphaned);
        std::thread::sleep(ORPHAN_GRACE);
        exit(1);
    }
}

/// The signal of a closed terminal. Under `nohup`, which has it ignored, it stays so, and SIGTERM stands in its place.
fn hangup() -> anyhow::Result<SignalKind> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    let bit = 1 << (SignalKind::hangup().as_raw_value() - 1);
    Ok(if ignored & bit == 0 { SignalKind::hangup() } else { SignalKind::terminate() })
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).with_context(|| format!("cannot start the thread for {name}"))
}
