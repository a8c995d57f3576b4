//! The load map against the conformance suite, against broken files, and against itself within one process.

mod processes;

use galton_core::table::{Head, conformance};
use tempfile::TempDir;

use super::*;

/// All hosts and the scaler of one machine, in one process.
struct Machine {
    fleet: LoadMap,
    hosts: Vec<Option<HostMap>>,
    dir: TempDir,
}

fn join(dir: &TempDir, host: u32) -> HostMap {
    LoadMap::open(&dir.path().join("map")).unwrap().join(HostId(host), Nanos::ZERO).unwrap()
}

impl Machine {
    fn new(rows: u32, hosts: u32, limit: u32, idle_threshold: u32) -> Self {
        let dir = TempDir::new().unwrap();
        let fleet = LoadMap::create(&dir.path().join("map"), rows, hosts, limit, idle_threshold).unwrap();
        let hosts = (0..hosts).map(|host| Some(join(&dir, host))).collect();
        Self { fleet, hosts, dir }
    }

    fn host(&mut self, host: HostId) -> &mut HostMap {
        self.hosts[host.0 as usize].as_mut().unwrap()
    }

    fn any(&self) -> &HostMap {
        self.hosts[0].as_ref().unwrap()
    }
}

impl LoadTable for Machine {
    fn lowest(&self, except: &[TargetId]) -> Option<Lowest> {
        self.any().lowest(except)
    }
    fn nth(&self, low: &Lowest, k: u32, except: &[TargetId]) -> Option<TargetId> {
        self.any().nth(low, k, except)
    }
    fn position_after(&self, low: &Lowest, after: TargetId, except: &[TargetId]) -> u32 {
        self.any().position_after(low, after, except)
    }
    fn reserve(&mut self, host: HostId, target: TargetId, low: &Lowest) -> Result<Slot, Moved> {
        self.host(host).reserve(host, target, low)
    }
    fn reserve_at(&mut self, host: HostId, target: TargetId) -> Option<Slot> {
        self.host(host).reserve_at(host, target)
    }
    fn release(&mut self, host: HostId, slot: Slot, now: Nanos) {
        self.host(host).release(host, slot, now);
    }
    fn claim(&mut self, now: Nanos, latency: Nanos) -> Nanos {
        self.host(HostId(now.0 as u32 % 2)).claim(now, latency)
    }
    fn idle(&self, now: Nanos, window: Nanos) -> Vec<TargetId> {
        self.any().idle(now, window)
    }
    fn ready(&self) -> u32 {
        self.any().ready()
    }
    fn set_waiting(&mut self, host: HostId, head: Option<Head>) {
        self.host(host).set_waiting(host, head);
    }
    fn longest_waiting(&self, refused: bool) -> Option<HostId> {
        self.any().longest_waiting(refused)
    }
}

impl FleetRows for Machine {
    fn put(&mut self, target: TargetId, incarnation: Incarnation, state: RowState, now: Nanos) {
        self.fleet.put(target, incarnation, state, now);
    }
    fn remove(&mut self, target: TargetId, incarnation: Incarnation) {
        self.fleet.remove(target, incarnation);
    }
    fn forget_host(&mut self, host: HostId, now: Nanos) {
        self.hosts[host.0 as usize] = None;
        self.fleet.forget_host(host, now);
        self.hosts[host.0 as usize] = Some(join(&self.dir, host.0));
    }
    fn in_flight(&self, target: TargetId) -> u32 {
        self.fleet.in_flight(target)
    }
    fn total_in_flight(&self) -> u64 {
        self.fleet.total_in_flight()
    }
}

#[test]
fn conforms() {
    conformance::run(|limit, threshold| Machine::new(conformance::ROWS, conformance::HOSTS, limit, threshold));
}

fn fault(result: anyhow::Result<impl std::fmt::Debug>) -> String {
    format!("{:#}", result.unwrap_err())
}

