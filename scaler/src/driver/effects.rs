//! What the fleet says is to be done, done: processes, sleeps, rows of the load map, lines to the hosts, the history.

use galton_core::Nanos;
use galton_core::fleet::{Effect, Message, TimerId};
use galton_core::host::{Change, Endpoint, ScaleUpAnswer};
use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::wire::{Member, WatchLine, WireChange, WireScaleUp};
use galton_runtime::ScenarioClock;

use super::{Driver, Event, member};
use crate::files::ProcessKey;
use crate::processes::Order;

impl Driver {
    /// Does what the fleet said at `now`, in its order.
    ///
    /// # Errors
    /// The fleet's history cannot be written.
    pub(super) fn apply(&mut self, now: Nanos, effects: Vec<Effect>) -> anyhow::Result<()> {
        let Some(clock) = self.run.as_ref().map(|run| run.clock) else { return Ok(()) };
        for effect in effects {
            match effect {
                Effect::Spawn { target, incarnation } => {
                    self.parts.processes.start(ProcessKey { target, incarnation });
                }
                Effect::Sleep { id, until } => self.sleep(id, clock.mono(until)),
                Effect::Row { target, incarnation, state } => self.parts.rows.set(target, incarnation, state, now),
                Effect::ForgetHost { host } => self.parts.rows.forget_host(host, now),
                Effect::Tell { host, due, message } => {
                    let line = self.line(&clock, now, due, message);
                    self.watchers.tell(host, &line);
                }
                Effect::Stop { target, incarnation, force } => {
                    let order = if force { Order::Force } else { Order::Drain };
                    self.parts.processes.order(ProcessKey { target, incarnation }, order);
                }
                Effect::Log(event) => self.log(&clock, &event)?,
            }
        }
        self.count_fleet();
        Ok(())
    }

    fn sleep(&self, id: TimerId, until_ns: u64) {
        let (sleep, events) = (self.parts.timer.sleep_until(until_ns), self.parts.events.clone());
        tokio::task::spawn_local(async move {
            sleep.await;
            // Nobody listens: the scaler is ending.
            let _ = events.send(Event::Timer(id)).await;
        });
    }

    fn log(&mut self, clock: &ScenarioClock, event: &FleetEvent) -> anyhow::Result<()> {
        self.parts.journal.append(event)?;
        self.parts.metrics.count(event.what);
        if let Some(change) = self.observed(clock, event) {
            let at_ns = clock.mono(event.at);
            let line = WatchLine::Change { version: event.version, at_ns, due_ns: at_ns, change };
            self.watchers.tell_observers(&line);
        }
        Ok(())
    }

    /// What an observer learns from an event. Observers are not hosts, so the fleet does not know of them.
    fn observed(&self, clock: &ScenarioClock, event: &FleetEvent) -> Option<WireChange> {
        let target = event.target?;
        match event.what {
            FleetWhat::Ready => {
                let endpoint = Endpoint::new(target, event.incarnation, event.at);
                self.member(clock, &endpoint).map(WireChange::Ready)
            }
            FleetWhat::Cordoned => Some(WireChange::Cordoned(target)),
            FleetWhat::Died => Some(WireChange::Gone(target, event.incarnation)),
            _ => None,
        }
    }

    fn line(&self, clock: &ScenarioClock, now: Nanos, due: Nanos, message: Message) -> WatchLine {
        match message {
            Message::Change { version, change } => {
                let change = self.change(clock, change);
                WatchLine::Change { version, at_ns: clock.mono(now), due_ns: clock.mono(due), change }
            }
            Message::Snapshot { version, members } => {
                WatchLine::Snapshot { version, members: self.members(clock, &members) }
            }
            Message::ScaleUp { call, answer } => WatchLine::ScaleUp { call, answer: scale_up(answer) },
        }
    }

    fn change(&self, clock: &ScenarioClock, change: Change) -> WireChange {
        match change {
            Change::Ready(endpoint) => WireChange::Ready(
                self.member(clock, &endpoint).expect("a target is ready after it has announced itself"),
            ),
            Change::Cordoned(target) => WireChange::Cordoned(target),
            Change::Gone(target, incarnation) => WireChange::Gone(target, incarnation),
        }
    }

    pub(super) fn members(&self, clock: &ScenarioClock, endpoints: &[Endpoint]) -> Vec<Member> {
        endpoints.iter().filter_map(|endpoint| self.member(clock, endpoint)).collect()
    }

    fn member(&self, clock: &ScenarioClock, endpoint: &Endpoint) -> Option<Member> {
        let (_, place) = self.places.get(&endpoint.target)?;
        Some(member(endpoint.target, endpoint.incarnation, place, clock.mono(endpoint.since)))
    }
}

fn scale_up(answer: ScaleUpAnswer) -> WireScaleUp {
    match answer {
        ScaleUpAnswer::Accepted(target) => WireScaleUp::Accepted(target),
        ScaleUpAnswer::Ready(target, _) => WireScaleUp::Ready(target),
        ScaleUpAnswer::Refused => WireScaleUp::Refused,
        ScaleUpAnswer::StartFailed => WireScaleUp::StartFailed,
    }
}
