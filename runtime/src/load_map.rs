//! The load table for the processes of one machine: a memory-mapped file.
//!
//! The scaler creates it ([`LoadMap::create`]) and keeps its rows ([`FleetRows`]); every proxy opens it and joins as one
//! host ([`LoadMap::join`]), which is its [`LoadTable`]. A pick is the exact minimum at its moment over all processes:
//! hosts look without a lock and reserve under one, and only if nothing has changed in between.
//!
//! A process may be killed anywhere. What it held is in cells of its own, which the next host of its number or
//! [`LoadMap::reap`] clears; that it is dead is known at once and without a time-out, since the kernel gives up its locks
//! on the file. If it died in the middle of an update, the next update builds the index again.
//!
//! Not here: addresses of targets (hosts learn them with the fleet's changes), and any choice among equals. It does not
//! help against a process that is *stopped* (SIGSTOP) within an update: the others wait until it goes on.

mod index;
mod lock;
#[cfg_attr(galton_loom, path = "load_map/model/memory.rs")]
mod memory;
#[cfg(test)]
#[cfg(galton_loom)]
mod model;
mod scan;
mod shared;
#[cfg(test)]
#[cfg(not(galton_loom))]
mod tests;
mod wake;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, ensure};
use galton_core::table::{FleetRows, Head, LoadTable, Lowest, Moved, RowState, Slot};
use galton_core::{HostId, Incarnation, Nanos, TargetId};

use crate::clock::unix_ns;
use index::{Index, NEVER};
use shared::{Shape, Shared};
pub use wake::WakeSocket;
use wake::Wakes;

/// A load map, as the scaler has it, and a proxy before it joins.
#[derive(Debug)]
pub struct LoadMap {
    index: Index,
    wakes: Arc<Wakes>,
}

/// A load map as one host has it. The host's number is taken until this is dropped or its process dies.
#[derive(Debug)]
pub struct HostMap {
    index: Index,
    host: HostId,
    wakes: Arc<Wakes>,
}

/// A living process has this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("host {0} has joined already")]
pub struct NumberTaken(HostId);

// === impl LoadMap ===

impl LoadMap {
    /// Creates the file `path`, in place of one that is there, with an id of its own.
    ///
    /// `rows`: room for so many targets at a time, restarted and removed ones on which slots are still held included (at
    /// most 65536); `hosts`: room for hosts 0 to `hosts − 1` (at most 1024); `limit`: slots per target; `idle_threshold`:
    /// a target is idle while fewer slots than this are taken, 0: never.
    pub fn create(path: &Path, rows: u32, hosts: u32, limit: u32, idle_threshold: u32) -> anyhow::Result<Self> {
        let new = path.with_added_extension("new");
        let make = || {
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&new)?;
            // Nothing is measured by it: no two maps are made in the same nanosecond.
            let id = unix_ns();
            let index = Index { shared: Shared::create(file, Shape { rows, hosts, limit, idle_threshold }, id)? };
            index.shared.waiting().iter().for_each(|since| since.store(NEVER, Relaxed));
            let wakes = Arc::new(Wakes::open(path, id)?);
            // Under its name only when it is complete; a map of that name goes on for those who have it.
            std::fs::rename(&new, path)?;
            std::io::Result::Ok(Self { index, wakes })
        };
        make().with_context(|| format!("cannot create the load map {}", path.display()))
    }

    /// Opens a map. A file that is not a map, or not a whole one, is an error. What a damaged one has of an index is built
    /// again, as for one that a process left in the middle of an update: only rows and cells are believed.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let open = || {
            let shared = Shared::open(File::options().read(true).write(true).open(path)?)?;
            let wakes = Arc::new(Wakes::open(path, shared.id())?);
            std::io::Result::Ok(Self { index: Index { shared }, wakes })
        };
        let map = open().with_context(|| format!("cannot open the load map {}", path.display()))?;
        map.index.lock().write(|| map.index.rebuild());
        Ok(map)
    }

    /// What tells this map from every other one, also from an earlier one of its name.
    pub fn id(&self) -> u64 {
        self.index.shared.id()
    }

    /// Joins as this host, and gives back what a dead predecessor of its number still held, at `now`.
    ///
    /// An error if the map has no room for this host, or [`NumberTaken`].
    pub fn join(self, host: HostId, now: Nanos) -> anyhow::Result<HostMap> {
        let Self { index, wakes } = self;
        let hosts = index.shared.shape.hosts;
        ensure!(host.0 < hosts, "host {host} cannot join a load map of {hosts} hosts");
        let held = index.lock();
        ensure!(index.shared.own(host.0).context("cannot lock the load map")?, NumberTaken(host));
        index.clear(&held, host, now);
        index.shared.joined()[host.0 as usize].store(1, Relaxed);
        drop(held);
        Ok(HostMap { index, host, wakes })
    }

    /// Gives back, at `now`, what hosts held that joined and have died or left since the last call; says which.
    pub fn reap(&mut self, now: Nanos) -> Vec<HostId> {
        (0..self.index.shared.shape.hosts).map(HostId).filter(|host| self.bury(*host, now)).collect()
    }

    /// How many hosts have been buried so far: by [`Self::reap`], or by the next one of their number.
    pub fn buried(&self) -> u64 {
        self.index.shared.buried().load(Relaxed)
    }

    /// Wakes every host that waits, for as many slots as are free. A host that releases a slot wakes one; a dead one wakes
    /// nobody, and others may have woken it in vain.
    pub fn wake_all(&self) {
        let room = self.index.room().min(u32::MAX.into()) as u32;
        if room == 0 {
            return;
        }
        let waiting = self.index.shared.waiting().iter().zip(0..).filter(|(since, _)| since.load(Relaxed) != NEVER);
        waiting.for_each(|(_, host)| self.wakes.send(HostId(host), &room.to_ne_bytes()));
    }

    /// Whether this host had joined and nobody owns it any more; then what it held has been given back.
    fn bury(&self, host: HostId, now: Nanos) -> bool {
        let shared = &self.index.shared;
        let joined = |at: &HostId| shared.joined().get(at.0 as usize).is_some_and(|joined| joined.load(Relaxed) == 1);
        if !joined(&host) {
            return false;
        }
        // Whoever joins takes the owner lock under this lock as well: neither finds it in the other's hands.
        let held = self.index.lock();
        match shared.own(host.0) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                tracing::error!(%host, %error, "cannot see whether a host is alive");
                return false;
            }
        }
        self.index.clear(&held, host, now);
        shared.joined()[host.0 as usize].store(0, Relaxed);
        self.wakes.unlink(host);
        if let Err(error) = shared.disown(host.0) {
            tracing::error!(%host, %error, "cannot give a dead host's number back");
        }
        true
    }
}

