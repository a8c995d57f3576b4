//! The conformance suite of load tables: what every implementation must do, as plain asserts.
//!
//! [`run`] is called by a test of each implementation, in whichever crate that lives. It checks what one thread can see;
//! what several processes see at once is the business of the implementation's own tests.

mod model;

use super::{FleetRows, Head, LoadTable, Lowest, Moved, RowState, Slot};
use crate::ids::{HostId, TargetId};
use crate::time::Nanos;

/// The suite uses hosts 0 to `HOSTS − 1`.
pub const HOSTS: u32 = 4;
/// The suite needs no more rows than this at a time, removed ones on which slots are still held included.
pub const ROWS: u32 = 1024;

/// Runs the whole suite. `make(limit, idle_threshold)` gives an empty table that all of [`HOSTS`] may use.
///
/// # Panics
/// If the table does not conform.
pub fn run<T: LoadTable + FleetRows>(mut make: impl FnMut(u32, u32) -> T) {
    empty(make(2, 1));
    exact_minimum(make(3, 1));
    order_by_number(make(2, 1));
    positions_wrap(make(2, 1));
    excepted_rows(make(2, 1));
    limits(make(2, 1));
    starting_rows(make(2, 1));
    cordoned_rows(make(2, 1));
    removed_rows(make(2, 1));
    incarnations(make(2, 1));
    moved(make(2, 1));
    idle_windows(make(10, 2));
    never_idle(make(2, 0));
    waiting_heads(make(2, 1));
    claims(make(2, 1));
    forgotten_hosts(make(3, 1));
    for (limit, idle_threshold, seed) in [(1, 1, 1), (3, 2, 2), (10, 0, 3), (4, 4, 4)] {
        model::check(make(limit, idle_threshold), limit, idle_threshold, seed);
    }
}

const H0: HostId = HostId(0);
const H1: HostId = HostId(1);

const fn t(n: u32) -> TargetId {
    TargetId(n)
}

fn put_ready<T: FleetRows>(table: &mut T, numbers: impl IntoIterator<Item = u32>) {
    for n in numbers {
        table.put(t(n), 0, RowState::Ready, Nanos::ZERO);
    }
}

fn count_and_len(low: Option<Lowest>) -> Option<(u32, u32)> {
    low.map(|low| (low.count, low.len))
}

fn low<T: LoadTable>(table: &T) -> Lowest {
    table.lowest(&[]).expect("there is a candidate")
}

/// The lowest candidates in the table's order.
fn ties<T: LoadTable>(table: &T, low: &Lowest, except: &[TargetId]) -> Vec<u32> {
    (0..low.len).map(|k| table.nth(low, k, except).expect("the table has not moved").0).collect()
}

/// Takes the first of the lowest.
fn pick<T: LoadTable>(table: &mut T, host: HostId) -> Slot {
    let low = low(table);
    let target = table.nth(&low, 0, &[]).expect("the table has not moved");
    table.reserve(host, target, &low).expect("the table has not moved")
}

fn take_at<T: LoadTable>(table: &mut T, host: HostId, n: u32) -> Slot {
    table.reserve_at(host, t(n)).expect("it has room")
}

fn empty<T: LoadTable + FleetRows>(mut table: T) {
    assert_eq!(table.lowest(&[]), None);
    assert_eq!(table.reserve_at(H0, t(1)), None, "there is no such row");
    assert_eq!((table.ready(), table.total_in_flight(), table.in_flight(t(1))), (0, 0, 0));
    assert!(table.idle(Nanos::MAX, Nanos::ZERO).is_empty());
    table.remove(t(1), 0);
    table.forget_host(H0, Nanos::ZERO);
}

fn exact_minimum<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, 1..=3);
    assert_eq!(count_and_len(table.lowest(&[])), Some((0, 3)));
    let picked: Vec<u32> = (0..9).map(|i| pick(&mut table, HostId(i % HOSTS))).map(|s| s.target().0).collect();
    assert_eq!(picked, [1, 2, 3, 1, 2, 3, 1, 2, 3], "the first of the lowest, whichever host asks");
    assert_eq!(table.lowest(&[]), None, "all are at their limit");
    assert_eq!((table.total_in_flight(), table.in_flight(t(2))), (9, 3));
    table.release(HostId(1), Slot::granted(t(2), 0), Nanos(1));
    assert_eq!(count_and_len(table.lowest(&[])), Some((2, 1)));
    assert_eq!(ties(&table, &low(&table), &[]), [2]);
}

