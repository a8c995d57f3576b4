//! What a machine adds to a run: the time that requests, refusals, news and starts take on real processes beyond what the
//! scenario asks for. Measured by `galton calibrate`, applied by the simulator when it is told to, never by default.
//!
//! Every delay is a distribution of *machine* time, kept as an even ladder of its quantiles, and is drawn anew for each hop,
//! independently. The model, and what it leaves out, is stated in `docs/simulation.md`.

mod read;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scenario::Faults;
use crate::time::Nanos;

/// Version of the file's schema.
pub const PROFILE_VERSION: u32 = 1;

/// Quantiles kept of each delay.
const RUNGS: usize = 1000;

/// The delays of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// [`PROFILE_VERSION`].
    pub schema_version: u32,
    /// Which machine, in words.
    pub machine: String,
    /// When it was measured, nanoseconds since 1970.
    pub measured_unix_ns: u64,
    /// From the intended to the actual send.
    pub send_lag: Delay,
    /// From the send until the proxy has the request's head.
    pub client_to_proxy: Delay,
    /// From there, or from the end of an injected wait, until an attempt is dispatched.
    pub pick: Delay,
    /// From the dispatch until the target begins to hold.
    pub proxy_to_target: Delay,
    /// How much longer than demanded the target holds its slot.
    pub hold_over: Delay,
    /// From the end of the hold until the host has seen the attempt end.
    pub target_to_proxy: Delay,
    /// From there until the client has the response.
    pub proxy_to_client: Delay,
    /// From the dispatch of an attempt that is refused until the host has seen the refusal.
    pub refusal: Delay,
    /// How late an injected wait of a host ends.
    pub wait_over: Delay,
    /// From a host's question for a target until the scaler has taken it.
    pub ask: Delay,
    /// From a change of the fleet until a host that need not wait for it has learned it.
    pub push: Delay,
    /// From the start of a target's process until it serves.
    pub spawn: Delay,
}

/// A distribution of a delay: ascending, evenly spaced quantiles in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delay(Vec<u64>);

// === impl Profile ===

impl Profile {
    /// Reads and validates a tree of values.
    ///
    /// # Errors
    /// All faults of the tree, each with its path; of another version of the schema, that alone.
    pub fn from_value(value: &Value) -> Result<Self, Faults> {
        read::read(value)
    }

    /// Every delay with its name, in the order in which a request meets them; those of the fleet last.
    pub fn delays(&self) -> [(&'static str, &Delay); 12] {
        [
            ("send_lag", &self.send_lag),
            ("client_to_proxy", &self.client_to_proxy),
            ("pick", &self.pick),
            ("proxy_to_target", &self.proxy_to_target),
            ("hold_over", &self.hold_over),
            ("target_to_proxy", &self.target_to_proxy),
            ("proxy_to_client", &self.proxy_to_client),
            ("refusal", &self.refusal),
            ("wait_over", &self.wait_over),
            ("ask", &self.ask),
            ("push", &self.push),
            ("spawn", &self.spawn),
        ]
    }
}

// === impl Delay ===

impl Delay {
    /// Of a sample; of none, no delay at all.
    pub fn of(mut sample: Vec<u64>) -> Self {
        sample.sort_unstable();
        let n = sample.len();
        if n <= RUNGS {
            return Self(sample);
        }
        Self((0..RUNGS).map(|rung| sample[rung * (n - 1) / (RUNGS - 1)]).collect())
    }

    /// The value at `u` in [0, 1], linear between the quantiles kept; in scenario time at time scale `scale`.
    pub fn at(&self, u: f64, scale: f64) -> Nanos {
        let Some(last) = self.0.len().checked_sub(1) else { return Nanos::ZERO };
        let place = u * last as f64;
        let below = (place as usize).min(last);
        let (low, high) = (self.0[below] as f64, self.0[(below + 1).min(last)] as f64);
        Nanos(libm::round((low + (high - low) * (place - below as f64)) * scale) as u64)
    }

    /// Ascending, as it must be; a file may say otherwise.
    pub fn is_valid(&self) -> bool {
        self.0.is_sorted()
    }

    /// How many quantiles are kept; 0: there is no delay.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no delay at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_linear_between_its_quantiles_and_scales() {
        let delay = Delay::of(vec![30, 10, 20]);
        assert_eq!([0.0, 0.25, 0.5, 0.999_999].map(|u| delay.at(u, 1.0).0), [10, 15, 20, 30]);
        assert_eq!(delay.at(0.5, 10.0), Nanos(200));
        assert_eq!(Delay::default().at(0.5, 1.0), Nanos::ZERO);
    }

    #[test]
    fn a_long_sample_is_thinned_to_even_quantiles() {
        let delay = Delay::of((0..100_000).rev().collect());
        assert_eq!(delay.0.len(), RUNGS);
        assert!(delay.is_valid());
        assert!(delay.at(0.5, 1.0).0.abs_diff(50_000) < 100);
        assert_eq!((delay.0[0], delay.0[RUNGS - 1]), (0, 99_999));
    }
}
