//! The summary for a terminal: at most 30 lines, a unit on every number, colour only when asked.

use galton_core::Nanos;

use crate::model::Report;
use crate::stats::{GaugeSummary, Summary};
use crate::units::{NOT_AVAILABLE, bounded, count, digits, percent, rate, things};
use crate::validity::{Severity, Verdict};

/// Reasons that are printed; the report holds the others.
const MOST_REASONS: usize = 4;
/// Lines of a reason; the rest is cut.
const MOST_REASON: usize = 2;
/// Lines of the scenario's sentence; the rest is cut.
const MOST_SENTENCE: usize = 3;
/// Narrower than this nothing is readable.
const NARROWEST: usize = 40;

pub(super) fn write(report: &Report, width: usize, color: bool) -> String {
    let paint = Paint { color };
    let width = width.max(NARROWEST);
    if let Some(client) = &report.client {
        let lines = super::client::terminal(report, client, width, &paint);
        return lines.iter().map(|line| cut(line, width) + "\n").collect();
    }
    let mut lines = verdict(report, width, &paint);
    lines.extend(wrap(&report.summary, width, MOST_SENTENCE));
    lines.push(String::new());
    lines.extend(counts(report));
    lines.push(String::new());
    lines.extend(latencies(report, &paint));
    lines.push(String::new());
    lines.extend(fleet(report));
    lines.iter().map(|line| cut(line, width) + "\n").collect()
}

fn verdict(report: &Report, width: usize, paint: &Paint) -> Vec<String> {
    let validity = &report.validity;
    let code = verdict_code(validity.verdict);
    let meta = &report.run.meta;
    let head = format!("{}  {}, seed {}", paint.with(code, &validity.verdict.to_string()), meta.id, report.run.seed);
    let mut lines = vec![head];
    for r in validity.reasons.iter().take(MOST_REASONS) {
        let mark = if r.severity == Severity::Note { "note" } else { &r.code };
        let text = format!("{mark}: {} (limit {})", r.text, r.limit);
        lines.extend(wrap(&text, width - 2, MOST_REASON).into_iter().map(|line| format!("  {line}")));
    }
    if let Some(more) = validity.reasons.len().checked_sub(MOST_REASONS).filter(|n| *n > 0) {
        lines.push(format!("  and {more} more reasons in the report"));
    }
    lines
}

/// The colour of a verdict.
pub(super) fn verdict_code(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "32",
        Verdict::Suspect => "33",
        Verdict::Invalid => "31",
    }
}

fn counts(report: &Report) -> Vec<String> {
    let c = &report.counts;
    let of = |n: u64| {
        let share = if c.offered == 0 { NOT_AVAILABLE.to_owned() } else { percent(n as f64 / c.offered as f64) };
        format!("{:>10} requests {share:>9}", count(n))
    };
    let mut lines = vec![
        format!("offered   {}   {}", of(c.offered), rate(report.rates.offered)),
        format!("ok        {}   {}", of(c.ok), rate(report.rates.completed)),
    ];
    let reasons = |by: &std::collections::BTreeMap<&str, u64>| {
        let some: Vec<String> = by.iter().filter(|(_, n)| **n > 0).map(|(r, n)| format!("{r} {}", count(*n))).collect();
        some.join(", ")
    };
    for (name, n, why) in [
        ("rejected", c.rejected_in_all(), reasons(&c.rejected)),
        ("timed out", c.timed_out, String::new()),
        ("failed", c.failed_in_all(), reasons(&c.failed)),
        ("shed", c.shed, String::new()),
        ("unfinished", c.unfinished, String::new()),
    ] {
        if n > 0 {
            lines.push(format!("{name:<10}{}   {why}", of(n)));
        }
    }
    lines
}

fn latencies(report: &Report, paint: &Paint) -> Vec<String> {
    let l = &report.latency;
    let head = format!("{:<12}{:>11}{:>11}{:>11}{:>11}{:>11}", "", "mean", "p50", "p90", "p99", "max");
    let mut lines = vec![paint.with("1", &head)];
    for (name, summary) in [
        ("response", &l.response),
        ("service", &l.service),
        ("hold", &l.hold),
        ("overhead", &l.overhead),
        ("send lag", &l.send_lag),
    ] {
        lines.push(latency(name, summary));
    }
    lines
}

fn latency(name: &str, s: &Summary) -> String {
    let at = |q: f64| {
        let found = s.quantiles.iter().find(|found| found.q == q);
        let show = |q: &crate::stats::Quantile| Some(bounded(Nanos(q.value?), q.censored));
        found.and_then(show).unwrap_or_else(|| NOT_AVAILABLE.to_owned())
    };
    let mean = s.mean.map_or(NOT_AVAILABLE.to_owned(), |ns| bounded(Nanos(ns), s.censored > 0));
    format!("{name:<12}{mean:>11}{:>11}{:>11}{:>11}{:>11}", at(0.5), at(0.9), at(0.99), at(1.0))
}

fn fleet(report: &Report) -> Vec<String> {
    let (g, s) = (&report.gauges, &report.scaling);
    let missing = g.note.unwrap_or(NOT_AVAILABLE);
    let mean = |summary: &Option<GaugeSummary>, show: fn(f64) -> String| {
        summary.as_ref().map_or_else(|| missing.to_owned(), |s| show(s.mean))
    };
    let retries: u64 = report.retries.values().flatten().map(|(n, k)| u64::from(*n) * k).sum();
    let avoidable = match &report.free_targets_at_reject {
        Some(map) => {
            let met: u64 = map.range(1..).map(|(_, n)| n).sum();
            format!("{}, {} while another target had room", things(map.values().sum(), "refusal"), count(met))
        }
        None => missing.to_owned(),
    };
    vec![
        format!(
            "targets     {} on average, {} at most; {}, {}",
            mean(&g.fleet.time, digits),
            s.peak,
            things(s.ups, "start"),
            things(s.downs, "removal")
        ),
        per_target(report),
        format!("retries     {}; {avoidable}", count(retries)),
    ]
}

fn per_target(report: &Report) -> String {
    let g = &report.gauges;
    let figures = match (&g.target_in_flight.time, &g.target_cpu.time) {
        (Some(held), Some(cpu)) => {
            format!("{} requests in flight, {} CPU on average (time-weighted)", digits(held.mean), percent(cpu.mean))
        }
        _ => g.note.unwrap_or(NOT_AVAILABLE).to_owned(),
    };
    format!("per target  {figures}")
}

/// Colours, or none.
pub(super) struct Paint {
    color: bool,
}

impl Paint {
    pub(super) fn with(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Breaks a sentence between words, into so many lines at most.
pub(crate) fn wrap(sentence: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let full = lines.len() == most;
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if full || line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Cuts a line to `width` visible characters; escape sequences take no room.
fn cut(line: &str, width: usize) -> String {
    let (mut seen, mut escape) = (0, false);
    let mut kept = String::with_capacity(line.len());
    for c in line.chars() {
        if c == '\u{1b}' {
            escape = true;
        }
        if escape || seen < width {
            kept.push(c);
        }
        if escape {
            escape = c != 'm';
        } else {
            seen += 1;
        }
    }
    kept.trim_end().to_owned()
}
