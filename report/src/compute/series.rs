//! The run over time: equal buckets for rates and gauges, wider windows for percentiles, and single requests.

use std::collections::VecDeque;
use std::iter::Sum;
use std::ops::Range;

use galton_core::record::{Ended, TraceOutcome};
use galton_core::{Nanos, Outcome};

use super::bounds::{Bounds, MOST_KEPT};
use super::gauges::Gauging;
use super::served::Columns;
use super::window::Window;
use crate::model::{Row, Series, Windows};
use crate::plot_data::Scatter;
use crate::stats::{Samples, needed};

/// Points of a scatter.
pub(super) const MOST_POINTS: usize = 2_000;

const COLUMNS: &[&str] = &[
    "t_ns",
    "offered",
    "ok",
    "rejected",
    "timed_out",
    "failed",
    "retries",
    "refused",
    "in_flight",
    "free_slots",
    "fleet",
];

pub(crate) const WINDOW_COLUMNS: &[&str] =
    &["t_ns", "n", "response_p50", "response_p80", "response_p90", "response_p99", "overhead_p50", "overhead_p99"];

/// Counts per bucket.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    offered: u64,
    ok: u64,
    rejected: u64,
    timed_out: u64,
    failed: u64,
    retries: u64,
    refused: u64,
}

/// What is counted over time.
#[derive(Clone, Debug)]
pub(crate) struct OverTime {
    /// Where requests begin.
    buckets: Buckets,
    /// And where they end, a little later each.
    ends: Buckets,
    tallies: Vec<Tally>,
    /// From here on there is no room: buckets would have to be wider.
    full: Nanos,
    percentiles: PercentileWindows,
    points: Points,
}

/// Percentiles per window of intended sends.
#[derive(Clone, Debug)]
struct PercentileWindows {
    windows: Buckets,
    /// A request ends within this after its intended send.
    longest: Option<Nanos>,
    /// Rows of the windows that are over.
    rows: Vec<Row>,
    open: VecDeque<(Samples, Samples)>,
    /// From this end of a request on, nothing that was meant to be sent in the first of them can still come.
    closes: Nanos,
}

/// Equal stretches of time. Times follow each other closely, so that it is mostly the same one again: a division saved.
#[derive(Clone, Debug)]
struct Buckets {
    length: Nanos,
    /// The last one asked for, and where it starts.
    last: (usize, Nanos),
}

/// Every so many-eth request: half of them are dropped whenever there are too many.
#[derive(Clone, Debug)]
pub(super) struct Points {
    kept: Vec<(Nanos, Nanos, Option<Nanos>)>,
    every: usize,
    of: usize,
}

// === impl OverTime ===

