//! The simulator's load table: rows in buckets by count, so that a pick does not scan the fleet.
//!
//! A bucket is a sorted [`VecDeque`], not a tree: finding a row is a binary search, the k-th row is one index, and an
//! insertion shifts the shorter half of at most four bytes per row, which beats an order-statistic tree up to some ten
//! thousand rows. One thread owns the table; it knows nothing of other processes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{FleetRows, LoadTable, Lowest, Moved, RowState, Slot};
use crate::ids::{HostId, Incarnation, TargetId};
use crate::time::Nanos;

/// A load table in one process's memory.
///
/// Hosts are numbered densely from 0: a row keeps one cell per host up to the highest that used it.
#[derive(Debug)]
pub struct BucketTable {
    limit: u32,
    idle_threshold: u32,
    rows: BTreeMap<TargetId, Row>,
    /// Candidates (before `except`) by count, each bucket in order of number.
    buckets: BTreeMap<u32, VecDeque<TargetId>>,
    /// The counts whose bucket is not empty. Buckets stay when they run empty, so that a steady load allocates nothing.
    occupied: BTreeSet<u32>,
    waiting: BTreeMap<HostId, Nanos>,
    ready: u32,
    total: u64,
    free: Nanos,
    version: u64,
}

#[derive(Debug)]
struct Row {
    incarnation: Incarnation,
    state: RowState,
    count: u32,
    /// Slots held, by host number.
    held: Vec<u32>,
    /// Since when the count has been below the idle threshold.
    below_since: Option<Nanos>,
}

impl BucketTable {
    /// An empty table. `limit`: slots per target; `idle_threshold`: a target is idle while fewer slots than this are
    /// taken, never if it is 0.
    pub fn new(limit: u32, idle_threshold: u32) -> Self {
        Self {
            limit,
            idle_threshold,
            rows: BTreeMap::new(),
            buckets: BTreeMap::new(),
            occupied: BTreeSet::new(),
            waiting: BTreeMap::new(),
            ready: 0,
            total: 0,
            free: Nanos::ZERO,
            version: 0,
        }
    }

    /// Changes a row, if it is there, and moves it to the bucket where it belongs then.
    fn change<R>(&mut self, target: TargetId, f: impl FnOnce(&mut Row) -> R) -> Option<R> {
        let row = self.rows.get_mut(&target)?;
        let (from, was_ready, held) = (bucket(row, self.limit), is_ready(row), row.count);
        let result = f(row);
        let (to, now_ready) = (bucket(row, self.limit), is_ready(row));
        self.total = self.total - u64::from(held) + u64::from(row.count);
        self.ready = self.ready - u32::from(was_ready) + u32::from(now_ready);
        if from != to {
            self.leave(from, target);
            self.enter(to, target);
        }
        self.version += 1;
        Some(result)
    }

    fn enter(&mut self, count: Option<u32>, target: TargetId) {
        let Some(count) = count else { return };
        let bucket = self.buckets.entry(count).or_default();
        bucket.insert(bucket.partition_point(|t| *t < target), target);
        self.occupied.insert(count);
    }

    fn leave(&mut self, count: Option<u32>, target: TargetId) {
        let Some((count, bucket)) = count.and_then(|c| Some((c, self.buckets.get_mut(&c)?))) else {
            return;
        };
        if let Ok(at) = bucket.binary_search(&target) {
            bucket.remove(at);
        }
        if bucket.is_empty() {
            self.occupied.remove(&count);
        }
    }

    /// Forgets a row and the slots held on it.
    fn discard(&mut self, target: TargetId) {
        self.change(target, |row| {
            row.state = RowState::Cordoned;
            row.count = 0;
        });
        self.rows.remove(&target);
    }

    /// The bucket that `low` saw, if the table has not moved since.
    fn seen(&self, low: &Lowest) -> Option<&VecDeque<TargetId>> {
        if low.stamp == self.version { self.buckets.get(&low.count) } else { None }
    }

    fn take(&mut self, host: HostId, target: TargetId) -> Option<Slot> {
        let threshold = self.idle_threshold;
        self.change(target, |row| {
            row.count += 1;
            *cell(row, host) += 1;
            row.below_since = row.below_since.filter(|_| row.count < threshold);
            Slot::granted(target, row.incarnation)
        })
    }

    fn give_back(&mut self, host: HostId, target: TargetId, slots: u32, now: Nanos) {
        let threshold = self.idle_threshold;
        self.change(target, |row| {
            row.count -= slots;
            *cell(row, host) -= slots;
            if row.count < threshold {
                row.below_since.get_or_insert(now);
            }
        });
    }
}

/// The bucket of a row: its count, if it is a candidate.
fn bucket(row: &Row, limit: u32) -> Option<u32> {
    (is_ready(row) && row.count < limit).then_some(row.count)
}

fn is_ready(row: &Row) -> bool {
    row.state == RowState::Ready
}

fn held(row: &Row, host: HostId) -> u32 {
    row.held.get(host.0 as usize).copied().unwrap_or(0)
}

