//! Merged runs over time, on the clock of the first: counts of buckets added, percentiles from the interval logs.

use galton_core::Nanos;
use hdrhistogram::Histogram;

use super::part::{Part, SeriesPart};
use crate::compute::{CLIENT_COLUMNS, WINDOW_COLUMNS, lengths};
use crate::hlog::{self, Interval, TAGS};
use crate::model::{Row, Series, Windows};
use crate::stats::needed;

/// The columns that are means; all others are counts.
const MEAN: &str = "in_flight";
/// Columns of windows without the overhead.
const WITHOUT_OVERHEAD: usize = 6;
/// An interval log has no finer windows.
const SHORTEST: u64 = 1_000_000_000;

/// All of it.
pub(super) fn series(parts: &[Part], t0: u64, intervals: &[Interval], offered: u64) -> Series {
    // A bucket of one part lies in the bucket that its middle is in: off by less than one of them.
    let ends = |part: &Part| {
        let own = &part.result.series;
        Nanos(part.started_unix_ns() - t0 + own.rows.len() as u64 * own.bucket_ns.0)
    };
    let end = parts.iter().map(ends).max().unwrap_or_default();
    // Runs may lie far apart: as few buckets as a run of that length has.
    let (bucket, window) = lengths(end, offered as f64);
    let bucket = parts.iter().map(|part| part.result.series.bucket_ns).fold(bucket, Nanos::max);
    let retries = parts.iter().any(|part| part.result.series.columns.iter().any(|column| column == "retries"));
    let columns = if retries { CLIENT_COLUMNS } else { &CLIENT_COLUMNS[..CLIENT_COLUMNS.len() - 1] };
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for part in parts {
        add(&mut rows, columns, bucket, &part.result.series, part.started_unix_ns() - t0);
    }
    let row = |(i, sums): (usize, Vec<f64>)| {
        let mut row: Vec<Option<f64>> = sums.into_iter().map(Some).collect();
        row[0] = Some(i as f64 * bucket.0 as f64);
        Row(row)
    };
    let rows: Vec<Row> = rows.into_iter().enumerate().map(row).collect();
    Series { bucket_ns: bucket, columns, rows, latency: windows(intervals, Nanos(window.0.max(SHORTEST))) }
}

fn add(rows: &mut Vec<Vec<f64>>, columns: &[&str], bucket: Nanos, part: &SeriesPart, offset: u64) {
    let places: Vec<Option<usize>> =
        columns.iter().map(|column| part.columns.iter().position(|own| own == column)).collect();
    for (i, own) in part.rows.iter().enumerate() {
        let middle = offset + i as u64 * part.bucket_ns.0 + part.bucket_ns.0 / 2;
        let index = (middle / bucket.0) as usize;
        if rows.len() <= index {
            rows.resize(index + 1, vec![0.0; columns.len()]);
        }
        for ((sum, place), column) in rows[index].iter_mut().zip(&places).zip(columns).skip(1) {
            let value = place.and_then(|place| own.get(place).copied().flatten()).unwrap_or_default();
            // Of a mean, the part of the bucket that it covers.
            let part_of = if *column == MEAN { part.bucket_ns.0 as f64 / bucket.0 as f64 } else { 1.0 };
            *sum += value * part_of;
        }
    }
}

/// Percentiles of the response time.
fn windows(intervals: &[Interval], length: Nanos) -> Windows {
    let mut merged: Vec<Histogram<u64>> = Vec::new();
    for interval in intervals.iter().filter(|interval| interval.tag == TAGS[0]) {
        let index = (interval.start.0 / length.0) as usize;
        if merged.len() <= index {
            merged.resize_with(index + 1, hlog::histogram);
        }
        merged[index].add(&interval.histogram).ok();
    }
    let row = |(i, histogram): (usize, &Histogram<u64>)| {
        let mut row = vec![Some(i as f64 * length.0 as f64), Some(histogram.len() as f64)];
        let borne =
            |q| (histogram.len() >= needed(q)).then(|| histogram.value_at_quantile(q).min(histogram.max()) as f64);
        row.extend([0.5, 0.8, 0.9, 0.99].map(borne));
        Row(row)
    };
    let rows = merged.iter().enumerate().map(row).collect();
    Windows { bucket_ns: length, columns: &WINDOW_COLUMNS[..WITHOUT_OVERHEAD], rows }
}
