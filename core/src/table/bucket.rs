//! The simulator's load table: rows in buckets by count, so that a pick does not scan the fleet.
//!
//! A bucket is a set of bits over the rows in order of number: a row moves from one count to the next by clearing one bit
//! and setting another, and the k-th row of a bucket is found by counting the bits of a word at a time. Rows come and go with
//! the fleet, which is rare; then all buckets are made anew. One thread owns the table; it knows nothing of other
//! processes.

use std::collections::BTreeMap;

use super::buckets::{Bucket, Buckets};
use super::row::Row;
use super::{FleetRows, Head, LoadTable, Lowest, Moved, RowState, Slot};
use crate::ids::{HostId, Incarnation, TargetId};
use crate::prefetch::prefetch;
use crate::time::Nanos;

/// A load table in one process's memory.
///
/// Hosts are numbered densely from 0: a row keeps one cell per host up to the highest that used it.
#[derive(Debug)]
pub struct BucketTable {
    limit: u32,
    idle_threshold: u32,
    /// In order of number.
    rows: Vec<Row>,
    /// Where the row of a target is, by number.
    places: Vec<Option<u32>>,
    /// Places of ready rows by count; those at the limit are no candidates.
    buckets: Buckets,
    waiting: BTreeMap<HostId, Head>,
    ready: u32,
    total: u64,
    free: Nanos,
    version: u64,
}

impl BucketTable {
    /// An empty table. `limit`: slots per target; `idle_threshold`: a target is idle while fewer slots than this are
    /// taken, never if it is 0.
    pub fn new(limit: u32, idle_threshold: u32) -> Self {
        Self {
            limit,
            idle_threshold,
            rows: Vec::new(),
            places: Vec::new(),
            buckets: Buckets::with_room_for(0),
            waiting: BTreeMap::new(),
            ready: 0,
            total: 0,
            free: Nanos::ZERO,
            version: 0,
        }
    }

    /// Fetches the row of a target whose turn comes soon.
    #[inline(always)]
    pub fn fetch(&self, target: TargetId) {
        self.row(target).into_iter().for_each(prefetch);
    }

    #[inline(always)]
    fn place(&self, target: TargetId) -> Option<usize> {
        self.places.get(target.0 as usize).copied().flatten().map(|place| place as usize)
    }

    #[inline(always)]
    fn row(&self, target: TargetId) -> Option<&Row> {
        self.place(target).map(|place| &self.rows[place])
    }

    /// Changes a row, and moves it to the bucket where it belongs then.
    fn change(&mut self, place: usize, f: impl FnOnce(&mut Row)) {
        let row = &mut self.rows[place];
        let (from, held) = (row.bucket(), row.count);
        f(row);
        let to = row.bucket();
        self.total = self.total - u64::from(held) + u64::from(row.count);
        self.ready = self.ready - u32::from(from.is_some()) + u32::from(to.is_some());
        if from != to {
            to.into_iter().for_each(|count| self.buckets.enter(count, place));
            from.into_iter().for_each(|count| self.buckets.leave(count, place));
        }
        self.version += 1;
    }

    /// As [`Self::change`], of a row that has one more now, or fewer, and nothing else that buckets depend on.
    #[inline(always)]
    fn recounted(&mut self, place: usize, from: u32, to: u32) {
        if self.rows[place].is_ready() {
            self.buckets.shift(from as usize, to as usize, place);
        }
        self.version += 1;
    }

    /// Adds a row, in its place, and says which that is.
    fn add(&mut self, row: Row) -> usize {
        let place = self.rows.partition_point(|other| other.target < row.target);
        let at_end = place == self.rows.len();
        self.rows.insert(place, row);
        if at_end && self.buckets.has_room_for(place) {
            self.note_place(place);
        } else {
            self.rebuild();
        }
        place
    }

    /// Forgets a row and the slots held on it.
    fn discard(&mut self, target: TargetId) {
        let Some(place) = self.place(target) else { return };
        self.change(place, |row| {
            row.state = RowState::Cordoned;
            row.count = 0;
        });
        self.rows.remove(place);
        self.places[target.0 as usize] = None;
        self.rebuild();
    }

    fn note_place(&mut self, place: usize) {
        let number = self.rows[place].target.0 as usize;
        if self.places.len() <= number {
            self.places.resize(number + 1, None);
        }
        self.places[number] = Some(place as u32);
    }

    /// Makes the buckets anew: places have changed.
    fn rebuild(&mut self) {
        self.buckets = Buckets::with_room_for(self.rows.len());
        for place in 0..self.rows.len() {
            self.note_place(place);
            self.rows[place].bucket().into_iter().for_each(|count| self.buckets.enter(count, place));
        }
    }

    /// The bucket that `low` saw, if the table has not moved since.
    #[inline(always)]
    fn seen(&self, low: &Lowest) -> Option<Bucket<'_>> {
        if low.stamp == self.version { self.buckets.get(low.count as usize) } else { None }
    }

    /// The places in the bucket of those excepted, ascending, each once.
    fn skipped(&self, bucket: Bucket<'_>, except: &[TargetId]) -> Vec<usize> {
        let places = except.iter().filter_map(|target| self.place(*target));
        let mut skipped: Vec<usize> = places.filter(|place| bucket.contains(*place)).collect();
        skipped.sort_unstable();
        skipped.dedup();
        skipped
    }

    #[inline(always)]
    fn take(&mut self, host: HostId, place: usize) -> Slot {
        let row = &mut self.rows[place];
        let count = row.count + 1;
        row.count = count;
        *row.cell(host) += 1;
        if count >= self.idle_threshold {
            row.below_since = None;
        }
        let slot = Slot::granted(row.target, row.incarnation);
        self.total += 1;
        self.recounted(place, count - 1, count);
        slot
    }

    #[inline(always)]
    fn give_back(&mut self, host: HostId, place: usize, slots: u32, now: Nanos) {
        let row = &mut self.rows[place];
        let count = row.count - slots;
        row.count = count;
        *row.cell(host) -= slots;
        if count < self.idle_threshold {
            row.below_since.get_or_insert(now);
        }
        self.total -= u64::from(slots);
        self.recounted(place, count + slots, count);
    }
}

