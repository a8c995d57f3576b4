//! The data port: accepts connections, parks those that stay idle, and at the end lets what is in flight finish.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use galton_runtime::memory;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::connection;
use crate::front::{Client, Front};
use crate::limits::{self, ClientLimits};
use crate::parking::Standing;
use crate::proxy::Proxy;

/// How much this process takes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// Client connections.
    pub(crate) connections: usize,
    /// Requests whose response is not complete.
    pub(crate) in_flight: usize,
}

/// The data port of one host.
#[derive(Debug)]
pub(crate) struct Server {
    front: Rc<Front>,
    connections: usize,
    places: Arc<Semaphore>,
}

/// The most connections served at a time since memory was last given back.
#[derive(Debug, Default)]
struct Crowd {
    most: usize,
}

// === impl Capacity ===

impl Capacity {
    /// With so many descriptors: one per connection, and one per request in flight for its connection to a target.
    pub(crate) fn of(descriptors: usize) -> Self {
        let usable = descriptors.saturating_sub(limits::RESERVED_DESCRIPTORS);
        let connections = (usable / 8 * limits::CONNECTIONS_EIGHTHS).clamp(1, limits::CONNECTIONS);
        let in_flight = (usable - connections.min(usable)).min(connections / 8 * limits::IN_FLIGHT_EIGHTHS);
        Self { connections, in_flight: in_flight.max(1) }
    }
}

// === impl Server ===

impl Server {
    /// A server that accepts nothing yet. Must be called within a tokio runtime.
    pub(crate) fn new(proxy: Rc<Proxy>, limits: ClientLimits, capacity: Capacity) -> io::Result<Self> {
        let Capacity { connections, in_flight } = capacity;
        let front = Front::new(proxy, limits, in_flight)?;
        Ok(Self { front, connections, places: Arc::new(Semaphore::new(connections)) })
    }

    /// Accepts on all of them for ever, and looks after the idle connections.
    pub(crate) async fn accept_all(&self, listeners: &[TcpListener]) -> Infallible {
        let accepting = listeners.iter().map(|listener| Box::pin(self.accept(listener)));
        tokio::select! {
            (never, ..) = futures_util::future::select_all(accepting) => never,
            never = self.sweep() => never,
            never = self.unpark() => never,
        }
    }

    /// Accepts for ever; beyond the limit, connections wait in the backlog.
    async fn accept(&self, listener: &TcpListener) -> Infallible {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    unbuffered(&stream, peer);
                    let standing = Standing { peer: peer.ip(), served: 0, place };
                    spawn_local(connection(Rc::clone(&self.front), stream, Bytes::new(), standing));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Looks for those to park and those that have been parked for too long; gives back what was theirs.
    async fn sweep(&self) -> Infallible {
        let front = &self.front;
        let mut ticks = interval(front.limits.park_after() / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut crowd = Crowd::default();
        loop {
            ticks.tick().await;
            front.look();
            ticks.tick().await;
            front.parking.expire(Instant::now());
            // Those that were to be parked are, and those that were served in between are seen.
            if crowd.is(front.serving()) {
                memory::give_back();
            }
        }
    }

    /// Serves those that have been parked and on which bytes come.
    async fn unpark(&self) -> Infallible {
        let mut scratch = vec![0; limits::FIRST_BYTES];
        let serve = |stream, standing, first| match TcpStream::from_std(stream) {
            Ok(stream) => drop(spawn_local(connection(Rc::clone(&self.front), stream, first, standing))),
            Err(error) => tracing::warn!(%error, "cannot serve a parked connection"),
        };
        loop {
            if let Err(error) = self.front.parking.wait(&mut scratch, serve).await {
                tracing::warn!(%error, "cannot wait for parked connections");
            }
            yield_now().await;
        }
    }

    /// Lets what is in flight finish; false if it took too long.
    pub(crate) async fn drain(&self) -> bool {
        self.front.drain();
        let all = self.places.acquire_many(self.connections as u32);
        tokio::time::timeout(self.front.limits.drain(), all).await.is_ok()
    }
}

// === impl Crowd ===

impl Crowd {
    /// So many there are now; whether that is much less than there were.
    fn is(&mut self, now: usize) -> bool {
        self.most = self.most.max(now);
        let gone = self.most - now >= limits::FEWER_CONNECTIONS.max(self.most / 2);
        if gone {
            self.most = now;
        }
        gone
    }
}

/// One connection, of which these bytes were read already, until it ends or is parked.
async fn connection(front: Rc<Front>, stream: TcpStream, first: Bytes, standing: Standing) {
    let client = Client::enter(&front, standing.peer, standing.served).await;
    let Some(stream) = connection::serve(stream, first, Rc::clone(&client)).await else { return };
    let served = client.served();
    let patience = if served > 0 { front.limits.idle() } else { front.limits.head() };
    // It has been idle for some of it.
    let patience = patience.saturating_sub(front.limits.park_after());
    if !front.draining()
        && let Err(error) = front.parking.park(stream, Standing { served, ..standing }, patience)
    {
        tracing::warn!(%error, "cannot park a connection");
    }
}

fn unbuffered(stream: &TcpStream, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot switch off Nagle's algorithm");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_when_most_are_gone_and_not_while_they_come_and_go() {
        let mut crowd = Crowd::default();
        let mut gone = |sizes: &[usize]| sizes.iter().filter(|size| crowd.is(**size)).count();
        assert_eq!(gone(&[0, 63, 0, 63]), 0, "few");
        assert_eq!(gone(&[1000, 600, 1000, 501, 900]), 0, "most are there");
        assert_eq!(gone(&[500, 500, 499]), 1);
        assert_eq!(gone(&[200, 200, 300, 0]), 2);
    }
}
