//! A comparison as text: at most 100 columns, 80 where a terminal has no more, a unit on every number, colour only when asked.

use galton_core::Nanos;

use super::bootstrap::Interval;
use super::verdict::{Figure, MetricComparison, Sameness};
use super::{About, Agreement, Comparison, QuantilePair, Unit};
use crate::input::Kind;
use crate::stats::quantile_name;
use crate::units::{NOT_AVAILABLE, count, digits, percent, time};
use crate::write::wrap;

/// Keys of a scenario that are listed; the JSON holds the others.
const MOST_KEYS: usize = 12;
/// Columns in which a metric has room on one line.
const WIDE: usize = 100;
/// Columns otherwise: narrower terminals break lines.
const NARROW: usize = 80;
/// Columns of the table of quantiles: of its first one, and of the others.
const FIRST_COLUMN: usize = 8;
const COLUMN: usize = 9;

pub(super) fn write(comparison: &Comparison, color: bool, terminal: usize) -> String {
    let width = if terminal < WIDE { NARROW } else { WIDE };
    let row = if width < WIDE { two_lines } else { one_line };
    let mut lines = head(comparison, width);
    lines.push(String::new());
    lines.push(row(["", "A", "B", "B − A", "margin", "verdict"]));
    lines.extend(comparison.metrics.iter().map(|metric| row(cells(metric, color).each_ref().map(String::as_str))));
    if !comparison.unavailable.is_empty() {
        let names: Vec<&str> = comparison.unavailable.iter().map(|metric| metric.title()).collect();
        lines.extend(wrapped(&format!("not known of both: {}", names.join(", ")), width));
    }
    lines.push(String::new());
    lines.extend(response(comparison, width));
    lines.extend(retries(comparison));
    lines.extend(conclusion(comparison, color, width));
    lines.into_iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn head(comparison: &Comparison, width: usize) -> Vec<String> {
    let mut lines = [about("A", &comparison.a, width), about("B", &comparison.b, width)].concat();
    if let Some(pairing) = &comparison.paired {
        let share = |agreement: Agreement| agreement.share().map_or(NOT_AVAILABLE.to_owned(), percent);
        lines.push(format!(
            "paired by {}: {} requests in both, {} in one only",
            pairing.by,
            count(pairing.in_both),
            count(pairing.in_one)
        ));
        lines.push(format!(
            "  {} went to the same target, {} ended alike, {} had as many attempts",
            share(pairing.same_target),
            share(pairing.same_outcome),
            share(pairing.same_retries)
        ));
    }
    for one in comparison.differs_in.iter().take(MOST_KEYS) {
        lines.push(format!("differs in {}: {} | {}", one.key, one.a, one.b));
    }
    if let Some(more) = comparison.differs_in.len().checked_sub(MOST_KEYS).filter(|more| *more > 0) {
        lines.push(format!("differs in {more} more keys"));
    }
    lines.extend(comparison.notes.iter().flat_map(|note| wrapped(&format!("note: {note}"), width)));
    lines
}

/// On two lines, if its name is long.
fn about(letter: &str, about: &About, width: usize) -> Vec<String> {
    let kind = match about.kind {
        Some(Kind::Live) => "live",
        Some(Kind::Simulated) => "simulated",
        None => "foreign",
    };
    let verdict = about.verdict.as_ref().map_or(String::new(), |verdict| format!(", {verdict}"));
    let scale =
        if about.time_scale == 1.0 { String::new() } else { format!(", time scale {}", digits(about.time_scale)) };
    let name = format!("{letter}  {}", about.name);
    let facts = format!("({kind}{verdict}{scale}, {} requests)", count(about.requests));
    let line = format!("{name}  {facts}");
    if line.chars().count() <= width { vec![line] } else { vec![name, format!("   {facts}")] }
}

fn one_line([name, a, b, difference, margin, verdict]: [&str; 6]) -> String {
    format!("{name:<13}{a:>22}{b:>22}{difference:>24}{margin:>9} {verdict}")
}

/// The difference is below `B`, from which it comes.
fn two_lines([name, a, b, difference, margin, verdict]: [&str; 6]) -> String {
    format!("{name:<13}{a:>23}{b:>25}  {verdict}\n{:36}{difference:>25}  {margin}", "")
}

/// The cells of a row.
fn cells(metric: &MetricComparison, color: bool) -> [String; 6] {
    let show =
        |figure: Option<Figure>, sign| figure.map_or(String::new(), |figure| figure_text(metric.unit, figure, sign));
    let signed = metric.a.is_some();
    [
        metric.metric.title().to_owned(),
        show(metric.a, false),
        show(metric.b, false),
        show(Some(metric.difference), signed),
        format!("±{}", one(metric.unit, metric.margin)),
        paint(metric.verdict, metric.verdict.to_string(), color),
    ]
}

/// `646 [594, 746] ms`.
fn figure_text(unit: Unit, figure: Figure, sign: bool) -> String {
    let ends = figure.interval.map_or([figure.value; 2], |interval| [interval.lo, interval.hi]);
    let largest = ends.into_iter().fold(figure.value.abs(), |most, end| most.max(end.abs()));
    let (scale, name) = scale(unit, largest);
    let number = |value: f64| {
        let text = digits(value.abs() / scale);
        let negative = value < 0.0 && text.chars().any(|c| ('1'..='9').contains(&c));
        let mark = if negative {
            "−"
        } else if sign && value > 0.0 {
            "+"
        } else {
            ""
        };
        format!("{mark}{text}")
    };
    let interval =
        figure.interval.map_or(String::new(), |Interval { lo, hi }| format!(" [{}, {}]", number(lo), number(hi)));
    format!("{}{}{interval}{name}", if figure.censored { "≥ " } else { "" }, number(figure.value))
}

fn one(unit: Unit, value: f64) -> String {
    let (scale, name) = scale(unit, value);
    format!("{}{name}", digits(value / scale))
}

/// By what to divide numbers of this size, and the name of their unit; counts have theirs in the metric's name.
fn scale(unit: Unit, largest: f64) -> (f64, &'static str) {
    match unit {
        Unit::Fraction => (0.01, " %"),
        Unit::PerSec => (1.0, "/s"),
        Unit::Count => (1.0, ""),
        Unit::Ns if largest >= 1e9 => (1e9, " s"),
        Unit::Ns if largest >= 1e6 || largest == 0.0 => (1e6, " ms"),
        Unit::Ns if largest >= 1e3 => (1e3, " µs"),
        Unit::Ns => (1.0, " ns"),
    }
}

fn response(comparison: &Comparison, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(distance) = &comparison.response_distance {
        let text = format!(
            "response times: Kolmogorov-Smirnov distance {:.4}, by chance up to {:.4} (p = {:.3})",
            distance.ks, distance.critical, distance.p
        );
        lines.extend(wrapped(&text, width));
    }
    let shown = comparison.response_quantiles.iter().filter(|pair| pair.a.or(pair.b).is_some());
    let shown: Vec<&QuantilePair> = shown.collect();
    lines.extend(shown.chunks((width - FIRST_COLUMN) / COLUMN).flat_map(quantiles));
    lines.push(String::new());
    lines
}

/// A table that grows to the right.
fn quantiles(pairs: &[&QuantilePair]) -> [String; 3] {
    let mut table = ["quantile", "A", "B"].map(str::to_owned);
    for pair in pairs {
        let cell = |value: Option<u64>| value.map_or(NOT_AVAILABLE.to_owned(), |ns| time(Nanos(ns)));
        for (line, cell) in table.iter_mut().zip([quantile_name(pair.q), cell(pair.a), cell(pair.b)]) {
            line.push_str(&format!("{:padding$}{cell}", "", padding = column(line, cell.chars().count())));
        }
    }
    table
}

/// Spaces before the next cell of a table that grows to the right.
fn column(line: &str, cell: usize) -> usize {
    let used = line.chars().count();
    let columns = used.saturating_sub(FIRST_COLUMN).div_ceil(COLUMN) + 1;
    (FIRST_COLUMN + columns * COLUMN).saturating_sub(used + cell).max(1)
}

fn retries(comparison: &Comparison) -> Vec<String> {
    if comparison.retries.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("{:<13}{:>22}{:>22}", "retries", "A", "B")];
    for row in &comparison.retries {
        let name = row.retries.map_or("no attempt".to_owned(), |n| n.to_string());
        let cell = |n, share| format!("{} ({})", count(n), percent(share));
        lines.push(format!("{name:<13}{:>22}{:>22}", cell(row.a, row.share_a), cell(row.b, row.share_b)));
    }
    lines.push(String::new());
    lines
}

