//! The run over time: equal buckets for rates and gauges, wider windows for percentiles, and what the plots draw besides.

use std::collections::BTreeMap;

use galton_core::record::{Decision, DecisionKind, FleetEvent, TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome, TargetId};

use super::gauges::{Area, Replayed};
use super::latency::Latencies;
use super::window::Window;
use crate::input::RunData;
use crate::model::{Row, Series, Windows};
use crate::plot_data::{Bins, FleetMark, PlotData, Scatter, round_up};
use crate::stats::{Samples, exact_quantile, needed};

/// Points per line that a screen can show and a page can carry.
const MOST_BUCKETS: u64 = 2_000;
/// Buckets below this make a plot of a short run coarse.
const FEWEST_BUCKETS: u64 = 100;
/// A second, the bucket of a run that is neither long nor short.
const USUAL_BUCKET: u64 = 1_000_000_000;
/// Percentile windows below this no longer show a course.
const FEWEST_WINDOWS: u64 = 20;
/// Points of a scatter, and events in a fleet plot.
const MOST_POINTS: usize = 2_000;
/// Lines that can be told from each other, if barely.
const MOST_TARGETS: usize = 24;
/// Bars of a histogram of times.
const BINS: u64 = 80;

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

const WINDOW_COLUMNS: &[&str] =
    &["t_ns", "n", "response_p50", "response_p80", "response_p90", "response_p99", "overhead_p50", "overhead_p99"];

/// The buckets of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) bucket: Nanos,
    pub(crate) buckets: usize,
}

impl Axis {
    /// From 0 to the end of the last request, or of the duration.
    pub(crate) fn of(data: &RunData) -> Self {
        let last = data.trace.iter().filter_map(|row| row.t_end).max().unwrap_or_default();
        let window = Window::of(data);
        let span = last.max(window.end).0.max(1);
        let bucket = round_up(span / MOST_BUCKETS).max(round_up(span / FEWEST_BUCKETS).min(USUAL_BUCKET));
        Self { bucket: Nanos(bucket), buckets: span.div_ceil(bucket) as usize }
    }

    /// Where the last bucket ends.
    pub(crate) fn end(self) -> Nanos {
        Nanos(self.bucket.0.saturating_mul(self.buckets as u64))
    }

    fn index(self, at: Nanos) -> usize {
        ((at.0 / self.bucket.0) as usize).min(self.buckets.saturating_sub(1))
    }

    fn start(self, index: usize) -> f64 {
        index as f64 * self.bucket.0 as f64
    }
}

/// The targets whose CPU is drawn: those with the most attempts, by number.
pub(crate) fn drawn_targets(decisions: &[Decision]) -> Vec<TargetId> {
    let mut attempts: BTreeMap<TargetId, u64> = BTreeMap::new();
    for (target, _) in decisions.iter().filter_map(|d| d.target) {
        *attempts.entry(target).or_default() += 1;
    }
    let mut busiest: Vec<_> = attempts.into_iter().collect();
    busiest.sort_by_key(|(target, n)| (std::cmp::Reverse(*n), *target));
    let mut drawn: Vec<_> = busiest.into_iter().take(MOST_TARGETS).map(|(target, _)| target).collect();
    drawn.sort();
    drawn
}

/// Counts per bucket.
#[derive(Clone, Debug, Default)]
struct Tally {
    offered: u64,
    ok: u64,
    rejected: u64,
    timed_out: u64,
    failed: u64,
    retries: u64,
    refused: u64,
}

