//! From two estimates to a verdict.

use std::fmt;

use serde::{Serialize, Serializer};

use super::bootstrap::{Interval, difference_of_independent};
use super::metric::{Metric, Unit};
use super::summary::{Estimate, Spread, unseen};
use crate::stats::student;

/// What each side of an interval may err.
const ALPHA: f64 = 0.025;
/// Blocks of what was not resampled: as good as infinitely many.
const MANY_BLOCKS: usize = 1_000_000;

/// What can be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sameness {
    /// The whole interval of the difference lies within the margin.
    Same,
    /// Neither can be said.
    Undecided,
    /// There is a difference, and it exceeds the margin.
    Differs,
}

/// One figure of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricComparison {
    /// Which.
    pub metric: Metric,
    /// What it counts.
    pub unit: Unit,
    /// In the first; none for a distance, which has but one value.
    pub a: Option<Figure>,
    /// In the second.
    pub b: Option<Figure>,
    /// The second less the first, or their distance.
    pub difference: Figure,
    /// The difference that does not matter.
    #[serde(serialize_with = "plain")]
    pub margin: f64,
    /// What follows.
    pub verdict: Sameness,
}

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The value.
    #[serde(serialize_with = "plain")]
    pub value: f64,
    /// Its interval; none: not known.
    pub interval: Option<Interval>,
    /// The true value is at least this one: it lies among requests that timed out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub censored: bool,
}

fn plain<S: Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
    crate::stats::plain_option(&Some(*value), s)
}

/// What is compared, before a verdict.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) metric: Metric,
    a: Option<Figure>,
    b: Option<Figure>,
    difference: Figure,
    blocks: usize,
}

// === impl Candidate ===

impl Candidate {
    /// Of two estimates. `paired`: their resamples belong together.
    pub(crate) fn of(metric: Metric, a: &Estimate, b: &Estimate) -> Self {
        let difference = b.value - a.value;
        let (interval, blocks) = difference_interval(a, b);
        let share_of = a.share_of.min(b.share_of);
        let interval = interval.map(|interval| match share_of {
            0 => interval,
            n if interval.lo == interval.hi => interval.at_least(difference, unseen(n)).within(-1.0, 1.0),
            _ => interval.within(-1.0, 1.0),
        });
        Self {
            metric,
            a: Some(Figure::of(a)),
            b: Some(Figure::of(b)),
            difference: Figure { value: difference, interval, censored: false },
            blocks,
        }
    }

    /// Of a distance between two distributions.
    pub(crate) fn distance(metric: Metric, value: f64, interval: Option<Interval>) -> Self {
        let difference = Figure { value, interval, censored: false };
        Self { metric, a: None, b: None, difference, blocks: MANY_BLOCKS }
    }

    /// Whether it has an interval, and so a chance of being wrong.
    pub(crate) fn errs(&self) -> bool {
        self.difference.interval.is_some()
    }

    /// The values of both.
    pub(crate) fn values(&self) -> (f64, f64) {
        let value = |figure: Option<Figure>| figure.map_or(0.0, |figure| figure.value);
        (value(self.a), value(self.b))
    }

    /// The verdict with this margin, as one of `family` figures.
    pub(crate) fn judge(self, margin: f64, family: usize) -> MetricComparison {
        let verdict = self.sameness(margin, family);
        let Self { metric, a, b, difference, .. } = self;
        MetricComparison { metric, unit: metric.unit(), a, b, difference, margin, verdict }
    }

