//! Latencies of the measured requests, by name and by outcome.

use std::collections::BTreeMap;

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome};

use super::counts::{ByClass, class, named};
use crate::model::Latency;
use crate::stats::{Samples, Summary};

/// The samples, in order of ends.
#[derive(Clone, Debug, Default)]
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
    by_outcome: ByClass<Samples>,
}

impl Latencies {
    /// One measured request.
    #[inline]
    pub(super) fn add(&mut self, row: &TraceRow, timeout: Nanos) {
        let TraceOutcome::Offered(outcome) = row.outcome else {
            return;
        };
        push(&mut self.send_lag, row.send_lag());
        let of_outcome = &mut self.by_outcome[class(outcome)];
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
        let filled = named(&self.by_outcome).filter(|(_, samples)| samples.len() > 0);
        filled.map(|(class, samples)| (class, samples.summary())).collect()
    }
}

#[inline]
fn push(samples: &mut Samples, value: Option<Nanos>) {
    if let Some(value) = value {
        samples.push(value.0);
    }
}
