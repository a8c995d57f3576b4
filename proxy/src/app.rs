//! The process: from arguments to an exit code.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, ensure};
use galton_core::host::{Input, ScaleUpAnswer};
use galton_core::scenario::Architecture;
use galton_core::wire::{Announce, HostInfo, HostNumber};
use galton_core::{HostId, Scenario};
use galton_runtime::admin::{self, Routes};
use galton_runtime::book::Book;
use galton_runtime::records::RecordWriter;
use galton_runtime::role::{self, RoleArgs};
use galton_runtime::shutdown::Cause;
use galton_runtime::timer::Timer;
use galton_runtime::{Shutdown, child, http_client, scenario_file, telemetry};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::spawn_local;

use crate::engine::Outside;
use crate::limits::{self, ClientLimits};
use crate::metrics::Metrics;
use crate::posts::{self, Post, Posts};
use crate::proxy::Proxy;
use crate::ready::Ready;
use crate::recording::Recording;
use crate::server::{Capacity, Server};
use crate::threads::{self, Thread};
use crate::upstream::Upstreams;
use crate::watch::Watch;

/// `galton proxy`: one load-balancer host.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(crate) role: RoleArgs,
    /// Which host this is, from 0 (with --threads, the first one); auto: the scaler says
    #[arg(long, value_name = "H|auto", default_value = "0", env = "GALTON_HOST")]
    host: Number,
    /// Load-balancer hosts of this process: each has a thread and a number of its own, all share the data port
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64), env = "GALTON_THREADS")]
    threads: u32,
    /// A second address, which all proxies of a machine serve together
    #[arg(long, value_name = "ADDR", env = "GALTON_SHARED_LISTEN")]
    shared_listen: Option<SocketAddr>,
    /// Address of the scaler's admin port
    #[arg(long, value_name = "ADDR", env = "GALTON_SCALER")]
    pub(crate) scaler: String,
    /// The load map shared by all hosts (least connections), created by the scaler
    #[arg(long, value_name = "FILE", env = "GALTON_MAP")]
    pub(crate) map: Option<PathBuf>,
    /// Write decision records here; with --threads, each host into FILE.H
    #[arg(long, value_name = "FILE", env = "GALTON_RECORDS")]
    records: Option<PathBuf>,
    /// Which requests have decision records and times in the head of their response: off, sample:N (one in N), all
    #[arg(long, value_name = "WHICH", default_value = "all", env = "GALTON_RECORDING")]
    pub(crate) recording: Recording,
    #[command(flatten)]
    pub(crate) limits: ClientLimits,
}

/// `--host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Fixed(HostId),
    Auto,
}

