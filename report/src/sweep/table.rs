//! The table for a terminal: a block per figure, a line per value.

use super::{Point, Sweep, range};
use crate::replications::{Replicated, Unit};
use crate::units::NOT_AVAILABLE;

/// Widths of the columns behind the label: mean, its interval, lowest and highest.
const WIDTHS: [usize; 3] = [10, 20, 20];
/// A longer label is cut: the table is to fit a terminal of 80 columns.
const LONGEST_LABEL: usize = 24;

// === impl Sweep ===

impl Sweep {
    /// The figures shown, over the values and the references.
    pub fn to_table(&self) -> String {
        let blocks: Vec<String> = self.shown.iter().map(|figure| self.block(figure)).collect();
        blocks.join("\n")
    }

    fn block(&self, figure: &str) -> String {
        let width = self.label_width();
        let head = ["mean", "its 95 % interval", "lowest, highest", "live"].map(str::to_owned);
        let mut text = line(figure, width, &head);
        self.all().for_each(|point| text += &line(&cut(&point.label), width, &cells(point, figure)));
        text
    }

    fn label_width(&self) -> usize {
        let labels = self.all().map(|point| cut(&point.label).chars().count());
        labels.chain(self.shown.iter().map(|name| name.len())).max().unwrap_or(0)
    }
}

fn cells(point: &Point, figure: &str) -> [String; 4] {
    let simulated = point.simulated(figure);
    let mean = |figure: &Replicated| Some(format!("{}{}", figure.bound(), show(figure.unit, figure.mean?)));
    let interval = simulated.and_then(|figure| match (figure.lo, figure.hi) {
        (Some(lo), None) => Some(format!("[{}, –]", show(figure.unit, lo.max(0.0)))),
        (lo, hi) => between(figure, lo.zip(hi)?),
    });
    let spread = simulated.and_then(|figure| between(figure, range(figure)?));
    [
        simulated.and_then(mean).unwrap_or_else(|| NOT_AVAILABLE.to_owned()),
        interval.unwrap_or_default(),
        spread.unwrap_or_default(),
        point.live(figure).and_then(mean).unwrap_or_default(),
    ]
}

/// Retries are few per request: two digits after the point would be none of theirs.
fn show(unit: Unit, value: f64) -> String {
    let small = unit == Unit::Count && value > 0.0 && value < 0.1;
    if small { format!("{value:.4}") } else { unit.show(value) }
}

/// `[1.20, 1.30 s]`: the unit once, if it is the same. None: both are one number.
fn between(figure: &Replicated, (lo, hi): (f64, f64)) -> Option<String> {
    // No figure is negative, though an interval around a small mean can be.
    let (lo, hi) = (show(figure.unit, lo.max(0.0)), show(figure.unit, hi.max(0.0)));
    let same = lo.split_once(' ').zip(hi.split_once(' ')).is_some_and(|(a, b)| a.1 == b.1);
    let low = if same { lo.split(' ').next().unwrap_or_default() } else { &lo };
    (lo != hi).then(|| format!("[{low}, {hi}]"))
}

fn line(label: &str, width: usize, [mean, interval, spread, live]: &[String; 4]) -> String {
    let [a, b, c] = WIDTHS;
    let line = format!("{label:<width$} {mean:>a$}  {interval:<b$} {spread:<c$} {live}");
    format!("{}\n", line.trim_end())
}

/// The end of a label: a reference's key begins like others, and ends with its value.
fn cut(label: &str) -> String {
    let length = label.chars().count();
    if length <= LONGEST_LABEL {
        return label.to_owned();
    }
    std::iter::once('…').chain(label.chars().skip(length - LONGEST_LABEL + 1)).collect()
}
