//! How many requests there were, how they ended, how often they were tried.

use std::collections::BTreeMap;

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{FailReason, Outcome, RejectReason};

use super::window::Window;
use crate::input::RunData;
use crate::model::{Counts, Rates};

/// Counts over the measured window.
pub(super) fn count(data: &RunData, window: Window) -> Counts {
    let rows = data.trace.iter().filter(|row| window.measures(row));
    of(rows.map(|row| row.outcome))
}

/// Counts of these outcomes.
pub(super) fn of(outcomes: impl Iterator<Item = TraceOutcome>) -> Counts {
    let mut counts = Counts {
        rejected: RejectReason::ALL.map(|r| (r.as_str(), 0)).into(),
        failed: FailReason::ALL.map(|r| (r.as_str(), 0)).into(),
        ..Counts::default()
    };
    for outcome in outcomes {
        counts.planned += 1;
        let cell = match outcome {
            TraceOutcome::Unsent => {
                counts.unsent += 1;
                continue;
            }
            TraceOutcome::Offered(Outcome::Ok) => &mut counts.ok,
            TraceOutcome::Offered(Outcome::Rejected(r)) => counts.rejected.entry(r.as_str()).or_default(),
            TraceOutcome::Offered(Outcome::TimedOut) => &mut counts.timed_out,
            TraceOutcome::Offered(Outcome::Failed(r)) => counts.failed.entry(r.as_str()).or_default(),
            TraceOutcome::Offered(Outcome::Shed) => &mut counts.shed,
            TraceOutcome::Offered(Outcome::Unfinished) => &mut counts.unfinished,
        };
        *cell += 1;
        counts.offered += 1;
    }
    counts
}

/// Rates over the measured window: offered by intended send, completed by the end of `ok` responses, so that what an
/// overload pushes into the drain is no throughput.
pub(super) fn rates(data: &RunData, window: Window, counts: &Counts) -> Rates {
    let done = |row: &&TraceRow| {
        row.outcome == TraceOutcome::Offered(Outcome::Ok) && row.t_end.is_some_and(|end| window.holds(end))
    };
    let completed = data.trace.iter().filter(done).count();
    let per_sec = |n: u64| if window.secs() > 0.0 { n as f64 / window.secs() } else { 0.0 };
    Rates { offered: per_sec(counts.offered), completed: per_sec(completed as u64) }
}

/// Requests by outcome and number of retries; requests without an attempt, or whose attempts nobody knows, are left out.
pub(super) fn retries(data: &RunData, window: Window) -> BTreeMap<&'static str, BTreeMap<u32, u64>> {
    let mut histogram: BTreeMap<_, BTreeMap<_, u64>> = BTreeMap::new();
    for row in data.trace.iter().filter(|row| window.measures(row)) {
        if let (TraceOutcome::Offered(outcome), Some(attempts @ 1..)) = (row.outcome, row.attempts) {
            *histogram.entry(outcome.class()).or_default().entry(attempts - 1).or_default() += 1;
        }
    }
    histogram
}

/// Requests that are known to have ended without an attempt, by outcome.
pub(super) fn no_attempt(data: &RunData, window: Window) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for row in data.trace.iter().filter(|row| window.measures(row)) {
        if let (TraceOutcome::Offered(outcome), Some(0)) = (row.outcome, row.attempts) {
            *counts.entry(outcome.class()).or_default() += 1;
        }
    }
    counts
}
