//! The driver of the fleet: one thread that feeds what happens into the core's machine, in order of arrival.
//!
//! What it does on the machine's behalf is in [`effects`]. It decides nothing about targets: before T0 there is no machine,
//! only the initial fleet coming up.

mod calls;
mod effects;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use galton_core::fleet::{Effect, Fleet, Input, Phase, Restarts, TimerId};
use galton_core::record::FleetEvent;
use galton_core::wire::{Member, Start, WatchLine};
use galton_core::{Incarnation, Nanos, Scenario, TargetId};
use galton_runtime::shutdown::Cause;
use galton_runtime::timer::Timer;
use galton_runtime::{ScenarioClock, Shutdown, mono_ns};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::api::{Call, Reply};
use crate::files::ProcessKey;
use crate::journal::Journal;
use crate::load_rows::LoadRows;
use crate::metrics::Metrics;
use crate::processes::{Order, Place, Processes};
use crate::watch::{StreamId, Watchers};

/// How often a stream that has nothing to say says so: a peer that is gone without a word is noticed by then.
const PING: Duration = Duration::from_secs(1);

/// How often slots of dead proxies are looked for.
const REAP: Duration = Duration::from_millis(100);

/// Most events that wait for the driver. Whoever has another one waits; timers and processes are few, calls have a
/// connection each.
pub(crate) const EVENTS_WAITING: usize = 1024;

/// Something the driver is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody calls.
    Call { call: Call, answer: oneshot::Sender<Reply> },
    /// A watch stream is over.
    WatchEnded(StreamId),
    /// A process serves.
    Up { key: ProcessKey, place: Place, took: Duration },
    /// A process has ended, or did not come up: what it held then, and how it ended.
    Ended { key: ProcessKey, held: u32, how: String },
    /// A sleep of the fleet is over.
    Timer(TimerId),
}

/// What the driver is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) scenario: Scenario,
    pub(crate) time_scale: f64,
    /// Where others reach the scaler's own admin port.
    pub(crate) admin: String,
    /// T0 is when the initial fleet is up.
    pub(crate) autostart: bool,
    /// Set when the initial fleet is up.
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) timer: Timer,
    pub(crate) processes: Processes,
    pub(crate) journal: Journal,
    pub(crate) metrics: Metrics,
    pub(crate) rows: LoadRows,
}

/// The driver.
#[derive(Debug)]
pub(crate) struct Driver {
    parts: Parts,
    watchers: Watchers,
    /// The newest process of every target that has ever been up.
    places: BTreeMap<TargetId, (Incarnation, Place)>,
    run: Option<Run>,
}

/// What there is from T0 on.
#[derive(Debug)]
struct Run {
    clock: ScenarioClock,
    fleet: Fleet,
}

