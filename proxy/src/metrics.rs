//! What the proxy counts: every family with its name, help and labels in one place.
//!
//! All of it is in the book: memory that this thread writes, `/metrics` reads, and a kill leaves.

use std::cell::RefCell;

use galton_core::host::AttemptEnd;
use galton_core::{HostId, Outcome, TargetId};
use galton_runtime::book::{Book, Cell, Histogram, Kind};
use rustc_hash::FxHashMap;

/// The label of targets beyond what the book can hold.
const OTHER: &str = "other";

/// Everything this proxy counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    book: Book,
    proxy: String,
    /// Requests whose head was read.
    pub(crate) received: Cell,
    /// Those for which there was no room.
    pub(crate) overloaded: Cell,
    /// Attempts after the first.
    pub(crate) retries: Cell,
    /// Dispatches to a target.
    pub(crate) dispatches: Cell,
    /// Dispatches without a connection.
    pub(crate) connection_failures: Cell,
    /// Injected delays that are over.
    pub(crate) delays: Cell,
    /// Those that the machine overran.
    pub(crate) delays_overrun: Cell,
    /// Records that could not be written.
    pub(crate) records_lost: Cell,
    /// Connections of clients of which nothing but the socket is kept.
    pub(crate) parked: Cell,
    /// From the head of a request to the end of its response.
    pub(crate) duration: Histogram,
    /// Time at the load balancer not spent in the serving attempt.
    pub(crate) overhead: Histogram,
    /// From an arrival to its first decision.
    pub(crate) pick: Histogram,
    requests: Requests,
    targets: RefCell<FxHashMap<TargetId, TargetCells>>,
    other: TargetCells,
}

/// Requests by how they ended.
#[derive(Debug)]
struct Requests {
    ok: Cell,
    rejected: Cell,
    timed_out: Cell,
    failed: Cell,
    cancelled: Cell,
}

/// Attempts at one target by how they ended, and those that have not.
#[derive(Clone, Debug)]
struct TargetCells {
    in_flight: Cell,
    ok: Cell,
    http: Cell,
    full: Cell,
    connect: Cell,
    reset: Cell,
    closed: Cell,
}

// === impl Metrics ===

impl Metrics {
    /// Adds everything to the book.
    pub(crate) fn new(book: Book, host: HostId) -> anyhow::Result<Self> {
        let proxy = host.to_string();
        let counter = |name: &str, help: &str| book.cell(Kind::Counter, name, &[("proxy", &proxy)], help);
        let histogram = |name: &str, help: &str| book.histogram(name, &[("proxy", &proxy)], help);
        Ok(Self {
            received: counter("galton_proxy_received_total", "Requests whose head was read.")?,
            overloaded: counter(
                "galton_proxy_overloaded_total",
                "Requests turned away because as many as the process can hold were in flight.",
            )?,
            retries: counter("galton_proxy_retries_total", "Attempts after the first of a request.")?,
            dispatches: counter("galton_proxy_dispatches_total", "Dispatches to a target.")?,
            connection_failures: counter(
                "galton_proxy_connection_failures_total",
                "Dispatches without a connection to the target.",
            )?,
            delays: counter("galton_proxy_injected_delays_total", "Injected delays (sync, retry, lock).")?,
            delays_overrun: counter(
                "galton_proxy_injected_delays_overrun_total",
                "Injected delays that ended more than 1 ms late.",
            )?,
            records_lost: counter("galton_proxy_records_lost_total", "Decision records that could not be written.")?,
            parked: book.cell(
                Kind::Gauge,
                "galton_proxy_parked_connections",
                &[("proxy", &proxy)],
                "Idle client connections of which nothing but the socket is kept.",
            )?,
            duration: histogram(
                "galton_proxy_request_duration_seconds",
                "From the head of a request to the end of its response.",
            )?,
            overhead: histogram(
                "galton_proxy_overhead_seconds",
                "Time at the load balancer not spent in the serving attempt.",
            )?,
            pick: histogram("galton_proxy_pick_duration_seconds", "From an arrival to its first decision.")?,
            requests: Requests::new(&book, &proxy)?,
            targets: RefCell::default(),
            other: TargetCells::new(&book, &proxy, OTHER)?,
            book,
            proxy,
        })
    }

