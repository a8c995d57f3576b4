//! Outcomes counted and latencies in histograms, from the rows of a run. Off the request path; times are scenario time.

use std::collections::BTreeMap;

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome};
use hdrhistogram::Histogram;

/// Three significant digits, as everywhere in Galton.
const DIGITS: u8 = 3;
/// The longest latency that is told apart from longer ones: 24 h.
const LONGEST_NS: u64 = 86_400_000_000_000;

/// Everything that is known about the requests of a run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Offered requests by how they ended.
    pub(crate) outcomes: BTreeMap<Outcome, u64>,
    /// Planned and never offered.
    pub(crate) unsent: u64,
    /// Actual minus intended send, of every request that was sent.
    pub(crate) send_lag: Histogram<u64>,
    /// From the actual send, of `ok` and `timed_out`.
    pub(crate) service: Histogram<u64>,
    /// From the intended send, of `ok` and `timed_out` (censored).
    pub(crate) response: Histogram<u64>,
    /// From the intended send, of the other outcomes, by class: fast refusals must not flatter the median.
    pub(crate) others: BTreeMap<&'static str, Histogram<u64>>,
    /// Σ service latency of all that was sent, in nanoseconds.
    pub(crate) service_sum: f64,
    /// From the first send to the last.
    pub(crate) sending: Option<(Nanos, Nanos)>,
    /// The last end.
    pub(crate) last_end: Nanos,
}

// === impl Tally ===

impl Tally {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            outcomes: BTreeMap::new(),
            unsent: 0,
            send_lag: histogram(),
            service: histogram(),
            response: histogram(),
            others: BTreeMap::new(),
            service_sum: 0.0,
            sending: None,
            last_end: Nanos::ZERO,
        }
    }

    /// Adds a request.
    pub(crate) fn add(&mut self, row: &TraceRow) {
        let TraceOutcome::Offered(outcome) = row.outcome else {
            self.unsent += 1;
            return;
        };
        *self.outcomes.entry(outcome).or_default() += 1;
        let Some(send) = row.t_send else { return };
        let (first, last) = self.sending.unwrap_or((send, send));
        self.sending = Some((first.min(send), last.max(send)));
        self.last_end = self.last_end.max(row.t_end.unwrap_or(send));
        let service = row.service().unwrap_or_default();
        let response = row.response().unwrap_or_default();
        self.service_sum += service.0 as f64;
        self.send_lag.saturating_record(row.send_lag().unwrap_or_default().0);
        if matches!(outcome, Outcome::Ok | Outcome::TimedOut) {
            self.service.saturating_record(service.0);
            self.response.saturating_record(response.0);
        } else {
            self.others.entry(outcome.class()).or_insert_with(histogram).saturating_record(response.0);
        }
    }

    /// Requests that were offered and have a row.
    pub(crate) fn offered(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Requests planned, sent or not.
    pub(crate) fn planned(&self) -> u64 {
        self.offered() + self.unsent
    }

    /// Requests of this outcome.
    pub(crate) fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are constants in range")
}

/// A row with intended send, send and end; nothing else is known about the request.
#[cfg(test)]
pub(crate) fn test_row(seq: u64, outcome: TraceOutcome, [intended, send, end]: [Nanos; 3]) -> TraceRow {
    use galton_core::plan::Demand;
    use galton_core::{HostId, RequestId};
    let sent = outcome != TraceOutcome::Unsent;
    let demand = Demand { hold: Nanos::ZERO, cpu: 0.0 };
    TraceRow {
        t_send: sent.then_some(send),
        t_end: sent.then_some(end),
        outcome,
        ..TraceRow::unsent(seq, RequestId::open(seq), HostId(0), intended, demand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use galton_core::FailReason;

    #[test]
    fn response_runs_from_the_intended_send_and_failures_stand_apart() {
        let mut tally = Tally::new();
        tally.add(&test_row(0, TraceOutcome::Offered(Outcome::Ok), [0, 1, 11].map(Nanos::from_millis)));
        tally.add(&test_row(
            1,
            TraceOutcome::Offered(Outcome::Failed(FailReason::Connect)),
            [5, 5, 6].map(Nanos::from_millis),
        ));
        tally.add(&test_row(2, TraceOutcome::Unsent, [9, 0, 0].map(Nanos::from_millis)));
        assert_eq!((tally.planned(), tally.offered(), tally.unsent), (3, 2, 1));
        assert!(tally.response.equivalent(tally.response.max(), 11_000_000));
        assert!(tally.service.equivalent(tally.service.max(), 10_000_000));
        assert_eq!(tally.response.len(), 1);
        assert_eq!(tally.others["failed"].len(), 1);
        assert_eq!(tally.service_sum, 11e6);
        assert_eq!(tally.sending, Some((Nanos::from_millis(1), Nanos::from_millis(5))));
        assert_eq!(tally.last_end, Nanos::from_millis(11));
    }
}
