//! Rows, cells, and the index over them: every read and every update of a load map.
//!
//! The truth is what a host's cells say and which rows there are. Counts, packed candidates and their order are an index
//! of it: kept by each update, and built again by [`Index::lock`] when a process died in the middle of one. That is why
//! the order of stores matters within an update: a row below the idle threshold always says since when, whatever
//! prefix of the update was stored.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use galton_core::table::{Lowest, RowState, Slot};
use galton_core::{HostId, Incarnation, Nanos, TargetId};

use super::scan::{self, Counts};
use super::shared::{Guard, Shared};

/// Of a time: not at all.
pub(super) const NEVER: u64 = u64::MAX;

/// Looks without the lock before taking it; a look takes a fraction of a microsecond, an update about as long.
const LOOKS: u32 = 16;

// States of a row. A retired row is out of the index; it is free when all its cells are 0.
const FREE: u64 = 0;
const STARTING: u64 = 1;
pub(super) const READY: u64 = 2;
const CORDONED: u64 = 3;
const RETIRED: u64 = 4;

#[derive(Debug)]
pub(super) struct Index {
    pub(super) shared: Shared,
}

/// A row in the index.
#[derive(Clone, Copy, Debug)]
struct Found {
    position: usize,
    row: usize,
}

const fn pair(upper: u32, lower: u32) -> u64 {
    (upper as u64) << 32 | lower as u64
}

const fn upper(word: u64) -> u32 {
    (word >> 32) as u32
}

const fn lower(word: u64) -> u32 {
    word as u32
}

// === Reading: without the lock, seen to be consistent by the version. ===

impl Index {
    /// Looks at the table as it is at one moment, whose version is returned too.
    pub(super) fn read<R>(&self, look: impl Fn() -> R) -> (R, u64) {
        for _ in 0..LOOKS {
            let version = self.shared.version().load(Acquire);
            if let Some(seen) = self.read_at(version, &look) {
                return (seen, version);
            }
            std::hint::spin_loop();
        }
        // Many writers, or one that died in the middle.
        let _held = self.lock();
        (look(), self.shared.version().load(Relaxed))
    }

    /// Looks at the table in this version, if it still is.
    pub(super) fn read_at<R>(&self, version: u64, look: impl Fn() -> R) -> Option<R> {
        let unmoved = || version.is_multiple_of(2) && self.shared.version().load(Acquire) == version;
        let seen = unmoved().then(look)?;
        fence(Acquire);
        unmoved().then_some(seen)
    }

    pub(super) fn lowest(&self, except: &[TargetId]) -> Option<Lowest> {
        let (seen, stamp) = self.read(|| self.candidates().lowest(&self.positions(except)));
        seen.map(|(count, len)| Lowest { count, len, stamp })
    }

    pub(super) fn nth(&self, low: &Lowest, k: u32, except: &[TargetId]) -> Option<TargetId> {
        self.read_at(low.stamp, || {
            let position = self.candidates().nth(&self.positions(except), low.count, k)?;
            Some(TargetId(upper(self.order().get(position)?.load(Relaxed))))
        })?
    }

    pub(super) fn position_after(&self, low: &Lowest, after: TargetId, except: &[TargetId]) -> u32 {
        let count = self.read_at(low.stamp, || {
            let end = self.order().partition_point(|word| upper(word.load(Relaxed)) <= after.0);
            self.candidates().before(&self.positions(except), low.count, end)
        });
        count.filter(|count| *count < low.len).unwrap_or(0)
    }

    pub(super) fn idle(&self, now: Nanos, window: Nanos) -> Vec<TargetId> {
        let idle = |row: usize| {
            let since = self.shared.since()[row].load(Relaxed);
            self.state(row) == READY && since != NEVER && Nanos(since) + window <= now
        };
        let words = || self.order().iter().rev().map(|word| word.load(Relaxed));
        self.read(|| words().filter(|w| idle(lower(*w) as usize)).map(|w| TargetId(upper(w))).collect()).0
    }

    pub(super) fn in_flight(&self, target: TargetId) -> u32 {
        self.read(|| self.find(target).map_or(0, |found| self.count(found.row))).0
    }

    pub(super) fn total_in_flight(&self) -> u64 {
        let count = |word: &AtomicU64| u64::from(self.count(lower(word.load(Relaxed)) as usize));
        self.read(|| self.order().iter().map(count).sum()).0
    }

    /// The part of the order that is in use.
    fn order(&self) -> &[AtomicU64] {
        &self.shared.order()[..self.shared.used().load(Relaxed) as usize]
    }

