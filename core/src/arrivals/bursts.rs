//! The Markov-modulated Poisson process: phases follow each other in order, each for an exponential time.

use super::rate::NS;
use crate::dist::{Dist, Sampler};
use crate::rng::{KeyedRng, Purpose};

/// The inverse of the integrated rate of bursts, walked forward phase by phase; times are nanoseconds, as doubles.
#[derive(Clone, Debug)]
pub(super) struct Bursts {
    seed: u64,
    phases: Vec<Phase>,
    /// Number of the current phase, from 0, counted on over the rounds.
    number: u64,
    begin: f64,
    end: f64,
    /// Arrivals expected until it begins.
    before: f64,
    /// Phases that begin later are of no interest.
    horizon: f64,
}

#[derive(Clone, Copy, Debug)]
struct Phase {
    rate_per_sec: f64,
    dwell_ns: Sampler,
}

// === impl Bursts ===

impl Bursts {
    /// As many rates as dwells, at least one; some rate above 0, every dwell above 0.
    pub(super) fn new(seed: u64, rates_per_sec: &[f64], mean_dwell_ms: &[f64], horizon: f64) -> Self {
        let phase = |(rate, dwell): (&f64, &f64)| Phase {
            rate_per_sec: *rate,
            dwell_ns: Dist::Exponential { mean: dwell * 1e6 }.sampler(),
        };
        let phases = rates_per_sec.iter().zip(mean_dwell_ms).map(phase).collect();
        let mut bursts = Self { seed, phases, number: 0, begin: 0.0, end: 0.0, before: 0.0, horizon };
        bursts.dwell();
        bursts
    }

    /// The moment until which `count` arrivals are expected, None if it is past the horizon; `count` must not decrease
    /// from call to call.
    pub(super) fn when(&mut self, count: f64) -> Option<f64> {
        while self.begin < self.horizon {
            let rate = self.phase().rate_per_sec;
            let after = self.before + rate * (self.end - self.begin) / NS;
            if count < after {
                return Some(self.begin + (count - self.before) * NS / rate);
            }
            self.number += 1;
            self.begin = self.end;
            self.before = after;
            self.dwell();
        }
        None
    }

    fn dwell(&mut self) {
        let mut rng = KeyedRng::new(self.seed, Purpose::Dwell, self.number);
        self.end += self.phase().dwell_ns.sample(&mut rng);
    }

    fn phase(&self) -> Phase {
        self.phases[(self.number % self.phases.len() as u64) as usize]
    }
}
