//! Small numbers in buckets, as bits: one set per count, found by the lowest count, selected 64 numbers at a time.

/// For each count, which numbers have it. A number is in one bucket at most.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// Words of each bucket; the words of all buckets follow each other.
    width: usize,
    words: Vec<Word>,
    /// How many numbers are in each.
    lens: Vec<u32>,
    /// The first bucket that is not empty; behind the last one if all are.
    lowest: usize,
}

/// Sixty-four numbers, a bit for each that is in the bucket; and how many are.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    bits: u64,
    ones: u32,
}

/// The numbers of one bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket<'a> {
    words: &'a [Word],
    pub(super) len: u32,
}

const BITS: usize = u64::BITS as usize;

// === impl Buckets ===

impl Buckets {
    /// For numbers below this; all buckets are empty.
    pub(super) fn with_room_for(numbers: usize) -> Self {
        Self { width: numbers.div_ceil(BITS).max(1), ..Self::default() }
    }

    /// Whether this number is below those that there is room for.
    pub(super) fn has_room_for(&self, n: usize) -> bool {
        n < self.width * BITS
    }

    /// The lowest count that a number has, and how many have it.
    #[inline(always)]
    pub(super) fn lowest(&self) -> Option<(usize, u32)> {
        Some((self.lowest, *self.lens.get(self.lowest)?))
    }

    #[inline(always)]
    pub(super) fn get(&self, count: usize) -> Option<Bucket<'_>> {
        let len = *self.lens.get(count)?;
        let words = self.words.get(count * self.width..(count + 1) * self.width)?;
        Some(Bucket { words, len })
    }

    /// Every bucket that is not empty, from the lowest count on.
    pub(super) fn occupied(&self) -> impl Iterator<Item = (usize, Bucket<'_>)> {
        let all = (self.lowest..self.lens.len()).filter_map(|count| Some((count, self.get(count)?)));
        all.filter(|(_, bucket)| bucket.len > 0)
    }

    /// Adds a number that is in none.
    #[inline(always)]
    pub(super) fn enter(&mut self, count: usize, n: usize) {
        if self.lens.len() <= count {
            self.make(count);
        }
        let word = &mut self.words[count * self.width + n / BITS];
        word.bits |= 1 << (n % BITS);
        word.ones += 1;
        self.lens[count] += 1;
        self.lowest = self.lowest.min(count);
    }

    /// Removes a number that is there.
    pub(super) fn leave(&mut self, count: usize, n: usize) {
        self.remove(count, n);
        while self.lens.get(self.lowest) == Some(&0) {
            self.lowest += 1;
        }
    }

    /// A number that is there goes on to the next bucket, or down to any lower one. Whether it leaves the lowest one empty nobody can
    /// predict, so nothing branches on that.
    #[inline(always)]
    pub(super) fn shift(&mut self, from: usize, to: usize, n: usize) {
        debug_assert!(to != from && to <= from + 1);
        self.enter(to, n);
        self.remove(from, n);
        self.lowest += usize::from(self.lens[self.lowest] == 0);
    }

    #[inline(always)]
    fn remove(&mut self, count: usize, n: usize) {
        let word = &mut self.words[count * self.width + n / BITS];
        word.bits &= !(1 << (n % BITS));
        word.ones -= 1;
        self.lens[count] -= 1;
    }

    #[cold]
    fn make(&mut self, count: usize) {
        // All were empty: then the lowest is behind them, and stays there.
        let none = self.lowest == self.lens.len();
        self.lens.resize(count + 1, 0);
        self.words.resize((count + 1) * self.width, Word::default());
        if none {
            self.lowest = self.lens.len();
        }
    }
}

// === impl Bucket ===

impl Bucket<'_> {
    #[inline(always)]
    pub(super) fn contains(&self, n: usize) -> bool {
        self.words.get(n / BITS).is_some_and(|word| word.bits >> (n % BITS) & 1 == 1)
    }

    /// Its numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let rest = std::iter::successors(Some(word.bits), |word| Some(word & word.wrapping_sub(1)));
            rest.take_while(|word| *word != 0).map(move |word| at * BITS + word.trailing_zeros() as usize)
        })
    }

    /// The `k`-th number, from 0.
    #[inline(always)]
    pub(super) fn select(&self, mut k: u32) -> Option<usize> {
        for (at, word) in self.words.iter().enumerate() {
            if k < word.ones {
                return Some(at * BITS + select_in(word.bits, k) as usize);
            }
            k -= word.ones;
        }
        None
    }

    /// How many numbers are below `n`.
    pub(super) fn rank(&self, n: usize) -> u32 {
        let whole = (n / BITS).min(self.words.len());
        let below: u32 = self.words[..whole].iter().map(|word| word.ones).sum();
        let part = self.words.get(n / BITS).map_or(0, |word| (word.bits & !(u64::MAX << (n % BITS))).count_ones());
        below + part
    }
}

