//! The rows of the shared load map, where the policy of the scenario has one.

use std::path::Path;

use anyhow::Context;
use galton_core::scenario::{Architecture, Scenario};
use galton_core::table::{FleetRows, RowState};
use galton_core::{HostId, Incarnation, Nanos, TargetId};
use galton_runtime::load_map::LoadMap;

/// Most rows that a load map may have.
const MOST_ROWS: u32 = 1 << 16;

/// The scaler's side of the load map; nothing with a policy that shares none.
#[derive(Debug)]
pub(crate) struct LoadRows(Option<LoadMap>);

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
        Ok(Self(Some(map.with_context(|| format!("load map {}", path.display()))?)))
    }

    /// The id of the map, if there is one.
    pub(crate) fn id(&self) -> Option<u64> {
        self.0.as_ref().map(LoadMap::id)
    }

    /// Sets a row; no state: removes it.
    pub(crate) fn set(&mut self, target: TargetId, incarnation: Incarnation, state: Option<RowState>, now: Nanos) {
        let Some(map) = &mut self.0 else { return };
        match state {
            Some(state) => map.put(target, incarnation, state, now),
            None => map.remove(target, incarnation),
        }
    }

    /// A host is gone: what it held is given back.
    pub(crate) fn forget_host(&mut self, host: HostId, now: Nanos) {
        if let Some(map) = &mut self.0 {
            map.forget_host(host, now);
        }
    }

    /// Gives back what proxies held that died without a word.
    pub(crate) fn reap(&mut self, now: Nanos) {
        let reaped = self.0.as_mut().map(|map| map.reap(now)).unwrap_or_default();
        if !reaped.is_empty() {
            tracing::info!(hosts = ?reaped, "gave back what hosts held that are gone");
        }
    }
}
