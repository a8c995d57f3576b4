//! The decision records of all hosts. Gauges made of some of them would be wrong, so it is all or none.

use anyhow::Context as _;
use galton_core::HostId;
use galton_core::counters::Counters;
use galton_core::record::Decision;
use galton_report::{Quantity, Reason, Severity};
use galton_runtime::records;

use crate::run_dir::RunDir;
use crate::scrape::proxy_name;

/// What was recorded.
#[derive(Debug)]
pub(super) struct Decisions {
    /// In order of time; those of one host keep their order. None: some are not here.
    pub(super) all: Option<Vec<Decision>>,
    /// Why not.
    pub(super) lacking: Option<Reason>,
}

/// Reads the records of every host, and holds them against what the hosts counted.
pub(super) fn collect(dir: &RunDir, hosts: u32, counters: &Counters) -> anyhow::Result<Decisions> {
    let (mut all, mut lacking) = (Vec::new(), Vec::new());
    for host in (0..hosts).map(HostId) {
        let Some(path) = dir.find_records(host)? else {
            lacking.push(proxy_name(host));
            continue;
        };
        let of_host = records::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        lacking.extend(incomplete(host, &of_host, counters));
        all.extend(of_host);
    }
    all.sort_by_key(|d| (d.at, d.host));
    let lacking = (!lacking.is_empty()).then(|| reason(&lacking));
    Ok(Decisions { all: lacking.is_none().then_some(all), lacking })
}

/// A host that lives on writes down every attempt that has ended, unless it was told to record a sample only, or the disk was full.
fn incomplete(host: HostId, records: &[Decision], counters: &Counters) -> Option<String> {
    let counted = counters.proxies.iter().find(|proxy| proxy.host == host && !proxy.died)?;
    let attempts = records.iter().filter(|decision| decision.target.is_some()).count() as u64;
    (attempts + counted.in_flight_at_end < counted.attempts)
        .then(|| format!("{}: {attempts} of {} attempts", proxy_name(host), counted.attempts))
}

fn reason(lacking: &[String]) -> Reason {
    let text = format!("missing decision records ({}): what they tell is not known", lacking.join(", "));
    let (value, limit) = (Quantity::Count(lacking.len() as u64), Quantity::Count(0));
    Reason::new("MISSING_RECORDS", Severity::Suspect, value, limit, text)
}

#[cfg(test)]
mod tests {
    use galton_core::counters::ProxyCounters;
    use galton_core::record::DecisionKind;
    use galton_core::{Nanos, RequestId, TargetId};

    use super::*;

    fn attempt() -> Decision {
        Decision {
            at: Nanos(1),
            until: Nanos(2),
            host: HostId(1),
            request: RequestId(0),
            attempt: 1,
            target: Some((TargetId(1), 0)),
            kind: DecisionKind::Accept,
            known: 1,
            own: 1,
        }
    }

    #[test]
    fn a_host_that_lived_has_a_record_of_every_attempt_that_ended() {
        let of = |attempts, in_flight_at_end, died| {
            let proxy = ProxyCounters { attempts, in_flight_at_end, died, ..ProxyCounters::new(HostId(1)) };
            let counters = Counters { proxies: vec![proxy], ..Counters::default() };
            incomplete(HostId(1), &[attempt(), Decision { target: None, ..attempt() }], &counters)
        };
        assert_eq!((of(1, 0, false), of(3, 2, false), of(9, 0, true)), (None, None, None));
        assert_eq!(of(3, 0, false).unwrap(), "proxy-1: 1 of 3 attempts");
        assert_eq!(incomplete(HostId(2), &[], &Counters::default()), None, "nothing to hold it against");
    }
}
