//! The packed counts: minimum, ties, and the k-th of them, in two levels.
//!
//! A cache line has the counts of 14 positions, and in its first word their minimum and how many have it. So a look reads
//! a word per line and one whole line, and a change reads and writes one line: two processes that pick at different
//! places do not pull more out of each other's caches. (With the minima in a section of their own a look alone is a little
//! faster, and one with company slower.) No lock is taken here, and positions mean nothing: the caller finds out whether
//! the counts moved meanwhile.

use std::sync::atomic::Ordering::Relaxed;

use super::memory::AtomicU64;

/// Words in a line. A model check has few positions, and should not be about all of a line.
const WORDS: usize = if cfg!(galton_loom) { 2 } else { 8 };
/// Positions in a line; two share a word.
const LANES: usize = (WORDS - 1) * 2;

/// The largest count.
pub(super) const MOST: u32 = BARRED - 1;

/// Marks the count of a position that is no candidate: greater than those of all that are.
const BARRED: u32 = 1 << 30;

/// Words for the counts of so many positions.
pub(super) const fn words(positions: usize) -> usize {
    positions.div_ceil(LANES) * WORDS
}

/// What is known of a position: its count, and whether it is a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane(u32);

/// Counts by position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts<'a>(&'a [[AtomicU64; WORDS]]);

// === impl Lane ===

impl Lane {
    pub(super) const fn candidate(count: u32) -> Self {
        Self(count)
    }

    pub(super) const fn barred(count: u32) -> Self {
        Self(BARRED | count)
    }

    pub(super) const fn is_candidate(self) -> bool {
        self.0 < BARRED
    }

    /// Barred or not.
    pub(super) const fn count(self) -> u32 {
        self.0 & MOST
    }
}

// === impl Counts ===

impl<'a> Counts<'a> {
    /// In memory made for them: as many as [`words`] says.
    pub(super) fn of(words: &'a [AtomicU64]) -> Self {
        Self(words.as_chunks().0)
    }

    /// What is known of a position.
    pub(super) fn get(self, position: usize) -> Lane {
        let (word, shift) = self.word(position);
        Lane((word.load(Relaxed) >> shift) as u32)
    }

    /// Says it. The caller is the only writer.
    pub(super) fn set(self, position: usize, lane: Lane) {
        let (word, shift) = self.word(position);
        let old = word.load(Relaxed);
        let others = old & !(u64::from(u32::MAX) << shift);
        word.store(others | u64::from(lane.0) << shift, Relaxed);
        let line = &self.0[position / LANES];
        match changed(summary(line), (old >> shift) as u32, lane.0) {
            Some(summary) => line[0].store(summary, Relaxed),
            None => sum_up(line),
        }
    }

    /// Says it of all positions in order; the rest of the last line is no candidate.
    pub(super) fn fill(self, lanes: impl IntoIterator<Item = Lane>) {
        let mut lanes = lanes.into_iter();
        let mut next = || u64::from(lanes.next().unwrap_or(Lane::barred(0)).0);
        for line in self.0 {
            line[1..].iter().for_each(|word| word.store(next() | next() << 32, Relaxed));
            sum_up(line);
        }
    }

    fn word(self, position: usize) -> (&'a AtomicU64, usize) {
        let lane = position % LANES;
        (&self.0[position / LANES][1 + lane / 2], lane % 2 * 32)
    }

    /// The smallest count and how many have it, without the positions to skip.
    pub(super) fn lowest(self, skip: &[usize]) -> Option<(u32, u32)> {
        if skip.is_empty() { lowest(self.0.iter().map(summary)) } else { lowest(self.summaries(skip)) }
    }

    /// The `k`-th position with this count, which is the lowest.
    pub(super) fn nth(self, skip: &[usize], count: u32, k: u32) -> Option<usize> {
        let mut left = k;
        for (line, summary) in self.summaries(skip).enumerate() {
            let len = ties(summary, count);
            if left < len {
                let mut hits = self.hits(line, skip, count);
                // Each round drops the lowest of the bits.
                (0..left).for_each(|_| hits &= hits.wrapping_sub(1));
                return (hits != 0).then(|| line * LANES + hits.trailing_zeros() as usize);
            }
            left -= len;
        }
        None
    }

    /// How many positions before `end` have this count, which is the lowest.
    pub(super) fn before(self, skip: &[usize], count: u32, end: usize) -> u32 {
        // The end may be of a moment at which there were more positions.
        let end = end.min(self.0.len() * LANES);
        let (whole, rest) = (end / LANES, end % LANES);
        let sum = self.summaries(skip).take(whole).map(|summary| ties(summary, count)).sum::<u32>();
        if rest == 0 {
            return sum;
        }
        sum + (self.hits(whole, skip, count) & ((1 << rest) - 1)).count_ones()
    }

    /// Minimum of each line and how many have it.
    fn summaries(self, skip: &[usize]) -> impl Iterator<Item = u64> + Clone {
        let of = move |(at, line)| match skipped(at, skip) {
            0 => summary(line),
            bits => summarise(line, bits),
        };
        self.0.iter().enumerate().map(of)
    }

