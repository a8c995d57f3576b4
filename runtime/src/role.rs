//! What every role's `Args` and `run` begin with: the flags they share, a listening socket, a single-threaded runtime.

use std::future::Future;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Connections that may wait to be accepted: a burst of clients that all connect at once. The kernel has a limit of its own
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// Above this the machine's jitter, some 50 µs, would be as long as 50 ms of scenario time.
const MAX_TIME_SCALE: f64 = 1000.0;

/// Flags that all roles share; to be flattened.
#[derive(Clone, Debug, clap::Args)]
pub struct RoleArgs {
    /// Scenario file (JSON or YAML)
    #[arg(long, value_name = "FILE", env = "GALTON_SCENARIO")]
    pub scenario: Option<PathBuf>,
    /// Run so many times faster than the scenario says (0.25: four times slower)
    #[arg(long, value_name = "S", default_value = "1", value_parser = time_scale, env = "GALTON_TIME_SCALE")]
    pub time_scale: f64,
    /// Address of the data port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", env = "GALTON_LISTEN")]
    pub listen: SocketAddr,
    /// Address of the admin port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", env = "GALTON_ADMIN")]
    pub admin: SocketAddr,
    /// Name or address under which others reach this process [default: where it listens, or what its host name stands for if that is
    /// every address]
    #[arg(long, value_name = "HOST", env = "GALTON_ADVERTISE")]
    pub advertise: Option<String>,
    /// Stop when stdin ends: the parent is gone
    #[arg(long)]
    pub lifeline: bool,
    /// File for the counters, so that they survive a SIGKILL
    #[arg(long, value_name = "FILE", env = "GALTON_BOOK")]
    pub book: Option<PathBuf>,
}

/// Parses a time scale: above 0 and at most 1000.
pub fn time_scale(s: &str) -> Result<f64, String> {
    let scale: f64 = s.parse().map_err(|_| "expected a number".to_owned())?;
    if scale > 0.0 && scale <= MAX_TIME_SCALE {
        Ok(scale)
    } else {
        Err(format!("must be above 0 and at most {MAX_TIME_SCALE}"))
    }
}

impl RoleArgs {
    /// How others reach a socket that is bound to `addr`.
    pub fn advertised(&self, addr: SocketAddr) -> anyhow::Result<String> {
        match &self.advertise {
            Some(host) if host.contains(':') => Ok(format!("[{host}]:{}", addr.port())),
            Some(host) => Ok(format!("{host}:{}", addr.port())),
            None if addr.ip().is_unspecified() => own_address(addr),
            None => Ok(addr.to_string()),
        }
    }
}

/// What the name of this machine (in a container: of the container) stands for, in the family of `addr`.
fn own_address(addr: SocketAddr) -> anyhow::Result<String> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let found = (&*name, addr.port()).to_socket_addrs();
    let mut found =
        found.with_context(|| format!("{name}, the name of this machine, has no address: give --advertise"))?;
    let own = found.find(|own| own.is_ipv4() == addr.is_ipv4() && !own.ip().is_loopback());
    own.map(|own| own.to_string()).with_context(|| {
        format!("{name}, the name of this machine, has no address that others reach: give --advertise")
    })
}

/// Binds a listening socket, non-blocking, ready for `tokio::net::TcpListener::from_std`.
pub fn bind(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let listener = TcpListener::bind(addr)?;
        // Listening again changes the backlog, which the standard library sets to 128.
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        Ok::<_, std::io::Error>(listener)
    };
    listen().with_context(|| format!("cannot listen on {addr}"))
}

/// Raises the soft limit of descriptors to the hard one: every connection is one, and the usual soft limit of 1024 is too few.
/// Returns the limit, if there is one.
pub fn raise_descriptor_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let soft = std::mem::replace(&mut limit.current, limit.maximum);
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of descriptors");
            soft
        }
    }
}

/// As [`bind`], but for an address that several processes of one user serve together (`SO_REUSEPORT`): the kernel spreads
/// connections over them.
pub fn bind_shared(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    let listen = || {
        let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_reuseport(&socket, true)?;
        rustix::net::bind(&socket, &addr)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok::<_, std::io::Error>(TcpListener::from(socket))
    };
    listen().with_context(|| format!("cannot listen on {addr}"))
}

/// Runs `main` on this thread: a current-thread runtime and a `LocalSet`, which everything that the role spawns with
/// `tokio::task::spawn_local` belongs to. What is left of it ends when `main` does.
pub fn run_local<T>(main: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    tokio::task::LocalSet::new().block_on(&runtime, main)
}

/// As [`run_local`], on a thread that asks for the scheduler's shortest time slice: what it times is on time.
pub fn run_on_time<T>(main: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    crate::slice::short();
    run_local(main)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        role: RoleArgs,
    }

    fn parse(args: &[&str]) -> Result<RoleArgs, String> {
        Cli::try_parse_from(["role"].iter().chain(args)).map(|cli| cli.role).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_bind_port_0() {
        let args = parse(&[]).unwrap();
        assert_eq!((args.listen.port(), args.admin.port(), args.time_scale), (0, 0, 1.0));
        assert!(args.scenario.is_none() && args.book.is_none() && !args.lifeline);
    }

    #[test]
    fn a_time_scale_out_of_range_is_refused() {
        assert_eq!(parse(&["--time-scale", "0.25"]).unwrap().time_scale, 0.25);
        for bad in ["0", "-1", "nan", "inf", "1001", "fast"] {
            let flag = format!("--time-scale={bad}");
            let error = parse(&[&flag]).unwrap_err();
            assert!(error.contains("--time-scale"), "{error}");
        }
    }

    #[test]
    fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
        let raised = raise_descriptor_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!((raised, limit.current), (limit.maximum, limit.maximum));
    }

    #[test]
    fn a_shared_address_is_shared_only_by_those_who_share() {
        let one = bind_shared(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = one.local_addr().unwrap();
        assert_eq!(bind_shared(addr).unwrap().local_addr().unwrap(), addr);
        assert!(bind(addr).is_err());
        let alone = bind(([127, 0, 0, 1], 0).into()).unwrap();
        assert!(bind_shared(alone.local_addr().unwrap()).is_err());
    }

    #[test]
    fn an_address_in_use_is_named() {
        let taken = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = taken.local_addr().unwrap();
        let error = format!("{:#}", bind(addr).unwrap_err());
        assert!(error.starts_with(&format!("cannot listen on {addr}: Address already in use")), "{error}");
    }
}
