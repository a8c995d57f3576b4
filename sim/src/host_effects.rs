//! What the simulator makes of the effects of a host.

use galton_core::fleet;
use galton_core::host::{Effect, IdleCounts, Input, TimerId};
use galton_core::{HostId, Nanos, TargetId};

use crate::machine::Errand;
use crate::observer::Observer;
use crate::requests::{Answer, Deadline};
use crate::world::{Event, World};

impl<O: Observer> World<'_, O> {
    /// Does them in their order, and keeps their memory for the next.
    pub(crate) fn host_effects(&mut self, host: HostId, mut fx: Vec<Effect>) {
        for effect in fx.drain(..) {
            self.host_effect(host, effect);
        }
        self.spare = fx;
    }

    #[inline]
    fn host_effect(&mut self, host: HostId, effect: Effect) {
        match effect {
            Effect::Dispatch { ticket, .. } => self.dispatch(host, ticket),
            Effect::Abort { call } => self.abort(call),
            Effect::Sleep { id, until } => self.sleep(host, id, until),
            Effect::Forget { .. } => {}
            Effect::AskScaleUp { call } => {
                self.needs_deadline(call);
                let asked = self.machine.map(|_| self.now);
                self.ask_fleet(fleet::Input::ScaleUp { waiter: Some((host, call)), asked });
            }
            Effect::AskScaleDown { target } => self.ask_fleet(fleet::Input::ScaleDown { host: Some(host), target }),
            Effect::Released { target } => self.ask_fleet(fleet::Input::Released { host, target }),
            Effect::ReadCounts { targets, window } => self.read_counts(host, targets, window),
            Effect::Wake { host } => self.queue.push(self.now, Event::Host(host, Box::new(Input::Wake))),
            Effect::Answer { call, outcome, attempts, target, overhead } => {
                let at = self.now;
                self.answer(host, call, Answer { at, outcome, attempts, target, overhead });
            }
            Effect::Record { call, decision } => {
                if let Some(request) = self.requests.get(call) {
                    let asked = request.asked();
                    self.observer.decided(&decision, &asked);
                }
            }
        }
    }

    #[inline]
    fn sleep(&mut self, host: HostId, id: TimerId, until: Nanos) {
        if let TimerId::Deadline(call) = id {
            let place = self.queue.place();
            if let Some(request) = self.requests.get(call) {
                request.deadline = Deadline::Noted(until, place);
            }
            return;
        }
        self.sleep_on(host, id, until);
    }

    fn sleep_on(&mut self, host: HostId, id: TimerId, until: Nanos) {
        let until = self.woken_at(id, until);
        if let TimerId::Wait(call, _) | TimerId::Queue(call) = id {
            self.needs_deadline(call);
        }
        self.queue.push(until, Event::Timer(host, id));
    }

    fn ask_fleet(&mut self, input: fleet::Input) {
        if self.machine.is_none() {
            return self.feed_fleet(input);
        }
        let taken = self.now + self.errand(Errand::Ask);
        self.queue.push(taken, Event::Fleet(Box::new(input)));
    }

    fn read_counts(&mut self, host: HostId, targets: Vec<TargetId>, window: Nanos) {
        let now = self.now;
        let read = |id: TargetId| {
            let target = self.targets.get(id.0 as usize)?.as_ref()?;
            let accepted_in_window = target.accepted.count(now, window);
            Some((id, IdleCounts { accepted_in_window, in_flight: target.in_flight }))
        };
        let counts = targets.into_iter().filter_map(read).collect();
        let read = now + self.errand(Errand::Ask);
        self.queue.push(read, Event::Host(host, Box::new(Input::Counts { counts })));
    }
}
