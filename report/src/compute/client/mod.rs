//! The report of a run of which nothing is known but what the load generator saw: the requests of an HTTP client, one by one.
//!
//! As [`super::fold`] for whole runs, but neither the duration nor the number of requests need be known in advance, and the
//! evidence for the verdict comes from the same rows as everything else. Memory does not grow with the number of requests.

mod course;
mod measured;
mod report;
mod warm_up;
mod windows;

use galton_core::record::TraceRow;
use galton_core::{Nanos, Outcome, record::TraceOutcome};

use self::course::Course;
use self::warm_up::Warming;
use self::windows::Windows;
use super::counts::{ByOutcome, OUTCOMES, counts, place};
use super::series::{Points, response_of};
use crate::model::Counts;

pub(crate) use self::course::COLUMNS;
pub use self::report::ClientFacts;
pub use self::warm_up::WarmUp;

/// What has to be known of a run before its first request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// The deadline of a request, ...
    pub timeout: Nanos,
    /// ... counted from the actual send instead of the intended one.
    pub timeout_from_send: bool,
    /// When an open loop stops offering; none: when its requests are sent, or it is a closed loop.
    pub ends: Option<Nanos>,
    /// What is left out.
    pub warm_up: WarmUp,
    /// Whether to make an interval log of the latencies.
    pub log: bool,
}

/// Takes the rows of a run in about the order of their ends.
#[derive(Clone, Debug)]
pub struct ClientFold {
    plan: Plan,
    whole: Whole,
    warming: Warming,
}

/// What is kept of all requests, the warm-up included.
#[derive(Clone, Debug)]
struct Whole {
    counts: ByOutcome,
    course: Course,
    windows: Windows,
    points: Points,
    /// Σ service latency of all that was sent, nanoseconds.
    service_sum: f64,
    /// Something was sent and has no end.
    cut_off: bool,
}

// === impl ClientFold ===

impl ClientFold {
    /// Nothing yet.
    pub fn new(plan: Plan) -> Self {
        let whole = Whole {
            counts: [0; OUTCOMES],
            course: Course::new(),
            windows: Windows::new(),
            points: Points::new(),
            service_sum: 0.0,
            cut_off: false,
        };
        Self { plan, whole, warming: Warming::new(&plan) }
    }

    /// A request has ended; or the run has, and this one is unfinished or was never sent.
    pub fn add(&mut self, row: &TraceRow) {
        self.whole.add(row, self.plan);
        self.warming.add(row, &self.plan);
    }

    /// Lines of the interval log that are complete. None while the warm-up may still reach into them.
    pub fn take_log(&mut self) -> String {
        let log = self.warming.over().and_then(|measured| measured.log.as_mut());
        log.map(crate::hlog::Recorder::take).unwrap_or_default()
    }
}

// === impl Whole ===

impl Whole {
    /// Requests by outcome.
    fn counts(&self) -> Counts {
        counts(&self.counts)
    }

    fn add(&mut self, row: &TraceRow, plan: Plan) {
        self.counts[place(row.outcome)] += 1;
        self.course.add(row);
        self.service_sum += row.service().unwrap_or_default().0 as f64;
        self.cut_off |= row.outcome == TraceOutcome::Offered(Outcome::Unfinished);
        self.cut_off |= row.t_send.is_some() && row.t_end.is_none();
        let waited = row.send_lag().filter(|_| plan.timeout_from_send).unwrap_or_default();
        if let Some(response) = response_of(&row.ended(), plan.timeout + waited) {
            let overhead = row.overhead.filter(|_| row.outcome == TraceOutcome::Offered(Outcome::Ok));
            self.windows.add(row.t_intended, response, overhead);
            self.points.add((row.t_intended, response, row.overhead));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
