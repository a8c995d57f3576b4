//! The rate over time, integrated, and the inverse of that: the change of time behind every ramp.

use std::f64::consts::TAU;

use crate::scenario::Ramp;

/// Nanoseconds in a second: rates are per second, times in nanoseconds.
pub(super) const NS: f64 = 1e9;

/// Λ(t), the number of arrivals expected in `[0, t]`. Times are nanoseconds, as doubles.
#[derive(Clone, Debug)]
pub(super) enum Rate {
    /// Straight pieces in order of time, the first from 0, the last (level) for ever.
    Pieces(Vec<Piece>),
    /// `mean + amplitude · sin(2πt / period)`.
    Sine { mean: f64, amplitude: f64, period: f64 },
}

/// From `from` on the rate is `rate + slope · (t − from)`, with the slope per nanosecond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    from: f64,
    rate: f64,
    slope: f64,
    /// Λ(from).
    before: f64,
}

// === impl Rate ===

impl Rate {
    /// That of `ramp`, or if there is none the constant rate that a process has by itself (none if it is not finite).
    pub(super) fn new(ramp: &Ramp, own_rate_per_sec: f64) -> Self {
        match ramp {
            Ramp::None if own_rate_per_sec.is_finite() => Self::pieces([(0.0, own_rate_per_sec, 0.0)]),
            Ramp::None => Self::pieces([(0.0, 0.0, 0.0)]),
            Ramp::Linear { start_rate_per_sec: start, end_rate_per_sec: end, ramp, hold } => {
                let length = ramp.0 as f64;
                let rising = (ramp.0 > 0).then_some((0.0, *start, (end - start) / length));
                let over = hold.map(|hold| (length + hold.0 as f64, 0.0, 0.0));
                Self::pieces(rising.into_iter().chain([(length, *end, 0.0)]).chain(over))
            }
            Ramp::Steps(steps) => {
                let steps = steps.iter().map(|step| (step.at.0 as f64, step.rate_per_sec, 0.0));
                Self::pieces([(0.0, 0.0, 0.0)].into_iter().chain(steps))
            }
            Ramp::Sine { mean_rate_per_sec, amplitude_per_sec, period } => {
                Self::Sine { mean: *mean_rate_per_sec, amplitude: *amplitude_per_sec, period: period.0 as f64 }
            }
            Ramp::Spike { base_rate_per_sec: base, peak_rate_per_sec: peak, at, length } => {
                let (at, length) = (at.0 as f64, length.0 as f64);
                Self::pieces([(0.0, *base, 0.0), (at, *peak, 0.0), (at + length, *base, 0.0)])
            }
        }
    }

    /// From (from, rate, slope); of pieces from the same moment the last one holds.
    fn pieces(parts: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for (from, rate, slope) in parts {
            let before = pieces.last().map_or(0.0, |piece| piece.until(from));
            pieces.push(Piece { from, rate, slope, before });
        }
        Self::Pieces(pieces)
    }

    /// Λ(t).
    pub(super) fn until(&self, t: f64) -> f64 {
        match self {
            Self::Pieces(pieces) => {
                let after = pieces.partition_point(|piece| piece.from <= t);
                pieces[after.max(1) - 1].until(t)
            }
            Self::Sine { mean, amplitude, period } => (mean * t + amplitude * period * wave(t / period)) / NS,
        }
    }

    /// Λ(∞).
    #[inline]
    pub(super) fn total(&self) -> f64 {
        match self {
            Self::Pieces(pieces) => {
                pieces.last().map_or(0.0, |last| if last.rate > 0.0 { f64::INFINITY } else { last.before })
            }
            Self::Sine { mean, .. } if *mean > 0.0 => f64::INFINITY,
            Self::Sine { .. } => 0.0,
        }
    }

    /// [`Self::when`] of each, in place; they do not decrease. Returns how many there are such moments for.
    pub(super) fn when_each(&self, counts: &mut [f64]) -> usize {
        if let (Self::Pieces(pieces), Some(first), Some(last)) = (self, counts.first(), counts.last())
            && let piece = Self::piece_of(pieces, *first)
            && piece.slope == 0.0
            && *last < self.total()
            && std::ptr::eq(piece, Self::piece_of(pieces, *last))
        {
            counts.iter_mut().for_each(|count| *count = piece.when_level(*count));
            return counts.len();
        }
        super::each(counts, |count| self.when(count))
    }

    /// Λ⁻¹(count): the last moment until which no more than `count` are expected, so that an arrival never falls where
    /// the rate is 0. None if there is no such moment, because no more than `count` are expected at all.
    pub(super) fn when(&self, count: f64) -> Option<f64> {
        if count >= self.total() {
            return None;
        }
        Some(match self {
            Self::Pieces(pieces) => Self::piece_of(pieces, count).when(count),
            Self::Sine { mean, amplitude, period } => {
                let per_period = mean * period / NS;
                let periods = libm::floor(count / per_period);
                let part = (count - periods * per_period) / per_period;
                (periods + phase(part, amplitude / mean, *period)) * period
            }
        })
    }

    /// The piece on which so many are reached.
    fn piece_of(pieces: &[Piece], count: f64) -> &Piece {
        &pieces[pieces.partition_point(|piece| piece.before <= count).max(1) - 1]
    }
}

/// The integral of sin(2πx) from 0 to `x`.
fn wave(x: f64) -> f64 {
    (1.0 - libm::cos(TAU * x)) / TAU
}

/// The x in `[0, 1]` with x + depth · wave(x) = part, to a tenth of a nanosecond of `period`: Newton's method, kept
/// within a bracket by bisection.
fn phase(part: f64, depth: f64, period: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    let mut x = part;
    // Newton takes about five steps; where the rate touches 0 it slows down, and a bracket halves at most 53 times.
    for _ in 0..100 {
        let excess = x + depth * wave(x) - part;
        *(if excess > 0.0 { &mut high } else { &mut low }) = x;
        let newton = x - excess / (1.0 + depth * libm::sin(TAU * x));
        let next = if newton >= low && newton <= high { newton } else { (low + high) / 2.0 };
        let step = (next - x).abs() * period;
        x = next;
        if step < 0.1 {
            break;
        }
    }
    x
}

// === impl Piece ===

impl Piece {
    fn until(&self, t: f64) -> f64 {
        let dt = t - self.from;
        self.before + (self.rate * dt + self.slope * dt * dt / 2.0) / NS
    }

    fn when(&self, count: f64) -> f64 {
        if self.slope == 0.0 {
            return self.when_level(count);
        }
        let area = (count - self.before) * NS;
        if area <= 0.0 {
            return self.from;
        }
        // The root of slope/2·dt² + rate·dt = area in the form that does not cancel; rounding may take a falling rate
        // below 0.
        let root = libm::sqrt((self.rate * self.rate + 2.0 * self.slope * area).max(0.0));
        self.from + 2.0 * area / (self.rate + root)
    }

    /// As [`Self::when`], of a level piece.
    #[inline]
    fn when_level(&self, count: f64) -> f64 {
        let area = (count - self.before) * NS;
        let at = self.from + area / self.rate;
        if area <= 0.0 { self.from } else { at }
    }
}
