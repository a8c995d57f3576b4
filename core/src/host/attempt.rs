//! Attempts: a round of them, one dispatch, and how it ended.

use super::call::{Call, Next, Stage};
use super::io::Seat;
use super::{AttemptEnd, Cx, Effect, Effects, Host, Policy, Ticket, TimerId};
use crate::ids::{CallId, TargetId};
use crate::outcome::{FailReason, Outcome, RejectReason};
use crate::record::{Decision, DecisionKind};
use crate::table::{LoadTable, Slot};
use crate::time::Nanos;

/// An attempt that came to nothing.
#[derive(Clone, Copy)]
struct Vain {
    target: TargetId,
    scale_routed: bool,
    /// Whether such an attempt is followed by another one.
    again: bool,
    /// What the call fails with otherwise.
    failed: FailReason,
}

impl Host {
    /// One attempt, after the injected lock latency if there is one.
    #[inline(always)]
    pub(super) fn attempt(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if self.rules.lock_latency == Nanos::ZERO {
            return self.pick(id, cx);
        }
        let granted = cx.table.claim(cx.now, self.rules.lock_latency);
        self.wait(id, granted, Next::Pick, cx);
    }

    #[inline(always)]
    fn pick(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        match self.choose(id, cx) {
            Some(seat) => self.dispatch(id, seat, false, cx),
            None => self.exhausted(id, cx),
        }
    }

    #[inline(always)]
    fn choose(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) -> Option<Seat> {
        let policy = match &mut self.policy {
            Policy::RoundRobin(ring) => {
                let endpoint = ring.next(self.fleet.left_out())?;
                return Some(Seat::Open(endpoint.target, endpoint.incarnation));
            }
            Policy::LeastConns(policy) => policy,
        };
        let call = self.calls.get(id)?;
        let (request, attempt, tried) = (call.request, call.attempts, call.tried());
        let mut pick = |except: &[TargetId]| policy.pick(self.id, request, attempt, except, cx.table);
        if tried.is_empty() && self.fleet.left_out().is_empty() {
            return pick(&[]).map(Seat::Reserved);
        }
        let left_out: Vec<TargetId> = self.fleet.left_out().iter().copied().collect();
        let untried: Vec<TargetId> = tried.iter().chain(&left_out).copied().collect();
        let slot = match pick(&untried) {
            None if !tried.is_empty() => pick(&left_out)?,
            slot => slot?,
        };
        Some(Seat::Reserved(slot))
    }

    #[inline(always)]
    pub(super) fn dispatch(
        &mut self,
        id: CallId,
        seat: Seat,
        scale_routed: bool,
        cx: &mut Cx<'_, impl LoadTable, impl Effects>,
    ) {
        let known = self.known(cx);
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let target = seat.target();
        let own = self.fleet.take(target);
        call.begin_attempt(target);
        let overhead = cx.now - call.arrived;
        call.stage = Stage::Attempting { overhead, overdue: false };
        let attempt = call.attempts;
        let ticket =
            Ticket { call: id, request: call.request, seat, attempt, dispatched: cx.now, scale_routed, known, own };
        cx.fx.push(Effect::Dispatch { ticket, overhead });
        if let Some(longest) = self.rules.try_timeout {
            cx.fx.push(Effect::Sleep { id: TimerId::Try(id, attempt), until: cx.now + longest });
        }
    }

    /// An attempt has taken as long as one may: it is closed, and what follows is decided when its ticket comes back.
    pub(super) fn try_over(&mut self, id: CallId, over: u32, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.calls.get_mut(id).filter(|call| call.attempts == over) else {
            return;
        };
        if let Stage::Attempting { overdue, .. } = &mut call.stage {
            *overdue = true;
            cx.fx.push(Effect::Abort { call: id });
        }
    }

    #[inline(always)]
    fn known(&self, cx: &Cx<'_, impl LoadTable, impl Effects>) -> u32 {
        match &self.policy {
            Policy::RoundRobin(ring) => ring.len(),
            Policy::LeastConns(_) => cx.table.ready(),
        }
    }

    /// An attempt is over: its slot is free, it is written down, and its call goes on.
    #[inline(always)]
    pub(super) fn attempt_ended(
        &mut self,
        ticket: Ticket,
        end: AttemptEnd,
        cx: &mut Cx<'_, impl LoadTable, impl Effects>,
    ) {
        self.record_attempt(&ticket, end, cx);
        let Ticket { call, seat, scale_routed, attempt, .. } = ticket;
        if self.rules.try_timeout.is_some() {
            cx.fx.push(Effect::Forget { id: TimerId::Try(call, attempt) });
        }
        let target = seat.target();
        self.give_back(target, cx);
        if let Seat::Reserved(slot) = seat {
            self.release(slot, cx);
        }
        let vain = |again, failed| Vain { target, scale_routed, again, failed };
        match end {
            AttemptEnd::Done { ok: true } => self.answer(call, Outcome::Ok, cx),
            AttemptEnd::Done { ok: false } => self.answer(call, Outcome::Failed(FailReason::Http), cx),
            AttemptEnd::Closed { committed } => {
                self.closed(call, vain(!committed && !scale_routed, FailReason::Timeout), cx)
            }
            AttemptEnd::Full { committed } => {
                self.full(call, committed, vain(self.rules.retry_on.full, FailReason::Http), cx)
            }
            AttemptEnd::Gone => {
                self.fleet.leave_out(target);
                self.refused(call, vain(self.rules.retry_on.connect, FailReason::Connect), cx);
            }
            AttemptEnd::Reset { committed } => {
                let idempotent = self.calls.get(call).is_some_and(|c| c.idempotent);
                let again = self.rules.retry_on.reset && idempotent && !committed;
                self.refused(call, vain(again, FailReason::Reset), cx);
            }
        }
        // After a refusal the call itself goes on to where there is room; unless it cannot.
        if !matches!(end, AttemptEnd::Full { committed: false } | AttemptEnd::Gone) {
            self.slot_freed(cx);
        }
    }

