//! Latencies of the measured requests, by name and by outcome.

use std::collections::BTreeMap;

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome};

use super::window::Window;
use crate::input::RunData;
use crate::model::Latency;
use crate::stats::{Samples, Summary};

/// The samples, in order of intended send.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    /// Of `ok` and `timed_out`, so that fast refusals do not flatter the median; the latter censored at the deadline.
    pub(crate) response: Samples,
    /// Of the same requests.
    pub(crate) service: Samples,
    /// Of `ok`.
    pub(crate) hold: Samples,
    /// Of `ok`.
    pub(crate) overhead: Samples,
    /// Of everything sent.
    pub(crate) send_lag: Samples,
    by_outcome: BTreeMap<&'static str, Samples>,
}

impl Latencies {
    pub(super) fn collect(data: &RunData, window: Window) -> Self {
        let mut rows: Vec<&TraceRow> = data.trace.iter().filter(|row| window.measures(row)).collect();
        rows.sort_by_key(|row| (row.t_intended, row.seq));
        let mut all = Self::default();
        for row in rows {
            all.add(row, data.scenario.traffic.timeout);
        }
        all
    }

    fn add(&mut self, row: &TraceRow, timeout: Nanos) {
        let TraceOutcome::Offered(outcome) = row.outcome else {
            return;
        };
        push(&mut self.send_lag, row.send_lag());
        let of_outcome = self.by_outcome.entry(outcome.class()).or_default();
        match outcome {
            Outcome::Ok => {
                push(of_outcome, row.response());
                push(&mut self.response, row.response());
                push(&mut self.service, row.service());
                push(&mut self.hold, row.hold());
                push(&mut self.overhead, row.overhead);
            }
            Outcome::TimedOut => {
                // The deadline is what is known; when the client heard of it says nothing of how long it would have taken.
                let lag = row.send_lag().unwrap_or_default();
                for (samples, waited) in
                    [(of_outcome, timeout), (&mut self.response, timeout), (&mut self.service, timeout - lag)]
                {
                    samples.push_censored(waited.0);
                }
            }
            _ => push(of_outcome, row.response()),
        }
    }

    pub(super) fn summaries(&self) -> Latency {
        Latency {
            response: self.response.summary(),
            service: self.service.summary(),
            hold: self.hold.summary(),
            overhead: self.overhead.summary(),
            send_lag: self.send_lag.summary(),
        }
    }

    /// Response time by class of outcome, of those that have one.
    pub(super) fn by_outcome(&self) -> BTreeMap<&'static str, Summary> {
        let filled = self.by_outcome.iter().filter(|(_, samples)| !samples.values().is_empty());
        filled.map(|(class, samples)| (*class, samples.summary())).collect()
    }
}

fn push(samples: &mut Samples, value: Option<Nanos>) {
    if let Some(value) = value {
        samples.push(value.0);
    }
}