fn order_by_number<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, [5, 2, 900, 3, 8]);
    let low = low(&table);
    assert_eq!(ties(&table, &low, &[]), [2, 3, 5, 8, 900], "by number, not by when it was put");
    assert_eq!(table.nth(&low, low.len, &[]), None, "there is no such position");
}

fn positions_wrap<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, [2, 4, 6, 8]);
    let slot = take_at(&mut table, H0, 6);
    let low = low(&table);
    assert_eq!(ties(&table, &low, &[]), [2, 4, 8]);
    let after = |n, except: &[TargetId]| {
        let low = table.lowest(except).expect("there are candidates");
        table.nth(&low, table.position_after(&low, t(n), except), except).expect("the table has not moved").0
    };
    assert_eq!([0, 1, 2, 3, 4, 6, 8, 9].map(|n| after(n, &[])), [2, 2, 4, 4, 8, 8, 2, 2]);
    assert_eq!([2, 4, 8].map(|n| after(n, &[t(4)])), [8, 8, 2]);
    table.release(H0, slot, Nanos(1));
}

fn excepted_rows<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, 1..=4);
    let except = [t(3), t(1), t(3), t(77)];
    let low = table.lowest(&except).expect("2 and 4 are left");
    assert_eq!((low.count, low.len), (0, 2), "named twice is excepted once, unknown ones not at all");
    assert_eq!(ties(&table, &low, &except), [2, 4]);
    let (a, b) = (take_at(&mut table, H0, 2), take_at(&mut table, H0, 4));
    let low = table.lowest(&except).expect("2 and 4 have room");
    assert_eq!((low.count, low.len), (1, 2), "the lowest of those that are left");
    assert_eq!(ties(&table, &low, &except), [2, 4]);
    let slot = table.reserve(H0, t(4), &low).expect("the table has not moved");
    assert_eq!(table.lowest(&[t(1), t(2), t(3), t(4)]), None);
    assert_eq!(table.lowest(&[t(1), t(2), t(3)]), None, "4 is at its limit");
    for slot in [a, b, slot] {
        table.release(H0, slot, Nanos(1));
    }
    assert_eq!(table.total_in_flight(), 0);
}

fn limits<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, [1]);
    let first = low(&table);
    assert!(table.reserve(H0, t(9), &first).is_err(), "no such row");
    let (a, b) = (pick(&mut table, H0), pick(&mut table, H1));
    assert_eq!((table.lowest(&[]), table.reserve_at(H0, t(1))), (None, None));
    assert_eq!(table.in_flight(t(1)), 2);
    table.release(H0, a, Nanos(1));
    assert_eq!(count_and_len(table.lowest(&[])), Some((1, 1)));
    table.release(H0, Slot::granted(t(1), 0), Nanos(1));
    assert_eq!(table.in_flight(t(1)), 1, "a host cannot give back what another holds");
    table.release(H1, b, Nanos(1));
    assert_eq!(table.in_flight(t(1)), 0);
}

fn starting_rows<T: LoadTable + FleetRows>(mut table: T) {
    table.put(t(1), 0, RowState::Starting, Nanos(5));
    assert_eq!((table.lowest(&[]), table.ready()), (None, 0));
    let (a, b) = (take_at(&mut table, H0, 1), take_at(&mut table, H1, 1));
    assert_eq!(table.reserve_at(H0, t(1)), None, "below its limit");
    assert_eq!((table.in_flight(t(1)), table.total_in_flight()), (2, 2));
    table.release(H1, b, Nanos(6));
    table.put(t(1), 0, RowState::Ready, Nanos(7));
    assert_eq!(table.ready(), 1);
    assert_eq!(count_and_len(table.lowest(&[])), Some((1, 1)), "what was reserved counts");
    table.release(H0, a, Nanos(8));
    assert_eq!(count_and_len(table.lowest(&[])), Some((0, 1)));
}

fn cordoned_rows<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, 1..=2);
    let slot = take_at(&mut table, H0, 1);
    table.put(t(1), 0, RowState::Cordoned, Nanos(3));
    assert_eq!(table.ready(), 1);
    assert_eq!(ties(&table, &low(&table), &[]), [2]);
    assert_eq!(table.reserve_at(H0, t(1)), None);
    assert_eq!((table.in_flight(t(1)), table.total_in_flight()), (1, 1), "what is held goes on");
    assert_eq!(table.idle(Nanos(100), Nanos(1)), [t(2)]);
    table.release(H0, slot, Nanos(4));
    assert_eq!((table.in_flight(t(1)), table.total_in_flight()), (0, 0));
    assert_eq!(ties(&table, &low(&table), &[]), [2], "still cordoned");
}

