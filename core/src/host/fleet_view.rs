//! What this host knows of the fleet, and what it has in flight where.

use std::collections::BTreeSet;

use super::{Change, Cx, Effect, Effects, Endpoint, Host, Policy};
use crate::ids::TargetId;
use crate::table::LoadTable;

#[derive(Debug)]
pub(super) struct FleetView {
    /// Version of the last snapshot: changes up to it are known with it.
    snapshot: u64,
    /// Targets without a connection, until the next change of the fleet.
    left_out: BTreeSet<TargetId>,
    /// Own tickets, by target number.
    own: Vec<u32>,
    total: u32,
    /// Cordoned targets whose release this host still owes.
    owed: BTreeSet<TargetId>,
}

impl FleetView {
    pub(super) fn new(version: u64) -> Self {
        Self { snapshot: version, left_out: BTreeSet::new(), own: Vec::new(), total: 0, owed: BTreeSet::new() }
    }

    pub(super) fn left_out(&self) -> &BTreeSet<TargetId> {
        &self.left_out
    }

    pub(super) fn leave_out(&mut self, target: TargetId) {
        self.left_out.insert(target);
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.total
    }

    /// Counts one more ticket; returns how many there are now.
    #[inline(always)]
    pub(super) fn take(&mut self, target: TargetId) -> u32 {
        let at = target.0 as usize;
        if at >= self.own.len() {
            self.own.resize(at + 1, 0);
        }
        self.own[at] += 1;
        self.total += 1;
        self.own[at]
    }

    fn own(&self, target: TargetId) -> u32 {
        self.own.get(target.0 as usize).copied().unwrap_or(0)
    }
}

impl Host {
    /// One ticket less; the last one on a cordoned target is told to the scaler.
    #[inline(always)]
    pub(super) fn give_back(&mut self, target: TargetId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let view = &mut self.fleet;
        let Some(own) = view.own.get_mut(target.0 as usize) else {
            return;
        };
        *own -= 1;
        view.total -= 1;
        if *own == 0 && !view.owed.is_empty() && view.owed.remove(&target) {
            cx.fx.push(Effect::Released { target });
        }
    }

    pub(super) fn fleet_change(&mut self, version: u64, change: Change, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if let Change::Cordoned(target) = change {
            self.owe_release(target, cx);
        }
        if version <= self.fleet.snapshot {
            return;
        }
        self.fleet.left_out.clear();
        if let Policy::RoundRobin(ring) = &mut self.policy {
            match change {
                Change::Ready(endpoint) => ring.insert(endpoint),
                Change::Cordoned(target) => ring.remove(target, None),
                Change::Gone(target, incarnation) => ring.remove(target, Some(incarnation)),
            }
        }
        if let Change::Ready(_) = change {
            self.serve_queue(self.rules.slots, cx);
        }
    }

    pub(super) fn snapshot(
        &mut self,
        version: u64,
        members: &[Endpoint],
        cx: &mut Cx<'_, impl LoadTable, impl Effects>,
    ) {
        if version < self.fleet.snapshot {
            return;
        }
        self.fleet.snapshot = version;
        self.fleet.left_out.clear();
        if let Policy::RoundRobin(ring) = &mut self.policy {
            ring.replace(members);
        }
        self.serve_queue(self.rules.slots, cx);
    }

    /// A cordon is answered whatever else is known: at once, or when the last ticket there is given back.
    fn owe_release(&mut self, target: TargetId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if self.fleet.own(target) == 0 {
            cx.fx.push(Effect::Released { target });
        } else {
            self.fleet.owed.insert(target);
        }
    }
}
