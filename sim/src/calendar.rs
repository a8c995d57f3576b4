//! A calendar queue (Brown, "Calendar queues: a fast O(1) priority queue implementation for the simulation event set problem",
//! CACM 31, 1988): what is due later goes unsorted to a page of its own stretch of time, and is sorted when that page comes up.
//!
//! A heap of n events takes log n unpredictable branches for each of them, and reaches for memory all over the place. Here an event
//! is appended to its page and sorted there among some dozens, whose order then also tells what to fetch in time. The length of a
//! page and the number of pages follow the events, now and then. What pages are no good for, an event within the page at hand or
//! behind the last one, is in a heap after all.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use galton_core::Nanos;

use crate::queue::{Key, Place};

/// Events of type `E` by key.
#[derive(Debug)]
pub(crate) struct Calendar<E> {
    /// What is left of the page at hand, the first one last.
    open: Vec<Line>,
    /// The events of the page at hand.
    events: Vec<Entry<E>>,
    pages: Pages<E>,
    /// What is on no page.
    apart: BinaryHeap<Apart<E>>,
    len: usize,
    pace: Pace,
}

/// One event; or nothing, once it has been taken.
#[derive(Debug)]
struct Entry<E> {
    at: Nanos,
    place: Place,
    event: Option<E>,
}

/// An event of the page at hand. From the top: when, from the begin of the page; its number, from 0. One number of 64 bits, which
/// the standard library sorts mostly without a branch that depends on it; it does not with 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line(u64);

/// An event on no page. The first one is the greatest, as heaps have it.
#[derive(Debug)]
struct Apart<E>(Entry<E>);

/// The pages behind that at hand; each its events, in no order.
#[derive(Debug)]
struct Pages<E> {
    /// A page is 2 to this many nanoseconds long.
    bits: u32,
    /// The number of the page at hand, from time 0.
    at_hand: u64,
    /// By the page's number modulo how many there are.
    pages: Vec<Vec<Entry<E>>>,
    /// Events on all of them.
    len: usize,
}

/// How events follow each other.
#[derive(Debug)]
struct Pace {
    /// Events that came up since the pages were last measured against them.
    events: u64,
    /// When that was.
    since: Nanos,
}

/// 16 million events on a page.
const NUMBER_BITS: u32 = 24;
/// Pages are no longer than 2 to this many nanoseconds: 18 minutes.
const LONGEST_BITS: u32 = u64::BITS - NUMBER_BITS;
/// So many events come up during a page, or down to half as many.
const EVENTS_PER_PAGE: u64 = 64;
/// Fewer pages are not worth their trouble.
const FEWEST: usize = 16;
/// Pages reach so many times as far ahead as events do on average, at least.
const REACH: u64 = 4;
/// Pages are measured against the events once for so many of them.
const MEASURE_EVERY: u64 = 4096;
/// As many events and what belongs to them fit the processor's nearest caches.
const CACHED: usize = 512;
/// What an event needs is fetched when it is so far ahead.
const AHEAD: usize = 4;

// === impl Calendar ===

impl<E> Calendar<E> {
    pub(crate) fn new() -> Self {
        Self {
            open: Vec::new(),
            events: Vec::new(),
            // Some milliseconds, until the events tell.
            pages: Pages::new(22, FEWEST, Nanos::ZERO),
            apart: BinaryHeap::new(),
            len: 0,
            pace: Pace { events: 0, since: Nanos::ZERO },
        }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, at: Nanos, place: Place, event: E) {
        self.len += 1;
        self.put(Entry { at, place, event: Some(event) });
    }

    #[inline(always)]
    fn put(&mut self, entry: Entry<E>) {
        match self.pages.of(entry.at) {
            Some(page) => {
                page.push(entry);
                self.pages.len += 1;
            }
            None => self.apart.push(Apart(entry)),
        }
    }

    /// The first key; `ahead` is shown those that will come soon after it, if it is worth fetching what belongs to them.
    #[inline(always)]
    pub(crate) fn first(&mut self, ahead: impl FnMut(&E)) -> Key {
        if self.open.is_empty() && self.pages.len > 0 {
            self.turn_page(ahead);
        } else if self.len > CACHED {
            self.look_ahead(AHEAD, ahead);
        }
        let apart = self.apart.peek().map_or(Key::NEVER, |Apart(entry)| entry.key());
        self.first_open().min(apart)
    }

