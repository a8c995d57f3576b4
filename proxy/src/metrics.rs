//! What the proxy counts: every family with its name, help and labels in one place.
//!
//! All of it is in the book: memory that this thread writes, `/metrics` reads, and a kill leaves. The rows of a target that has left
//! the fleet stay in the book, which reports read; `/metrics` prints them for a while and no more.

use std::cell::{RefCell, RefMut};
use std::time::Duration;

use galton_core::host::{AttemptEnd, Change, Endpoint};
use galton_core::{HostId, Outcome, TargetId};
use galton_runtime::book::{Book, Cell, Histogram, Kind};
use galton_runtime::mono_ns;
use rustc_hash::FxHashMap;

/// The label of targets beyond what the book can hold.
const OTHER: &str = "other";

/// How long the rows of a target that has left the fleet are printed: whoever scrapes sees how it ended.
const SHOWN: Duration = Duration::from_secs(30);

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
    targets: RefCell<FxHashMap<TargetId, Target>>,
    other: TargetCells,
    shown: Duration,
}

/// What is counted of one target.
#[derive(Debug)]
struct Target {
    /// None: it is counted as other.
    own: Option<TargetCells>,
    /// It is in the fleet no longer, as far as this host knows.
    left: bool,
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
#[derive(Debug)]
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
            shown: SHOWN,
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
        let mut target = self.of(target);
        target.joined();
        target.own.as_ref().unwrap_or(&self.other).in_flight.inc();
    }

    /// An attempt ended.
    pub(crate) fn attempt_ended(&self, target: TargetId, end: AttemptEnd) {
        if end == AttemptEnd::Gone {
            self.connection_failures.inc();
        }
        let target = self.of(target);
        let cells = target.own.as_ref().unwrap_or(&self.other);
        cells.in_flight.dec();
        cells.by_end(end).inc();
        target.hide_if_over(self.shown);
    }

    /// The fleet changed.
    pub(crate) fn fleet_change(&self, change: Change) {
        let (Change::Ready(Endpoint { target, .. }) | Change::Cordoned(target) | Change::Gone(target, _)) = change;
        if let Some(known) = self.targets.borrow_mut().get_mut(&target) {
            match change {
                Change::Ready(_) => known.joined(),
                Change::Cordoned(_) | Change::Gone(..) => known.left(self.shown),
            }
        }
    }

    /// The fleet is this one, by number.
    pub(crate) fn fleet(&self, members: &[Endpoint]) {
        for (id, known) in self.targets.borrow_mut().iter_mut() {
            if members.binary_search_by_key(id, |member| member.target).is_ok() {
                known.joined();
            } else if !known.left {
                known.left(self.shown);
            }
        }
    }

    fn of(&self, target: TargetId) -> RefMut<'_, Target> {
        let new = || {
            let own = TargetCells::new(&self.book, &self.proxy, &target.to_string());
            let own = own.map_err(|error| tracing::error!("{target} is counted as {OTHER}: {error:#}"));
            Target { own: own.ok(), left: false }
        };
        RefMut::map(self.targets.borrow_mut(), |targets| targets.entry(target).or_insert_with(new))
    }
}

// === impl Target ===

impl Target {
    fn joined(&mut self) {
        if std::mem::take(&mut self.left) {
            self.own.iter().flat_map(TargetCells::all).for_each(Cell::show);
        }
    }

    fn left(&mut self, shown: Duration) {
        self.left = true;
        self.hide_if_over(shown);
    }

    /// When nothing is in flight any more where nothing is sent: its rows have their last values.
    fn hide_if_over(&self, shown: Duration) {
        if self.left
            && let Some(cells) = &self.own
            && cells.in_flight.get() == 0
        {
            let at_ns = mono_ns().saturating_add(shown.as_nanos() as u64);
            cells.all().into_iter().for_each(|cell| cell.hide_from(at_ns));
        }
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

    fn all(&self) -> [&Cell; 7] {
        [&self.in_flight, &self.ok, &self.http, &self.full, &self.connect, &self.reset, &self.closed]
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

#[cfg(test)]
mod tests {
    use galton_core::Nanos;

    use super::*;

    const T1: TargetId = TargetId(1);
    const T2: TargetId = TargetId(2);
    const DONE: AttemptEnd = AttemptEnd::Done { ok: true };

    fn ready(target: TargetId) -> Endpoint {
        Endpoint::new(target, 0, Nanos::ZERO)
    }

    /// Metrics that print nothing of a target that has left, and which of two targets they print.
    fn metrics() -> (Metrics, impl Fn() -> [bool; 2]) {
        let registry = prometheus::Registry::new();
        let book = Book::create(None).unwrap();
        book.register(&registry).unwrap();
        let metrics = Metrics { shown: Duration::ZERO, ..Metrics::new(book, HostId(0)).unwrap() };
        let printed = move || {
            let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            assert!(text.contains("target=\"other\""), "{text}");
            [T1, T2].map(|target| text.contains(&format!("target=\"{target}\"")))
        };
        (metrics, printed)
    }

    #[test]
    fn a_target_that_has_left_is_printed_until_nothing_is_in_flight_there() {
        let (metrics, printed) = metrics();
        assert_eq!(printed(), [false, false]);
        [T1, T1, T2].into_iter().for_each(|target| metrics.dispatched(target, 1));
        metrics.attempt_ended(T1, DONE);
        metrics.fleet_change(Change::Cordoned(T1));
        metrics.fleet_change(Change::Cordoned(TargetId(9)));
        assert_eq!(printed(), [true, true], "one is in flight");
        metrics.attempt_ended(T1, DONE);
        assert_eq!(printed(), [false, true]);
        metrics.attempt_ended(T2, DONE);
        assert_eq!(printed(), [false, true], "it is in the fleet");
    }

    #[test]
    fn a_target_that_comes_back_is_printed_again() {
        let (metrics, printed) = metrics();
        for target in [T1, T2] {
            metrics.dispatched(target, 1);
            metrics.attempt_ended(target, DONE);
        }
        metrics.fleet_change(Change::Gone(T1, 0));
        assert_eq!(printed(), [false, true]);
        metrics.fleet_change(Change::Ready(ready(T1)));
        assert_eq!(printed(), [true, true]);
        metrics.fleet(&[ready(T2)]);
        assert_eq!(printed(), [false, true], "the watch broke, and it went meanwhile");
        metrics.fleet(&[ready(T1)]);
        assert_eq!(printed(), [true, false]);
        metrics.dispatched(T2, 1);
        assert_eq!(printed(), [true, true], "what is used is printed, whatever was told of it");
    }

    #[test]
    fn whoever_scrapes_has_time_to_see_the_last_values() {
        let (mut metrics, printed) = metrics();
        metrics.shown = SHOWN;
        metrics.dispatched(T1, 1);
        metrics.attempt_ended(T1, DONE);
        metrics.fleet_change(Change::Gone(T1, 0));
        assert_eq!(printed(), [true, false]);
    }
}
