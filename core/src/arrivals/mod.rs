//! Arrival processes and ramps: the times at which an open loop sends.
//!
//! Every process but a trace lives in *operational time*, where gaps have mean 1; the integrated rate Λ, the number of
//! arrivals expected until t, maps it to scenario time: arrival k is at Λ⁻¹(gap₀ + … + gapₖ). So a ramp is exact for
//! every distribution of gaps; for exponential ones it gives the Poisson process of that rate, with no thinning and no
//! "rate at the last arrival" (Çinlar, "Introduction to Stochastic Processes", 1975, section 4.7; Gerhardt and Nelson,
//! "Transforming renewal processes for simulation of nonstationary arrival processes", INFORMS J. Computing 21, 2009).
//!
//! Gaps are keyed by (seed, number of the arrival); none comes from a stream that something else draws from.

mod bursts;
mod rate;
#[cfg(test)]
mod tests;

use std::iter::FusedIterator;

use self::bursts::Bursts;
use self::rate::Rate;
use crate::dist::{Dist, Sampler};
use crate::rng::{KeyedRng, Purpose};
use crate::scenario::{Arrival, ArrivalProcess};
use crate::time::Nanos;

/// The times of the arrivals of an open loop, one by one, nondecreasing.
///
/// Without a `count` they end before the duration. With one there are exactly so many: for `poisson` all of them below
/// the duration, as a Poisson process has them given their number (sorted uniforms in operational time); for every other
/// process, `exponential` too, the first so many with their own gaps, wherever the duration ends. Only a trace or a ramp
/// that is over before has fewer. A rate that is nowhere positive has no arrivals.
///
/// Memory does not grow with the number of arrivals, except for a trace. A `poisson` with a `count` draws its gaps
/// twice.
#[derive(Clone, Debug)]
pub struct Arrivals {
    source: Source,
    /// Arrivals made so far.
    made: u64,
    count: u64,
    /// The arrivals end before.
    end: Nanos,
    /// The last ones made.
    ahead: Vec<Nanos>,
    /// How many of them are no longer ahead.
    taken: usize,
}

#[derive(Clone, Debug)]
enum Source {
    Drawn(Drawn),
    Trace(std::vec::IntoIter<Nanos>),
}

/// A renewal process in operational time, and the way back.
#[derive(Clone, Debug)]
struct Drawn {
    seed: u64,
    gap: Sampler,
    /// Whether the first arrival comes before the first gap.
    at_once: bool,
    /// Operational time of the last arrival that was made, in gaps.
    gaps: f64,
    /// What a gap counts: 1, but for a fixed number of Poisson arrivals.
    scale: f64,
    /// Later times come of rounding.
    latest: Nanos,
    clock: Clock,
}

/// How many arrivals are made at once: together they cost half.
pub(crate) const AHEAD: usize = 64;

/// Λ⁻¹, for arguments that do not decrease.
#[derive(Clone, Debug)]
enum Clock {
    Rate(Rate),
    Bursts(Bursts),
}

/// How many arrivals to expect in `[0, duration)`; of a `count`, so many.
pub fn expected(arrival: &Arrival, duration: Nanos) -> f64 {
    arrival.count.map_or_else(|| by_rate(arrival, duration), |count| count as f64)
}

/// The integral of the rate over `[0, duration)`; of a trace, its rows there.
pub(crate) fn by_rate(arrival: &Arrival, duration: Nanos) -> f64 {
    match &arrival.process {
        ArrivalProcess::Mmpp { rates_per_sec, mean_dwell_ms } => {
            let stays: f64 = mean_dwell_ms.iter().sum();
            let rate = rates_per_sec.iter().zip(mean_dwell_ms).map(|(rate, dwell)| rate * dwell).sum::<f64>() / stays;
            rate * duration.as_secs_f64()
        }
        ArrivalProcess::Trace { rows, .. } => rows.iter().filter(|row| row.at < duration).count() as f64,
        _ => match Source::new(0, arrival, duration) {
            Source::Drawn(Drawn { clock: Clock::Rate(rate), .. }) => rate.until(duration.0 as f64),
            Source::Drawn(_) | Source::Trace(_) => 0.0,
        },
    }
}

// === impl Arrivals ===

impl Arrivals {
    /// The arrivals of `arrival` with `seed`, planned in `[0, duration)`.
    pub fn new(seed: u64, arrival: &Arrival, duration: Nanos) -> Self {
        let end = if arrival.count.is_some() { Nanos::MAX } else { duration };
        let mut source = Source::new(seed, arrival, end);
        if let (Source::Drawn(drawn), Some(count), ArrivalProcess::Poisson { .. }) =
            (&mut source, arrival.count, &arrival.process)
        {
            drawn.fit(count, duration);
        }
        let count = arrival.count.unwrap_or(u64::MAX);
        Self { source, made: 0, count, end, ahead: Vec::with_capacity(AHEAD), taken: 0 }
    }

    /// The next ones, as many as have been made: no more than [`AHEAD`], none only where there are no more.
    pub(crate) fn next_some(&mut self) -> &[Nanos] {
        if self.taken == self.ahead.len() {
            self.make();
        }
        let from = std::mem::replace(&mut self.taken, self.ahead.len());
        &self.ahead[from..]
    }

    fn make(&mut self) {
        let last = self.ahead.last().copied().unwrap_or_default();
        self.ahead.clear();
        self.taken = 0;
        if self.made == self.count {
            return;
        }
        match &mut self.source {
            Source::Drawn(drawn) => drawn.make(self.made, &mut self.ahead),
            Source::Trace(times) => self.ahead.extend(times.take(AHEAD)),
        }
        let before_end = self.ahead.iter().position(|at| *at >= self.end).unwrap_or(self.ahead.len());
        let left = (self.count - self.made).min(AHEAD as u64) as usize;
        self.ahead.truncate(before_end.min(left));
        // Λ⁻¹ is increasing up to the last bit, which rounding to the nanosecond may show.
        self.ahead.iter_mut().fold(last, |last, at| {
            *at = last.max(*at);
            *at
        });
        self.made += self.ahead.len() as u64;
        if self.ahead.len() < AHEAD {
            self.count = self.made;
        }
    }
}

