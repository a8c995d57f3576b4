//! The proxy process before and after T0: until the run starts there is no host, and every request is turned away.

use std::cell::{Cell, OnceCell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, bail, ensure};
use galton_core::Scenario;
use galton_core::host::Endpoint;
use galton_core::table::BucketTable;
use galton_core::wire::{Member, Start};
use galton_runtime::ScenarioClock;
use galton_runtime::load_map::LoadMap;
use tokio::task::spawn_local;

use crate::engine::{Beginning, Engine, Outside};

/// One load-balancer host's process.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// The scenario.
    pub(crate) scenario: Scenario,
    /// What the host acts upon.
    pub(crate) outside: Rc<Outside>,
    scale: f64,
    /// Where the shared table is; none with a policy that shares nothing.
    map_file: Option<PathBuf>,
    /// The shared table, from when the scaler says which one it is until the host takes it.
    map: RefCell<Option<LoadMap>>,
    engine: OnceCell<Rc<Engine>>,
    unnumbered: Cell<u64>,
}

// === impl Proxy ===

impl Proxy {
    /// Before T0. `map_file`: where the shared table is, with a policy that has one.
    pub(crate) fn new(scenario: Scenario, scale: f64, outside: Rc<Outside>, map_file: Option<PathBuf>) -> Self {
        let (map, engine, unnumbered) = (RefCell::default(), OnceCell::new(), Cell::new(0));
        Self { scenario, outside, scale, map_file, map, engine, unnumbered }
    }

    /// The running host, from T0 on.
    pub(crate) fn engine(&self) -> Option<Rc<Engine>> {
        self.engine.get().cloned()
    }

    /// The scaler says which load map is that of its run. A file of that name may have been left by an earlier one, so it is
    /// not looked for before.
    ///
    /// # Errors
    /// The file is not there, or another run's. A host that runs has its map already.
    pub(crate) fn share(&self, map: Option<u64>) -> anyhow::Result<()> {
        let Some(file) = self.map_file.as_ref().filter(|_| self.engine.get().is_none()) else { return Ok(()) };
        let id = map.context("the scaler has no load map: its scenario has another load_balancer.architecture")?;
        let map = LoadMap::open(file)?;
        let (found, file) = (map.id(), file.display());
        ensure!(found == id, "the load map {file} is of another run: its id is {found}, the scaler's is {id}");
        self.map.replace(Some(map));
        Ok(())
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
            Some(map) => {
                let table = map.join(outside.host, clock.now())?;
                // Not before: the socket is that of whoever has joined.
                let wakes = table.wake_socket()?;
                Engine::begin(&beginning, table, Some(wakes), outside)
            }
            None if self.map_file.is_some() => bail!("the scaler did not say which load map is its own"),
            // A private table that stays empty: nothing is shared.
            None => Engine::begin(&beginning, BucketTable::new(0, 0), None, outside),
        };
        spawn_local(Rc::clone(&engine).listen());
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