    /// The first key of the page at hand.
    #[inline(always)]
    fn first_open(&self) -> Key {
        let first = self.open.last().and_then(|line| self.events.get(line.number()));
        first.map_or(Key::NEVER, Entry::key)
    }

    /// Takes the event of the first key, as [`Self::first`] has just told it.
    #[inline(always)]
    pub(crate) fn take(&mut self, first: Key) -> Option<E> {
        self.len -= 1;
        if self.first_open() == first {
            let line = self.open.pop()?;
            return self.events.get_mut(line.number())?.event.take();
        }
        self.pages.skip_to(first.time());
        self.apart.pop()?.0.event
    }

    /// Nothing is left of the page at hand: opens the next one that is not empty.
    #[inline(never)]
    fn turn_page(&mut self, mut ahead: impl FnMut(&E)) {
        self.events.clear();
        self.pages.turn(&mut self.events);
        assert!(self.events.len() <= Line::NUMBERS, "more events at once than a run of this size can have");
        let begin = self.pages.begin();
        self.open.extend((0..).zip(&self.events).map(|(number, entry)| Line::new(entry.at - begin, number)));
        self.open.sort_unstable_by(|one, other| other.cmp(one));
        self.settle_ties();
        if self.len > CACHED {
            (0..=AHEAD).for_each(|by| self.look_ahead(by, &mut ahead));
        }
        self.pace.events += self.open.len() as u64;
        if self.pace.events >= MEASURE_EVERY.max(self.len as u64) {
            self.measure();
        }
    }

    /// Of equal times the first place comes first, also where it was filled late.
    #[inline(always)]
    fn settle_ties(&mut self) {
        let place = |line: &Line| self.events[line.number()].place;
        let settled = |pair: &[Line]| pair[0].after() != pair[1].after() || place(&pair[0]) > place(&pair[1]);
        if !self.open.windows(2).all(settled) {
            self.open.sort_unstable_by_key(|line| Reverse(self.events[line.number()].key()));
        }
    }

    /// Shows the event that comes so many behind the first one of the page at hand.
    #[inline(always)]
    fn look_ahead(&self, by: usize, mut ahead: impl FnMut(&E)) {
        let line = self.open.len().checked_sub(1 + by).map(|at| self.open[at]);
        if let Some(Entry { event: Some(event), .. }) = line.and_then(|line| self.events.get(line.number())) {
            ahead(event);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// With a page just opened: whether the pages still fit what goes over them; if not, makes new ones.
    #[cold]
    fn measure(&mut self) {
        let now = self.first_open().time();
        let for_a_page = (now - self.pace.since).0.saturating_mul(EVENTS_PER_PAGE) / self.pace.events;
        self.pace = Pace { events: 0, since: now };
        let bits = for_a_page.max(1).ilog2().min(LONGEST_BITS);
        let pages = (self.len as u64 * REACH / EVENTS_PER_PAGE * 2).next_power_of_two().max(FEWEST as u64) as usize;
        let have = self.pages.pages.len();
        // Twice or half as much does as well; what goes to and fro is not followed.
        if bits.abs_diff(self.pages.bits) > 1 || pages > 2 * have || 4 * pages < have {
            let pages = Pages::new(bits, pages, now);
            self.sort_anew(pages, |_| true);
        }
    }

    /// Drops what is not worth waiting for any more.
    pub(crate) fn retain(&mut self, worth: impl Fn(&E) -> bool) {
        let Pages { bits, ref pages, .. } = self.pages;
        let pages = Pages::new(bits, pages.len(), self.pages.begin());
        self.sort_anew(pages, worth);
    }

    /// Puts every event on one of these pages, if it is worth it.
    fn sort_anew(&mut self, pages: Pages<E>, worth: impl Fn(&E) -> bool) {
        let old = std::mem::replace(&mut self.pages, pages);
        let apart = std::mem::take(&mut self.apart).into_iter().map(|Apart(entry)| entry);
        let on_pages = old.pages.into_iter().flatten();
        let at_hand = std::mem::take(&mut self.events);
        self.open.clear();
        self.len = 0;
        for entry in at_hand.into_iter().chain(on_pages).chain(apart) {
            if entry.event.as_ref().is_some_and(&worth) {
                self.len += 1;
                self.put(entry);
            }
        }
    }
}

// === impl Entry ===

impl<E> Entry<E> {
    #[inline(always)]
    fn key(&self) -> Key {
        Key::new(self.at, self.place)
    }
}

// === impl Line ===

impl Line {
    /// Numbers are below this.
    const NUMBERS: usize = 1 << NUMBER_BITS;

    #[inline(always)]
    fn new(after: Nanos, number: u64) -> Self {
        Self(after.0 << NUMBER_BITS | number)
    }

    #[inline(always)]
    fn after(self) -> u64 {
        self.0 >> NUMBER_BITS
    }

    #[inline(always)]
    fn number(self) -> usize {
        self.0 as usize & (Self::NUMBERS - 1)
    }
}

// === impl Apart ===

impl<E> Ord for Apart<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.key().cmp(&self.0.key())
    }
}

