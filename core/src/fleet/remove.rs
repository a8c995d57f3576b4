//! Removals: cordon, drain, stop.

use super::member::{Drain, Member, State};
use super::{Effect, Fleet, Note, Phase, TimerId};
use crate::host::Change;
use crate::ids::{HostId, Incarnation, TargetId};
use crate::record::FleetWhat;
use crate::table::RowState;
use crate::time::Nanos;

impl Fleet {
    pub(super) fn draining(&self) -> impl Iterator<Item = TargetId> + '_ {
        let draining = |m: &Member| m.phase() == Phase::Draining;
        self.members.iter().filter(move |(_, m)| draining(m)).map(|(target, _)| *target)
    }

    /// A target is proposed for removal. Asked again, it is removed once and counted once.
    pub(super) fn scale_down(&mut self, now: Nanos, host: Option<HostId>, target: TargetId, fx: &mut Vec<Effect>) {
        let phase = self.members.get(&target).map(Member::phase);
        if matches!(phase, Some(Phase::Draining | Phase::Ended)) {
            return;
        }
        let ready = self.members.values().filter(|m| m.phase() == Phase::Ready).count();
        if phase != Some(Phase::Ready) || ready <= self.rules.min {
            let known = phase.map(|_| target);
            self.log(now, known, FleetWhat::DownRefused, Note { host, ..Note::default() }, fx);
            return;
        }
        self.cordon(now, host, target, fx);
    }

    fn cordon(&mut self, now: Nanos, asked_by: Option<HostId>, target: TargetId, fx: &mut Vec<Effect>) {
        let delay = self.rules.stop_delay(target);
        let holders = self.hosts.clone();
        let Some(member) = self.members.get_mut(&target) else {
            return;
        };
        let nobody = holders.is_empty();
        let inc = member.incarnation;
        member.state = State::Draining(Drain { asked_by, delay, delay_over: false, holders, stopping: false });
        self.version += 1;
        self.row(target, Some(RowState::Cordoned), fx);
        self.log(now, Some(target), FleetWhat::Cordoned, Note { host: asked_by, delay, ..Note::default() }, fx);
        self.announce(now, asked_by, Change::Cordoned(target), fx);
        fx.push(Effect::Sleep { id: TimerId::StopDelay(target, inc), until: now + delay });
        fx.push(Effect::Sleep { id: TimerId::DrainTimeout(target, inc), until: now + self.rules.drain_timeout });
        if nobody {
            self.log(now, Some(target), FleetWhat::Drained, Note::default(), fx);
        }
    }

    /// A host has let go of a cordoned target: it knows, and has nothing in flight there.
    pub(super) fn released(&mut self, now: Nanos, host: HostId, target: TargetId, fx: &mut Vec<Effect>) {
        let Some(State::Draining(drain)) = self.members.get_mut(&target).map(|m| &mut m.state) else {
            return;
        };
        if drain.holders.remove(&host) && drain.holders.is_empty() && !drain.stopping {
            self.log(now, Some(target), FleetWhat::Drained, Note::default(), fx);
            self.stop_if_over(target, fx);
        }
    }

    pub(super) fn stop_delay_over(&mut self, target: TargetId, inc: Incarnation, fx: &mut Vec<Effect>) {
        if let Some(State::Draining(drain)) = self.member_of(target, inc).map(|m| &mut m.state) {
            drain.delay_over = true;
            self.stop_if_over(target, fx);
        }
    }

    fn stop_if_over(&mut self, target: TargetId, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(&target) else {
            return;
        };
        let State::Draining(drain) = &mut member.state else {
            return;
        };
        if drain.delay_over && drain.holders.is_empty() && !drain.stopping {
            drain.stopping = true;
            fx.push(Effect::Stop { target, incarnation: member.incarnation, force: false });
        }
    }

    /// The drain has lasted as long as it may: stop, whatever is held. A stop that is under way, because every host has let
    /// go, is cut short: what still holds the process are clients of its own.
    pub(super) fn drain_timed_out(&mut self, now: Nanos, target: TargetId, inc: Incarnation, fx: &mut Vec<Effect>) {
        let Some(State::Draining(drain)) = self.member_of(target, inc).map(|m| &mut m.state) else { return };
        if !std::mem::replace(&mut drain.stopping, true) {
            self.log(now, Some(target), FleetWhat::DrainTimeout, Note::default(), fx);
        }
        fx.push(Effect::Stop { target, incarnation: inc, force: true });
    }

    pub(super) fn stopped(&mut self, now: Nanos, target: TargetId, held: u32, fx: &mut Vec<Effect>) {
        let Some(State::Draining(drain)) = self.members.get(&target).map(|m| &m.state) else {
            return;
        };
        let note = Note { host: drain.asked_by, delay: drain.delay, overrun: Nanos::ZERO, held };
        self.ends(now, target, FleetWhat::Stopped, note, fx);
    }
}
