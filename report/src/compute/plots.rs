//! What the plots draw besides the series.

use galton_core::record::FleetEvent;
use galton_core::{Nanos, TargetId};

use super::fold::Fold;
use super::gauges::Gauging;
use super::series::MOST_POINTS;
use super::targets::busy;
use super::window::Window;
use crate::plot_data::{Bins, FleetMark, PlotData, Scatter, round_up};
use crate::stats::Samples;

/// Lines that can be told from each other, if barely.
const MOST_TARGETS: usize = 24;
/// Bars of a histogram of times.
const BINS: u64 = 80;

/// All of it.
pub(super) fn plots(fold: &Fold, window: Window, bucket: Nanos, scatter: Scatter) -> PlotData {
    let marks = fleet_marks(&fold.events, &fold.gauging);
    let samples = &fold.latencies;
    let named = [
        ("response", &samples.response),
        ("service", samples.service()),
        ("hold", samples.hold()),
        ("overhead", &samples.overhead),
        ("send_lag", &samples.send_lag),
    ];
    PlotData {
        window: (window.start, window.end),
        scatter,
        fleet: fleet_course(&fold.events, &fold.gauging),
        marks_of: marks.len(),
        marks: thinned(marks),
        cpu: cpu_of_the_busiest(fold, bucket),
        response: bins(&samples.response),
        hold: bins(samples.hold()),
        histograms: named.map(|(name, s)| (name, histogram(s))).into(),
    }
}

/// CPU over time of the targets with the most attempts, by number.
fn cpu_of_the_busiest(fold: &Fold, bucket: Nanos) -> Vec<(TargetId, Vec<f64>)> {
    let mut busiest: Vec<_> = busy(fold).collect();
    busiest.sort_by_key(|(target, attempts)| (std::cmp::Reverse(*attempts), *target));
    let mut drawn: Vec<TargetId> = busiest.into_iter().take(MOST_TARGETS).map(|(target, _)| target).collect();
    drawn.sort();
    let cpu = |id: TargetId| Some((id, fold.gauging.fleet.cpu_over_time(id, bucket)?));
    drawn.into_iter().filter_map(cpu).collect()
}

/// Ready targets from each instant on.
fn fleet_course(events: &[FleetEvent], gauging: &Gauging) -> Vec<(Nanos, u32)> {
    let mut course: Vec<(Nanos, u32)> = Vec::new();
    for (event, ready) in with_ready(events, gauging) {
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
fn fleet_marks(events: &[FleetEvent], gauging: &Gauging) -> Vec<(Nanos, FleetMark, u32)> {
    let mark = |(event, ready): (&FleetEvent, u32)| Some((event.at, FleetMark::of(event.what)?, ready));
    with_ready(events, gauging).filter_map(mark).collect()
}

/// Every fleet event with the targets that were ready after it.
fn with_ready<'a>(events: &'a [FleetEvent], gauging: &'a Gauging) -> impl Iterator<Item = (&'a FleetEvent, u32)> {
    let before = gauging.at_fleet_events.iter().map(|at| at.ready);
    events.iter().zip(before.skip(1).chain([gauging.fleet.ready_count()]))
}

/// Every k-th, so that no stretch is favoured.
fn thinned<T>(all: Vec<T>) -> Vec<T> {
    let step = all.len().div_ceil(MOST_POINTS).max(1);
    all.into_iter().step_by(step).collect()
}

/// Equal bins that cover all but the last thousandth.
pub(super) fn bins(samples: &Samples) -> Bins {
    let reach = samples.quantile_of(0.999);
    reach.map_or_else(Bins::default, |reach| binned(reach, samples.counts().into_iter()))
}

/// As [`bins`], of values with how often they are there, `n` in all.
pub(crate) fn bins_of_counts(counts: &[(u64, u64)], n: u64) -> Bins {
    let mut seen = 0;
    let reach = counts.iter().find(|(_, own)| {
        seen += own;
        seen * 1_000 >= n * 999
    });
    reach.map_or_else(Bins::default, |(reach, _)| binned(*reach, counts.iter().copied()))
}

fn binned(reach: u64, counts: impl Iterator<Item = (u64, u64)>) -> Bins {
    let width = round_up(reach / BINS);
    let mut bins = Bins { width: Nanos(width), counts: vec![0; (reach / width + 1) as usize], beyond: 0 };
    for (value, n) in counts {
        *bins.counts.get_mut((value / width) as usize).unwrap_or(&mut bins.beyond) += n;
    }
    bins
}

pub(super) fn histogram(samples: &Samples) -> Vec<(u64, u64)> {
    let histogram = samples.histogram();
    let recorded = histogram.iter_recorded();
    recorded.map(|v| (v.value_iterated_to(), v.count_since_last_iteration())).collect()
}