fn removed_rows<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, 1..=2);
    let (a, b) = (take_at(&mut table, H0, 1), take_at(&mut table, H1, 2));
    table.remove(t(1), 7);
    assert_eq!(table.ready(), 2, "another incarnation is another row");
    table.remove(t(1), 0);
    assert_eq!((table.ready(), table.in_flight(t(1)), table.total_in_flight()), (1, 0, 1));
    assert_eq!(ties(&table, &low(&table), &[]), [2]);
    assert_eq!(table.reserve_at(H0, t(1)), None);
    table.release(H0, a, Nanos(2));
    assert_eq!((table.in_flight(t(1)), table.total_in_flight()), (0, 1), "forgotten");
    table.release(H1, b, Nanos(2));
    assert_eq!(table.total_in_flight(), 0);
}

fn incarnations<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, [1]);
    let (old, older) = (take_at(&mut table, H0, 1), take_at(&mut table, H0, 1));
    table.put(t(1), 1, RowState::Starting, Nanos(2));
    assert_eq!((table.in_flight(t(1)), table.total_in_flight(), table.ready()), (0, 0, 0), "a new row");
    let new = take_at(&mut table, H0, 1);
    assert_eq!((old.incarnation(), new.incarnation()), (0, 1));
    table.put(t(1), 1, RowState::Ready, Nanos(3));
    table.release(H0, old, Nanos(4));
    assert_eq!(table.in_flight(t(1)), 1, "an old slot is not of this row");
    table.put(t(1), 0, RowState::Cordoned, Nanos(5));
    table.remove(t(1), 0);
    assert_eq!((table.ready(), table.in_flight(t(1))), (1, 1), "news of an incarnation that is gone");
    table.remove(t(1), 1);
    table.put(t(1), 2, RowState::Ready, Nanos(6));
    table.release(H0, older, Nanos(7));
    table.release(H0, new, Nanos(7));
    assert_eq!(count_and_len(table.lowest(&[])), Some((0, 1)));
}

fn moved<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, 1..=3);
    let stale = low(&table);
    let slot = pick(&mut table, H1);
    assert_eq!(table.reserve(H0, t(2), &stale), Err(Moved), "another host was faster");
    assert_eq!(table.nth(&stale, 0, &[]), None);
    let stale = low(&table);
    table.release(H1, slot, Nanos(1));
    assert_eq!(table.reserve(H0, t(2), &stale), Err(Moved), "1 is as low again");
    let stale = low(&table);
    table.put(t(2), 0, RowState::Cordoned, Nanos(1));
    assert_eq!(table.reserve(H0, t(2), &stale), Err(Moved), "2 is no candidate any more");
    let stale = low(&table);
    table.put(t(4), 0, RowState::Ready, Nanos(1));
    assert_eq!(table.reserve(H0, t(1), &stale), Err(Moved), "there is one more");
    let stale = low(&table);
    table.remove(t(3), 0);
    assert_eq!(table.reserve(H0, t(3), &stale), Err(Moved), "3 is gone");
    let slot = take_at(&mut table, H0, 1);
    assert_eq!(table.reserve(H0, t(1), &low(&table)), Err(Moved), "1 is not among the lowest");
    assert_eq!(table.total_in_flight(), 1, "what was refused was not counted");
    table.release(H0, slot, Nanos(2));
}

fn idle_windows<T: LoadTable + FleetRows>(mut table: T) {
    table.put(t(1), 0, RowState::Ready, Nanos(100));
    table.put(t(2), 0, RowState::Ready, Nanos(150));
    table.put(t(3), 0, RowState::Starting, Nanos(0));
    assert_eq!(table.idle(Nanos(40), Nanos(50)), [], "a window that began before the table did");
    assert_eq!(table.idle(Nanos(149), Nanos(50)), []);
    assert_eq!(table.idle(Nanos(150), Nanos(50)), [t(1)], "never used: from when it became ready");
    assert_eq!(table.idle(Nanos(200), Nanos(50)), [t(2), t(1)], "highest number first; 3 is not ready");
    let a = take_at(&mut table, H0, 2);
    assert_eq!(table.idle(Nanos(200), Nanos(50)), [t(2), t(1)], "1 is below 2");
    let b = take_at(&mut table, H1, 2);
    assert_eq!(table.idle(Nanos(200), Nanos(50)), [t(1)], "2 is not");
    table.release(H0, a, Nanos(300));
    assert_eq!(table.idle(Nanos(349), Nanos(50)), [t(1)], "the window starts over");
    assert_eq!(table.idle(Nanos(350), Nanos(50)), [t(2), t(1)]);
    table.release(H1, b, Nanos(340));
    assert_eq!(table.idle(Nanos(350), Nanos(50)), [t(2), t(1)], "it was below before");
    table.put(t(1), 0, RowState::Ready, Nanos(360));
    assert_eq!(table.idle(Nanos(360), Nanos(50)), [t(2), t(1)], "it was ready before");
    idle_after_a_busy_start(&mut table);
}

