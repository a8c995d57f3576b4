//! The book: a process's counters in a memory-mapped file, so that what was counted survives SIGKILL.
//!
//! An entry's name is the Prometheus series it is (`galton_proxy_requests_total{proxy="0",outcome="ok"}`); `/metrics`
//! prints the same memory, and a reader of the file of a dead process sees what a scrape would have seen (but for the unit
//! of [`Kind::Seconds`]).
//!
//! The file is a sequence of entries of 32 words: value, length and kind of the name, then the name. The length is stored
//! last, so that an entry which its writer did not finish is not there. Nothing is ever moved or taken back.

mod histogram;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

pub use self::histogram::Histogram;
pub(crate) use self::histogram::limits;
use crate::clock::mono_ns;
use crate::families;
use crate::mapped::{self, Words};

/// Words of an entry.
const ENTRY: usize = 32;
/// Where the parts of an entry are.
const VALUE: usize = 0;
const LENGTH: usize = 1;
const NAME: usize = 2;
/// Longest name of a series in bytes, labels included.
const NAME_BYTES: usize = (ENTRY - NAME) * 8;
/// The file begins with so many entries (4 KiB, enough for a target) and doubles when it is full, by no more than so many (a
/// quarter of a MiB): it is never much larger than what it holds, and a proxy of a large fleet has it in few pieces.
const FIRST_STEP: usize = 16;
const LARGEST_STEP: usize = 1024;
/// Most entries: a thousand targets with sixty-four series each. More would be a label without a bound.
const CAPACITY: usize = 65_536;

/// No machine time.
const NEVER: u64 = u64::MAX;

const SECONDS: &str = "_seconds_total";
const NANOSECONDS: &str = "_nanoseconds_total";
/// The same of histograms.
const SECONDS_OF: &str = "_seconds";
const NANOSECONDS_OF: &str = "_nanoseconds";

const SIZE: &str = "galton_book_series";
const SIZE_HELP: &str = "Series in the book; at most 65536.";

/// A process's book. Without a path (a standalone process) it is anonymous memory.
#[derive(Clone, Debug)]
pub struct Book {
    pages: Arc<Mutex<Pages>>,
    size: Desc,
}

/// One counter or gauge of the book: an atomic 64-bit cell. Cheap to clone and to add to, from any thread.
#[derive(Clone, Debug)]
pub struct Cell {
    page: Arc<Words>,
    value: usize,
    /// The machine time from which on `/metrics` does not print it.
    hidden_from: Arc<AtomicU64>,
}

/// What an entry is, for `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A counter of time, named `…_seconds_total`. The cell counts nanoseconds and `/metrics` prints seconds; in the file it is
    /// `…_nanoseconds_total`, so that nobody takes one for the other.
    Seconds,
}

#[derive(Debug)]
struct Pages {
    file: Option<File>,
    /// The newest piece of the file, and the entry that it begins with.
    page: Option<Arc<Words>>,
    first: usize,
    entries: usize,
    /// How many entries there is room for.
    room: usize,
    series: HashMap<String, Cell>,
    families: BTreeMap<String, Family>,
    histograms: BTreeMap<String, (String, Vec<histogram::Row>)>,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: String,
    rows: Vec<(Vec<(String, String)>, Cell)>,
}

// === impl Kind ===

impl Kind {
    fn name_in_file(self, name: &str) -> anyhow::Result<Cow<'_, str>> {
        if self != Self::Seconds {
            return Ok(name.into());
        }
        let what =
            name.strip_suffix(SECONDS).with_context(|| format!("{name} counts time: it must end in {SECONDS}"))?;
        Ok(format!("{what}{NANOSECONDS}").into())
    }
}

// === impl Book ===

