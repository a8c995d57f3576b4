//! Idle scans: which targets this host proposes for removal.

use super::{Cx, Effect, Effects, Host, IdleCounts, Policy, TimerId};
use crate::ids::TargetId;
use crate::table::LoadTable;

impl Host {
    /// A look at the fleet: with the shared table at once, with round robin after reading the targets' counts.
    pub(super) fn scan(&mut self, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
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
                idle.into_iter().for_each(|target| cx.fx.push(Effect::AskScaleDown { target }));
            }
        }
    }

    /// Round robin: proposes what accepted too little within the window and holds nothing, the highest number first.
    pub(super) fn propose_unused(
        &mut self,
        mut counts: Vec<(TargetId, IdleCounts)>,
        cx: &mut Cx<'_, impl LoadTable, impl Effects>,
    ) {
        counts.retain(|(_, c)| c.accepted_in_window < self.rules.idle_threshold && c.in_flight == 0);
        counts.sort_by_key(|(target, _)| std::cmp::Reverse(*target));
        counts.into_iter().for_each(|(target, _)| cx.fx.push(Effect::AskScaleDown { target }));
    }
}