/// The series of the report.
pub(super) fn series(data: &RunData, window: Window, replayed: &Replayed) -> Series {
    let axis = Axis::of(data);
    let tallies = tally(data, axis);
    let areas = &replayed.fleet.areas;
    let known =
        |area: &Area, known: bool| -> Vec<Option<f64>> { area.means().map(|m| Some(m).filter(|_| known)).collect() };
    let recorded = replayed.recorded();
    let (in_flight, free) = (known(&areas.in_flight, recorded), known(&areas.free_slots, recorded));
    let ready = known(&areas.ready, !data.fleet.is_empty());
    let row = |(i, t): (usize, &Tally)| {
        let counts = [t.offered, t.ok, t.rejected, t.timed_out, t.failed, t.retries].map(|n| Some(n as f64));
        let refused = Some(t.refused as f64).filter(|_| recorded);
        let mut row = vec![Some(axis.start(i))];
        row.extend(counts);
        row.extend([refused, in_flight[i], free[i], ready[i]]);
        Row(row)
    };
    Series {
        bucket_ns: axis.bucket,
        columns: COLUMNS,
        rows: tallies.iter().enumerate().map(row).collect(),
        latency: windows(data, window, axis),
    }
}

/// Requests and retries by intended send, outcomes by their end, refusals by their dispatch.
fn tally(data: &RunData, axis: Axis) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); axis.buckets];
    for row in &data.trace {
        let TraceOutcome::Offered(outcome) = row.outcome else { continue };
        let begun = &mut tallies[axis.index(row.t_intended)];
        begun.offered += 1;
        begun.retries += u64::from(row.retries().unwrap_or_default());
        let ended = &mut tallies[axis.index(row.t_end.unwrap_or(row.t_intended))];
        match outcome {
            Outcome::Ok => ended.ok += 1,
            Outcome::Rejected(_) => ended.rejected += 1,
            Outcome::TimedOut => ended.timed_out += 1,
            Outcome::Failed(_) => ended.failed += 1,
            Outcome::Shed | Outcome::Unfinished => {}
        }
    }
    for decision in data.decisions.iter().flatten().filter(|d| d.kind == DecisionKind::Refuse) {
        tallies[axis.index(decision.at)].refused += 1;
    }
    tallies
}

/// Percentiles per window of intended sends: wide enough to bear p99, unless too few windows would be left.
fn windows(data: &RunData, window: Window, axis: Axis) -> Windows {
    let span = axis.end().0.max(1);
    let rate = data.trace.len() as f64 / span as f64;
    let wanted = (2.0 * needed(0.99) as f64 / rate.max(f64::MIN_POSITIVE)) as u64;
    let length = round_up(wanted.min(span / FEWEST_WINDOWS)).max(axis.bucket.0);
    let mut samples = vec![(Samples::default(), Samples::default()); span.div_ceil(length) as usize];
    let timeout = data.scenario.traffic.timeout;
    for row in data.trace.iter().filter(|row| window.measures(row)) {
        let Some((response, overhead)) = samples.get_mut((row.t_intended.0 / length) as usize) else { continue };
        if let Some(time) = response_of(row, timeout) {
            response.push(time.0);
        }
        if let (TraceOutcome::Offered(Outcome::Ok), Some(time)) = (row.outcome, row.overhead) {
            overhead.push(time.0);
        }
    }
    let rows = samples.iter().enumerate().map(|(i, (response, overhead))| {
        let mut row = vec![Some((i as u64 * length) as f64), Some(response.values().len() as f64)];
        row.extend(borne(response, &[0.5, 0.8, 0.9, 0.99]));
        row.extend(borne(overhead, &[0.5, 0.99]));
        Row(row)
    });
    Windows { bucket_ns: Nanos(length), columns: WINDOW_COLUMNS, rows: rows.collect() }
}

/// Response time where it belongs to the headline: `ok`, and `timed_out` at the deadline.
fn response_of(row: &TraceRow, timeout: Nanos) -> Option<Nanos> {
    match row.outcome {
        TraceOutcome::Offered(Outcome::Ok) => row.response(),
        TraceOutcome::Offered(Outcome::TimedOut) => Some(timeout),
        _ => None,
    }
}

/// The quantiles that this sample bears.
fn borne(samples: &Samples, quantiles: &[f64]) -> Vec<Option<f64>> {
    let mut sorted = samples.values().to_vec();
    sorted.sort_unstable();
    let bears = |q: f64| sorted.len() as u64 >= needed(q);
    let value = |q: &f64| exact_quantile(&sorted, *q).filter(|_| bears(*q)).map(|v| v as f64);
    quantiles.iter().map(value).collect()
}

