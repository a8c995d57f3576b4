//! The data port: accepts connections, and at the end lets what is in flight finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_local;

use crate::connection;
use crate::front::{Client, Front};
use crate::limits::{self, ClientLimits};
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
    /// A server that accepts nothing yet.
    pub(crate) fn new(proxy: Rc<Proxy>, limits: ClientLimits, capacity: Capacity) -> Self {
        let Capacity { connections, in_flight } = capacity;
        Self { front: Front::new(proxy, limits, in_flight), connections, places: Arc::new(Semaphore::new(connections)) }
    }

    /// Accepts on all of them for ever.
    pub(crate) async fn accept_all(&self, listeners: &[TcpListener]) -> Infallible {
        let accepting = listeners.iter().map(|listener| Box::pin(self.accept(listener)));
        futures_util::future::select_all(accepting).await.0
    }

    /// Accepts for ever; beyond the limit, connections wait in the backlog.
    async fn accept(&self, listener: &TcpListener) -> Infallible {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => drop(spawn_local(connection(Rc::clone(&self.front), stream, peer, place))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Lets what is in flight finish; false if it took too long.
    pub(crate) async fn drain(&self) -> bool {
        self.front.drain();
        let all = self.places.acquire_many(self.connections as u32);
        tokio::time::timeout(self.front.limits.drain(), all).await.is_ok()
    }
}

/// One connection, in its place among all.
async fn connection(front: Rc<Front>, stream: TcpStream, peer: SocketAddr, _place: OwnedSemaphorePermit) {
    let client = Client::enter(front, peer.ip()).await;
    connection::serve(stream, client).await;
}
