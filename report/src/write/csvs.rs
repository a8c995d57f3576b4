//! The CSV files of a report: the series, and the tables that people load into something else. Times are nanoseconds.

use std::fmt::Write;

use crate::model::{Report, Row};
use crate::stats::{GaugeSummary, Summary, quantile_name};

/// Names and contents.
pub(super) fn write(report: &Report) -> Vec<(&'static str, String)> {
    let latency = &report.series.latency;
    if report.client.is_some() {
        return of_client(report);
    }
    vec![
        ("series.csv", rows(report.series.columns, &report.series.rows)),
        ("latency_series.csv", rows(latency.columns, &latency.rows)),
        ("percentiles.csv", percentiles(report)),
        ("gauges.csv", gauges(report)),
        ("retries.csv", retries(report)),
        ("targets.csv", targets(report)),
        ("histograms.csv", histograms(report)),
    ]
}

/// Without what a client cannot see.
fn of_client(report: &Report) -> Vec<(&'static str, String)> {
    let latency = &report.series.latency;
    let mut files = vec![
        ("series.csv", rows(report.series.columns, &report.series.rows)),
        ("latency_series.csv", rows(latency.columns, &latency.rows)),
        ("percentiles.csv", percentiles(report)),
        ("histograms.csv", histograms(report)),
    ];
    if !report.retries.is_empty() {
        files.push(("retries.csv", retries(report)));
    }
    files
}

/// Appends a line. Writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($arg:tt)*) => { writeln!($text, $($arg)*).expect("a string takes every line") };
}

fn rows(columns: &[&str], rows: &[Row]) -> String {
    let mut text = columns.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.0.iter().map(|cell| cell.map(|v| v.to_string()).unwrap_or_default()).collect();
        line!(text, "{}", cells.join(","));
    }
    text
}

fn opt<T: ToString>(value: Option<T>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

fn percentiles(report: &Report) -> String {
    let mut text = "latency,n,n_eff,quantile,value_ns,lo_ns,hi_ns,needs_n,censored\n".to_owned();
    let latency = &report.latency;
    let mut add = |name: &str, s: &Summary| {
        if s.n == 0 && report.client.is_some() {
            return;
        }
        for q in &s.quantiles {
            let (value, lo, hi, needs) = (opt(q.value), opt(q.lo), opt(q.hi), opt(q.needs_n));
            line!(text, "{name},{},{},{},{value},{lo},{hi},{needs},{}", s.n, s.n_eff, quantile_name(q.q), q.censored);
        }
    };
    add("response", &latency.response);
    add("service", &latency.service);
    add("hold", &latency.hold);
    add("overhead", &latency.overhead);
    add("send_lag", &latency.send_lag);
    for (class, summary) in &report.latency_by_outcome {
        add(&format!("response of {class}"), summary);
    }
    text
}

fn gauges(report: &Report) -> String {
    let mut text = "gauge,sampling,mean,std,min,quantile,value\n".to_owned();
    let gauges = &report.gauges;
    let measured = gauges.target_cpu_measured.iter().map(|both| ("target_cpu_measured", both));
    let named = [
        ("target_in_flight", &gauges.target_in_flight),
        ("target_cpu", &gauges.target_cpu),
        ("fleet", &gauges.fleet),
        ("free_slots", &gauges.free_slots),
        ("in_flight", &gauges.in_flight),
    ];
    for (name, both) in named.into_iter().chain(measured) {
        for (sampling, summary) in [("decision", &both.decision), ("time", &both.time)] {
            let Some(GaugeSummary { mean, std, min, quantiles, .. }) = summary else { continue };
            for q in quantiles {
                line!(text, "{name},{sampling},{mean},{std},{min},{},{}", quantile_name(q.q), opt(q.value));
            }
        }
    }
    text
}

fn retries(report: &Report) -> String {
    let mut text = "outcome,retries,requests\n".to_owned();
    for (class, histogram) in &report.retries {
        for (retries, requests) in histogram {
            line!(text, "{class},{retries},{requests}");
        }
    }
    text
}

fn targets(report: &Report) -> String {
    let mut text = "target,requests,accepted,refused,restarts,started_ns,ready_ns,drained_ns,stopped_ns,\
                    in_flight_mean,cpu_mean,cpu_cores,hold_mean_ns,response_mean_ns\n"
        .to_owned();
    for t in &report.targets {
        let mean = |summary: &Option<GaugeSummary>| opt(summary.as_ref().map(|s| s.mean));
        let times = [t.started_ns, t.ready_ns, t.drained_ns, t.stopped_ns].map(|at| opt(at.map(|at| at.0)));
        line!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{}",
            t.id,
            opt(t.requests),
            opt(t.accepted),
            opt(t.refused),
            t.restarts,
            times.join(","),
            mean(&t.in_flight.time),
            mean(&t.cpu.time),
            opt(t.cpu_cores),
            opt(t.hold.mean),
            opt(t.response.mean)
        );
    }
    text
}

/// Mergeable over runs: add the counts of equal values, never average percentiles.
fn histograms(report: &Report) -> String {
    let mut text = "latency,up_to_ns,requests\n".to_owned();
    for (name, histogram) in &report.plots.histograms {
        for (value, requests) in histogram {
            line!(text, "{name},{value},{requests}");
        }
    }
    text
}
