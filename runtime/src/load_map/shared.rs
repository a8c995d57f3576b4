//! The mapped words of a load map by name: its layout. What the words mean is the business of the parent module.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::lock::Seat;
use super::memory::{AtomicU64, Memory};
use super::scan;

const MAGIC: u64 = u64::from_be_bytes(*b"galtonlm");
/// The layout's version.
const LAYOUT: u64 = 3 << 32;

// Words of the header, by cache line: what never changes, what every update writes, the injected lock.
const SHAPE_AT: usize = 2;
const ID_AT: usize = 6;
const CHANGING_AT: usize = 8;
const CLAIM_AT: usize = 16;
const HEADER: usize = 24;

/// Words in a cache line: sections start at one, so that hosts do not share lines without need.
const LINE: usize = 8;

/// Sizes and rules of a map, fixed when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Room for so many rows.
    pub(super) rows: u32,
    /// Room for hosts 0 to `hosts − 1`.
    pub(super) hosts: u32,
    /// Slots per target.
    pub(super) limit: u32,
    /// A target is idle while fewer slots than this are taken; 0: never.
    pub(super) idle_threshold: u32,
}

/// Where each section is, in words.
#[derive(Debug)]
struct Layout {
    load: Range<usize>,
    order: Range<usize>,
    place: Range<usize>,
    name: Range<usize>,
    state: Range<usize>,
    since: Range<usize>,
    waiting: Range<usize>,
    joined: Range<usize>,
    cells: usize,
    stride: usize,
    words: usize,
}

/// The words of a map, shared with other processes.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) shape: Shape,
    pub(super) seat: Seat,
    pub(super) memory: Memory,
    layout: Layout,
}

// === impl Shape ===

impl Shape {
    /// More than one machine can run, and still a size that cannot overflow.
    const MOST_ROWS: u32 = 1 << 16;
    pub(super) const MOST_HOSTS: u32 = 1 << 10;

