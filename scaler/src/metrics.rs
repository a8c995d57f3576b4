//! What the scaler counts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use galton_core::fleet::Phase;
use galton_core::record::FleetWhat;
use galton_core::scenario::Scaling;
use galton_runtime::book::{Book, Cell, Kind};
use galton_runtime::telemetry;
use prometheus::{Histogram, HistogramOpts, Registry};

/// The decisions that are counted: the event that tells of one, its direction, its reason.
const DECISIONS: [(FleetWhat, &str, &str); 5] = [
    (FleetWhat::Starting, "up", "asked"),
    (FleetWhat::Joined, "up", "joined"),
    (FleetWhat::UpRefused, "up", "at_max"),
    (FleetWhat::Cordoned, "down", "asked"),
    (FleetWhat::DownRefused, "down", "refused"),
];

/// The families of the scaler.
#[derive(Debug)]
pub(crate) struct Metrics {
    targets: BTreeMap<Phase, Cell>,
    desired: Cell,
    decisions: Vec<(FleetWhat, Cell)>,
    restarts: Cell,
    start_failures: Cell,
    start_duration: Histogram,
}

impl Metrics {
    /// Adds them to the book, and what a book cannot hold to the registry.
    pub(crate) fn new(book: &Book, registry: &Registry, scaling: &Scaling) -> anyhow::Result<Self> {
        let targets = Phase::ALL.map(|phase| {
            let labels = [("state", phase.as_str())];
            let help = "Targets, by where they are in their lives.";
            Ok((phase, book.cell(Kind::Gauge, "galton_scaler_targets", &labels, help)?))
        });
        let decisions = DECISIONS.map(|(what, direction, reason)| {
            let labels = [("direction", direction), ("reason", reason)];
            let help = "Requests to start or remove a target, by what was decided.";
            Ok((what, book.cell(Kind::Counter, "galton_scaler_decisions_total", &labels, help)?))
        });
        let desired = "Targets there should be: ready, starting or coming back.";
        let limit = |name, help, value: u32| book.cell(Kind::Gauge, name, &[], help).map(|cell| cell.set(value.into()));
        limit("galton_scaler_min_targets", "Targets are not removed below this number.", scaling.min_targets)?;
        limit("galton_scaler_max_targets", "Targets are not started above this number.", scaling.max_targets)?;
        let restarts = "Processes started in place of one that died.";
        let start_failures = "Targets that did not come up when they were started.";
        let start_duration = "From the order to start a target process until it served, in machine time.";
        let start_duration = HistogramOpts::new("galton_scaler_start_duration_seconds", start_duration);
        let start_duration = Histogram::with_opts(start_duration.buckets(telemetry::time_buckets()))?;
        registry.register(Box::new(start_duration.clone())).context("register the start durations")?;
        Ok(Self {
            targets: targets.into_iter().collect::<anyhow::Result<_>>()?,
            desired: book.cell(Kind::Gauge, "galton_scaler_desired_targets", &[], desired)?,
            decisions: decisions.into_iter().collect::<anyhow::Result<_>>()?,
            restarts: book.cell(Kind::Counter, "galton_scaler_restarts_total", &[], restarts)?,
            start_failures: book.cell(Kind::Counter, "galton_scaler_start_failures_total", &[], start_failures)?,
            start_duration,
        })
    }

    /// Counts what was decided.
    pub(crate) fn count(&self, what: FleetWhat) {
        self.decisions.iter().filter(|(counted, _)| *counted == what).for_each(|(_, cell)| cell.inc());
        match what {
            FleetWhat::Restarting => self.restarts.inc(),
            FleetWhat::StartFailed => self.start_failures.inc(),
            _ => {}
        }
    }

    /// A process is up.
    pub(crate) fn started(&self, took: Duration) {
        self.start_duration.observe(took.as_secs_f64());
    }

    /// The fleet as it is now.
    pub(crate) fn set_fleet(&self, phases: impl Iterator<Item = Phase>, desired: usize) {
        let mut counts = BTreeMap::<Phase, u64>::new();
        phases.for_each(|phase| *counts.entry(phase).or_default() += 1);
        for (phase, cell) in &self.targets {
            cell.set(counts.get(phase).copied().unwrap_or(0));
        }
        self.desired.set(desired as u64);
    }
}
