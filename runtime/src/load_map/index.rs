//! Rows, cells, and the index over them: every read and every update of a load map.
//!
//! The truth is what a host's cells say and which rows there are. Counts, packed candidates and their order are an index
//! of it: kept by each update, and built again by [`Index::lock`] when a process died in the middle of one. That is why
//! the order of stores matters within an update: a row below the idle threshold always says since when, whatever
//! prefix of the update was stored.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use galton_core::table::{Lowest, RowState, Slot};
use galton_core::{HostId, Incarnation, Nanos, TargetId};

use super::lock::{Guard, is_settled, stand_back};
use super::memory::{AtomicU64, fence};
use super::scan::{self, Counts, Lane};
use super::shared::Shared;

/// Of a time: not at all.
pub(super) const NEVER: u64 = u64::MAX;

/// Looks without the lock before taking it: where others change the table all the time, no look would be in time.
#[cfg(not(galton_loom))]
const LOOKS: u32 = 2;
#[cfg(galton_loom)]
const LOOKS: u32 = 1;

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
            stand_back();
        }
        // Many writers, or one that died in the middle.
        let held = self.lock();
        (look(), held.version())
    }

    /// Looks at the table in this version, if it still is.
    pub(super) fn read_at<R>(&self, version: u64, look: impl Fn() -> R) -> Option<R> {
        let unmoved = || is_settled(version) && self.shared.version().load(Acquire) == version;
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
        self.read(|| self.find(target).map_or(0, |found| self.counts().get(found.position).count())).0
    }

    pub(super) fn total_in_flight(&self) -> u64 {
        let positions = || 0..self.order().len();
        self.read(|| positions().map(|at| u64::from(self.counts().get(at).count())).sum()).0
    }

    /// Slots that a pick could take.
    pub(super) fn room(&self) -> u64 {
        let free = |lane: Lane| self.limit().saturating_sub(lane.count());
        let candidates = || (0..self.order().len()).map(|at| self.counts().get(at)).filter(|lane| lane.is_candidate());
        self.read(|| candidates().map(|lane| u64::from(free(lane))).sum()).0
    }

    /// The part of the order that is in use.
    fn order(&self) -> &[AtomicU64] {
        &self.shared.order()[..self.shared.used().load(Relaxed) as usize]
    }

    /// The packed counts of all positions, in use or not.
    pub(super) fn counts(&self) -> Counts<'_> {
        Counts::of(self.shared.load())
    }

    /// The part of them that is in use.
    pub(super) fn candidates(&self) -> Counts<'_> {
        let used = self.shared.used().load(Relaxed) as usize;
        Counts::of(&self.shared.load()[..scan::words(used)])
    }

    fn find(&self, target: TargetId) -> Option<Found> {
        let order = self.order();
        let place = self.place(target).load(Relaxed);
        let is_it = upper(place) == target.0;
        let searched = || order.partition_point(|word| upper(word.load(Relaxed)) < target.0);
        let position = if is_it { lower(place) as usize } else { searched() };
        let word = order.get(position)?.load(Relaxed);
        (upper(word) == target.0).then_some(Found { position, row: lower(word) as usize })
    }

    /// Where the position of this target is, unless another one's is there: numbers that are near each other do not meet.
    fn place(&self, target: TargetId) -> &AtomicU64 {
        let place = self.shared.place();
        &place[target.0 as usize & (place.len() - 1)]
    }

    fn positions(&self, targets: &[TargetId]) -> Vec<usize> {
        targets.iter().filter_map(|target| self.find(*target)).map(|found| found.position).collect()
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
    /// Takes the lock, and puts the index right if its owner went away in the middle of an update.
    pub(super) fn lock(&self) -> Guard<'_> {
        let held = self.shared.lock();
        if held.is_left {
            held.write(|| self.rebuild());
        }
        held
    }

    /// Takes a slot and says of which incarnation, and in which version: a pick if something was `seen`, else one at a
    /// target that is starting or ready and has room.
    pub(super) fn take(&self, host: HostId, target: TargetId, seen: Option<&Lowest>) -> Option<(Slot, u64)> {
        let held = match seen {
            Some(low) => self.shared.lock_at(low.stamp).or_else(|| {
                stand_back();
                None
            })?,
            None => self.lock(),
        };
        self.take_held(&held, host, target, seen)
    }

    /// As [`Self::take`], with the lock, which was free in the version that was `seen`.
    pub(super) fn take_held(
        &self,
        held: &Guard<'_>,
        host: HostId,
        target: TargetId,
        seen: Option<&Lowest>,
    ) -> Option<(Slot, u64)> {
        let found = self.find(target)?;
        let lane = self.counts().get(found.position);
        let free = match seen {
            Some(low) => lane == Lane::candidate(low.count),
            None => matches!(self.state(found.row), STARTING | READY) && lane.count() < self.limit(),
        };
        free.then(|| {
            let version = held.write(|| self.add(host, found, lane.count()));
            (Slot::granted(target, self.incarnation(found.row)), version)
        })
    }

    /// Gives a slot back, if this host holds it, and says in which version.
    pub(super) fn release(&self, host: HostId, slot: &Slot, now: Nanos) -> Option<u64> {
        let held = self.lock();
        let (row, position) = self.row_of(slot)?;
        let holds = self.shared.cells(host.0)[row].load(Relaxed) > 0;
        holds.then(|| held.write(|| self.give_back(host, row, position, 1, now)))
    }

    /// Gives back all that a host holds. If it had joined, it is buried.
    pub(super) fn clear(&self, held: &Guard<'_>, host: HostId, now: Nanos) {
        self.shared.waiting()[host.0 as usize].store(NEVER, Relaxed);
        held.write(|| {
            for (row, cell) in self.shared.cells(host.0).iter().enumerate() {
                match cell.load(Relaxed) {
                    0 => {}
                    slots => self.give_back(host, row, self.position_of(row), slots, now),
                }
            }
        });
        // Last: of one who dies before this, the next one says it.
        self.shared.buried().fetch_add(self.shared.joined()[host.0 as usize].load(Relaxed), Relaxed);
    }

    pub(super) fn put(&self, target: TargetId, incarnation: Incarnation, state: RowState, now: Nanos) {
        let held = self.lock();
        let known = self.find(target).map(|found| (found.row, self.incarnation(found.row)));
        let code = code(state);
        match known {
            Some((_, newer)) if newer > incarnation => {}
            Some((row, same)) if same == incarnation && self.state(row) == code => {}
            Some((row, same)) if same == incarnation => {
                held.write(|| {
                    if code == READY {
                        self.shared.since()[row].store(self.since_if_below(self.held_at(row), now), Relaxed);
                    }
                    self.shared.state()[row].store(code, Release);
                    self.rebuild();
                });
            }
            old => {
                held.write(|| {
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
        held.write(|| {
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

    /// The row that a slot is of, and its position; retired rows have none and are found by looking at all.
    fn row_of(&self, slot: &Slot) -> Option<(usize, Option<usize>)> {
        let name = pair(slot.target().0, slot.incarnation());
        let is_it = |row: usize| self.shared.name()[row].load(Relaxed) == name;
        match self.find(slot.target()) {
            Some(Found { row, position }) if is_it(row) => Some((row, Some(position))),
            _ => (0..self.shared.shape.rows as usize).find(|row| is_it(*row)).map(|row| (row, None)),
        }
    }

    fn position_of(&self, row: usize) -> Option<usize> {
        let target = TargetId(upper(self.shared.name()[row].load(Relaxed)));
        self.find(target).filter(|found| found.row == row).map(|found| found.position)
    }

    /// Counts one more at a row that has `count`.
    fn add(&self, host: HostId, found: Found, count: u32) {
        let cell = &self.shared.cells(host.0)[found.row];
        cell.store(cell.load(Relaxed) + 1, Release);
        if count + 1 == self.shared.shape.idle_threshold {
            self.shared.since()[found.row].store(NEVER, Release);
        }
        self.set_count(found.position, found.row, count + 1);
    }

    /// A row without a position has no count and will not be idle.
    fn give_back(&self, host: HostId, row: usize, position: Option<usize>, slots: u64, now: Nanos) {
        let count = position.map(|at| self.counts().get(at).count().saturating_sub(slots as u32));
        if count.is_some_and(|count| count < self.shared.shape.idle_threshold) {
            let since = &self.shared.since()[row];
            if since.load(Relaxed) == NEVER {
                since.store(now.0, Relaxed);
            }
        }
        let cell = &self.shared.cells(host.0)[row];
        cell.store(cell.load(Relaxed).saturating_sub(slots), Release);
        if let (Some(position), Some(count)) = (position, count) {
            self.set_count(position, row, count);
        }
    }

    fn set_count(&self, position: usize, row: usize, count: u32) {
        self.counts().set(position, self.lane(row, count));
    }

    /// What the packed counts say of a row.
    fn lane(&self, row: usize, count: u32) -> Lane {
        let is_candidate = self.state(row) == READY && count < self.limit();
        if is_candidate { Lane::candidate(count) } else { Lane::barred(count) }
    }

    fn limit(&self) -> u32 {
        self.shared.shape.limit.min(scan::MOST)
    }

    /// What the cells say of a row.
    fn held_at(&self, row: usize) -> u32 {
        let held = |host| self.shared.cells(host)[row].load(Relaxed);
        let sum = (0..self.shared.shape.hosts).map(held).fold(0, u64::saturating_add);
        sum.min(scan::MOST.into()) as u32
    }

    fn since_if_below(&self, count: u32, now: Nanos) -> u64 {
        if count < self.shared.shape.idle_threshold { now.0 } else { NEVER }
    }

    /// Builds the index from rows and cells.
    pub(super) fn rebuild(&self) {
        let shared = &self.shared;
        let live = |row: &u32| matches!(self.state(*row as usize), STARTING | READY | CORDONED);
        let number = |row: u32| upper(shared.name()[row as usize].load(Relaxed));
        let mut order: Vec<u64> = (0..shared.shape.rows).filter(live).map(|row| pair(number(row), row)).collect();
        order.sort_unstable();
        // Of two rows of one target, which only a damaged file has, the first.
        order.dedup_by_key(|word| upper(*word));
        shared.used().store(order.len() as u64, Relaxed);
        shared.place().iter().for_each(|place| place.store(0, Relaxed));
        for ((word, slot), position) in order.iter().zip(shared.order()).zip(0..) {
            slot.store(*word, Relaxed);
            let target = TargetId(upper(*word));
            self.place(target).store(pair(target.0, position), Relaxed);
        }
        let rows = || order.iter().map(|word| lower(*word) as usize);
        shared.ready().store(rows().filter(|row| self.state(*row) == READY).count() as u64, Relaxed);
        self.candidates().fill(rows().map(|row| {
            let count = self.held_at(row);
            if count >= shared.shape.idle_threshold {
                shared.since()[row].store(NEVER, Relaxed);
            }
            self.lane(row, count)
        }));
    }
}

const fn code(state: RowState) -> u64 {
    match state {
        RowState::Starting => STARTING,
        RowState::Ready => READY,
        RowState::Cordoned => CORDONED,
    }
}
