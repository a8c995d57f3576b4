//! What a keyed draw costs, bare and through the samplers.

use divan::{Bencher, black_box};
use galton_core::dist::Dist;
use galton_core::rng::{KeyedRng, Purpose};

fn main() {
    divan::main();
}

/// A generator set up for its key, and one uniform out of it.
#[divan::bench(sample_size = 1_000)]
fn keyed(bencher: Bencher<'_, '_>) {
    let mut key = 0;
    bencher.bench_local(|| {
        key += 1;
        KeyedRng::new(42, Purpose::Hold, black_box(key)).uniform()
    });
}

const DISTRIBUTIONS: [&str; 5] = ["deterministic", "exponential", "lognormal", "normal", "gamma"];

fn distribution(name: &str) -> Dist {
    match name {
        "exponential" => Dist::Exponential { mean: 100.0 },
        "lognormal" => Dist::LogNormal { median: 100.0, sigma: 0.5 },
        "normal" => Dist::Normal { mean: 10.0, stddev: 2.0 },
        "gamma" => Dist::Gamma { mean: 100.0, cv: 2.0 },
        _ => Dist::Deterministic { value: 100.0 },
    }
}

/// The same, and a sample of a prepared distribution.
#[divan::bench(args = DISTRIBUTIONS, sample_size = 1_000)]
fn sampled(bencher: Bencher<'_, '_>, name: &str) {
    let sampler = distribution(name).sampler();
    let mut key = 0;
    bencher.bench_local(|| {
        key += 1;
        sampler.sample(&mut KeyedRng::new(42, Purpose::Hold, black_box(key)))
    });
}
