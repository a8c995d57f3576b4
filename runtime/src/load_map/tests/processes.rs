//! The load map in several processes: this test program, run again as [`child`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use galton_core::rng::{KeyedRng, Purpose};
use galton_core::table::{BucketTable, Head};

use super::scan::Lane;
use super::*;
use crate::mono_ns;

const TARGETS: u32 = 12;
const LIMIT: u32 = 3;
/// A host takes up to so many slots: four hosts want more than there are.
const MOST_HELD: usize = 12;
const PATIENCE_NS: u64 = 60_000_000_000;
const CHILD: &str = "GALTON_TEST_LOAD_MAP_CHILD";

/// Does nothing, unless this process is a child: then it is what the variable says.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let [what, host, path] = order.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
    let mut map = LoadMap::open(Path::new(path)).unwrap().join(HostId(host.parse().unwrap()), Nanos(1)).unwrap();
    match what.split_once(':') {
        Some(("log", operations)) => log_operations(&mut map, operations.parse().unwrap(), Path::new(path)),
        Some(("die", step)) => die(&mut map, step.parse().unwrap()),
        _ => {
            wait_for("the fleet", || map.ready() > 0);
            let deadline = mono_ns() + PATIENCE_NS;
            work(&mut map, |map, _| map.ready() > 0 && mono_ns() < deadline, |_| {});
        }
    }
}

/// A child that does not outlive a test that fails.
struct Process(Child);