/// A one in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The ones in each byte of a word. Not every x86-64 counts them by itself.
#[inline(always)]
fn ones_by_byte(word: u64) -> u64 {
    const PAIRS: u64 = 0x55 * EACH;
    const NIBBLES: u64 = 0x33 * EACH;
    const BYTES: u64 = 0x0F * EACH;
    let ones = word - ((word >> 1) & PAIRS);
    let ones = (ones & NIBBLES) + ((ones >> 2) & NIBBLES);
    (ones + (ones >> 4)) & BYTES
}

/// Their sum.
#[inline(always)]
fn total(ones: u64) -> u32 {
    (ones.wrapping_mul(EACH) >> 56) as u32
}

/// The `k`-th one of a word that has more than `k`. Where it is nobody can predict, so this is arithmetic
/// without a branch, on eight bytes at once: Vigna, "Broadword implementation of rank/select queries" (WEA 2008).
#[inline(always)]
fn select_in(word: u64, k: u32) -> u32 {
    /// Bit i of byte i.
    const DIAGONAL: u64 = 0x8040_2010_0804_0201;
    let (byte, before) = reached(ones_by_byte(word), k);
    let at = 8 * byte;
    // A byte for each bit of the one that was found.
    let spread = (((word >> at) & 0xFF) * EACH) & DIAGONAL;
    let bits = ((spread + (0x7F * EACH)) >> 7) & EACH;
    at + reached(bits, k - before).0
}

/// With so many ones in each byte, from the lowest: in which byte the `k`-th of them all is, and how many come before it.
#[inline(always)]
fn reached(ones: u64, k: u32) -> (u32, u32) {
    const TOP: u64 = 0x80 * EACH;
    let sums = ones.wrapping_mul(EACH);
    // The top bit of a byte stays where `k` is not below its sum.
    let passed = (((u64::from(k) * EACH) | TOP) - sums) & TOP;
    let byte = total(passed >> 7);
    let before = (sums << 8) >> (8 * byte);
    (byte, before as u32 & 0xFF)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::{KeyedRng, Purpose};

    #[test]
    fn they_are_ordered_sets() {
        let (mut buckets, mut model) = (Buckets::with_room_for(200), vec![BTreeSet::new(); 5]);
        let mut rng = KeyedRng::new(1, Purpose::Choice, 0);
        for _ in 0..3_000 {
            let n = rng.below(200) as usize;
            let from = model.iter().position(|bucket| bucket.contains(&n));
            let to = Some(rng.below(6) as usize).filter(|count| *count < model.len());
            let shifted = from.zip(to).filter(|(from, to)| to != from && *to <= from + 1);
            if let Some((from, to)) = shifted {
                buckets.shift(from, to, n);
            }
            if let Some(from) = from {
                model[from].remove(&n);
                if shifted.is_none() {
                    buckets.leave(from, n);
                }
            }
            if let Some(to) = to {
                model[to].insert(n);
                if shifted.is_none() {
                    buckets.enter(to, n);
                }
            }
            let filled: Vec<usize> = (0..model.len()).filter(|count| !model[*count].is_empty()).collect();
            assert_eq!(buckets.lowest(), filled.first().map(|count| (*count, model[*count].len() as u32)));
            assert!(buckets.occupied().map(|(count, _)| count).eq(filled));
            let k = rng.below(100);
            for (count, model) in model.iter().enumerate() {
                let Some(bucket) = buckets.get(count) else {
                    assert!(model.is_empty());
                    continue;
                };
                assert_eq!(bucket.contains(n), model.contains(&n));
                assert_eq!(bucket.select(k), model.iter().nth(k as usize).copied());
                assert_eq!(bucket.rank(k as usize), model.range(..k as usize).count() as u32);
                assert_eq!(bucket.len as usize, model.len());
                assert!(bucket.iter().eq(model.iter().copied()));
            }
        }
    }
}
