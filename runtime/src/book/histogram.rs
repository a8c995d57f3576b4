//! Histograms of the book: how often a time was within each of some limits.

use prometheus::proto::{Bucket, Histogram as Shown, Metric, MetricFamily, MetricType};

use super::{Book, Cell, NANOSECONDS_OF, SECONDS_OF};
use crate::families;

/// The first limit, and how many there are, each twice the one before: 1 µs (a decision takes a few) to 134 s. What is longer is in a
/// last bucket.
const FIRST_NS: u64 = 1_000;
const LIMITS: usize = 28;

/// A histogram of times, named `…_seconds`. In the file its entries are `…_nanoseconds_within{…,le="SECONDS"}`, how often a time was
/// within that limit and not within the one before, and `…_nanoseconds_sum`; `/metrics` prints the usual series.
#[derive(Clone, Debug)]
pub struct Histogram {
    within: Vec<Cell>,
    sum: Cell,
}

/// Its row among those of its family.
#[derive(Debug)]
pub(super) struct Row {
    labels: Vec<(String, String)>,
    histogram: Histogram,
}

// === impl Book ===

impl Book {
    /// A histogram, added empty if it is new; otherwise as [`Self::cell`].
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)], help: &str) -> anyhow::Result<Histogram> {
        let what = name.strip_suffix(SECONDS_OF).ok_or_else(|| anyhow::anyhow!("{name} must end in {SECONDS_OF}"))?;
        let own = |suffix: &str, more: Option<&str>| {
            let labels: Vec<_> = labels.iter().copied().chain(more.map(|limit| ("le", limit))).collect();
            self.hidden(&format!("{what}{NANOSECONDS_OF}{suffix}"), &labels)
        };
        let within = (0..=LIMITS).map(|i| own("_within", Some(&limit(i).to_string()))).collect::<Result<_, _>>()?;
        let histogram = Histogram { within, sum: own("_sum", None)? };
        let labels: Vec<_> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut pages = self.pages();
        let (_, rows) = pages.histograms.entry(name.to_owned()).or_insert_with(|| (help.to_owned(), Vec::new()));
        if rows.iter().all(|row| row.labels != labels) {
            rows.push(Row { labels, histogram: histogram.clone() });
        }
        Ok(histogram)
    }
}

// === impl Histogram ===

impl Histogram {
    /// Counts a time.
    pub fn observe_ns(&self, ns: u64) {
        self.within[bucket(ns)].inc();
        self.sum.add(ns);
    }
}

/// Of so many nanoseconds: the first whose limit is not below.
fn bucket(ns: u64) -> usize {
    let times = ns.div_ceil(FIRST_NS).max(1);
    (times.next_power_of_two().trailing_zeros() as usize).min(LIMITS)
}

/// The limits, in seconds, of every time histogram.
pub(crate) fn limits() -> Vec<f64> {
    (0..LIMITS).map(limit).collect()
}

/// Of a bucket, in seconds.
fn limit(bucket: usize) -> f64 {
    if bucket == LIMITS { f64::INFINITY } else { (FIRST_NS << bucket) as f64 / 1e9 }
}

/// The family as `/metrics` prints it.
pub(super) fn collect(name: &str, help: &str, rows: &[Row]) -> MetricFamily {
    families::named(name, help, MetricType::HISTOGRAM, rows.iter().map(Row::metric).collect())
}

// === impl Row ===

impl Row {
    fn metric(&self) -> Metric {
        let mut shown = Shown::default();
        let mut count = 0;
        let buckets = self.histogram.within.iter().enumerate().map(|(i, within)| {
            count += within.get();
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(limit(i));
            bucket.set_cumulative_count(count);
            bucket
        });
        // Of what is beyond all limits there is a bucket as of any histogram: that of the count.
        let mut buckets: Vec<_> = buckets.collect();
        buckets.pop();
        shown.set_bucket(buckets);
        shown.set_sample_count(count);
        shown.set_sample_sum(self.histogram.sum.get() as f64 / 1e9);
        let mut metric = families::labelled(&self.labels);
        metric.set_histogram(shown);
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_is_not_below() {
        assert_eq!([0, 1, 1_000, 1_001, 2_000, 2_001].map(bucket), [0, 0, 0, 1, 1, 2]);
        let last = FIRST_NS << (LIMITS - 1);
        assert_eq!([last, last + 1, u64::MAX / 2].map(bucket), [LIMITS - 1, LIMITS, LIMITS]);
        assert_eq!((limit(0), limit(1), limit(LIMITS)), (1e-6, 2e-6, f64::INFINITY));
    }

    #[test]
    fn metrics_print_the_usual_series() {
        let book = Book::create(None).unwrap();
        let times = book.histogram("wait_seconds", &[("proxy", "0")], "Waits.").unwrap();
        for ns in [900, 10_000, 20_000, 30_000, 500_000_000_000] {
            times.observe_ns(ns);
        }
        let registry = prometheus::Registry::new();
        book.register(&registry).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text.contains("# TYPE wait_seconds histogram\n"), "{text}");
        for (le, count) in [("0.000001", 1), ("0.000016", 2), ("0.000032", 4), ("134.217728", 4), ("+Inf", 5)] {
            assert!(
                text.contains(&format!("wait_seconds_bucket{{proxy=\"0\",le=\"{le}\"}} {count}\n")),
                "{le}: {text}"
            );
        }
        assert!(text.contains("wait_seconds_sum{proxy=\"0\"} 500.0000609\n"), "{text}");
        assert!(text.contains("wait_seconds_count{proxy=\"0\"} 5\n"), "{text}");
        assert!(!text.contains("nanoseconds"), "{text}");
        assert!(book.histogram("wait_total", &[], "").is_err());
    }
}
