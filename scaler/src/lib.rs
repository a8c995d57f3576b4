//! The scaling service: owns the fleet, starts, watches and stops target processes.
//!
//! What is to be done, and when, is decided by [`galton_core::fleet`]; this crate does it.

mod api;
mod discovery;
mod driver;
mod files;
mod journal;
mod load_rows;
mod metrics;
mod processes;
mod target_requests;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use galton_core::Scenario;
use galton_core::wire::Announce;
use galton_runtime::admin::{self, Routes};
use galton_runtime::book::Book;
use galton_runtime::role::{self, RoleArgs};
use galton_runtime::timer::Timer;
use galton_runtime::{Shutdown, child, scenario_file, telemetry, terminal};
use tokio::sync::mpsc;

use crate::driver::{Driver, EVENTS_WAITING, Parts};
use crate::files::Files;
use crate::journal::Journal;
use crate::load_rows::LoadRows;
use crate::metrics::Metrics;
use crate::processes::{Processes, Program};
use crate::target_requests::TargetRequests;

/// Wrong usage or configuration.
const WRONG_USAGE: u8 = 2;

/// Flags of the scaler. Its targets listen on the address of `--listen`, with their admin ports too.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What all roles share.
    #[command(flatten)]
    pub role: RoleArgs,
    /// Directory of the run: fleet.jsonl, book/, log/ and metrics/ are written there; without it nothing is kept
    #[arg(long, value_name = "DIR", env = "GALTON_RUN_DIR")]
    pub run_dir: Option<PathBuf>,
    /// File for the load map that least connections shares [default: load.map in the run directory]
    #[arg(long, value_name = "FILE", env = "GALTON_MAP")]
    pub map: Option<PathBuf>,
    /// The galton program that targets are started from [default: this one]
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Begin scenario time as soon as the initial fleet is up, not when told to
    #[arg(long, env = "GALTON_AUTOSTART")]
    pub autostart: bool,
    /// Room for so many load-balancer hosts [default: as many as the scenario has]
    #[arg(long, value_name = "N", env = "GALTON_HOSTS")]
    pub hosts: Option<u32>,
}

/// Runs the scaler until it is told to stop; no target is left then.
///
/// # Errors
/// It could not start (a target of the initial fleet failed, say), or what happened could not be written down.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init("scaler");
    let scenario = match scenario(&args) {
        Ok(scenario) => scenario,
        Err(error) => {
            terminal::note(format_args!("{error:#}"));
            return Ok(ExitCode::from(WRONG_USAGE));
        }
    };
    let shutdown = Shutdown::listen(args.role.lifeline)?;
    role::raise_descriptor_limit();
    role::run_on_time(serve(args, scenario, shutdown))?;
    Ok(ExitCode::SUCCESS)
}

fn scenario(args: &Args) -> anyhow::Result<Scenario> {
    anyhow::ensure!(
        args.role.listen.port() == 0,
        "--listen {}: targets need a port each, so it must be 0",
        args.role.listen
    );
    let hosts = args.hosts.map(|hosts| ("load_balancer.hosts".to_owned(), hosts.to_string()));
    let load = |path: &Path| scenario_file::load(path, hosts.as_slice());
    Ok(args.role.scenario.as_deref().map(load).transpose()?.unwrap_or_default())
}

async fn serve(args: Args, scenario: Scenario, shutdown: Shutdown) -> anyhow::Result<()> {
    let files = Rc::new(Files::prepare(args.run_dir.as_deref())?);
    let journal = Journal::create(files.journal())?;
    let registry = prometheus::Registry::new();
    telemetry::register_process(&registry, "scaler")?;
    let book = Book::create(args.role.book.as_deref())?;
    let metrics = Metrics::new(&book, &registry, &scenario.scaling)?;
    book.register(&registry)?;
    let requests = TargetRequests::new(&registry)?;

    let (events, received) = mpsc::channel(EVENTS_WAITING);
    let ready = Arc::new(AtomicBool::new(false));
    let handler = api::handler(events.clone(), journal.history(), shutdown.clone());
    let admin = admin::spawn(args.role.admin, Routes { ready: ready.clone(), registry, handler: Some(handler) })?;
    let admin = args.role.advertised(admin.addr)?;
    // After the port: whom it is refused shall not take the map away from the scaler that has it.
    let map = args.map.clone().unwrap_or_else(|| files.load_map());
    let rows = LoadRows::create(&map, &scenario)?;
    announce(admin.clone())?;

    let processes = Processes::new(program(&args)?, files, requests, events.clone());
    let (time_scale, autostart) = (args.role.time_scale, args.autostart);
    let timer = Timer::new().context("the precise timer")?;
    let parts =
        Parts { scenario, time_scale, admin, autostart, ready, events, timer, processes, journal, metrics, rows };
    Driver::new(parts).serve(received, &shutdown).await
}

fn announce(admin: String) -> anyhow::Result<()> {
    let announce = Announce { role: "scaler".to_owned(), data: None, admin, pid: std::process::id() };
    child::announce(&announce).context("announce on stdout")
}

fn program(args: &Args) -> anyhow::Result<Program> {
    let path = match &args.program {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("find this program")?,
    };
    let (scenario, time_scale) = (args.role.scenario.clone(), args.role.time_scale);
    let advertise = args.role.advertise.clone();
    Ok(Program { path, scenario, time_scale, ip: args.role.listen.ip(), advertise })
}
