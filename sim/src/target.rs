//! A target: so many slots, each held for its demand.

use galton_core::counters::TargetCounters;
use galton_core::{Incarnation, Nanos, TargetId};

/// One target process.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) incarnation: Incarnation,
    pub(crate) running: bool,
    pub(crate) in_flight: u32,
    pub(crate) counters: TargetCounters,
    /// When requests were accepted, the latest last; as many as an idle scan asks for.
    accepted: std::collections::VecDeque<Nanos>,
}

impl Target {
    pub(crate) fn new(target: TargetId, incarnation: Incarnation) -> Self {
        let counters = TargetCounters::new(target, incarnation);
        Self { incarnation, running: true, in_flight: 0, counters, accepted: Default::default() }
    }

    /// Takes a request, or refuses.
    pub(crate) fn offer(&mut self, now: Nanos, limit: u32, remembered: usize) -> bool {
        if self.in_flight >= limit {
            self.counters.refused += 1;
            return false;
        }
        self.in_flight += 1;
        self.counters.accepted += 1;
        self.accepted.push_back(now);
        if self.accepted.len() > remembered {
            self.accepted.pop_front();
        }
        true
    }

    pub(crate) fn accepted_since(&self, since: Nanos) -> u32 {
        self.accepted.iter().filter(|at| **at > since).count() as u32
    }
}