impl OverTime {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let (length, longest) = (bounds.percentiles, bounds.longest);
        Self {
            buckets: Buckets::new(bounds.bucket),
            ends: Buckets::new(bounds.bucket),
            tallies: Vec::new(),
            full: full(bounds.bucket),
            percentiles: PercentileWindows {
                windows: Buckets::new(length),
                longest,
                rows: Vec::new(),
                open: VecDeque::new(),
                closes: length + longest.unwrap_or(Nanos::MAX),
            },
            points: Points::new(),
        }
    }

    /// Requests and retries by intended send, outcomes by their end.
    #[inline]
    pub(super) fn add(&mut self, row: &Ended, measured: bool, timeout: Nanos) {
        let TraceOutcome::Offered(outcome) = row.outcome else { return };
        let end = row.t_end.unwrap_or(row.t_intended);
        self.make_room(end.max(row.t_intended));
        let begun = tally(&mut self.tallies, self.buckets.of(row.t_intended));
        begun.offered += 1;
        begun.retries += u64::from(row.retries().unwrap_or_default());
        let ended = tally(&mut self.tallies, self.ends.of(end));
        match outcome {
            Outcome::Ok => ended.ok += 1,
            Outcome::Rejected(_) => ended.rejected += 1,
            Outcome::TimedOut => ended.timed_out += 1,
            Outcome::Failed(_) => ended.failed += 1,
            Outcome::Shed | Outcome::Unfinished => {}
        }
        if measured && let Some(response) = response_of(row, timeout) {
            let overhead = row.overhead.filter(|_| outcome == Outcome::Ok);
            self.percentiles.add(row.t_intended, end, response, overhead);
            self.points.add((row.t_intended, response, row.overhead));
        }
    }

    /// As [`Self::add`] of each.
    pub(super) fn add_served(&mut self, served: Columns<'_>) {
        served.t_end.last().into_iter().for_each(|end| self.make_room(*end));
        for (bucket, some) in self.buckets.stretches(served.t_intended) {
            let begun = tally(&mut self.tallies, bucket);
            begun.offered += some.len() as u64;
            let retries = |attempts: &u32| u64::from(attempts.saturating_sub(1));
            begun.retries += served.attempts[some].iter().map(retries).sum::<u64>();
        }
        for (bucket, some) in self.ends.stretches(served.t_end) {
            tally(&mut self.tallies, bucket).ok += some.len() as u64;
        }
        self.percentiles.add_served(served);
        let point = |at: usize| (served.t_intended[at], Nanos(served.response[at]), Some(Nanos(served.overhead[at])));
        self.points.add_some(served.t_end.len(), point);
    }

    /// Refusals by their dispatch.
    pub(super) fn refused(&mut self, at: Nanos) {
        self.make_room(at);
        tally(&mut self.tallies, self.ends.of(at)).refused += 1;
    }

    /// There is a bucket for this instant, or one can be made: a run may take longer than was planned, by far.
    #[inline]
    fn make_room(&mut self, at: Nanos) {
        while at >= self.full {
            self.widen();
        }
    }

    /// Buckets are twice as wide from now on.
    #[cold]
    fn widen(&mut self) {
        let length = Nanos(self.buckets.length.0.saturating_mul(2));
        (self.buckets, self.ends, self.full) = (Buckets::new(length), Buckets::new(length), full(length));
        self.tallies = self.tallies.chunks(2).map(|pair| pair.iter().copied().sum()).collect();
    }

    /// The run is over. Buckets are as wide as those of the gauges, at least; returns where the last one ends.
    pub(super) fn settle(&mut self, window: Window, gauges: Nanos) -> Nanos {
        while self.buckets.length < gauges || self.end(window) >= self.full {
            self.widen();
        }
        self.end(window)
    }

    /// Where the last bucket ends: that of the window, or the last that something happened in.
    fn end(&self, window: Window) -> Nanos {
        let length = self.buckets.length.0;
        Nanos(window.end.0.max(1).next_multiple_of(length).max(self.tallies.len() as u64 * length))
    }

    /// The series of the report.
    pub(super) fn series(&mut self, window: Window, gauging: &Gauging, fleet_known: bool) -> Series {
        let buckets = (self.end(window).0 / self.buckets.length.0) as usize;
        self.tallies.resize(buckets, Tally::default());
        let means = |means: Vec<f64>, known: bool| -> Vec<Option<f64>> {
            let means = means.into_iter().map(|mean| Some(mean).filter(|_| known));
            means.chain(std::iter::repeat(None)).take(buckets).collect()
        };
        let recorded = gauging.recorded();
        let [in_flight, free, ready] = gauging.fleet.over_time(self.buckets.length);
        let (in_flight, free) = (means(in_flight, recorded), means(free, recorded));
        let ready = means(ready, fleet_known);
        let row = |(i, t): (usize, &Tally)| {
            let counts = [t.offered, t.ok, t.rejected, t.timed_out, t.failed, t.retries].map(|n| Some(n as f64));
            let refused = Some(t.refused as f64).filter(|_| recorded);
            let mut row = vec![Some(i as f64 * self.buckets.length.0 as f64)];
            row.extend(counts);
            row.extend([refused, in_flight[i], free[i], ready[i]]);
            Row(row)
        };
        let rows = self.tallies.iter().enumerate().map(row).collect();
        // Nothing is meant to be sent when the window is over.
        let windows = window.end.0.div_ceil(self.percentiles.windows.length.0) as usize;
        Series { bucket_ns: self.buckets.length, columns: COLUMNS, rows, latency: self.percentiles.finish(windows) }
    }

    /// Single requests, by intended send.
    pub(super) fn scatter(&mut self) -> Scatter {
        self.points.scatter()
    }
}

/// Where so many buckets of this length end as are kept at most.
fn full(length: Nanos) -> Nanos {
    Nanos(length.0.saturating_mul(MOST_KEPT))
}

// === impl Tally ===

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            offered: a.offered + b.offered,
            ok: a.ok + b.ok,
            rejected: a.rejected + b.rejected,
            timed_out: a.timed_out + b.timed_out,
            failed: a.failed + b.failed,
            retries: a.retries + b.retries,
            refused: a.refused + b.refused,
        })
    }
}

// === impl Buckets ===

impl Buckets {
    fn new(length: Nanos) -> Self {
        Self { length, last: (0, Nanos::ZERO) }
    }

    /// The number of the one that this instant is in.
    #[inline]
    fn of(&mut self, at: Nanos) -> usize {
        let (last, start) = self.last;
        if at.0.wrapping_sub(start.0) < self.length.0 {
            return last;
        }
        let number = at.0 / self.length.0;
        self.last = (number as usize, Nanos(number * self.length.0));
        number as usize
    }

    /// Which instants that follow each other are in the same one, and its number.
    #[inline]
    fn stretches<'a>(&'a mut self, instants: &'a [Nanos]) -> impl Iterator<Item = (usize, Range<usize>)> + 'a {
        let mut begin = 0;
        std::iter::from_fn(move || {
            let number = self.of(*instants.get(begin)?);
            let rest = &instants[begin..];
            let same = |at: &Nanos| at.0.wrapping_sub(self.last.1.0) < self.length.0;
            let stretch = begin..begin + rest.iter().position(|at| !same(at)).unwrap_or(rest.len());
            begin = stretch.end;
            Some((number, stretch))
        })
    }
}

