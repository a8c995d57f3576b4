//! `galton up`: proxies, scaler and targets without a load, until interrupted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use galton_core::{HostId, Scenario};
use galton_runtime::{Shutdown, role, telemetry, terminal};

use crate::cluster::{Cluster, Launch, Places, flag};
use crate::scenario_args::ScenarioArgs;
use crate::scratch::Scratch;

/// What to start, and where it listens.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Run S times faster than the scenario says
    #[arg(long, value_name = "S", default_value = "1", value_parser = role::time_scale)]
    time_scale: f64,
    /// Address that all proxies serve together
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Starts everything, prints where it is, and waits.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    telemetry::init("conductor");
    let scenario = args.scenario.load(None)?;
    terminal::say(format_args!("seed {} · {}", scenario.simulation.seed, scenario.name));
    terminal::say(galton_report::sentence(&scenario));
    let shutdown = Shutdown::listen(false)?;
    let scratch = Scratch::new("galton-up-")?;
    let file = scratch.path().join("scenario.json");
    std::fs::write(&file, scenario.to_value().to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;
    role::run_local(serve(&args, &scenario, &scratch, file, &shutdown))
}

async fn serve(
    args: &Args,
    scenario: &Scenario,
    scratch: &Scratch,
    file: PathBuf,
    shutdown: &Shutdown,
) -> anyhow::Result<ExitCode> {
    let launch = Launch::new(file, args.time_scale)?;
    let listen = free(args.listen)?;
    let shared = |_| flag("--shared-listen", listen).to_vec();
    let autostart = vec!["--autostart".to_owned()];
    let Some(mut cluster) = Cluster::start(&launch, scenario, scratch, autostart, shared, shutdown).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    announce(listen, &cluster).await?;
    let died = tokio::select! {
        _ = shutdown.wait() => None,
        died = cluster.first_death() => Some(died),
    };
    cluster.end().await;
    died.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// The address with its port, if nobody else serves it: the proxies share it, and would share it with a stranger of the
/// same user.
fn free(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    role::bind(listen)?.local_addr().context("cannot read the address of a socket")
}

async fn announce(listen: SocketAddr, cluster: &Cluster) -> anyhow::Result<()> {
    terminal::say(format_args!("\nserving     http://{listen}/"));
    for proxy in &cluster.proxies {
        let data = proxy.announce().data.as_deref().unwrap_or("-");
        terminal::say(format_args!("{:11} http://{data}/  metrics http://{}/metrics", proxy.name, proxy.admin()));
    }
    let scaler = cluster.scaler.admin();
    terminal::say(format_args!(
        "{:11} http://{scaler}/v1/targets  metrics http://{scaler}/metrics",
        cluster.scaler.name
    ));
    for target in cluster.targets().await?.targets {
        let (data, admin) = (target.data.unwrap_or_default(), target.admin.unwrap_or_default());
        terminal::say(format_args!("{:11} http://{data}/  metrics http://{admin}/metrics", target.target.to_string()));
    }
    terminal::say(format_args!(
        "\nnow, in another terminal: loadgen --concurrency 50 --num-requests 5000 http://{listen}/"
    ));
    terminal::say("Ctrl-C stops everything.");
    Ok(())
}

/// Everything that the processes share; nothing is recorded.
impl Places for Scratch {
    fn book(&self, process: &str) -> Option<PathBuf> {
        Some(self.path().join(format!("{process}.book")))
    }

    fn log(&self, _process: &str) -> Option<PathBuf> {
        None
    }

    fn records(&self, _host: HostId) -> Option<PathBuf> {
        None
    }

    fn run_dir(&self) -> Option<&Path> {
        None
    }

    fn map(&self) -> PathBuf {
        self.path().join("load.map")
    }
}