impl Iterator for Arrivals {
    type Item = Nanos;

    fn next(&mut self) -> Option<Nanos> {
        if self.taken == self.ahead.len() {
            self.make();
        }
        let at = self.ahead.get(self.taken).copied()?;
        self.taken += 1;
        Some(at)
    }
}

impl FusedIterator for Arrivals {}

// === impl Source ===

impl Source {
    /// Of the arrivals before `end`.
    fn new(seed: u64, arrival: &Arrival, end: Nanos) -> Self {
        let exponential = Dist::Exponential { mean: 1.0 };
        // The process's own rate per second, and its gaps with their mean made 1.
        let (rate_per_sec, gap) = match &arrival.process {
            ArrivalProcess::Poisson { rate_per_sec } => (*rate_per_sec, exponential),
            ArrivalProcess::Exponential { mean_ms } => (1000.0 / mean_ms, exponential),
            ArrivalProcess::Normal { mean_ms, stddev_ms } => {
                // The mean after truncation: it is the one that a rate has to make up for.
                let mean = Dist::Normal { mean: *mean_ms, stddev: *stddev_ms }.mean();
                (1000.0 / mean, Dist::Normal { mean: mean_ms / mean, stddev: stddev_ms / mean })
            }
            ArrivalProcess::Deterministic { interval_ms } => (1000.0 / interval_ms, Dist::Deterministic { value: 1.0 }),
            ArrivalProcess::Gamma { rate_per_sec, cv } => (*rate_per_sec, Dist::Gamma { mean: 1.0, cv: *cv }),
            ArrivalProcess::Uniform { rate_per_sec, jitter } => {
                (*rate_per_sec, Dist::Uniform { min: 1.0 - jitter, max: 1.0 + jitter })
            }
            ArrivalProcess::Weibull { rate_per_sec, cv } => (*rate_per_sec, Dist::Weibull { mean: 1.0, cv: *cv }),
            ArrivalProcess::LogNormal { rate_per_sec, sigma } => {
                (*rate_per_sec, Dist::LogNormal { median: libm::exp(-sigma * sigma / 2.0), sigma: *sigma })
            }
            ArrivalProcess::Mmpp { rates_per_sec, mean_dwell_ms } => {
                let bursts = Bursts::new(seed, rates_per_sec, mean_dwell_ms, end.0 as f64);
                return Self::Drawn(Drawn::new(seed, &exponential, Clock::Bursts(bursts)));
            }
            ArrivalProcess::Trace { rows, .. } => {
                return Self::Trace(rows.iter().map(|row| row.at).collect::<Vec<_>>().into_iter());
            }
        };
        let mut drawn = Drawn::new(seed, &gap, Clock::Rate(Rate::new(&arrival.ramp, rate_per_sec)));
        drawn.at_once = matches!(arrival.process, ArrivalProcess::Deterministic { .. });
        Self::Drawn(drawn)
    }
}

// === impl Drawn ===

impl Drawn {
    fn new(seed: u64, gap: &Dist, clock: Clock) -> Self {
        Self { seed, gap: gap.sampler(), at_once: false, gaps: 0.0, scale: 1.0, latest: Nanos::MAX, clock }
    }

    /// Makes the arrivals from this one on, which is that after the last one; fewer, where none comes any more.
    fn make(&mut self, from: u64, times: &mut Vec<Nanos>) {
        let mut counts = [0.0; AHEAD];
        self.gap.sample_each(self.seed, Purpose::Arrival, from, &mut counts);
        if from == 0 && self.at_once {
            counts[0] = 0.0;
        }
        for count in &mut counts {
            self.gaps += *count;
            *count = self.gaps * self.scale;
        }
        let found = match &mut self.clock {
            Clock::Rate(rate) => rate.when_each(&mut counts),
            Clock::Bursts(bursts) => each(&mut counts, |count| bursts.when(count)),
        };
        times.extend(counts[..found].iter().map(|at| Nanos::rounded(*at).min(self.latest)));
    }

    fn gap(&self, seq: u64) -> f64 {
        self.gap.sample(&mut KeyedRng::new(self.seed, Purpose::Arrival, seq))
    }

    /// Makes the first `count` arrivals fall within `[0, duration)`, spread like sorted uniforms in operational time:
    /// with exponential gaps, S₁/Sₙ₊₁, …, Sₙ/Sₙ₊₁ are the order statistics of n uniforms (Devroye, "Non-uniform random
    /// variate generation", 1986, chapter V, section 2).
    fn fit(&mut self, count: u64, duration: Nanos) {
        let Clock::Rate(rate) = &self.clock else { return };
        let expected = rate.until(duration.0 as f64);
        let sum: f64 = (0..=count).map(|seq| self.gap(seq)).sum();
        // A hair less, so that no rounding can reach the end. Where nothing is expected, nothing can come.
        self.scale = if expected > 0.0 { expected / sum * (1.0 - 4.0 * f64::EPSILON) } else { f64::INFINITY };
        self.latest = duration - Nanos(1);
    }
}

/// Replaces each by what it becomes, until one becomes nothing; returns how many there were.
fn each(counts: &mut [f64], mut when: impl FnMut(f64) -> Option<f64>) -> usize {
    let found = counts.iter_mut().map_while(|count| {
        *count = when(*count)?;
        Some(())
    });
    found.count()
}
