//! Who is to be scraped, in the form of Prometheus' HTTP service discovery (`http_sd_configs`).

use std::collections::{BTreeMap, HashSet};

use galton_core::fleet::Phase;
use galton_core::wire::{HostInfo, TargetInfo};
use serde::Serialize;

/// Processes with the same labels: here always one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

/// The scaler itself.
pub(crate) fn scaler(admin: &str) -> Group {
    group(admin, "scaler", "scaler".to_owned())
}

/// The proxies, in order of their hosts. A process of several hosts is scraped once, under the number of its first.
pub(crate) fn proxies<'a>(hosts: impl IntoIterator<Item = &'a HostInfo>) -> Vec<Group> {
    let mut seen = HashSet::new();
    let firsts = hosts.into_iter().filter(|host| seen.insert(&host.admin));
    firsts.map(|host| group(&host.admin, "proxy", format!("proxy-{}", host.host))).collect()
}

/// A target, unless there is nothing to be scraped: not yet, or no longer.
pub(crate) fn target(target: &TargetInfo) -> Option<Group> {
    let alive = [Phase::Ready.as_str(), Phase::Draining.as_str()].contains(&target.state.as_str());
    let admin = target.admin.as_ref().filter(|_| alive)?;
    Some(group(admin, "target", target.target.to_string()))
}

/// `instance` is the slot's name: a process that takes the place of another goes on with its series.
fn group(admin: &str, role: &str, instance: String) -> Group {
    Group { targets: [admin.to_owned()], labels: [("role", role.to_owned()), ("instance", instance)].into() }
}

#[cfg(test)]
mod tests {
    use galton_core::{HostId, TargetId};

    use super::*;

    #[test]
    fn groups_are_what_prometheus_reads() {
        let host =
            |n| HostInfo { host: HostId(n), data: "10.0.0.3:8080".to_owned(), admin: "10.0.0.3:9090".to_owned() };
        let json = serde_json::to_string(&proxies(&[host(2), host(3)])).unwrap();
        assert_eq!(json, r#"[{"targets":["10.0.0.3:9090"],"labels":{"instance":"proxy-2","role":"proxy"}}]"#);
        let mut info = TargetInfo {
            target: TargetId(7),
            incarnation: 0,
            state: "ready".to_owned(),
            data: None,
            admin: Some("10.0.0.2:1".to_owned()),
            pid: None,
        };
        assert_eq!(target(&info).unwrap().labels["instance"], "t-007");
        info.state = "ended".to_owned();
        assert_eq!(target(&info), None);
    }
}