    /// A bit for each lane of a line that has this count.
    fn hits(self, line: usize, skip: &[usize], count: u32) -> u32 {
        let bits = |(at, word): (usize, &AtomicU64)| {
            let [low, high] = pair(word);
            (u32::from(low == count) | u32::from(high == count) << 1) << (2 * at)
        };
        let hits = self.0[line][1..].iter().enumerate().map(bits).fold(0, |hits, bits| hits | bits);
        hits & !skipped(line, skip)
    }
}

/// A bit for each lane of a line that is to be skipped.
fn skipped(line: usize, skip: &[usize]) -> u32 {
    let here = skip.iter().filter(|position| **position / LANES == line);
    here.fold(0, |bits, position| bits | 1 << (position % LANES))
}

/// The least of these, and how many there are in all lines. Two passes without a branch are faster than one with.
fn lowest(summaries: impl Iterator<Item = u64> + Clone) -> Option<(u32, u32)> {
    let count = (summaries.clone().fold(u64::MAX, u64::min) >> 32) as u32;
    (count < BARRED).then(|| (count, summaries.map(|summary| ties(summary, count)).sum()))
}

/// How many of a line have this count, which no line goes below.
fn ties(summary: u64, count: u32) -> u32 {
    if (summary >> 32) as u32 == count { summary as u32 } else { 0 }
}

fn summary(line: &[AtomicU64; WORDS]) -> u64 {
    line[0].load(Relaxed)
}

fn sum_up(line: &[AtomicU64; WORDS]) {
    line[0].store(summarise(line, 0), Relaxed);
}

/// The summary of a line of which one lane `was` that and `is` this; `None` if only a look at all of them tells.
fn changed(summary: u64, was: u32, is: u32) -> Option<u64> {
    let least = (summary >> 32) as u32;
    if is < least {
        return Some(u64::from(is) << 32 | 1);
    }
    let summary = summary + u64::from(is == least) - u64::from(was == least);
    (summary as u32 != 0).then_some(summary)
}

/// Minimum (upper half) of the lanes that are not `skipped`, and how many have it (lower half).
fn summarise(line: &[AtomicU64; WORDS], skipped: u32) -> u64 {
    let lanes = || line[1..].iter().flat_map(pair).zip(0..).map(|(lane, at)| lane | ((skipped >> at & 1) * BARRED));
    let least = lanes().fold(u32::MAX, u32::min);
    u64::from(least) << 32 | lanes().map(|lane| u64::from(lane == least)).sum::<u64>()
}

fn pair(word: &AtomicU64) -> [u32; 2] {
    let word = word.load(Relaxed);
    [word as u32, (word >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    const BAR: Lane = Lane::barred(5);

    #[test]
    fn finds_what_a_plain_scan_finds() {
        let lane = |i: u32| if i % 7 == 3 { BAR } else { Lane::candidate(2 + i * 5 % 3) };
        let counts: Vec<Lane> = (0..50).map(lane).collect();
        let memory: Vec<_> = (0..words(50)).map(|_| AtomicU64::new(0)).collect();
        let load = Counts::of(&memory);
        load.fill((0..50).map(|_| Lane::candidate(7)));
        assert_eq!(load.lowest(&[]), Some((7, 50)), "and nothing behind them");
        (0..50).for_each(|position| load.set(position, counts[position]));
        for skip in [&[][..], &[0], &[3, 12, 49, 48]] {
            let is_hit = |i: &usize| counts[*i] == Lane::candidate(2) && !skip.contains(i);
            let hits: Vec<usize> = (0..50).filter(is_hit).collect();
            assert_eq!(load.lowest(skip), Some((2, hits.len() as u32)));
            for (k, position) in hits.iter().enumerate() {
                assert_eq!(load.nth(skip, 2, k as u32), Some(*position));
                assert_eq!(load.before(skip, 2, *position), k as u32);
            }
            assert_eq!(load.nth(skip, 2, hits.len() as u32), None);
            assert_eq!([50, 5000].map(|end| load.before(skip, 2, end)), [hits.len() as u32; 2]);
        }
        assert_eq!((0..50).map(|i| load.get(i)).collect::<Vec<_>>(), counts);
        for (line, least) in load.0.iter().map(|line| (line, summary(line))) {
            assert_eq!(least, summarise(line, 0));
        }
        assert_eq!(BAR.count(), 5);
        (0..50).for_each(|position| load.set(position, BAR));
        assert_eq!(load.lowest(&[]), None);
        assert_eq!(Counts::of(&[]).lowest(&[]), None);
    }

    #[test]
    fn a_change_says_what_a_look_at_all_says() {
        let memory: Vec<_> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let load = Counts::of(&memory);
        load.fill((0..LANES as u32 - 1).map(Lane::candidate));
        let mut rng = KeyedRng::new(1, Purpose::Choice, 0);
        for _ in 0..2_000 {
            let (position, count) = (rng.below(LANES as u32) as usize, rng.below(4));
            load.set(position, if rng.below(5) == 0 { Lane::barred(count) } else { Lane::candidate(count) });
            assert_eq!(summary(&load.0[0]), summarise(&load.0[0], 0));
        }
    }
}