impl<E> PartialOrd for Apart<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Apart<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Apart<E> {}

// === impl Pages ===

impl<E> Pages<E> {
    /// So many, a power of two, each of 2 to the `bits` nanoseconds; `now` is on the one at hand.
    fn new(bits: u32, pages: usize, now: Nanos) -> Self {
        Self { bits, at_hand: now.0 >> bits, pages: std::iter::repeat_with(Vec::new).take(pages).collect(), len: 0 }
    }

    /// Where the page at hand begins.
    fn begin(&self) -> Nanos {
        Nanos(self.at_hand << self.bits)
    }

    /// The page of this time; none: there is no page for it.
    #[inline(always)]
    fn of(&mut self, at: Nanos) -> Option<&mut Vec<Entry<E>>> {
        let page = at.0 >> self.bits;
        let ahead = page.wrapping_sub(self.at_hand).wrapping_sub(1);
        let at = page as usize & (self.pages.len() - 1);
        if ahead < self.pages.len() as u64 { self.pages.get_mut(at) } else { None }
    }

    /// Goes on to the next page that is not empty, and empties it into `events`, which has nothing but room. There is one.
    fn turn(&mut self, events: &mut Vec<Entry<E>>) {
        while events.is_empty() {
            self.at_hand += 1;
            let at = self.at_hand as usize & (self.pages.len() - 1);
            std::mem::swap(events, &mut self.pages[at]);
        }
        self.len -= events.len();
    }

    /// An event that is on no page has come first: with none on the others, its time is at hand.
    #[inline(always)]
    fn skip_to(&mut self, time: Nanos) {
        if self.len == 0 {
            self.at_hand = self.at_hand.max(time.0 >> self.bits);
        }
    }
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    /// Beside a heap: delays of all sizes, at paces that change, with equal times among them, and places filled out of their order.
    #[test]
    fn it_is_a_priority_queue() {
        let mut rng = KeyedRng::new(7, Purpose::Hold, 0);
        let (mut calendar, mut heap) = (Calendar::new(), BinaryHeap::new());
        let (mut now, mut place) = (Nanos::ZERO, 0);
        for step in 0..60_000_u32 {
            let scale = [1.0, 1e3, 1e6, 1e9][(step / 15_000) as usize];
            let pushes = if step % 15_000 < 2_000 { 2 } else { rng.below(3) };
            for _ in 0..pushes {
                place += 1;
                let delay = if rng.below(50) == 0 { 1e12 } else { f64::from(rng.below(20)) * scale };
                let at = now + Nanos(delay as u64);
                let other = place ^ 1;
                calendar.push(at, Place::nth(other), other);
                heap.push(Reverse((at, other)));
            }
            let first = calendar.first(|_| ());
            assert_eq!(first == Key::NEVER, heap.is_empty());
            if let Some(Reverse((at, expected))) = heap.pop() {
                assert_eq!((first.time(), calendar.take(first)), (at, Some(expected)));
                now = at;
            }
            assert_eq!(calendar.len(), heap.len());
        }
    }
}
