//! What counts of a run: everything after its warm-up.

use std::collections::BTreeMap;

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome};

use super::Plan;
use crate::compute::counts::Tally;
use crate::compute::latency::Latencies;
use crate::compute::series::response_of;
use crate::compute::window::Window;
use crate::hlog::Recorder;

/// From where on requests count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// Those meant to be sent then or later.
    Time(Nanos),
    /// Those with this number or a higher one.
    Request(u64),
}

/// The requests that count.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) since: Since,
    ends: Nanos,
    timeout_from_send: bool,
    timeout: Nanos,
    pub(super) tally: Tally,
    pub(super) latencies: Latencies,
    /// `ok`, ended within the measured window, whenever sent.
    completed: u64,
    /// Responses by HTTP status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// First and last intended send.
    intended: Option<(Nanos, Nanos)>,
    pub(super) log: Option<Recorder>,
}

// === impl Measured ===

impl Measured {
    pub(super) fn new(since: Since, plan: &Plan) -> Self {
        Self {
            since,
            ends: plan.ends.unwrap_or(Nanos::MAX),
            timeout_from_send: plan.timeout_from_send,
            timeout: plan.timeout,
            tally: Tally::new(),
            latencies: Latencies::default(),
            completed: 0,
            statuses: BTreeMap::new(),
            intended: None,
            log: plan.log.then(Recorder::new),
        }
    }

    /// A request has ended, or was never sent.
    pub(super) fn add(&mut self, row: &TraceRow) {
        self.complete(row);
        if !self.measures(row) {
            return;
        }
        // The window is already judged here: what is told to the counts is all within theirs.
        let ended = row.ended();
        self.tally.add(&ended, Window { start: Nanos::ZERO, end: Nanos::MAX });
        let timeout = self.deadline(row);
        self.latencies.add(&ended, timeout);
        if row.outcome != TraceOutcome::Unsent {
            let (first, last) = self.intended.unwrap_or((row.t_intended, row.t_intended));
            self.intended = Some((first.min(row.t_intended), last.max(row.t_intended)));
        }
        if let Some(status) = row.status {
            *self.statuses.entry(status).or_default() += 1;
        }
        self.log(row, timeout);
    }

    fn log(&mut self, row: &TraceRow, timeout: Nanos) {
        let (Some(log), Some(end)) = (&mut self.log, row.t_end) else { return };
        let response = response_of(&row.ended(), timeout);
        let lag = row.send_lag();
        let service = response.map(|response| response - lag.unwrap_or_default());
        log.record(end, [response, service, lag].map(|latency| latency.map(|ns| ns.0)));
    }

    /// `ok` responses that end in the window, whenever their requests were sent.
    fn complete(&mut self, row: &TraceRow) {
        let (TraceOutcome::Offered(Outcome::Ok), Some(end)) = (row.outcome, row.t_end) else { return };
        let counts = match self.since {
            Since::Time(start) => start <= end,
            Since::Request(first) => row.seq >= first,
        };
        self.completed += u64::from(counts && end < self.ends);
    }

    fn measures(&self, row: &TraceRow) -> bool {
        match self.since {
            Since::Time(start) => row.t_intended >= start,
            Since::Request(first) => row.seq >= first,
        }
    }

    /// How long after its intended send a request is given up.
    pub(super) fn deadline(&self, row: &TraceRow) -> Nanos {
        let waited = row.send_lag().filter(|_| self.timeout_from_send).unwrap_or_default();
        self.timeout + waited
    }

    /// Where the window begins.
    pub(super) fn start(&self) -> Nanos {
        match self.since {
            Since::Time(start) => start,
            Since::Request(0) => Nanos::ZERO,
            Since::Request(_) => self.intended.map_or(Nanos::ZERO, |(first, _)| first),
        }
    }

    /// The last intended send.
    pub(super) fn last_intended(&self) -> Nanos {
        self.intended.map_or(Nanos::ZERO, |(_, last)| last)
    }

    /// `ok` responses that ended within the window.
    pub(super) fn completed(&self) -> u64 {
        self.completed
    }

    /// How many were sent within `limit` of their time.
    pub(super) fn in_time(&self, limit: Nanos) -> u64 {
        let counts = self.latencies.send_lag.counts();
        counts.iter().take_while(|(lag, _)| *lag <= limit.0).map(|(_, n)| n).sum()
    }
}
