//! The summary of a load generator's own run for a terminal: at most 30 lines.

use galton_core::Nanos;
use galton_core::users::UserEnds;

use super::{bytes, statuses, warm_up};
use crate::model::{Client, ErrorCount, Report};
use crate::slo::SloVerdict;
use crate::stats::{Quantile, Summary, quantile_name};
use crate::units::{NOT_AVAILABLE, bounded, count, percent, rate, time};
use crate::validity::{Reason, Severity};
use crate::write::tables::interval;
use crate::write::terminal::{Paint, verdict_code, wrap};

/// Lines of the summary: a line before it states the model, one behind it says where the report is.
const MOST_LINES: usize = 28;
/// Lines of the model; the rest is cut.
const MOST_MODEL: usize = 2;
/// Lines of a reason; the rest is cut.
const MOST_REASON: usize = 2;
/// Lines of what more requests would tell.
const MOST_NEEDS: usize = 2;
/// Objectives that are printed; the result holds the others.
const MOST_OBJECTIVES: usize = 6;
/// Lines of a text of an error; the rest is cut.
const MOST_ERROR: usize = 2;
/// Lines of all errors, if there is room for them, ...
const MOST_ERRORS: usize = 4;
/// ... and if there is none: a failure is never without a why.
const FEWEST_ERRORS: usize = 2;
/// Width of what a line begins with.
const LABEL: usize = 12;
/// The percentiles of the table.
const SHOWN: [f64; 7] = [0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0];
/// Those with their interval.
const WITH_INTERVAL: [f64; 2] = [0.5, 0.99];
/// Width of the response time's column, which has intervals, and of the others.
const WIDE: usize = 26;
const NARROW: usize = 11;

pub(in crate::write) fn write(report: &Report, client: &Client, width: usize, paint: &Paint) -> Vec<String> {
    let verdict = report.validity.verdict.to_string();
    let model = wrap(&client.model, width.saturating_sub(verdict.len() + 2), MOST_MODEL);
    let painted = paint.with(verdict_code(report.validity.verdict), &verdict);
    // What does not fit stands below the rest of it.
    let gap = " ".repeat(verdict.len());
    let head = model.iter().enumerate().map(|(i, line)| format!("{}  {line}", if i == 0 { &painted } else { &gap }));
    let mut lines: Vec<String> = head.collect();
    let mut body = Vec::new();
    body.extend(objectives(report, paint));
    body.extend(requests(report, client));
    body.extend(outcomes(report));
    let mut figures = table(report, paint);
    figures.extend(needs(&report.latency.response, width));
    let room =
        |taken: &[&[String]]| MOST_LINES.saturating_sub(taken.iter().map(|lines| lines.len()).sum::<usize>() + 1);
    body.extend(errors(client, width, room(&[&lines, &body, &figures]).clamp(FEWEST_ERRORS, MOST_ERRORS)));
    let room = room(&[&lines, &body, &figures]);
    lines.extend(reasons(report, width, room));
    lines.extend(body);
    lines.push(String::new());
    lines.extend(figures);
    lines
}

/// As many as there is room for.
fn reasons(report: &Report, width: usize, room: usize) -> Vec<String> {
    let line = |r: &Reason| {
        let note = if r.severity == Severity::Note { "note, " } else { "" };
        let lines = wrap(&format!("{note}{}: {}", r.code, r.text), width.saturating_sub(2), MOST_REASON);
        lines.into_iter().map(|line| format!("  {line}")).collect()
    };
    fitting(report.validity.reasons.iter().map(line), room, |n| format!("  and {n} more reasons in the result"))
}

/// As many as there is room for: what broke, the most frequent first.
fn errors(client: &Client, width: usize, room: usize) -> Vec<String> {
    let warm_up = if client.excluded.is_some() { ", warm-up included" } else { "" };
    let line = |one: &ErrorCount| {
        let text = format!("{} × {}{warm_up}: {}", one.reason.as_str(), count(one.requests), one.words());
        let lines = wrap(&text, width.saturating_sub(LABEL), MOST_ERROR).into_iter().enumerate();
        lines.map(|(i, line)| format!("{:<LABEL$}{line}", if i == 0 { "error" } else { "" })).collect()
    };
    fitting(client.errors.iter().map(line), room, |n| format!("{:<LABEL$}and {n} more in the result", "error"))
}

