//! Idle connections of HTTP/1: nothing is kept of them but the socket and what it takes to go on.
//!
//! Most connections of most clients wait for a next request most of the time. What the HTTP library keeps for one, its
//! buffers above all, a task and a timer take some 15 kB, and what is kept here a hundredth of that. One task waits for
//! all of them, and one look at them every now and then finds those that have waited for too long. HTTP/2 connections
//! have state that both sides know of (windows, header tables) and stay as they are.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use galton_runtime::book::Cell;
use galton_runtime::readiness::Readiness;
use slab::Slab;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// A connection as it is known while nothing happens on it.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Where it comes from.
    pub(crate) peer: IpAddr,
    /// Requests so far: after the first it is certain that it speaks HTTP/1.
    pub(crate) served: u64,
    /// Its place among all.
    #[expect(dead_code, reason = "it is held")]
    pub(crate) place: OwnedSemaphorePermit,
}

/// All parked connections of a host.
#[derive(Debug)]
pub(crate) struct Parking {
    readiness: Readiness,
    parked: RefCell<Slab<Parked>>,
    count: Cell,
}

#[derive(Debug)]
struct Parked {
    stream: TcpStream,
    standing: Standing,
    until: Instant,
}

// === impl Parking ===

impl Parking {
    /// An empty one, which says in that gauge how many there are. Must be called within a tokio runtime.
    pub(crate) fn new(count: Cell) -> io::Result<Self> {
        Ok(Self { readiness: Readiness::new()?, parked: RefCell::default(), count })
    }

    /// Parks a connection for so long at most.
    pub(crate) fn park(&self, stream: tokio::net::TcpStream, standing: Standing, patience: Duration) -> io::Result<()> {
        let stream = stream.into_std()?;
        let mut parked = self.parked.borrow_mut();
        let place = parked.vacant_entry();
        self.readiness.add(&stream, place.key())?;
        place.insert(Parked { stream, standing, until: Instant::now() + patience });
        self.count.set(parked.len() as u64);
        Ok(())
    }

    /// Waits for bytes on any of them, and has those connections served, with what came first. One that has ended is gone.
    pub(crate) async fn wait(
        &self,
        scratch: &mut [u8],
        mut serve: impl FnMut(TcpStream, Standing, Bytes),
    ) -> io::Result<()> {
        let come = |key| {
            let Some((parked, n)) = self.take(key, scratch) else { return };
            serve(parked.stream, parked.standing, Bytes::copy_from_slice(&scratch[..n]));
        };
        self.readiness.ready(come).await
    }

    /// Closes those that have waited for too long.
    pub(crate) fn expire(&self, now: Instant) {
        self.keep(|parked| parked.until > now);
    }

    /// Closes all of them.
    pub(crate) fn clear(&self) {
        self.keep(|_| false);
    }

    fn keep(&self, mut keep: impl FnMut(&Parked) -> bool) {
        let mut parked = self.parked.borrow_mut();
        parked.retain(|_, parked| keep(parked));
        self.count.set(parked.len() as u64);
    }

    /// The connection that so many bytes were read of; none if it goes on waiting, or has ended.
    fn take(&self, key: usize, bytes: &mut [u8]) -> Option<(Parked, usize)> {
        let mut all = self.parked.borrow_mut();
        let read = all.get_mut(key)?.stream.read(bytes);
        if read.as_ref().is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)) {
            return None;
        }
        let parked = all.remove(key);
        self.count.set(all.len() as u64);
        let n = read.ok().filter(|n| *n > 0)?;
        self.readiness.remove(&parked.stream).ok()?;
        Some((parked, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_connection_is_small() {
        let size = size_of::<Parked>();
        assert!(size <= 72, "{size} bytes");
    }
}
