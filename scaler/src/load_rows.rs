//! The rows of the shared load map, where the policy of the scenario has one.

use std::path::Path;

use anyhow::Context;
use galton_core::scenario::{Architecture, Scenario};
use galton_core::table::{FleetRows, RowState};
use galton_core::{HostId, Incarnation, Nanos, TargetId};
use galton_runtime::load_map::LoadMap;

/// Most rows that a load map may have.
const MOST_ROWS: u32 = 1 << 16;

/// After a host was buried, how often those that wait are woken, look by look: a target may notice only a moment later that the
/// dead one's connections are gone, and refuses until then.
const WAKES: u32 = 3;

/// The scaler's side of the load map; nothing with a policy that shares none.
#[derive(Debug)]
pub(crate) struct LoadRows(Option<Rows>);

#[derive(Debug)]
struct Rows {
    map: LoadMap,
    /// How many hosts were buried when those that wait were last woken for it.
    buried: u64,
    /// How often they are to be woken yet.
    wakes: u32,
}

// === impl LoadRows ===

impl LoadRows {
    /// Creates the map at `path`, if hosts of this scenario share one.
    pub(crate) fn create(path: &Path, scenario: &Scenario) -> anyhow::Result<Self> {
        let balancer = &scenario.load_balancer;
        if balancer.architecture != Architecture::LeastConns {
            return Ok(Self(None));
        }
        // As many again: a row lasts until the last slot on it is given back, when its target is gone already.
        let rows = scenario.scaling.max_targets.saturating_mul(2).min(MOST_ROWS);
        let limit = scenario.targets.max_concurrency;
        let map = LoadMap::create(path, rows, balancer.hosts, limit, balancer.lc.idle_threshold_outstanding);
        let map = map.with_context(|| format!("load map {}", path.display()))?;
        Ok(Self(Some(Rows { map, buried: 0, wakes: 0 })))
    }

    /// The id of the map, if there is one.
    pub(crate) fn id(&self) -> Option<u64> {
        self.0.as_ref().map(|rows| rows.map.id())
    }

    /// Sets a row; no state: removes it.
    pub(crate) fn set(&mut self, target: TargetId, incarnation: Incarnation, state: Option<RowState>, now: Nanos) {
        let Some(Rows { map, .. }) = &mut self.0 else { return };
        match state {
            Some(state) => map.put(target, incarnation, state, now),
            None => map.remove(target, incarnation),
        }
    }

    /// A host is gone: what it held is given back.
    pub(crate) fn forget_host(&mut self, host: HostId, now: Nanos) {
        if let Some(rows) = &mut self.0 {
            rows.map.forget_host(host, now);
        }
    }

    /// Looks for hosts that are gone: gives back what they held, and wakes those that wait for it.
    pub(crate) fn reap(&mut self, now: Nanos) {
        let Some(rows) = &mut self.0 else { return };
        let reaped = rows.map.reap(now);
        if !reaped.is_empty() {
            tracing::info!(hosts = ?reaped, "gave back what hosts held that are gone");
        }
        rows.wake_after_burials();
    }
}

// === impl Rows ===

impl Rows {
    fn wake_after_burials(&mut self) {
        // Whoever joins buries a predecessor, too.
        let buried = self.map.buried();
        if buried != self.buried {
            (self.buried, self.wakes) = (buried, WAKES);
        }
        if self.wakes > 0 {
            self.wakes -= 1;
            self.map.wake_all();
        }
    }
}
