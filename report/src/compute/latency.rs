//! Latencies of the measured requests, by name and by outcome.

use std::collections::BTreeMap;

use galton_core::record::{Ended, TraceOutcome};
use galton_core::{Nanos, Outcome};

use super::counts::{ByClass, class, named};
use super::served::Columns;
use crate::model::Latency;
use crate::stats::{Samples, Summary, Twin};

/// The samples, in order of ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    /// Of `ok` and `timed_out`, so that fast refusals do not flatter the median; the latter censored at the deadline.
    pub(crate) response: Samples,
    /// Of the same requests.
    service: Twin,
    /// Of `ok`.
    hold: Twin,
    /// Of `ok`.
    pub(crate) overhead: Samples,
    /// Of everything sent.
    pub(crate) send_lag: Samples,
    /// Response time of `ok`.
    ok: Twin,
    /// Response time of the others.
    by_outcome: ByClass<Samples>,
}

impl Latencies {
    /// One measured request.
    #[inline]
    pub(super) fn add(&mut self, row: &Ended, timeout: Nanos) {
        let TraceOutcome::Offered(outcome) = row.outcome else {
            return;
        };
        push(&mut self.send_lag, row.send_lag());
        match (outcome, row.response()) {
            (Outcome::Ok, Some(response)) => {
                self.hold.push(row.hold.map(|hold| hold.0), &self.response, response.0);
                self.service.push(row.service().map(|service| service.0), &self.response, response.0);
                self.ok.push(Some(response.0), &self.response, response.0);
                self.response.push(response.0);
                push(&mut self.overhead, row.overhead);
            }
            (Outcome::TimedOut, _) => self.add_timed_out(row, timeout),
            (_, response) => push(&mut self.by_outcome[class(outcome)], response),
        }
    }

    /// As [`Self::add`] of each.
    pub(super) fn add_served(&mut self, served: Columns<'_>) {
        self.send_lag.extend(served.send_lag);
        self.hold.extend(served.hold, &self.response, served.response);
        self.service.extend(served.service, &self.response, served.response);
        self.ok.extend(served.response, &self.response, served.response);
        self.response.extend(served.response);
        self.overhead.extend(served.overhead);
    }

    /// The deadline is what is known; when the client heard of it says nothing of how long it would have taken.
    fn add_timed_out(&mut self, row: &Ended, timeout: Nanos) {
        let served = timeout - row.send_lag().unwrap_or_default();
        self.hold.part(&self.response);
        self.ok.part(&self.response);
        self.service.push_censored(served.0, &self.response, timeout.0);
        self.response.push_censored(timeout.0);
        self.by_outcome[class(Outcome::TimedOut)].push_censored(timeout.0);
    }

    /// Of `ok` and `timed_out`.
    pub(crate) fn service(&self) -> &Samples {
        self.service.get(&self.response)
    }

    /// Of `ok`.
    pub(crate) fn hold(&self) -> &Samples {
        self.hold.get(&self.response)
    }

    pub(super) fn summaries(&self) -> Latency {
        let response = self.response.summary();
        Latency {
            service: self.service.summary(&response),
            hold: self.hold.summary(&response),
            response,
            overhead: self.overhead.summary(),
            send_lag: self.send_lag.summary(),
        }
    }

    /// Response time by class of outcome, of those that have one.
    pub(super) fn by_outcome(&self) -> BTreeMap<&'static str, Summary> {
        let all = named(&self.by_outcome).map(|(name, samples)| match name {
            "ok" => (name, self.ok.get(&self.response)),
            _ => (name, samples),
        });
        all.filter(|(_, samples)| samples.len() > 0).map(|(name, samples)| (name, samples.summary())).collect()
    }
}

#[inline]
fn push(samples: &mut Samples, value: Option<Nanos>) {
    if let Some(value) = value {
        samples.push(value.0);
    }
}
