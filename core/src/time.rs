//! Scenario time: integer nanoseconds since T0, the moment the conductor calls the start of a run.
//!
//! One type serves instants and durations, as in the scenario file, where both are milliseconds.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// Nanoseconds of scenario time: an instant counted from T0, or a duration.
///
/// Addition and subtraction saturate: a time before T0 is T0, and [`Nanos::MAX`] means "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// T0, or no time at all.
    pub const ZERO: Self = Self(0);
    /// Never.
    pub const MAX: Self = Self(u64::MAX);

    /// The nearest whole nanosecond, halves upwards; negative and NaN give zero.
    #[inline]
    pub fn rounded(ns: f64) -> Self {
        /// Below this, signed numbers do: a processor has no instruction for the others.
        const SIGNED: f64 = i64::MAX as f64;
        if ns < SIGNED {
            let whole = (ns as i64).max(0);
            return Self(whole as u64 + u64::from(ns - whole as f64 >= 0.5));
        }
        let whole = ns as u64;
        Self(whole.saturating_add(u64::from(ns - whole as f64 >= 0.5)))
    }

    /// From milliseconds, fractions allowed, rounded to the nearest nanosecond; negative and NaN give zero.
    #[inline]
    pub fn from_millis_f64(ms: f64) -> Self {
        Self::rounded(ms * 1e6)
    }

    /// From seconds, rounded to the nearest nanosecond; negative and NaN give zero.
    pub fn from_secs_f64(secs: f64) -> Self {
        Self::rounded(secs * 1e9)
    }

    /// From whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// As milliseconds.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// As seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// `self - earlier`, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

// === impl Nanos ===

impl Add for Nanos {
    type Output = Self;
    #[inline]
    fn add(self, rhs: Self) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, rhs: Self) {
        *self = *self + rhs;
    }
}

impl Sub for Nanos {
    type Output = Self;
    #[inline]
    fn sub(self, rhs: Self) -> Self {
        self.since(rhs)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.as_millis_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_round_to_the_nanosecond() {
        assert_eq!(Nanos::from_millis_f64(0.1), Nanos(100_000));
        assert_eq!([1.4999e-6, 1.5e-6, 2.5e-6].map(Nanos::from_millis_f64), [Nanos(1), Nanos(2), Nanos(3)]);
        assert_eq!(Nanos::from_millis_f64(f64::INFINITY), Nanos::MAX);
        assert_eq!(Nanos::from_millis_f64(-3.0), Nanos::ZERO);
        assert_eq!(Nanos::from_millis_f64(f64::NAN), Nanos::ZERO);
        assert_eq!(Nanos(5) - Nanos(7), Nanos::ZERO);
        assert_eq!(Nanos::MAX + Nanos(1), Nanos::MAX);
    }
}
