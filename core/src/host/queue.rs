//! The queue of a host: first in, first out, bounded in length and in time.
//!
//! With least connections any release wakes the host whose head has waited longest; the death of a host, which releases many,
//! wakes all that wait. With round robin a host knows only of
//! its own completions and of fleet changes; one that has nothing in flight has no completion to wait for, and tries its head
//! when a request arrives or times out in the queue.

use std::collections::BTreeMap;

use super::call::Stage;
use super::{Cx, Effect, Effects, Host, Policy, TimerId};
use crate::ids::{CallId, TargetId};
use crate::outcome::RejectReason;
use crate::scenario::NoCapacity;
use crate::table::{Head, LoadTable};
use crate::time::Nanos;

/// Calls that wait, by place. A call keeps its place while it is tried, and comes back to it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<u64, (CallId, Nanos)>,
    places: u64,
}

impl Queue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn head(&self) -> Option<(CallId, Nanos)> {
        self.waiting.values().next().copied()
    }
}

impl Host {
    /// The call waits in the queue, at its old place if it had one.
    pub(super) fn enqueue(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let NoCapacity::Queue { depth, timeout } = self.rules.no_capacity else {
            return;
        };
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if call.trouble().queue_over {
            return self.reject(id, RejectReason::QueueTimeout, cx);
        }
        if call.last_try() {
            return self.reject(id, RejectReason::RetriesExhausted, cx);
        }
        let place = match call.queue_place() {
            Some(place) => place,
            None if self.queue.waiting.len() >= depth as usize => {
                return self.reject(id, RejectReason::QueueFull, cx);
            }
            None => {
                cx.fx.push(Effect::Sleep { id: TimerId::Queue(id), until: cx.now + timeout });
                self.queue.places += 1;
                self.queue.places
            }
        };
        call.trouble().queue_place = Some(place);
        call.stage = Stage::Queued;
        let (since, refused) = (call.arrived, !call.tried().is_empty());
        self.queue.waiting.insert(place, (id, since));
        self.publish_head(cx);
        // A slot may have come free since the pick. But a target that refuses although the table has room (it serves others
        // too) is not asked again until something changes: that would go round without a pause.
        if !refused && self.has_room(cx) {
            self.serve_queue(1, cx);
        }
    }

    /// Tries the first `most` calls of the queue; as many as there is room for where the table tells.
    pub(super) fn serve_queue(&mut self, most: u32, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let shared = matches!(self.policy, Policy::LeastConns(_));
        for _ in 0..most {
            if shared && !self.has_room(cx) {
                break;
            }
            let Some((_, (id, _))) = self.queue.waiting.pop_first() else {
                break;
            };
            self.publish_head(cx);
            if let Some(call) = self.calls.get_mut(id) {
                call.begin_round();
                self.attempt(id, cx);
            }
        }
        // Whoever was refused although there is room waits for a change, or such hosts would wake each other for ever.
        if shared && self.queue.is_empty() && self.has_room(cx) {
            self.wake_longest_waiting(false, cx);
        }
    }

    /// Without a shared table, a host with nothing in flight hears of no free slot: it tries its head by itself.
    pub(super) fn try_head_if_idle(&mut self, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if matches!(self.policy, Policy::RoundRobin(_)) && self.in_flight() == 0 {
            self.serve_queue(1, cx);
        }
    }

    /// A slot that this host held is free again.
    #[inline]
    pub(super) fn slot_freed(&mut self, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if !matches!(self.rules.no_capacity, NoCapacity::Queue { .. }) {
            return;
        }
        match self.policy {
            Policy::RoundRobin(_) => self.serve_queue(1, cx),
            Policy::LeastConns(_) => self.wake_longest_waiting(true, cx),
        }
    }

    /// `refused`: something has changed, so that those that were refused have a chance too.
    fn wake_longest_waiting(&mut self, refused: bool, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        match cx.table.longest_waiting(refused) {
            Some(host) if host == self.id => self.serve_queue(1, cx),
            Some(host) => cx.fx.push(Effect::Wake { host }),
            None => {}
        }
    }

    pub(super) fn queued_for_too_long(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        call.trouble().queue_over = true;
        if matches!(call.stage, Stage::Queued) {
            self.reject(id, RejectReason::QueueTimeout, cx);
            self.try_head_if_idle(cx);
        }
    }

    pub(super) fn leave_queue(&mut self, place: u64, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if self.queue.waiting.remove(&place).is_some() {
            self.publish_head(cx);
        }
    }

    fn publish_head(&self, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let refused = |call: CallId| self.calls.get(call).is_some_and(|call| !call.tried().is_empty());
        let head = self.queue.head().map(|(call, since)| Head { since, refused: refused(call) });
        cx.table.set_waiting(self.id, head);
    }

    /// Whether the shared table has a candidate; never, where there is none.
    fn has_room(&self, cx: &Cx<'_, impl LoadTable, impl Effects>) -> bool {
        let left_out: Vec<TargetId> = self.fleet.left_out().iter().copied().collect();
        matches!(self.policy, Policy::LeastConns(_)) && cx.table.lowest(&left_out).is_some()
    }
}
