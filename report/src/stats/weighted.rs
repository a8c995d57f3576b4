//! A distribution of whole numbers, most of them small, by weight: nanoseconds for which a gauge stood at a value, or
//! decisions that met it there.

use serde::{Serialize, Serializer};

use super::{QUANTILES, Sparse, needed};

/// Weight by value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Weighted {
    weights: Vec<u64>,
    /// Of values that are larger than those.
    large: Sparse,
}

/// Figures of one gauge under one sampling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GaugeSummary {
    /// Total weight: samples, or nanoseconds; over all targets where there is one value per target.
    pub weight: u64,
    /// Smallest.
    #[serde(serialize_with = "plain")]
    pub min: f64,
    /// Mean.
    #[serde(serialize_with = "plain")]
    pub mean: f64,
    /// Standard deviation.
    #[serde(serialize_with = "plain")]
    pub std: f64,
    /// Quantiles, ascending.
    pub quantiles: Vec<GaugeQuantile>,
}

/// One quantile of a gauge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GaugeQuantile {
    /// Which.
    pub q: f64,
    /// The smallest value with a cumulative weight of at least the q-th part; none: too few samples.
    #[serde(serialize_with = "plain_option")]
    pub value: Option<f64>,
    /// How many samples it would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_n: Option<u64>,
}

// === impl Weighted ===

impl Weighted {
    /// Of the weights of 0, 1, 2, …, and of values that are too large for that.
    pub(crate) fn of(weights: impl Iterator<Item = u64>, large: Sparse) -> Self {
        let mut weights: Vec<u64> = weights.collect();
        while weights.last() == Some(&0) {
            weights.pop();
        }
        Self { weights, large }
    }

    fn add(&mut self, value: usize, weight: u64) {
        if weight > 0 && self.weights.len() <= value {
            self.weights.resize(value + 1, 0);
        }
        if weight > 0 {
            self.weights[value] += weight;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (value, weight) in other.weights.iter().enumerate() {
            self.add(value, *weight);
        }
        self.large.merge(&other.large);
    }

    pub(crate) fn total(&self) -> u64 {
        self.weights.iter().sum::<u64>() + self.large.total()
    }

    /// Sum of value times weight.
    pub(crate) fn area(&self) -> u128 {
        let product = |(value, weight): (usize, &u64)| value as u128 * u128::from(*weight);
        self.weights.iter().enumerate().map(product).sum::<u128>() + self.large.area()
    }

    /// All figures, with values divided by `scale`. `samples`: how many samples there were, for gauges that were sampled
    /// rather than watched. None without weight.
    pub(crate) fn summary(&self, scale: f64, samples: Option<u64>) -> Option<GaugeSummary> {
        let total = self.total();
        let small = self.weights.iter().position(|w| *w > 0).map(|value| value as u64);
        let min = small.or(self.large.least())?;
        let mean = self.area() as f64 / total as f64;
        let square = |(v, w): (usize, &u64)| (v as f64 - mean).powi(2) * *w as f64;
        let squares = self.weights.iter().enumerate().map(square).sum::<f64>() + self.large.squares_around(mean);
        let variance = squares / total as f64;
        let quantile = |(q, value): (f64, u64)| {
            let needs_n = samples.and_then(|n| Some(needed(q)).filter(|needed| n < *needed));
            let value = if needs_n.is_some() { None } else { Some(value as f64 / scale) };
            GaugeQuantile { q, value, needs_n }
        };
        Some(GaugeSummary {
            weight: total,
            min: min as f64 / scale,
            mean: mean / scale,
            std: variance.sqrt() / scale,
            quantiles: QUANTILES.into_iter().zip(self.quantiles(total)).map(quantile).collect(),
        })
    }

    /// Those of [`QUANTILES`], which ascend, in one go. `total`: that of the weights.
    fn quantiles(&self, total: u64) -> [u64; QUANTILES.len()] {
        let small = self.weights.iter().enumerate().map(|(value, weight)| (value as u64, *weight));
        let mut all = small.chain(self.large.iter());
        let (mut seen, mut last) = (0, 0);
        QUANTILES.map(|q| {
            let millionths = (q * 1e6).round() as u128;
            let wanted = (millionths * u128::from(total)).div_ceil(1_000_000).max(1);
            while seen < wanted
                && let Some((value, weight)) = all.next()
            {
                seen += u128::from(weight);
                last = value;
            }
            if seen < wanted { 0 } else { last }
        })
    }
}

/// Whole numbers without a fraction; what is not finite as null.
pub(crate) fn plain<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
    plain_option(&Some(*value), s)
}

/// As [`plain`], null for none.
pub(crate) fn plain_option<S: Serializer>(value: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    match value {
        Some(v) if v.fract() == 0.0 && v.abs() < EXACT => s.serialize_i64(*v as i64),
        Some(v) if v.is_finite() => s.serialize_f64(*v),
        _ => s.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_weighted() {
        let mut w = Weighted::default();
        w.add(2, 90);
        w.add(7, 10);
        w.add(50, 0);
        let s = w.summary(1.0, None).unwrap();
        assert_eq!((s.weight, s.min, s.mean), (100, 2.0, 2.5));
        assert!((s.std - 1.5).abs() < 1e-12);
        let values: Vec<f64> = s.quantiles.iter().map(|q| q.value.unwrap()).collect();
        assert_eq!(values, [2.0, 2.0, 2.0, 7.0, 7.0, 7.0, 7.0, 7.0]);
        assert_eq!(w.summary(1.0, Some(100)).unwrap().quantiles[4].needs_n, Some(368));
        assert_eq!(Weighted::default().summary(1.0, None), None);
        assert_eq!(serde_json::to_value(&s).unwrap()["min"], 2);
    }

    #[test]
    fn large_values_count_as_they_are() {
        let mut w = Weighted::default();
        w.add(2, 20);
        w.large.add(3_000_000, 80);
        let mut other = Weighted::default();
        other.large.add(2_999_990, 100);
        w.merge(&other);
        let s = w.summary(1.0, None).unwrap();
        assert_eq!((s.weight, s.min, s.mean), (200, 2.0, (40.0 + 240e6 + 299_999_000.0) / 200.0));
        let values: Vec<f64> = s.quantiles.iter().map(|q| q.value.unwrap()).collect();
        assert_eq!((values[0], values[7]), (2_999_990.0, 3_000_000.0));
        assert!((s.std / 900_000.0 - 1.0).abs() < 1e-5, "{}", s.std);
        assert_eq!(other.summary(1.0, None).unwrap().std, 0.0);
    }
}
