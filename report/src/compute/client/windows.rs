//! Percentiles over time, of a run that nobody knows the length of: short windows from the start, neighbours merged whenever
//! there are too many. What a window bears only shows at the end, so each keeps its distribution.

use galton_core::Nanos;
use hdrhistogram::Histogram;

use crate::compute::series::WINDOW_COLUMNS;
use crate::model::{Row, Windows as Table};
use crate::stats::needed;

/// The first length of a window.
const SHORTEST: Nanos = Nanos::from_millis(10);
/// Lengths are 1 or 5 of a decade: what is merged in turn.
const MERGED: [usize; 2] = [5, 2];
/// Most windows: some 6 MB, where each has more values than it keeps.
const MOST: usize = 400;
/// Values kept of one window; from then on two significant digits, as in every window.
const KEPT: usize = 1_024;
const DIGITS: u8 = 2;
/// Columns without those of the overhead, which only Galton's servers tell.
const WITHOUT_OVERHEAD: usize = 6;

/// The windows of one run.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    length: Nanos,
    merges: usize,
    windows: Vec<Window>,
}

#[derive(Clone, Debug, Default)]
struct Window {
    response: Distribution,
    overhead: Distribution,
}

/// Values in any order.
#[derive(Clone, Debug, Default)]
struct Distribution {
    kept: Vec<u64>,
    counted: Option<Histogram<u32>>,
}

// === impl Windows ===

impl Windows {
    pub(super) fn new() -> Self {
        Self { length: SHORTEST, merges: 0, windows: Vec::new() }
    }

    /// A request that was meant to be sent at `intended`.
    pub(super) fn add(&mut self, intended: Nanos, response: Nanos, overhead: Option<Nanos>) {
        while (intended.0 / self.length.0) as usize >= MOST {
            let factor = MERGED[self.merges % MERGED.len()];
            self.merge(factor);
            self.merges += 1;
        }
        let index = (intended.0 / self.length.0) as usize;
        if self.windows.len() <= index {
            self.windows.resize_with(index + 1, Window::default);
        }
        self.windows[index].response.push(response.0);
        if let Some(overhead) = overhead {
            self.windows[index].overhead.push(overhead.0);
        }
    }

    fn merge(&mut self, factor: usize) {
        let mut merged: Vec<Window> = Vec::with_capacity(self.windows.len().div_ceil(factor));
        for (i, window) in std::mem::take(&mut self.windows).into_iter().enumerate() {
            match merged.last_mut().filter(|_| i % factor > 0) {
                Some(last) => {
                    last.response.absorb(window.response);
                    last.overhead.absorb(window.overhead);
                }
                None => merged.push(window),
            }
        }
        (self.windows, self.length) = (merged, Nanos(self.length.0 * factor as u64));
    }

    /// The table, in windows of about the wanted length.
    pub(super) fn table(mut self, wanted: Nanos) -> Table {
        self.merge((wanted.0 / self.length.0).max(1) as usize);
        let overhead = self.windows.iter().any(|window| window.overhead.len() > 0);
        let columns = if overhead { WINDOW_COLUMNS } else { &WINDOW_COLUMNS[..WITHOUT_OVERHEAD] };
        let length = self.length;
        let row = |(i, window): (usize, &mut Window)| {
            let mut row = vec![Some(i as f64 * length.0 as f64), Some(window.response.len() as f64)];
            row.extend([0.5, 0.8, 0.9, 0.99].map(|q| window.response.borne(q)));
            row.extend([0.5, 0.99].map(|q| window.overhead.borne(q)));
            row.truncate(columns.len());
            Row(row)
        };
        let rows = self.windows.iter_mut().enumerate().map(row).collect();
        Table { bucket_ns: length, columns, rows }
    }
}

// === impl Distribution ===

impl Distribution {
    fn len(&self) -> u64 {
        self.counted.as_ref().map_or(self.kept.len() as u64, Histogram::len)
    }

    fn push(&mut self, value: u64) {
        match &mut self.counted {
            Some(counted) => record(counted, value),
            None if self.kept.len() < KEPT => self.kept.push(value),
            None => record(self.counted(), value),
        }
    }

    /// As a histogram from now on.
    fn counted(&mut self) -> &mut Histogram<u32> {
        let kept = std::mem::take(&mut self.kept);
        self.counted.get_or_insert_with(|| {
            let mut counted = Histogram::new(DIGITS).expect("the digits are allowed");
            kept.into_iter().for_each(|value| record(&mut counted, value));
            counted
        })
    }

    fn absorb(&mut self, other: Self) {
        other.kept.into_iter().for_each(|value| self.push(value));
        if let Some(theirs) = other.counted {
            self.counted().add(&theirs).expect("a histogram that resizes itself takes every other");
        }
    }

    /// The quantile, if there are enough values for it.
    fn borne(&mut self, q: f64) -> Option<f64> {
        if self.len() < needed(q) {
            return None;
        }
        let value = match &self.counted {
            Some(counted) => counted.value_at_quantile(q).min(counted.max()),
            None => {
                self.kept.sort_unstable();
                crate::stats::exact_quantile(&self.kept, q)?
            }
        };
        Some(value as f64)
    }
}

fn record(histogram: &mut Histogram<u32>, value: u64) {
    histogram.record(value).expect("a histogram that resizes itself takes every value");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_with_the_run_and_keep_every_value() {
        let mut windows = Windows::new();
        for i in 0..100_000_u64 {
            windows.add(Nanos(i * 1_000_000), Nanos(1_000 + i % 1_000), None);
        }
        assert!(windows.windows.len() <= MOST);
        assert_eq!(windows.length, Nanos(500_000_000));
        let table = windows.table(Nanos(5_000_000_000));
        assert_eq!((table.bucket_ns.0, table.rows.len(), table.columns.len()), (5_000_000_000, 20, 6));
        for row in &table.rows {
            assert_eq!(row.0[1], Some(5_000.0));
            let p50 = row.0[2].unwrap();
            assert!((p50 - 1_499.0).abs() <= 15.0, "{p50}");
        }
    }

    #[test]
    fn what_a_window_does_not_bear_is_not_said() {
        let mut windows = Windows::new();
        (0..100).for_each(|_| windows.add(Nanos(5), Nanos(7), Some(Nanos(3))));
        let table = windows.table(SHORTEST);
        assert_eq!(table.rows[0].0[2..6], [Some(7.0), Some(7.0), Some(7.0), None]);
        assert_eq!(table.rows[0].0[6..], [Some(3.0), None]);
    }
}