impl Book {
    /// Creates the file (emptying one that is there), or anonymous memory.
    pub fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let pages = Pages {
            file: path.map(mapped::create).transpose()?,
            page: None,
            first: 0,
            entries: 0,
            room: 0,
            series: HashMap::new(),
            families: BTreeMap::new(),
            histograms: BTreeMap::new(),
        };
        let size = Desc::new(SIZE.to_owned(), SIZE_HELP.to_owned(), Vec::new(), HashMap::new());
        Ok(Self { pages: Arc::new(Mutex::new(pages)), size: size.context("cannot describe the book")? })
    }

    /// The cell of a series, added at 0 if it is new. `labels` in the order in which they are printed; `help` for
    /// `/metrics`. Name and labels together have 240 bytes, a book 65 536 series; beyond, or with another kind than the
    /// family has, it is an error.
    pub fn cell(&self, kind: Kind, name: &str, labels: &[(&str, &str)], help: &str) -> anyhow::Result<Cell> {
        let series = families::series(&kind.name_in_file(name)?, labels);
        let mut pages = self.pages();
        if let Some(cell) = pages.series.get(&series) {
            return Ok(cell.clone());
        }
        if pages.families.get(name).is_some_and(|family| family.kind != kind) {
            bail!("{name} is in the book as another kind than {kind:?}");
        }
        let cell = pages.append(series)?;
        let row = (labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), cell.clone());
        let family = || Family { kind, help: help.to_owned(), rows: Vec::new() };
        pages.families.entry(name.to_owned()).or_insert_with(family).rows.push(row);
        Ok(cell)
    }

    /// A cell that is part of something else, which alone is printed.
    fn hidden(&self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<Cell> {
        let series = families::series(name, labels);
        let mut pages = self.pages();
        match pages.series.get(&series) {
            Some(cell) => Ok(cell.clone()),
            None => pages.append(series),
        }
    }

    /// Prints the book as part of that registry's `/metrics`. One book per registry.
    pub fn register(&self, registry: &prometheus::Registry) -> anyhow::Result<()> {
        registry.register(Box::new(self.clone())).context("cannot register the book")
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Book {
    /// The one family that is always there: the others come with the fleet.
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.size]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let pages = self.pages();
        let size = std::iter::once((&[] as &[_], pages.entries as f64));
        let size = families::family(SIZE, SIZE_HELP, MetricType::GAUGE, size);
        let now_ns = mono_ns();
        let families = pages.families.iter().map(|(name, family)| family.collect(name, now_ns));
        let histograms = pages.histograms.iter().map(|(name, (help, rows))| histogram::collect(name, help, rows));
        std::iter::once(size).chain(families).chain(histograms).collect()
    }
}

impl Pages {
    fn append(&mut self, series: String) -> anyhow::Result<Cell> {
        let cell = self.place(&series).with_context(|| format!("cannot add {series} to the book"))?;
        self.series.insert(series, cell.clone());
        Ok(cell)
    }

    fn place(&mut self, series: &str) -> anyhow::Result<Cell> {
        if series.len() > NAME_BYTES {
            bail!("the name has {} bytes, at most {NAME_BYTES} fit", series.len());
        }
        if self.entries == CAPACITY {
            bail!("it holds {CAPACITY} series already");
        }
        let page = self.page()?;
        let entry = (self.entries - self.first) * ENTRY;
        for (i, chunk) in series.as_bytes().chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            page.at(entry + NAME + i).store(u64::from_ne_bytes(word), Relaxed);
        }
        page.at(entry + LENGTH).store(series.len() as u64, Release);
        self.entries += 1;
        Ok(Cell { page, value: entry + VALUE, hidden_from: Arc::new(AtomicU64::new(NEVER)) })
    }

    /// The page with room for the next entry.
    fn page(&mut self) -> std::io::Result<Arc<Words>> {
        if let Some(page) = self.page.as_ref().filter(|_| self.entries < self.room) {
            return Ok(page.clone());
        }
        let step = self.room.clamp(FIRST_STEP, LARGEST_STEP);
        let page = Arc::new(match &self.file {
            Some(file) => Words::extend(file, self.room * ENTRY, step * ENTRY)?,
            None => Words::anonymous(step * ENTRY)?,
        });
        (self.first, self.room) = (self.room, self.room + step);
        Ok(self.page.insert(page).clone())
    }
}

