//! What each plot shows, as data for the page's script: axes, lines, captions that say what to read from them.

use std::collections::{BTreeMap, BTreeSet};

use galton_core::{Nanos, TargetId};
use serde_json::{Value, json};

use crate::model::{Report, Row};
use crate::plot_data::{Bins, FleetMark};
use crate::units::{count, time};
use crate::write::page::{number, series};

/// Bars of the plot of load per target; more could not be told apart.
const MOST_BARS: usize = 100;

/// One plot.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    pub(super) id: &'static str,
    /// The section that it belongs to.
    pub(super) section: &'static str,
    pub(super) title: &'static str,
    pub(super) caption: String,
    /// Over the whole width of the page.
    pub(super) wide: bool,
    pub(super) spec: Value,
}

/// All plots that have something to show, in order.
pub(super) fn all(report: &Report) -> Vec<Plot> {
    let plots = [
        rates(report),
        response(report),
        overhead(report),
        response_histogram(report),
        hold_histogram(report),
        retries(report),
        in_flight(report),
        cpu(report),
        free_targets(report),
        fleet(report),
        load(report),
    ];
    plots.into_iter().flatten().collect()
}

fn secs(ns: f64) -> Value {
    number(Some(ns / 1e9))
}

/// A plot over scenario time with the measured window marked.
fn over_time(id: &str, report: &Report, y: &str, x: Vec<Value>, series: Vec<Value>) -> Value {
    let (start, end) = report.plots.window;
    let span = report.series.rows.len() as f64 * report.series.bucket_ns.as_secs_f64();
    json!({"id": id, "kind": "time", "x": x, "y": y, "series": series, "span": [0.0, span],
           "window": [start.as_secs_f64(), end.as_secs_f64()]})
}

/// One column of rows, scaled.
fn column(rows: &[Row], columns: &[&str], name: &str, scale: f64) -> Vec<Value> {
    let index = columns.iter().position(|column| *column == name);
    let cell = |row: &Row| index.and_then(|index| row.0[index]);
    rows.iter().map(|row| number(cell(row).map(|v| v * scale))).collect()
}

fn main_column(report: &Report, name: &str, scale: f64) -> Vec<Value> {
    column(&report.series.rows, report.series.columns, name, scale)
}

fn main_times(report: &Report) -> Vec<Value> {
    main_column(report, "t_ns", 1e-9)
}

fn has_values(values: &[Value]) -> bool {
    values.iter().any(|v| !v.is_null())
}

fn rates(report: &Report) -> Option<Plot> {
    let per_sec = 1e9 / report.series.bucket_ns.0.max(1) as f64;
    let lines = [
        ("offered", "offered", "c1"),
        ("ok", "ok", "c2"),
        ("retries", "retries", "c3"),
        ("refusals by targets", "refused", "c5"),
        ("rejected", "rejected", "c4"),
        ("timed out", "timed_out", "c6"),
        ("failed", "failed", "c7"),
        ("shed", "shed", "c5"),
    ];
    let lines = lines.map(|(label, name, color)| (label, color, main_column(report, name, per_sec)));
    // What never happens against any server but Galton's is no line of a client's.
    let happens = |values: &[Value]| values.iter().any(|v| v.as_f64().is_some_and(|v| v > 0.0));
    let shown = |values: &[Value]| has_values(values) && (report.client.is_none() || happens(values));
    let lines = lines.into_iter().filter(|(_, _, values)| shown(values));
    let lines: Vec<Value> = lines.map(|(label, color, values)| series(label, color, "step", values)).collect();
    let what_to_read = match &report.client {
        None => " Retries and refusals that rise before rejects do show a fleet that runs out of room.",
        Some(_) => " Ok responses that fall behind what is offered show a server at its limit.",
    };
    let caption = format!(
        "Per second, in buckets of {}. Requests and retries at their intended send, outcomes at their end.{what_to_read}",
        time(report.series.bucket_ns)
    );
    let spec = over_time("rates", report, "per second", main_times(report), lines);
    Some(Plot { id: "rates", section: "counts", title: "Rates over time", caption, wide: true, spec })
}

