//! Keyed randomness: every draw is a pure function of the seed, a purpose and a key, whatever else was drawn before.
//!
//! The generator is SplitMix64, which was made to be split: Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators" (OOPSLA 2014). Seed and purpose give a generator; its `key`-th output is the seed of the draw's own one.
//! A draw costs a few nanoseconds, however many keys there are; a stream cipher set up anew for each key costs a hundred.
//!
//! Written out here, since a simulated request makes a dozen draws, and a library's generator, seeded anew for each of them, costs
//! more in calls than in arithmetic. The one of `rand_xoshiro` is what it is tested against.

use multiversion::multiversion;

/// What SplitMix64 adds to its state for each output: a seed with n times this added skips n of them.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

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
    /// Whether a session goes on, by request.
    Session = 12,
    /// Keys of requests, by request.
    Key = 13,
    /// What a machine adds to a simulated request, by request; one draw per attempt and hop.
    Machine = 14,
    /// Blocks of a bootstrap, by replicate and series.
    Bootstrap = 15,
}

/// The generator for one keyed draw.
#[derive(Clone, Debug)]
pub struct KeyedRng {
    seed: u64,
    /// The index of the next output.
    next: u64,
}

/// The generators of one seed and purpose.
#[derive(Clone, Copy, Debug)]
pub struct Keyed(u64);

impl Keyed {
    /// Those of (`seed`, `purpose`).
    #[inline]
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self(output(output(seed, 0), purpose as u64))
    }

    /// The stream of this key.
    #[inline]
    pub fn rng(self, key: u64) -> KeyedRng {
        KeyedRng { seed: output(self.0, key), next: 0 }
    }

    /// The first uniform of each of the streams `first`, `first` + 1, ….
    pub(crate) fn uniforms(self, first: u64, out: &mut [f64]) {
        first_uniforms(self, first, out);
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn first_uniforms(keys: Keyed, first: u64, out: &mut [f64]) {
    (first..).zip(out).for_each(|(key, x)| *x = keys.rng(key).uniform());
}

impl KeyedRng {
    /// The stream of (`seed`, `purpose`, `key`).
    #[inline]
    pub fn new(seed: u64, purpose: Purpose, key: u64) -> Self {
        Keyed::new(seed, purpose).rng(key)
    }

    /// Uniform in the open interval (0, 1): 2⁵² equally spaced values, never 0 nor 1.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        open_unit(self.next())
    }

    /// ⌊u·n⌋, uniform in `0..n` up to rounding; 0 if `n` is 0.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        scaled(self.uniform(), n)
    }

    /// The `index`-th uniform of the stream, from 0, without drawing those before it.
    #[inline]
    pub fn uniform_at(&self, index: u32) -> f64 {
        open_unit(output(self.seed, u64::from(index)))
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let index = self.next;
        self.next += 1;
        output(self.seed, index)
    }
}

/// The `index`-th output, from 0, of the generator with this seed: the state after so many steps, mixed by "Mix13" of Stafford
/// ("Better bit mixing", 2011).
#[inline]
fn output(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// ⌊u·n⌋ of a `u` in (0, 1), below `n`; 0 if `n` is 0.
#[inline]
pub(crate) fn scaled(u: f64, n: u32) -> u32 {
    ((u * f64::from(n)) as u32).min(n.saturating_sub(1))
}

#[inline]
fn open_unit(bits: u64) -> f64 {
    const WHOLE: f64 = (1_u64 << 52) as f64;
    // From here on doubles are the whole numbers, so the bits are the number: processors have no instruction that makes doubles of
    // several whole numbers of 64 bits side by side.
    let number = f64::from_bits(WHOLE.to_bits() | bits >> 12) - WHOLE;
    (number + 0.5) * (1.0 / WHOLE)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rand::{Rng, SeedableRng, TryRng};
    use rand_xoshiro::SplitMix64;

    use super::*;

    /// For the samplers of another hand.
    impl TryRng for KeyedRng {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            self.try_next_u64().map(|bits| (bits >> 32) as u32)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(self.next())
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]));
            Ok(())
        }
    }

    #[test]
    fn it_is_the_generator_of_the_library_and_skips_at_will() {
        // The first outputs for this seed that come with the authors' own code.
        let published = [1_985_237_415_132_408_290, 2_979_275_885_539_914_483];
        assert_eq!([0, 1].map(|index| output(1_477_776_061_723_855_037, index)), published);
        for seed in [0, 42, u64::MAX] {
            let mut library = SplitMix64::seed_from_u64(seed);
            assert!((0..1_000).all(|index| output(seed, index) == library.next_u64()));
        }
    }

    /// First draws of neighbouring keys, of neighbouring purposes and of neighbouring seeds fill the unit square evenly: χ² of
    /// 32 × 32 cells, 1023 degrees of freedom, below its 99.9 % point.
    #[test]
    fn neighbours_are_independent() {
        let square = |pair: &dyn Fn(u64) -> (f64, f64)| {
            let (mut cells, n) = (vec![0.0; 1024], 200_000);
            for i in 0..n {
                let (x, y) = pair(i);
                cells[(x * 32.0) as usize * 32 + (y * 32.0) as usize] += 1.0;
            }
            let expected = n as f64 / 1024.0;
            cells.iter().map(|c| (c - expected) * (c - expected) / expected).sum::<f64>()
        };
        let first = |seed, purpose, key| KeyedRng::new(seed, purpose, key).uniform();
        let keys = square(&|i| (first(42, Purpose::Hold, i), first(42, Purpose::Hold, i + 1)));
        let purposes = square(&|i| (first(42, Purpose::Hold, i), first(42, Purpose::Cpu, i)));
        let seeds = square(&|i| (first(i, Purpose::Hold, 0), first(i + 1, Purpose::Hold, 0)));
        let second = square(&|i| (first(42, Purpose::Hold, i), KeyedRng::new(42, Purpose::Hold, i).uniform_at(1)));
        for chi_square in [keys, purposes, seeds, second] {
            assert!((880.0..1168.0).contains(&chi_square), "{chi_square}");
        }
    }

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
