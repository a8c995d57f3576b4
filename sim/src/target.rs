//! A target: so many slots, each held for its demand; and, where the scenario says so, a CPU that its requests share.

use galton_core::counters::TargetCounters;
use galton_core::cpu::{Job, SharedCpu};
use galton_core::idle::AcceptWindow;
use galton_core::plan::Demand;
use galton_core::scenario::{CpuMode, Scenario};
use galton_core::{CallId, Incarnation, Nanos, TargetId};

/// One target process.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) incarnation: Incarnation,
    pub(crate) running: bool,
    pub(crate) in_flight: u32,
    pub(crate) counters: TargetCounters,
    /// When requests were accepted, as far as an idle scan asks.
    pub(crate) accepted: AcceptWindow,
    pub(crate) shared: Option<Box<Shared>>,
}

/// The CPU that the requests of a target share (`slowdown`).
#[derive(Debug)]
pub(crate) struct Shared {
    cpu: SharedCpu,
    jobs: Vec<(Job, CallId, u32)>,
    /// The time for which an event is in the queue.
    pub(crate) due: Option<Nanos>,
}

// === impl Target ===

impl Target {
    pub(crate) fn new(target: TargetId, incarnation: Incarnation, scenario: &Scenario) -> Self {
        let slows_down = scenario.targets.cpu_mode == CpuMode::Slowdown;
        Self {
            incarnation,
            running: true,
            in_flight: 0,
            counters: TargetCounters::new(target, incarnation),
            accepted: AcceptWindow::new(scenario.load_balancer.rr.idle_threshold_requests),
            shared: slows_down.then(|| Box::new(Shared::new(scenario.targets.cpu_capacity))),
        }
    }

    /// Takes a request, or refuses.
    #[inline(always)]
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

    /// A hold ended by itself.
    #[inline(always)]
    pub(crate) fn complete(&mut self) {
        self.in_flight -= 1;
        self.counters.completed += 1;
    }

    /// The caller went away, and its slot is free at once.
    pub(crate) fn cancel(&mut self, now: Nanos, call: CallId, attempt: u32) {
        self.in_flight -= 1;
        self.counters.cancelled += 1;
        if let Some(shared) = &mut self.shared {
            shared.leave(now, call, attempt);
        }
    }
}

// === impl Shared ===

impl Shared {
    fn new(capacity: f64) -> Self {
        Self { cpu: SharedCpu::new(capacity), jobs: Vec::new(), due: None }
    }

    pub(crate) fn arrive(&mut self, now: Nanos, demand: &Demand, call: CallId, attempt: u32) {
        let job = self.cpu.arrive(now, demand.hold, demand.cpu);
        self.jobs.push((job, call, attempt));
    }

    /// The next attempt whose hold is over at `now`.
    pub(crate) fn finish(&mut self, now: Nanos) -> Option<(CallId, u32)> {
        let done = self.cpu.finish(now)?;
        let at = self.jobs.iter().position(|(job, ..)| *job == done)?;
        let (_, call, attempt) = self.jobs.swap_remove(at);
        Some((call, attempt))
    }

    /// When the next hold is over, if nothing arrives or leaves before.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.cpu.next()
    }

    fn leave(&mut self, now: Nanos, call: CallId, attempt: u32) {
        if let Some(at) = self.jobs.iter().position(|(_, c, a)| (*c, *a) == (call, attempt)) {
            let (job, ..) = self.jobs.swap_remove(at);
            self.cpu.leave(now, job);
        }
    }
}
