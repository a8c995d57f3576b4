//! A calendar queue (Brown, "Calendar queues: a fast O(1) priority queue implementation for the simulation event set problem",
//! CACM 31, 1988): what is due later goes unsorted to a page of its own short span, and is sorted when that page comes up.
//!
//! A heap of n events takes log n unpredictable branches for each of them. Here an event costs the same however many wait, as
//! long as a page holds about one; so the length of a page and the number of pages follow the events, now and then. What pages
//! are no good for, an event within the page at hand or behind the last one, is in a heap after all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use galton_core::Nanos;
use galton_core::prefetch::prefetch;

use crate::queue::{Key, Place};

/// Events of type `E` by key.
#[derive(Debug)]
pub(crate) struct Calendar<E> {
    /// What is left of the page at hand, the first one last.
    open: Vec<Key>,
    pages: Pages,
    /// What is on no page.
    apart: BinaryHeap<Reverse<Key>>,
    /// Every event, by number.
    events: Vec<Entry<E>>,
    /// The first number that is free.
    free: u32,
    len: usize,
    pace: Pace,
}

/// One event; or a number that is free. On a line of its own in the processor's caches.
#[derive(Debug)]
#[repr(align(64))]
struct Entry<E> {
    key: Key,
    /// The next one on the same page; of a free number, the next free one.
    next: u32,
    event: Option<E>,
}

/// The pages behind that at hand; each a list of events, in no order.
#[derive(Debug)]
struct Pages {
    /// A page is 2 to this many nanoseconds long.
    bits: u32,
    /// The number of the page at hand, from time 0.
    at_hand: u64,
    /// The first event of each page, by the page's number modulo how many there are.
    first: Vec<u32>,
    /// Which pages are not empty, 64 to a word.
    filled: Vec<u64>,
    /// How many are not.
    count: usize,
}

/// How events follow each other.
#[derive(Debug)]
struct Pace {
    /// Events that came up since the pages were last measured against them.
    events: u64,
    /// When that was.
    since: Nanos,
}

/// No event.
const NONE: u32 = u32::MAX;
/// Fewer pages are not worth their trouble.
const FEWEST: usize = 256;
/// As many as there may be: 4 MB.
const MOST: usize = 1 << 20;
/// Pages per event that waits: so that the pages reach at least twice as far ahead as events do on average.
const PAGES_PER_EVENT: usize = 4;
/// Pages are measured against the events once for so many of them.
const MEASURE_EVERY: u64 = 4096;
/// As many events and what belongs to them fit the processor's nearest caches.
const CACHED: usize = 512;

// === impl Calendar ===

