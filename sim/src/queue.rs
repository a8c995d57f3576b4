//! The event queue: by time, then by order of insertion.

use std::collections::VecDeque;

use galton_core::Nanos;

use crate::calendar::Calendar;

/// Events of type `E`, earliest first; equal times stay first in, first out.
#[derive(Debug)]
pub(crate) struct EventQueue<E> {
    calendar: Calendar<E>,
    /// Those due at the time of the last event taken: what follows at once does not have to be sorted in.
    at_once: VecDeque<(Place, E)>,
    /// One event that comes again and again, as the next arrival does: neither has it. Without one, a key that never comes.
    recurrent: (Key, Option<E>),
    now: Nanos,
    places: u64,
}

/// A place in the order of insertion, to be filled later, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// From the top: when (64 bits), and the place in the order of insertion. One number, since comparing two is a branch that nobody
/// can predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u128);

// === impl EventQueue ===

impl<E> EventQueue<E> {
    pub(crate) fn new() -> Self {
        let recurrent = (Key::NEVER, None);
        Self { calendar: Calendar::new(), at_once: VecDeque::new(), recurrent, now: Nanos::ZERO, places: 0 }
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, at: Nanos, event: E) {
        let place = self.place();
        if at <= self.now { self.at_once.push_back((place, event)) } else { self.push_at_place(place, at, event) }
    }

    /// As [`Self::push`], for the event that comes again and again: one at a time.
    #[inline(always)]
    pub(crate) fn push_recurrent(&mut self, at: Nanos, event: E) {
        let place = self.place();
        match &self.recurrent {
            (_, None) => self.recurrent = (Key::new(at.max(self.now), place), Some(event)),
            _ => self.push_at_place(place, at, event),
        }
    }

    /// The next place, for an event that may not be needed.
    #[inline(always)]
    pub(crate) fn place(&mut self) -> Place {
        self.places += 1;
        Place(self.places)
    }

    /// Inserts an event as if it had been inserted when its place was taken.
    #[inline(always)]
    pub(crate) fn push_at_place(&mut self, place: Place, at: Nanos, event: E) {
        self.calendar.push(at, place, event);
    }

    /// The next event, and its time. `ahead` is shown some that come a little later, so that it can fetch what belongs to them.
    #[inline(always)]
    pub(crate) fn pop(&mut self, ahead: impl FnMut(&E)) -> Option<(Nanos, E)> {
        let sorted = self.calendar.first(ahead);
        if let Some((place, _)) = self.at_once.front()
            && Key::new(self.now, *place) < sorted.min(self.recurrent.0)
        {
            let (_, event) = self.at_once.pop_front()?;
            return Some((self.now, event));
        }
        if self.recurrent.0 < sorted {
            self.now = self.recurrent.0.time();
            self.recurrent.0 = Key::NEVER;
            return Some((self.now, self.recurrent.1.take()?));
        }
        if sorted == Key::NEVER {
            return None;
        }
        self.now = sorted.time();
        Some((self.now, self.calendar.take(sorted)?))
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.calendar.len() + self.at_once.len() + usize::from(self.recurrent.1.is_some())
    }

    /// Drops what is not worth waiting for any more.
    pub(crate) fn retain(&mut self, worth: impl Fn(&E) -> bool) {
        self.calendar.retain(worth);
    }
}

// === impl Place ===

impl Place {
    #[cfg(test)]
    pub(crate) const fn nth(n: u64) -> Self {
        Self(n)
    }
}

// === impl Key ===

impl Key {
    /// Later than any event.
    pub(crate) const NEVER: Self = Self(u128::MAX);

    #[inline(always)]
    pub(crate) fn new(at: Nanos, place: Place) -> Self {
        Self(u128::from(at.0) << 64 | u128::from(place.0))
    }

    #[inline(always)]
    pub(crate) fn time(self) -> Nanos {
        Nanos((self.0 >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(queue: &mut EventQueue<char>) -> String {
        std::iter::from_fn(|| queue.pop(|_| ())).map(|(_, event)| event).collect()
    }

    #[test]
    fn equal_times_keep_their_order() {
        let mut queue = EventQueue::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            queue.push(Nanos(at), event);
        }
        assert_eq!(drained(&mut queue), "abcd");
    }

    #[test]
    fn what_follows_at_once_comes_after_what_was_due_then() {
        let mut queue = EventQueue::new();
        for (at, event) in [(1, 'a'), (1, 'b'), (2, 'd')] {
            queue.push(Nanos(at), event);
        }
        assert_eq!(queue.pop(|_| ()), Some((Nanos(1), 'a')));
        queue.push(Nanos(1), 'c');
        assert_eq!(drained(&mut queue), "bcd");
    }

    #[test]
    fn the_recurrent_event_has_its_place_like_any_other() {
        let mut queue = EventQueue::new();
        queue.push(Nanos(2), 'a');
        queue.push_recurrent(Nanos(2), 'b');
        queue.push(Nanos(2), 'c');
        queue.push_recurrent(Nanos(3), 'd');
        assert_eq!(queue.pop(|_| ()), Some((Nanos(2), 'a')));
        queue.push(Nanos(2), 'e');
        assert_eq!((queue.len(), drained(&mut queue)), (4, "bced".to_owned()));
    }

    #[test]
    fn a_place_is_kept() {
        let mut queue = EventQueue::new();
        queue.push(Nanos(3), 'a');
        let place = queue.place();
        queue.push(Nanos(3), 'c');
        queue.push_at_place(place, Nanos(3), 'b');
        assert_eq!(drained(&mut queue), "abc");
    }

    #[test]
    fn what_is_not_worth_waiting_for_is_dropped() {
        let mut queue = EventQueue::new();
        for (at, event) in [(1, 'a'), (2, 'x'), (3, 'b'), (4, 'x')] {
            queue.push(Nanos(at), event);
        }
        queue.retain(|event| *event != 'x');
        assert_eq!(queue.len(), 2);
        queue.push(Nanos(2), 'm');
        assert_eq!(drained(&mut queue), "amb");
    }
}
