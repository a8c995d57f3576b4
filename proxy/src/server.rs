//! The data port: accepts connections, serves HTTP/1.1 on each, and at the end lets what is in flight finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{BoxError, ServiceBuilder};
use tracing::Instrument;

use crate::forward::{forward, overloaded};
use crate::limits;
use crate::proxy::Proxy;

/// How much this process takes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// Client connections.
    pub(crate) connections: usize,
    /// Requests that wait for a response head.
    pub(crate) in_flight: usize,
}

/// The data port of one host.
#[derive(Debug)]
pub(crate) struct Server {
    proxy: Rc<Proxy>,
    capacity: Capacity,
    places: Arc<Semaphore>,
    in_flight: GlobalConcurrencyLimitLayer,
    drain: watch::Sender<bool>,
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
    pub(crate) fn new(proxy: Rc<Proxy>, capacity: Capacity) -> Self {
        Self {
            proxy,
            capacity,
            places: Arc::new(Semaphore::new(capacity.connections)),
            in_flight: GlobalConcurrencyLimitLayer::new(capacity.in_flight),
            drain: watch::Sender::new(false),
        }
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
                Ok((stream, peer)) => drop(tokio::task::spawn_local(self.connection(stream, peer, place))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Lets what is in flight finish; false if it took too long.
    pub(crate) async fn drain(&self) -> bool {
        self.drain.send_replace(true);
        let all = self.capacity.connections as u32;
        tokio::time::timeout(limits::DRAIN, self.places.acquire_many(all)).await.is_ok()
    }

    /// One connection, until either side ends it.
    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + use<> {
        let service = self.service(peer);
        let mut draining = self.drain.subscribe();
        async move {
            let _place = place;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "cannot switch off Nagle's algorithm");
            }
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::HEADER_READ)
                .max_buf_size(limits::CLIENT_BUFFER_BYTES)
                .max_header_size(limits::HEADER_BYTES)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = draining.wait_for(|draining| *draining) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "connection to a client broke");
            }
        }
    }

    /// The layers around the policy, outermost first: what finds no room is answered at once rather than kept waiting.
    /// A deadline needs no layer: it is the host's.
    fn service(
        &self,
        peer: SocketAddr,
    ) -> impl tower::Service<
        http::Request<hyper::body::Incoming>,
        Response = http::Response<crate::body::ProxyBody>,
        Error = BoxError,
    > + Clone
    + use<> {
        let (proxy, shedding) = (Rc::clone(&self.proxy), Rc::clone(&self.proxy));
        ServiceBuilder::new()
            .map_result(move |result: Result<_, BoxError>| {
                Ok::<_, BoxError>(result.unwrap_or_else(|_| overloaded(&shedding)))
            })
            .load_shed()
            .layer(self.in_flight.clone())
            .service_fn(move |request: http::Request<_>| {
                let span = tracing::debug_span!("request", %peer, method = %request.method(), uri = %request.uri());
                let response = forward(Rc::clone(&proxy), request, peer.ip());
                async move { Ok::<_, Infallible>(response.await) }.instrument(span)
            })
    }
}