impl Family {
    fn collect(&self, name: &str, now_ns: u64) -> MetricFamily {
        let (kind, unit) = match self.kind {
            Kind::Counter => (MetricType::COUNTER, 1.0),
            Kind::Gauge => (MetricType::GAUGE, 1.0),
            Kind::Seconds => (MetricType::COUNTER, 1e-9),
        };
        let shown = self.rows.iter().filter(|(_, cell)| now_ns < cell.hidden_from.load(Relaxed));
        let rows = shown.map(|(labels, cell)| (labels.as_slice(), cell.get() as f64 * unit));
        families::family(name, &self.help, kind, rows)
    }
}

// === impl Cell ===

impl Cell {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.page.at(self.value).fetch_add(n, Relaxed);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Subtracts one (gauges).
    pub fn dec(&self) {
        self.page.at(self.value).fetch_sub(1, Relaxed);
    }

    /// Sets (gauges; counters kept elsewhere).
    pub fn set(&self, value: u64) {
        self.page.at(self.value).store(value, Relaxed);
    }

    /// From this machine time on `/metrics` does not print it: what it counts is gone for good. The book keeps it.
    pub fn hide_from(&self, at_ns: u64) {
        self.hidden_from.store(at_ns, Relaxed);
    }

    /// It is printed after all.
    pub fn show(&self) {
        self.hide_from(NEVER);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.page.at(self.value).load(Relaxed)
    }
}

/// Every series of a book file (of a living or a dead process) with its value: `name{label="value",…}`. A book without a
/// series is empty; an entry that its writer did not finish is not there. Another file is an error.
pub fn read(path: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    if std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len() == 0 {
        return Ok(Vec::new());
    }
    let words = Words::open(path)?;
    let length = words.get(LENGTH).map_or(u64::MAX, |length| length.load(Acquire));
    if length > NAME_BYTES as u64 {
        bail!("{} is no book", path.display());
    }
    Ok((0..).map_while(|entry| read_entry(&words, entry * ENTRY)).collect())
}

