//! Percentiles of a histogram, as far as the sample bears them.

use galton_core::Nanos;
use galton_report::needed;
use galton_report::units::time;
use hdrhistogram::Histogram;

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
}