// === impl FleetRows for LoadMap ===

impl FleetRows for LoadMap {
    fn put(&mut self, target: TargetId, incarnation: Incarnation, state: RowState, now: Nanos) {
        self.index.put(target, incarnation, state, now);
    }

    fn remove(&mut self, target: TargetId, incarnation: Incarnation) {
        self.index.remove(target, incarnation);
    }

    /// What [`LoadMap::reap`] does, for one host: one that is alive is left alone, be it the next of its number.
    fn forget_host(&mut self, host: HostId, now: Nanos) {
        self.bury(host, now);
    }

    fn in_flight(&self, target: TargetId) -> u32 {
        self.index.in_flight(target)
    }

    fn total_in_flight(&self) -> u64 {
        self.index.total_in_flight()
    }
}

// === impl HostMap ===

impl HostMap {
    /// The socket on which this host is woken: a file beside the map.
    ///
    /// # Errors
    /// It cannot be made there.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn wake_socket(&self) -> anyhow::Result<WakeSocket> {
        WakeSocket::bind(Arc::clone(&self.wakes), self.host).context("cannot bind the wake socket beside the load map")
    }
}

impl Drop for HostMap {
    fn drop(&mut self) {
        // Closing the file does it as well, but not while a child between its fork and its exec has the file open too.
        if let Err(error) = self.index.shared.disown(self.host.0) {
            tracing::error!(host = %self.host, %error, "cannot give a host's number back");
        }
    }
}

// === impl LoadTable for HostMap ===

impl LoadTable for HostMap {
    fn lowest(&self, except: &[TargetId]) -> Option<Lowest> {
        self.index.lowest(except)
    }

    fn nth(&self, low: &Lowest, k: u32, except: &[TargetId]) -> Option<TargetId> {
        self.index.nth(low, k, except)
    }

    fn position_after(&self, low: &Lowest, after: TargetId, except: &[TargetId]) -> u32 {
        self.index.position_after(low, after, except)
    }

    fn reserve(&mut self, host: HostId, target: TargetId, low: &Lowest) -> Result<Slot, Moved> {
        debug_assert_eq!(host, self.host, "cells belong to their host alone");
        self.index.take(self.host, target, Some(low)).map(|(slot, _)| slot).ok_or(Moved)
    }

    fn reserve_at(&mut self, host: HostId, target: TargetId) -> Option<Slot> {
        debug_assert_eq!(host, self.host, "cells belong to their host alone");
        self.index.take(self.host, target, None).map(|(slot, _)| slot)
    }

    fn release(&mut self, host: HostId, slot: Slot, now: Nanos) {
        debug_assert_eq!(host, self.host, "cells belong to their host alone");
        self.index.release(self.host, &slot, now);
    }

    fn claim(&mut self, now: Nanos, latency: Nanos) -> Nanos {
        let granted = |free: u64| now.max(Nanos(free)) + latency;
        let free = self.index.shared.free().fetch_update(Relaxed, Relaxed, |free| Some(granted(free).0));
        granted(free.unwrap_or_else(|free| free))
    }

    fn idle(&self, now: Nanos, window: Nanos) -> Vec<TargetId> {
        self.index.idle(now, window)
    }

    fn ready(&self) -> u32 {
        self.index.shared.ready().load(Relaxed) as u32
    }

    fn set_waiting(&mut self, host: HostId, head: Option<Head>) {
        debug_assert_eq!(host, self.host, "cells belong to their host alone");
        self.index.shared.waiting()[self.host.0 as usize].store(head.map_or(NEVER, word), Relaxed);
    }

    fn longest_waiting(&self, refused: bool) -> Option<HostId> {
        let waiting = self.index.shared.waiting().iter().map(|word| word.load(Relaxed)).zip(0..);
        let counting = waiting.filter(|(word, _)| *word != NEVER && (refused || word & REFUSED == 0));
        counting.min_by_key(|(word, host)| (word & !REFUSED, *host)).map(|(_, host)| HostId(host))
    }
}

/// The bit of a head that a target has refused.
const REFUSED: u64 = 1 << 63;

/// A head as one word: since when it has been waiting, and whether it has been refused.
fn word(head: Head) -> u64 {
    head.since.0.min(REFUSED - 2) | if head.refused { REFUSED } else { 0 }
}
