//! A fake target server: holds requests for their demand, refuses above its limit.
//!
//! One thread holds all requests (`server`, `app`); demand comes with the request or is drawn (`demand`); a hold
//! ends by the precise timer, by burning CPU on threads of its own (`burn`), or by shared progress (`slowdown`). The
//! admin port has a thread of its own and asks the first one (`control`).

mod app;
mod burn;
mod config;
mod control;
mod demand;
mod hold;
mod metrics;
mod server;
mod slowdown;

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use galton_core::wire::Announce;
use galton_core::{Incarnation, TargetId};
use galton_runtime::admin::{self, Routes};
use galton_runtime::book::Book;
use galton_runtime::role::{self, RoleArgs};
use galton_runtime::shutdown::Cause;
use galton_runtime::{Shutdown, child, telemetry};
use tokio::net::TcpListener;

use crate::app::App;
use crate::config::Config;
use crate::metrics::Metrics;

/// How long a target that is told to stop goes on with what it holds. Whoever wants more drains it first.
const STOP_DRAIN: Duration = Duration::from_secs(1);

/// Flags of a target.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What all roles share.
    #[command(flatten)]
    pub role: RoleArgs,
    /// Name of the slot
    #[arg(long, value_name = "NAME", default_value = "t-001", env = "GALTON_TARGET")]
    pub target: TargetId,
    /// The how-many-eth process of the slot, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub incarnation: Incarnation,
    /// Threads that spend CPU time (`cpu_mode: burn`): the cores of this target
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=256),
        env = "GALTON_BURN_THREADS"
    )]
    pub burn_threads: u32,
}

/// Runs a target until it is told to stop.
///
/// # Errors
/// It could not start: the scenario is wrong, an address is taken, the book cannot be created.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init("target");
    let config = Config::load(&args)?;
    let shutdown = Shutdown::listen(args.role.lifeline)?;
    role::raise_descriptor_limit();
    role::run_on_time(serve(args, config, shutdown))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: Args, config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let registry = prometheus::Registry::new();
    telemetry::register_process(&registry, "target")?;
    let book = Book::create(args.role.book.as_deref())?;
    book.register(&registry)?;
    let metrics = Metrics::new(&config, &book, &registry)?;

    let listener = TcpListener::from_std(role::bind(args.role.listen)?).context("cannot watch the data socket")?;
    let data = listener.local_addr().context("cannot read the data address")?;
    let ready = Arc::new(AtomicBool::new(true));
    let app = Rc::new(App::new(config, metrics, ready.clone())?);
    let routes = Routes { ready, registry, handler: Some(control::handler(control::listen(app.clone()))) };
    let admin = admin::spawn(args.role.admin, routes)?.addr;
    announce(args.role.advertised(data)?, args.role.advertised(admin)?)?;

    tokio::task::spawn_local(server::accept(listener, app.clone()));
    let cause = shutdown.wait().await;
    if cause != Cause::Orphaned {
        app.drain(STOP_DRAIN).await;
    }
    let held = app.close();
    tracing::info!(?cause, held, "stopped");
    Ok(())
}

fn announce(data: String, admin: String) -> anyhow::Result<()> {
    let announce = Announce { role: "target".to_owned(), data: Some(data), admin, pid: std::process::id() };
    child::announce(&announce).context("cannot announce on stdout")
}