fn idle_after_a_busy_start<T: LoadTable + FleetRows>(table: &mut T) {
    let (a, b) = (take_at(table, H0, 3), take_at(table, H0, 3));
    table.put(t(3), 0, RowState::Ready, Nanos(400));
    assert!(!table.idle(Nanos(900), Nanos(50)).contains(&t(3)), "busy when it became ready");
    table.release(H0, a, Nanos(500));
    assert!(!table.idle(Nanos(549), Nanos(50)).contains(&t(3)));
    assert!(table.idle(Nanos(550), Nanos(50)).contains(&t(3)));
    table.release(H0, b, Nanos(600));
}

fn never_idle<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, 1..=2);
    let slot = pick(&mut table, H0);
    table.release(H0, slot, Nanos(1));
    assert_eq!(table.idle(Nanos(1_000_000), Nanos::ZERO), []);
}

fn waiting_heads<T: LoadTable + FleetRows>(mut table: T) {
    assert_eq!(table.longest_waiting(true), None);
    table.set_waiting(HostId(2), Some(Head::fresh(Nanos(5))));
    table.set_waiting(HostId(0), Some(Head::fresh(Nanos(7))));
    assert_eq!(table.longest_waiting(true), Some(HostId(2)));
    table.set_waiting(HostId(1), Some(Head::fresh(Nanos(5))));
    assert_eq!(table.longest_waiting(true), Some(HostId(1)), "the lowest number among equals");
    table.set_waiting(HostId(1), Some(Head::fresh(Nanos(8))));
    table.forget_host(HostId(2), Nanos(9));
    assert_eq!(table.longest_waiting(true), Some(HostId(0)));
    table.set_waiting(HostId(0), Some(Head { since: Nanos(1), refused: true }));
    assert_eq!((table.longest_waiting(true), table.longest_waiting(false)), (Some(HostId(0)), Some(HostId(1))));
    table.set_waiting(HostId(0), None);
    table.set_waiting(HostId(1), None);
    assert_eq!((table.longest_waiting(true), table.longest_waiting(false)), (None, None));
}

fn claims<T: LoadTable>(mut table: T) {
    assert_eq!(table.claim(Nanos(10), Nanos(5)), Nanos(15), "free: at once");
    assert_eq!(table.claim(Nanos(12), Nanos(5)), Nanos(20), "taken: behind it");
    assert_eq!(table.claim(Nanos(12), Nanos::ZERO), Nanos(20));
    assert_eq!(table.claim(Nanos(30), Nanos(1)), Nanos(31));
}

fn forgotten_hosts<T: LoadTable + FleetRows>(mut table: T) {
    put_ready(&mut table, 1..=2);
    let (a, b, c) = (take_at(&mut table, H0, 1), take_at(&mut table, H0, 1), take_at(&mut table, H1, 1));
    let d = take_at(&mut table, H0, 2);
    table.forget_host(H0, Nanos(50));
    assert_eq!((table.in_flight(t(1)), table.in_flight(t(2)), table.total_in_flight()), (1, 0, 1));
    assert_eq!(table.idle(Nanos(59), Nanos(10)), []);
    assert_eq!(table.idle(Nanos(60), Nanos(10)), [t(2)], "idle from when it was given back");
    for slot in [a, b, d] {
        table.release(H0, slot, Nanos(51));
    }
    assert_eq!(table.total_in_flight(), 1, "given back once");
    let again = pick(&mut table, H0);
    assert_eq!(again.target(), t(2), "a host of that number may come again");
    table.release(H1, c, Nanos(52));
    table.release(H0, again, Nanos(52));
    assert_eq!(table.total_in_flight(), 0);
}
