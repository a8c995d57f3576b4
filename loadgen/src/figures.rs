//! Percentiles of a histogram, as far as the sample bears them.

use galton_core::Nanos;
use galton_report::needed;
use galton_report::units::{digits, time};
use hdrhistogram::Histogram;

/// The percentiles of every table; the last is the maximum.
pub(crate) const QUANTILES: [(&str, f64); 7] =
    [("p50", 0.5), ("p80", 0.8), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// What is known about a percentile, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// It is this.
    Value(u64),
    /// Requests were given up before it was reached: it is this or more.
    AtLeast(u64),
    /// The sample is too small; it takes so many.
    Needs(u64),
}

/// The quantile `q` of a sample whose `censored` largest values are lower bounds.
pub(crate) fn figure(sample: &Histogram<u64>, q: f64, censored: u64) -> Figure {
    let n = sample.len();
    let needs = needed(q);
    if n < needs {
        return Figure::Needs(needs);
    }
    // HdrHistogram answers with the upper end of the bucket, which can lie above the largest value seen.
    let value = if q == 1.0 { sample.max() } else { sample.value_at_quantile(q).min(sample.max()) };
    let rank = (q * n as f64).ceil() as u64;
    if rank > n.saturating_sub(censored) { Figure::AtLeast(value) } else { Figure::Value(value) }
}

impl Figure {
    /// For people.
    pub(crate) fn print(self) -> String {
        match self {
            Self::Value(ns) => time(Nanos(ns)),
            Self::AtLeast(ns) => format!("≥ {}", time(Nanos(ns))),
            Self::Needs(_) => "n/a".to_owned(),
        }
    }
}

/// Bytes per second.
pub(crate) fn byte_rate(per_second: f64) -> String {
    let (value, unit) = match per_second {
        b if b < 1e3 => (b, "B/s"),
        b if b < 1e6 => (b / 1e3, "kB/s"),
        b if b < 1e9 => (b / 1e6, "MB/s"),
        b => (b / 1e9, "GB/s"),
    };
    format!("{} {unit}", digits(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_sample_does_not_bear_high_percentiles() {
        let mut sample = Histogram::<u64>::new_with_bounds(1, 1 << 40, 3).unwrap();
        sample.record_n(1_000_000, 367).unwrap();
        assert_eq!(figure(&sample, 0.99, 0), Figure::Needs(368));
        sample.record(1_000_000).unwrap();
        assert!(matches!(figure(&sample, 0.99, 0), Figure::Value(v) if sample.equivalent(v, 1_000_000)));
        assert_eq!(Figure::Needs(368).print(), "n/a");
    }

    #[test]
    fn above_the_censored_fraction_a_percentile_is_a_lower_bound() {
        let mut sample = Histogram::<u64>::new_with_bounds(1, 1 << 40, 3).unwrap();
        sample.record_n(1_000_000, 950).unwrap();
        sample.record_n(10_000_000_000, 50).unwrap();
        assert!(matches!(figure(&sample, 0.95, 50), Figure::Value(_)));
        assert!(matches!(figure(&sample, 0.99, 50), Figure::AtLeast(v) if v >= 9_990_000_000));
        assert!(figure(&sample, 1.0, 50).print().starts_with("≥ 10.0"));
    }

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        let table = [(35.5, "35.5 B/s"), (1_234.0, "1.23 kB/s"), (1.56e6, "1.56 MB/s"), (12.34e9, "12.3 GB/s")];
        for (per_second, text) in table {
            assert_eq!(byte_rate(per_second), text);
        }
    }
}
