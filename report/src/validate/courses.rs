//! The course of a gauge over a run, on whatever buckets its report has.

use galton_core::Nanos;

use super::range::Range;
use crate::model::Series;

/// Means of a gauge over equal buckets from 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    bucket: Nanos,
    means: Vec<Option<f64>>,
}

/// The course of the ensemble and of every live run, on the same buckets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Courses {
    /// Where each bucket begins, in seconds.
    pub(super) secs: Vec<f64>,
    /// The ensemble.
    pub(super) ensemble: Vec<Option<Range>>,
    /// Each live run.
    pub(super) live: Vec<Vec<Option<f64>>>,
}

// === impl Course ===

impl Course {
    /// A column of a report's series.
    pub(super) fn of(series: &Series, column: &str) -> Self {
        let index = series.columns.iter().position(|name| *name == column).unwrap_or_default();
        let means = series.rows.iter().map(|row| row.0.get(index).copied().flatten()).collect();
        Self { bucket: series.bucket_ns, means }
    }

    #[cfg(test)]
    pub(super) fn new(bucket: Nanos, means: Vec<Option<f64>>) -> Self {
        Self { bucket, means }
    }

    /// The mean of the bucket that an instant lies in.
    fn at(&self, at: u64) -> Option<f64> {
        self.means.get((at / self.bucket.0.max(1)) as usize).copied().flatten()
    }
}

// === impl Courses ===

impl Courses {
    /// On the buckets of the longest live run; of a run with others, each bucket shows the mean of the one that its middle
    /// lies in.
    pub(super) fn of(live: &[&Course], ensemble: &[&Course]) -> Self {
        let longest = live.iter().max_by_key(|course| course.bucket.0 * course.means.len() as u64);
        let (bucket, buckets) = longest.map_or((1, 0), |course| (course.bucket.0.max(1), course.means.len() as u64));
        let middles: Vec<u64> = (0..buckets).map(|i| i * bucket + bucket / 2).collect();
        let range = |at: &u64| Range::of(ensemble.iter().filter_map(|course| course.at(*at)).collect());
        Self {
            secs: (0..buckets).map(|i| (i * bucket) as f64 / 1e9).collect(),
            ensemble: middles.iter().map(range).collect(),
            live: live.iter().map(|course| middles.iter().map(|at| course.at(*at)).collect()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn courses_on_other_buckets_are_read_where_the_middles_lie() {
        let fine = Course::new(Nanos(10), vec![Some(1.0), Some(2.0), Some(3.0), None]);
        let coarse = Course::new(Nanos(20), vec![Some(5.0), Some(6.0)]);
        let courses = Courses::of(&[&fine], &[&coarse, &coarse]);
        assert_eq!(courses.secs.len(), 4);
        let means: Vec<_> = courses.ensemble.iter().map(|range| range.unwrap().mean).collect();
        assert_eq!(means, [5.0, 5.0, 6.0, 6.0]);
        assert_eq!(courses.live, [vec![Some(1.0), Some(2.0), Some(3.0), None]]);
        assert_eq!(Courses::of(&[&coarse], &[&fine]).ensemble.len(), 2);
        assert!(Courses::of(&[], &[&fine]).secs.is_empty());
    }
}
