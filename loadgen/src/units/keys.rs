//! `--key`: which key a request carries, for policies that hash one.

use std::str::FromStr;
use std::sync::Arc;

use galton_core::RequestId;
use galton_core::rng::{KeyedRng, Purpose};

use super::{count, positive};

/// Most different keys: the distribution is a table.
const MOST_KEYS: u64 = 10_000_000;

/// How keys are distributed; drawn by (seed, request), so that a run can be repeated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keys {
    of: u32,
    /// The probability of a key up to this one; empty: they are equal.
    cumulative: Arc<[f64]>,
}

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parameters: Vec<&str> = text.split([':', ',']).map(str::trim).collect();
        let (exponent, of) = match parameters[..] {
            ["uniform", of] => (0.0, of),
            ["zipf", exponent, of] => (positive(exponent)?, of),
            _ => return Err(format!("{text:?}: expected uniform:N or zipf:EXPONENT,N (keys 1 to N)")),
        };
        let of = count(of)?;
        if of > MOST_KEYS {
            return Err(format!("at most {MOST_KEYS} keys, got {of}"));
        }
        let cumulative = if exponent == 0.0 { Arc::default() } else { zipf(exponent, of) };
        Ok(Self { of: of as u32, cumulative })
    }
}

impl Keys {
    /// The key of this request, from 1.
    pub(crate) fn key(&self, seed: u64, request: RequestId) -> u32 {
        let mut rng = KeyedRng::new(seed, Purpose::Key, request.0);
        if self.cumulative.is_empty() {
            return 1 + rng.below(self.of);
        }
        let u = rng.uniform();
        (1 + self.cumulative.partition_point(|up_to| *up_to < u) as u32).min(self.of)
    }
}

/// Zipf's law: the k-th key has probability k^−exponent / Σ.
fn zipf(exponent: f64, of: u64) -> Arc<[f64]> {
    let mut sum = 0.0;
    let mut table: Vec<f64> = (1..=of)
        .map(|k| {
            sum += libm::pow(k as f64, -exponent);
            sum
        })
        .collect();
    table.iter_mut().for_each(|up_to| *up_to /= sum);
    table.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(spec: &str) -> Vec<u32> {
        let keys: Keys = spec.parse().unwrap();
        let mut counts = vec![0; keys.of as usize];
        (0..20_000).for_each(|seq| counts[keys.key(1, RequestId::open(seq)) as usize - 1] += 1);
        counts
    }

    #[test]
    fn keys_are_uniform_or_follow_zipf() {
        // 4 standard deviations of a binomial of 20 000.
        assert!(counts("uniform:10").iter().all(|n| (1830..2170).contains(n)));
        let zipf = counts("zipf:1,4");
        for (k, n) in zipf.iter().enumerate() {
            let expected = 20_000.0 / (k + 1) as f64 / (25.0 / 12.0);
            assert!((f64::from(*n) - expected).abs() < 4.0 * expected.sqrt(), "{zipf:?}");
        }
        assert_eq!(counts("zipf:1,4"), zipf, "the same seed, the same keys");
    }

    #[test]
    fn what_is_no_distribution_of_keys_is_told_what_is() {
        for wrong in ["zipf:1", "uniform", "zipf:0,5", "uniform:0", "uniform:20m", "pareto:1,2"] {
            assert!(wrong.parse::<Keys>().is_err(), "{wrong}");
        }
    }
}
