//! Where a run has settled: MSER, the truncation that makes the standard error of the mean smallest.
//!
//! White, "An effective truncation heuristic for bias reduction in simulation output", Simulation 69, 1997; on means of
//! batches of five: White, Cobb, Spratt, "A comparison of five steady-state truncation heuristics for simulation", Winter
//! Simulation Conference 2000. A truncation in the second half of what was seen says that there is too little of it, not
//! where the warm-up ends (Franklin, White, "Stationarity tests and MSER-5: exploring the intuition behind
//! mean-squared-error-reduction in detecting and correcting initialization bias", Winter Simulation Conference 2008).

/// Values in a batch at first.
pub(crate) const BATCH: usize = 5;
/// With fewer batches than this, chance decides.
const FEWEST: usize = 10;
/// When there are so many batches, neighbours are merged: the precision of the truncation is one in eight thousand then.
const MOST: usize = 1 << 14;

/// How many batch means to leave out: at most half of them. None: it has not settled, or there are too few to tell.
pub(crate) fn truncation(means: &[f64]) -> Option<usize> {
    if means.len() < FEWEST {
        return None;
    }
    let centre = means.iter().sum::<f64>() / means.len() as f64;
    let (mut sum, mut squares) = (0.0, 0.0);
    let mut best = (f64::INFINITY, 0);
    // From the end, so that the sums over what is kept grow by one value at a time. The last few alone always agree.
    for (cut, mean) in means.iter().enumerate().rev() {
        let off = mean - centre;
        (sum, squares) = (sum + off, squares + off * off);
        let kept = (means.len() - cut) as f64;
        let error = (squares - sum * sum / kept).max(0.0) / (kept * kept);
        // Of equal errors the one that leaves out less.
        if means.len() - cut >= BATCH && error <= best.0 {
            best = (error, cut);
        }
    }
    Some(best.1).filter(|cut| *cut <= means.len() / 2)
}

/// Batch means of a series that is not kept.
#[derive(Clone, Debug)]
pub(crate) struct BatchMeans {
    means: Vec<f64>,
    length: usize,
    /// Of the batch at hand.
    sum: f64,
    filled: usize,
}

// === impl BatchMeans ===

impl BatchMeans {
    pub(crate) fn new() -> Self {
        Self { means: Vec::new(), length: BATCH, sum: 0.0, filled: 0 }
    }

    pub(crate) fn push(&mut self, value: f64) {
        (self.sum, self.filled) = (self.sum + value, self.filled + 1);
        if self.filled == self.length {
            self.means.push(self.sum / self.length as f64);
            (self.sum, self.filled) = (0.0, 0);
        }
        if self.filled == 0 && self.means.len() == MOST {
            self.means = self.means.chunks(2).map(|pair| pair.iter().sum::<f64>() / pair.len() as f64).collect();
            self.length *= 2;
        }
    }

    /// How many values there were.
    pub(crate) fn values(&self) -> usize {
        self.means.len() * self.length + self.filled
    }

    /// How many values to leave out; none: it has not settled.
    pub(crate) fn truncation(&self) -> Option<usize> {
        truncation(&self.means).map(|batches| batches * self.length)
    }
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    /// Noise around 100, with a start that is worse by `by` and decays over `over` values.
    fn series(n: usize, by: f64, over: f64) -> BatchMeans {
        let mut rng = KeyedRng::new(11, Purpose::Hold, 0);
        let mut means = BatchMeans::new();
        (0..n).for_each(|i| means.push(100.0 + 20.0 * (rng.uniform() - 0.5) + by * (-(i as f64) / over).exp()));
        means
    }

    #[test]
    fn the_truncation_follows_the_definition() {
        let means = [9.0, 7.0, 5.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0];
        let error = |cut: usize| {
            let kept = &means[cut..];
            let mean = kept.iter().sum::<f64>() / kept.len() as f64;
            kept.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (kept.len() as f64).powi(2)
        };
        let naive = (0..=7).min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap();
        assert_eq!((truncation(&means), naive), (Some(3), 3));
    }

    #[test]
    fn a_warm_up_is_cut_and_a_steady_run_hardly() {
        let cut = series(20_000, 300.0, 500.0).truncation().unwrap();
        // By then e^(−5) = 2 of the 300 are left.
        assert!((1_500..5_000).contains(&cut), "{cut}");
        let steady = series(20_000, 0.0, 1.0).truncation().unwrap();
        assert!(steady < 4_000, "{steady}");
    }

    #[test]
    fn a_run_that_never_settles_says_so() {
        let mut rising = BatchMeans::new();
        (0..10_000).for_each(|i| rising.push(f64::from(i)));
        assert_eq!(rising.truncation(), None);
        assert_eq!(truncation(&[1.0; FEWEST - 1]), None);
        assert_eq!(truncation(&[1.0; FEWEST]), Some(0));
    }

    #[test]
    fn batches_are_merged_and_the_cut_stays_in_values() {
        let long = series(1_000_000, 300.0, 20_000.0);
        assert!(long.means.len() < MOST && long.length > BATCH);
        let cut = long.truncation().unwrap();
        assert!((40_000..250_000).contains(&cut), "{cut}");
    }
}