/// As many entries as there is room for, each of some lines, and a line that says how many more there are.
fn fitting(
    entries: impl ExactSizeIterator<Item = Vec<String>>,
    room: usize,
    more: impl Fn(usize) -> String,
) -> Vec<String> {
    let (all, mut lines) = (entries.len(), Vec::new());
    for (i, entry) in entries.enumerate() {
        let another = usize::from(i + 1 < all);
        if lines.len() + entry.len() + another > room {
            lines.push(more(all - i));
            break;
        }
        lines.extend(entry);
    }
    lines
}

fn objectives(report: &Report, paint: &Paint) -> Vec<String> {
    let line = |kept: &crate::slo::Kept| {
        let code = match kept.verdict {
            SloVerdict::Kept => "32",
            SloVerdict::Undecided => "33",
            SloVerdict::Missed => "31",
        };
        paint.with(code, &format!("{:<11} {}", "SLO", kept.text))
    };
    // The worst first: those are what somebody acts on.
    let mut worst: Vec<_> = report.slo.iter().collect();
    worst.sort_by_key(|kept| std::cmp::Reverse(kept.verdict));
    let mut lines: Vec<String> = worst.iter().take(MOST_OBJECTIVES).map(|kept| line(kept)).collect();
    if let Some(more) = report.slo.len().checked_sub(MOST_OBJECTIVES).filter(|n| *n > 0) {
        lines.push(format!("{:<11} and {more} more in the result", "SLO"));
    }
    lines
}

fn requests(report: &Report, client: &Client) -> Vec<String> {
    let c = &report.counts;
    let span = client.window_ns.end - client.window_ns.start;
    let planned = if c.unsent == 0 { String::new() } else { format!(", {} planned and never sent", count(c.unsent)) };
    let mut lines = vec![format!(
        "requests    {} in {}: {} offered, {} ok{planned}",
        count(c.offered),
        time(span),
        rate(report.rates.offered),
        rate(report.rates.completed)
    )];
    lines.extend(client.excluded.as_ref().map(|excluded| format!("warm-up     {}", warm_up(excluded))));
    let connections = client.connections;
    let received = bytes(client.body_bytes as f64);
    lines.push(format!(
        "connections {} opened, {} requests on a used one; {received} of bodies",
        count(connections.opened),
        count(connections.reused)
    ));
    lines.extend(report.run.users.map(users));
    let statuses = statuses(client);
    if !statuses.is_empty() {
        lines.push(format!("status      {statuses}"));
    }
    lines
}

fn users(users: UserEnds) -> String {
    let ends = [
        (users.budget_exhausted, "ended with the budget"),
        (users.horizon, "with the time"),
        (users.cancelled, "cancelled"),
        (users.unfinished, "unfinished"),
        (users.completed, "completed their session"),
    ];
    let some: Vec<String> =
        ends.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{} {how}", count(*n))).collect();
    format!("users       {}", some.join(", "))
}

/// Each outcome in a line, with what is known of its latency where it is not in the table.
fn outcomes(report: &Report) -> Vec<String> {
    let c = &report.counts;
    let reasons = |by: &std::collections::BTreeMap<&str, u64>| {
        let some = by.iter().filter(|(_, n)| **n > 0).map(|(r, n)| format!("{} × {}", r.replace('_', " "), count(*n)));
        some.collect::<Vec<_>>().join(", ")
    };
    let rows = [
        ("ok", c.ok, String::new()),
        ("rejected", c.rejected_in_all(), reasons(&c.rejected)),
        ("timed_out", c.timed_out, String::new()),
        ("failed", c.failed_in_all(), reasons(&c.failed)),
        ("shed", c.shed, String::new()),
        ("unfinished", c.unfinished, String::new()),
    ];
    let some = rows.into_iter().filter(|(name, n, _)| *n > 0 || *name == "ok");
    let line = |(name, n, why): (&str, u64, String)| {
        let share = if c.offered == 0 { NOT_AVAILABLE.to_owned() } else { percent(n as f64 / c.offered as f64) };
        let took = Some(name).filter(|name| !["ok", "timed_out"].contains(name));
        let took = took.and_then(|name| report.latency_by_outcome.get(name)).map(ended_after).unwrap_or_default();
        let told: Vec<String> = [why, took].into_iter().filter(|words| !words.is_empty()).collect();
        let told = told.join("; ");
        format!("{:<12}{:>10} {share:>8}  {told}", name.replace('_', " "), count(n)).trim_end().to_owned()
    };
    some.map(line).collect()
}

