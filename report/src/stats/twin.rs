//! A sample that is mostly another one.

use super::{Samples, Summary};

/// A sample kept apart from its original from the first value on in which they differ: a run without a network has its
/// service latencies for nothing, and one in which nobody waits its holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Twin(Option<Box<Samples>>);

impl Twin {
    /// A value, where `original` is about to have `of`.
    #[inline]
    pub(crate) fn push(&mut self, value: Option<u64>, original: &Samples, of: u64) {
        if self.0.is_none() && value == Some(of) {
            return;
        }
        let own = self.part(original);
        if let Some(value) = value {
            own.push(value);
        }
    }

    /// Some values, where `original` is about to have as many others.
    pub(crate) fn extend(&mut self, values: &[u64], original: &Samples, of: &[u64]) {
        if let Some(own) = &mut self.0 {
            return own.extend(values);
        }
        let differs = |(value, of): (&u64, &u64)| value != of;
        if let Some(alike) = values.iter().zip(of).position(differs) {
            let own = self.part(original);
            own.extend(&of[..alike]);
            own.extend(&values[alike..]);
        }
    }

    /// A lower bound, where `original` is about to have the lower bound `of`.
    pub(crate) fn push_censored(&mut self, at_least: u64, original: &Samples, of: u64) {
        if self.0.is_some() || at_least != of {
            self.part(original).push_censored(at_least);
        }
    }

    /// From here on, a sample of its own.
    pub(crate) fn part(&mut self, original: &Samples) -> &mut Samples {
        self.0.get_or_insert_with(|| Box::new(original.clone()))
    }

    /// All figures; those of the original are known.
    pub(crate) fn summary(&self, of_original: &Summary) -> Summary {
        self.0.as_ref().map_or_else(|| of_original.clone(), |own| own.summary())
    }

    /// The sample.
    pub(crate) fn get<'a>(&'a self, original: &'a Samples) -> &'a Samples {
        self.0.as_deref().unwrap_or(original)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_parts_with_its_original_at_the_first_difference() {
        let (mut original, mut twin) = (Samples::default(), Twin::default());
        for (value, of) in [(Some(5), 5), (Some(6), 6), (Some(7), 8), (None, 9), (Some(10), 10)] {
            twin.push(value, &original, of);
            original.push(of);
            if of == 6 {
                assert!(twin.0.is_none());
            }
        }
        let values = |samples: &Samples| samples.counts().into_iter().map(|(value, _)| value).collect::<Vec<_>>();
        assert_eq!(values(&original), [5, 6, 8, 9, 10]);
        assert_eq!(values(twin.get(&original)), [5, 6, 7, 10]);
    }

    #[test]
    fn lower_bounds_are_shared_too() {
        let (mut original, mut twin) = (Samples::default(), Twin::default());
        twin.push_censored(5, &original, 5);
        original.push_censored(5);
        assert_eq!(twin.get(&original).summary().censored, 1);
        twin.push_censored(4, &original, 5);
        original.push_censored(5);
        assert_eq!(twin.get(&original).summary().min, Some(4));
        assert_eq!(twin.get(&original).summary().censored, 2);
    }
}
