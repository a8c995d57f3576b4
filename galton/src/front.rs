//! `galton front`: one address for all load-balancer hosts, for people and for other load generators.
//!
//! It passes bytes on, connection by connection, to the proxies that the scaler knows of, in turn. It reads no HTTP and decides
//! nothing about requests. Our own load generator goes past it: which host gets a request is part of the plan.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use galton_core::wire::HostInfo;
use galton_runtime::admin::{self, Routes};
use galton_runtime::{Shutdown, http_client, role, telemetry, terminal};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at the same time: each is two descriptors. The next one waits.
const CONNECTIONS: usize = 8_192;
/// How often the scaler is asked who is there.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a proxy may take to accept; then the next one is tried.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// After a failed accept (descriptors ran out, most likely), others get time to close theirs.
const PAUSE: Duration = Duration::from_millis(100);

/// Where to listen, and whom to ask for the proxies.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Address to serve
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", env = "GALTON_LISTEN")]
    listen: SocketAddr,
    /// Address of the admin port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", env = "GALTON_ADMIN")]
    admin: SocketAddr,
    /// Address of the scaler's admin port
    #[arg(long, value_name = "ADDR", env = "GALTON_SCALER")]
    scaler: String,
}

/// The proxies, as far as is known.
#[derive(Debug, Default)]
struct Proxies {
    all: RefCell<Vec<HostInfo>>,
    next: Cell<usize>,
}

#[derive(Clone, Debug)]
struct Metrics {
    connections: IntCounterVec,
    failures: IntCounter,
    open: IntGauge,
}

/// Serves until told to stop; what is open then is cut.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init("front");
    let shutdown = Shutdown::listen(false)?;
    role::raise_descriptor_limit();
    let registry = Registry::new();
    telemetry::register_process(&registry, "front")?;
    let metrics = Metrics::register(&registry)?;
    let ready = Arc::new(AtomicBool::new(false));
    let listener = role::bind(args.listen)?;
    let admin = admin::spawn(args.admin, Routes { ready: ready.clone(), registry, handler: None })?;
    terminal::say(format_args!("serving http://{}/, metrics http://{}/metrics", listener.local_addr()?, admin.addr));
    role::run_on_time(async move {
        let listener = TcpListener::from_std(listener).context("cannot watch the socket")?;
        let proxies = Rc::new(Proxies::default());
        tokio::task::spawn_local(follow(args.scaler, Rc::clone(&proxies), metrics.clone(), ready));
        tokio::select! {
            _ = shutdown.wait() => Ok(ExitCode::SUCCESS),
            never = accept(listener, proxies, metrics) => match never {},
        }
    })
}

/// Keeps the list of proxies; ready while it is known and not empty.
async fn follow(scaler: String, proxies: Rc<Proxies>, metrics: Metrics, ready: Arc<AtomicBool>) {
    loop {
        match hosts(&scaler).await {
            Ok(all) => {
                ready.store(!all.is_empty(), Ordering::Relaxed);
                // A proxy that gets none counts 0, and is not missing.
                all.iter().for_each(|proxy| drop(metrics.of(proxy)));
                proxies.all.replace(all);
            }
            // The proxies that were there may still serve: the list stays.
            Err(error) => tracing::warn!("the scaler does not say who is there: {error:#}"),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn hosts(scaler: &str) -> anyhow::Result<Vec<HostInfo>> {
    let answer = http_client::get(scaler, "/v1/hosts", ANSWER_WITHIN).await?;
    ensure!(answer.status.is_success(), "{scaler} answered {}", answer.status);
    serde_json::from_slice(&answer.body).context("the list of hosts")
}

async fn accept(listener: TcpListener, proxies: Rc<Proxies>, metrics: Metrics) -> std::convert::Infallible {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((client, _)) => {
                let (proxies, metrics) = (Rc::clone(&proxies), metrics.clone());
                tokio::task::spawn_local(async move {
                    metrics.open.inc();
                    pass_on(client, &proxies, &metrics).await;
                    metrics.open.dec();
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Until one side closes. A client for whom there is no proxy is closed at once: no answer of ours could be told from one of theirs.
async fn pass_on(mut client: TcpStream, proxies: &Proxies, metrics: &Metrics) {
    let Some((of, mut proxy)) = proxies.connect().await else {
        metrics.failures.inc();
        return;
    };
    metrics.of(&of).inc();
    // A socket that is gone already fails below.
    let _ = client.set_nodelay(true);
    let _ = proxy.set_nodelay(true);
    if let Err(error) = copy_bidirectional(&mut client, &mut proxy).await {
        tracing::debug!(%error, "a connection broke");
    }
}

// === impl Proxies ===

impl Proxies {
    /// A connection to the next one that takes it.
    async fn connect(&self) -> Option<(HostInfo, TcpStream)> {
        let all = self.all.borrow().clone();
        let first = self.next.replace(self.next.get().wrapping_add(1));
        for turn in 0..all.len() {
            let proxy = &all[first.wrapping_add(turn) % all.len()];
            match timeout(CONNECT_WITHIN, TcpStream::connect(&proxy.data)).await {
                Ok(Ok(stream)) => return Some((proxy.clone(), stream)),
                failed => tracing::debug!(addr = proxy.data, ?failed, "a proxy does not accept"),
            }
        }
        None
    }
}

// === impl Metrics ===

impl Metrics {
    fn register(registry: &Registry) -> anyhow::Result<Self> {
        let counter = |name, help| IntCounter::new(name, help).context("a metric");
        let metrics = Self {
            connections: IntCounterVec::new(
                Opts::new("galton_front_connections_total", "Connections passed on, by proxy"),
                &["proxy"],
            )?,
            failures: counter("galton_front_failures_total", "Connections for which no proxy was there")?,
            open: IntGauge::new("galton_front_connections", "Connections open").context("a metric")?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.open.clone()))?;
        Ok(metrics)
    }

    /// The connections passed on to this proxy.
    fn of(&self, proxy: &HostInfo) -> IntCounter {
        self.connections.with_label_values(&[proxy.host.to_string()])
    }
}
