//! How many requests there were, how they ended, how often they were tried.

use std::collections::BTreeMap;

use galton_core::record::{Ended, TraceOutcome};
use galton_core::{FailReason, Outcome, RejectReason};

use super::served::Columns;
use super::window::Window;
use crate::model::{Counts, Rates};

/// The classes of outcomes, in the order of reports.
pub(crate) const CLASSES: [&str; 6] = ["ok", "rejected", "timed_out", "failed", "shed", "unfinished"];

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
    /// Requests by how they ended: before the measured window, and within it.
    counts: [ByOutcome; 2],
    /// Measured, by class and number of attempts; those whose attempts nobody knows are left out.
    attempts: ByClass<Vec<u64>>,
    /// `ok`, ended within the window: what an overload pushes into the drain is no throughput.
    completed: u64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn new() -> Self {
        Self { counts: [[0; OUTCOMES]; 2], attempts: ByClass::default(), completed: 0 }
    }

    /// Over the measured window.
    pub(crate) fn measured(&self) -> Counts {
        counts(&self.counts[1])
    }

    /// Over the whole run.
    pub(crate) fn all(&self) -> Counts {
        let [before, measured] = &self.counts;
        counts(&std::array::from_fn(|at| before[at] + measured[at]))
    }

    #[inline]
    pub(super) fn add(&mut self, row: &Ended, window: Window) {
        let measured = window.measures(row.t_intended);
        self.counts[usize::from(measured)][place(row.outcome)] += 1;
        if row.outcome == TraceOutcome::Offered(Outcome::Ok) && row.t_end.is_some_and(|end| window.holds(end)) {
            self.completed += 1;
        }
        if !measured {
            return;
        }
        if let (TraceOutcome::Offered(outcome), Some(attempts)) = (row.outcome, row.attempts) {
            count_attempts(&mut self.attempts[class(outcome)], attempts);
        }
    }

    /// As [`Self::add`] of each.
    pub(super) fn add_served(&mut self, served: Columns<'_>, window: Window) {
        self.counts[1][place(TraceOutcome::Offered(Outcome::Ok))] += served.t_end.len() as u64;
        self.completed += served.t_end.iter().filter(|end| window.holds(**end)).count() as u64;
        let by_attempts = &mut self.attempts[class(Outcome::Ok)];
        served.attempts.iter().for_each(|attempts| count_attempts(by_attempts, *attempts));
    }

    /// Rates over the window: offered by intended send, completed by end.
    pub(super) fn rates(&self, window: Window) -> Rates {
        let per_sec = |n: u64| if window.secs() > 0.0 { n as f64 / window.secs() } else { 0.0 };
        Rates { offered: per_sec(self.measured().offered), completed: per_sec(self.completed) }
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

#[inline]
fn count_attempts(by_attempts: &mut Vec<u64>, attempts: u32) {
    let attempts = attempts as usize;
    if by_attempts.len() <= attempts {
        by_attempts.resize(attempts + 1, 0);
    }
    by_attempts[attempts] += 1;
}

/// Requests by [`place`].
pub(super) type ByOutcome = [u64; OUTCOMES];

const REJECTED: usize = 1;
const FAILED: usize = REJECTED + RejectReason::ALL.len();
const OTHERS: usize = FAILED + FailReason::ALL.len();
pub(super) const OUTCOMES: usize = OTHERS + 4;

/// Where an outcome is counted.
#[inline]
pub(super) fn place(outcome: TraceOutcome) -> usize {
    match outcome {
        TraceOutcome::Offered(Outcome::Ok) => 0,
        TraceOutcome::Offered(Outcome::Rejected(reason)) => REJECTED + reason as usize,
        TraceOutcome::Offered(Outcome::Failed(reason)) => FAILED + reason as usize,
        TraceOutcome::Offered(Outcome::TimedOut) => OTHERS,
        TraceOutcome::Offered(Outcome::Shed) => OTHERS + 1,
        TraceOutcome::Offered(Outcome::Unfinished) => OTHERS + 2,
        TraceOutcome::Unsent => OTHERS + 3,
    }
}

pub(super) fn counts(by_outcome: &ByOutcome) -> Counts {
    let count = |outcome| by_outcome[place(outcome)];
    let of = |outcome| count(TraceOutcome::Offered(outcome));
    let planned = by_outcome.iter().sum();
    let unsent = count(TraceOutcome::Unsent);
    Counts {
        planned,
        unsent,
        offered: planned - unsent,
        ok: of(Outcome::Ok),
        rejected: RejectReason::ALL.map(|reason| (reason.as_str(), of(Outcome::Rejected(reason)))).into(),
        timed_out: of(Outcome::TimedOut),
        failed: FailReason::ALL.map(|reason| (reason.as_str(), of(Outcome::Failed(reason)))).into(),
        shed: of(Outcome::Shed),
        unfinished: of(Outcome::Unfinished),
    }
}
