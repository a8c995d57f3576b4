//! Nobody can take the call: the scenario's mode decides. Waiting for a target that is started for it.

use super::call::Stage;
use super::io::Seat;
use super::{Cx, Effect, Effects, Host, Policy, ScaleUpAnswer};
use crate::ids::{CallId, Incarnation, TargetId};
use crate::outcome::RejectReason;
use crate::scenario::NoCapacity;
use crate::table::LoadTable;

impl Host {
    /// The round's budget is spent, or there was nobody to try.
    pub(super) fn exhausted(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        match self.rules.no_capacity {
            NoCapacity::Fail if call.attempts > 0 => self.reject(id, RejectReason::RetriesExhausted, cx),
            NoCapacity::Fail => self.reject(id, RejectReason::NoCapacity, cx),
            NoCapacity::WaitScaleUp if call.last_try() => self.reject(id, RejectReason::RetriesExhausted, cx),
            NoCapacity::WaitScaleUp => {
                call.stage = Stage::ScalingUp { reserved: None };
                cx.fx.push(Effect::AskScaleUp { call: id });
            }
            NoCapacity::Queue { .. } => self.enqueue(id, cx),
        }
    }

    pub(super) fn scale_up_answer(
        &mut self,
        id: CallId,
        answer: ScaleUpAnswer,
        cx: &mut Cx<'_, impl LoadTable, impl Effects>,
    ) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let Stage::ScalingUp { reserved } = &mut call.stage else {
            return;
        };
        match answer {
            ScaleUpAnswer::Accepted(target) => {
                if matches!(self.policy, Policy::LeastConns(_)) {
                    *reserved = cx.table.reserve_at(self.id, target);
                }
            }
            ScaleUpAnswer::Ready(target, incarnation) => self.started(id, target, incarnation, cx),
            ScaleUpAnswer::Refused => self.reject(id, RejectReason::NoCapacity, cx),
            ScaleUpAnswer::StartFailed => self.reject(id, RejectReason::StartFailed, cx),
        }
    }

    /// The target is there: dispatch, with the slot that was reserved where there is a shared table.
    fn started(
        &mut self,
        id: CallId,
        target: TargetId,
        incarnation: Incarnation,
        cx: &mut Cx<'_, impl LoadTable, impl Effects>,
    ) {
        let Some(Stage::ScalingUp { reserved }) = self.calls.get_mut(id).map(|c| &mut c.stage) else {
            return;
        };
        if matches!(self.policy, Policy::RoundRobin(_)) {
            return self.dispatch(id, Seat::Open(target, incarnation), true, cx);
        }
        match reserved.take().or_else(|| cx.table.reserve_at(self.id, target)) {
            Some(slot) => self.dispatch(id, Seat::Reserved(slot), true, cx),
            None => self.reject(id, RejectReason::NewTargetFull, cx),
        }
    }
}
