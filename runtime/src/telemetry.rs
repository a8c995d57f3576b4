//! Logs on stderr (level from `GALTON_LOG`, default `info`, or a list like `info,hyper=debug`; no colour when `NO_COLOR` is set or stderr is not a terminal)
//! and the metrics that every process has.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal as _;

use anyhow::Context as _;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use rustix::process::{Resource, getrlimit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::{process_cpu_ns, unix_ns};
use crate::families;

/// Sets the level of the logs.
pub(crate) const LOG_VARIABLE: &str = "GALTON_LOG";

const BUILD_INFO: &str = "galton_build_info";
const BUILD_INFO_HELP: &str = "Version and role; always 1.";

/// Starts logging for this role. Does nothing if the process logs already.
pub fn init(role: &'static str) {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_default();
    let (targets, unknown) = filter(&wanted);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .with_timer(Stamp(role))
        // A log that cannot be written (a full disk) is not reported on the same stderr: that panics.
        .log_internal_errors(false);
    let started = tracing_subscriber::registry().with(targets).with(lines).try_init();
    // An error means that somebody else has started logging: then it is theirs.
    if let (Ok(()), Some(error)) = (started, unknown) {
        tracing::warn!("{LOG_VARIABLE}={wanted} is no list of LEVEL and TARGET=LEVEL ({error}): logging at `info`");
    }
}

/// What is logged; and, if that is not what is wanted, why it cannot be.
fn filter(wanted: &str) -> (Targets, Option<ParseError>) {
    // What is empty would be a directive to log errors alone.
    let parsed = if wanted.is_empty() { Ok(Targets::new()) } else { wanted.parse::<Targets>() };
    let (targets, unknown) = parsed.map_or_else(|error| (Targets::new(), Some(error)), |targets| (targets, None));
    let level = targets.default_level().unwrap_or(LevelFilter::INFO);
    (targets.with_default(level), unknown)
}

/// The time of a log line, and the role: several processes may share one stderr.
struct Stamp(&'static str);

impl FormatTime for Stamp {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        SystemTime.format_time(w)?;
        write!(w, " {}", self.0)
    }
}

/// Registers `galton_build_info{version,role}` and the process metrics (CPU seconds, resident memory, descriptors, threads,
/// start time).
pub fn register_process(registry: &prometheus::Registry, role: &str) -> anyhow::Result<()> {
    registry.register(Box::new(Process::new(role)?)).context("cannot register the process metrics")
}

/// The bucket limits, in seconds, of every time histogram: 1 µs, and each twice the one before, to 134 s.
pub fn time_buckets() -> Vec<f64> {
    crate::book::limits()
}

/// The process metrics, read when they are scraped. (The `prometheus` crate's own count CPU time in ticks of 10 ms.)
struct Process {
    build_info: Desc,
    labels: Vec<(String, String)>,
    started: f64,
}

impl Process {
    fn new(role: &str) -> anyhow::Result<Self> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let labels = vec![("version".to_owned(), version), ("role".to_owned(), role.to_owned())];
        let names = labels.iter().map(|(name, _)| name.clone()).collect();
        let build_info = Desc::new(BUILD_INFO.to_owned(), BUILD_INFO_HELP.to_owned(), names, HashMap::new())
            .context("cannot describe the process metrics")?;
        Ok(Self { build_info, labels, started: unix_ns() as f64 / 1e9 })
    }
}

impl Collector for Process {
    /// One stands for all: the registry only tells collectors apart by them.
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.build_info]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauge = |name, help, value: Option<f64>| (name, help, MetricType::GAUGE, value);
        let cpu = (process_cpu_ns() as f64) / 1e9;
        let (resident, threads) = memory_and_threads();
        let metrics = [
            ("process_cpu_seconds_total", "User and system CPU time.", MetricType::COUNTER, Some(cpu)),
            gauge("process_resident_memory_bytes", "Resident memory.", resident),
            gauge("process_threads", "Threads.", threads),
            gauge("process_open_fds", "Open descriptors.", open_descriptors()),
            gauge(
                "process_max_fds",
                "Limit of open descriptors.",
                getrlimit(Resource::Nofile).current.map(|n| n as f64),
            ),
            gauge("process_start_time_seconds", "Start, seconds since 1970.", Some(self.started)),
        ];
        let one = |labels, value| std::iter::once((labels, value));
        let info = one(self.labels.as_slice(), 1.0);
        let mut families = vec![families::family(BUILD_INFO, BUILD_INFO_HELP, MetricType::GAUGE, info)];
        families.extend(metrics.into_iter().filter_map(|(name, help, kind, value)| {
            let row = one(&[] as &[_], value?);
            Some(families::family(name, help, kind, row))
        }));
        families
    }
}

fn memory_and_threads() -> (Option<f64>, Option<f64>) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse::<f64>().ok()
    };
    (field("VmRSS:").map(|kib| kib * 1024.0), field("Threads:"))
}

fn open_descriptors() -> Option<f64> {
    // Less the one with which the directory is read.
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn process_metrics_are_printed() {
        let registry = prometheus::Registry::new();
        register_process(&registry, "target").unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text.contains("galton_build_info{version=\"0.1.0\",role=\"target\"} 1"), "{text}");
        for name in
            ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_threads", "process_open_fds"]
        {
            let line =
                text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 0.0, "{line}");
        }
    }

    #[test]
    fn information_is_logged_unless_something_else_is_wanted() {
        let logged = |wanted: &str| {
            let (targets, unknown) = filter(wanted);
            let level = |target: &str| {
                let all = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
                all.into_iter().rfind(|level| targets.would_enable(target, level))
            };
            (level("galton"), level("hyper"), unknown.is_some())
        };
        let (info, debug) = (Some(Level::INFO), Some(Level::DEBUG));
        assert_eq!(logged(""), (info, info, false));
        assert_eq!(logged("debug"), (debug, debug, false));
        assert_eq!(logged("hyper=debug"), (info, debug, false));
        assert_eq!(logged("off,hyper=info"), (None, info, false));
        assert_eq!(logged("hyper=debug=info"), (info, info, true));
    }

    #[test]
    fn a_book_and_process_metrics_share_a_registry() {
        let registry = prometheus::Registry::new();
        register_process(&registry, "target").unwrap();
        crate::book::Book::create(None).unwrap().register(&registry).unwrap();
    }

    #[test]
    fn buckets_cover_microseconds_to_minutes() {
        let buckets = time_buckets();
        assert!(buckets[0] <= 1e-6 && *buckets.last().unwrap() > 120.0);
    }
}