    fn check(self) -> io::Result<()> {
        let (rows, hosts) = (1..=Self::MOST_ROWS, 1..=Self::MOST_HOSTS);
        if rows.contains(&self.rows) && hosts.contains(&self.hosts) {
            return Ok(());
        }
        let what = format!("{} rows (1 to {}), {} hosts (1 to {})", self.rows, rows.end(), self.hosts, hosts.end());
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

// === impl Layout ===

impl Layout {
    fn of(shape: Shape) -> Self {
        let (rows, hosts) = (shape.rows as usize, shape.hosts as usize);
        let mut end = HEADER;
        let mut section = |words: usize| {
            let start = end;
            end += words.next_multiple_of(LINE);
            start..start + words
        };
        let [load, order, place] = [scan::words(rows), rows, rows.next_power_of_two()].map(&mut section);
        let [name, state, since] = [rows; 3].map(&mut section);
        let [waiting, joined] = [hosts; 2].map(&mut section);
        let stride = rows.next_multiple_of(LINE);
        let cells = section(stride * hosts).start;
        Self { load, order, place, name, state, since, waiting, joined, cells, stride, words: end }
    }
}

// === impl Shared ===

impl Shared {
    /// Makes a map of this shape and id out of an empty file.
    pub(super) fn create(file: File, shape: Shape, id: u64) -> io::Result<Self> {
        shape.check()?;
        let memory = Memory::create(file, Layout::of(shape).words)?;
        let words = [shape.rows, shape.hosts, shape.limit, shape.idle_threshold];
        for (word, value) in memory.words()[SHAPE_AT..].iter().zip(words) {
            word.store(value.into(), Ordering::Relaxed);
        }
        memory.words()[ID_AT].store(id, Ordering::Relaxed);
        memory.words()[1].store(LAYOUT, Ordering::Relaxed);
        memory.words()[0].store(MAGIC, Ordering::Release);
        Self::seated(memory, shape)
    }

    /// Maps a file that [`Self::create`] made.
    pub(super) fn open(file: File) -> io::Result<Self> {
        let fault = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let memory = Memory::open(file)?;
        let len = memory.bytes();
        if len < HEADER * size_of::<u64>() {
            return Err(fault(format!("not a load map: {len} bytes are too few")));
        }
        let word = |at: usize| memory.words()[at].load(Ordering::Acquire);
        if word(0) != MAGIC {
            return Err(fault("not a load map".into()));
        }
        if word(1) != LAYOUT {
            return Err(fault(format!("a load map of layout {:#x}, this program has {LAYOUT:#x}", word(1))));
        }
        let [rows, hosts, limit, idle_threshold] = [0, 1, 2, 3].map(|i| word(SHAPE_AT + i) as u32);
        let shape = Shape { rows, hosts, limit, idle_threshold };
        shape.check()?;
        if Layout::of(shape).words * size_of::<u64>() != len {
            return Err(fault(format!("a load map of {rows} rows and {hosts} hosts does not have {len} bytes")));
        }
        Self::seated(memory, shape)
    }

    /// Of words that are as many as this shape needs.
    pub(super) fn seated(memory: Memory, shape: Shape) -> io::Result<Self> {
        let layout = Layout::of(shape);
        assert!(layout.words <= memory.words().len(), "a map has all its sections");
        let seat = Seat::take(&memory, &memory.words()[CHANGING_AT])?;
        Ok(Self { shape, seat, memory, layout })
    }

    /// How many words a map of this shape has.
    #[cfg(galton_loom)]
    pub(super) fn size(shape: Shape) -> usize {
        Layout::of(shape).words
    }

    fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }

    /// What tells this map from every other one.
    pub(super) fn id(&self) -> u64 {
        self.words()[ID_AT].load(Ordering::Relaxed)
    }

    /// The lock over updates, which is the version too: see `lock`.
    pub(super) fn version(&self) -> &AtomicU64 {
        &self.words()[CHANGING_AT]
    }

    /// How many positions of the index are in use.
    pub(super) fn used(&self) -> &AtomicU64 {
        &self.words()[CHANGING_AT + 1]
    }

    /// How many rows are ready.
    pub(super) fn ready(&self) -> &AtomicU64 {
        &self.words()[CHANGING_AT + 2]
    }

    /// How many hosts have been buried.
    pub(super) fn buried(&self) -> &AtomicU64 {
        &self.words()[CHANGING_AT + 3]
    }

    /// When the injected lock is free.
    pub(super) fn free(&self) -> &AtomicU64 {
        &self.words()[CLAIM_AT]
    }

    /// Index: the counts by position, packed (see `scan`).
    pub(super) fn load(&self) -> &[AtomicU64] {
        self.section(&self.layout.load)
    }

    /// Index: number of the target (upper half) and row (lower half) by position, ascending.
    pub(super) fn order(&self) -> &[AtomicU64] {
        self.section(&self.layout.order)
    }

    /// Index: number of the target (upper half) and position (lower half), by the last bits of the number.
    pub(super) fn place(&self) -> &[AtomicU64] {
        self.section(&self.layout.place)
    }

    /// By row: number of the target (upper half) and incarnation (lower half).
    pub(super) fn name(&self) -> &[AtomicU64] {
        self.section(&self.layout.name)
    }

    /// By row: its state.
    pub(super) fn state(&self) -> &[AtomicU64] {
        self.section(&self.layout.state)
    }

    /// By row: since when the count has been below the idle threshold.
    pub(super) fn since(&self) -> &[AtomicU64] {
        self.section(&self.layout.since)
    }

    /// By host: since when the head of its queue has waited.
    pub(super) fn waiting(&self) -> &[AtomicU64] {
        self.section(&self.layout.waiting)
    }

    /// By host: 1 if it has joined and has not been found dead.
    pub(super) fn joined(&self) -> &[AtomicU64] {
        self.section(&self.layout.joined)
    }

    /// The cells of one host: slots held, by row.
    pub(super) fn cells(&self, host: u32) -> &[AtomicU64] {
        let start = self.layout.cells + self.layout.stride * host as usize;
        &self.words()[start..start + self.shape.rows as usize]
    }

    fn section(&self, at: &Range<usize>) -> &[AtomicU64] {
        // SAFETY: `seated` has seen that all of the layout is within the memory.
        unsafe { self.memory.section(at) }
    }

    /// Takes a host's number for this map; `false`: another has it. Given up by the kernel when its process dies.
    pub(super) fn own(&self, host: u32) -> io::Result<bool> {
        self.memory.own(host)
    }

    /// Gives it back.
    pub(super) fn disown(&self, host: u32) -> io::Result<()> {
        self.memory.disown(host)
    }
}
