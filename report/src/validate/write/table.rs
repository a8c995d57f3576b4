//! The verdicts as a table, on a terminal and on a page.

use galton_core::Nanos;

use super::ScenarioResult;
use crate::units::{NOT_AVAILABLE, count, digits, percent, things, time};
use crate::validate::judge::{Judgement, Metric, Rule, Unit};
use crate::write::tables::{Column, Table};

/// Widths of the columns on a terminal: name, live, simulated, floor.
const WIDTHS: [usize; 4] = [22, 27, 27, 10];
/// Without ranges, which then stand on a second line.
const NARROW_WIDTHS: [usize; 4] = [22, 11, 11, 10];
/// Columns in which a metric has room on one line.
const WIDE: usize = 100;

/// The table, with one line above it.
pub(super) fn text(result: &ScenarioResult, colour: bool, width: usize) -> String {
    let paint = |code: &str, text: String| if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text };
    let verdict = if result.verdicts.agrees { paint("32", "AGREES".into()) } else { paint("31", "DIFFERS".into()) };
    let mut text = format!("{verdict}  {}: {}\n", result.name, summary(result));
    let wide = width >= WIDE;
    text.push_str(&paint("1", if wide { head() } else { narrow_head() }));
    text.push('\n');
    for metric in &result.verdicts.metrics {
        let row = if wide { line(&cells(metric), &WIDTHS) } else { narrow(metric) };
        let row = if metric.judgement == Judgement::Differs { paint("31", row) } else { row };
        text.push_str(&row);
        text.push('\n');
    }
    text
}

/// How much the verdict rests on.
pub(super) fn summary(result: &ScenarioResult) -> String {
    let fewest = result.responses.iter().min().copied().unwrap_or_default();
    format!("{} of at least {} responses", things(result.live.len() as u64, "live run"), count(fewest as u64))
}

/// The table of a page.
pub(super) fn page(result: &ScenarioResult) -> Table {
    let caption = "Mean of the live runs, and their lowest and highest, against the mean of the ensemble and its 95 % range. \
                   A metric agrees within the range or when the means differ by no more than the floor.";
    let numeric = ["live", "lowest, highest", "simulated", "95 % range", "floor"];
    let mut table = Table::new(caption, &["metric"], &numeric);
    table.columns.push(Column { name: "verdict".to_owned(), numeric: false });
    for metric in &result.verdicts.metrics {
        let (live, lowest_highest) = live(metric);
        let (simulated, range) = simulated(metric);
        let [name, _, _, floor, verdict] = cells(metric);
        table.row([name, live, lowest_highest, simulated, range, floor, verdict]);
    }
    table
}

fn head() -> String {
    let cells = ["", "live [lowest, highest]", "simulated [95 % range]", "floor", "verdict"];
    line(&cells.map(str::to_owned), &WIDTHS)
}

fn narrow_head() -> String {
    let cells = ["", "live", "simulated", "floor", "verdict"];
    format!("{}\n  [lowest, highest] live, [95 % range] simulated", line(&cells.map(str::to_owned), &NARROW_WIDTHS))
}

/// The means on one line, the ranges, if there are any, on the next.
fn narrow(metric: &Metric) -> String {
    let ((live, lowest_highest), (simulated, range)) = (live(metric), simulated(metric));
    let [name, _, _, floor, verdict] = cells(metric);
    let means = line(&[name, live, simulated, floor, verdict], &NARROW_WIDTHS);
    let ranges = [(lowest_highest, "live"), (range, "simulated")];
    let ranges = ranges.iter().filter(|(range, _)| !range.is_empty()).map(|(range, of)| format!("{range} {of}"));
    let ranges = ranges.collect::<Vec<_>>().join(", ");
    if ranges.is_empty() { means } else { format!("{means}\n  {ranges}") }
}

fn line(cells: &[String; 5], widths: &[usize; 4]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()).max(1)));
    }
    line.push_str(&cells[4]);
    line
}

fn cells(metric: &Metric) -> [String; 5] {
    let joined = |(value, range): (String, String)| if range.is_empty() { value } else { format!("{value} {range}") };
    let floor = metric.floor.map_or_else(String::new, |floor| show(metric.unit, floor));
    [metric.name.clone(), joined(live(metric)), joined(simulated(metric)), floor, verdict(metric)]
}

fn live(metric: &Metric) -> (String, String) {
    let Some(live) = metric.live else { return (NOT_AVAILABLE.to_owned(), String::new()) };
    let lowest = metric.live_runs.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = metric.live_runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let between = if metric.live_runs.len() > 1 { between(metric.unit, lowest, highest) } else { String::new() };
    (show(metric.unit, live), between)
}

fn simulated(metric: &Metric) -> (String, String) {
    match (metric.ensemble, metric.low, metric.high) {
        (Some(mean), Some(low), Some(high)) => (show(metric.unit, mean), between(metric.unit, low, high)),
        _ => (NOT_AVAILABLE.to_owned(), String::new()),
    }
}

/// `[1.20, 1.30 s]`: the unit once, if it is the same.
fn between(unit: Unit, low: f64, high: f64) -> String {
    let (low, high) = (show(unit, low), show(unit, high));
    let same = low.split_once(' ').zip(high.split_once(' ')).is_some_and(|(a, b)| a.1 == b.1);
    let low = if same { low.split(' ').next().unwrap_or_default() } else { &low };
    format!("[{low}, {high}]")
}

fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Share => percent(value),
        Unit::Ns => time(Nanos(value.round().max(0.0) as u64)),
        Unit::Targets | Unit::Requests | Unit::Starts => digits(value),
    }
}

/// `agrees`, and by which rule if it is not the first one.
pub(super) fn verdict(metric: &Metric) -> String {
    let word = match (metric.judgement, metric.rule) {
        (Judgement::Agrees, Rule::Floor) => "agrees (floor)",
        (Judgement::Agrees, Rule::Jump) => "agrees (jump)",
        (Judgement::Agrees, _) => "agrees",
        (Judgement::Differs, _) => "DIFFERS",
        (Judgement::Shown, Rule::None) => "shown, outside",
        (Judgement::Shown, _) => "shown",
        (Judgement::Unknown, _) => NOT_AVAILABLE,
    };
    if metric.note.is_empty() { word.to_owned() } else { format!("{word} ({})", metric.note) }
}
