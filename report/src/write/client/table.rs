//! The sections of a load generator's own run, for pages and markdown.

use super::{bytes, statuses, warm_up};
use crate::model::{Client, Report};
use crate::stats::Summary;
use crate::units::{count, percent, rate, time};
use crate::write::tables::{Cell, Section, Table};

/// What only the generator knows.
pub(in crate::write) fn load(report: &Report, client: &Client) -> Section {
    let mut table = Table::new("", &["", ""], &[]);
    table.row(["model", &client.model]);
    table.row(["to", &client.to]);
    let window = client.window_ns;
    table.row(["measured", &format!("from {} to {}", time(window.start), time(window.end))]);
    if let Some(excluded) = &client.excluded {
        table.row(["warm-up", &warm_up(excluded)]);
    }
    let from = if client.timeout_from_send { "actual" } else { "intended" };
    table.row(["timeout", &format!("{} from the {from} send", time(client.timeout_ns))]);
    let connections = client.connections;
    let exhausted = match connections.exhausted {
        0 => String::new(),
        n => format!(", {} not opened for want of descriptors or ports", count(n)),
    };
    let opened = format!(
        "{} opened, {} requests on a used one{exhausted}",
        count(connections.opened),
        count(connections.reused)
    );
    table.row(["connections", &opened]);
    let secs = (window.end - window.start).as_secs_f64();
    let received = bytes(client.body_bytes as f64);
    let per_sec = if secs > 0.0 { format!(", {}/s", bytes(client.body_bytes as f64 / secs)) } else { String::new() };
    table.row(["bodies", &format!("{received}{per_sec}")]);
    if !client.statuses.is_empty() {
        table.row(["HTTP status", &statuses(client)]);
    }
    let generator = client.generator;
    let busiest = format!(
        "{} of a core at most, {} of CPU in all, longest stall {}",
        percent(generator.peak_thread_cpu),
        time(generator.cpu_ns),
        time(generator.longest_stall_ns)
    );
    table.row(["generator", &busiest]);
    if !client.merged.is_empty() {
        let names: Vec<&str> = client.merged.iter().map(|run| run.name.as_str()).collect();
        table.row(["merged from", &names.join(", ")]);
    }
    let intro = format!("{} offered, {} ok.", rate(report.rates.offered), rate(report.rates.completed));
    Section { id: "load", title: "Load", intro, tables: vec![table, errors(client)] }
}

fn errors(client: &Client) -> Table {
    let caption = "Requests that failed without a whole response, by what broke, over the whole run.";
    let mut table = Table::new(caption, &["reason", "error"], &["requests"]);
    for one in client.errors.iter() {
        table.row([one.reason.as_str().to_owned(), one.words().to_owned(), count(one.requests)]);
    }
    table
}

/// Objectives; none: nothing was promised.
pub(in crate::write) fn slo(report: &Report) -> Option<Section> {
    let mut table = Table::new("", &["objective", "verdict", "found"], &[]);
    for kept in &report.slo {
        let found = kept.text.splitn(3, ": ").nth(2).unwrap_or_default().to_owned();
        table.row([kept.objective.clone(), kept.verdict.to_string(), found]);
    }
    let kept = report.slo.iter().filter(|kept| kept.verdict == crate::slo::SloVerdict::Kept).count();
    let intro = format!("{kept} of {} kept.", report.slo.len());
    (!report.slo.is_empty()).then(|| Section { id: "slo", title: "Objectives", intro, tables: vec![table] })
}

/// The latencies that there are: a client knows of holds and overhead what a Galton server tells it.
pub(in crate::write) fn latency_rows(report: &Report) -> Vec<(Cell, &Summary)> {
    let l = &report.latency;
    let all = [
        (Cell::with("Response time", "from intended send; ok, timed out"), &l.response),
        (Cell::with("Service latency", "from actual send; ok, timed out"), &l.service),
        (Cell::with("Hold time", "on the target; ok"), &l.hold),
        (Cell::with("Overhead", "at the load balancer; ok"), &l.overhead),
        (Cell::with("Send lag", "actual − intended send; all sent"), &l.send_lag),
    ];
    let known = |summary: &Summary| summary.n > 0 || report.client.is_none();
    all.into_iter().filter(|(_, summary)| known(summary)).collect()
}
