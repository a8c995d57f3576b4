//! Idle scans: which targets this host proposes for removal.

use std::collections::BTreeSet;

use super::{Cx, Effect, Effects, Host, IdleCounts, Policy, TimerId};
use crate::ids::TargetId;
use crate::table::LoadTable;
use crate::time::Nanos;

/// The scans of a host. Whatever the interval, no more is asked at a time than can be answered.
#[derive(Debug)]
pub(super) struct Scans {
    /// When the next one is due.
    pub(super) next: Nanos,
    /// The counts are being read.
    reading: bool,
    /// What the scaler was asked to remove and has not said anything about.
    proposed: BTreeSet<TargetId>,
}

impl Scans {
    pub(super) fn new(next: Nanos) -> Self {
        Self { next, reading: false, proposed: BTreeSet::new() }
    }
}

impl Host {
    /// A look at the fleet: with the shared table at once, with round robin after reading the targets' counts.
    pub(super) fn scan(&mut self, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        // What is past is left out: a host that cannot keep up does not fall behind further and further.
        self.scans.next = self.rules.scan_after(self.scans.next.max(cx.now));
        cx.fx.push(Effect::Sleep { id: TimerId::Scan, until: self.scans.next });
        let window = self.rules.idle_window;
        match &self.policy {
            Policy::RoundRobin(_) if self.scans.reading => {}
            Policy::RoundRobin(ring) => {
                let old = ring.endpoints().iter().filter(|e| e.since + window < cx.now);
                let targets: Vec<TargetId> = old.map(|e| e.target).collect();
                if !targets.is_empty() {
                    self.scans.reading = true;
                    cx.fx.push(Effect::ReadCounts { targets, window });
                }
            }
            Policy::LeastConns(_) => {
                let idle = cx.table.idle(cx.now, window);
                idle.into_iter().for_each(|target| self.propose(target, cx));
            }
        }
    }

    /// Round robin: proposes what accepted too little within the window and holds nothing, the highest number first.
    pub(super) fn propose_unused(
        &mut self,
        mut counts: Vec<(TargetId, IdleCounts)>,
        cx: &mut Cx<'_, impl LoadTable, impl Effects>,
    ) {
        self.scans.reading = false;
        counts.retain(|(_, c)| c.accepted_in_window < self.rules.idle_threshold && c.in_flight == 0);
        counts.sort_by_key(|(target, _)| std::cmp::Reverse(*target));
        counts.into_iter().for_each(|(target, _)| self.propose(target, cx));
    }

    fn propose(&mut self, target: TargetId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        if self.scans.proposed.insert(target) {
            cx.fx.push(Effect::AskScaleDown { target });
        }
    }

    /// The scaler has said whether it removes the target. If it does not, the next scan may propose it again.
    pub(super) fn scale_down_answer(&mut self, target: TargetId) {
        self.scans.proposed.remove(&target);
    }
}