    /// The part of the packed counts that is in use.
    pub(super) fn candidates(&self) -> Counts<'_> {
        let used = self.shared.used().load(Relaxed) as usize;
        Counts { packed: &self.shared.load()[..scan::words(used)], least: &self.shared.least()[..scan::lines(used)] }
    }

    fn find(&self, target: TargetId) -> Option<Found> {
        let order = self.order();
        let position = order.partition_point(|word| upper(word.load(Relaxed)) < target.0);
        let word = order.get(position)?.load(Relaxed);
        (upper(word) == target.0).then_some(Found { position, row: lower(word) as usize })
    }

    fn positions(&self, targets: &[TargetId]) -> Vec<usize> {
        targets.iter().filter_map(|target| self.find(*target)).map(|found| found.position).collect()
    }

    fn count(&self, row: usize) -> u32 {
        self.shared.count()[row].load(Relaxed) as u32
    }

    pub(super) fn state(&self, row: usize) -> u64 {
        self.shared.state()[row].load(Relaxed)
    }

    fn incarnation(&self, row: usize) -> Incarnation {
        lower(self.shared.name()[row].load(Relaxed))
    }
}

// === Updating: with the lock. ===

impl Index {
    /// Takes the lock, and puts the index right if a process died with it.
    pub(super) fn lock(&self) -> Guard<'_> {
        let mut held = self.shared.lock();
        if held.owner_died || !self.shared.version().load(Relaxed).is_multiple_of(2) {
            self.write(&held, || self.rebuild());
        }
        if held.owner_died {
            // Not before the index is right: should this process die as well, the next one builds it again.
            held.put_right();
        }
        held
    }

    /// Makes a change that readers see as a whole; returns the version it makes.
    pub(super) fn write(&self, _held: &Guard<'_>, change: impl FnOnce()) -> u64 {
        let version = self.shared.version();
        let odd = version.load(Relaxed) | 1;
        version.store(odd, Relaxed);
        fence(Release);
        change();
        version.store(odd + 1, Release);
        odd + 1
    }

    /// Takes a slot and says of which incarnation, and in which version: a pick if something was `seen`, else one at a
    /// target that is starting or ready and has room.
    pub(super) fn take(&self, host: HostId, target: TargetId, seen: Option<&Lowest>) -> Option<(Slot, u64)> {
        let held = self.lock();
        if seen.is_some_and(|low| low.stamp != self.shared.version().load(Relaxed)) {
            return None;
        }
        let found = self.find(target)?;
        let free = match seen {
            Some(low) => self.candidates().get(found.position) == low.count,
            None => {
                matches!(self.state(found.row), STARTING | READY) && self.count(found.row) < self.shared.shape.limit
            }
        };
        free.then(|| {
            let version = self.write(&held, || self.add(host, found));
            (Slot::granted(target, self.incarnation(found.row)), version)
        })
    }

    /// Gives a slot back, if this host holds it, and says in which version.
    pub(super) fn release(&self, host: HostId, slot: &Slot, now: Nanos) -> Option<u64> {
        let held = self.lock();
        let row = self.row_of(slot)?;
        let holds = self.shared.cells(host.0)[row].load(Relaxed) > 0;
        holds.then(|| self.write(&held, || self.give_back(host, row, 1, now)))
    }

    /// Gives back all that a host holds.
    pub(super) fn clear(&self, held: &Guard<'_>, host: HostId, now: Nanos) {
        self.shared.waiting()[host.0 as usize].store(NEVER, Relaxed);
        self.write(held, || {
            for (row, cell) in self.shared.cells(host.0).iter().enumerate() {
                match cell.load(Relaxed) {
                    0 => {}
                    slots => self.give_back(host, row, slots, now),
                }
            }
        });
    }

    pub(super) fn put(&self, target: TargetId, incarnation: Incarnation, state: RowState, now: Nanos) {
        let held = self.lock();
        let known = self.find(target).map(|found| (found.row, self.incarnation(found.row)));
        let code = code(state);
        match known {
            Some((_, newer)) if newer > incarnation => {}
            Some((row, same)) if same == incarnation && self.state(row) == code => {}
            Some((row, same)) if same == incarnation => {
                self.write(&held, || {
                    if code == READY {
                        self.shared.since()[row].store(self.since_if_below(self.count(row), now), Relaxed);
                    }
                    self.shared.state()[row].store(code, Release);
                    self.rebuild();
                });
            }
            old => {
                self.write(&held, || {
                    if let Some((row, _)) = old {
                        self.shared.state()[row].store(RETIRED, Release);
                    }
                    self.insert(pair(target.0, incarnation), code, now);
                    self.rebuild();
                });
            }
        }
    }

    pub(super) fn remove(&self, target: TargetId, incarnation: Incarnation) {
        let held = self.lock();
        let Some(found) = self.find(target).filter(|found| self.incarnation(found.row) == incarnation) else { return };
        self.write(&held, || {
            self.shared.state()[found.row].store(RETIRED, Release);
            self.rebuild();
        });
    }

    /// Uses a free row. Without one the target is left out: it gets no requests, and the log says why.
    fn insert(&self, name: u64, state: u64, now: Nanos) {
        let unheld = |row: usize| (0..self.shared.shape.hosts).all(|h| self.shared.cells(h)[row].load(Relaxed) == 0);
        let free = |row: &usize| match self.state(*row) {
            FREE => true,
            RETIRED => unheld(*row),
            _ => false,
        };
        let Some(row) = (0..self.shared.shape.rows as usize).find(free) else {
            tracing::error!(target = %TargetId(upper(name)), "the load map has no free row: the target gets no requests");
            return;
        };
        self.shared.name()[row].store(name, Relaxed);
        self.shared.since()[row].store(self.since_if_below(0, now), Relaxed);
        self.shared.state()[row].store(state, Release);
    }

    /// The row that a slot is of; retired ones are found by looking at all.
    fn row_of(&self, slot: &Slot) -> Option<usize> {
        let name = pair(slot.target().0, slot.incarnation());
        let is_it = |row: &usize| self.shared.name()[*row].load(Relaxed) == name;
        let current = self.find(slot.target()).map(|found| found.row).filter(is_it);
        current.or_else(|| (0..self.shared.shape.rows as usize).find(is_it))
    }

    fn add(&self, host: HostId, found: Found) {
        let cell = &self.shared.cells(host.0)[found.row];
        cell.store(cell.load(Relaxed) + 1, Release);
        let count = self.count(found.row) + 1;
        if count >= self.shared.shape.idle_threshold {
            self.shared.since()[found.row].store(NEVER, Release);
        }
        self.set_count(found, count);
    }

    fn give_back(&self, host: HostId, row: usize, slots: u64, now: Nanos) {
        let count = self.count(row).saturating_sub(slots as u32);
        let since = &self.shared.since()[row];
        if since.load(Relaxed) == NEVER {
            since.store(self.since_if_below(count, now), Relaxed);
        }
        let cell = &self.shared.cells(host.0)[row];
        cell.store(cell.load(Relaxed).saturating_sub(slots), Release);
        let target = TargetId(upper(self.shared.name()[row].load(Relaxed)));
        if let Some(found) = self.find(target).filter(|found| found.row == row) {
            self.set_count(found, count);
        }
    }

    fn set_count(&self, found: Found, count: u32) {
        self.shared.count()[found.row].store(count.into(), Relaxed);
        self.candidates().set(found.position, self.candidate(found.row));
    }

    /// What the packed counts say of a row.
    fn candidate(&self, row: usize) -> u32 {
        let count = self.count(row);
        if self.state(row) == READY && count < self.shared.shape.limit { count } else { scan::NONE }
    }

    fn since_if_below(&self, count: u32, now: Nanos) -> u64 {
        if count < self.shared.shape.idle_threshold { now.0 } else { NEVER }
    }

    /// Builds the index from rows and cells.
    fn rebuild(&self) {
        let live = |row: &u32| matches!(self.state(*row as usize), STARTING | READY | CORDONED);
        let number = |row: u32| upper(self.shared.name()[row as usize].load(Relaxed));
        let mut order: Vec<u64> = (0..self.shared.shape.rows).filter(live).map(|row| pair(number(row), row)).collect();
        order.sort_unstable();
        self.shared.used().store(order.len() as u64, Relaxed);
        let mut ready = 0;
        for (word, slot) in order.iter().zip(self.shared.order()) {
            slot.store(*word, Relaxed);
            let row = lower(*word) as usize;
            let held = |host| self.shared.cells(host)[row].load(Relaxed) as u32;
            let count = (0..self.shared.shape.hosts).map(held).sum::<u32>();
            self.shared.count()[row].store(count.into(), Relaxed);
            if count >= self.shared.shape.idle_threshold {
                self.shared.since()[row].store(NEVER, Relaxed);
            }
            ready += u64::from(self.state(row) == READY);
        }
        self.candidates().fill(order.iter().map(|word| self.candidate(lower(*word) as usize)));
        self.shared.ready().store(ready, Relaxed);
    }
}

const fn code(state: RowState) -> u64 {
    match state {
        RowState::Starting => STARTING,
        RowState::Ready => READY,
        RowState::Cordoned => CORDONED,
    }
}
