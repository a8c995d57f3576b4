//! A model check of the load map's algorithm: loom runs the code of index, lock and scan under every order of steps, and
//! every value that C11's memory model lets a load see, within a bound on preemptions.
//!
//! Processes are threads here, and memory is loom's. What is planted is found: a check that finds nothing shows nothing.
//!
//! `RUSTFLAGS="--cfg galton_loom" cargo test -p galton-runtime --target-dir target/loom --lib load_map::model`

use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering::{Relaxed, Release};

use galton_core::table::{Lowest, RowState, Slot};
use galton_core::{HostId, Nanos, TargetId};
use loom::model::Builder;

use super::index::{Index, NEVER, READY};
use super::lock::Guard;
use super::memory::Memory;
use super::scan::Lane;
use super::shared::{Shape, Shared};

/// Two lines of two positions, one of them empty.
const TARGETS: u32 = 3;
const SHAPE: Shape = Shape { rows: TARGETS, hosts: 2, limit: 1, idle_threshold: 1 };
/// Preemptions of a thread that could have gone on, per execution: almost all faults known of such algorithms need no more than
/// two (Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded programs", PLDI 2007).
const PREEMPTIONS: usize = 2;

/// Stores of a pick.
const STORES: usize = 3;

/// How a pick takes the lock, after a look.
type Lock = for<'a> fn(&'a Index, &Lowest) -> Option<Guard<'a>>;

/// One process of the model.
struct Process {
    index: Index,
    host: HostId,
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// The memory of a fleet that is ready, as a scaler of process 1 made it.
fn fleet() -> Memory {
    let memory = Memory::new(Shared::size(SHAPE));
    let index = Index { shared: Shared::seated(memory.clone(), SHAPE).unwrap() };
    (1..=TARGETS).for_each(|n| index.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO));
    memory
}

// === impl Process ===

impl Process {
    fn open(memory: &Memory, host: u32) -> Self {
        let memory = memory.of_process(u64::from(host) + 2);
        Self { index: Index { shared: Shared::seated(memory, SHAPE).unwrap() }, host: HostId(host) }
    }

    /// Picks the `k`-th of those with the lowest count, if there is a candidate, and checks it against the cells: nobody else
    /// changes them while the lock is held.
    fn pick(&self, k: u32, lock: Lock) -> Option<Slot> {
        loop {
            let low = self.index.lowest(&[])?;
            let found = self.index.nth(&low, k % low.len, &[]);
            if let Some(target) = found
                && let Some(held) = lock(&self.index, &low)
            {
                let counts: Vec<u64> = (1..=TARGETS).map(|n| self.count(TargetId(n))).collect();
                let least = counts.iter().min().copied();
                assert_eq!(least, Some(low.count.into()), "the minimum, of {counts:?}");
                assert_eq!(counts.iter().filter(|count| Some(**count) == least).count() as u32, low.len);
                assert_eq!(counts[target.0 as usize - 1], u64::from(low.count));
                return self.index.take_held(&held, self.host, target, Some(&low)).map(|(slot, _)| slot);
            }
            loom::thread::yield_now();
        }
    }

    /// What the cells say; row n − 1 is target n's.
    fn count(&self, target: TargetId) -> u64 {
        let row = target.0 as usize - 1;
        assert_eq!(self.index.state(row), READY);
        (0..SHAPE.hosts).map(|host| self.index.shared.cells(host)[row].load(Relaxed)).sum()
    }

    fn pick_and_release(&self, k: u32, lock: Lock) {
        let slot = self.pick(k, lock).unwrap();
        self.index.release(self.host, &slot, Nanos(1)).unwrap();
    }

    /// Is killed in the middle of a pick of target 1, after so many of its stores.
    fn die(self, stores: usize) {
        let shared = &self.index.shared;
        let _held = ManuallyDrop::new(self.index.lock());
        let pick: [&dyn Fn(); STORES] =
            [&|| shared.cells(self.host.0)[0].store(1, Release), &|| shared.since()[0].store(NEVER, Release), &|| {
                self.index.candidates().set(0, Lane::barred(1))
            }];
        pick[..stores].iter().for_each(|store| store());
        shared.memory.disown(shared.seat.byte()).unwrap();
    }
}

/// The index says what the cells say, and how long a row has been idle.
fn audit(process: &Process) {
    let counts = (1..=TARGETS).map(|n| process.count(TargetId(n)));
    for (row, count) in counts.enumerate() {
        assert_eq!(u64::from(process.index.in_flight(TargetId(row as u32 + 1))), count);
        assert_eq!(process.index.shared.since()[row].load(Relaxed) == NEVER, count > 0);
    }
}

/// Two hosts pick and release at once.
fn two_hosts(lock: Lock) {
    check(move || {
        let memory = fleet();
        let [one, other] = [0, 1].map(|host| Process::open(&memory, host));
        let thread = loom::thread::spawn(move || other.pick_and_release(0, lock));
        one.pick_and_release(1, lock);
        thread.join().unwrap();
        audit(&one);
        assert_eq!(one.index.total_in_flight(), 0);
    });
}

/// What the table does: if it is as it was seen.
fn as_seen<'a>(index: &'a Index, low: &Lowest) -> Option<Guard<'a>> {
    index.shared.lock_at(low.stamp)
}

#[test]
fn every_pick_is_the_minimum() {
    two_hosts(as_seen);
}

#[test]
#[should_panic = "assertion"]
fn a_pick_without_the_version_is_found_out() {
    two_hosts(|index, _| Some(index.lock()));
}

#[test]
#[should_panic = "assertion"]
fn a_lock_that_is_taken_from_the_living_is_found_out() {
    two_hosts(|index, _| index.shared.lock_at(index.shared.version().load(Relaxed)));
}

#[test]
fn a_death_within_an_update_is_put_right() {
    for stores in 0..=STORES {
        check(move || {
            let memory = fleet();
            let [one, victim] = [0, 1].map(|host| Process::open(&memory, host));
            let thread = loom::thread::spawn(move || victim.die(stores));
            one.pick_and_release(2, as_seen);
            thread.join().unwrap();
            one.pick_and_release(0, as_seen);
            audit(&one);
            assert_eq!(one.index.total_in_flight(), u64::from(stores > 0), "until it is reaped");
        });
    }
}

#[test]
fn a_seat_of_the_dead_can_be_taken_at_once() {
    check(|| {
        let memory = fleet();
        let [one, victim] = [0, 1].map(|host| Process::open(&memory, host));
        victim.die(1);
        let thread = loom::thread::spawn(move || Process::open(&memory, 1).pick_and_release(0, as_seen));
        one.pick_and_release(1, as_seen);
        thread.join().unwrap();
        audit(&one);
        assert_eq!(one.index.total_in_flight(), 1);
    });
}