// === impl PercentileWindows ===

impl PercentileWindows {
    #[inline]
    fn add(&mut self, intended: Nanos, end: Nanos, response: Nanos, overhead: Option<Nanos>) {
        let window = self.windows.of(intended);
        let Some((responses, overheads)) = open(&mut self.open, self.rows.len(), window) else { return };
        responses.push(response.0);
        if let Some(overhead) = overhead {
            overheads.push(overhead.0);
        }
        self.close_by(end);
    }

    /// As [`Self::add`] of each.
    fn add_served(&mut self, served: Columns<'_>) {
        for (window, some) in self.windows.stretches(served.t_intended) {
            let Some((responses, overheads)) = open(&mut self.open, self.rows.len(), window) else { continue };
            responses.extend(&served.response[some.clone()]);
            overheads.extend(&served.overhead[some]);
        }
        served.t_end.last().into_iter().for_each(|end| self.close_by(*end));
    }

    /// Closes what is over when a request has ended then.
    #[inline]
    fn close_by(&mut self, end: Nanos) {
        while end >= self.closes
            && let Some(window) = self.open.pop_front()
        {
            self.close(&window);
        }
    }

    fn close(&mut self, (response, overhead): &(Samples, Samples)) {
        let length = self.windows.length;
        let start = self.rows.len() as u64 * length.0;
        let mut row = vec![Some(start as f64), Some(response.len() as f64)];
        row.extend(borne(response, &[0.5, 0.8, 0.9, 0.99]));
        row.extend(borne(overhead, &[0.5, 0.99]));
        self.rows.push(Row(row));
        self.closes = Nanos(start) + length + length + self.longest.unwrap_or(Nanos::MAX);
    }

    fn finish(&mut self, windows: usize) -> Windows {
        for window in std::mem::take(&mut self.open) {
            self.close(&window);
        }
        while self.rows.len() < windows {
            self.close(&(Samples::of_many(), Samples::of_many()));
        }
        Windows { bucket_ns: self.windows.length, columns: WINDOW_COLUMNS, rows: std::mem::take(&mut self.rows) }
    }
}

/// The samples of a window, made if there are none yet; none: it is one of those that are closed.
#[inline]
fn open(open: &mut VecDeque<(Samples, Samples)>, closed: usize, window: usize) -> Option<&mut (Samples, Samples)> {
    let place = window.checked_sub(closed)?;
    while open.len() <= place {
        open.push_back((Samples::of_many(), Samples::of_many()));
    }
    open.get_mut(place)
}

// === impl Points ===

impl Points {
    pub(super) fn new() -> Self {
        Self { kept: Vec::new(), every: 1, of: 0 }
    }

    /// Those kept, by intended send.
    pub(super) fn scatter(&mut self) -> Scatter {
        self.kept.sort_by_key(|(at, ..)| *at);
        Scatter { points: std::mem::take(&mut self.kept), of: self.of }
    }

    #[inline]
    pub(super) fn add(&mut self, point: (Nanos, Nanos, Option<Nanos>)) {
        self.of += 1;
        // `every` is a power of two.
        if self.of & (self.every - 1) == 0 {
            self.keep(point);
        }
    }

    /// As [`Self::add`] of so many.
    fn add_some(&mut self, n: usize, point: impl Fn(usize) -> (Nanos, Nanos, Option<Nanos>)) {
        let end = self.of + n;
        loop {
            let next = (self.of | (self.every - 1)) + 1;
            if next > end {
                break;
            }
            self.of = next;
            self.keep(point(n - 1 - (end - next)));
        }
        self.of = end;
    }

    fn keep(&mut self, point: (Nanos, Nanos, Option<Nanos>)) {
        self.kept.push(point);
        if self.kept.len() > MOST_POINTS {
            // The second, fourth, … of those kept are every 2·k-th request.
            self.kept = self.kept.iter().skip(1).step_by(2).copied().collect();
            self.every *= 2;
        }
    }
}

#[inline]
fn tally(tallies: &mut Vec<Tally>, index: usize) -> &mut Tally {
    if tallies.len() <= index {
        tallies.resize(index + 1, Tally::default());
    }
    &mut tallies[index]
}

/// Response time where it belongs to the headline: `ok`, and `timed_out` at the deadline.
#[inline]
pub(super) fn response_of(row: &Ended, timeout: Nanos) -> Option<Nanos> {
    match row.outcome {
        TraceOutcome::Offered(Outcome::Ok) => row.response(),
        TraceOutcome::Offered(Outcome::TimedOut) => Some(timeout),
        _ => None,
    }
}

/// The quantiles that this sample bears.
fn borne(samples: &Samples, quantiles: &[f64]) -> Vec<Option<f64>> {
    let found = samples.quantiles_of(quantiles).into_iter().zip(quantiles);
    found.map(|(value, q)| value.filter(|_| samples.len() >= needed(*q)).map(|v| v as f64)).collect()
}