fn ended_after(s: &Summary) -> String {
    let known = |q: f64| s.quantiles.iter().find(|found| found.q == q && found.value.is_some()).map(value);
    let both = [(known(0.5), "p50"), (known(1.0), "max")];
    let both = both.into_iter().filter_map(|(value, name)| Some(format!("{} ({name})", value?)));
    format!("after {}", both.collect::<Vec<_>>().join(", "))
}

/// Percentiles downwards, latencies across: those that there are.
fn table(report: &Report, paint: &Paint) -> Vec<String> {
    let l = &report.latency;
    let all = [
        ("response time", &l.response),
        ("service", &l.service),
        ("hold", &l.hold),
        ("overhead", &l.overhead),
        ("send lag", &l.send_lag),
    ];
    let shown: Vec<(&str, &Summary)> = all
        .into_iter()
        .filter(|(name, s)| s.n > 0 || ["response time", "service", "send lag"].contains(name))
        .collect();
    let row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells = cells.enumerate();
        cells.fold(format!("{name:<8}"), |line, (i, cell)| {
            // The interval stands right of the value, so that values stay aligned.
            let (value, aside) = cell.split_once('\t').unwrap_or((&cell, ""));
            if i == 0 {
                line + &format!("{value:>10} {aside:<width$}", width = WIDE - 11)
            } else {
                line + &format!("{value:>NARROW$}")
            }
        })
    };
    let head = row("", &mut shown.iter().map(|(name, _)| (*name).to_owned()));
    let mut lines = vec![paint.with("1", head.replacen("response time", "response", 1).trim_end())];
    let mean = |s: &Summary| s.mean.map_or(NOT_AVAILABLE.to_owned(), |ns| bounded(Nanos(ns), s.censored > 0));
    lines.push(row("mean", &mut shown.iter().map(|(_, s)| mean(s))));
    for q in SHOWN {
        let name = if q == 1.0 { "max".to_owned() } else { quantile_name(q) };
        let cell = |s: &Summary| s.quantiles.iter().find(|found| found.q == q).map(with_interval).unwrap_or_default();
        lines.push(row(&name, &mut shown.iter().map(|(_, s)| cell(s))));
    }
    lines
}

fn value(q: &Quantile) -> String {
    q.value.map_or(NOT_AVAILABLE.to_owned(), |ns| bounded(Nanos(ns), q.censored))
}

/// The value, a tab, and its interval.
fn with_interval(q: &Quantile) -> String {
    let shown = WITH_INTERVAL.contains(&q.q) && q.value.is_some() && !q.censored;
    if !shown {
        return value(q);
    }
    let all = [q.lo, q.value, q.hi].map(|ns| ns.map(|ns| time(Nanos(ns))));
    let unit = |text: &Option<String>| text.as_ref().and_then(|text| Some(text.split_once(' ')?.1.to_owned()));
    let one_unit = unit(&all[0]).filter(|first| all.iter().all(|one| unit(one).as_ref() == Some(first)));
    let interval = match &one_unit {
        Some(unit) => interval(q.lo, q.hi).replace(&format!(" {unit}"), ""),
        None => interval(q.lo, q.hi),
    };
    format!("{}\t{interval}", value(q))
}

/// What it takes to know more.
fn needs(s: &Summary, width: usize) -> Vec<String> {
    let missing = s.quantiles.iter().filter(|found| SHOWN.contains(&found.q));
    let missing =
        missing.filter_map(|found| Some(format!("{} takes {}", quantile_name(found.q), count(found.needs_n?))));
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() {
        return Vec::new();
    }
    wrap(&format!("n/a: too few requests ({}): {}", count(s.n), missing.join(", ")), width, MOST_NEEDS)
}

#[cfg(test)]
mod tests {
    use galton_core::Outcome;

    use crate::compute::client_tests::report_of;

    #[test]
    fn nothing_is_cut_within_a_number_and_no_reason_leaves_no_semicolon() {
        let report = report_of([(Outcome::Ok, 5), (Outcome::Unfinished, 5)].into_iter());
        let summary = report.summary(80, false);
        assert!(summary.lines().all(|line| line.chars().count() <= 80), "{summary}");
        assert!(summary.contains("n/a: too few requests (1): p50 takes 6, p80 takes 17"), "{summary}");
        assert!(summary.trim_end().ends_with("p99.9 takes 3,688"), "{summary}");
        assert!(summary.contains("unfinished           1     50 %  after 5 ms (max)"), "{summary}");
    }
}
