//! What the simulator makes of the effects of the fleet.

use galton_core::fleet::{Effect, Input, Message};
use galton_core::host::{self, AttemptEnd};
use galton_core::table::FleetRows;
use galton_core::{HostId, Incarnation, Nanos, TargetId};

use crate::edge::Edge;
use crate::machine::Errand;
use crate::observer::Observer;
use crate::world::{Event, World};

impl<O: Observer> World<'_, O> {
    pub(crate) fn fleet_effects(&mut self, fx: Vec<Effect>) {
        for effect in fx {
            self.fleet_effect(effect);
        }
    }

    fn fleet_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { target, incarnation } => {
                self.edge.spawn(target, incarnation);
                let up = self.edge.now + self.edge.errand(Errand::Spawn);
                self.edge.queue.push(up, Event::Fleet(Box::new(Input::Spawned { target, incarnation })));
            }
            Effect::Sleep { id, until } => self.edge.queue.push(until, Event::Fleet(Box::new(Input::Timer { id }))),
            Effect::Row { target, incarnation, state: Some(state) } => {
                self.table.put(target, incarnation, state, self.edge.now);
            }
            Effect::Row { target, incarnation, state: None } => self.table.remove(target, incarnation),
            Effect::ForgetHost { host } => self.table.forget_host(host, self.edge.now),
            Effect::Tell { host, due, message } => self.edge.tell(host, due, message),
            Effect::Stop { target, incarnation, .. } => self.edge.stop(target, incarnation),
            Effect::Log(event) => self.edge.observer.changed(&event),
        }
    }
}

impl<O: Observer> Edge<'_, O> {
    /// News travel at once, in order, and are learned when they are due.
    fn tell(&mut self, host: HostId, due: Nanos, message: Message) {
        let mut learned = due;
        if self.machine.is_some() {
            let pushed = self.now + self.errand(Errand::Push);
            let heard = &mut self.heard[host.0 as usize];
            *heard = pushed.max(*heard);
            learned = due.max(*heard);
        }
        self.queue.push(learned, Event::Host(host, Box::new(news(message))));
    }

    fn stop(&mut self, target: TargetId, incarnation: Incarnation) {
        let held = self.process(target, incarnation).map_or(0, |process| {
            process.running = false;
            process.in_flight
        });
        self.queue.push(self.now, Event::Fleet(Box::new(Input::Stopped { target, held })));
        let all = self.requests.in_order().into_iter();
        let open = all.filter_map(|(call, request)| Some((call, request.attempt.as_ref()?)));
        let cut = open.filter(|(_, a)| a.held && a.end.is_none() && a.ticket.target() == target);
        let cut: Vec<_> = cut.map(|(call, attempt)| (call, attempt.ticket.attempt())).collect();
        for (call, number) in cut {
            self.end_attempt(call, number, AttemptEnd::Reset { committed: false }, self.now);
        }
    }
}

fn news(message: Message) -> host::Input {
    match message {
        Message::Change { version, change } => host::Input::FleetChange { version, change },
        Message::Snapshot { version, members } => host::Input::Snapshot { version, members },
        Message::ScaleUp { call, answer } => host::Input::ScaleUp { call, answer },
    }
}
