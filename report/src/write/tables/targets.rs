//! One row per target.

use galton_core::Nanos;

use super::figures::quantile_cell;
use super::{Cell, Section, Table};
use crate::model::{BothSamplings, Report, TargetReport};
use crate::stats::Summary;
use crate::units::{NOT_AVAILABLE, count, digits, instant, percent};

pub(super) fn section(report: &Report) -> Section {
    let intro = "Counts and times cover the whole run; percentiles the measured window.".to_owned();
    Section { id: "targets", title: "Targets", intro, tables: vec![load(report), times(report)] }
}

fn load(report: &Report) -> Table {
    let mut table = Table::new(
        "Load per target. In-flight and CPU (accounted) as decision-sampled · time-weighted; CPU used: cores that its \
         processes really used while they served.",
        &["target"],
        &[
            "requests",
            "accepted",
            "refused",
            "in-flight mean",
            "in-flight p50",
            "in-flight p99",
            "in-flight max",
            "CPU mean",
            "CPU p50",
            "CPU p99",
            "CPU used (cores)",
            "burned (cores)",
        ],
    );
    for t in &report.targets {
        let missing = || report.gauges.note.unwrap_or(NOT_AVAILABLE).to_owned();
        let mut row: Vec<Cell> = vec![t.id.to_string().into(), t.requests.map_or_else(missing, count).into()];
        row.extend([t.accepted, t.refused].map(|n| Cell::from(n.map_or_else(missing, count))));
        row.push(both(&t.in_flight, None, digits));
        row.extend([0.5, 0.99, 1.0].map(|q| both(&t.in_flight, Some(q), digits)));
        row.push(both(&t.cpu, None, percent));
        row.extend([0.5, 0.99].map(|q| both(&t.cpu, Some(q), percent)));
        row.extend(
            [t.cpu_cores, t.cpu_cores_burned].map(|c| Cell::from(c.map(|c| format!("{c:.3}")).unwrap_or_default())),
        );
        table.rows.push(row);
    }
    table.cut()
}

/// A figure under both samplings: the mean, or a quantile.
fn both(gauge: &BothSamplings, q: Option<f64>, show: fn(f64) -> String) -> Cell {
    let one = |summary: &Option<crate::stats::GaugeSummary>| {
        let summary = summary.as_ref()?;
        let Some(q) = q else { return Some(summary.mean) };
        summary.quantiles.iter().find(|found| found.q == q)?.value
    };
    let [decision, time] = [&gauge.decision, &gauge.time].map(|s| one(s).map_or(NOT_AVAILABLE.to_owned(), show));
    if decision == NOT_AVAILABLE && time == NOT_AVAILABLE {
        return NOT_AVAILABLE.into();
    }
    format!("{decision} · {time}").into()
}

fn times(report: &Report) -> Table {
    let mut table = Table::new(
        "Latencies and life of each target.",
        &["target"],
        &[
            "hold mean",
            "hold p50",
            "hold p99",
            "response mean",
            "response p50",
            "response p99",
            "started",
            "ready",
            "drained",
            "stopped",
            "restarts",
        ],
    );
    for t in &report.targets {
        let mut row = vec![t.id.to_string().into()];
        row.extend(figures(&t.hold));
        row.extend(figures(&t.response));
        row.extend(life(t));
        row.push(t.restarts.to_string().into());
        table.rows.push(row);
    }
    table.cut()
}

fn figures(s: &Summary) -> [Cell; 3] {
    let at = |q: f64| {
        let found = s.quantiles.iter().find(|found| found.q == q);
        // The interval would make the table too wide; result.json has it.
        found.map(quantile_cell).map_or_else(Cell::default, |cell| Cell::from(cell.text))
    };
    let mean = s.mean.map_or(NOT_AVAILABLE.to_owned(), |ns| crate::units::time(Nanos(ns)));
    [mean.into(), at(0.5), at(0.99)]
}

fn life(t: &TargetReport) -> [Cell; 4] {
    [t.started_ns, t.ready_ns, t.drained_ns, t.stopped_ns].map(|at| at.map(instant).unwrap_or_default().into())
}
