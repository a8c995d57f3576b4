//! Starts and restarts.

use std::collections::BTreeSet;

use super::member::{Member, Start, State};
use super::{Effect, Fleet, Message, Note, Phase, TimerId};
use crate::host::{Change, Endpoint, ScaleUpAnswer};
use crate::ids::{CallId, HostId, Incarnation, TargetId};
use crate::record::FleetWhat;
use crate::table::RowState;
use crate::time::Nanos;

impl Fleet {
    /// One more target is asked for: share a start in progress, refuse, or start one.
    pub(super) fn scale_up(
        &mut self,
        now: Nanos,
        asked: Nanos,
        waiter: Option<(HostId, CallId)>,
        fx: &mut Vec<Effect>,
    ) {
        if let Some(target) = waiter.and_then(|waiter| self.start_for(waiter)) {
            answer(now, waiter, ScaleUpAnswer::Accepted(target), fx);
        } else if let Some(target) = self.shareable_start() {
            self.join_start(now, target, waiter, fx);
        } else if self.in_use() >= self.rules.max {
            let note = Note { host: waiter.map(|(host, _)| host), ..Note::default() };
            self.log(now, None, FleetWhat::UpRefused, note, fx);
            answer(now, waiter, ScaleUpAnswer::Refused, fx);
        } else {
            self.begin_start(now, asked, waiter, fx);
        }
    }

    /// The start that this call waits for already: it asked again because it did not hear the answer.
    fn start_for(&self, waiter: (HostId, CallId)) -> Option<TargetId> {
        let waits = |m: &Member| matches!(&m.state, State::Starting(start) if start.waiters.contains(&waiter));
        self.members.iter().find(|(_, member)| waits(member)).map(|(target, _)| *target)
    }

    /// The first start in progress with a free slot, if starts are shared.
    fn shareable_start(&self) -> Option<TargetId> {
        let slots = self.rules.slots;
        let has_room = |m: &Member| matches!(&m.state, State::Starting(start) if start.waiters.len() < slots);
        let mut members = self.members.iter().filter(|_| self.rules.shared_starts);
        members.find(|(_, member)| has_room(member)).map(|(target, _)| *target)
    }

    /// Who waited has been given up: its place is free. The start goes on.
    pub(super) fn leave_start(&mut self, waiter: (HostId, CallId)) {
        for member in self.members.values_mut() {
            member.forget_waiters(|other| *other == waiter);
        }
    }

    /// Targets that count against the maximum: all that have not ended, those being removed included.
    fn in_use(&self) -> usize {
        self.members.values().filter(|m| m.phase() != Phase::Ended).count()
    }

    fn join_start(&mut self, now: Nanos, target: TargetId, waiter: Option<(HostId, CallId)>, fx: &mut Vec<Effect>) {
        if let Some(State::Starting(start)) = self.members.get_mut(&target).map(|m| &mut m.state) {
            start.waiters.extend(waiter);
        }
        let note = Note { host: waiter.map(|(host, _)| host), ..Note::default() };
        self.log(now, Some(target), FleetWhat::Joined, note, fx);
        answer(now, waiter, ScaleUpAnswer::Accepted(target), fx);
    }

    fn begin_start(&mut self, now: Nanos, asked: Nanos, waiter: Option<(HostId, CallId)>, fx: &mut Vec<Effect>) {
        let target = self.next_number();
        let delay = self.rules.start_delay(target);
        let due = asked + delay;
        let asked_by = waiter.map(|(host, _)| host);
        let waiters = waiter.into_iter().collect();
        let start = Start { asked_by, delay, due, delay_over: false, spawned: false, waiters };
        let member = Member::starting(start);
        let incarnation = member.incarnation;
        self.members.insert(target, member);
        self.log(now, Some(target), FleetWhat::Starting, Note { host: asked_by, delay, ..Note::default() }, fx);
        self.row(target, Some(RowState::Starting), fx);
        fx.push(Effect::Spawn { target, incarnation });
        fx.push(Effect::Sleep { id: TimerId::StartDelay(target, incarnation), until: due });
        answer(now, waiter, ScaleUpAnswer::Accepted(target), fx);
    }

    pub(super) fn spawned(&mut self, now: Nanos, target: TargetId, inc: Incarnation, fx: &mut Vec<Effect>) {
        match self.member_of(target, inc).map(|m| &mut m.state) {
            Some(State::Starting(start)) => {
                start.spawned = true;
                self.ready_if_over(now, target, fx);
            }
            Some(State::Restarting) => {
                self.becomes_ready(now, target, Note::default(), fx);
                self.announce(now, None, Change::Ready(Endpoint::new(target, inc, now)), fx);
            }
            _ => {}
        }
    }

    pub(super) fn start_delay_over(&mut self, now: Nanos, target: TargetId, inc: Incarnation, fx: &mut Vec<Effect>) {
        if let Some(State::Starting(start)) = self.member_of(target, inc).map(|m| &mut m.state) {
            start.delay_over = true;
            self.ready_if_over(now, target, fx);
        }
    }

