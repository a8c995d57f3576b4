//! Ranks of the order statistics that bound a quantile with 95 % confidence.
//!
//! Of n independent values, the number above the q-quantile is binomial, whatever the distribution; so the order
//! statistics at the quantiles of that binomial bound the q-quantile (David and Nagaraja, "Order Statistics", 3rd ed.,
//! section 7.1). Each side errs with 2.5 % at most.

/// What each side of an interval may err.
pub(super) const ALPHA: f64 = 0.025;

/// Above this variance the normal approximation is within a rank or two of the exact answer.
const NORMAL_FROM_VARIANCE: f64 = 100.0;

/// The 97.5 % quantile of the standard normal.
const Z: f64 = 1.959_963_985;

/// Ranks, from 1, of the order statistics below and above the `q`-quantile of `n` values; none where the sample is too
/// small to have one.
pub(super) fn ranks(n: u64, q: f64) -> (Option<u64>, Option<u64>) {
    if n == 0 || q >= 1.0 {
        return (None, None);
    }
    let mean = n as f64 * (1.0 - q);
    let (lowest, highest) = if mean * q > NORMAL_FROM_VARIANCE {
        let spread = Z * (mean * q).sqrt();
        // The half is the correction for continuity.
        let lowest = (mean - spread - 0.5).floor().max(0.0) as u64;
        (Some(lowest), (mean + spread - 0.5).ceil() as u64)
    } else {
        exact(n, q)
    };
    let below = n.checked_sub(highest).filter(|rank| *rank > 0);
    (below, lowest.map(|above| n - above))
}

/// The largest count above the quantile with a probability of at most 2.5 % for it or fewer, and the smallest with one
/// of at least 97.5 %.
fn exact(n: u64, q: f64) -> (Option<u64>, u64) {
    let odds = (1.0 - q) / q;
    let mut probability = (n as f64 * q.ln()).exp();
    let mut cumulative = probability;
    let mut lowest = None;
    for above in 0..n {
        if cumulative <= ALPHA {
            lowest = Some(above);
        }
        if cumulative >= 1.0 - ALPHA {
            return (lowest, above);
        }
        probability *= (n - above) as f64 / (above + 1) as f64 * odds;
        cumulative += probability;
    }
    (lowest, n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_agree_with_published_tables() {
        // Conover, "Practical Nonparametric Statistics": for the median of 20 values, the 6th and the 15th.
        assert_eq!(ranks(20, 0.5), (Some(6), Some(15)));
        // The smallest samples with an upper bound at all.
        for (q, n) in [(0.99, 368), (0.999, 3_688), (0.9999, 36_887)] {
            assert_eq!(ranks(n - 1, q).1, None, "{q}");
            assert_eq!(ranks(n, q).1, Some(n), "{q}");
        }
        assert_eq!(ranks(0, 0.5), (None, None));
        assert_eq!(ranks(10, 1.0), (None, None));
    }

    #[test]
    fn the_approximation_meets_the_exact_ranks() {
        for (n, q) in [(420_u64, 0.5), (10_200, 0.99), (640, 0.8)] {
            let (low, high) = exact(n, q);
            let (below, above) = ranks(n, q);
            assert!(below.unwrap().abs_diff(n - high) <= 1, "{n} {q}");
            assert!(above.unwrap().abs_diff(n - low.unwrap()) <= 1, "{n} {q}");
        }
    }
}
