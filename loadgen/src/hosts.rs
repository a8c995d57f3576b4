//! Where the load-balancer hosts of a testbed are: given one by one, or found through the scaler.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use galton_core::wire::HostInfo;
use galton_runtime::http_client;
use tokio::time::Instant;

use crate::settings::UsageError;

/// How long hosts may take to come up, together.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often the scaler is asked meanwhile, and how long it may take to answer.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(200);
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The address of every host, by its number.
pub(crate) fn of(given: &[(u32, SocketAddr)], hosts: u32) -> Result<Vec<SocketAddr>, UsageError> {
    if let Some((host, _)) = given.iter().find(|(host, _)| *host >= hosts) {
        return Err(UsageError(format!("--proxy {host}=…: the scenario has {hosts} hosts, from 0")));
    }
    (0..hosts)
        .map(|host| {
            let mut addrs = given.iter().filter(|(h, _)| *h == host).map(|(_, addr)| *addr);
            match (addrs.next(), addrs.next()) {
                (Some(addr), None) => Ok(addr),
                (None, _) => Err(UsageError(format!("--proxy {host}=ADDR is missing: the scenario has {hosts} hosts"))),
                (Some(_), Some(_)) => Err(UsageError(format!("--proxy {host}=… is there twice"))),
            }
        })
        .collect()
}

/// Asks the scaler until so many hosts are there, or, without a number, until one is.
pub(crate) async fn found(scaler: &str, hosts: Option<u32>) -> anyhow::Result<Vec<SocketAddr>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let there = ask(scaler).await;
        match &there {
            Ok(there) if there.len() >= hosts.unwrap_or(1) as usize => return addresses(there, hosts),
            _ if Instant::now() >= deadline => {}
            _ => {
                tokio::time::sleep(ASK_EVERY).await;
                continue;
            }
        }
        let there = there.with_context(|| format!("the scaler at {scaler} does not say who is there"))?.len();
        bail!("{there} of {} load-balancer hosts were there after {PATIENCE:?}", hosts.unwrap_or(1));
    }
}

async fn ask(scaler: &str) -> anyhow::Result<Vec<HostInfo>> {
    let answer = http_client::get(scaler, "/v1/hosts", ANSWER_WITHIN).await?;
    ensure!(answer.status.is_success(), "it answered {}", answer.status);
    serde_json::from_slice(&answer.body).context("its list of hosts")
}

/// By number, which must have no gap: the plan draws from 0 on.
fn addresses(there: &[HostInfo], hosts: Option<u32>) -> anyhow::Result<Vec<SocketAddr>> {
    let wanted = hosts.map_or(there.len(), |hosts| hosts as usize);
    there
        .iter()
        .take(wanted)
        .enumerate()
        .map(|(number, host)| {
            ensure!(host.host.0 as usize == number, "host {number} is not there, but host {} is", host.host);
            let mut found = host.data.to_socket_addrs().with_context(|| format!("cannot resolve {}", host.data))?;
            found.next().with_context(|| format!("{} has no address", host.data))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use galton_core::HostId;

    use super::*;

    #[test]
    fn every_host_has_one_address() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(of(&[(1, addr(2)), (0, addr(1))], 2), Ok(vec![addr(1), addr(2)]));
        assert!(of(&[(0, addr(1))], 2).unwrap_err().0.contains("--proxy 1=ADDR is missing"));
        assert!(of(&[(0, addr(1)), (0, addr(2))], 1).unwrap_err().0.contains("twice"));
        assert!(of(&[(2, addr(1))], 2).unwrap_err().0.contains("from 0"));
    }

    #[test]
    fn hosts_are_numbered_without_a_gap() {
        let host = |number: u32| HostInfo {
            host: HostId(number),
            data: format!("127.0.0.1:{}", 8000 + number),
            admin: "127.0.0.1:1".to_owned(),
        };
        let ports = |there: &[HostInfo], hosts| {
            addresses(there, hosts).map(|addrs| addrs.iter().map(SocketAddr::port).collect::<Vec<_>>())
        };
        assert_eq!(ports(&[host(0), host(1), host(2)], Some(2)).unwrap(), [8000, 8001]);
        assert_eq!(ports(&[host(0), host(1)], None).unwrap(), [8000, 8001]);
        assert!(ports(&[host(0), host(2)], None).unwrap_err().to_string().contains("host 1 is not there"));
    }
}