    /// A start that is over: its initiators know the whole fleet at once, then get their answers; the others learn the
    /// change after the news delay.
    fn ready_if_over(&mut self, now: Nanos, target: TargetId, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(&target) else {
            return;
        };
        let State::Starting(start) = &mut member.state else {
            return;
        };
        if !(start.delay_over && start.spawned) {
            return;
        }
        let incarnation = member.incarnation;
        let note = Note { host: start.asked_by, delay: start.delay, overrun: now - start.due, held: 0 };
        let waiters = std::mem::take(&mut start.waiters);
        self.becomes_ready(now, target, note, fx);
        let initiators: BTreeSet<HostId> = waiters.iter().map(|(host, _)| *host).collect();
        let (version, members) = (self.version, self.ready());
        fx.extend(initiators.iter().map(|host| {
            let message = Message::Snapshot { version, members: members.clone() };
            Effect::Tell { host: *host, due: now, message }
        }));
        for waiter in waiters {
            answer(now, Some(waiter), ScaleUpAnswer::Ready(target, incarnation), fx);
        }
        let change = Change::Ready(Endpoint::new(target, incarnation, now));
        let due = now + self.rules.news_delay;
        fx.extend(self.hosts.difference(&initiators).map(|host| {
            let message = Message::Change { version, change };
            Effect::Tell { host: *host, due, message }
        }));
    }

    fn becomes_ready(&mut self, now: Nanos, target: TargetId, note: Note, fx: &mut Vec<Effect>) {
        self.version += 1;
        if let Some(member) = self.members.get_mut(&target) {
            member.state = State::Ready { since: now };
        }
        self.row(target, Some(RowState::Ready), fx);
        self.log(now, Some(target), FleetWhat::Ready, note, fx);
    }

    /// A process died by itself: a failed start ends its waiters, a target in service comes back after a backoff, one that
    /// was being removed is gone.
    pub(super) fn died(&mut self, now: Nanos, target: TargetId, inc: Incarnation, held: u32, fx: &mut Vec<Effect>) {
        let Some(member) = self.member_of(target, inc) else {
            return;
        };
        let note = Note { held, ..Note::default() };
        match &mut member.state {
            State::Starting(start) => {
                let waiters = std::mem::take(&mut start.waiters);
                self.ends(now, target, FleetWhat::StartFailed, note, fx);
                for waiter in waiters {
                    answer(now, Some(waiter), ScaleUpAnswer::StartFailed, fx);
                }
            }
            State::Ready { since } => {
                let since = *since;
                self.died_in_service(now, target, since, note, fx);
            }
            State::Restarting => {
                self.log(now, Some(target), FleetWhat::Died, note, fx);
                self.back_off(now, target, fx);
            }
            State::Draining(_) => self.ends(now, target, FleetWhat::Died, note, fx),
            State::Down | State::Ended => {}
        }
    }

    fn died_in_service(&mut self, now: Nanos, target: TargetId, since: Nanos, note: Note, fx: &mut Vec<Effect>) {
        self.version += 1;
        self.log(now, Some(target), FleetWhat::Died, note, fx);
        self.row(target, None, fx);
        let stable = self.rules.restarts.stable;
        let Some(member) = self.members.get_mut(&target) else {
            return;
        };
        if now - since >= stable {
            member.restarts = 0;
        }
        let change = Change::Gone(target, member.incarnation);
        self.announce(now, None, change, fx);
        self.back_off(now, target, fx);
    }

    fn back_off(&mut self, now: Nanos, target: TargetId, fx: &mut Vec<Effect>) {
        let rules = self.rules.restarts;
        let Some(member) = self.members.get_mut(&target) else {
            return;
        };
        if member.restarts >= rules.limit {
            member.state = State::Ended;
            self.log(now, Some(target), FleetWhat::GivenUp, Note::default(), fx);
            return;
        }
        let doubled = rules.first.0.saturating_mul(1 << member.restarts.min(30));
        member.restarts += 1;
        member.state = State::Down;
        let id = TimerId::Backoff(target, member.incarnation);
        fx.push(Effect::Sleep { id, until: now + Nanos(doubled).min(rules.longest) });
    }

    pub(super) fn backoff_over(&mut self, now: Nanos, target: TargetId, inc: Incarnation, fx: &mut Vec<Effect>) {
        let Some(member) = self.member_of(target, inc).filter(|m| matches!(m.state, State::Down)) else {
            return;
        };
        member.incarnation += 1;
        member.state = State::Restarting;
        let incarnation = member.incarnation;
        self.log(now, Some(target), FleetWhat::Restarting, Note::default(), fx);
        fx.push(Effect::Spawn { target, incarnation });
    }

    /// The target is gone for good.
    pub(super) fn ends(&mut self, now: Nanos, target: TargetId, what: FleetWhat, note: Note, fx: &mut Vec<Effect>) {
        self.log(now, Some(target), what, note, fx);
        self.row(target, None, fx);
        if let Some(member) = self.members.get_mut(&target) {
            member.state = State::Ended;
        }
    }
}

fn answer(now: Nanos, waiter: Option<(HostId, CallId)>, answer: ScaleUpAnswer, fx: &mut Vec<Effect>) {
    fx.extend(waiter.map(|(host, call)| {
        let message = Message::ScaleUp { call, answer };
        Effect::Tell { host, due: now, message }
    }));
}
