//! The lock over updates, which is the version of the table too: one word.
//!
//! Its upper 48 bits count the updates, its lower 16 bits say who is in the middle of one. So a pick locks and finds
//! that nothing has changed since it looked with one compare-and-swap, and unlocking is a plain store: half the atomic
//! operations of a mutex beside a version, on one cache line instead of two.
//!
//! Who locks has a *seat*: a byte of the file, locked by the kernel for as long as the process lives. A process that
//! waits for longer than an update takes tries to take the seat; if it can, it takes the lock over and builds the index
//! again. A seat can be taken anew before anybody looked; then it is for its new owner to say that the
//! old one is gone. A robust mutex of the C library would cost twice as much, and cannot be asked on behalf of a version.

use std::cell::Cell;
use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::memory::{AtomicU64, Memory, fence};
use super::shared::{Shape, Shared};

/// The part of the word that says who; 0: nobody.
const OWNER: u64 = 0xffff;
/// One update.
pub(super) const STEP: u64 = OWNER + 1;
/// In place of an owner: it went away in the middle of an update, without its process dying.
const LEFT: u64 = OWNER;

/// Seats: for every host, the scaler, and some that look.
const SEATS: u32 = 4 * Shape::MOST_HOSTS;

/// Tries before a waiting process asks whether the owner is alive: some ten microseconds, while an update takes
/// some tens of nanoseconds.
#[cfg(not(galton_loom))]
const SPINS: u32 = 5;
#[cfg(galton_loom)]
const SPINS: u32 = 0;
/// Of the processor's instruction for it, which takes some ten to a hundred cycles.
#[cfg(not(galton_loom))]
const STAND_BACK: u32 = 300;
#[cfg(not(galton_loom))]
/// Then so many times the processor is given away, for an owner that waits for it.
const YIELDS: u32 = 20;
#[cfg(not(galton_loom))]
/// Then it is more than that; the wait should not cost others their time.
const NAP: std::time::Duration = std::time::Duration::from_micros(50);

/// The number, from 1, by which whoever has a map open is known to the others.
#[derive(Debug)]
pub(super) struct Seat(u64);

/// The lock, held.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    word: &'a AtomicU64,
    /// The version after this.
    next: Cell<u64>,
    /// In the middle of a change; if the guard goes away now, the index is to be built again.
    changing: Cell<bool>,
    /// The owner before went away in the middle of one.
    pub(super) is_left: bool,
}

/// Whether nobody is in the middle of an update.
pub(super) const fn is_settled(version: u64) -> bool {
    version & OWNER == 0
}

// === impl Seat ===

impl Seat {
    /// Takes the first seat that is free, and says so if its last owner died with the lock.
    pub(super) fn take(memory: &Memory, version: &AtomicU64) -> io::Result<Self> {
        for seat in (1..=SEATS).map(|code| Self(code.into())) {
            if memory.own(seat.byte())? {
                let word = version.load(Relaxed);
                if word & OWNER == seat.0 {
                    // If it is not that any more, somebody else has seen it.
                    let _ = version.compare_exchange(word, word | LEFT, Relaxed, Relaxed);
                }
                return Ok(seat);
            }
        }
        Err(io::Error::other(format!("a load map cannot be open {SEATS} times at once")))
    }

    /// Behind those of the hosts' numbers.
    pub(super) fn byte(&self) -> u32 {
        Shape::MOST_HOSTS + self.0 as u32 - 1
    }
}

// === impl Shared: the lock ===

impl Shared {
    /// Waits for the lock.
    pub(super) fn lock(&self) -> Guard<'_> {
        let mut tries = 0_u32;
        loop {
            let seen = self.version().load(Relaxed);
            let held = match is_settled(seen) {
                true => self.lock_at(seen),
                false if tries >= SPINS => self.take_over(seen),
                false => None,
            };
            if let Some(held) = held {
                return held;
            }
            pause(tries);
            tries = tries.saturating_add(1);
        }
    }

    /// Takes the lock if the version is still this one.
    pub(super) fn lock_at(&self, seen: u64) -> Option<Guard<'_>> {
        let settled = seen & !OWNER;
        let word = self.version();
        word.compare_exchange(seen, settled | self.seat.0, Acquire, Relaxed).ok()?;
        // Who sees a store of the change sees the lock as well.
        fence(Release);
        Some(Guard { word, next: Cell::new(settled), changing: Cell::new(false), is_left: settled != seen })
    }

    /// Takes the lock from an owner that is dead, if the version is still this one.
    fn take_over(&self, seen: u64) -> Option<Guard<'_>> {
        let owner = Seat(seen & OWNER);
        if owner.0 > SEATS.into() {
            return self.lock_at(seen);
        }
        // Another thread of this process. Its seat would not be refused.
        if owner.0 == self.seat.0 {
            return None;
        }
        // With the dead one's seat in hand, nobody can have taken that, and the lock under the same version again. If it
        // cannot be found out, waiting is right.
        self.memory.own(owner.byte()).ok().filter(|is_free| *is_free)?;
        let held = self.lock_at(seen);
        if let Err(error) = self.memory.disown(owner.byte()) {
            tracing::error!(%error, "cannot give a dead process's seat back");
        }
        held
    }
}

/// Stands back for some microseconds, after another process came in between. Whoever is at it then does dozens of updates
/// on cache lines that stay where they are; tried again at once, each update would first have to fetch them.
pub(super) fn stand_back() {
    #[cfg(not(galton_loom))]
    (0..STAND_BACK).for_each(|_| std::hint::spin_loop());
}

#[cfg(not(galton_loom))]
fn pause(tries: u32) {
    match tries {
        ..SPINS => stand_back(),
        _ if tries < SPINS + YIELDS => std::thread::yield_now(),
        _ => std::thread::sleep(NAP),
    }
}

#[cfg(galton_loom)]
fn pause(_tries: u32) {
    loom::thread::yield_now();
}

// === impl Guard ===

impl Guard<'_> {
    /// Makes a change that readers see as a whole; returns the version that it makes.
    pub(super) fn write(&self, change: impl FnOnce()) -> u64 {
        self.changing.set(true);
        change();
        self.changing.set(false);
        self.next.set(self.next.get().wrapping_add(STEP));
        self.next.get()
    }

    /// The version with all changes so far.
    pub(super) fn version(&self) -> u64 {
        self.next.get()
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let left = if self.changing.get() { LEFT } else { 0 };
        self.word.store(self.next.get() | left, Release);
    }
}