#[test]
fn broken_files_are_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("map");
    assert!(fault(LoadMap::open(&path)).contains("No such file"));
    for (content, why) in [(vec![], "too few"), (vec![0; 100], "too few"), (vec![7; 8192], "not a load map")] {
        std::fs::write(&path, content).unwrap();
        let fault = fault(LoadMap::open(&path));
        assert!(fault.contains(why) && fault.contains("map"), "{fault}");
    }
    drop(LoadMap::create(&path, 64, 4, 10, 1).unwrap());
    LoadMap::open(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 8]).unwrap();
    assert!(fault(LoadMap::open(&path)).contains("64 rows and 4 hosts"), "truncated");
    let mut other = whole;
    other[12] ^= 0xff;
    std::fs::write(&path, &other).unwrap();
    assert!(fault(LoadMap::open(&path)).contains("layout"));
}

#[test]
fn sizes_have_limits() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("map");
    for (rows, hosts) in [(0, 1), (1, 0), (u32::MAX, 1), (1, u32::MAX)] {
        assert!(fault(LoadMap::create(&path, rows, hosts, 1, 1)).contains("1 to 65536"));
    }
    assert!(!path.exists());
}

#[test]
fn a_number_has_one_living_host() {
    let machine = Machine::new(8, 2, 1, 1);
    let open = || LoadMap::open(&machine.dir.path().join("map")).unwrap();
    assert!(fault(open().join(HostId(1), Nanos::ZERO)).contains("joined already"));
    assert!(fault(open().join(HostId(2), Nanos::ZERO)).contains("2 hosts"));
}

#[test]
fn only_the_dead_are_reaped() {
    let mut machine = Machine::new(8, 2, 2, 1);
    machine.fleet.put(TargetId(1), 0, RowState::Ready, Nanos::ZERO);
    let slots = [0, 1].map(|host| machine.reserve_at(HostId(host), TargetId(1)).unwrap());
    machine.fleet.forget_host(HostId(1), Nanos(5));
    assert_eq!(machine.fleet.reap(Nanos(5)), []);
    assert_eq!(machine.fleet.total_in_flight(), 2, "both are alive");
    machine.hosts[1] = None;
    assert_eq!(machine.fleet.reap(Nanos(6)), [HostId(1)]);
    assert_eq!(machine.fleet.reap(Nanos(7)), [], "once");
    assert_eq!(machine.fleet.total_in_flight(), 1);
    machine.hosts[1] = Some(join(&machine.dir, 1));
    let [mine, predecessors] = slots;
    machine.release(HostId(1), predecessors, Nanos(8));
    assert_eq!(machine.fleet.total_in_flight(), 1, "its predecessor held it");
    machine.release(HostId(0), mine, Nanos(9));
    assert_eq!(machine.fleet.total_in_flight(), 0);
}

#[test]
fn rows_are_used_again() {
    let mut machine = Machine::new(3, 1, 2, 1);
    let mut held = Vec::new();
    for incarnation in 0..20 {
        machine.fleet.put(TargetId(1), incarnation, RowState::Ready, Nanos::ZERO);
        let slot = machine.reserve_at(HostId(0), TargetId(1)).unwrap();
        assert_eq!(slot.incarnation(), incarnation);
        held.push(slot);
        if held.len() == 3 {
            machine.release(HostId(0), held.remove(0), Nanos(1));
        }
    }
    machine.fleet.put(TargetId(1), 20, RowState::Ready, Nanos::ZERO);
    machine.fleet.put(TargetId(2), 0, RowState::Ready, Nanos::ZERO);
    assert_eq!(machine.ready(), 1, "two rows are held after their targets: there is no third");
    machine.release(HostId(0), held.remove(0), Nanos(1));
    machine.fleet.put(TargetId(2), 0, RowState::Ready, Nanos::ZERO);
    assert_eq!(machine.ready(), 2);
}

/// Whether the host is woken within the time that anything may take.
async fn is_woken(socket: &WakeSocket) -> bool {
    slots_told(socket).await == Some(1)
}

