//! Keyed randomness: every draw is a pure function of the seed, a purpose and a key, whatever else was drawn before.
//!
//! The generator is ChaCha with 8 rounds, used as a counter-based generator in the manner of Salmon et al., "Parallel
//! random numbers: as easy as 1, 2, 3" (SC 2011): seed and purpose make the cipher's key, the draw's key its stream.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a draw is for. The numbers are part of every plan: never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Gaps between arrivals, by seq.
    Arrival = 1,
    /// Stays in the phases of a bursty arrival process, by phase number.
    Dwell = 2,
    /// Hold time, by request.
    Hold = 3,
    /// CPU demand, by request.
    Cpu = 4,
    /// Load-balancer host, by request.
    Host = 5,
    /// Think time after a response, by request.
    Think = 6,
    /// Choices of a policy, by request; one draw per attempt.
    Choice = 7,
    /// Where a host starts in its list, by host.
    StartOffset = 8,
    /// Delay of a start, by target.
    StartDelay = 9,
    /// Delay of a stop, by target.
    StopDelay = 10,
    /// Demand that a target draws by itself for a foreign client, by target, incarnation and count.
    OwnDemand = 11,
    /// Session lengths and their think times, by session.
    Session = 12,
    /// Keys of requests, by request.
    Key = 13,
}

/// The generator for one keyed draw.
#[derive(Clone, Debug)]
pub struct KeyedRng(ChaCha8Rng);

impl KeyedRng {
    /// The stream of (`seed`, `purpose`, `key`).
    pub fn new(seed: u64, purpose: Purpose, key: u64) -> Self {
        let mut cipher_key = [0; 32];
        cipher_key[..8].copy_from_slice(&seed.to_le_bytes());
        cipher_key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(cipher_key);
        rng.set_stream(key);
        Self(rng)
    }

    /// Uniform in the open interval (0, 1): 2⁵² equally spaced values, never 0 nor 1.
    pub fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }

    /// ⌊u·n⌋, uniform in `0..n` up to rounding; 0 if `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        ((self.uniform() * f64::from(n)) as u32).min(n.saturating_sub(1))
    }

    /// The `index`-th uniform of the stream, from 0, without drawing those before it.
    pub fn uniform_at(mut self, index: u32) -> f64 {
        self.0.set_word_pos(u128::from(index) * 2);
        self.uniform()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_its_key_alone() {
        let mut a = KeyedRng::new(42, Purpose::Hold, 7);
        let first = a.uniform();
        let second = a.uniform();
        assert_eq!(KeyedRng::new(42, Purpose::Hold, 7).uniform_at(1), second);
        assert_eq!(KeyedRng::new(42, Purpose::Hold, 7).uniform_at(0), first);
        for other in [
            KeyedRng::new(43, Purpose::Hold, 7),
            KeyedRng::new(42, Purpose::Cpu, 7),
            KeyedRng::new(42, Purpose::Hold, 8),
        ] {
            assert_ne!(other.uniform_at(0), first);
        }
    }

    #[test]
    fn below_stays_below() {
        let mut rng = KeyedRng::new(1, Purpose::Choice, 0);
        assert!((0..10_000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.below(0), 0);
    }
}