impl Process {
    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits for its end, and says whether it ended well.
    fn end(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(what: &str, host: u32, map: &Path) -> Process {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "load_map::tests::processes::child", "--quiet"])
        .env(CHILD, format!("{what} {host} {}", map.display()))
        .stdout(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = mono_ns() + PATIENCE_NS;
    while !is_so() {
        assert!(mono_ns() < deadline, "waited too long for {what}");
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// One operation as it happened: in which version, at which target, and for a pick what was lowest.
struct Done {
    version: u64,
    target: TargetId,
    low: Option<Lowest>,
}

/// Picks and releases at random while `goes_on`, then gives everything back.
fn work(map: &mut HostMap, mut goes_on: impl FnMut(&HostMap, u64) -> bool, mut done: impl FnMut(Done)) {
    let mut held: Vec<Slot> = Vec::new();
    let mut state = u64::from(map.host.0) + 1;
    let mut random = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for i in 0.. {
        if !goes_on(map, i) {
            break;
        }
        if held.len() < MOST_HELD && random(2) == 0 {
            let Some(low) = map.lowest(&[]) else { continue };
            let Some(target) = map.nth(&low, random(low.len as usize) as u32, &[]) else { continue };
            if random(8) == 0 {
                std::thread::yield_now();
            }
            let Some((slot, version)) = pick(map, target, &low) else { continue };
            held.push(slot);
            done(Done { version, target, low: Some(low) });
        } else if !held.is_empty() {
            give(map, held.swap_remove(random(held.len())), &mut done);
        }
    }
    held.into_iter().for_each(|slot| give(map, slot, &mut done));
}

/// A pick, and before it a look at the cells of all hosts, which nobody changes at that moment.
fn pick(map: &HostMap, target: TargetId, low: &Lowest) -> Option<(Slot, u64)> {
    let held = map.index.shared.lock_at(low.stamp)?;
    let counts = counts_by_cells(&map.index);
    let least = counts.values().filter(|count| **count < LIMIT).min().copied();
    assert_eq!(Some(low.count), least, "the minimum");
    assert_eq!(low.len as usize, counts.values().filter(|count| Some(**count) == least).count(), "all that have it");
    assert_eq!(counts.get(&target), Some(&low.count), "one that has it");
    map.index.take_held(&held, map.host, target, Some(low))
}

/// The slots held at each ready target, whatever the index says.
fn counts_by_cells(index: &Index) -> BTreeMap<TargetId, u32> {
    let shared = &index.shared;
    let ready = (0..shared.shape.rows as usize).filter(|row| index.state(*row) == index::READY);
    let count = |row: usize| (0..shared.shape.hosts).map(|host| shared.cells(host)[row].load(Relaxed)).sum::<u64>();
    ready.map(|row| (TargetId((shared.name()[row].load(Relaxed) >> 32) as u32), count(row) as u32)).collect()
}

fn give(map: &HostMap, slot: Slot, done: &mut impl FnMut(Done)) {
    if let Some(version) = map.index.release(map.host, &slot, Nanos(2)) {
        done(Done { version, target: slot.target(), low: None });
    }
}

fn log_path(map: &Path, host: HostId) -> PathBuf {
    map.with_extension(format!("{host}.log"))
}

/// Writes what it did as lines `version target`, and for a pick ` count len`.
fn log_operations(map: &mut HostMap, operations: u64, path: &Path) {
    wait_for("the fleet", || map.ready() == TARGETS);
    let mut log = String::new();
    let host = map.host;
    work(
        map,
        |_, i| i < operations,
        |done| {
            let low = done.low.map(|low| format!(" {} {}", low.count, low.len)).unwrap_or_default();
            log += &format!("{} {}{low}\n", done.version, done.target.0);
        },
    );
    std::fs::write(log_path(path, host), log).unwrap();
}

fn read_log(path: &Path, host: HostId) -> Vec<(HostId, Done)> {
    let parse = |line: &str| {
        let words: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let low = (words.len() == 4).then(|| Lowest { count: words[2] as u32, len: words[3] as u32, stamp: 0 });
        (host, Done { version: words[0], target: TargetId(words[1] as u32), low })
    };
    std::fs::read_to_string(log_path(path, host)).unwrap().lines().map(parse).collect()
}

/// A map and its path, with all targets ready as soon as so many hosts have joined.
fn fleet(dir: &TempDir, hosts: u32) -> (LoadMap, PathBuf) {
    let path = dir.path().join("map");
    (LoadMap::create(&path, 2 * TARGETS + 64, hosts, LIMIT, 1).unwrap(), path)
}

fn has_joined(fleet: &LoadMap, host: u32) -> bool {
    fleet.index.shared.joined()[host as usize].load(Relaxed) == 1
}

#[test]
fn every_pick_is_the_minimum_at_its_moment() {
    const HOSTS: u32 = 4;
    let dir = TempDir::new().unwrap();
    let (mut fleet, path) = fleet(&dir, HOSTS);
    let mut children: Vec<Process> = (0..HOSTS).map(|host| start("log:10000", host, &path)).collect();
    wait_for("hosts", || (0..HOSTS).all(|host| has_joined(&fleet, host)));
    let mut reference = BucketTable::new(LIMIT, 1);
    for n in 1..=TARGETS {
        fleet.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO);
        reference.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO);
    }
    for child in &mut children {
        wait_for("a child's end", || {
            assert!((1..=TARGETS).all(|n| fleet.in_flight(TargetId(n)) <= LIMIT));
            child.has_ended()
        });
        assert!(child.end());
    }
    let mut log: Vec<_> = (0..HOSTS).flat_map(|host| read_log(&path, HostId(host))).collect();
    log.sort_by_key(|(_, done)| done.version);
    let is_next = |two: &[(HostId, Done)]| two[0].1.version + lock::STEP == two[1].1.version;
    assert!(log.windows(2).all(is_next), "every update is in the log, once");
    let hand_overs = log.windows(2).filter(|two| two[0].0 != two[1].0).count();
    assert!(hand_overs > 100, "the processes ran one after the other");
    for (host, done) in log {
        replay(&mut reference, host, &done);
    }
    assert_eq!((reference.total_in_flight(), fleet.total_in_flight()), (0, 0));
}

/// Does the same on a table of one thread, where the minimum is known.
fn replay(reference: &mut BucketTable, host: HostId, done: &Done) {
    let Some(seen) = done.low else {
        return reference.release(host, Slot::granted(done.target, 0), Nanos(2));
    };
    let low = reference.lowest(&[]).unwrap();
    assert_eq!((seen.count, seen.len), (low.count, low.len), "version {}", done.version);
    let _slot = reference.reserve(host, done.target, &low).unwrap();
}

/// Reads rows and cells under the lock and compares the index with them. Returns the slots held, by host.
fn audit(fleet: &LoadMap) -> Vec<u64> {
    let shared = &fleet.index.shared;
    let _held = fleet.index.lock();
    let by_host = |row: usize| (0..shared.shape.hosts).map(move |host| shared.cells(host)[row].load(Relaxed));
    for position in 0..shared.used().load(Relaxed) as usize {
        let row = shared.order()[position].load(Relaxed) as u32 as usize;
        let count = by_host(row).sum::<u64>() as u32;
        assert!(count <= LIMIT);
        let is_candidate = fleet.index.state(row) == index::READY && count < LIMIT;
        let lane = if is_candidate { Lane::candidate(count) } else { Lane::barred(count) };
        assert_eq!(fleet.index.candidates().get(position), lane);
        assert_eq!(shared.since()[row].load(Relaxed) == NEVER, count > 0, "idle below 1");
    }
    let sum = |host| shared.cells(host).iter().map(|cell| cell.load(Relaxed)).sum();
    (0..shared.shape.hosts).map(sum).collect()
}

#[test]
fn killed_processes_leave_nothing_behind() {
    const VICTIM: u32 = 2;
    const ROUNDS: u64 = 30;
    let dir = TempDir::new().unwrap();
    let (mut fleet, path) = fleet(&dir, 3);
    let mut survivors = [0, 1].map(|host| start("work", host, &path));
    wait_for("survivors", || (0..2).all(|host| has_joined(&fleet, host)));
    (1..=TARGETS).for_each(|n| fleet.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO));
    for round in 0..ROUNDS {
        let victim = start("work", VICTIM, &path);
        wait_for("the victim's work", || audit(&fleet)[VICTIM as usize] > 0);
        let spin = mono_ns() + u64::from(KeyedRng::new(round, Purpose::Choice, 0).below(1_000_000));
        while mono_ns() < spin {
            std::hint::spin_loop();
        }
        drop(victim);
        // Every third time nobody looks, and it is for the next victim to clear what this one held.
        if round % 3 != 2 {
            assert_eq!(fleet.reap(Nanos(2)), [HostId(VICTIM)]);
            assert_eq!(audit(&fleet)[VICTIM as usize], 0);
        }
        fleet.put(TargetId(1 + round as u32 % TARGETS), 1 + round as u32 / TARGETS, RowState::Ready, Nanos(2));
        let after = fleet.index.shared.version().load(Relaxed) + 100 * lock::STEP;
        wait_for("progress", || fleet.index.shared.version().load(Relaxed) > after);
    }
    fleet.reap(Nanos(2));
    (1..=TARGETS).for_each(|n| fleet.put(TargetId(n), 9, RowState::Cordoned, Nanos(3)));
    for survivor in &mut survivors {
        wait_for("a survivor's end", || survivor.has_ended());
        assert!(survivor.end());
    }
    assert_eq!(audit(&fleet), [0, 0, 0], "retired rows as well");
    assert_eq!(fleet.reap(Nanos(4)), [HostId(0), HostId(1)]);
}