    /// A request ended.
    pub(crate) fn answered(&self, outcome: Outcome) {
        match outcome {
            Outcome::Ok => &self.requests.ok,
            Outcome::Rejected(_) => &self.requests.rejected,
            Outcome::TimedOut => &self.requests.timed_out,
            // The last two are the load generator's own and do not come from a proxy.
            Outcome::Failed(_) | Outcome::Shed | Outcome::Unfinished => &self.requests.failed,
        }
        .inc();
    }

    /// A client went away before its request had ended.
    pub(crate) fn cancelled(&self) {
        self.requests.cancelled.inc();
    }

    /// An attempt began, the call's `attempts`-th.
    pub(crate) fn dispatched(&self, target: TargetId, attempts: u32) {
        self.dispatches.inc();
        if attempts > 1 {
            self.retries.inc();
        }
        self.with_target(target, |cells| cells.in_flight.inc());
    }

    /// An attempt ended.
    pub(crate) fn attempt_ended(&self, target: TargetId, end: AttemptEnd) {
        if end == AttemptEnd::Gone {
            self.connection_failures.inc();
        }
        self.with_target(target, |cells| {
            cells.in_flight.dec();
            cells.by_end(end).inc();
        });
    }

    fn with_target(&self, target: TargetId, count: impl FnOnce(&TargetCells)) {
        let mut targets = self.targets.borrow_mut();
        let cells = targets.entry(target).or_insert_with(|| {
            TargetCells::new(&self.book, &self.proxy, &target.to_string()).unwrap_or_else(|error| {
                tracing::error!("{target} is counted as {OTHER}: {error:#}");
                self.other.clone()
            })
        });
        count(cells);
    }
}

// === impl Requests ===

impl Requests {
    fn new(book: &Book, proxy: &str) -> anyhow::Result<Self> {
        let cell = |outcome: &str| {
            let labels = [("proxy", proxy), ("outcome", outcome)];
            book.cell(Kind::Counter, "galton_proxy_requests_total", &labels, "Requests by how they ended.")
        };
        Ok(Self {
            ok: cell("ok")?,
            rejected: cell("rejected")?,
            timed_out: cell("timed_out")?,
            failed: cell("failed")?,
            cancelled: cell("cancelled")?,
        })
    }
}

// === impl TargetCells ===

impl TargetCells {
    fn new(book: &Book, proxy: &str, target: &str) -> anyhow::Result<Self> {
        let cell = |outcome: &str| {
            let labels = [("proxy", proxy), ("target", target), ("outcome", outcome)];
            book.cell(Kind::Counter, "galton_proxy_attempts_total", &labels, "Attempts by how they ended.")
        };
        let labels = [("proxy", proxy), ("target", target)];
        let help = "Attempts that have not ended.";
        Ok(Self {
            in_flight: book.cell(Kind::Gauge, "galton_proxy_in_flight", &labels, help)?,
            ok: cell("ok")?,
            http: cell("http")?,
            full: cell("full")?,
            connect: cell("connect")?,
            reset: cell("reset")?,
            closed: cell("closed")?,
        })
    }

    fn by_end(&self, end: AttemptEnd) -> &Cell {
        match end {
            AttemptEnd::Done { ok: true } => &self.ok,
            AttemptEnd::Done { ok: false } => &self.http,
            AttemptEnd::Full { .. } => &self.full,
            AttemptEnd::Gone => &self.connect,
            AttemptEnd::Reset { .. } => &self.reset,
            AttemptEnd::Closed { .. } => &self.closed,
        }
    }
}
