//! Attempts: a round of them, one dispatch, and how it ended.

use super::call::{Next, Stage};
use super::{AttemptEnd, Cx, Effect, Host, Policy, Ticket, TimerId};
use crate::ids::{CallId, Incarnation, TargetId};
use crate::outcome::{FailReason, Outcome, RejectReason};
use crate::record::{Decision, DecisionKind};
use crate::table::{LoadTable, Slot};
use crate::time::Nanos;

/// Where an attempt goes.
struct Choice {
    target: TargetId,
    incarnation: Incarnation,
    slot: Option<Slot>,
}

impl Host {
    /// A new budget of attempts.
    pub(super) fn begin_round<T: LoadTable>(&mut self, id: CallId, cx: &mut Cx<'_, T>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        call.round = 0;
        call.tried.clear();
        self.attempt(id, cx);
    }

    /// One attempt, after the injected lock latency if there is one.
    fn attempt<T: LoadTable>(&mut self, id: CallId, cx: &mut Cx<'_, T>) {
        if self.rules.lock_latency == Nanos::ZERO {
            return self.pick(id, cx);
        }
        let granted = cx.table.claim(cx.now, self.rules.lock_latency);
        self.wait(id, granted, Next::Pick, cx);
    }

    fn pick<T: LoadTable>(&mut self, id: CallId, cx: &mut Cx<'_, T>) {
        match self.choose(id, cx) {
            Some(choice) => self.dispatch(id, choice, false, cx),
            None => self.exhausted(id, cx),
        }
    }

    fn choose<T: LoadTable>(&mut self, id: CallId, cx: &mut Cx<'_, T>) -> Option<Choice> {
        let call = self.calls.get(id)?;
        let policy = match &mut self.policy {
            Policy::RoundRobin(ring) => {
                let endpoint = ring.next(self.fleet.left_out())?;
                return Some(Choice { target: endpoint.target, incarnation: endpoint.incarnation, slot: None });
            }
            Policy::LeastConns(policy) => policy,
        };
        let (request, attempt) = (call.arrival.request, call.attempts);
        let left_out: Vec<TargetId> = self.fleet.left_out().iter().copied().collect();
        let untried: Vec<TargetId> = call.tried.iter().chain(&left_out).copied().collect();
        let mut pick = |except: &[TargetId]| policy.pick(self.id, request, attempt, except, cx.table);
        let slot = match pick(&untried) {
            None if !call.tried.is_empty() => pick(&left_out)?,
            slot => slot?,
        };
        Some(Choice { target: slot.target(), incarnation: slot.incarnation(), slot: Some(slot) })
    }

    /// Sends the call to the target that was started for it.
    pub(super) fn scale_route<T: LoadTable>(
        &mut self,
        id: CallId,
        target: TargetId,
        incarnation: Incarnation,
        slot: Option<Slot>,
        cx: &mut Cx<'_, T>,
    ) {
        self.dispatch(id, Choice { target, incarnation, slot }, true, cx);
    }

    fn dispatch<T: LoadTable>(&mut self, id: CallId, choice: Choice, scale_routed: bool, cx: &mut Cx<'_, T>) {
        let Choice { target, incarnation, slot } = choice;
        let known = self.known(cx);
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let own = self.fleet.take(target);
        call.attempts += 1;
        call.round += 1;
        call.last = Some(target);
        let overhead = cx.now - call.arrived;
        call.stage = Stage::Attempting { overhead };
        let ticket = Ticket {
            call: id,
            request: call.arrival.request,
            target,
            incarnation,
            slot,
            attempt: call.attempts,
            dispatched: cx.now,
            scale_routed,
            known,
            own,
        };
        cx.fx.push(Effect::Dispatch { call: id, attempts: call.attempts, ticket, overhead });
    }

    fn known<T: LoadTable>(&self, cx: &Cx<'_, T>) -> u32 {
        match &self.policy {
            Policy::RoundRobin(ring) => ring.len(),
            Policy::LeastConns(_) => cx.table.ready(),
        }
    }

    /// An attempt is over: its slot is free, it is written down, and its call goes on.
    pub(super) fn attempt_ended<T: LoadTable>(&mut self, mut ticket: Ticket, end: AttemptEnd, cx: &mut Cx<'_, T>) {
        let slot = ticket.slot.take();
        self.record_attempt(&ticket, end, cx);
        self.give_back(ticket.target, cx);
        if let Some(slot) = slot {
            self.release(slot, cx);
        }
        match end {
            AttemptEnd::Done { ok: true } => self.answer(ticket.call, Outcome::Ok, cx),
            AttemptEnd::Done { ok: false } => self.answer(ticket.call, Outcome::Failed(FailReason::Http), cx),
            AttemptEnd::Closed => {}
            AttemptEnd::Full => self.refused(&ticket, self.rules.retry_on.full, Outcome::Failed(FailReason::Http), cx),
            AttemptEnd::Gone => {
                self.fleet.leave_out(ticket.target);
                self.refused(&ticket, self.rules.retry_on.connect, Outcome::Failed(FailReason::Connect), cx);
            }
            AttemptEnd::Reset { committed } => {
                let idempotent = self.calls.get(ticket.call).is_some_and(|c| c.arrival.idempotent);
                let again = self.rules.retry_on.reset && idempotent && !committed;
                self.refused(&ticket, again, Outcome::Failed(FailReason::Reset), cx);
            }
        }
        if matches!(end, AttemptEnd::Done { .. } | AttemptEnd::Closed | AttemptEnd::Reset { .. }) {
            self.slot_freed(cx);
        }
    }

