//! How many requests there were, how they ended, how often they were tried.

use std::collections::BTreeMap;

use galton_core::record::{Ended, TraceOutcome};
use galton_core::{FailReason, Outcome, RejectReason};

use super::window::Window;
use crate::model::{Counts, Rates};

/// The classes of outcomes, in the order of reports.
const CLASSES: [&str; 6] = ["ok", "rejected", "timed_out", "failed", "shed", "unfinished"];

/// Something per class of outcome.
pub(crate) type ByClass<T> = [T; CLASSES.len()];

/// Where the class of an outcome is in a [`ByClass`].
#[inline]
pub(crate) fn class(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Rejected(_) => 1,
        Outcome::TimedOut => 2,
        Outcome::Failed(_) => 3,
        Outcome::Shed => 4,
        Outcome::Unfinished => 5,
    }
}

/// By the names of the classes.
pub(crate) fn named<T>(all: &ByClass<T>) -> impl Iterator<Item = (&'static str, &T)> {
    CLASSES.into_iter().zip(all)
}

/// All counts of a run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Over the whole run.
    pub(crate) all: Counts,
    /// Over the measured window.
    pub(crate) measured: Counts,
    /// Measured, by class and number of attempts; those whose attempts nobody knows are left out.
    attempts: ByClass<Vec<u64>>,
    /// `ok`, ended within the window: what an overload pushes into the drain is no throughput.
    completed: u64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new() -> Self {
        Self { all: none(), measured: none(), attempts: ByClass::default(), completed: 0 }
    }

    #[inline]
    pub(super) fn add(&mut self, row: &Ended, window: Window) {
        count(&mut self.all, row.outcome);
        if row.outcome == TraceOutcome::Offered(Outcome::Ok) && row.t_end.is_some_and(|end| window.holds(end)) {
            self.completed += 1;
        }
        if !window.measures(row.t_intended) {
            return;
        }
        count(&mut self.measured, row.outcome);
        if let (TraceOutcome::Offered(outcome), Some(attempts)) = (row.outcome, row.attempts) {
            let by_attempts = &mut self.attempts[class(outcome)];
            let attempts = attempts as usize;
            if by_attempts.len() <= attempts {
                by_attempts.resize(attempts + 1, 0);
            }
            by_attempts[attempts] += 1;
        }
    }

    /// Rates over the window: offered by intended send, completed by end.
    pub(super) fn rates(&self, window: Window) -> Rates {
        let per_sec = |n: u64| if window.secs() > 0.0 { n as f64 / window.secs() } else { 0.0 };
        Rates { offered: per_sec(self.measured.offered), completed: per_sec(self.completed) }
    }

    /// Requests by outcome and number of retries; requests without an attempt are left out.
    pub(super) fn retries(&self) -> BTreeMap<&'static str, BTreeMap<u32, u64>> {
        let histogram = |by_attempts: &Vec<u64>| -> BTreeMap<u32, u64> {
            (0..).zip(by_attempts.iter().skip(1).copied()).filter(|(_, n)| *n > 0).collect()
        };
        let all = named(&self.attempts).map(|(class, by_attempts)| (class, histogram(by_attempts)));
        all.filter(|(_, histogram)| !histogram.is_empty()).collect()
    }

    /// Requests that are known to have ended without an attempt, by outcome.
    pub(super) fn no_attempt(&self) -> BTreeMap<&'static str, u64> {
        let without = |by_attempts: &Vec<u64>| by_attempts.first().copied().filter(|n| *n > 0);
        named(&self.attempts).filter_map(|(class, by_attempts)| Some((class, without(by_attempts)?))).collect()
    }
}

fn none() -> Counts {
    Counts {
        rejected: RejectReason::ALL.map(|r| (r.as_str(), 0)).into(),
        failed: FailReason::ALL.map(|r| (r.as_str(), 0)).into(),
        ..Counts::default()
    }
}

#[inline]
fn count(counts: &mut Counts, outcome: TraceOutcome) {
    counts.planned += 1;
    let cell = match outcome {
        TraceOutcome::Unsent => {
            counts.unsent += 1;
            return;
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