fn conclusion(comparison: &Comparison, color: bool, width: usize) -> Vec<String> {
    let of = |verdict| {
        let found = comparison.metrics.iter().filter(|metric| metric.verdict == verdict);
        found.map(|metric| metric.metric.title()).collect::<Vec<_>>()
    };
    let differ = of(Sameness::Differs);
    let undecided = of(Sameness::Undecided).len();
    let same = of(Sameness::Same).len();
    let word = paint(comparison.verdict, comparison.verdict.to_string().to_uppercase(), color);
    let mut lines = vec![format!("{word}  {} differ, {undecided} undecided, {same} the same", differ.len())];
    if !differ.is_empty() {
        lines.extend(wrapped(&format!("different: {}", differ.join(", ")), width));
    }
    lines
}

/// Broken between words; what follows the first line is indented.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let lines = wrap(text, width - 2, usize::MAX).into_iter().enumerate();
    lines.map(|(i, line)| if i == 0 { line } else { format!("  {line}") }).collect()
}

fn paint(verdict: Sameness, text: String, color: bool) -> String {
    let code = match verdict {
        Sameness::Same => "32",
        Sameness::Undecided => "33",
        Sameness::Differs => "31",
    };
    if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_one_unit_for_all_their_numbers() {
        let figure = |value, lo, hi| Figure { value, interval: Some(Interval { lo, hi }), censored: false };
        assert_eq!(figure_text(Unit::Ns, figure(646e6, 594e6, 746e6), false), "646 [594, 746] ms");
        assert_eq!(figure_text(Unit::Ns, figure(-1.5e6, -2e6, 0.1e6), true), "−1.50 [−2, +0.10] ms");
        assert_eq!(figure_text(Unit::Fraction, figure(0.0123, 0.01, 0.0135), false), "1.23 [1, 1.35] %");
        assert_eq!(figure_text(Unit::Count, Figure { value: 7.0, interval: None, censored: false }, false), "7");
        let censored = Figure { value: 60e9, interval: None, censored: true };
        assert_eq!(figure_text(Unit::Ns, censored, false), "≥ 60 s");
        assert_eq!(one(Unit::Ns, 0.0), "0 ms");
    }

    #[test]
    fn the_longest_cells_fit_onto_a_terminal_of_either_width() {
        let cells = [
            "response mean",
            "−0.99 [−1.02, −0.88] s",
            "−0.99 [−1.02, −0.88] s",
            "−13.8 [−28.3, +0.68] ms",
            "±4.34 ms",
            "undecided",
        ];
        assert_eq!(one_line(cells).chars().count(), WIDE);
        let narrow = two_lines(cells);
        assert!(narrow.lines().all(|line| line.chars().count() <= NARROW), "{narrow}");
        assert_eq!(narrow.lines().count(), 2);
    }
}