/// For how many slots.
async fn slots_told(socket: &WakeSocket) -> Option<u32> {
    tokio::time::timeout(std::time::Duration::from_secs(20), socket.woken()).await.ok()?.ok()
}

#[tokio::test]
async fn after_a_burial_all_that_wait_are_told_of_the_room() {
    let mut machine = Machine::new(8, 3, 2, 1);
    (1..=2).for_each(|n| machine.fleet.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO));
    let _slots = [1, 1, 2, 2].map(|n| machine.reserve_at(HostId(0), TargetId(n)).unwrap());
    let sockets = [1, 2].map(|host| machine.host(HostId(host)).wake_socket().unwrap());
    machine.set_waiting(HostId(1), Some(Head::fresh(Nanos(1))));
    machine.set_waiting(HostId(2), Some(Head { since: Nanos(2), refused: true }));
    machine.fleet.wake_all();
    machine.hosts[0] = None;
    assert_eq!(machine.fleet.buried(), 0);
    machine.fleet.reap(Nanos(3));
    assert_eq!((machine.fleet.buried(), machine.fleet.index.room()), (1, 4));
    machine.fleet.wake_all();
    for socket in &sockets {
        assert_eq!(slots_told(socket).await, Some(4), "and nothing before that, without room");
    }
    machine.hosts[0] = Some(join(&machine.dir, 0));
    assert_eq!(machine.fleet.buried(), 1, "a first one has no predecessor");
    let _slot = machine.reserve_at(HostId(0), TargetId(1)).unwrap();
    machine.hosts[0] = None;
    machine.hosts[0] = Some(join(&machine.dir, 0));
    assert_eq!((machine.fleet.buried(), machine.fleet.index.room()), (2, 4), "the next one of its number buries it");
}

#[tokio::test]
async fn hosts_wake_each_other_however_long_the_path_is() {
    let dir = TempDir::new().unwrap();
    let deep = (0..10).fold(dir.path().to_owned(), |path, _| path.join("directory-of-forty-characters-in-its-name"));
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("a-map-with-a-name-that-has-room-in-no-address-of-a-socket-".repeat(3));
    let _fleet = LoadMap::create(&path, 8, 3, 1, 1).unwrap();
    let [one, other] = [0, 1].map(|host| LoadMap::open(&path).unwrap().join(HostId(host), Nanos::ZERO).unwrap());
    let [one, other] = [&one, &other].map(|map| map.wake_socket().unwrap());
    one.send(HostId(2));
    one.send(HostId(1));
    assert!(is_woken(&other).await);
    other.send(HostId(0));
    assert!(is_woken(&one).await);
}

#[tokio::test]
async fn a_wake_socket_goes_with_its_host_and_no_other() {
    let mut machine = Machine::new(8, 2, 1, 1);
    let names = |dir: &TempDir| {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        files.filter(|name| name != "map").collect::<Vec<_>>()
    };
    let socket = machine.host(HostId(1)).wake_socket().unwrap();
    let name = format!("wake-{}-1", machine.fleet.id());
    assert_eq!(names(&machine.dir), [&*name]);
    // Another process that takes itself for this host, and another run at the same place.
    let open = || LoadMap::open(&machine.dir.path().join("map")).unwrap();
    assert!(open().join(HostId(1), Nanos::ZERO).is_err());
    let mut fleet = LoadMap::create(&machine.dir.path().join("map"), 8, 2, 1, 1).unwrap();
    let next = join(&machine.dir, 1);
    let nexts = next.wake_socket().unwrap();
    drop(next);
    assert_eq!(fleet.reap(Nanos(1)), [HostId(1)]);
    assert_eq!(names(&machine.dir), [&*name]);
    machine.host(HostId(0)).wake_socket().unwrap().send(HostId(1));
    assert!(is_woken(&socket).await);
    drop(nexts);

    machine.hosts[1] = None;
    assert_eq!(machine.fleet.reap(Nanos(1)), [HostId(1)]);
    assert!(!names(&machine.dir).contains(&name));
}

