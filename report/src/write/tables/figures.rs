//! Percentiles of latencies and of gauges.

use galton_core::Nanos;

use super::{Cell, Section, Table};
use crate::model::Report;
use crate::stats::{GaugeSummary, QUANTILES, Quantile, Summary, quantile_name};
use crate::units::{NOT_AVAILABLE, bounded, count, digits, percent, things, time};

pub(super) fn latency(report: &Report) -> Section {
    let l = &report.latency;
    let mut by_name = latency_table(
        "Latencies of the measured window. In brackets: 95 % confidence interval of the percentile, \
         corrected for the correlation of neighbouring requests. n eff: independent requests that n are worth.",
        "latency",
    );
    for (name, summary) in crate::write::client::latency_rows(report) {
        by_name.rows.push(latency_row(name, summary));
    }
    let mut by_outcome = latency_table("Response time by outcome.", "outcome");
    for (class, summary) in &report.latency_by_outcome {
        by_outcome.rows.push(latency_row(class.replace('_', " ").into(), summary));
    }
    let censored = match l.response.censored {
        0 => String::new(),
        n => format!(
            " {} counted with the deadline: ≥ marks what lies among them, and the means that hold them.",
            things(n, "timed-out request")
        ),
    };
    let intro = format!(
        "A percentile that the sample cannot bear is n/a, with the number of requests it would take.{censored}"
    );
    Section { id: "latency", title: "Response time and its parts", intro, tables: vec![by_name, by_outcome] }
}

fn latency_table(caption: &str, first: &str) -> Table {
    let names: Vec<String> = QUANTILES.iter().map(|q| quantile_name(*q)).collect();
    let mut columns = vec!["n", "n eff", "mean", "std", "min"];
    columns.extend(names.iter().map(String::as_str));
    largest_first(&mut columns);
    Table::new(caption, &[first], &columns)
}

fn latency_row(name: Cell, s: &Summary) -> Vec<Cell> {
    let figure = |ns: Option<u64>| Cell::from(ns.map_or(NOT_AVAILABLE.to_owned(), |ns| time(Nanos(ns))));
    let mut row = vec![name, count(s.n).into(), count(s.n_eff).into()];
    let mean = s.mean.map_or(NOT_AVAILABLE.to_owned(), |ns| bounded(Nanos(ns), s.censored > 0));
    row.extend([mean.into(), figure(s.std), figure(s.min)]);
    row.extend(s.quantiles.iter().map(quantile_cell));
    largest_first(&mut row[1..]);
    row
}

/// The last percentile, the largest value, beside the smallest one: what stands far right is not seen.
fn largest_first<T>(columns: &mut [T]) {
    columns[5..].rotate_right(1);
}

/// `104 ms` with its interval, `≥ 900 ms`, or `n/a` with the number of requests it takes.
pub(super) fn quantile_cell(q: &Quantile) -> Cell {
    let Some(value) = q.value else {
        let needs = q.needs_n.map(|n| format!("needs {}", count(n))).unwrap_or_default();
        return Cell::with(NOT_AVAILABLE, needs);
    };
    Cell::with(bounded(Nanos(value), q.censored), if q.q < 1.0 { interval(q.lo, q.hi) } else { String::new() })
}

/// `[101, 108 ms]`: the unit once, where both ends have the same.
pub(in crate::write) fn interval(lo: Option<u64>, hi: Option<u64>) -> String {
    let [lo, hi] = [lo, hi].map(|ns| ns.map_or("–".to_owned(), |ns| time(Nanos(ns))));
    match (lo.split_once(' '), hi.split_once(' ')) {
        (Some((low, unit)), Some((_, same))) if unit == same => format!("[{low}, {hi}]"),
        _ => format!("[{lo}, {hi}]"),
    }
}

pub(super) fn gauges(report: &Report) -> Section {
    let g = &report.gauges;
    let names: Vec<String> = QUANTILES.iter().map(|q| quantile_name(*q)).collect();
    let columns = ["mean", "std", "min"].into_iter().chain(names.iter().map(String::as_str));
    let mut table = Table::new(
        "Gauges of the measured window, rebuilt from the merged records of all hosts.",
        &["gauge", "sampling"],
        &columns.collect::<Vec<_>>(),
    );
    let whole: fn(f64) -> String = digits;
    let share: fn(f64) -> String = percent;
    let mut gauges = vec![
        ("In-flight per target (requests)", &g.target_in_flight, whole),
        ("CPU per target, accounted (% of capacity)", &g.target_cpu, share),
    ];
    let measured = g.target_cpu_measured.as_ref();
    gauges.extend(measured.map(|both| ("CPU per target, measured (% of capacity)", both, share)));
    gauges.extend([
        ("Targets in the fleet (ready)", &g.fleet, whole),
        ("Free slots, all ready targets", &g.free_slots, whole),
        ("In-flight, all targets (requests)", &g.in_flight, whole),
    ]);
    for (name, both, show) in gauges {
        for (sampling, summary) in [("decision-sampled", &both.decision), ("time-weighted", &both.time)] {
            table.rows.push(gauge_row(name, sampling, summary.as_ref(), g.note, show));
        }
    }
    let intro =
        "Decision-sampled: what each decision of a load balancer met, so busy and refusing moments weigh more. \
                 Time-weighted: the course of the run, each moment alike. The two answer different questions."
            .to_owned();
    Section { id: "gauges", title: "In-flight, CPU, fleet", intro, tables: vec![table] }
}

fn gauge_row(
    name: &str,
    sampling: &str,
    summary: Option<&GaugeSummary>,
    note: Option<&str>,
    show: fn(f64) -> String,
) -> Vec<Cell> {
    let mut row: Vec<Cell> = vec![name.into(), sampling.into()];
    let Some(s) = summary else {
        row.push(note.unwrap_or(NOT_AVAILABLE).into());
        row.resize_with(5 + QUANTILES.len(), Cell::default);
        return row;
    };
    row.extend([s.mean, s.std, s.min].map(|v| Cell::from(show(v))));
    row.extend(s.quantiles.iter().map(|q| match (q.value, q.needs_n) {
        (Some(value), _) => show(value).into(),
        (None, Some(n)) => Cell::with(NOT_AVAILABLE, format!("needs {}", count(n))),
        (None, None) => NOT_AVAILABLE.into(),
    }));
    row
}
