//! Whether intervals are what they say: of synthetic runs whose true percentile is known, how many 95 % intervals hold it.
//!
//! `cargo test --release -p galton-report --lib coverage -- --nocapture --include-ignored` prints all figures.

use galton_core::dist::normal_quantile;
use galton_core::rng::{KeyedRng, Purpose};

use super::Samples;

/// Runs of each kind.
const RUNS: u64 = 1_000;
/// Microseconds of the median.
const SCALE: f64 = 1e6;
/// Lognormal response times: this spread of the logarithm.
const SIGMA: f64 = 0.5;

/// A way to keep a sample: every value, or a histogram from so many values on.
#[derive(Clone, Copy, Debug)]
enum Kept {
    All,
    Counted,
}

/// The share of runs whose interval of the `q`-quantile holds the true one. First-order autoregression with this `rho` of the
/// logarithms: 0 is independence.
fn coverage(n: u64, q: f64, rho: f64, kept: Kept) -> f64 {
    let truth = (SIGMA * normal_quantile(q)).exp() * SCALE;
    let innovation = (1.0 - rho * rho).sqrt();
    let holds = |run: u64| {
        let mut rng = KeyedRng::new(run, Purpose::Hold, n);
        let mut normal = || normal_quantile(rng.uniform());
        let mut samples = match kept {
            Kept::All => Samples::keeping(usize::MAX, 3),
            Kept::Counted => Samples::keeping(256, 3),
        };
        // The first value has the distribution of all, so that there is no warm-up.
        let mut last = normal();
        for _ in 0..n {
            samples.push(((SIGMA * last).exp() * SCALE) as u64);
            last = rho * last + innovation * normal();
        }
        let summary = samples.summary();
        let found = summary.quantiles.iter().find(|found| found.q == q).expect("a percentile of every table");
        // A histogram knows values to its digits, and so do the ends of its intervals.
        let digits = if matches!(kept, Kept::Counted) { truth / 2_000.0 } else { 1.0 };
        let lo = found.lo.map_or(f64::NEG_INFINITY, |lo| lo as f64 - digits);
        lo <= truth && found.hi.is_some_and(|hi| truth <= hi as f64 + digits)
    };
    (0..RUNS).filter(|run| holds(*run)).count() as f64 / RUNS as f64
}

#[track_caller]
fn check(n: u64, rho: f64, kept: Kept, range: std::ops::RangeInclusive<f64>) {
    let found = coverage(n, 0.99, rho, kept);
    println!("p99 of {n} values, rho {rho}, {kept:?}: {:.1} % of {RUNS} intervals hold the truth", found * 100.0);
    assert!(range.contains(&found), "{found} not in {range:?}: n {n}, rho {rho}, {kept:?}");
}

#[test]
fn coverage_of_independent_values() {
    for n in [500, 2_000] {
        check(n, 0.0, Kept::All, 0.93..=1.0);
        check(n, 0.0, Kept::Counted, 0.93..=1.0);
    }
    check(20_000, 0.0, Kept::All, 0.93..=0.97);
    check(20_000, 0.0, Kept::Counted, 0.93..=0.97);
}

#[test]
#[ignore = "a minute or two"]
fn coverage_of_correlated_and_of_many_values() {
    check(50_000, 0.9, Kept::All, 0.92..=0.985);
    check(50_000, 0.9, Kept::Counted, 0.92..=0.985);
    check(100_000, 0.0, Kept::All, 0.93..=0.97);
    check(100_000, 0.0, Kept::Counted, 0.93..=0.97);
}