/// Percentile lines from the windows, and single requests as points: two scales of time merged into one axis. Between two
/// windows that bear a percentile its line has nothing to say (`false`); beside one that does not it is broken (null).
fn windowed(report: &Report, id: &str, lines: &[(&str, &str, &str)], points: Vec<(Nanos, Nanos)>) -> Value {
    let windows = &report.series.latency;
    let mut at: BTreeMap<u64, (Option<usize>, Option<Nanos>)> = BTreeMap::new();
    // A window's percentile stands in its middle.
    let middle = windows.bucket_ns.0 / 2;
    for (i, row) in windows.rows.iter().enumerate() {
        at.entry(row.0[0].unwrap_or_default() as u64 + middle).or_default().0 = Some(i);
    }
    for (sent, value) in points {
        at.entry(sent.0).or_default().1 = Some(value);
    }
    let x = at.keys().map(|ns| secs(*ns as f64)).collect();
    let single: Vec<Value> = at.values().map(|(_, value)| number(value.map(Nanos::as_millis_f64))).collect();
    // Of merged runs there are none.
    let mut all = Vec::new();
    if has_values(&single) {
        all.push(series("single requests", "dot", "points", single));
    }
    for (label, name, color) in lines {
        let values = column(&windows.rows, windows.columns, name, 1e-6);
        let places = at.values().map(|(window, _)| *window);
        all.push(series(label, color, "line", spread(&values, places)));
    }
    over_time(id, report, "ms", x, all)
}

/// The values of windows over a finer axis, which says for each of its places whether it is the middle of a window.
fn spread(values: &[Value], places: impl Iterator<Item = Option<usize>>) -> Vec<Value> {
    let borne = |i: usize| values.get(i).is_some_and(|value| !value.is_null());
    let mut next = 0;
    let place = |window: Option<usize>| match window {
        Some(i) => {
            next = i + 1;
            values[i].clone()
        }
        None if next > 0 && borne(next - 1) && borne(next) => json!(false),
        None => Value::Null,
    };
    places.map(place).collect()
}

fn points_caption(report: &Report) -> String {
    let scatter = &report.plots.scatter;
    let shown = scatter.points.len();
    let window = time(report.series.latency.bucket_ns);
    if shown == 0 {
        return format!("Percentiles per window of {window}, drawn only where the window bears them.");
    }
    let thinned = if shown == scatter.of { "all".to_owned() } else { format!("{} of", count(shown as u64)) };
    format!(
        "Percentiles per window of {window}, drawn only where the window bears them. Points: single requests ({thinned} {}).",
        count(scatter.of as u64)
    )
}

fn response(report: &Report) -> Option<Plot> {
    let points = report.plots.scatter.points.iter().map(|(at, response, _)| (*at, *response)).collect();
    let lines = [
        ("p50", "response_p50", "c2"),
        ("p80", "response_p80", "c1"),
        ("p90", "response_p90", "c3"),
        ("p99", "response_p99", "c4"),
    ];
    let spec = windowed(report, "response", &lines, points);
    let caption = format!(
        "From the intended send; ok and timed out (at their deadline). {} A p99 that leaves the median behind shows \
         requests that waited or retried.",
        points_caption(report)
    );
    let title = "Response time over time";
    Some(Plot { id: "response", section: "latency", title, caption, wide: true, spec })
}

fn overhead(report: &Report) -> Option<Plot> {
    let known = |(at, _, overhead): &(Nanos, Nanos, Option<Nanos>)| Some((*at, (*overhead)?));
    let points: Vec<_> = report.plots.scatter.points.iter().filter_map(known).collect();
    if points.is_empty() {
        return None;
    }
    let lines = [("p50", "overhead_p50", "c2"), ("p99", "overhead_p99", "c4")];
    let spec = windowed(report, "overhead", &lines, points);
    let caption = format!(
        "Time at the load balancer that was not spent in the serving attempt: picks, retries, waits for a start. {}",
        points_caption(report)
    );
    let title = "Overhead at the load balancer over time";
    Some(Plot { id: "overhead", section: "latency", title, caption, wide: true, spec })
}

fn histogram(id: &str, bins: &Bins, color: &str) -> Value {
    let x: Vec<Value> = (0..bins.counts.len()).map(|i| number(Some((i as u64 * bins.width.0) as f64 / 1e6))).collect();
    let values = bins.counts.iter().map(|n| json!(n)).collect();
    json!({"id": id, "kind": "histogram", "x": x, "width": bins.width.as_millis_f64(), "y": "requests", "x_unit": "ms",
           "series": [series("requests", color, "bars", values)]})
}

fn histogram_caption(what: &str, bins: &Bins) -> String {
    format!("{what} Bins of {}; requests beyond the last one: {}.", time(bins.width), count(bins.beyond))
}

fn response_histogram(report: &Report) -> Option<Plot> {
    let bins = &report.plots.response;
    let caption = histogram_caption("Response time of ok and timed-out requests.", bins);
    let spec = histogram("response-histogram", bins, "c1");
    let plot = Plot {
        id: "response-histogram",
        section: "latency",
        title: "Response time, histogram",
        caption,
        wide: false,
        spec,
    };
    (!bins.counts.is_empty()).then_some(plot)
}

