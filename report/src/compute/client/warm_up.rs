//! Where the warm-up of a run ends, decided while the run goes on.
//!
//! A time or a number is known at once. `auto` is the truncation that MSER finds in the response times (see
//! [`crate::stats::BatchMeans`]): rows wait in a buffer until the run is over or the buffer is full, and then whenever there are
//! twice as many. A run that outgrows the buffer is measured from two instants on, at which a half and a quarter of what was seen
//! at the last look were over, so that one of them lies behind the truncation when it shows.

use galton_core::Nanos;
use galton_core::record::{TraceOutcome, TraceRow};
use serde::{Deserialize, Serialize};

use super::Plan;
use super::measured::{Measured, Since};
use crate::compute::series::response_of;
use crate::stats::BatchMeans;

/// What is left out at the start of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmUp {
    /// Nothing.
    #[default]
    None,
    /// Requests meant to be sent before then.
    #[serde(rename = "time_ns")]
    Time(Nanos),
    /// So many requests.
    Requests(u64),
    /// Until response times have settled.
    Auto,
}

/// Rows that may wait: 16 MB.
const MOST_WAITING: usize = 1 << 16;
/// Less than this is too short to settle in: a server's caches and just-in-time compilers take seconds.
const SHORTEST: Nanos = Nanos::from_millis(5_000);

/// How far the decision is.
#[derive(Clone, Debug)]
pub(super) enum Warming {
    /// It is taken.
    Over(Box<Measured>),
    /// Rows wait for it.
    Waiting(Waiting),
    /// There are too many rows to keep.
    Late(Box<Late>),
}

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    rows: Vec<TraceRow>,
    means: BatchMeans,
    /// At most so many rows wait.
    most: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Late {
    means: BatchMeans,
    /// Rows so far, and when the younger candidate began.
    seen: u64,
    older: Candidate,
    younger: Candidate,
}

/// The requests that count if the warm-up ended there.
#[derive(Clone, Debug)]
struct Candidate {
    /// Rows before it.
    from: u64,
    /// Values of the series before it.
    values: usize,
    measured: Measured,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) measured: Measured,
    /// False: response times never settled, and what is left out was chosen without them.
    pub(super) steady: bool,
}

// === impl Warming ===

impl Warming {
    pub(super) fn new(plan: &Plan) -> Self {
        let since = match plan.warm_up {
            WarmUp::None => Since::Time(Nanos::ZERO),
            WarmUp::Time(start) => Since::Time(start),
            WarmUp::Requests(n) => Since::Request(n),
            WarmUp::Auto => {
                let (rows, means) = (Vec::new(), BatchMeans::new());
                return Self::Waiting(Waiting { rows, means, most: MOST_WAITING });
            }
        };
        Self::Over(Box::new(Measured::new(since, plan)))
    }

    /// A row, in order of ends.
    pub(super) fn add(&mut self, row: &TraceRow, plan: &Plan) {
        match self {
            Self::Over(measured) => measured.add(row),
            Self::Waiting(waiting) => {
                waiting.add(row, plan);
                if waiting.rows.len() >= waiting.most {
                    *self = waiting.decide_or_go_on(plan);
                }
            }
            Self::Late(late) => {
                if let Some(measured) = late.add(row, plan) {
                    *self = Self::Over(Box::new(measured));
                }
            }
        }
    }

    /// The requests that count, once that is known.
    pub(super) fn over(&mut self) -> Option<&mut Measured> {
        match self {
            Self::Over(measured) => Some(measured),
            Self::Waiting(_) | Self::Late(_) => None,
        }
    }

    /// The run is over.
    pub(super) fn finish(self, plan: &Plan) -> Decided {
        match self {
            Self::Over(measured) => Decided { measured: *measured, steady: true },
            Self::Waiting(waiting) => waiting.finish(plan),
            Self::Late(late) => late.finish(),
        }
    }
}

/// The value that MSER looks at.
fn value(row: &TraceRow, plan: &Plan) -> Option<f64> {
    response_of(&row.ended(), plan.timeout).map(|response| response.0 as f64)
}

fn end(row: &TraceRow) -> Nanos {
    row.t_end.unwrap_or(row.t_intended)
}

/// What was never sent comes when the run is over, and says nothing about its course.
fn was_sent(row: &TraceRow) -> bool {
    row.outcome != TraceOutcome::Unsent
}

