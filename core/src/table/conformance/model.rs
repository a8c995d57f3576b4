//! A randomised check of a load table against a model so naive that it can be seen to be right.

use std::collections::BTreeMap;

use super::{HOSTS, t};
use crate::ids::{HostId, Incarnation, TargetId};
use crate::rng::{KeyedRng, Purpose};
use crate::table::{FleetRows, Head, LoadTable, Lowest, RowState, Slot};
use crate::time::Nanos;

const OPERATIONS: u64 = 1_500;
const TARGETS: u32 = 24;

struct Row {
    incarnation: Incarnation,
    state: RowState,
    count: u32,
    below_since: Option<Nanos>,
}

/// The slots are the truth; rows are scanned.
struct Model {
    limit: u32,
    idle_threshold: u32,
    rows: BTreeMap<TargetId, Row>,
    /// The first incarnation that a target has not had: none comes again after it was removed.
    fresh: BTreeMap<TargetId, Incarnation>,
    slots: Vec<(HostId, Slot)>,
    waiting: BTreeMap<HostId, Head>,
}

/// Runs random operations on table and model and compares all they show after each.
pub(super) fn check<T: LoadTable + FleetRows>(mut table: T, limit: u32, idle_threshold: u32, seed: u64) {
    let mut model = Model::new(limit, idle_threshold);
    let mut now = Nanos::ZERO;
    for i in 0..OPERATIONS {
        let mut rng = KeyedRng::new(seed, Purpose::Choice, i);
        now += Nanos(u64::from(rng.below(4)));
        step(&mut table, &mut model, &mut rng, now);
        compare(&table, &model, &mut rng, now);
    }
    while let Some((host, slot)) = model.slots.pop() {
        table.release(host, slot, now);
    }
    assert_eq!(table.total_in_flight(), 0, "seed {seed}: everything was given back");
}

fn step<T: LoadTable + FleetRows>(table: &mut T, model: &mut Model, rng: &mut KeyedRng, now: Nanos) {
    let (host, target) = (HostId(rng.below(HOSTS)), t(1 + rng.below(TARGETS)));
    match rng.below(100) {
        0..45 => pick(table, model, rng, host),
        45..50 => {
            let slot = table.reserve_at(host, target);
            assert_eq!(slot.is_some(), model.has_room(target), "reserve_at {target}");
            slot.into_iter().for_each(|slot| model.take(host, slot));
        }
        50..80 if !model.slots.is_empty() => {
            let (host, slot) = model.slots.swap_remove(rng.below(model.slots.len() as u32) as usize);
            model.below(slot.target(), slot.incarnation(), 1, now);
            table.release(host, slot, now);
        }
        80..94 => put(table, model, rng, target, now),
        94..97 => {
            let incarnation = model.rows.get(&target).map_or(0, |row| row.incarnation) + rng.below(2);
            table.remove(target, incarnation);
            model.rows.retain(|t, row| *t != target || row.incarnation != incarnation);
        }
        97 => {
            table.forget_host(host, now);
            model.forget(host, now);
        }
        _ => {
            let refused = rng.below(2) == 0;
            let head = (rng.below(2) == 0).then_some(Head { since: now, refused });
            table.set_waiting(host, head);
            model.waiting.remove(&host);
            model.waiting.extend(head.map(|head| (host, head)));
        }
    }
}

fn pick<T: LoadTable>(table: &mut T, model: &mut Model, rng: &mut KeyedRng, host: HostId) {
    let Some(low) = table.lowest(&[]) else { return };
    let target = table.nth(&low, rng.below(low.len), &[]).expect("nothing happened in between");
    let slot = table.reserve(host, target, &low).expect("nothing happened in between");
    model.take(host, slot);
}

fn put<T: FleetRows>(table: &mut T, model: &mut Model, rng: &mut KeyedRng, target: TargetId, now: Nanos) {
    let fresh = model.fresh.get(&target).copied().unwrap_or(0);
    let known = model.rows.get(&target).map_or(fresh, |row| row.incarnation);
    let incarnation = known + u32::from(rng.below(4) == 0);
    let state = match rng.below(8) {
        0 => RowState::Starting,
        1 => RowState::Cordoned,
        _ => RowState::Ready,
    };
    table.put(target, incarnation, state, now);
    model.put(target, incarnation, state, now);
}

