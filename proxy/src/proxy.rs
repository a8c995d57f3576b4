//! The proxy process before and after T0: until the run starts there is no host, and every request is turned away.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use anyhow::ensure;
use galton_core::Scenario;
use galton_core::host::Endpoint;
use galton_core::table::BucketTable;
use galton_core::wire::{Member, Start};
use galton_runtime::ScenarioClock;
use galton_runtime::load_map::LoadMap;

use crate::engine::{Beginning, Engine, Outside};

/// One load-balancer host's process.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// The scenario.
    pub(crate) scenario: Scenario,
    /// What the host acts upon.
    pub(crate) outside: Rc<Outside>,
    scale: f64,
    /// The shared table, until the host takes it; none with a policy that shares nothing.
    map: RefCell<Option<LoadMap>>,
    engine: OnceCell<Rc<Engine>>,
    unnumbered: Cell<u64>,
}

// === impl Proxy ===

impl Proxy {
    /// Before T0. `map`: the shared table, with a policy that has one.
    pub(crate) fn new(scenario: Scenario, scale: f64, outside: Rc<Outside>, map: Option<LoadMap>) -> Self {
        let (engine, unnumbered) = (OnceCell::new(), Cell::new(0));
        Self { scenario, outside, scale, map: RefCell::new(map), engine, unnumbered }
    }

    /// The running host, from T0 on.
    pub(crate) fn engine(&self) -> Option<Rc<Engine>> {
        self.engine.get().cloned()
    }

    /// The run starts, with this fleet. Being told so again changes nothing.
    ///
    /// # Errors
    /// The shared table does not let this host in, or it is another run.
    pub(crate) fn begin(&self, start: Start, version: u64, members: &[Member]) -> anyhow::Result<()> {
        if let Some(engine) = self.engine.get() {
            let own = engine.clock.t0_ns() == start.t0_ns;
            // Its fleet, its load map, its time: all are the old ones. A new process joins the new run.
            ensure!(own, "the scaler started another run; this host belongs to the one before");
            return Ok(());
        }
        let clock = ScenarioClock::new(start.t0_ns, self.scale);
        let members: Vec<Endpoint> = members.iter().map(|member| endpoint(&clock, member)).collect();
        let beginning = Beginning { scenario: &self.scenario, clock, version, members: &members };
        let outside = Rc::clone(&self.outside);
        let engine = match self.map.borrow_mut().take() {
            Some(map) => Engine::begin(&beginning, map.join(self.outside.host, clock.now())?, outside),
            // A private table that stays empty: nothing is shared.
            None => Engine::begin(&beginning, BucketTable::new(0, 0), outside),
        };
        tracing::info!(t0_ns = start.t0_ns, targets = members.len(), "the run starts");
        self.engine.set(engine).expect("it was empty above, and nothing here waits");
        Ok(())
    }

    /// A number for a request that came without one.
    pub(crate) fn next_unnumbered(&self) -> u64 {
        self.unnumbered.replace(self.unnumbered.get() + 1)
    }
}

/// The balancer's record of a member.
pub(crate) fn endpoint(clock: &ScenarioClock, member: &Member) -> Endpoint {
    Endpoint::new(member.target, member.incarnation, clock.scenario(member.since_ns))
}