fn hold_histogram(report: &Report) -> Option<Plot> {
    let bins = &report.plots.hold;
    let what =
        "Hold time on the target, ok requests. What the response has beyond it was spent waiting and travelling.";
    let caption = histogram_caption(what, bins);
    let spec = histogram("hold-histogram", bins, "c2");
    let plot =
        Plot { id: "hold-histogram", section: "latency", title: "Hold time, histogram", caption, wide: false, spec };
    (!bins.counts.is_empty()).then_some(plot)
}

/// Stacked bars over named places on the axis.
fn bars(id: &str, labels: Vec<String>, x: &str, y: &str, series: Vec<Value>) -> Value {
    json!({"id": id, "kind": "bars", "labels": labels, "x_label": x, "y": y, "series": series})
}

fn retries(report: &Report) -> Option<Plot> {
    let most = *report.retries.values().flat_map(BTreeMap::keys).max()?;
    let colors = [("ok", "c2"), ("rejected", "c4"), ("timed_out", "c6"), ("failed", "c7"), ("unfinished", "c5")];
    let own = |(class, color): (&str, &str)| {
        let histogram = report.retries.get(class)?;
        let values = (0..=most).map(|n| json!(histogram.get(&n).copied().unwrap_or_default())).collect();
        Some(series(&class.replace('_', " "), color, "bars", values))
    };
    let stacked = colors.into_iter().filter_map(own).collect();
    let labels = (0..=most).map(|n| n.to_string()).collect();
    let caption = "Requests by number of retries, stacked by outcome. Toggle “ok” to see the others.".to_owned();
    let spec = bars("retries", labels, "retries", "requests", stacked);
    Some(Plot { id: "retries", section: "retries", title: "Retries per request", caption, wide: false, spec })
}

fn in_flight(report: &Report) -> Option<Plot> {
    let (held, free) = (main_column(report, "in_flight", 1.0), main_column(report, "free_slots", 1.0));
    if !has_values(&held) {
        return None;
    }
    if report.client.is_some() {
        return Some(in_flight_of_client(report, held));
    }
    let lines = vec![series("in-flight", "c1", "step", held), series("free slots", "c2", "step", free)];
    let caption = format!(
        "Requests held by all targets and free slots of the ready ones; time-weighted means over {}. In-flight that \
         levels off where free slots reach 0 is a fleet at its limit.",
        time(report.series.bucket_ns)
    );
    let spec = over_time("in-flight", report, "requests in flight", main_times(report), lines);
    Some(Plot {
        id: "in-flight",
        section: "gauges",
        title: "In-flight and free slots over time",
        caption,
        wide: true,
        spec,
    })
}

/// As the client sees it: sent and not ended.
fn in_flight_of_client(report: &Report, held: Vec<Value>) -> Plot {
    let caption = format!(
        "Requests sent and not ended; time-weighted means over {}. In flight that keeps rising while the offered rate does \
         not shows a server that falls behind.",
        time(report.series.bucket_ns)
    );
    let spec = over_time(
        "in-flight",
        report,
        "requests in flight",
        main_times(report),
        vec![series("in flight", "c1", "step", held)],
    );
    Plot { id: "in-flight", section: "counts", title: "In flight over time", caption, wide: true, spec }
}

fn cpu(report: &Report) -> Option<Plot> {
    let bucket = report.series.bucket_ns.0;
    let line = |(i, (target, means)): (usize, &(TargetId, Vec<f64>))| {
        let row = report.targets.iter().find(|row| row.id == *target);
        let from = row.and_then(|row| row.ready_ns).unwrap_or_default().0 / bucket;
        let to = row.and_then(|row| row.stopped_ns).unwrap_or(Nanos::MAX).0 / bucket;
        let value =
            |(k, share): (usize, &f64)| number(Some(share * 100.0).filter(|_| (from..=to).contains(&(k as u64))));
        series(&target.to_string(), &format!("t{i}"), "line", means.iter().enumerate().map(value).collect())
    };
    let lines: Vec<Value> = report.plots.cpu.iter().enumerate().map(line).collect();
    let of = report.targets.len();
    let which = if lines.len() < of { format!(" The {} busiest of {of} targets.", lines.len()) } else { String::new() };
    let caption = format!(
        "Accounted utilisation: Σ demand of what a target holds ÷ its capacity; time-weighted means over {}.{which} \
         Lines that spread show a policy that loads targets unevenly.",
        time(report.series.bucket_ns)
    );
    let some = !lines.is_empty();
    let spec = over_time("cpu", report, "% of capacity", main_times(report), lines);
    some.then_some(Plot { id: "cpu", section: "gauges", title: "CPU per target over time", caption, wide: true, spec })
}

