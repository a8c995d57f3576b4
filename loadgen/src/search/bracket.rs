//! Which rate is tried next: doubling until it is too much, then halving what lies between, then once more to be sure.
//!
//! Decides only; who probes, and what "kept" means, is not its business. Assumes that what is kept at a rate is kept below it, but
//! for chance: a rate that was kept once and not the second time is too much.

/// How often a rate must be kept to be the answer.
const TIMES: u32 = 2;

/// The search for the highest rate that is kept.
#[derive(Clone, Debug)]
pub(super) struct Bracket {
    /// The rates that may be tried.
    from: f64,
    to: Option<f64>,
    /// Two rates this close are one.
    precision: f64,
    /// The highest that is thought to be kept, and how often it was.
    low: Option<(f64, u32)>,
    /// Not kept, the lowest.
    high: Option<f64>,
    /// All that were kept, as they came.
    kept: Vec<f64>,
}

// === impl Bracket ===

impl Bracket {
    /// Between these rates; `precision` is a share, above 0.
    pub(super) fn new(from: f64, to: Option<f64>, precision: f64) -> Self {
        Self { from, to, precision, low: None, high: None, kept: Vec::new() }
    }

    /// The rate to try; none: there is an answer.
    pub(super) fn next(&self) -> Option<f64> {
        match (self.low, self.high) {
            (None, None) => Some(self.from),
            // The lowest rate is too much already.
            (None, Some(_)) => None,
            (Some((low, _)), Some(high)) if high > low * (1.0 + self.precision) => Some((low * high).sqrt()),
            (Some((low, _)), None) if self.to != Some(low) => Some(self.to.map_or(low * 2.0, |to| to.min(low * 2.0))),
            (Some((low, times)), _) => (times < TIMES).then_some(low),
        }
    }

    /// What came of a rate.
    pub(super) fn tell(&mut self, rate: f64, kept: bool) {
        self.kept.extend(kept.then_some(rate));
        match self.low {
            Some((low, times)) if kept && rate == low => self.low = Some((low, times + 1)),
            Some((low, _)) if !kept && rate == low => {
                self.high = Some(rate);
                // Back to where it is surely kept: a step of the precision, or the start.
                let lower = rate / (1.0 + self.precision);
                self.low = (rate > self.from).then(|| (lower.max(self.from), 0));
            }
            _ if kept => self.low = Some((rate, 1)),
            _ => self.high = Some(rate),
        }
    }

    /// The lowest rate that was not kept, and before it the highest that was: if there is no rate left to try, twice.
    pub(super) fn answer(&self) -> (Option<f64>, Option<f64>) {
        let below = |rate: &f64| self.high.is_none_or(|high| *rate < high);
        (self.kept.iter().copied().filter(below).reduce(f64::max), self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches against a server that keeps every rate up to `capacity`.
    fn search(mut bracket: Bracket, kept: impl Fn(f64) -> bool) -> (Option<f64>, Option<f64>, usize) {
        for probes in 0..100 {
            match bracket.next() {
                Some(rate) => bracket.tell(rate, kept(rate)),
                None => {
                    let (low, high) = bracket.answer();
                    return (low, high, probes);
                }
            }
        }
        panic!("no end: {bracket:?}");
    }

    #[test]
    fn the_answer_lies_within_the_precision() {
        for capacity in [11.0, 100.0, 437.0, 20_480.0] {
            let (low, high, probes) = search(Bracket::new(10.0, None, 0.05), |rate| rate <= capacity);
            let (low, high) = (low.unwrap(), high.unwrap());
            assert!(low <= capacity && capacity < high && high <= low * 1.05, "{low}..{high} for {capacity}");
            assert!(probes <= 20, "{probes} probes for {capacity}");
        }
    }

    #[test]
    fn the_ends_are_answers_too() {
        assert_eq!(search(Bracket::new(10.0, None, 0.05), |_| false), (None, Some(10.0), 1));
        assert_eq!(search(Bracket::new(10.0, Some(35.0), 0.05), |_| true), (Some(35.0), None, 4));
    }

    #[test]
    fn what_is_not_kept_again_is_too_much() {
        // Kept by luck at 40 the first time.
        let tried = std::cell::Cell::new(0);
        let lucky = |rate: f64| {
            tried.set(tried.get() + usize::from(rate == 40.0));
            rate < 38.0 || rate == 40.0 && tried.get() == 1
        };
        let (low, high, _) = search(Bracket::new(40.0, Some(40.0), 0.05), lucky);
        assert_eq!((low, high), (None, Some(40.0)));
        let mut bracket = Bracket::new(10.0, None, 0.05);
        for (rate, kept) in [(10.0, true), (20.0, true), (40.0, false)] {
            assert_eq!(bracket.next(), Some(rate));
            bracket.tell(rate, kept);
        }
        let (low, high, _) = search(bracket, |rate| rate < 30.0);
        assert!(low.unwrap() < 30.0 && high.unwrap() >= 30.0);
    }

    #[test]
    fn the_answer_was_kept_twice_below_a_rate_that_was_lucky_too() {
        // Kept by luck at 40 the first time; a step below it nothing has been asked yet.
        let asked = std::cell::RefCell::new(Vec::new());
        let lucky = |rate: f64| {
            asked.borrow_mut().push(rate);
            rate < 39.0 || rate == 40.0 && asked.borrow().iter().filter(|other| **other == 40.0).count() == 1
        };
        let (low, high, _) = search(Bracket::new(10.0, Some(40.0), 0.05), lucky);
        assert_eq!((low, high), (Some(40.0 / 1.05), Some(40.0)));
        assert_eq!(asked.borrow().iter().filter(|rate| low == Some(**rate)).count(), 2);
    }

    #[test]
    fn half_a_search_has_half_an_answer() {
        let mut bracket = Bracket::new(10.0, None, 0.05);
        assert_eq!(bracket.answer(), (None, None));
        for (rate, kept, so_far) in [
            (10.0, true, (Some(10.0), None)),
            (20.0, true, (Some(20.0), None)),
            (40.0, false, (Some(20.0), Some(40.0))),
            (800_f64.sqrt(), false, (Some(20.0), Some(800_f64.sqrt()))),
        ] {
            assert_eq!(bracket.next(), Some(rate));
            bracket.tell(rate, kept);
            assert_eq!(bracket.answer(), so_far);
        }
        // The lowest that was kept is not any more.
        bracket.tell(20.0, false);
        assert_eq!(bracket.answer(), (Some(10.0), Some(20.0)));
    }
}
