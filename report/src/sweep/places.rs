//! The axis of the values: places at even distances, each with its label.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Labels at 0, 1, 2, …, and some room on both sides.
#[derive(Clone, Debug)]
pub(super) struct Places {
    labels: Vec<String>,
    range: Range<f64>,
}

// === impl Places ===

impl Places {
    /// With so much room before the first place and after the last.
    pub(super) fn new(labels: Vec<String>, (before, after): (f64, f64)) -> Self {
        let range = -before..labels.len().saturating_sub(1) as f64 + after;
        Self { labels, range }
    }
}

impl Ranged for Places {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let places = if hint.weight().allow_light_points() { 0 } else { self.labels.len() };
        (0..places).map(|n| n as f64).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Places {
    fn format(value: &f64) -> String {
        value.to_string()
    }

    fn format_ext(&self, value: &f64) -> String {
        self.labels.get(value.round().max(0.0) as usize).cloned().unwrap_or_default()
    }
}
