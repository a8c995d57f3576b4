//! One simulated run with its scenario, and what is read from its records.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;
use std::{io, process, thread};

use galton_core::record::{Decision, TraceRow};
use galton_core::{Nanos, Outcome, RequestId, Scenario};
use galton_sim::Simulated;
use serde_json::Value;

use crate::common;

/// A thousand times as long as these runs take.
const LONGEST_RUN: Duration = Duration::from_secs(10);

/// A run.
pub(crate) struct Run {
    pub(crate) scenario: Scenario,
    pub(crate) records: Simulated,
}

// === impl Run ===

impl Run {
    pub(crate) fn of(value: &Value) -> Self {
        let scenario = common::scenario(value, &[]);
        let records = watched(value, || common::simulate(&scenario));
        Self { scenario, records }
    }

    /// When the run is over at the latest.
    pub(crate) fn end(&self) -> Nanos {
        let simulation = &self.scenario.simulation;
        let last = self.records.trace.last().map_or(Nanos::ZERO, |row| row.t_intended);
        simulation.total_time.unwrap_or(Nanos::MAX).min(simulation.duration.max(last) + simulation.drain)
    }

    /// The rows of the requests that were sent, with how they ended.
    pub(crate) fn offered(&self) -> impl Iterator<Item = (&TraceRow, Outcome)> + Clone {
        self.records.trace.iter().filter_map(|row| Some((row, common::outcome(row)?)))
    }

    /// How many requests ended so.
    pub(crate) fn count(&self, f: impl Fn(Outcome) -> bool) -> u64 {
        self.offered().filter(|(_, outcome)| f(*outcome)).count() as u64
    }

    /// The decisions on each request, in order.
    pub(crate) fn by_request(&self) -> BTreeMap<RequestId, Vec<&Decision>> {
        let mut found: BTreeMap<RequestId, Vec<&Decision>> = BTreeMap::new();
        self.records.decisions.iter().for_each(|d| found.entry(d.request).or_default().push(d));
        found
    }

    /// Slots that the hosts still had when the run was over.
    pub(crate) fn open_tickets(&self) -> u64 {
        self.records.counters.proxies.iter().map(|proxy| proxy.in_flight_at_end).sum()
    }
}

/// Runs `f`. If that goes round without end, ends the whole program, having printed the scenario: a thread cannot be stopped.
fn watched<R>(value: &Value, f: impl FnOnce() -> R) -> R {
    let (over, watch) = mpsc::channel::<()>();
    let scenario = value.to_string();
    let watchdog = thread::spawn(move || {
        if watch.recv_timeout(LONGEST_RUN) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Not `eprintln`, which a test keeps to itself until its end.
            let _ = writeln!(io::stderr(), "not over after {LONGEST_RUN:?}: {scenario}");
            process::exit(1);
        }
    });
    let result = f();
    drop(over);
    watchdog.join().expect("the watchdog does not panic");
    result
}