#[tokio::test]
async fn a_wake_socket_of_the_dead_is_taken_over() {
    let mut machine = Machine::new(8, 2, 1, 1);
    let left = machine.host(HostId(1)).wake_socket().unwrap();
    machine.hosts[1] = None;
    machine.hosts[1] = Some(join(&machine.dir, 1));
    let socket = machine.host(HostId(1)).wake_socket().unwrap();
    drop(left);
    machine.host(HostId(0)).wake_socket().unwrap().send(HostId(1));
    assert!(is_woken(&socket).await);
}

/// Three targets, of which one slot at the second is taken.
fn one_taken() -> (Machine, Slot) {
    let mut machine = Machine::new(8, 1, 2, 1);
    (1..=3).for_each(|n| machine.fleet.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO));
    let slot = machine.reserve_at(HostId(0), TargetId(2)).unwrap();
    (machine, slot)
}

#[test]
fn of_a_damaged_file_rows_and_cells_are_believed() {
    let (machine, slot) = one_taken();
    let shared = &machine.fleet.index.shared;
    for index in [shared.load(), shared.order(), shared.place()] {
        index.iter().for_each(|word| word.store(u64::MAX, Relaxed));
    }
    shared.used().store(1 << 40, Relaxed);
    for owner in [0, 77, 30_000] {
        // In the middle of an update, by nobody, by a seat that is free, by one that there is not.
        shared.version().store(7 * lock::STEP + owner, Relaxed);
        let path = machine.dir.path().join("map");
        let fleet = LoadMap::open(&path).unwrap();
        assert_eq!(fleet.index.lowest(&[]).map(|low| (low.count, low.len)), Some((0, 2)));
        assert_eq!((fleet.in_flight(TargetId(2)), fleet.total_in_flight()), (1, 1));
    }
    assert_eq!(machine.any().ready(), 3);
    assert!(machine.fleet.index.release(HostId(0), &slot, Nanos(1)).is_some());
}

#[test]
fn of_two_rows_of_one_target_one_counts() {
    let (machine, _slot) = one_taken();
    machine.fleet.index.shared.name()[2].store(1 << 32, Relaxed);
    let mut map = LoadMap::open(&machine.dir.path().join("map")).unwrap();
    assert_eq!((map.index.shared.used().load(Relaxed), map.index.shared.ready().load(Relaxed)), (2, 2));
    let low = map.index.lowest(&[]).unwrap();
    assert_eq!(map.index.nth(&low, 0, &[]), Some(TargetId(1)));
    assert!(map.index.take(HostId(0), TargetId(1), Some(&low)).is_some());
    map.remove(TargetId(1), 0);
}

#[test]
fn an_update_that_a_panic_ends_is_put_right() {
    let (mut machine, slot) = one_taken();
    let map = machine.host(HostId(0));
    let half = || {
        map.index.lock().write(|| {
            map.index.shared.cells(0)[0].store(2, Relaxed);
            panic!("in the middle");
        })
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(half)).is_err());
    assert!(!lock::is_settled(map.index.shared.version().load(Relaxed)));
    assert_eq!(map.lowest(&[]).map(|low| (low.count, low.len)), Some((0, 1)), "the first is full");
    assert!(lock::is_settled(map.index.shared.version().load(Relaxed)));
    map.release(HostId(0), slot, Nanos(1));
}

#[test]
fn a_seat_left_with_the_lock_is_taken_without_it() {
    let (machine, _slot) = one_taken();
    let path = machine.dir.path().join("map");
    let held = {
        let other = LoadMap::open(&path).unwrap();
        // As if its process had died here.
        std::mem::forget(other.index.lock());
        other.index.shared.version().load(Relaxed)
    };
    assert!(!lock::is_settled(held));
    let next = LoadMap::open(&path).unwrap();
    assert_eq!(next.in_flight(TargetId(2)), 1);
    let after = next.index.shared.version().load(Relaxed);
    assert!(lock::is_settled(after) && after > held);
}