impl<E> Calendar<E> {
    pub(crate) fn new() -> Self {
        Self {
            open: Vec::new(),
            // A hundred microseconds or so, until the events tell.
            pages: Pages::new(17, FEWEST, Nanos::ZERO),
            apart: BinaryHeap::new(),
            events: Vec::new(),
            free: NONE,
            len: 0,
            pace: Pace { events: 0, since: Nanos::ZERO },
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, at: Nanos, place: Place, event: E) {
        self.len += 1;
        let number = if self.free == NONE { self.events.len() as u32 } else { self.free };
        let key = Key::new(at, place, number);
        let entry = Entry { key, next: NONE, event: Some(event) };
        match self.events.get_mut(number as usize) {
            Some(free) => self.free = std::mem::replace(free, entry).next,
            None => {
                assert!((number as usize) < Key::NUMBERS, "more events wait than a run of this size can have");
                self.events.push(entry);
            }
        }
        self.sort_in(key);
    }

    #[inline]
    fn sort_in(&mut self, key: Key) {
        match self.pages.put(key) {
            Some(next) => self.events[key.number() as usize].next = next,
            None => self.apart.push(Reverse(key)),
        }
    }

    /// The first key; `ahead` is shown those that will come soon after it, if it is worth fetching what belongs to them.
    #[inline]
    pub(crate) fn first(&mut self, ahead: impl FnMut(&E)) -> Key {
        if self.open.is_empty() && self.pages.count > 0 {
            self.turn_page(ahead);
        }
        let open = self.open.last().map_or(Key::NEVER, |key| *key);
        let apart = self.apart.peek().map_or(Key::NEVER, |Reverse(key)| *key);
        open.min(apart)
    }

    /// Takes the event of the first key, as [`Self::first`] has just told it.
    #[inline]
    pub(crate) fn take(&mut self, first: Key) -> Option<E> {
        if self.open.last() == Some(&first) {
            self.open.pop();
        } else {
            self.apart.pop();
            self.pages.skip_to(first.time());
        }
        let entry = self.events.get_mut(first.number() as usize)?;
        (entry.next, self.free) = (self.free, first.number());
        self.len -= 1;
        entry.event.take()
    }

    /// Nothing is left of the page at hand: opens the next one that is not empty.
    #[inline]
    fn turn_page(&mut self, mut ahead: impl FnMut(&E)) {
        let cached = self.len <= CACHED;
        let mut number = self.pages.turn();
        while let Some(entry) = self.events.get(number as usize) {
            // The first of the list has been shown, as that of the next page.
            if !cached && let (false, Some(event)) = (self.open.is_empty(), &entry.event) {
                ahead(event);
            }
            self.open.push(entry.key);
            number = entry.next;
        }
        if self.open.len() > 1 {
            self.open.sort_unstable_by_key(|key| Reverse(*key));
        }
        if !cached {
            self.look_ahead(ahead);
        }
        self.pace.events += self.open.len() as u64;
        if self.pace.events >= MEASURE_EVERY.max(self.len as u64) {
            self.measure();
        }
    }

    /// Fetches the first event of the next page but one, and shows that of the next, which was fetched a page ago.
    #[inline]
    fn look_ahead(&self, mut ahead: impl FnMut(&E)) {
        if self.pages.count < 2 {
            return;
        }
        let next = self.pages.next_filled(self.pages.at_hand + 1);
        let first = |page: u64| self.events.get(self.pages.first[self.pages.place(page)] as usize);
        if let Some(Entry { event: Some(event), next, .. }) = first(next) {
            ahead(event);
            self.events.get(*next as usize).into_iter().for_each(prefetch);
        }
        first(self.pages.next_filled(next + 1)).into_iter().for_each(prefetch);
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether the pages still fit what goes over them; if not, makes new ones.
    #[cold]
    fn measure(&mut self) {
        let now = self.open.last().map_or(self.pace.since, |key| key.time());
        let gap = (now - self.pace.since).0 / self.pace.events;
        self.pace = Pace { events: 0, since: now };
        let bits = gap.max(1).ilog2();
        let pages = (self.len * PAGES_PER_EVENT).next_power_of_two().clamp(FEWEST, MOST);
        let have = self.pages.first.len();
        // Twice or half as much does as well; what goes to and fro is not followed.
        if bits.abs_diff(self.pages.bits) > 1 || pages > 2 * have || 4 * pages < have {
            self.pages = Pages::new(bits, pages, now);
            self.sort_anew();
        }
    }

    fn sort_anew(&mut self) {
        self.open.clear();
        self.apart.clear();
        for number in 0..self.events.len() {
            let entry = &self.events[number];
            if entry.event.is_some() {
                self.sort_in(entry.key);
            }
        }
    }

    /// Drops what is not worth waiting for any more.
    pub(crate) fn retain(&mut self, worth: impl Fn(&E) -> bool) {
        for (number, entry) in (0..).zip(&mut self.events) {
            if entry.event.take_if(|event| !worth(event)).is_some() {
                (entry.next, self.free) = (self.free, number);
                self.len -= 1;
            }
        }
        self.pages.clear();
        self.sort_anew();
    }
}

// === impl Pages ===

impl Pages {
    /// So many, a power of two, each of 2 to the `bits` nanoseconds; `now` is on the one at hand.
    fn new(bits: u32, pages: usize, now: Nanos) -> Self {
        Self { bits, at_hand: now.0 >> bits, first: vec![NONE; pages], filled: vec![0; pages / 64], count: 0 }
    }

    #[inline]
    fn place(&self, page: u64) -> usize {
        page as usize & (self.first.len() - 1)
    }

    /// Puts an event on its page, and returns the one that it comes before there; none: there is no page for it.
    #[inline]
    fn put(&mut self, key: Key) -> Option<u32> {
        let page = key.time().0 >> self.bits;
        if page.wrapping_sub(self.at_hand).wrapping_sub(1) >= self.first.len() as u64 {
            return None;
        }
        let at = self.place(page);
        let next = std::mem::replace(&mut self.first[at], key.number());
        if next == NONE {
            self.filled[at / 64] |= 1 << (at % 64);
            self.count += 1;
        }
        Some(next)
    }

    /// Goes on to the next page that is not empty, empties it, and returns its first event. There is one.
    #[inline]
    fn turn(&mut self) -> u32 {
        self.at_hand = self.next_filled(self.at_hand + 1);
        let at = self.place(self.at_hand);
        self.filled[at / 64] &= !(1 << (at % 64));
        self.count -= 1;
        std::mem::replace(&mut self.first[at], NONE)
    }

    /// The first page from `page` on that is not empty. There is one.
    #[inline]
    fn next_filled(&self, page: u64) -> u64 {
        let from = self.place(page);
        let (mut at, mut word) = (from / 64, self.filled[from / 64] >> (from % 64));
        if word != 0 {
            return page + u64::from(word.trailing_zeros());
        }
        let mut passed = 64 - from as u64 % 64;
        loop {
            at = (at + 1) & (self.filled.len() - 1);
            word = self.filled[at];
            if word != 0 {
                return page + passed + u64::from(word.trailing_zeros());
            }
            passed += 64;
        }
    }

    /// An event that is on no page has come first: with none on the others, its time is at hand.
    #[inline]
    fn skip_to(&mut self, time: Nanos) {
        if self.count == 0 {
            self.at_hand = self.at_hand.max(time.0 >> self.bits);
        }
    }

    fn clear(&mut self) {
        self.first.fill(NONE);
        self.filled.fill(0);
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use galton_core::rng::{KeyedRng, Purpose};

    use super::*;

    /// Beside a heap: delays of all sizes, at paces that change, with equal times among them.
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
                let delay = if rng.below(50) == 0 { 1e12 } else { 20.0 * rng.uniform() * scale };
                let at = now + Nanos(delay as u64);
                calendar.push(at, Place::nth(place), place);
                heap.push(Reverse((at, place)));
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