/// Where [`die`] ends: before, within and after a pick, and after the lock was taken by a looker.
const STEPS: u32 = 4;

/// Holds one slot at target 1, waits, and is killed in the middle of an update at target 2.
fn die(map: &mut HostMap, step: u32) {
    let host = map.host;
    wait_for("the fleet", || map.ready() == TARGETS);
    let _slot = map.reserve_at(host, TargetId(1)).unwrap();
    map.set_waiting(host, Some(Head::fresh(Nanos(1))));
    let held = map.index.lock();
    let shared = &map.index.shared;
    held.write(|| {
        let row = (0..).find(|row| shared.name()[*row].load(Relaxed) >> 32 == 2).unwrap();
        if step > 0 {
            shared.cells(host.0)[row].store(1, Relaxed);
        }
        if step > 1 {
            shared.since()[row].store(NEVER, Relaxed);
        }
        if step > 2 {
            map.index.candidates().set(row, Lane::candidate(1));
        }
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    });
}

#[test]
fn a_death_within_an_update_is_put_right() {
    for step in 0..STEPS {
        let dir = TempDir::new().unwrap();
        let (mut fleet, path) = fleet(&dir, 2);
        let mut map = LoadMap::open(&path).unwrap().join(HostId(0), Nanos::ZERO).unwrap();
        (1..=TARGETS).for_each(|n| fleet.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO));
        let mut child = start(&format!("die:{step}"), 1, &path);
        assert!(!child.end());
        assert!(!lock::is_settled(fleet.index.shared.version().load(Relaxed)), "it died within the update");
        let held = if step == 0 { 1 } else { 2 };
        let low = map.lowest(&[]).unwrap();
        assert_eq!((low.count, low.len), (0, TARGETS - held), "what the cells say");
        assert_eq!((map.longest_waiting(true), audit(&fleet)[1]), (Some(HostId(1)), held.into()));
        let slot = map.reserve(HostId(0), TargetId(5), &low).unwrap();
        assert_eq!(fleet.reap(Nanos(7)), [HostId(1)]);
        assert_eq!((map.longest_waiting(true), audit(&fleet)), (None, vec![1, 0]));
        assert!(map.idle(Nanos(9), Nanos(3)).iter().all(|target| target.0 > held), "not idle before the reaping");
        map.release(HostId(0), slot, Nanos(8));
        assert_eq!(fleet.total_in_flight(), 0);
    }
}