fn read_entry(words: &Words, entry: usize) -> Option<(String, u64)> {
    let length = words.get(entry + LENGTH)?.load(Acquire) as usize;
    if length == 0 || length > NAME_BYTES {
        return None;
    }
    let mut name = Vec::with_capacity(length.next_multiple_of(8));
    for i in 0..length.div_ceil(8) {
        name.extend(words.get(entry + NAME + i)?.load(Relaxed).to_ne_bytes());
    }
    name.truncate(length);
    Some((String::from_utf8(name).ok()?, words.get(entry + VALUE)?.load(Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(book: &Book, outcome: &str) -> Cell {
        book.cell(Kind::Counter, "requests_total", &[("proxy", "0"), ("outcome", outcome)], "Requests.").unwrap()
    }

    #[test]
    fn what_was_counted_is_in_the_file_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        let book = Book::create(Some(&path)).unwrap();
        assert_eq!(read(&path).unwrap(), []);
        requests(&book, "ok").add(3);
        requests(&book, "a \"b\"").inc();
        requests(&book, "ok").inc();
        let expected = [
            ("requests_total{proxy=\"0\",outcome=\"ok\"}".to_owned(), 4),
            ("requests_total{proxy=\"0\",outcome=\"a \\\"b\\\"\"}".to_owned(), 1),
        ];
        assert_eq!(read(&path).unwrap(), expected);
        drop(book);
        assert_eq!(read(&path).unwrap(), expected);
    }

    #[test]
    fn another_file_is_no_book() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        for other in ["x", "# HELP requests_total Requests.\n"] {
            std::fs::write(&path, other).unwrap();
            assert!(read(&path).unwrap_err().to_string().ends_with("is no book"), "{other}");
        }
    }

    #[test]
    fn it_grows_in_steps_and_cells_stay_valid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        let book = Book::create(Some(&path)).unwrap();
        let first = requests(&book, "0");
        let count = 3 * LARGEST_STEP;
        for i in 0..count {
            requests(&book, &i.to_string()).set(i as u64);
            let (held, room) = (i + 1, std::fs::metadata(&path).unwrap().len() as usize / (8 * ENTRY));
            let most = held.next_power_of_two().max(FIRST_STEP).min(held + LARGEST_STEP);
            assert!((held..=most).contains(&room), "{held} series have room for {room}");
        }
        first.add(7);
        let series = read(&path).unwrap();
        assert_eq!(series.len(), count);
        assert_eq!(series[0].1, 7);
        assert!((1..count).all(|i| series[i].1 == i as u64));
    }

    #[test]
    fn the_book_of_a_target_has_4_kib() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        let book = Book::create(Some(&path)).unwrap();
        (0..9).for_each(|i| requests(&book, &i.to_string()).inc());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    }

    #[test]
    fn a_half_written_entry_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        let book = Book::create(Some(&path)).unwrap();
        requests(&book, "ok").inc();
        requests(&book, "failed").inc();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..ENTRY * 8 + 40]).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1, "cut off within the second entry");
        let mut unpublished = bytes;
        unpublished[(ENTRY + LENGTH) * 8] = 0;
        std::fs::write(&path, &unpublished).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1, "the length of the second entry was not stored");
    }

    #[test]
    fn metrics_print_families_and_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        let book = Book::create(Some(&path)).unwrap();
        requests(&book, "ok").add(2);
        requests(&book, "failed").add(1);
        book.cell(Kind::Seconds, "cpu_seconds_total", &[], "CPU.").unwrap().add(1_500_000_000);
        let in_flight = book.cell(Kind::Gauge, "in_flight", &[], "Held.").unwrap();
        in_flight.inc();
        in_flight.dec();
        let registry = prometheus::Registry::new();
        book.register(&registry).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text.contains("# TYPE cpu_seconds_total counter\ncpu_seconds_total 1.5\n"), "{text}");
        assert!(text.contains("in_flight 0\n"), "{text}");
        assert!(read(&path).unwrap().contains(&("cpu_nanoseconds_total".to_owned(), 1_500_000_000)));
        assert_eq!(text.matches("# HELP requests_total").count(), 1, "{text}");
        assert!(text.contains("requests_total{proxy=\"0\",outcome=\"ok\"} 2\n"), "{text}");
    }

    #[test]
    fn what_is_gone_is_in_the_file_and_not_in_metrics() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("book");
        let book = Book::create(Some(&path)).unwrap();
        let registry = prometheus::Registry::new();
        book.register(&registry).unwrap();
        let printed = || {
            let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            ["ok", "failed"].map(|outcome| text.contains(&format!("outcome=\"{outcome}\"")))
        };
        let (ok, failed) = (requests(&book, "ok"), requests(&book, "failed"));
        ok.hide_from(mono_ns() + 3_600_000_000_000);
        assert_eq!(printed(), [true, true], "not yet");
        ok.hide_from(mono_ns());
        assert_eq!(printed(), [false, true]);
        failed.hide_from(mono_ns());
        assert_eq!(printed(), [false, false], "a family without a row");
        requests(&book, "ok").inc();
        assert_eq!(read(&path).unwrap().len(), 2);
        requests(&book, "ok").show();
        assert_eq!(printed(), [true, false]);
    }

    #[test]
    fn limits_are_errors_that_name_the_series() {
        let book = Book::create(None).unwrap();
        let long = "x".repeat(NAME_BYTES);
        let error = book.cell(Kind::Counter, "a_total", &[("b", &long)], "").unwrap_err();
        assert!(format!("{error:#}").contains("at most 240 fit"), "{error:#}");
        requests(&book, "ok");
        assert!(book.cell(Kind::Gauge, "requests_total", &[], "").is_err());
        assert!(book.cell(Kind::Seconds, "cpu_total", &[], "").is_err());
    }
}
