//! What the simulator makes of the effects of a host.

use galton_core::fleet;
use galton_core::host::{Effect, Effects, IdleCounts, Input, TimerId};
use galton_core::{HostId, Nanos, TargetId};

use crate::edge::Edge;
use crate::machine::Errand;
use crate::observer::Observer;
use crate::requests::{Answer, Deadline};
use crate::world::{Event, World};

/// Does the effects of a host as they come: a list of them would cost more than most of them do. What the fleet is asked has to
/// wait until the host is done, since the fleet may change the table; and what comes after it, to keep the order.
pub(crate) struct AtOnce<'w, 'a, O> {
    pub(crate) host: HostId,
    pub(crate) edge: &'w mut Edge<'a, O>,
    pub(crate) later: &'w mut Vec<Effect>,
}

impl<O: Observer> Effects for AtOnce<'_, '_, O> {
    /// Always inlined: where an effect is made it is known which one it is, and nothing of it need be written to memory.
    #[inline(always)]
    fn push(&mut self, effect: Effect) {
        if !self.later.is_empty() {
            return self.later.push(effect);
        }
        if let Some(effect) = self.edge.host_effect(self.host, effect) {
            self.later.push(effect);
        }
    }
}

impl<O: Observer> World<'_, O> {
    /// Does effects in their order.
    pub(crate) fn host_effects(&mut self, host: HostId, fx: impl IntoIterator<Item = Effect>) {
        for effect in fx {
            if let Some(effect) = self.edge.host_effect(host, effect) {
                self.ask(host, effect);
            }
        }
    }

    /// Does what had to wait, and keeps its memory.
    #[cold]
    pub(crate) fn do_later(&mut self, host: HostId) {
        let mut later = std::mem::take(&mut self.later);
        self.host_effects(host, later.drain(..));
        self.later = later;
    }

    /// What a host asks of the fleet.
    fn ask(&mut self, host: HostId, effect: Effect) {
        match effect {
            Effect::AskScaleUp { call } => {
                self.edge.needs_deadline(call);
                let asked = self.edge.machine.map(|_| self.edge.now);
                self.ask_fleet(fleet::Input::ScaleUp { waiter: Some((host, call)), asked });
            }
            Effect::LeaveStart { call } => {
                self.ask_fleet(fleet::Input::LeaveStart { host, call });
            }
            Effect::AskScaleDown { target } => {
                let heard = self.ask_fleet(fleet::Input::ScaleDown { host: Some(host), target });
                self.edge.queue.push(heard, Event::Host(host, Box::new(Input::ScaleDown { target })));
            }
            Effect::Released { target } => {
                self.ask_fleet(fleet::Input::Released { host, target });
            }
            _ => {}
        }
    }

    /// Says when the fleet hears of it.
    fn ask_fleet(&mut self, input: fleet::Input) -> Nanos {
        if self.edge.machine.is_none() {
            self.feed_fleet(input);
            return self.edge.now;
        }
        let heard = self.edge.now + self.edge.errand(Errand::Ask);
        self.edge.queue.push(heard, Event::Fleet(Box::new(input)));
        heard
    }
}

impl<O: Observer> Edge<'_, O> {
    /// Does it; or gives it back, if it is for the fleet. Inlined for the same reason as [`AtOnce::push`].
    #[inline(always)]
    fn host_effect(&mut self, host: HostId, effect: Effect) -> Option<Effect> {
        match effect {
            Effect::Dispatch { ticket, .. } => self.dispatch(host, ticket),
            Effect::Abort { call } => self.abort(call),
            Effect::Sleep { id, until } => self.sleep(host, id, until),
            Effect::Forget { .. } => {}
            Effect::AskScaleUp { .. }
            | Effect::LeaveStart { .. }
            | Effect::AskScaleDown { .. }
            | Effect::Released { .. } => return Some(effect),
            Effect::ReadCounts { targets, window } => self.read_counts(host, targets, window),
            Effect::Wake { host } => self.queue.push(self.now, Event::Host(host, Box::new(Input::Wake { most: 1 }))),
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
        None
    }

    #[inline(always)]
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