    /// `same` by the 95 % interval. `differs` by one that is wide enough to be right for all figures of the comparison at
    /// once (Bonferroni): of 19 independent figures, some would differ by chance in every second comparison of equals.
    fn sameness(&self, margin: f64, family: usize) -> Sameness {
        let value = self.difference.value;
        let Some(interval) = self.difference.interval else {
            // A maximum, or a count of a few: equal or not is all that one run can say. A mean that is equal to the last
            // digit is that of the same course.
            let countable = matches!(self.metric, Metric::FleetPeak | Metric::ScaleUps) && value.abs() <= margin;
            let alike = self.metric == Metric::FleetMean && value == 0.0;
            return if countable || alike { Sameness::Same } else { Sameness::Undecided };
        };
        if interval.within_margin(margin) {
            return Sameness::Same;
        }
        let freedom = self.blocks.saturating_sub(1);
        let wider = student(ALPHA / family.max(1) as f64, freedom) / student(ALPHA, freedom);
        let clear = interval.stretched(value, wider).excludes_zero();
        if clear && value.abs() > margin { Sameness::Differs } else { Sameness::Undecided }
    }
}

/// The interval of `b − a`, and the blocks that it rests on.
fn difference_interval(a: &Estimate, b: &Estimate) -> (Option<Interval>, usize) {
    if let (Spread::Resampled(of_a, blocks_a), Spread::Resampled(of_b, blocks_b)) = (&a.spread, &b.spread) {
        let differences = of_a.iter().zip(of_b).map(|(a, b)| b - a).collect();
        let blocks = *blocks_a.min(blocks_b);
        return (Some(Interval::of(b.value - a.value, differences, blocks)), blocks);
    }
    let both = a.interval().zip(b.interval());
    (both.map(|(of_a, of_b)| difference_of_independent((a.value, of_a), (b.value, of_b))), MANY_BLOCKS)
}

// === impl Figure ===

impl Figure {
    fn of(estimate: &Estimate) -> Self {
        Self { value: estimate.value, interval: estimate.interval(), censored: estimate.censored }
    }
}

// === impl Sameness ===

impl fmt::Display for Sameness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Undecided => "undecided",
            Self::Differs => "differs",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: f64, lo: f64, hi: f64, margin: f64) -> Sameness {
        let zero = Estimate::plain(0.0, Spread::Interval(Interval { lo: 0.0, hi: 0.0 }));
        let other = Estimate::plain(value, Spread::Interval(Interval { lo, hi }));
        Candidate::of(Metric::FleetMean, &zero, &other).judge(margin, 1).verdict
    }

    #[test]
    fn the_interval_and_the_margin_decide() {
        assert_eq!(of(0.1, -0.2, 0.4, 0.5), Sameness::Same);
        assert_eq!(of(0.1, -0.2, 0.6, 0.5), Sameness::Undecided);
        assert_eq!(of(0.4, 0.1, 0.7, 0.5), Sameness::Undecided);
        assert_eq!(of(0.6, 0.1, 1.1, 0.5), Sameness::Differs);
        assert_eq!(of(-2.0, -3.0, -1.0, 0.5), Sameness::Differs);
        assert_eq!(of(0.1, 0.05, 0.15, 0.5), Sameness::Same);
    }

    #[test]
    fn more_figures_take_clearer_differences() {
        let zero = Estimate::plain(0.0, Spread::Interval(Interval { lo: 0.0, hi: 0.0 }));
        let other = Estimate::plain(1.0, Spread::Interval(Interval { lo: 0.1, hi: 1.9 }));
        let verdict = |family| Candidate::of(Metric::FleetMean, &zero, &other).judge(0.5, family).verdict;
        assert_eq!((verdict(1), verdict(19)), (Sameness::Differs, Sameness::Undecided));
    }

    #[test]
    fn without_an_interval_only_counts_and_courses_can_be_the_same() {
        let bare = |value| Estimate::plain(value, Spread::Unknown);
        let verdict = |metric, b| Candidate::of(metric, &bare(5.0), &bare(b)).judge(1.0, 1).verdict;
        assert_eq!(verdict(Metric::FleetPeak, 6.0), Sameness::Same);
        assert_eq!(verdict(Metric::FleetPeak, 9.0), Sameness::Undecided);
        assert_eq!(verdict(Metric::FleetMean, 5.1), Sameness::Undecided);
        assert_eq!(verdict(Metric::FleetMean, 5.0), Sameness::Same);
    }
}
