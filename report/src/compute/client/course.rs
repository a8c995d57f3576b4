//! The run over time, of a run that nobody knows the length of: fine buckets from the start, ten merged into one whenever
//! there are too many.

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome};

use crate::model::Row;

/// The first length of a bucket.
const FINEST: Nanos = Nanos::from_millis(1);
/// How many are merged into one.
const MERGED: usize = 10;
/// Most buckets: so many, and a tenth of them after a merge, hold the at most 2000 that a report shows.
const MOST: usize = 10_000;

/// Names of the columns; the last one where it is known.
pub(crate) const COLUMNS: &[&str] =
    &["t_ns", "offered", "ok", "rejected", "timed_out", "failed", "shed", "in_flight", "retries"];

/// Counts over time, and the requests in flight.
#[derive(Clone, Debug)]
pub(super) struct Course {
    length: Nanos,
    buckets: Vec<Bucket>,
    /// Some request says how often it was tried.
    retries_known: bool,
    /// The last thing that happened.
    pub(super) last: Nanos,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    offered: u64,
    ok: u64,
    rejected: u64,
    timed_out: u64,
    failed: u64,
    shed: u64,
    retries: u64,
    /// Request-nanoseconds in flight within it, of those that were sent or ended in it.
    held: i128,
    /// By how many requests more are in flight from its start on.
    more: i64,
}

// === impl Course ===

impl Course {
    pub(super) fn new() -> Self {
        Self { length: FINEST, buckets: Vec::new(), retries_known: false, last: Nanos::ZERO }
    }

    /// A request has ended. Requests and retries by intended send, outcomes by their end.
    pub(super) fn add(&mut self, row: &TraceRow) {
        let TraceOutcome::Offered(outcome) = row.outcome else { return };
        let end = row.t_end.or(row.t_send).unwrap_or(row.t_intended);
        self.reach(end.max(row.t_intended));
        let begun = self.bucket(row.t_intended);
        begun.offered += 1;
        begun.retries += u64::from(row.retries().unwrap_or_default());
        self.retries_known |= row.attempts.is_some();
        let ended = self.bucket(end);
        match outcome {
            Outcome::Ok => ended.ok += 1,
            Outcome::Rejected(_) => ended.rejected += 1,
            Outcome::TimedOut => ended.timed_out += 1,
            Outcome::Failed(_) => ended.failed += 1,
            Outcome::Shed => ended.shed += 1,
            Outcome::Unfinished => {}
        }
        if let Some(sent) = row.t_send {
            self.in_flight(sent, 1);
            self.in_flight(end, -1);
        }
    }

    /// One request more or less is in flight from `at` on.
    fn in_flight(&mut self, at: Nanos, by: i64) {
        let left = self.length.0 - at.0 % self.length.0;
        let index = self.index(at);
        self.buckets[index].held += i128::from(by) * i128::from(left);
        self.buckets[index + 1].more += by;
    }

    fn index(&self, at: Nanos) -> usize {
        (at.0 / self.length.0) as usize
    }

    fn bucket(&mut self, at: Nanos) -> &mut Bucket {
        let index = self.index(at);
        &mut self.buckets[index]
    }

    /// Makes the buckets up to `at`, and the one after it.
    fn reach(&mut self, at: Nanos) {
        self.last = self.last.max(at);
        while self.index(at) + 2 > MOST {
            self.buckets = merged(&self.buckets, MERGED, self.length);
            self.length = Nanos(self.length.0 * MERGED as u64);
        }
        if self.buckets.len() < self.index(at) + 2 {
            self.buckets.resize(self.index(at) + 2, Bucket::default());
        }
    }

    /// Columns and rows in buckets of about the wanted length, up to the last end.
    pub(super) fn rows(&self, wanted: Nanos) -> (Nanos, &'static [&'static str], Vec<Row>) {
        let factor = (wanted.0 / self.length.0).max(1);
        let length = Nanos(self.length.0 * factor);
        let buckets = merged(&self.buckets, factor as usize, self.length);
        let columns = if self.retries_known { COLUMNS } else { &COLUMNS[..COLUMNS.len() - 1] };
        let mut in_flight = 0;
        let row = |(i, b): (usize, &Bucket)| {
            in_flight += b.more;
            let held = b.held + i128::from(in_flight) * i128::from(length.0);
            let counts = [b.offered, b.ok, b.rejected, b.timed_out, b.failed, b.shed].map(|n| Some(n as f64));
            let mut row = vec![Some(i as f64 * length.0 as f64)];
            row.extend(counts);
            row.extend([Some(held as f64 / length.0 as f64), Some(b.retries as f64)]);
            row.truncate(columns.len());
            Row(row)
        };
        let shown = self.last.0.div_ceil(length.0) as usize;
        (length, columns, buckets.iter().enumerate().take(shown).map(row).collect())
    }
}

/// Each `factor` neighbours as one.
fn merged(buckets: &[Bucket], factor: usize, length: Nanos) -> Vec<Bucket> {
    let mut all = vec![Bucket::default(); buckets.len().div_ceil(factor) + 1];
    for (i, one) in buckets.iter().enumerate() {
        let (whole, place) = (i / factor, i % factor);
        // From its start to the end of the merged one: whole buckets.
        let left = if place == 0 { 0 } else { (factor - place) as u64 * length.0 };
        let first = whole + usize::from(place > 0);
        all[first].more += one.more;
        let into = &mut all[whole];
        into.offered += one.offered;
        into.ok += one.ok;
        into.rejected += one.rejected;
        into.timed_out += one.timed_out;
        into.failed += one.failed;
        into.shed += one.shed;
        into.retries += one.retries;
        into.held += one.held + i128::from(one.more) * i128::from(left);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    fn column(rows: &[Row], i: usize) -> Vec<f64> {
        rows.iter().map(|row| row.0[i].unwrap()).collect()
    }

    #[test]
    fn what_is_in_flight_is_an_area_over_the_buckets() {
        let mut course = Course::new();
        course.add(&row(0, Outcome::Ok, [1.0, 1.5, 4.0]));
        course.add(&row(1, Outcome::TimedOut, [2.0, 2.0, 2.25]));
        let (length, columns, rows) = course.rows(FINEST);
        assert_eq!((length, columns.len(), rows.len()), (FINEST, 8, 4));
        assert_eq!(column(&rows, 7), [0.0, 0.5, 1.25, 1.0]);
        assert_eq!((column(&rows, 1), column(&rows, 4)), (vec![0.0, 1.0, 1.0, 0.0], vec![0.0, 0.0, 1.0, 0.0]));
        let (length, _, rows) = course.rows(Nanos(2 * FINEST.0));
        assert_eq!((length, column(&rows, 7)), (Nanos(2 * FINEST.0), vec![0.25, 1.125]));
    }

    #[test]
    fn a_long_run_has_few_buckets_and_nothing_is_lost() {
        let mut course = Course::new();
        // A request a second, of a second and a half: one and a half in flight.
        (0..3_600_u32).for_each(|i| {
            let at = f64::from(i) * 1e3;
            course.add(&row(i.into(), Outcome::Ok, [at, at, at + 1_500.0]));
        });
        assert!(course.buckets.len() <= MOST);
        let (length, _, rows) = course.rows(Nanos(10_000_000_000));
        assert_eq!((length.0, rows.len()), (10_000_000_000, 361));
        assert_eq!(column(&rows, 1).iter().sum::<f64>(), 3_600.0);
        assert!(column(&rows, 7)[1..360].iter().all(|mean| *mean == 1.5));
    }
}
