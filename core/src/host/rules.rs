//! What the scenario says about a host.

use super::call::Call;
use crate::scenario::{Architecture, NoCapacity, RetryOn, Scenario};
use crate::time::Nanos;

#[derive(Debug)]
pub(super) struct Rules {
    /// Retries after the first attempt of a round.
    pub(super) retry_limit: u32,
    /// Wait after a refusal.
    pub(super) retry_delay: Nanos,
    /// Whether that wait also follows the last refusal of a round: round robin yes, least connections no.
    pub(super) delay_after_last: bool,
    pub(super) retry_on: RetryOn,
    /// The longest time for one attempt.
    pub(super) try_timeout: Option<Nanos>,
    pub(super) no_capacity: NoCapacity,
    /// How long an operation on the shared table takes.
    pub(super) lock_latency: Nanos,
    /// 0: no idle scans.
    pub(super) idle_threshold: u32,
    pub(super) idle_window: Nanos,
    pub(super) scan_interval: Nanos,
    /// Slots of a target.
    pub(super) slots: u32,
}

impl Rules {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let (lb, scaling) = (&scenario.load_balancer, &scenario.scaling);
        let ring = lb.architecture == Architecture::RoundRobin;
        let by_architecture = |rr, lc| if ring { rr } else { lc };
        Self {
            retry_limit: by_architecture(lb.rr.retry_limit, lb.lc.retry_limit),
            retry_delay: if ring { lb.rr.retry_delay } else { lb.lc.retry_delay },
            delay_after_last: ring,
            retry_on: lb.retry_on,
            try_timeout: lb.try_timeout,
            no_capacity: lb.no_capacity,
            lock_latency: if ring { Nanos::ZERO } else { lb.lc.lock_latency },
            idle_threshold: by_architecture(lb.rr.idle_threshold_requests, lb.lc.idle_threshold_outstanding),
            idle_window: scaling.idle_window,
            scan_interval: scaling.scan_interval,
            slots: scenario.targets.max_concurrency,
        }
    }

    /// Whether the call may have another attempt in this round.
    pub(super) fn budget_left(&self, call: &Call) -> bool {
        call.round() <= self.retry_limit && !call.last_try()
    }

    /// The first multiple of the scan interval after `now`.
    pub(super) fn scan_after(&self, now: Nanos) -> Nanos {
        let interval = self.scan_interval.0.max(1);
        Nanos((now.0 / interval + 1).saturating_mul(interval))
    }
}
