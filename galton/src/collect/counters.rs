//! From books and scrapes to [`Counters`]: for every process that lived, its book, which holds what a scrape would have seen, and its
//! last scrape, if there was one. The load generator says itself what it counted.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use galton_core::counters::{Counters, LoadCounters, ProxyCounters, TargetCounters};
use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{HostId, Incarnation, Nanos, TargetId};
use galton_runtime::book;
use galton_runtime::samples::Samples;

use super::Deaths;
use crate::run_dir::{RunDir, existing};
use crate::scrape::{self, proxy_name, target_name};

/// Collects the counters of all processes of a run; those of `load` are known.
pub(super) fn collect(
    dir: &RunDir,
    load: LoadCounters,
    hosts: u32,
    fleet: &[FleetEvent],
    deaths: &Deaths,
) -> anyhow::Result<Counters> {
    let mut counters = Counters { load, ..Counters::default() };
    let mut books = proxy_books(dir)?;
    for host in (0..hosts).map(HostId) {
        let name = proxy_name(host);
        let found = with_scrape(dir, &name, books.remove(&host.to_string()).unwrap_or_default())?;
        if found.is_empty() {
            counters.missing.push(name);
            counters.uncounted.proxies = true;
        } else {
            counters.proxies.push(proxy(host, deaths.proxies.contains(&host), &found));
        }
    }
    for (target, incarnation) in incarnations(fleet) {
        let name = target_name(target, incarnation);
        let book = existing(dir.book(&name)).map(|path| book::read(&path)).transpose()?;
        let found = with_scrape(dir, &name, Samples::from_book(book.unwrap_or_default()))?;
        if found.is_empty() {
            counters.missing.push(name);
            counters.uncounted.targets = true;
        } else {
            let died = deaths.targets.contains(&(target, incarnation));
            counters.targets.push(self::target(target, incarnation, died, &found));
        }
    }
    Ok(counters)
}

/// The books of the proxies by the number of the host: a process with several threads keeps those of all its hosts in one.
fn proxy_books(dir: &RunDir) -> anyhow::Result<BTreeMap<String, Samples>> {
    let mut all = BTreeMap::new();
    for path in dir.proxy_books()? {
        for (host, book) in Samples::from_book(book::read(&path)?).by_label("proxy") {
            let other = all.insert(host.clone(), book);
            ensure!(other.is_none(), "{}: another book has the counters of proxy {host}, too", path.display());
        }
    }
    Ok(all)
}

/// The book, with what only the last scrape has behind it: the book goes on after the last scrape, and holds the very cells that
/// a scrape prints. The last scrape of a target may be that of the scaler, before it stopped it.
fn with_scrape(dir: &RunDir, name: &str, mut book: Samples) -> anyhow::Result<Samples> {
    let files = [format!("{name}.final"), name.to_owned()].map(|name| dir.scrapes(&name));
    if let Some(file) = files.into_iter().find_map(existing) {
        book.extend_missing(&scrape::last(&file)?);
    }
    Ok(book)
}

/// Every process that a target slot had: the initial ones, the started and the restarted.
fn incarnations(fleet: &[FleetEvent]) -> BTreeSet<(TargetId, Incarnation)> {
    let served = fleet.iter().filter(|e| e.what == FleetWhat::Ready);
    served.filter_map(|e| Some((e.target?, e.incarnation))).collect()
}

fn proxy(host: HostId, died: bool, s: &Samples) -> ProxyCounters {
    let number = host.to_string();
    // What was scraped of a process with several hosts is of all of them.
    let of_host = |name| s.count(name, &[("proxy", &number)]);
    let count = |name, outcome| s.count(name, &[("proxy", &number), ("outcome", outcome)]);
    let by_outcome = |outcome| count("galton_proxy_requests_total", outcome);
    ProxyCounters {
        host,
        died,
        received: of_host("galton_proxy_received_total"),
        overloaded: of_host("galton_proxy_overloaded_total"),
        ok: by_outcome("ok"),
        rejected: by_outcome("rejected"),
        timed_out: by_outcome("timed_out"),
        failed: by_outcome("failed"),
        cancelled: by_outcome("cancelled"),
        attempts: of_host("galton_proxy_dispatches_total"),
        connection_failures: of_host("galton_proxy_connection_failures_total"),
        closed: count("galton_proxy_attempts_total", "closed"),
        delays: of_host("galton_proxy_injected_delays_total"),
        delays_overrun: of_host("galton_proxy_injected_delays_overrun_total"),
        cpu: cpu(s),
        in_flight_at_end: of_host("galton_proxy_in_flight"),
    }
}

fn target(target: TargetId, incarnation: Incarnation, died: bool, s: &Samples) -> TargetCounters {
    let by_outcome = |outcome| s.count("galton_target_requests_total", &[("outcome", outcome)]);
    TargetCounters {
        target,
        incarnation,
        died,
        accepted: by_outcome("accepted"),
        refused: by_outcome("refused"),
        completed: by_outcome("completed"),
        cancelled: by_outcome("cancelled"),
        cpu: cpu(s),
        // A book keeps nanoseconds under this name, where a scrape prints seconds.
        cpu_burned: Nanos(s.count("galton_target_cpu_nanoseconds_total", &[])),
        delays_overrun: s.count("galton_target_holds_overrun_total", &[]),
    }
}

fn cpu(s: &Samples) -> Nanos {
    Nanos::from_secs_f64(s.sum("process_cpu_seconds_total", &[]))
}
