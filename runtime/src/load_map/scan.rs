//! The packed counts of candidates: minimum, ties, and the k-th of them, in two levels.
//!
//! Two counts share a word, and a cache line of words has its minimum and how many have it in one word more. So a look
//! reads a word per 16 positions and one line, and a change reads one line. No lock is taken here, and positions mean
//! nothing: the caller finds out whether the counts moved meanwhile.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The count of a position that is no candidate.
pub(super) const NONE: u32 = i32::MAX as u32;

/// Words in a line.
const WORDS: usize = 8;
/// Positions in a line.
const LANES: usize = WORDS * 2;

/// Lines for so many positions.
pub(super) const fn lines(positions: usize) -> usize {
    positions.div_ceil(LANES)
}

/// Words for the counts of so many positions.
pub(super) const fn words(positions: usize) -> usize {
    lines(positions) * WORDS
}

/// Counts by position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts<'a> {
    /// [`words`] of them.
    pub(super) packed: &'a [AtomicU64],
    /// By line: the minimum (upper half) and how many have it (lower half).
    pub(super) least: &'a [AtomicU64],
}

// === impl Counts ===

impl Counts<'_> {
    /// The count of a position.
    pub(super) fn get(self, position: usize) -> u32 {
        (self.packed[position / 2].load(Relaxed) >> (position % 2 * 32)) as u32
    }

    /// Sets the count of a position. The caller is the only writer.
    pub(super) fn set(self, position: usize, count: u32) {
        let (word, shift) = (&self.packed[position / 2], position % 2 * 32);
        let others = word.load(Relaxed) & !(u64::from(u32::MAX) << shift);
        word.store(others | u64::from(count) << shift, Relaxed);
        self.sum_up(position / LANES);
    }

    /// Sets all counts, in order of position; the rest of the last line is no candidate.
    pub(super) fn fill(self, counts: impl IntoIterator<Item = u32>) {
        let mut counts = counts.into_iter();
        let mut next = || u64::from(counts.next().unwrap_or(NONE));
        for word in self.packed {
            word.store(next() | next() << 32, Relaxed);
        }
        (0..self.least.len()).for_each(|line| self.sum_up(line));
    }

    fn sum_up(self, line: usize) {
        let (least, len) = summary(self.lanes(line));
        self.least[line].store(u64::from(least) << 32 | u64::from(len), Relaxed);
    }

    /// The smallest count and how many have it, without the positions to skip.
    pub(super) fn lowest(self, skip: &[usize]) -> Option<(u32, u32)> {
        let lowest = (0..self.least.len()).map(|line| self.line(line, skip)).fold((NONE, 0), |(count, len), line| {
            let kept = if line.0 < count { 0 } else { len };
            let count = count.min(line.0);
            (count, kept + if line.0 == count { line.1 } else { 0 })
        });
        (lowest.0 != NONE).then_some(lowest)
    }

    /// The `k`-th position with this count, which is the lowest.
    pub(super) fn nth(self, skip: &[usize], count: u32, k: u32) -> Option<usize> {
        let mut left = k;
        for line in 0..self.least.len() {
            let (_, len) = Some(self.line(line, skip)).filter(|(least, _)| *least == count).unwrap_or_default();
            if left < len {
                let lanes = self.lanes_without(line, skip);
                let at = (0..LANES).filter(|lane| lanes[*lane] == count).nth(left as usize);
                return at.map(|lane| line * LANES + lane);
            }
            left -= len;
        }
        None
    }

    /// How many positions before `end` have this count, which is the lowest.
    pub(super) fn before(self, skip: &[usize], count: u32, end: usize) -> u32 {
        // The end may be of a moment at which there were more positions.
        let end = end.min(self.least.len() * LANES);
        let (whole, rest) = (end / LANES, end % LANES);
        let lines = (0..whole).map(|line| self.line(line, skip)).filter(|(least, _)| *least == count);
        let sum = lines.map(|(_, len)| len).sum::<u32>();
        if rest == 0 {
            return sum;
        }
        let lanes = self.lanes_without(whole, skip);
        sum + lanes[..rest].iter().filter(|lane| **lane == count).count() as u32
    }

    /// Minimum of a line and how many have it.
    #[inline]
    fn line(self, line: usize, skip: &[usize]) -> (u32, u32) {
        if skip.iter().any(|position| position / LANES == line) {
            return summary(self.lanes_without(line, skip));
        }
        let word = self.least[line].load(Relaxed);
        ((word >> 32) as u32, word as u32)
    }

    fn lanes(self, line: usize) -> [u32; LANES] {
        let mut lanes = [0; LANES];
        for (pair, word) in lanes.as_chunks_mut::<2>().0.iter_mut().zip(&self.packed[line * WORDS..][..WORDS]) {
            let word = word.load(Relaxed);
            *pair = [word as u32, (word >> 32) as u32];
        }
        lanes
    }

    fn lanes_without(self, line: usize, skip: &[usize]) -> [u32; LANES] {
        let mut lanes = self.lanes(line);
        for position in skip.iter().filter(|position| *position / LANES == line) {
            lanes[position % LANES] = NONE;
        }
        lanes
    }
}

fn summary(lanes: [u32; LANES]) -> (u32, u32) {
    // Signed, since that is what every x86-64 compares several of at once; no count is above `i32::MAX`.
    let lanes = lanes.map(|lane| lane as i32);
    let least = lanes.into_iter().fold(NONE as i32, i32::min);
    (least as u32, lanes.into_iter().map(|lane| u32::from(lane == least)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_plain_scan_finds() {
        let counts: Vec<u32> = (0..50).map(|i| if i % 7 == 3 { NONE } else { 2 + i * 5 % 3 }).collect();
        let zeros = |n| (0..n).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let (packed, least) = (zeros(words(50)), zeros(lines(50)));
        let load = Counts { packed: &packed, least: &least };
        load.fill((0..50).map(|_| 7));
        assert_eq!(load.lowest(&[]), Some((7, 50)), "and nothing behind them");
        (0..50).for_each(|position| load.set(position, counts[position]));
        for skip in [&[][..], &[0], &[3, 12, 49, 48]] {
            let hits: Vec<usize> = (0..50).filter(|i| counts[*i] == 2 && !skip.contains(i)).collect();
            assert_eq!(load.lowest(skip), Some((2, hits.len() as u32)));
            for (k, position) in hits.iter().enumerate() {
                assert_eq!(load.nth(skip, 2, k as u32), Some(*position));
                assert_eq!(load.before(skip, 2, *position), k as u32);
            }
            assert_eq!(load.nth(skip, 2, hits.len() as u32), None);
            assert_eq!([50, 5000].map(|end| load.before(skip, 2, end)), [hits.len() as u32; 2]);
        }
        assert_eq!((0..50).map(|i| load.get(i)).collect::<Vec<_>>(), counts);
        (0..50).for_each(|position| load.set(position, NONE));
        assert_eq!(load.lowest(&[]), None);
        assert_eq!(Counts { packed: &[], least: &[] }.lowest(&[]), None);
    }
}
