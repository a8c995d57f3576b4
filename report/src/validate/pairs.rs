//! Request by request: whether the same request met the same fate.
//!
//! Two runs of one plan give every request the same number, so that they can be paired. What follows from a pair depends on
//! the policy. Round robin with several hosts is chaotic: a jitter of a fraction of a millisecond sends half of the
//! requests elsewhere. With least connections on a fixed fleet an arrival that jitter moves across a completion changes
//! that one request, or a few, until the counts are the same again; so most pairs must agree.

use galton_core::Nanos;
use galton_core::plan::Plan;
use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::scenario::{Architecture, Scenario, TrafficModel};

use super::observed::response;
use super::{MACHINE_NS, SHARE};

/// How requests ended, by `seq`; none: not measured, or never offered.
#[derive(Clone, Debug, Default)]
pub(super) struct Fates(Vec<Option<Fate>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    /// How it ended.
    outcome: &'static str,
    retries: u32,
    response: Option<Nanos>,
}

/// Whether pairs may be asserted: an open loop under least connections on a fixed fleet, and the same plan on both sides.
pub fn pairs_assertable(live: &Scenario, simulated: &Scenario) -> bool {
    let steady = |scenario: &Scenario| {
        let scaling = &scenario.scaling;
        matches!(scenario.traffic.model, TrafficModel::Open(_))
            && scenario.load_balancer.architecture == Architecture::LeastConns
            && scaling.min_targets == scaling.max_targets
    };
    steady(live) && steady(simulated) && Plan::new(live).sha256() == Plan::new(simulated).sha256()
}

// === impl Fates ===

impl Fates {
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a TraceRow>, timeout: Nanos) -> Self {
        let mut fates = Vec::new();
        for row in rows {
            let TraceOutcome::Offered(outcome) = row.outcome else { continue };
            let seq = row.seq as usize;
            if fates.len() <= seq {
                fates.resize(seq + 1, None);
            }
            let retries = row.retries().unwrap_or_default();
            fates[seq] = Some(Fate { outcome: outcome.class(), retries, response: response(row, timeout) });
        }
        Self(fates)
    }

    /// The share of the requests of either run that met the same fate in both: the same outcome after as many retries,
    /// and a response time within 2 % and 0.2 ms of machine time.
    pub(super) fn alike(&self, other: &Self, time_scale: f64) -> f64 {
        let longest = self.0.len().max(other.0.len());
        let fate = |of: &Self, seq: usize| of.0.get(seq).copied().flatten();
        let (mut all, mut alike) = (0_u64, 0_u64);
        for seq in 0..longest {
            match (fate(self, seq), fate(other, seq)) {
                (Some(a), Some(b)) => {
                    all += 1;
                    alike += u64::from(a.is_like(b, time_scale));
                }
                (None, None) => {}
                _ => all += 1,
            }
        }
        alike as f64 / all.max(1) as f64
    }
}

// === impl Fate ===

impl Fate {
    fn is_like(self, other: Self, time_scale: f64) -> bool {
        let near = match (self.response, other.response) {
            (Some(a), Some(b)) => a.0.abs_diff(b.0) as f64 <= SHARE * a.0.max(b.0) as f64 + MACHINE_NS * time_scale,
            (a, b) => a == b,
        };
        near && (self.outcome, self.retries) == (other.outcome, other.retries)
    }
}

#[cfg(test)]
mod tests {
    use galton_core::plan::Demand;
    use galton_core::{HostId, Outcome, RejectReason, RequestId};
    use serde_json::json;

    use super::*;

    fn scenario(architecture: &str, max_targets: u32, seed: u64) -> Scenario {
        let value = json!({
            "simulation": {"seed": seed, "duration_ms": 1000},
            "load_balancer": {"architecture": architecture},
            "targets": {"initial_count": 2},
            "scaling": {"min_targets": 2, "max_targets": max_targets}
        });
        Scenario::from_value("pairs", &value, &mut |_: &str| Err(String::new())).unwrap()
    }

    fn fates(of: &[(Outcome, u32, u64)]) -> Fates {
        let demand = Demand { hold: Nanos(1), cpu: 0.0 };
        let row = |(seq, (outcome, attempts, response)): (usize, &(Outcome, u32, u64))| {
            let planned = TraceRow::unsent(seq as u64, RequestId::open(seq as u64), HostId(0), Nanos(5), demand);
            let outcome = TraceOutcome::Offered(*outcome);
            TraceRow { outcome, attempts: Some(*attempts), t_end: Some(Nanos(5 + response)), ..planned }
        };
        let rows: Vec<TraceRow> = of.iter().enumerate().map(row).collect();
        Fates::of(rows.iter(), Nanos(60_000_000_000))
    }

    #[test]
    fn pairs_need_least_connections_a_fixed_fleet_and_one_plan() {
        let fixed = scenario("least_conns", 2, 1);
        assert!(pairs_assertable(&fixed, &fixed));
        assert!(!pairs_assertable(&fixed, &scenario("least_conns", 2, 2)), "another plan");
        assert!(!pairs_assertable(&fixed, &scenario("least_conns", 3, 1)), "a fleet that changes");
        let round_robin = scenario("round_robin", 2, 1);
        assert!(!pairs_assertable(&round_robin, &round_robin));
    }

    #[test]
    fn a_pair_is_alike_with_one_outcome_as_many_retries_and_about_the_same_response_time() {
        let ms = 1_000_000;
        let reject = Outcome::Rejected(RejectReason::NoCapacity);
        let one = fates(&[(Outcome::Ok, 1, 10 * ms), (Outcome::Ok, 1, 10 * ms), (reject, 0, ms), (Outcome::Ok, 2, ms)]);
        let two = fates(&[(Outcome::Ok, 1, 10_403_000), (Outcome::Ok, 1, 10_409_000), (reject, 0, 9 * ms)]);
        // 2 % of 10.4 ms and 0.2 ms are 0.408 ms; a rejected request has no response time; the last one is only in one.
        assert_eq!(one.alike(&two, 1.0), 0.5);
        assert_eq!(two.alike(&one, 1.0), 0.5);
        assert_eq!(one.alike(&two, 2.0), 0.75, "machine time is longer in scenario time");
        assert_eq!(one.alike(&one, 1.0), 1.0);
        let retried = fates(&[(Outcome::Ok, 2, 10 * ms)]);
        assert_eq!(fates(&[(Outcome::Ok, 1, 10 * ms)]).alike(&retried, 1.0), 0.0);
    }
}
