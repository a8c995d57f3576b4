//! A target: so many slots, each held for its demand.

use galton_core::counters::TargetCounters;
use galton_core::idle::AcceptWindow;
use galton_core::{Incarnation, Nanos, TargetId};

/// One target process.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) incarnation: Incarnation,
    pub(crate) running: bool,
    pub(crate) in_flight: u32,
    pub(crate) counters: TargetCounters,
    /// When requests were accepted, as far as an idle scan asks.
    pub(crate) accepted: AcceptWindow,
}

impl Target {
    /// `idle_threshold`: a target that accepted fewer requests within the window is idle.
    pub(crate) fn new(target: TargetId, incarnation: Incarnation, idle_threshold: u32) -> Self {
        let counters = TargetCounters::new(target, incarnation);
        Self { incarnation, running: true, in_flight: 0, counters, accepted: AcceptWindow::new(idle_threshold) }
    }

    /// Takes a request, or refuses.
    pub(crate) fn offer(&mut self, now: Nanos, limit: u32) -> bool {
        if self.in_flight >= limit {
            self.counters.refused += 1;
            return false;
        }
        self.in_flight += 1;
        self.counters.accepted += 1;
        self.accepted.accept(now);
        true
    }
}
