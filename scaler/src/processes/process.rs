//! The life of one target process, from spawn to exit.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use galton_core::wire::Announce;
use galton_runtime::{child, http_client, mono_ns};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::{Order, Place, Shared};
use crate::driver::Event;
use crate::files::ProcessKey;

/// How long a process may take until it has announced itself.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long a call to its admin port may take: it is local and has nothing to wait for.
const CALL_LIMIT: Duration = Duration::from_millis(500);

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// Starts the process, reports that it is up, waits until it ends or is to end, and reports its end.
pub(super) async fn live(key: ProcessKey, shared: Rc<Shared>, mut orders: watch::Receiver<Order>) {
    let began = mono_ns();
    let started = tokio::select! {
        started = start(key, &shared) => started,
        _ = orders.wait_for(|order| *order >= Order::Terminate) => Err(anyhow::anyhow!("told to end before it was up")),
    };
    let (held, how) = match started {
        Err(error) => (0, format!("{error:#}")),
        Ok((child, place)) => {
            let took = Duration::from_nanos(mono_ns() - began);
            shared.requests.up(key, shared.files.book(key));
            // A closed channel means that the scaler is ending; then an order says so.
            let _ = shared.events.send(Event::Up { key, place: place.clone(), took }).await;
            let status = Process { key, shared: &shared, orders, place }.serve(child).await;
            (shared.requests.ended(key), describe(status, shared.files.log(key)))
        }
    };
    shared.files.discard(key);
    let _ = shared.events.send(Event::Ended { key, held, how }).await;
}

async fn start(key: ProcessKey, shared: &Shared) -> anyhow::Result<(child::Child, Place)> {
    let args = shared.program.args(key, &shared.files.book(key))?;
    let _permit = shared.starts.acquire().await.context("no more starts")?;
    let child = child::spawn(&shared.program.path, &args, shared.files.log(key), START_DEADLINE).await?;
    let Announce { data, admin, pid, .. } = child.announce.clone();
    let data = data.with_context(|| format!("{} announced no data port", shared.program.path.display()))?;
    Ok((child, Place { data, admin, pid }))
}

fn describe(status: std::io::Result<ExitStatus>, log: Option<PathBuf>) -> String {
    let how = status.map_or_else(|error| format!("waiting for it failed: {error}"), |status| status.to_string());
    log.map_or_else(|| how.clone(), |log| format!("{how}; its log is {}", log.display()))
}

/// A process that is up.
struct Process<'a> {
    key: ProcessKey,
    shared: &'a Shared,
    orders: watch::Receiver<Order>,
    place: Place,
}

impl Process<'_> {
    /// Until it has ended, by itself or by order.
    async fn serve(mut self, child: child::Child) -> std::io::Result<ExitStatus> {
        let child::Child { mut process, lines, lifeline: _lifeline, .. } = child;
        let mut stdout = lines.into_inner();
        let drain = tokio::task::spawn_local(async move { tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await });
        let order = tokio::select! {
            _ = process.wait() => None,
            order = self.orders.wait_for(|order| *order > Order::Run) => Some(order.map_or(Order::Kill, |order| *order)),
        };
        if let Some(order) = order {
            self.end(order, &mut process).await;
        }
        let status = process.wait().await;
        drain.abort();
        status
    }

    async fn end(&mut self, order: Order, process: &mut tokio::process::Child) {
        if order == Order::Drain {
            // It holds nothing, so there is nothing to wait for.
            self.note(
                http_client::post_json(&self.place.admin, "/drain?timeout_ms=0", &(), CALL_LIMIT).await.map(drop),
            );
        }
        if order <= Order::Force {
            self.note(self.last_scrape().await);
        }
        if matches!(order, Order::Drain | Order::Terminate) && self.ends_by_itself(process).await {
            return;
        }
        self.note(process.start_kill().context("SIGKILL"));
    }

    /// SIGTERM; whether it ended within the grace, and before a more urgent order.
    async fn ends_by_itself(&mut self, process: &mut tokio::process::Child) -> bool {
        terminate(process);
        tokio::select! {
            _ = process.wait() => true,
            () = tokio::time::sleep(GRACE) => {
                tracing::warn!(target = %self.key.target, "SIGKILL after {GRACE:?}");
                false
            }
            _ = self.orders.wait_for(|order| matches!(order, Order::Force | Order::Kill)) => false,
        }
    }

    /// Saves what the process counted.
    async fn last_scrape(&self) -> anyhow::Result<()> {
        let Some(path) = self.shared.files.last_scrape(self.key) else { return Ok(()) };
        let answer = http_client::get(&self.place.admin, "/metrics", CALL_LIMIT).await?;
        std::fs::write(&path, &answer.body).with_context(|| format!("write {}", path.display()))
    }

    /// A step on the way to the end that failed: it does not keep the process from ending.
    fn note(&self, step: anyhow::Result<()>) {
        if let Err(error) = step {
            tracing::warn!(target = %self.key.target, incarnation = self.key.incarnation, "{error:#}");
        }
    }
}

fn terminate(process: &tokio::process::Child) {
    let pid = process.id().and_then(|pid| Pid::from_raw(pid as i32));
    if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
        tracing::warn!(%error, "SIGTERM");
    }
}