/// Runs a load-balancer host until it is told to stop.
///
/// # Errors
/// What kept it from starting, or broke it; a fault of arguments or scenario is exit code 2 and not an error.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init("proxy");
    let scenario = match configured(&args) {
        Ok(scenario) => scenario,
        Err(error) => {
            tracing::error!("{error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    let shutdown = Shutdown::listen(args.role.lifeline)?;
    let registry = prometheus::Registry::new();
    telemetry::register_process(&registry, "proxy")?;
    let book = Book::create(args.role.book.as_deref())?;
    book.register(&registry)?;
    let hosts = hosts(&args)?;
    let metrics = |host: &HostId| Metrics::new(book.clone(), *host);
    let metrics = hosts.iter().map(metrics).collect::<Result<Vec<_>, _>>()?;
    let listeners = listen(&args)?;
    let data = args.role.advertised(listeners[0][0].local_addr()?)?;
    let ready = Arc::new(AtomicBool::new(false));
    let admin = admin::spawn(args.role.admin, Routes { ready: Arc::clone(&ready), registry, handler: None })?;
    let admin = args.role.advertised(admin.addr)?;
    let announce =
        Announce { role: "proxy".to_owned(), data: Some(data.clone()), admin: admin.clone(), pid: std::process::id() };
    let capacity = Capacity::of(descriptors() / hosts.len());
    let ready = Ready::parts(hosts.len(), &ready);
    let parts = hosts.into_iter().zip(metrics).zip(listeners).zip(ready);
    let threads = parts.map(|(((host, metrics), listeners), ready)| {
        let info = HostInfo { host, data: data.clone(), admin: admin.clone() };
        let (args, scenario, shutdown) = (args.clone(), scenario.clone(), shutdown.clone());
        Thread { args, scenario, metrics, info, listeners, ready, capacity, shutdown }
    });
    threads::run(threads.collect(), || Ok(child::announce(&announce)?))
}

/// The numbers of this process's hosts.
fn hosts(args: &Args) -> anyhow::Result<Vec<HostId>> {
    let nth = |n| match args.host {
        Number::Fixed(first) => first.0.checked_add(n).map(HostId).context("--host: no number is left for --threads"),
        Number::Auto => role::run_local(number(&args.scaler)),
    };
    (0..args.threads).map(nth).collect()
}

/// For each host its listening sockets: one of its own, and one of the shared address.
fn listen(args: &Args) -> anyhow::Result<Vec<Vec<TcpListener>>> {
    let first = if args.threads == 1 { role::bind(args.role.listen) } else { role::bind_shared(args.role.listen) }?;
    let data = first.local_addr()?;
    let mut listeners = vec![vec![first]];
    for _ in 1..args.threads {
        listeners.push(vec![role::bind_shared(data)?]);
    }
    for host in &mut listeners {
        host.extend(args.shared_listen.map(role::bind_shared).transpose()?);
    }
    Ok(listeners)
}

/// Asks the scaler for a number until it gives one: it may be starting, or still think of a host that has died.
async fn number(scaler: &str) -> anyhow::Result<HostId> {
    let deadline = tokio::time::Instant::now() + limits::NUMBER;
    let (mut pause, longest) = limits::BACKOFF;
    loop {
        let why = match http_client::post_json(scaler, "/v1/hosts", &(), limits::POST).await {
            Ok(answer) if answer.status.is_success() => {
                return Ok(serde_json::from_slice::<HostNumber>(&answer.body).context("the scaler's answer")?.host);
            }
            Ok(answer) => String::from_utf8_lossy(&answer.body).trim().to_owned(),
            Err(error) => format!("{error:#}"),
        };
        ensure!(tokio::time::Instant::now() < deadline, "no host number within {:?}: {why}", limits::NUMBER);
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}

/// The scenario, if everything fits together.
pub(crate) fn configured(args: &Args) -> anyhow::Result<Scenario> {
    let file = args.role.scenario.as_ref().context("--scenario: a proxy needs one")?;
    let scenario = scenario_file::load(file, &[])?;
    let shares = scenario.load_balancer.architecture == Architecture::LeastConns;
    ensure!(!shares || args.map.is_some(), "--map: least connections need the load map that the scaler created");
    Ok(scenario)
}

/// The proxy with everything it needs that may not be had. Must be called on the data plane's thread.
pub(crate) fn assemble(args: &Args, scenario: Scenario, metrics: Rc<Metrics>, host: HostId) -> anyhow::Result<Proxy> {
    let map = args.map.as_ref().filter(|_| scenario.load_balancer.architecture == Architecture::LeastConns);
    let outside = Outside {
        host,
        timer: Timer::new().context("cannot make the precise timer")?,
        upstreams: Rc::new(Upstreams::new(scenario.targets.max_concurrency)),
        posts: Rc::new(Posts::default()),
        records: records(args, host).as_deref().map(RecordWriter::create).transpose()?.into(),
        recording: args.recording,
        metrics,
    };
    Ok(Proxy::new(scenario, args.role.time_scale, Rc::new(outside), map.cloned()))
}

/// The file of a host's decision records.
fn records(args: &Args, host: HostId) -> Option<PathBuf> {
    let file = args.records.as_ref().filter(|_| args.recording != Recording::Off)?;
    Some(if args.threads == 1 { file.clone() } else { file.with_added_extension(host.to_string()) })
}

/// Serves on the data plane's thread, until told to stop.
pub(crate) async fn serve(
    proxy: Proxy,
    args: Args,
    info: HostInfo,
    listeners: Vec<TcpListener>,
    capacity: Capacity,
    ready: Ready,
    shutdown: Shutdown,
) -> anyhow::Result<ExitCode> {
    let listeners = listeners.into_iter().map(tokio::net::TcpListener::from_std).collect::<Result<Vec<_>, _>>()?;
    let proxy = Rc::new(proxy);
    let ready = Rc::new(ready);
    let Args { limits, scaler, .. } = args;
    let mut watch = spawn_local(Watch::new(Rc::clone(&proxy), scaler.clone(), info, Rc::clone(&ready)).run());
    spawn_local(speak(Rc::clone(&proxy), scaler));
    let server = Server::new(Rc::clone(&proxy), limits, capacity).context("cannot make the data port")?;
    let leave = || proxy.engine().iter().for_each(|engine| engine.leave());
    let cause = tokio::select! {
        cause = shutdown.wait() => cause,
        fatal = &mut watch => {
            let fatal = fatal.context("the watch panicked")?;
            drop(listeners);
            server.drain().await;
            leave();
            return Err(fatal);
        }
        never = server.accept_all(&listeners) => match never {},
    };
    drop(listeners);
    ready.set(false);
    tracing::info!(?cause, "stopping");
    if cause == Cause::Orphaned {
        leave();
        return Ok(ExitCode::FAILURE);
    }
    if !server.drain().await {
        tracing::warn!("requests were still in flight after {} ms", limits.drain_timeout_ms);
    }
    leave();
    Ok(ExitCode::SUCCESS)
}

/// Says to the scaler what the host wants.
async fn speak(proxy: Rc<Proxy>, scaler: String) {
    let posts = Rc::clone(&proxy.outside.posts);
    let heard = |post, taken: bool| {
        let input = match post {
            Post::ScaleUp(call, _) if !taken => Input::ScaleUp { call, answer: ScaleUpAnswer::Refused },
            Post::ScaleDown(target) => Input::ScaleDown { target },
            Post::ScaleUp(..) | Post::LeaveStart(_) | Post::Released(_) => return,
        };
        if let Some(engine) = proxy.engine() {
            engine.feed(input);
        }
    };
    posts::run(posts, scaler, proxy.outside.host, heard).await;
}

/// The most descriptors this process may have, after asking for as many as it may ask for.
fn descriptors() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit on descriptors");
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |n| n as usize)
}

// === impl Number ===

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse()
            .map(|host| Self::Fixed(HostId(host)))
            .map_err(|_| "expected the number of a host, or auto".to_owned())
    }
}