fn cell(row: &mut Row, host: HostId) -> &mut u32 {
    let at = host.0 as usize;
    if row.held.len() <= at {
        row.held.resize(at + 1, 0);
    }
    &mut row.held[at]
}

/// The positions in the bucket of those excepted, ascending, each once.
fn skipped(bucket: &VecDeque<TargetId>, except: &[TargetId]) -> Vec<usize> {
    let mut at: Vec<usize> = except.iter().filter_map(|t| bucket.binary_search(t).ok()).collect();
    at.sort_unstable();
    at.dedup();
    at
}

// === impl LoadTable for BucketTable ===

impl LoadTable for BucketTable {
    fn lowest(&self, except: &[TargetId]) -> Option<Lowest> {
        // Every bucket but the last that is looked at holds excepted rows alone, and `except` is short.
        self.occupied.iter().find_map(|count| {
            let bucket = &self.buckets[count];
            let len = bucket.len() - skipped(bucket, except).len();
            (len > 0).then_some(Lowest { count: *count, len: len as u32, stamp: self.version })
        })
    }

    fn nth(&self, low: &Lowest, k: u32, except: &[TargetId]) -> Option<TargetId> {
        let bucket = self.seen(low)?;
        let at = skipped(bucket, except).into_iter().fold(k as usize, |at, skip| at + usize::from(skip <= at));
        bucket.get(at).copied()
    }

    fn position_after(&self, low: &Lowest, after: TargetId, except: &[TargetId]) -> u32 {
        let Some(bucket) = self.seen(low) else {
            return 0;
        };
        let at = bucket.partition_point(|t| *t <= after);
        let position = at - skipped(bucket, except).into_iter().filter(|skip| *skip < at).count();
        if position as u32 == low.len { 0 } else { position as u32 }
    }

    fn reserve(&mut self, host: HostId, target: TargetId, low: &Lowest) -> Result<Slot, Moved> {
        let bucket = self.seen(low).ok_or(Moved)?;
        bucket.binary_search(&target).map_err(|_| Moved)?;
        self.take(host, target).ok_or(Moved)
    }

    fn reserve_at(&mut self, host: HostId, target: TargetId) -> Option<Slot> {
        let row = self.rows.get(&target)?;
        if row.state == RowState::Cordoned || row.count >= self.limit {
            return None;
        }
        self.take(host, target)
    }

    fn release(&mut self, host: HostId, slot: Slot, now: Nanos) {
        let Some(row) = self.rows.get(&slot.target) else {
            return;
        };
        if row.incarnation == slot.incarnation && held(row, host) > 0 {
            self.give_back(host, slot.target, 1, now);
        }
    }

    fn claim(&mut self, now: Nanos, latency: Nanos) -> Nanos {
        self.free = now.max(self.free) + latency;
        self.free
    }

    fn idle(&self, now: Nanos, window: Nanos) -> Vec<TargetId> {
        let idle = |row: &Row| is_ready(row) && row.below_since.is_some_and(|since| since + window <= now);
        self.rows.iter().rev().filter(|(_, row)| idle(row)).map(|(target, _)| *target).collect()
    }

    fn ready(&self) -> u32 {
        self.ready
    }

    fn set_waiting(&mut self, host: HostId, since: Option<Nanos>) {
        match since {
            Some(since) => self.waiting.insert(host, since),
            None => self.waiting.remove(&host),
        };
    }

    fn longest_waiting(&self) -> Option<HostId> {
        self.waiting.iter().min_by_key(|(_, since)| **since).map(|(host, _)| *host)
    }
}

// === impl FleetRows for BucketTable ===

impl FleetRows for BucketTable {
    fn put(&mut self, target: TargetId, incarnation: Incarnation, state: RowState, now: Nanos) {
        match self.rows.get(&target).map(|row| row.incarnation) {
            Some(known) if known > incarnation => return,
            Some(known) if known == incarnation => {}
            stale => {
                if stale.is_some() {
                    self.discard(target);
                }
                let row = Row { incarnation, state: RowState::Starting, count: 0, held: Vec::new(), below_since: None };
                self.rows.insert(target, row);
            }
        }
        let threshold = self.idle_threshold;
        self.change(target, |row| {
            let becomes_ready = state == RowState::Ready && row.state != RowState::Ready;
            row.state = state;
            if becomes_ready {
                row.below_since = (row.count < threshold).then_some(now);
            }
        });
    }

    fn remove(&mut self, target: TargetId, incarnation: Incarnation) {
        if self.rows.get(&target).is_some_and(|row| row.incarnation == incarnation) {
            self.discard(target);
        }
    }

    fn forget_host(&mut self, host: HostId, now: Nanos) {
        self.waiting.remove(&host);
        let owed: Vec<_> = self.rows.iter().map(|(t, row)| (*t, held(row, host))).filter(|(_, n)| *n > 0).collect();
        for (target, slots) in owed {
            self.give_back(host, target, slots, now);
        }
    }

    fn in_flight(&self, target: TargetId) -> u32 {
        self.rows.get(&target).map_or(0, |row| row.count)
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
