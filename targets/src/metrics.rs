//! Every metric of a target, and the book's part of them. The data thread adds to atomics; the admin thread prints.

use anyhow::Context as _;
use galton_runtime::book::{Book, Cell, Kind};
use galton_runtime::telemetry::time_buckets;
use prometheus::{Gauge, Histogram, HistogramOpts, Opts, Registry};

use crate::config::Config;
use crate::hold::Held;

/// A hold that ended later than this after its end (machine time) is an overrun: a hundred times what the timer is usually
/// late, and less than anybody would notice in a hold.
const OVERRUN_NS: u64 = 2_000_000;

const REQUESTS: &str = "galton_target_requests_total";
const REQUESTS_HELP: &str = "Requests by what became of them; accepted = completed + cancelled + in flight.";

/// The metrics of one target.
pub(crate) struct Metrics {
    /// Slots taken.
    pub(crate) accepted: Cell,
    /// Refused, being full or draining.
    pub(crate) refused: Cell,
    /// Answered 400.
    pub(crate) malformed: Cell,
    /// Holds whose caller went away.
    pub(crate) cancelled: Cell,
    /// Requests held.
    pub(crate) in_flight: Cell,
    /// Requests that may be held.
    pub(crate) slots: Cell,
    /// CPU time spent on demand, nanoseconds.
    pub(crate) cpu_burned: Cell,
    /// Σ demand of what is held ÷ capacity.
    pub(crate) cpu_utilisation: Gauge,
    completed: Cell,
    holds_overrun: Cell,
    hold: Histogram,
}

impl Metrics {
    /// Adds them to book and registry, labelled with target and incarnation.
    pub(crate) fn new(config: &Config, book: &Book, registry: &Registry) -> anyhow::Result<Self> {
        let (target, incarnation) = (config.target.to_string(), config.incarnation.to_string());
        let labels = [("target", target.as_str()), ("incarnation", incarnation.as_str())];
        let cell = |kind, name, help| book.cell(kind, name, &labels, help);
        let requests =
            |outcome| book.cell(Kind::Counter, REQUESTS, &[labels[0], labels[1], ("outcome", outcome)], REQUESTS_HELP);
        let opts = |name, help| Opts::new(name, help).const_labels(labels.map(|(k, v)| (k.into(), v.into())).into());
        let hold = opts("galton_target_hold_seconds", "How long completed requests were held.");
        let utilisation = opts("galton_target_cpu_utilisation_ratio", "CPU demand of what is held, over the capacity.");
        let metrics = Self {
            accepted: requests("accepted")?,
            refused: requests("refused")?,
            completed: requests("completed")?,
            cancelled: requests("cancelled")?,
            malformed: requests("malformed")?,
            in_flight: cell(Kind::Gauge, "galton_target_in_flight", "Requests held.")?,
            slots: cell(Kind::Gauge, "galton_target_slots", "Requests held at most; 0 while it drains.")?,
            cpu_burned: cell(Kind::Seconds, "galton_target_cpu_seconds_total", "CPU time spent on demand.")?,
            holds_overrun: cell(
                Kind::Counter,
                "galton_target_holds_overrun_total",
                "Completed holds that ended more than 2 ms of machine time late.",
            )?,
            cpu_utilisation: Gauge::with_opts(utilisation)?,
            hold: Histogram::with_opts(HistogramOpts::from(hold).buckets(time_buckets()))?,
        };
        let collectors: [Box<dyn prometheus::core::Collector>; 2] =
            [Box::new(metrics.cpu_utilisation.clone()), Box::new(metrics.hold.clone())];
        metrics.slots.set(config.max_concurrency.into());
        for collector in collectors {
            registry.register(collector).context("cannot register the metrics of the target")?;
        }
        Ok(metrics)
    }

    /// A hold has ended by itself.
    pub(crate) fn completed(&self, held: &Held) {
        self.completed.inc();
        self.hold.observe(held.done.saturating_sub(held.start) as f64 / 1e9);
        if held.done.saturating_sub(held.due) > OVERRUN_NS {
            self.holds_overrun.inc();
        }
    }
}
