//! `galton healthcheck`: for containers that hold no shell, curl or wget.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use galton_runtime::{http_client, role, terminal};

/// Shorter than the pause between two checks.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whom to ask.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the admin port
    #[arg(long, value_name = "ADDR", env = "GALTON_ADMIN")]
    admin: SocketAddr,
}

/// Exits with 0 if the process is ready, and says why if it is not.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let admin = reachable(args.admin).to_string();
    match role::run_local(http_client::get(&admin, "/readyz", PATIENCE)) {
        Ok(answer) if answer.status.is_success() => Ok(ExitCode::SUCCESS),
        Ok(answer) => {
            terminal::note(format_args!("{admin}: not ready ({})", answer.status));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            terminal::note(format_args!("{error:#}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A process that listens on every address is found on this machine's own.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}
