//! A set of small numbers, as bits, that counts and selects 64 of them at a time.

/// Numbers below a capacity that grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions {
    words: Vec<u64>,
    len: u32,
}

const BITS: usize = u64::BITS as usize;

impl Positions {
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn contains(&self, n: usize) -> bool {
        self.words.get(n / BITS).is_some_and(|word| word >> (n % BITS) & 1 == 1)
    }

    /// Adds a number that is not there.
    #[inline]
    pub(super) fn insert(&mut self, n: usize) {
        let word = n / BITS;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (n % BITS);
        self.len += 1;
    }

    /// Removes a number that is there.
    #[inline]
    pub(super) fn remove(&mut self, n: usize) {
        self.words[n / BITS] &= !(1 << (n % BITS));
        self.len -= 1;
    }

    /// Adds or removes a number, whether or not it is there. Without a branch: which of both nobody can predict.
    #[inline]
    pub(super) fn put(&mut self, n: usize, present: bool) {
        let word = n / BITS;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let was = self.words[word] >> (n % BITS) & 1;
        self.words[word] ^= (was ^ u64::from(present)) << (n % BITS);
        self.len = self.len + u32::from(present) - was as u32;
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }

    /// The numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let rest = std::iter::successors(Some(*word), |word| Some(word & word.wrapping_sub(1)));
            rest.take_while(|word| *word != 0).map(move |word| at * BITS + word.trailing_zeros() as usize)
        })
    }

    /// The lowest number.
    #[inline]
    pub(super) fn first(&self) -> Option<usize> {
        let (at, word) = self.words.iter().enumerate().find(|(_, word)| **word != 0)?;
        Some(at * BITS + word.trailing_zeros() as usize)
    }

    /// The `k`-th number, from 0.
    #[inline]
    pub(super) fn select(&self, mut k: u32) -> Option<usize> {
        for (at, word) in self.words.iter().enumerate() {
            let here = word.count_ones();
            if k < here {
                return Some(at * BITS + select_in(*word, k) as usize);
            }
            k -= here;
        }
        None
    }

    /// How many numbers are below `n`.
    pub(super) fn rank(&self, n: usize) -> u32 {
        let whole = (n / BITS).min(self.words.len());
        let below: u32 = self.words[..whole].iter().map(|word| word.count_ones()).sum();
        let part = self.words.get(n / BITS).map_or(0, |word| (word & !(u64::MAX << (n % BITS))).count_ones());
        below + part
    }
}

/// The `k`-th one of a word that has more than `k`. Where it is nobody can predict, so this is arithmetic without a branch,
/// on eight bytes at once: Vigna, "Broadword implementation of rank/select queries" (WEA 2008).
#[inline]
fn select_in(word: u64, k: u32) -> u32 {
    const PAIRS: u64 = 0x55 * EACH;
    const NIBBLES: u64 = 0x33 * EACH;
    const BYTES: u64 = 0x0F * EACH;
    /// Bit i of byte i.
    const DIAGONAL: u64 = 0x8040_2010_0804_0201;
    let ones = word - ((word >> 1) & PAIRS);
    let ones = (ones & NIBBLES) + ((ones >> 2) & NIBBLES);
    let ones = (ones + (ones >> 4)) & BYTES;
    let (byte, before) = reached(ones, k);
    let at = 8 * byte;
    // A byte for each bit of the one that was found.
    let spread = (((word >> at) & 0xFF) * EACH) & DIAGONAL;
    let bits = ((spread + (0x7F * EACH)) >> 7) & EACH;
    at + reached(bits, k - before).0
}

/// A one in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// With so many ones in each byte, from the lowest: in which byte the `k`-th of them all is, and how many come before it.
#[inline]
fn reached(ones: u64, k: u32) -> (u32, u32) {
    const TOP: u64 = 0x80 * EACH;
    let sums = ones.wrapping_mul(EACH);
    // The top bit of a byte stays where `k` is not below its sum.
    let passed = (((u64::from(k) * EACH) | TOP) - sums) & TOP;
    let byte = ((passed >> 7).wrapping_mul(EACH) >> 56) as u32;
    let before = (sums << 8) >> (8 * byte);
    (byte, before as u32 & 0xFF)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::{KeyedRng, Purpose};

    #[test]
    fn it_is_an_ordered_set() {
        let (mut set, mut model) = (Positions::default(), BTreeSet::new());
        let mut rng = KeyedRng::new(1, Purpose::Choice, 0);
        for _ in 0..3_000 {
            let n = rng.below(200) as usize;
            assert_eq!(set.contains(n), model.contains(&n));
            if rng.below(3) == 0 {
                let present = rng.below(2) == 0;
                set.put(n, present);
                if present {
                    model.insert(n)
                } else {
                    model.remove(&n)
                };
            } else if model.insert(n) {
                set.insert(n);
            } else {
                model.remove(&n);
                set.remove(n);
            }
            let k = rng.below(250);
            assert_eq!(set.select(k), model.iter().nth(k as usize).copied());
            assert_eq!(set.first(), model.first().copied());
            assert_eq!(set.rank(k as usize), model.range(..k as usize).count() as u32);
            assert_eq!((set.len() as usize, set.is_empty()), (model.len(), model.is_empty()));
        }
        assert!(set.iter().eq(model));
    }
}