// === impl LoadTable for BucketTable ===

impl LoadTable for BucketTable {
    #[inline(always)]
    fn lowest(&self, except: &[TargetId]) -> Option<Lowest> {
        let low = |count: usize, len| Lowest { count: count as u32, len, stamp: self.version };
        let limit = self.limit as usize;
        if except.is_empty() {
            let (count, len) = self.buckets.lowest()?;
            return (count < limit).then(|| low(count, len));
        }
        // Every bucket but the last that is looked at holds excepted rows alone, and `except` is short.
        self.buckets.occupied().take_while(|(count, _)| *count < limit).find_map(|(count, bucket)| {
            let len = bucket.len - self.skipped(bucket, except).len() as u32;
            (len > 0).then(|| low(count, len))
        })
    }

    #[inline(always)]
    fn nth(&self, low: &Lowest, k: u32, except: &[TargetId]) -> Option<TargetId> {
        let bucket = self.seen(low)?;
        let place = if except.is_empty() {
            bucket.select(k)
        } else {
            let skipped = self.skipped(bucket, except);
            bucket.iter().filter(|place| !skipped.contains(place)).nth(k as usize)
        };
        place.map(|place| self.rows[place].target)
    }

    fn position_after(&self, low: &Lowest, after: TargetId, except: &[TargetId]) -> u32 {
        let Some(bucket) = self.seen(low) else {
            return 0;
        };
        let first = self.rows.partition_point(|row| row.target <= after);
        let skipped = self.skipped(bucket, except).into_iter().filter(|place| *place < first).count();
        let position = bucket.rank(first) - skipped as u32;
        if position == low.len { 0 } else { position }
    }

    #[inline(always)]
    fn reserve(&mut self, host: HostId, target: TargetId, low: &Lowest) -> Result<Slot, Moved> {
        let place = self.place(target).ok_or(Moved)?;
        let is_lowest = self.rows[place].bucket() == Some(low.count as usize);
        if is_lowest && low.stamp == self.version { Ok(self.take(host, place)) } else { Err(Moved) }
    }

    fn reserve_at(&mut self, host: HostId, target: TargetId) -> Option<Slot> {
        let place = self.place(target)?;
        let row = &self.rows[place];
        if row.state == RowState::Cordoned || row.count >= self.limit {
            return None;
        }
        Some(self.take(host, place))
    }

    #[inline(always)]
    fn release(&mut self, host: HostId, slot: Slot, now: Nanos) {
        let Some(place) = self.place(slot.target) else { return };
        let row = &self.rows[place];
        if row.incarnation == slot.incarnation && row.held(host) > 0 {
            self.give_back(host, place, 1, now);
        }
    }

    fn claim(&mut self, now: Nanos, latency: Nanos) -> Nanos {
        self.free = now.max(self.free) + latency;
        self.free
    }

    fn idle(&self, now: Nanos, window: Nanos) -> Vec<TargetId> {
        let idle = |row: &&Row| row.is_ready() && row.below_since.is_some_and(|since| since + window <= now);
        self.rows.iter().rev().filter(idle).map(|row| row.target).collect()
    }

    #[inline(always)]
    fn ready(&self) -> u32 {
        self.ready
    }

    fn set_waiting(&mut self, host: HostId, head: Option<Head>) {
        match head {
            Some(head) => self.waiting.insert(host, head),
            None => self.waiting.remove(&host),
        };
    }

    fn longest_waiting(&self, refused: bool) -> Option<HostId> {
        let counting = self.waiting.iter().filter(|(_, head)| refused || !head.refused);
        counting.min_by_key(|(_, head)| head.since).map(|(host, _)| *host)
    }
}

// === impl FleetRows for BucketTable ===

impl FleetRows for BucketTable {
    fn put(&mut self, target: TargetId, incarnation: Incarnation, state: RowState, now: Nanos) {
        let known = self.row(target).map(|row| row.incarnation);
        if known.is_some_and(|known| known > incarnation) {
            return;
        }
        if known.is_some_and(|known| known < incarnation) {
            self.discard(target);
        }
        let place = self.place(target).unwrap_or_else(|| self.add(Row::new(target, incarnation)));
        let threshold = self.idle_threshold;
        self.change(place, |row| {
            let becomes_ready = state == RowState::Ready && row.state != RowState::Ready;
            row.state = state;
            if becomes_ready {
                row.below_since = (row.count < threshold).then_some(now);
            }
        });
    }

    fn remove(&mut self, target: TargetId, incarnation: Incarnation) {
        if self.row(target).is_some_and(|row| row.incarnation == incarnation) {
            self.discard(target);
        }
    }

    fn forget_host(&mut self, host: HostId, now: Nanos) {
        self.waiting.remove(&host);
        for place in 0..self.rows.len() {
            let slots = self.rows[place].held(host);
            if slots > 0 {
                self.give_back(host, place, slots, now);
            }
        }
    }

    fn in_flight(&self, target: TargetId) -> u32 {
        self.row(target).map_or(0, |row| row.count)
    }

    fn total_in_flight(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::conformance;

    #[test]
    fn conforms() {
        conformance::run(BucketTable::new);
    }
}
