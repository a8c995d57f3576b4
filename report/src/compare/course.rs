//! How often a fleet's course comes round within a run: what resamples of the run can know of it.
//!
//! A fleet that grows to a level and stays there has shown one level. Which one it is may be chance; another run of the same
//! kind has another one, and nothing within the run says how far off. Only a course that goes up and down again and again
//! is a sample of itself. It is judged by how often it goes from its lower quartile to its upper one, so that a target more
//! or less on the way does not count (as regenerative simulation counts its cycles: Crane and Lemoine, "An Introduction to
//! the Regenerative Method for Simulation Analysis", 1977).

use galton_core::Nanos;

use super::subject::Window;

/// With fewer cycles, the spread of a mean is guesswork.
pub(super) const FEWEST_CYCLES: usize = 8;

/// A value that stands until the next one, clipped to a window.
#[derive(Clone, Debug, Default)]
pub(super) struct Course(Vec<Stretch>);

/// A value, and for how many nanoseconds it stands.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    value: i64,
    weight: u64,
}

// === impl Course ===

impl Course {
    /// Of what begins with 0 and changes at these instants.
    pub(super) fn within(window: Window, steps: &[(Nanos, u32)]) -> Self {
        let clip = |at: Nanos| at.clamp(window.start, window.end);
        let begins = std::iter::once((Nanos::ZERO, 0)).chain(steps.iter().copied());
        let ends = steps.iter().map(|(at, _)| *at).chain([window.end]);
        let stretch = |((from, value), to): ((Nanos, u32), Nanos)| Stretch {
            value: value.into(),
            weight: (clip(to) - clip(from)).0,
        };
        Self(begins.zip(ends).map(stretch).filter(|stretch| stretch.weight > 0).collect())
    }

    /// How often it goes from its lower quartile, or less, to its upper one, or more. Where both are the same value, from
    /// there to what is above, or from what is below to there.
    pub(super) fn cycles(&self) -> usize {
        let (low, high) = (self.quartile(1), self.quartile(3));
        if low < high {
            return self.crossings(low, high);
        }
        self.crossings(low, low + 1).max(self.crossings(low - 1, low))
    }

    fn crossings(&self, low: i64, high: i64) -> usize {
        let (mut crossings, mut is_low) = (0, false);
        for Stretch { value, .. } in &self.0 {
            crossings += usize::from(is_low && *value >= high);
            is_low = *value <= low || is_low && *value < high;
        }
        crossings
    }

    /// The first, second or third one, each moment alike.
    fn quartile(&self, which: u64) -> i64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by_key(|stretch| stretch.value);
        let total: u64 = sorted.iter().map(|stretch| stretch.weight).sum();
        let mut seen = 0;
        let found = sorted.iter().find(|stretch| {
            seen += stretch.weight;
            4 * u128::from(seen) >= u128::from(which) * u128::from(total)
        });
        found.map_or(0, |stretch| stretch.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of values that stand for a second each.
    fn cycles(values: &[u32]) -> usize {
        let at = |second: usize| Nanos(second as u64 * 1_000_000_000);
        let steps: Vec<(Nanos, u32)> = values.iter().enumerate().map(|(i, value)| (at(i), *value)).collect();
        Course::within(Window { start: Nanos::ZERO, end: at(values.len()) }, &steps).cycles()
    }

    #[test]
    fn what_rises_and_stays_has_no_more_than_one_cycle() {
        assert_eq!(cycles(&[1, 3, 5, 7, 9, 9, 9, 9, 9, 10, 10, 10]), 1);
        assert_eq!(cycles(&[4; 10]), 0);
        assert_eq!(cycles(&[]), 0);
        let in_step: Vec<u32> = (0..100).collect();
        assert_eq!(cycles(&in_step), 1);
        // Slow in the large, with a target more or less all the time.
        let trembling: Vec<u32> = (0..100).map(|i| 5 + i / 10 + i % 2).collect();
        assert_eq!(cycles(&trembling), 1);
    }

    #[test]
    fn what_goes_up_and_down_has_a_cycle_each_time() {
        assert_eq!(cycles(&[2, 3].repeat(20)), 20);
        // Excursions from a level at which it mostly is.
        assert_eq!(cycles(&[&[11; 9][..], &[12]].concat().repeat(10)), 10);
        // The beginning does not hide the rest.
        let grown = [&(1..10).collect::<Vec<_>>()[..], &[10, 11, 12, 11].repeat(30)].concat();
        assert!((29..=31).contains(&cycles(&grown)), "{}", cycles(&grown));
    }

    #[test]
    fn only_the_window_counts() {
        let steps: Vec<(Nanos, u32)> = (0..20).map(|i| (Nanos(i * 10), (i % 2) as u32)).collect();
        assert_eq!(Course::within(Window { start: Nanos(100), end: Nanos(140) }, &steps).cycles(), 2);
        assert_eq!(Course::within(Window { start: Nanos(101), end: Nanos(109) }, &steps).cycles(), 0);
    }
}
