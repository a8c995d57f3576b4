//! What the sender counts while it runs: the book (survives SIGKILL), the histograms of `/metrics`, the peak of its CPU.
//!
//! Touched on the request path, so: atomics only. The percentiles of the result are not made here but in [`crate::tally`].

use galton_core::Outcome;
use galton_core::counters::LoadCounters;
use galton_core::{FailReason, Nanos};
use galton_runtime::book::{Book, Cell, Kind};
use galton_runtime::clock::process_cpu_ns;
use galton_runtime::telemetry;
use prometheus::{Gauge, Histogram, HistogramOpts, Registry};

const CLASSES: [&str; 6] = ["ok", "rejected", "timed_out", "failed", "shed", "unfinished"];

/// The counters, gauges and histograms of one load generator.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    sent: Cell,
    connect_failures: Cell,
    in_flight: Cell,
    /// In the order of [`CLASSES`].
    outcomes: [Cell; 6],
    peak_thread_cpu: Gauge,
    response: Histogram,
    send_lag: Histogram,
}

// === impl Meters ===

impl Meters {
    /// Adds the families to the book, and the histograms to the registry.
    pub(crate) fn register(book: &Book, registry: &Registry) -> anyhow::Result<Self> {
        let outcome = |class| {
            let help = "Requests that ended, by outcome";
            book.cell(Kind::Counter, "galton_load_requests_total", &[("outcome", class)], help)
        };
        let [ok, rejected, timed_out, failed, shed, unfinished] = CLASSES.map(outcome);
        Ok(Self {
            sent: book.cell(Kind::Counter, "galton_load_sent_total", &[], "Requests sent")?,
            connect_failures: book.cell(
                Kind::Counter,
                "galton_load_connect_failures_total",
                &[],
                "Requests that ended without a connection",
            )?,
            in_flight: book.cell(Kind::Gauge, "galton_load_in_flight", &[], "Requests sent and not ended")?,
            outcomes: [ok?, rejected?, timed_out?, failed?, shed?, unfinished?],
            peak_thread_cpu: peak_thread_cpu(registry)?,
            response: histogram(registry, "galton_load_response_seconds", "From intended send to end")?,
            send_lag: histogram(registry, "galton_load_send_lag_seconds", "From intended to actual send")?,
        })
    }

    /// A request goes out, `lag_ns` of machine time late.
    pub(crate) fn on_sent(&self, lag_ns: u64) {
        self.sent.inc();
        self.in_flight.add(1);
        self.send_lag.observe(lag_ns as f64 / 1e9);
    }

    /// A request is not sent for want of a place in flight.
    pub(crate) fn on_shed(&self) {
        self.outcomes[class_index(Outcome::Shed)].inc();
    }

    /// A request ended, `response_ns` of machine time after its intended send.
    pub(crate) fn on_ended(&self, outcome: Outcome, response_ns: u64) {
        self.in_flight.dec();
        self.outcomes[class_index(outcome)].inc();
        if outcome == Outcome::Failed(FailReason::Connect) {
            self.connect_failures.inc();
        }
        self.response.observe(response_ns as f64 / 1e9);
    }

    /// The sending thread used this share of one core in some second.
    pub(crate) fn on_thread_cpu(&self, share: f64) {
        if share > self.peak_thread_cpu.get() {
            self.peak_thread_cpu.set(share);
        }
    }

    /// Requests sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Requests that were sent and have ended, and how many of them are not `ok`.
    pub(crate) fn ended(&self) -> (u64, u64) {
        let count = |outcome| self.outcomes[class_index(outcome)].get();
        let all: u64 = self.outcomes.iter().map(Cell::get).sum();
        let ended = all - count(Outcome::Shed);
        (ended, ended.saturating_sub(count(Outcome::Ok)))
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.get()
    }

    /// The highest share of a core that the sending thread used in any second.
    pub(crate) fn peak_thread_cpu(&self) -> f64 {
        self.peak_thread_cpu.get()
    }

    /// All that a conservation table needs.
    pub(crate) fn counters(&self) -> LoadCounters {
        LoadCounters {
            sent: self.sent.get(),
            connect_failures: self.connect_failures.get(),
            cpu: Nanos(process_cpu_ns()),
            peak_thread_cpu: self.peak_thread_cpu.get(),
        }
    }
}

fn class_index(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Rejected(_) => 1,
        Outcome::TimedOut => 2,
        Outcome::Failed(_) => 3,
        Outcome::Shed => 4,
        Outcome::Unfinished => 5,
    }
}

fn peak_thread_cpu(registry: &Registry) -> anyhow::Result<Gauge> {
    let help = "Highest share of one core that the sending thread used in any second";
    let gauge = Gauge::new("galton_load_peak_thread_cpu_ratio", help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn histogram(registry: &Registry, name: &str, help: &str) -> anyhow::Result<Histogram> {
    let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(telemetry::time_buckets()))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use galton_core::RejectReason;

    #[test]
    fn every_outcome_has_its_cell() {
        let rejected = RejectReason::ALL.map(Outcome::Rejected);
        let failed = FailReason::ALL.map(Outcome::Failed);
        let plain = [Outcome::Ok, Outcome::TimedOut, Outcome::Shed, Outcome::Unfinished];
        for outcome in rejected.into_iter().chain(failed).chain(plain) {
            assert_eq!(CLASSES[class_index(outcome)], outcome.class());
        }
    }
}
