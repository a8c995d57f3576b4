//! What the plots draw besides the report's own series: bounded, so that a page stays small whatever the run was.

use galton_core::record::FleetWhat;
use galton_core::{Nanos, TargetId};

/// Everything the plots need and `result.json` does not hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PlotData {
    /// End of the warm-up, and end of the measured window.
    pub(crate) window: (Nanos, Nanos),
    /// Single requests: intended send, response time, overhead.
    pub(crate) scatter: Scatter,
    /// Ready targets from each instant on.
    pub(crate) fleet: Vec<(Nanos, u32)>,
    /// Decisions of the scaler and deaths, thinned, with the ready targets after them.
    pub(crate) marks: Vec<(Nanos, FleetMark, u32)>,
    /// How many there were.
    pub(crate) marks_of: usize,
    /// CPU utilisation over the buckets of the series, of the busiest targets, by number.
    pub(crate) cpu: Vec<(TargetId, Vec<f64>)>,
    /// Response time, hold time.
    pub(crate) response: Bins,
    /// Hold time.
    pub(crate) hold: Bins,
    /// Every latency by name, as values and counts of a histogram with three significant digits.
    pub(crate) histograms: Vec<(&'static str, Vec<(u64, u64)>)>,
}

/// What is marked on the course of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FleetMark {
    Asked,
    Refused,
    Removal,
    Death,
}

impl FleetMark {
    /// Every mark with its name.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Asked, "start asked for"),
        (Self::Refused, "start refused"),
        (Self::Removal, "removal"),
        (Self::Death, "death"),
    ];

    /// The mark of an event, if it is marked.
    pub(crate) fn of(what: FleetWhat) -> Option<Self> {
        match what {
            FleetWhat::Starting | FleetWhat::Joined => Some(Self::Asked),
            FleetWhat::UpRefused => Some(Self::Refused),
            FleetWhat::Cordoned => Some(Self::Removal),
            FleetWhat::Died | FleetWhat::StartFailed | FleetWhat::GivenUp => Some(Self::Death),
            _ => None,
        }
    }
}

/// A thinned scatter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scatter {
    /// Intended send, response, overhead if known.
    pub(crate) points: Vec<(Nanos, Nanos, Option<Nanos>)>,
    /// How many requests there were.
    pub(crate) of: usize,
}

/// A histogram of equal bins from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bins {
    pub(crate) width: Nanos,
    pub(crate) counts: Vec<u64>,
    /// Values beyond the last bin.
    pub(crate) beyond: u64,
}

/// The next of 1, 2, 5, 10, … that is at least `least` (and at least 1).
pub(crate) fn round_up(least: u64) -> u64 {
    let mut decade = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let candidate = decade.saturating_mul(step);
            if candidate >= least {
                return candidate;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        let found: Vec<u64> = [0, 1, 3, 5, 6, 11, 499, u64::MAX].map(round_up).into();
        assert_eq!(found, [1, 1, 5, 5, 10, 20, 500, u64::MAX]);
    }
}
