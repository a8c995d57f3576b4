//! The figures that a reader wants first.

use galton_core::Nanos;

use crate::model::Report;
use crate::stats::Summary;
use crate::units::{NOT_AVAILABLE, bounded, count, digits, percent, rate, time};
use crate::write::page::escape;

pub(super) fn write(report: &Report) -> String {
    let c = &report.counts;
    let share = |n: u64| if c.offered == 0 { NOT_AVAILABLE.to_owned() } else { percent(n as f64 / c.offered as f64) };
    let not_ok = c.offered - c.ok;
    let response = &report.latency.response;
    let retries: u64 = report.retries.values().flatten().map(|(n, k)| u64::from(*n) * k).sum();
    let per_request = retries as f64 / c.offered.max(1) as f64;
    let fleet = report.gauges.fleet.time.as_ref().map_or(NOT_AVAILABLE.to_owned(), |g| digits(g.mean));
    let slots = report.gauges.slot_use.map_or(NOT_AVAILABLE.to_owned(), percent);
    let cards = [
        ("Offered", rate(report.rates.offered), format!("{} requests", count(c.offered))),
        ("Achieved", rate(report.rates.completed), format!("{} ok", share(c.ok))),
        ("Not ok", share(not_ok), format!("{} requests", count(not_ok))),
        ("Response p50", quantile(response, 0.5), aside(response)),
        ("Response p99", quantile(response, 0.99), interval(response, 0.99)),
        ("Retries", format!("{per_request:.3}"), "per offered request".to_owned()),
        ("Targets", fleet, format!("on average, {} at most", report.scaling.peak)),
        ("Slots in use", slots, "time-weighted".to_owned()),
    ];
    let cards = match &report.client {
        None => &cards[..],
        // A client sees no retries and no targets.
        Some(_) => &cards[..5],
    };
    let card = |(name, value, aside): (&str, String, String)| {
        let (value, aside) = (escape(&value), escape(&aside));
        format!("<div class=\"card\"><span>{name}</span><b>{value}</b><small>{aside}</small></div>\n")
    };
    format!("<div class=\"cards\">\n{}</div>\n", cards.iter().cloned().map(card).collect::<String>())
}

fn quantile(s: &Summary, q: f64) -> String {
    let found = s.quantiles.iter().find(|found| found.q == q);
    let show = |q: &crate::stats::Quantile| Some(bounded(Nanos(q.value?), q.censored));
    found.and_then(show).unwrap_or_else(|| NOT_AVAILABLE.to_owned())
}

fn aside(s: &Summary) -> String {
    s.mean.map_or(String::new(), |ns| format!("mean {}", bounded(Nanos(ns), s.censored > 0)))
}

fn interval(s: &Summary, q: f64) -> String {
    let Some(found) = s.quantiles.iter().find(|found| found.q == q) else { return String::new() };
    match (found.lo, found.hi, found.needs_n) {
        (Some(lo), Some(hi), _) => format!("95 % CI {} to {}", time(Nanos(lo)), time(Nanos(hi))),
        (Some(lo), None, _) => format!("95 % CI from {}", time(Nanos(lo))),
        (_, _, Some(n)) => format!("needs {} requests", count(n)),
        _ => String::new(),
    }
}