/// What the plots draw besides.
pub(super) fn plots(data: &RunData, window: Window, samples: &Latencies, replayed: &Replayed) -> PlotData {
    let marks = fleet_marks(data, replayed);
    let cpu = |(id, t): (&TargetId, &super::gauges::TargetGauges)| {
        t.cpu_over_time.as_ref().map(|area| (*id, area.means().collect()))
    };
    let named = [
        ("response", &samples.response),
        ("service", &samples.service),
        ("hold", &samples.hold),
        ("overhead", &samples.overhead),
        ("send_lag", &samples.send_lag),
    ];
    PlotData {
        window: (window.start, window.end),
        scatter: scatter(data, window),
        fleet: fleet_course(data, replayed),
        marks_of: marks.len(),
        marks: thinned(marks),
        cpu: replayed.fleet.targets.iter().filter_map(cpu).collect(),
        response: bins(&samples.response),
        hold: bins(&samples.hold),
        histograms: named.map(|(name, s)| (name, histogram(s))).into(),
    }
}

/// Single requests.
fn scatter(data: &RunData, window: Window) -> Scatter {
    let timeout = data.scenario.traffic.timeout;
    let point = |row: &TraceRow| Some((row.t_intended, response_of(row, timeout)?, row.overhead));
    let mut points: Vec<_> = data.trace.iter().filter(|r| window.measures(r)).filter_map(point).collect();
    points.sort_by_key(|(at, ..)| *at);
    let of = points.len();
    Scatter { points: thinned(points), of }
}

/// Ready targets from each instant on.
fn fleet_course(data: &RunData, replayed: &Replayed) -> Vec<(Nanos, u32)> {
    let mut course: Vec<(Nanos, u32)> = Vec::new();
    for (event, ready) in with_ready(data, replayed) {
        match course.last_mut() {
            Some((at, count)) if *at == event.at => *count = ready,
            Some((_, count)) if *count == ready => {}
            _ => course.push((event.at, ready)),
        }
    }
    let last = course.last().copied();
    let mut course = thinned(course);
    course.extend(last);
    course
}

/// Decisions of the scaler and deaths, on the course of the fleet.
fn fleet_marks(data: &RunData, replayed: &Replayed) -> Vec<(Nanos, FleetMark, u32)> {
    let mark = |(event, ready): (&FleetEvent, u32)| Some((event.at, FleetMark::of(event.what)?, ready));
    with_ready(data, replayed).filter_map(mark).collect()
}

/// Every fleet event with the targets that were ready after it.
fn with_ready<'a>(data: &'a RunData, replayed: &'a Replayed) -> impl Iterator<Item = (&'a FleetEvent, u32)> {
    let before = replayed.at_fleet_events.iter().map(|at| at.ready);
    data.fleet.iter().zip(before.skip(1).chain([replayed.fleet.ready_count()]))
}

/// Every k-th, so that no stretch is favoured.
fn thinned<T>(all: Vec<T>) -> Vec<T> {
    let step = all.len().div_ceil(MOST_POINTS).max(1);
    all.into_iter().step_by(step).collect()
}

/// Equal bins that cover all but the last thousandth.
fn bins(samples: &Samples) -> Bins {
    let mut sorted = samples.values().to_vec();
    sorted.sort_unstable();
    let Some(reach) = exact_quantile(&sorted, 0.999) else { return Bins::default() };
    let width = round_up(reach / BINS);
    let mut bins = Bins { width: Nanos(width), counts: vec![0; (reach / width + 1) as usize], beyond: 0 };
    for value in sorted {
        match bins.counts.get_mut((value / width) as usize) {
            Some(count) => *count += 1,
            None => bins.beyond += 1,
        }
    }
    bins
}

fn histogram(samples: &Samples) -> Vec<(u64, u64)> {
    let histogram = samples.histogram();
    let recorded = histogram.iter_recorded();
    recorded.map(|v| (v.value_iterated_to(), v.count_since_last_iteration())).collect()
}
