//! What all targets together have counted, those that have ended included.
//!
//! Who scrapes learns of a target seconds after it came up, and never of one that lives shorter than that. The scaler has the book
//! of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use galton_runtime::book;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts, Registry};

use crate::files::ProcessKey;

const NAME: &str = "galton_scaler_target_requests_total";
const HELP: &str = "Requests at all targets that there are or were, by what became of them.";

/// What a target counts its requests by.
const OUTCOMES: [&str; 5] = ["accepted", "refused", "completed", "cancelled", "malformed"];

/// The sum over all targets, for `/metrics`; their books are read when somebody asks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct TargetRequests {
    books: Arc<Mutex<Books>>,
    shown: IntCounterVec,
}

#[derive(Debug, Default)]
struct Books {
    alive: BTreeMap<ProcessKey, PathBuf>,
    /// Of the targets that have ended.
    ended: Requests,
}

/// Requests, in the order of [`OUTCOMES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Requests([u64; OUTCOMES.len()]);

// === impl TargetRequests ===

impl TargetRequests {
    /// Adds them to the registry.
    pub(crate) fn new(registry: &Registry) -> anyhow::Result<Self> {
        let shown = IntCounterVec::new(Opts::new(NAME, HELP), &["outcome"])?;
        let requests = Self { books: Arc::default(), shown };
        registry.register(Box::new(requests.clone())).context("register the requests of the targets")?;
        Ok(requests)
    }

    /// A process is up, and this is its book.
    pub(crate) fn up(&self, key: ProcessKey, book: PathBuf) {
        self.books().alive.insert(key, book);
    }

    /// The process has ended. Returns the requests that it held then: accepted, and neither completed nor given up by their
    /// callers.
    pub(crate) fn ended(&self, key: ProcessKey) -> u32 {
        let Some(book) = self.books().alive.get(&key).cloned() else { return 0 };
        let requests = Requests::read(&book).unwrap_or_else(|error| {
            tracing::warn!("what a target counted is not known: {error:#}");
            Requests::default()
        });
        let mut books = self.books();
        books.alive.remove(&key);
        books.ended.add(&requests);
        requests.held()
    }

    /// As the books say now. They are not read under the lock: the fleet's thread must not wait for that.
    fn sum(&self) -> Requests {
        let (alive, mut sum) = {
            let books = self.books();
            (books.alive.values().cloned().collect::<Vec<_>>(), books.ended)
        };
        alive.iter().filter_map(|book| Requests::read(book).ok()).for_each(|requests| sum.add(&requests));
        sum
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for TargetRequests {
    fn desc(&self) -> Vec<&Desc> {
        self.shown.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (outcome, count) in OUTCOMES.iter().zip(self.sum().0) {
            let shown = self.shown.with_label_values(&[outcome]);
            // A book that was deleted meanwhile is missed this once, and a counter must not fall.
            shown.inc_by(count.saturating_sub(shown.get()));
        }
        self.shown.collect()
    }
}

// === impl Requests ===

impl Requests {
    fn read(book: &Path) -> anyhow::Result<Self> {
        book::read(book).map(|series| Self::of(&series))
    }

    fn of(series: &[(String, u64)]) -> Self {
        let requests = || series.iter().filter(|(name, _)| name.starts_with("galton_target_requests_total{"));
        Self(OUTCOMES.map(|outcome| {
            let label = format!("outcome=\"{outcome}\"");
            requests().filter(|(name, _)| name.contains(&label)).map(|(_, count)| count).sum()
        }))
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }

    fn held(&self) -> u32 {
        let [accepted, _, completed, cancelled, _] = self.0;
        u32::try_from(accepted.saturating_sub(completed.saturating_add(cancelled))).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use galton_core::TargetId;
    use galton_runtime::book::{Book, Kind};

    use super::*;

    fn key(target: u32) -> ProcessKey {
        ProcessKey::first(TargetId(target))
    }

    fn count(book: &Book, outcome: &str, n: u64) {
        let labels = [("target", "t-001"), ("incarnation", "0"), ("outcome", outcome)];
        book.cell(Kind::Counter, "galton_target_requests_total", &labels, "").unwrap().add(n);
    }

    #[test]
    fn held_is_what_was_accepted_and_is_not_over() {
        let series = |outcome: &str, count| {
            (format!("galton_target_requests_total{{target=\"t-001\",incarnation=\"0\",outcome=\"{outcome}\"}}"), count)
        };
        let book = [
            series("accepted", 9),
            series("refused", 100),
            series("completed", 4),
            series("cancelled", 2),
            ("galton_target_in_flight{target=\"t-001\",incarnation=\"0\"}".to_owned(), 7),
        ];
        assert_eq!(Requests::of(&book).held(), 3);
        assert_eq!(Requests::of(&book[2..]).held(), 0, "a book that was cut off is no reason to panic");
    }

    #[test]
    fn the_sum_has_the_dead_as_well_and_never_falls() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let requests = TargetRequests::new(&registry).unwrap();
        let shown = |outcome: &str| {
            let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            let series = format!("{NAME}{{outcome=\"{outcome}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok())
        };
        assert_eq!(OUTCOMES.map(shown), [Some(0); 5]);
        let paths = [1, 2].map(|target| dir.path().join(target.to_string()));
        let books = [0, 1].map(|i| Book::create(Some(&paths[i])).unwrap());
        requests.up(key(1), paths[0].clone());
        requests.up(key(2), paths[1].clone());
        count(&books[0], "accepted", 5);
        count(&books[0], "completed", 3);
        count(&books[1], "accepted", 2);
        count(&books[1], "refused", 1);
        assert_eq!(["accepted", "refused", "completed"].map(shown), [Some(7), Some(1), Some(3)]);
        count(&books[0], "accepted", 1);
        assert_eq!((requests.ended(key(1)), requests.ended(key(1))), (3, 0), "it ends once");
        std::fs::remove_file(&paths[0]).unwrap();
        count(&books[1], "accepted", 1);
        assert_eq!(["accepted", "refused", "completed"].map(shown), [Some(9), Some(1), Some(3)]);
        std::fs::remove_file(&paths[1]).unwrap();
        assert_eq!(["accepted", "refused"].map(shown), [Some(9), Some(1)], "a book that cannot be read");
    }
}
