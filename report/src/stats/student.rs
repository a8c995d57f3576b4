//! Student's t.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The upper quantile of Student's t with `freedom` degrees of freedom (at least one), of which `tail` is left above.
pub(crate) fn student(tail: f64, freedom: usize) -> f64 {
    let t = StudentsT::new(0.0, 1.0, freedom.max(1) as f64).expect("the degrees of freedom are positive");
    t.inverse_cdf(1.0 - tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_published_tables() {
        for (freedom, expected) in [(1, 12.706), (2, 4.303), (4, 2.776), (20, 2.086), (100, 1.984), (1 << 30, 1.960)] {
            assert!((student(0.025, freedom) - expected).abs() < 1e-3, "{freedom}: {}", student(0.025, freedom));
        }
    }
}