    /// The attempt came to nothing: try again if that is allowed, after the retry delay.
    fn refused<T: LoadTable>(&mut self, ticket: &Ticket, again: bool, failed: Outcome, cx: &mut Cx<'_, T>) {
        let id = ticket.call;
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if !again {
            return self.answer(id, failed, cx);
        }
        if ticket.scale_routed {
            return self.reject(id, RejectReason::NewTargetFull, cx);
        }
        call.tried.push(ticket.target);
        let budget_left = call.round <= self.rules.retry_limit;
        if self.rules.retry_delay > Nanos::ZERO && (budget_left || self.rules.delay_after_last) {
            let until = cx.now + self.rules.retry_delay;
            self.wait(id, until, Next::Retry, cx);
        } else {
            self.retry(id, cx);
        }
    }

    fn retry<T: LoadTable>(&mut self, id: CallId, cx: &mut Cx<'_, T>) {
        let Some(call) = self.calls.get(id) else {
            return;
        };
        if call.round <= self.rules.retry_limit { self.attempt(id, cx) } else { self.exhausted(id, cx) }
    }

    fn wait<T: LoadTable>(&mut self, id: CallId, until: Nanos, next: Next, cx: &mut Cx<'_, T>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        call.waits += 1;
        call.stage = Stage::Waiting { wait: call.waits, next };
        cx.fx.push(Effect::Sleep { id: TimerId::Wait(id, call.waits), until });
    }

    pub(super) fn wait_over<T: LoadTable>(&mut self, id: CallId, over: u32, cx: &mut Cx<'_, T>) {
        let Some(call) = self.calls.get(id) else {
            return;
        };
        match call.stage {
            Stage::Waiting { wait, next: Next::Retry } if wait == over => self.retry(id, cx),
            Stage::Waiting { wait, next: Next::Pick } if wait == over => self.pick(id, cx),
            _ => {}
        }
    }

    /// Gives a slot back; with a lock latency the caller does not wait, but the effect comes late.
    pub(super) fn release<T: LoadTable>(&mut self, slot: Slot, cx: &mut Cx<'_, T>) {
        if self.rules.lock_latency == Nanos::ZERO {
            return cx.table.release(self.id, slot, cx.now);
        }
        let until = cx.table.claim(cx.now, self.rules.lock_latency);
        self.late_count += 1;
        self.late.insert(self.late_count, slot);
        cx.fx.push(Effect::Sleep { id: TimerId::Release(self.late_count), until });
    }

    pub(super) fn late_release<T: LoadTable>(&mut self, number: u64, cx: &mut Cx<'_, T>) {
        if let Some(slot) = self.late.remove(&number) {
            cx.table.release(self.id, slot, cx.now);
            self.slot_freed(cx);
        }
    }

    fn record_attempt<T: LoadTable>(&self, ticket: &Ticket, end: AttemptEnd, cx: &mut Cx<'_, T>) {
        let kind = match end {
            AttemptEnd::Full => DecisionKind::Refuse,
            AttemptEnd::Gone => DecisionKind::Fail(FailReason::Connect),
            AttemptEnd::Reset { .. } => DecisionKind::Fail(FailReason::Reset),
            AttemptEnd::Closed | AttemptEnd::Done { .. } if ticket.scale_routed => DecisionKind::ScaleRoute,
            AttemptEnd::Closed | AttemptEnd::Done { .. } => DecisionKind::Accept,
        };
        let decision = Decision {
            at: ticket.dispatched,
            until: cx.now,
            host: self.id,
            request: ticket.request,
            attempt: ticket.attempt,
            target: Some((ticket.target, ticket.incarnation)),
            kind,
            known: ticket.known,
            own: ticket.own,
        };
        cx.fx.push(Effect::Record { call: ticket.call, decision });
    }

    /// Rejects the call, and writes it down.
    pub(super) fn reject<T: LoadTable>(&mut self, id: CallId, reason: RejectReason, cx: &mut Cx<'_, T>) {
        let known = self.known(cx);
        let Some(call) = self.calls.get(id) else {
            return;
        };
        let decision = Decision {
            at: cx.now,
            until: cx.now,
            host: self.id,
            request: call.arrival.request,
            attempt: call.attempts,
            target: None,
            kind: DecisionKind::Reject(reason),
            known,
            own: 0,
        };
        cx.fx.push(Effect::Record { call: id, decision });
        self.answer(id, Outcome::Rejected(reason), cx);
    }
}
