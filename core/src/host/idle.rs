//! Idle scans: which targets this host proposes for removal.

use super::{Cx, Effect, Host, IdleCounts, Policy, TimerId};
use crate::ids::TargetId;
use crate::table::LoadTable;

impl Host {
    /// A look at the fleet: with the shared table at once, with round robin after reading the targets' counts.
    pub(super) fn scan<T: LoadTable>(&mut self, cx: &mut Cx<'_, T>) {
        self.next_scan = self.rules.scan_after(self.next_scan);
        cx.fx.push(Effect::Sleep { id: TimerId::Scan, until: self.next_scan });
        let window = self.rules.idle_window;
        match &self.policy {
            Policy::RoundRobin(ring) => {
                let old = ring.endpoints().iter().filter(|e| e.since + window < cx.now);
                let targets: Vec<TargetId> = old.map(|e| e.target).collect();
                if !targets.is_empty() {
                    cx.fx.push(Effect::ReadCounts { targets, window });
                }
            }
            Policy::LeastConns(_) => {
                let idle = cx.table.idle(cx.now, window);
                cx.fx.extend(idle.into_iter().map(|target| Effect::AskScaleDown { target }));
            }
        }
    }

    /// Round robin: proposes what accepted too little within the window and holds nothing, the highest number first.
    pub(super) fn propose_unused<T: LoadTable>(&mut self, mut counts: Vec<(TargetId, IdleCounts)>, cx: &mut Cx<'_, T>) {
        counts.retain(|(_, c)| c.accepted_in_window < self.rules.idle_threshold && c.in_flight == 0);
        counts.sort_by_key(|(target, _)| std::cmp::Reverse(*target));
        cx.fx.extend(counts.into_iter().map(|(target, _)| Effect::AskScaleDown { target }));
    }
}
