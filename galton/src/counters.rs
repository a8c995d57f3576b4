//! From scrapes to [`Counters`]: for every process that lived, its last scrape; for one that died before it, its book, which
//! holds what a scrape would have seen.

use std::collections::BTreeSet;
use std::path::Path;

use galton_core::counters::{Counters, LoadCounters, ProxyCounters, TargetCounters};
use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{HostId, Incarnation, Nanos, TargetId};
use galton_runtime::book;

use crate::run_dir::RunDir;
use crate::scrape::{Scraper, target_name};
use galton_runtime::samples::Samples;

/// Which processes did not end because they were told to.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    pub(crate) proxies: BTreeSet<HostId>,
    pub(crate) targets: BTreeSet<(TargetId, Incarnation)>,
}

/// Collects the counters of all processes of a run.
pub(crate) fn collect(dir: &RunDir, scraper: &Scraper, hosts: u32, fleet: &[FleetEvent], deaths: &Deaths) -> Counters {
    let mut counters = Counters::default();
    let mut missing = Vec::new();
    let mut of = |name: &str| {
        let found = samples(dir, scraper, name);
        if found.is_empty() {
            missing.push(name.to_owned());
        }
        found
    };
    counters.load = load(&of("loadgen"));
    for host in (0..hosts).map(HostId) {
        let found = of(&format!("proxy-{host}"));
        counters.proxies.push(proxy(host, deaths.proxies.contains(&host), &found));
    }
    for (target, incarnation) in incarnations(fleet) {
        let died = deaths.targets.contains(&(target, incarnation));
        let found = of(&target_name(target, incarnation));
        counters.targets.push(self::target(target, incarnation, died, &found));
    }
    counters.missing = missing;
    counters
}

/// Every process that a target slot had: the initial ones, the started and the restarted.
fn incarnations(fleet: &[FleetEvent]) -> BTreeSet<(TargetId, Incarnation)> {
    let served = fleet.iter().filter(|e| e.what == FleetWhat::Ready);
    served.filter_map(|e| Some((e.target?, e.incarnation))).collect()
}

/// The book where there is one, with the process metrics of the last scrape behind it: the book goes on after the last
/// scrape, and holds the very cells that a scrape prints.
fn samples(dir: &RunDir, scraper: &Scraper, name: &str) -> Samples {
    let mut all = book::read(&dir.book(name)).map(Samples::from_book).unwrap_or_default();
    let last = last_words(&dir.scrapes(&format!("{name}.final")));
    if let Some(scrape) = last.as_ref().or_else(|| scraper.latest(name)) {
        all.extend_missing(scrape);
    }
    all
}

/// The scrape that the scaler takes of a target before it stops it.
fn last_words(path: &Path) -> Option<Samples> {
    std::fs::read_to_string(path).ok().map(|text| Samples::parse(&text))
}

fn load(s: &Samples) -> LoadCounters {
    LoadCounters {
        sent: s.count("galton_load_sent_total", &[]),
        connect_failures: s.count("galton_load_connect_failures_total", &[]),
        cpu: cpu(s),
        peak_thread_cpu: s.sum("galton_load_peak_thread_cpu_ratio", &[]),
    }
}

fn proxy(host: HostId, died: bool, s: &Samples) -> ProxyCounters {
    let by_outcome = |outcome| s.count("galton_proxy_requests_total", &[("outcome", outcome)]);
    ProxyCounters {
        host,
        died,
        received: s.count("galton_proxy_received_total", &[]),
        ok: by_outcome("ok"),
        rejected: by_outcome("rejected"),
        timed_out: by_outcome("timed_out"),
        failed: by_outcome("failed"),
        cancelled: by_outcome("cancelled"),
        attempts: s.count("galton_proxy_dispatches_total", &[]),
        connection_failures: s.count("galton_proxy_connection_failures_total", &[]),
        delays: s.count("galton_proxy_injected_delays_total", &[]),
        delays_overrun: s.count("galton_proxy_injected_delays_overrun_total", &[]),
        cpu: cpu(s),
        in_flight_at_end: s.count("galton_proxy_in_flight", &[]),
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
