//! Counts, conservation, retries, free targets at refusals and rejections.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cell, Section, Table};
use crate::model::Report;
use crate::units::{NOT_AVAILABLE, count, percent, rate, things};

pub(super) fn counts(report: &Report) -> Section {
    let c = &report.counts;
    let mut table = Table::new(
        "Requests of the measured window, by outcome. Shares are of what was offered.",
        &["outcome", "reason"],
        &["requests", "share"],
    );
    let share = |n: u64| if c.offered == 0 { NOT_AVAILABLE.to_owned() } else { percent(n as f64 / c.offered as f64) };
    let mut add = |outcome: &str, reason: &str, n: u64| {
        table.row([outcome.to_owned(), reason.to_owned(), count(n), share(n)]);
    };
    add("offered", "", c.offered);
    add("ok", "", c.ok);
    // Against any server: the reasons of Galton's that did not occur are none of its.
    let shown = |n: &u64| *n > 0 || report.client.is_none();
    c.rejected.iter().filter(|(_, n)| shown(n)).for_each(|(reason, n)| add("rejected", reason, *n));
    add("timed out", "", c.timed_out);
    c.failed.iter().for_each(|(reason, n)| add("failed", reason, *n));
    add("shed", "", c.shed);
    add("unfinished", "", c.unfinished);
    let mut rates = Table::new("Rates over the measured window.", &["rate"], &["per second"]);
    rates.row([Cell::from("offered"), Cell::from(rate(report.rates.offered))]);
    rates.row([Cell::from("achieved (ok responses)"), Cell::from(rate(report.rates.completed))]);
    let intro = format!("{} planned, {} of them unsent.", count(c.planned), count(c.unsent));
    Section { id: "counts", title: "Counts and rates", intro, tables: vec![table, rates] }
}

pub(super) fn conservation(report: &Report) -> Section {
    let alone = report.client.is_some();
    let between =
        if alone { "The generator's own books" } else { "Load generator, proxies and targets against each other" };
    let columns = ["left", "right", "never arrived"];
    let mut table = Table::new(
        format!("{between}, over the whole run, warm-up and drain included."),
        &["equation", "holds"],
        if alone { &columns[..2] } else { &columns },
    );
    for row in &report.conservation.rows {
        let holds = if row.ok { "yes" } else { "NO" };
        let never = row.never.map(count).unwrap_or_default();
        let cells = [row.what.to_owned(), holds.to_owned(), count(row.left), count(row.right), never];
        table.row(cells.into_iter().take(table.columns.len()));
    }
    let intro = if report.conservation.ok { "Nothing vanished." } else { "Something does not add up." };
    Section { id: "conservation", title: "Conservation", intro: intro.to_owned(), tables: vec![table] }
}

pub(super) fn retries(report: &Report) -> Section {
    let most: BTreeSet<u32> = report.retries.values().flat_map(BTreeMap::keys).copied().collect();
    let names: Vec<String> = most.iter().map(u32::to_string).collect();
    let columns: Vec<&str> = ["no attempt"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let caption = "Requests by outcome and number of retries (attempts − 1).";
    let mut table = Table::new(caption, &["outcome, retries"], &columns);
    let none = &report.no_attempt_by_outcome;
    for class in report.retries.keys().chain(none.keys()).collect::<BTreeSet<_>>() {
        let histogram = report.retries.get(class);
        let with = |n: &u32| count(histogram.and_then(|h| h.get(n)).copied().unwrap_or_default());
        let without = count(none.get(class).copied().unwrap_or_default());
        table.row([class.replace('_', " "), without].into_iter().chain(most.iter().map(with)));
    }
    let (mut requests, mut retries) = (0, 0);
    for (n, k) in report.retries.values().flatten() {
        (requests, retries) = (requests + k, retries + k * u64::from(*n));
    }
    let mean = retries as f64 / requests.max(1) as f64;
    let intro = format!(
        "{mean:.3} retries per request with an attempt; {} requests ended without any attempt.",
        count(report.no_attempt)
    );
    Section { id: "retries", title: "Retries", intro, tables: vec![table] }
}

pub(super) fn free_targets(report: &Report) -> Section {
    let caption = "Refusals and rejections by the number of other ready targets that had a free slot at that moment. \
                   A refusal while others were free is one that a better choice would have avoided.";
    let mut table = Table::new(caption, &["free targets"], &["refusals by a target", "requests rejected by a host"]);
    let (refused, rejected) = (&report.free_targets_at_reject, &report.gauges.free_targets_at_rejection);
    let mut intro = report.gauges.note.unwrap_or_default().to_owned();
    if let (Some(refused), Some(rejected)) = (refused, rejected) {
        let at = |map: &BTreeMap<u32, u64>, n: u32| count(map.get(&n).copied().unwrap_or_default());
        for n in refused.keys().chain(rejected.keys()).copied().collect::<BTreeSet<u32>>() {
            table.row([n.to_string(), at(refused, n), at(rejected, n)]);
        }
        let all: u64 = refused.values().sum();
        let avoidable: u64 = refused.range(1..).map(|(_, n)| n).sum();
        let share = percent(avoidable as f64 / all.max(1) as f64);
        let used = report.gauges.slot_use.map_or(NOT_AVAILABLE.to_owned(), percent);
        let refusals = match all {
            0 => "No target refused.".to_owned(),
            _ => format!("Of {}, {share} met a full target while another ready one had room.", things(all, "refusal")),
        };
        intro = format!("{refusals} Slots of ready targets in use: {used} (time-weighted).");
    }
    Section { id: "free", title: "Free targets at refusals and rejections", intro, tables: vec![table] }
}
