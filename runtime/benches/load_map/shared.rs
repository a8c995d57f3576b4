//! The load map as a contender.

use std::cell::Cell;
use std::path::Path;

use galton_core::host::LeastConns;
use galton_core::scenario::Scenario;
use galton_core::table::{FleetRows, Head, LoadTable, Lowest, Moved, RowState, Slot};
use galton_core::{HostId, Nanos, RequestId, TargetId};
use galton_runtime::load_map::{HostMap, LoadMap};

use crate::contender::Contender;

/// Idle below one slot, as a fleet that scales down has it.
const IDLE_THRESHOLD: u32 = 1;

/// A fleet that is ready, of the size that a scaler gives it: as many rows again for targets that are replaced.
pub(crate) fn create(path: &Path, targets: u32, hosts: u32) -> anyhow::Result<LoadMap> {
    let limit = Scenario::default().targets.max_concurrency;
    let mut fleet = LoadMap::create(path, 2 * targets + 64, hosts, limit, IDLE_THRESHOLD)?;
    (1..=targets).for_each(|n| fleet.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO));
    Ok(fleet)
}

/// A host.
pub(crate) struct Map {
    policy: LeastConns,
    host: HostId,
    table: Watched,
}

/// Counts looks.
struct Watched {
    map: HostMap,
    looks: Cell<u64>,
}

// === impl Map ===

impl Map {
    pub(crate) fn join(path: &Path, host: u32) -> anyhow::Result<Self> {
        let host = HostId(host);
        let map = LoadMap::open(path)?.join(host, Nanos::ZERO)?;
        let mut scenario = Scenario::default();
        // Other coins in each process.
        scenario.simulation.seed = host.0.into();
        Ok(Self { policy: LeastConns::new(&scenario), host, table: Watched { map, looks: Cell::new(0) } })
    }
}

impl Contender for Map {
    type Slot = Slot;

    fn pick(&mut self, request: u64) -> (Slot, u64) {
        self.table.looks.set(0);
        let slot = self.policy.pick(self.host, RequestId(request), 0, &[], &mut self.table);
        (slot.expect("there is more room than all hosts take"), self.table.looks.get())
    }

    fn release(&mut self, slot: Slot) {
        self.table.release(self.host, slot, Nanos(1));
    }
}

// === impl Watched ===

impl LoadTable for Watched {
    fn lowest(&self, except: &[TargetId]) -> Option<Lowest> {
        self.looks.set(self.looks.get() + 1);
        self.map.lowest(except)
    }
    fn nth(&self, low: &Lowest, k: u32, except: &[TargetId]) -> Option<TargetId> {
        self.map.nth(low, k, except)
    }
    fn position_after(&self, low: &Lowest, after: TargetId, except: &[TargetId]) -> u32 {
        self.map.position_after(low, after, except)
    }
    fn reserve(&mut self, host: HostId, target: TargetId, low: &Lowest) -> Result<Slot, Moved> {
        self.map.reserve(host, target, low)
    }
    fn reserve_at(&mut self, host: HostId, target: TargetId) -> Option<Slot> {
        self.map.reserve_at(host, target)
    }
    fn release(&mut self, host: HostId, slot: Slot, now: Nanos) {
        self.map.release(host, slot, now);
    }
    fn claim(&mut self, now: Nanos, latency: Nanos) -> Nanos {
        self.map.claim(now, latency)
    }
    fn idle(&self, now: Nanos, window: Nanos) -> Vec<TargetId> {
        self.map.idle(now, window)
    }
    fn ready(&self) -> u32 {
        self.map.ready()
    }
    fn set_waiting(&mut self, host: HostId, head: Option<Head>) {
        self.map.set_waiting(host, head);
    }
    fn longest_waiting(&self, refused: bool) -> Option<HostId> {
        self.map.longest_waiting(refused)
    }
}
