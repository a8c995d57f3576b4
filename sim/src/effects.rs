//! What the simulator makes of the effects of hosts and fleet.

use galton_core::fleet::{self, Message};
use galton_core::host::{self, AttemptEnd, Effect, IdleCounts, Input, Ticket};
use galton_core::record::TraceOutcome;
use galton_core::scenario::OnDisconnect;
use galton_core::table::FleetRows;
use galton_core::{CallId, HostId, Incarnation, Nanos, Outcome, TargetId};

use crate::world::{Event, Held, World};

impl World<'_> {
    pub(crate) fn host_effects(&mut self, host: HostId, fx: Vec<Effect>) {
        for effect in fx {
            self.host_effect(host, effect);
        }
    }

    fn host_effect(&mut self, host: HostId, effect: Effect) {
        match effect {
            Effect::Dispatch { call, ticket, attempts, .. } => self.dispatch(host, call, ticket, attempts),
            Effect::Abort { call } => self.abort(host, call),
            Effect::Sleep { id, until } => self.queue.push(until, Event::Host(host, Input::Timer { id })),
            Effect::Forget { .. } => {}
            Effect::AskScaleUp { call } => {
                self.feed_fleet(fleet::Input::ScaleUp { waiter: Some((host, call)), asked: None });
            }
            Effect::AskScaleDown { target } => self.feed_fleet(fleet::Input::ScaleDown { host: Some(host), target }),
            Effect::Released { target } => self.feed_fleet(fleet::Input::Released { host, target }),
            Effect::ReadCounts { targets, window } => self.read_counts(host, targets, window),
            Effect::Wake { host } => self.queue.push(self.now, Event::Host(host, Input::Wake)),
            Effect::Answer { call, outcome, attempts, target, overhead } => {
                self.answer(host, call, outcome, attempts, target, overhead);
            }
            Effect::Record(decision) => self.decisions.push(decision),
        }
    }

    fn dispatch(&mut self, host: HostId, call: CallId, ticket: Ticket, attempt: u32) {
        let now = self.now;
        let limit = self.scenario.targets.max_concurrency;
        self.proxies[host.0 as usize].attempts += 1;
        let there = |t: &&mut crate::target::Target| t.running && t.incarnation == ticket.incarnation();
        let target = self.targets.get_mut(&ticket.target()).filter(there);
        let Some(accepted) = target.map(|target| target.offer(now, limit)) else {
            self.proxies[host.0 as usize].connection_failures += 1;
            return self.attempt_ended(host, ticket, AttemptEnd::Gone);
        };
        if !accepted {
            return self.attempt_ended(host, ticket, AttemptEnd::Full);
        }
        let row = &mut self.trace[call.0 as usize];
        row.target_start = Some(now);
        self.queue.push(now + row.hold_demand, Event::HoldOver(host, call, attempt));
        self.held.insert((host, call), Held { ticket, attempt });
    }

    fn attempt_ended(&mut self, host: HostId, ticket: Ticket, end: AttemptEnd) {
        self.queue.push(self.now, Event::Host(host, Input::AttemptEnded { ticket, end }));
    }

    pub(crate) fn hold_over(&mut self, host: HostId, call: CallId, attempt: u32) {
        if let Some((target, incarnation)) = self.deserted.remove(&(host, call, attempt)) {
            return self.deserted_hold_over(target, incarnation);
        }
        if self.held.get(&(host, call)).is_none_or(|held| held.attempt != attempt) {
            return;
        }
        let Some(Held { ticket, .. }) = self.held.remove(&(host, call)) else { return };
        if let Some(target) = self.targets.get_mut(&ticket.target()) {
            target.in_flight -= 1;
            target.counters.completed += 1;
        }
        self.trace[call.0 as usize].target_done = Some(self.now);
        self.feed_host(host, Input::AttemptEnded { ticket, end: AttemptEnd::Done { ok: true } });
    }

    /// A hold that went on although its caller had gone is over, unless its process ended before.
    fn deserted_hold_over(&mut self, target: TargetId, incarnation: Incarnation) {
        let there = |t: &&mut crate::target::Target| t.running && t.incarnation == incarnation;
        if let Some(target) = self.targets.get_mut(&target).filter(there) {
            target.in_flight -= 1;
            target.counters.completed += 1;
        }
    }

    fn abort(&mut self, host: HostId, call: CallId) {
        let Some(Held { ticket, attempt }) = self.held.remove(&(host, call)) else { return };
        match self.scenario.targets.on_disconnect {
            OnDisconnect::Cancel => {
                if let Some(target) = self.targets.get_mut(&ticket.target()) {
                    target.in_flight -= 1;
                    target.counters.cancelled += 1;
                }
            }
            OnDisconnect::Finish => {
                self.deserted.insert((host, call, attempt), (ticket.target(), ticket.incarnation()));
            }
        }
        self.attempt_ended(host, ticket, AttemptEnd::Closed);
    }

    fn read_counts(&mut self, host: HostId, targets: Vec<TargetId>, window: Nanos) {
        let read = |id: TargetId| {
            let target = self.targets.get(&id)?;
            let accepted_in_window = target.accepted.count(self.now, window);
            let counts = IdleCounts { accepted_in_window, in_flight: target.in_flight };
            Some((id, counts))
        };
        let counts = targets.into_iter().filter_map(read).collect();
        self.queue.push(self.now, Event::Host(host, Input::Counts { counts }));
    }

    fn answer(
        &mut self,
        host: HostId,
        call: CallId,
        outcome: Outcome,
        attempts: u32,
        target: Option<TargetId>,
        overhead: Nanos,
    ) {
        let counters = &mut self.proxies[host.0 as usize];
        let (count, status) = match outcome {
            Outcome::Ok => (&mut counters.ok, 200),
            Outcome::Rejected(_) => (&mut counters.rejected, 503),
            Outcome::TimedOut => (&mut counters.timed_out, 504),
            _ => (&mut counters.failed, 502),
        };
        *count += 1;
        self.open -= 1;
        let row = &mut self.trace[call.0 as usize];
        row.outcome = TraceOutcome::Offered(outcome);
        row.status = Some(status);
        row.t_end = Some(self.now);
        row.proxy_done = Some(self.now);
        (row.attempts, row.target, row.overhead) = (Some(attempts), target, Some(overhead));
    }

    pub(crate) fn fleet_effects(&mut self, fx: Vec<fleet::Effect>) {
        for effect in fx {
            self.fleet_effect(effect);
        }
    }

    fn fleet_effect(&mut self, effect: fleet::Effect) {
        match effect {
            fleet::Effect::Spawn { target, incarnation } => {
                self.spawn(target, incarnation);
                let up = fleet::Input::Spawned { target, incarnation };
                self.queue.push(self.now, Event::Fleet(up));
            }
            fleet::Effect::Sleep { id, until } => {
                self.queue.push(until, Event::Fleet(fleet::Input::Timer { id }));
            }
            fleet::Effect::Row { target, incarnation, state: Some(state) } => {
                self.table.put(target, incarnation, state, self.now);
            }
            fleet::Effect::Row { target, incarnation, state: None } => self.table.remove(target, incarnation),
            fleet::Effect::ForgetHost { host } => self.table.forget_host(host, self.now),
            fleet::Effect::Tell { host, due, message } => {
                self.queue.push(due, Event::Host(host, heard(message)));
            }
            fleet::Effect::Stop { target, .. } => self.stop(target),
            fleet::Effect::Log(event) => self.fleet_log.push(event),
        }
    }

    fn stop(&mut self, target: TargetId) {
        let held = self.targets.get_mut(&target).map_or(0, |t| {
            t.running = false;
            t.in_flight
        });
        self.queue.push(self.now, Event::Fleet(fleet::Input::Stopped { target, held }));
        let cut: Vec<_> = self.held.iter().filter(|(_, h)| h.ticket.target() == target).map(|(key, _)| *key).collect();
        for (host, call) in cut {
            if let Some(Held { ticket, .. }) = self.held.remove(&(host, call)) {
                self.attempt_ended(host, ticket, AttemptEnd::Reset { committed: false });
            }
        }
    }
}

fn heard(message: Message) -> host::Input {
    match message {
        Message::Change { version, change } => Input::FleetChange { version, change },
        Message::Snapshot { version, members } => Input::Snapshot { version, members },
        Message::ScaleUp { call, answer } => Input::ScaleUp { call, answer },
    }
}