    /// The driver closed the attempt. A call that is open all the same was closed for its attempt's time.
    fn closed(&mut self, id: CallId, vain: Vain, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.calls.get(id).filter(|call| call.overdue()) else {
            return;
        };
        let budget_left = self.rules.budget_left(call);
        let again = vain.again && self.rules.retry_on.timeout && call.idempotent && budget_left;
        self.refused(id, Vain { again, ..vain }, cx);
    }

    /// The target refused. With a body that cannot be sent again, nobody else can be asked.
    fn full(&mut self, id: CallId, committed: bool, vain: Vain, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if committed && let Some(call) = self.calls.get_mut(id) {
            call.trouble().last_try = true;
        }
        self.refused(id, vain, cx);
    }

    /// The attempt came to nothing: try again if that is allowed, after the retry delay.
    fn refused(&mut self, id: CallId, vain: Vain, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if !vain.again {
            return self.answer(id, Outcome::Failed(vain.failed), cx);
        }
        if vain.scale_routed {
            return self.reject(id, RejectReason::NewTargetFull, cx);
        }
        call.trouble().tried.push(vain.target);
        let budget_left = self.rules.budget_left(call);
        if self.rules.retry_delay > Nanos::ZERO && (budget_left || self.rules.delay_after_last) {
            let until = cx.now + self.rules.retry_delay;
            self.wait(id, until, Next::Retry, cx);
        } else {
            self.retry(id, cx);
        }
    }

    fn retry(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.calls.get(id) else {
            return;
        };
        if self.rules.budget_left(call) { self.attempt(id, cx) } else { self.exhausted(id, cx) }
    }

    fn wait(&mut self, id: CallId, until: Nanos, next: Next, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let trouble = call.trouble();
        trouble.waits += 1;
        let wait = trouble.waits;
        call.stage = Stage::Waiting { wait, next };
        cx.fx.push(Effect::Sleep { id: TimerId::Wait(id, wait), until });
    }

    pub(super) fn wait_over(&mut self, id: CallId, over: u32, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
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
    #[inline(always)]
    pub(super) fn release(&mut self, slot: Slot, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if self.rules.lock_latency == Nanos::ZERO {
            return cx.table.release(self.id, slot, cx.now);
        }
        let until = cx.table.claim(cx.now, self.rules.lock_latency);
        self.late_count += 1;
        self.late.insert(self.late_count, slot);
        cx.fx.push(Effect::Sleep { id: TimerId::Release(self.late_count), until });
    }

    pub(super) fn late_release(&mut self, number: u64, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if let Some(slot) = self.late.remove(&number) {
            cx.table.release(self.id, slot, cx.now);
            self.slot_freed(cx);
        }
    }

    #[inline(always)]
    fn record_attempt(&self, ticket: &Ticket, end: AttemptEnd, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let decision = self.decision(ticket, end, cx.now);
        cx.fx.push(Effect::Record { call: ticket.call, decision });
    }

    /// What is written down of an attempt that ends so.
    #[inline(always)]
    pub(super) fn decision(&self, ticket: &Ticket, end: AttemptEnd, now: Nanos) -> Decision {
        let kind = match end {
            AttemptEnd::Full { .. } => DecisionKind::Refuse,
            AttemptEnd::Gone => DecisionKind::Fail(FailReason::Connect),
            AttemptEnd::Reset { .. } => DecisionKind::Fail(FailReason::Reset),
            AttemptEnd::Closed { .. } if self.calls.get(ticket.call).is_some_and(Call::overdue) => {
                DecisionKind::Fail(FailReason::Timeout)
            }
            AttemptEnd::Closed { .. } | AttemptEnd::Done { .. } if ticket.scale_routed => DecisionKind::ScaleRoute,
            AttemptEnd::Closed { .. } | AttemptEnd::Done { .. } => DecisionKind::Accept,
        };
        Decision {
            at: ticket.dispatched,
            until: now,
            host: self.id,
            request: ticket.request,
            attempt: ticket.attempt,
            target: Some((ticket.target(), ticket.incarnation())),
            kind,
            known: ticket.known,
            own: ticket.own,
        }
    }

    /// Rejects the call, and writes it down.
    pub(super) fn reject(&mut self, id: CallId, reason: RejectReason, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let known = self.known(cx);
        let Some(call) = self.calls.get(id) else {
            return;
        };
        let decision = Decision {
            at: cx.now,
            until: cx.now,
            host: self.id,
            request: call.request,
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