// === impl Driver ===

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, watchers: Watchers::default(), places: BTreeMap::new(), run: None }
    }

    /// Starts the initial fleet and serves until it is time to stop; then no process is left.
    ///
    /// # Errors
    /// A target of the initial fleet failed, or the fleet's history cannot be written.
    pub(crate) async fn serve(mut self, mut events: mpsc::Receiver<Event>, shutdown: &Shutdown) -> anyhow::Result<()> {
        let served = self.until_told(&mut events, shutdown).await;
        // Nobody reads them any more, and a process that reports its end must not wait for that.
        drop(events);
        let order = if matches!(served, Ok(Cause::Orphaned)) { Order::Kill } else { Order::Terminate };
        self.parts.processes.end_all(order).await;
        served.map(drop)
    }

    async fn until_told(&mut self, events: &mut mpsc::Receiver<Event>, shutdown: &Shutdown) -> anyhow::Result<Cause> {
        self.initial().for_each(|target| self.parts.processes.start(ProcessKey::first(target)));
        self.ready_if_all_are_up()?;
        let (mut ping, mut reap) = (interval(PING), interval(REAP));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reap.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let told = shutdown.wait();
        tokio::pin!(told);
        loop {
            tokio::select! {
                cause = &mut told => return Ok(cause),
                Some(event) = events.recv() => self.on(event)?,
                _ = ping.tick() => self.watchers.tell_all(&WatchLine::Ping),
                _ = reap.tick() => self.parts.rows.reap(self.now()),
            }
        }
    }

    fn on(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Call { call, answer } => {
                let reply = self.call(call)?;
                // A caller that has gone away needs no answer.
                let _ = answer.send(reply);
            }
            Event::WatchEnded(id) => {
                if let Some(host) = self.watchers.ended(id) {
                    self.feed(Input::HostLeft(host))?;
                    self.parts.rows.reap(self.now());
                }
            }
            Event::Up { key, place, took } => self.up(key, place, took)?,
            Event::Ended { key, held, how } => self.ended(key, held, &how)?,
            Event::Timer(id) => drop(self.feed(Input::Timer { id })?),
        }
        Ok(())
    }

    fn up(&mut self, key: ProcessKey, place: Place, took: Duration) -> anyhow::Result<()> {
        let ProcessKey { target, incarnation } = key;
        tracing::info!(%target, incarnation, pid = place.pid, ?took, "up");
        self.parts.metrics.started(took);
        self.places.insert(target, (incarnation, place));
        if self.run.is_some() {
            self.feed(Input::Spawned { target, incarnation })?;
            return Ok(());
        }
        self.ready_if_all_are_up()
    }

    fn ended(&mut self, key: ProcessKey, held: u32, how: &str) -> anyhow::Result<()> {
        let ProcessKey { target, incarnation } = key;
        if self.run.is_none() {
            bail!("{target} of the initial fleet: {how}");
        }
        let input = if self.parts.processes.ended(key) == Order::Run {
            tracing::warn!(%target, incarnation, held, "died: {how}");
            Input::Died { target, incarnation, held }
        } else {
            tracing::info!(%target, incarnation, held, "stopped: {how}");
            Input::Stopped { target, held }
        };
        self.feed(input).map(drop)
    }

    /// The initial fleet, by number.
    fn initial(&self) -> impl Iterator<Item = TargetId> + use<> {
        (1..=self.parts.scenario.targets.initial_count).map(TargetId)
    }

    fn is_ready(&self) -> bool {
        self.parts.ready.load(Ordering::Acquire)
    }

    fn ready_if_all_are_up(&mut self) -> anyhow::Result<()> {
        self.count_fleet();
        if self.places.len() < self.initial().count() {
            return Ok(());
        }
        self.parts.ready.store(true, Ordering::Release);
        tracing::info!(targets = self.places.len(), "the initial fleet is up");
        for id in self.watchers.ungreeted() {
            self.watchers.greet(id, &self.hello());
        }
        if self.parts.autostart { self.start(mono_ns()) } else { Ok(()) }
    }

    /// Scenario time begins.
    fn start(&mut self, t0_ns: u64) -> anyhow::Result<()> {
        let time_scale = self.parts.time_scale;
        tracing::info!(t0_ns, time_scale, "start");
        self.watchers.tell_all(&WatchLine::Start(Start { t0_ns }));
        let mut effects = Vec::new();
        let fleet = Fleet::new(&self.parts.scenario, Restarts::at_scale(time_scale), &mut effects);
        self.run = Some(Run { clock: ScenarioClock::new(t0_ns, time_scale), fleet });
        self.apply(Nanos::ZERO, effects)?;
        for host in self.watchers.hosts() {
            self.feed(Input::HostJoined(host))?;
        }
        Ok(())
    }

    /// Scenario time; 0 before T0.
    fn now(&self) -> Nanos {
        self.run.as_ref().map_or(Nanos::ZERO, |run| run.clock.now())
    }

    /// Feeds the fleet, if there is one yet, and does what it says. Returns the first event that it logged, which tells
    /// what it decided.
    fn feed(&mut self, input: Input) -> anyhow::Result<Option<FleetEvent>> {
        let Some(run) = &mut self.run else { return Ok(None) };
        let now = run.clock.now();
        let mut effects = Vec::new();
        run.fleet.on(now, input, &mut effects);
        let decision = effects.iter().find_map(|effect| match effect {
            Effect::Log(event) => Some(*event),
            _ => None,
        });
        self.apply(now, effects)?;
        Ok(decision)
    }

    /// The fleet as it is now.
    fn hello(&self) -> WatchLine {
        let (start, version, members) = match &self.run {
            Some(run) => {
                let start = Start { t0_ns: run.clock.t0_ns() };
                (Some(start), run.fleet.version(), self.members(&run.clock, &run.fleet.ready()))
            }
            None => (None, 0, self.initial_members()),
        };
        WatchLine::Hello { start, map: self.parts.rows.id(), version, members }
    }

    /// The initial fleet before T0 is known.
    fn initial_members(&self) -> Vec<Member> {
        let now = mono_ns();
        let places = self.places.iter();
        places.map(|(target, (incarnation, place))| member(*target, *incarnation, place, now)).collect()
    }

    /// Every target there is or was, by number.
    fn phases(&self) -> Vec<(TargetId, Incarnation, Phase)> {
        let before = |target| {
            let phase = if self.places.contains_key(&target) { Phase::Ready } else { Phase::Starting };
            (target, 0, phase)
        };
        match &self.run {
            Some(run) => run.fleet.members().collect(),
            None => self.initial().map(before).collect(),
        }
    }

    fn count_fleet(&self) {
        let desired = self.run.as_ref().map_or_else(|| self.initial().count(), |run| run.fleet.desired());
        self.parts.metrics.set_fleet(self.phases().into_iter().map(|(_, _, phase)| phase), desired);
    }
}

/// A target with its addresses.
fn member(target: TargetId, incarnation: Incarnation, place: &Place, since_ns: u64) -> Member {
    Member { target, incarnation, data: place.data.clone(), admin: place.admin.clone(), since_ns }
}