fn compare<T: LoadTable + FleetRows>(table: &T, model: &Model, rng: &mut KeyedRng, now: Nanos) {
    let except: Vec<TargetId> = (0..rng.below(4)).map(|_| t(1 + rng.below(TARGETS))).collect();
    let low = table.lowest(&except);
    let lowest = model.lowest(&except);
    assert_eq!(low.map_or(0, |low| low.len as usize), lowest.len(), "candidates without {except:?}");
    if let Some(low) = low {
        compare_ties(table, model, &low, &lowest, &except);
    }
    for (target, row) in &model.rows {
        assert_eq!(table.in_flight(*target), row.count, "in flight on {target}");
    }
    assert_eq!(table.total_in_flight(), model.rows.values().map(|row| u64::from(row.count)).sum::<u64>());
    assert_eq!(table.ready() as usize, model.rows.values().filter(|row| row.state == RowState::Ready).count());
    let window = Nanos(u64::from(rng.below(40)));
    assert_eq!(table.idle(now, window), model.idle(now, window), "idle at {now} for {window}");
    for refused in [true, false] {
        let counting = model.waiting.iter().filter(|(_, head)| refused || !head.refused);
        let longest = counting.map(|(host, head)| (head.since, *host)).min().map(|(_, host)| host);
        assert_eq!(table.longest_waiting(refused), longest);
    }
}

fn compare_ties<T: LoadTable>(table: &T, model: &Model, low: &Lowest, lowest: &[TargetId], except: &[TargetId]) {
    assert_eq!(low.count, model.rows[&lowest[0]].count);
    for (k, target) in lowest.iter().enumerate() {
        assert_eq!(table.nth(low, k as u32, except), Some(*target), "the {k}th");
    }
    for after in 0..=TARGETS {
        let position = lowest.iter().position(|target| target.0 > after).unwrap_or(0);
        assert_eq!(table.position_after(low, t(after), except) as usize, position, "after {after}");
    }
}

// === impl Model ===

impl Model {
    fn new(limit: u32, idle_threshold: u32) -> Self {
        let (rows, fresh, waiting) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { limit, idle_threshold, rows, fresh, slots: Vec::new(), waiting }
    }

    fn lowest(&self, except: &[TargetId]) -> Vec<TargetId> {
        let candidates = || {
            let free = |row: &Row| row.state == RowState::Ready && row.count < self.limit;
            self.rows.iter().filter(move |(t, row)| free(row) && !except.contains(t))
        };
        let least = candidates().map(|(_, row)| row.count).min();
        candidates().filter(|(_, row)| Some(row.count) == least).map(|(t, _)| *t).collect()
    }

    fn has_room(&self, target: TargetId) -> bool {
        self.rows.get(&target).is_some_and(|row| row.state != RowState::Cordoned && row.count < self.limit)
    }

    fn take(&mut self, host: HostId, slot: Slot) {
        let row = self.rows.get_mut(&slot.target()).expect("a slot is of a row");
        assert_eq!(row.incarnation, slot.incarnation());
        row.count += 1;
        if row.count >= self.idle_threshold {
            row.below_since = None;
        }
        self.slots.push((host, slot));
    }

    fn below(&mut self, target: TargetId, incarnation: Incarnation, slots: u32, now: Nanos) {
        let Some(row) = self.rows.get_mut(&target).filter(|row| row.incarnation == incarnation) else { return };
        row.count -= slots;
        if row.count < self.idle_threshold && row.below_since.is_none() {
            row.below_since = Some(now);
        }
    }

    fn put(&mut self, target: TargetId, incarnation: Incarnation, state: RowState, now: Nanos) {
        self.fresh.insert(target, incarnation + 1);
        self.rows.retain(|t, row| *t != target || row.incarnation == incarnation);
        let new = Row { incarnation, state: RowState::Starting, count: 0, below_since: None };
        let row = self.rows.entry(target).or_insert(new);
        if state == RowState::Ready && row.state != RowState::Ready {
            row.below_since = (row.count < self.idle_threshold).then_some(now);
        }
        row.state = state;
    }

    fn forget(&mut self, host: HostId, now: Nanos) {
        self.waiting.remove(&host);
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.slots).into_iter().partition(|(h, _)| *h == host);
        self.slots = kept;
        for (_, slot) in gone {
            self.below(slot.target(), slot.incarnation(), 1, now);
        }
    }

    fn idle(&self, now: Nanos, window: Nanos) -> Vec<TargetId> {
        let idle = |row: &Row| {
            row.state == RowState::Ready && row.below_since.is_some_and(|since| now.0 - since.0 >= window.0)
        };
        self.rows.iter().rev().filter(|(_, row)| idle(row)).map(|(t, _)| *t).collect()
    }
}