fn free_targets(report: &Report) -> Option<Plot> {
    let refused = report.free_targets_at_reject.as_ref()?;
    let rejected = report.gauges.free_targets_at_rejection.as_ref()?;
    let all: BTreeSet<u32> = refused.keys().chain(rejected.keys()).copied().collect();
    let most = *all.last()?;
    let line = |label, color, map: &BTreeMap<u32, u64>| {
        let values = (0..=most).map(|n| json!(map.get(&n).copied().unwrap_or_default())).collect();
        series(label, color, "bars", values)
    };
    let stacked =
        vec![line("refusals by a target", "c5", refused), line("requests rejected by a host", "c4", rejected)];
    let caption = "Other ready targets that had a free slot at the moment of a refusal or rejection (decision-sampled). Everything \
                   right of 0 is room that the policy did not find."
        .to_owned();
    let labels = (0..=most).map(|n| n.to_string()).collect();
    let spec = bars("free", labels, "targets with a free slot", "requests", stacked);
    Some(Plot {
        id: "free",
        section: "free",
        title: "Free targets at refusals and rejections",
        caption,
        wide: false,
        spec,
    })
}

fn fleet(report: &Report) -> Option<Plot> {
    let plots = &report.plots;
    let end = Nanos(report.series.rows.len() as u64 * report.series.bucket_ns.0);
    let ready = plots.fleet.last()?.1;
    // What happens at each instant: the fleet's new size, and the marks with the size that they stand at.
    type Instant = (Option<u32>, Vec<(FleetMark, u32)>);
    let mut at: BTreeMap<Nanos, Instant> = BTreeMap::new();
    for (t, count) in plots.fleet.iter().copied().chain([(end, ready)]) {
        at.entry(t).or_default().0 = Some(count);
    }
    for (t, mark, count) in &plots.marks {
        at.entry(*t).or_default().1.push((*mark, *count));
    }
    let mut current = 0;
    let line = at.values().map(|(count, _)| {
        current = count.unwrap_or(current);
        json!(current)
    });
    let mut lines = vec![series("ready targets", "c1", "step", line.collect())];
    for ((mark, label), color) in FleetMark::ALL.into_iter().zip(["c2", "c4", "c3", "c7"]) {
        let value = |marks: &Vec<(FleetMark, u32)>| marks.iter().find(|(m, _)| *m == mark).map(|(_, n)| *n);
        let values: Vec<Value> = at.values().map(|(_, marks)| json!(value(marks))).collect();
        if has_values(&values) {
            lines.push(series(label, color, "marks", values));
        }
    }
    let x = at.keys().map(|t| secs(t.0 as f64)).collect();
    let (shown, of) = (plots.marks.len(), plots.marks_of);
    let thinned =
        if shown < of { format!(" {} of {} marks.", count(shown as u64), count(of as u64)) } else { String::new() };
    let caption = format!("Ready targets, with the scaler's decisions marked where they were taken.{thinned}");
    let spec = over_time("fleet", report, "targets", x, lines);
    let title = "Fleet size and scaling decisions";
    Some(Plot { id: "fleet", section: "scaling", title, caption, wide: true, spec })
}

fn load(report: &Report) -> Option<Plot> {
    let targets = &report.targets[..report.targets.len().min(MOST_BARS)];
    let of = |field: fn(&crate::model::TargetReport) -> Option<u64>| targets.iter().map(|t| json!(field(t))).collect();
    let stacked =
        vec![series("accepted", "c1", "bars", of(|t| t.accepted)), series("refused", "c5", "bars", of(|t| t.refused))];
    let labels = targets.iter().map(|t| t.id.to_string()).collect();
    let cut = if targets.len() < report.targets.len() {
        format!(" The first {MOST_BARS} of {}.", report.targets.len())
    } else {
        String::new()
    };
    let caption = format!("Requests that each target took and refused over the whole run.{cut}");
    let spec = bars("load", labels, "target", "requests", stacked);
    (!targets.is_empty()).then_some(Plot {
        id: "load",
        section: "targets",
        title: "Load per target",
        caption,
        wide: true,
        spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_beside_a_window_that_does_not_bear_it() {
        let values = [json!(1), json!(2), Value::Null, json!(4)];
        let places = [None, Some(0), None, Some(1), None, Some(2), None, Some(3), None];
        let (gap, through) = (Value::Null, json!(false));
        let expected = [&gap, &values[0], &through, &values[1], &gap, &gap, &gap, &values[3], &gap].map(Value::clone);
        assert_eq!(spread(&values, places.into_iter()), expected);
    }
}