/// When half of these had ended.
fn middle(sent: &[&TraceRow]) -> Nanos {
    sent.get(sent.len() / 2).map_or(Nanos::ZERO, |row| end(row))
}

// === impl Waiting ===

impl Waiting {
    fn add(&mut self, row: &TraceRow, plan: &Plan) {
        value(row, plan).into_iter().for_each(|value| self.means.push(value));
        self.rows.push(row.clone());
    }

    /// The requests that count if so many values at the start do not.
    fn without(&self, values: usize, plan: &Plan) -> Measured {
        let with_value = self.rows.iter().filter(|row| value(row, plan).is_some());
        let last_cut = values.checked_sub(1).and_then(|last| with_value.clone().nth(last));
        self.since(last_cut.map_or(Nanos::ZERO, end), plan)
    }

    fn since(&self, start: Nanos, plan: &Plan) -> Measured {
        let mut measured = Measured::new(Since::Time(start), plan);
        self.rows.iter().for_each(|row| measured.add(row));
        measured
    }

    /// Those that were sent.
    fn sent(&self) -> Vec<&TraceRow> {
        self.rows.iter().filter(|row| was_sent(row)).collect()
    }

    fn decide_or_go_on(&mut self, plan: &Plan) -> Warming {
        let sent = self.sent();
        let long_enough = sent.last().is_some_and(|row| end(row) >= SHORTEST);
        if let Some(values) = self.means.truncation().filter(|_| long_enough) {
            return Warming::Over(Box::new(self.without(values, plan)));
        }
        let half = sent.len() / 2;
        let values = |rows: &[&TraceRow]| rows.iter().filter(|row| value(row, plan).is_some()).count();
        let older =
            Candidate { from: half as u64, values: values(&sent[..half]), measured: self.since(middle(&sent), plan) };
        let now = sent.last().map_or(Nanos::ZERO, |row| end(row));
        let younger = Candidate {
            from: sent.len() as u64,
            values: values(&sent),
            measured: Measured::new(Since::Time(now), plan),
        };
        let (means, seen) = (self.means.clone(), sent.len() as u64);
        Warming::Late(Box::new(Late { means, seen, older, younger }))
    }

    fn finish(self, plan: &Plan) -> Decided {
        if let Some(values) = self.means.truncation() {
            return Decided { measured: self.without(values, plan), steady: true };
        }
        Decided { measured: self.since(middle(&self.sent()), plan), steady: false }
    }
}

// === impl Late ===

impl Late {
    /// Returns what counts, once that is decided.
    fn add(&mut self, row: &TraceRow, plan: &Plan) -> Option<Measured> {
        self.older.measured.add(row);
        self.younger.measured.add(row);
        if !was_sent(row) {
            return None;
        }
        value(row, plan).into_iter().for_each(|value| self.means.push(value));
        self.seen += 1;
        if self.seen < 2 * self.younger.from {
            return None;
        }
        // The younger one began at half of what was seen: a truncation in the first half lies before it.
        let settled = self.means.truncation().filter(|_| end(row) >= SHORTEST);
        if settled.is_some_and(|values| values <= self.younger.values) {
            let new = Measured::new(self.younger.measured.since, plan);
            return Some(std::mem::replace(&mut self.younger.measured, new));
        }
        let values = self.means.values();
        let new = Candidate { from: self.seen, values, measured: Measured::new(Since::Time(end(row)), plan) };
        self.older = std::mem::replace(&mut self.younger, new);
        None
    }

    fn finish(self) -> Decided {
        let Self { means, seen, older, younger } = self;
        let truncation = means.truncation();
        let behind = |one: &Candidate| truncation.is_some_and(|values| values <= one.values);
        // The younger one may have begun a moment ago.
        let long_enough = 4 * (seen - younger.from) >= seen;
        let (steady, older_one) = match (behind(&older), behind(&younger) && long_enough) {
            (true, _) => (true, true),
            (false, true) => (true, false),
            (false, false) => (false, !long_enough),
        };
        Decided { measured: if older_one { older.measured } else { younger.measured }, steady }
    }
}

#[cfg(test)]
impl Waiting {
    /// With a smaller buffer.
    pub(super) fn shrink(&mut self, most: usize) {
        self.most = most;
    }
}
