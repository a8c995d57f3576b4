//! The mapped memory of a load map: its layout, the lock over its updates, and the locks that show who is alive.
//!
//! All that is unsafe about the load map is in this file. Everything but the mutex is read and written as 64-bit
//! atomics, so that no process ever sees a torn value; what the words mean is the business of the parent module.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::scan;

const MAGIC: u64 = u64::from_be_bytes(*b"galtonlm");
/// The layout's version; with it the size of the C library's mutex, which is part of the layout.
const LAYOUT: u64 = 1 << 32 | size_of::<libc::pthread_mutex_t>() as u64;

// Words of the header, by cache line: what never changes, the mutex, what every update writes, the injected lock.
const SHAPE_AT: usize = 2;
const MUTEX_AT: usize = 8;
const CHANGING_AT: usize = 16;
const CLAIM_AT: usize = 24;
const HEADER: usize = 32;

/// Words in a cache line: sections start at one, so that hosts do not share lines without need.
const LINE: usize = 8;
const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= LINE * size_of::<u64>());

/// Tries to take a busy lock before blocking: it is held for less than a microsecond, a sleep costs several.
const SPINS: u32 = 100;

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
    least: Range<usize>,
    order: Range<usize>,
    name: Range<usize>,
    state: Range<usize>,
    count: Range<usize>,
    since: Range<usize>,
    waiting: Range<usize>,
    joined: Range<usize>,
    cells: usize,
    stride: usize,
    words: usize,
}

/// The memory of a map, shared with other processes.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) shape: Shape,
    layout: Layout,
    memory: MmapRaw,
    file: File,
}

/// The lock over updates, held.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    shared: &'a Shared,
    /// The process that held the lock before died with it: what it was changing is to be put right.
    pub(super) owner_died: bool,
}

// === impl Shape ===

impl Shape {
    /// More than one machine can run, and still a size that cannot overflow.
    const MOST_ROWS: u32 = 1 << 16;
    const MOST_HOSTS: u32 = 1 << 10;

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
        let [load, least, order] = [scan::words(rows), scan::lines(rows), rows].map(&mut section);
        let [name, state, count, since] = [rows; 4].map(&mut section);
        let [waiting, joined] = [hosts; 2].map(&mut section);
        let stride = rows.next_multiple_of(LINE);
        let cells = section(stride * hosts).start;
        Self { load, least, order, name, state, count, since, waiting, joined, cells, stride, words: end }
    }
}

// === impl Shared ===

impl Shared {
    /// Makes a map of this shape out of an empty file.
    pub(super) fn create(mut file: File, shape: Shape) -> io::Result<Self> {
        shape.check()?;
        let layout = Layout::of(shape);
        // Written, not only sized: a full disk is an error here, and not a SIGBUS at some later store.
        let bytes = (layout.words * size_of::<u64>()) as u64;
        io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file)?;
        let memory = MmapOptions::new().map_raw(&file)?;
        let shared = Self { shape, layout, memory, file };
        shared.init_mutex()?;
        let words = [shape.rows, shape.hosts, shape.limit, shape.idle_threshold];
        for (word, value) in shared.words()[SHAPE_AT..].iter().zip(words) {
            word.store(value.into(), Ordering::Relaxed);
        }
        shared.words()[1].store(LAYOUT, Ordering::Relaxed);
        shared.words()[0].store(MAGIC, Ordering::Release);
        Ok(shared)
    }

    /// Maps a file that [`Self::create`] made.
    pub(super) fn open(file: File) -> io::Result<Self> {
        let fault = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let memory = MmapOptions::new().map_raw(&file)?;
        let len = memory.len();
        if len < HEADER * size_of::<u64>() {
            return Err(fault(format!("not a load map: {len} bytes are too few")));
        }
        let empty = Shape { rows: 0, hosts: 0, limit: 0, idle_threshold: 0 };
        let header = Self { shape: empty, layout: Layout::of(empty), memory, file };
        let word = |at: usize| header.words()[at].load(Ordering::Acquire);
        if word(0) != MAGIC {
            return Err(fault("not a load map".into()));
        }
        if word(1) != LAYOUT {
            return Err(fault(format!("a load map of layout {:#x}, this program has {LAYOUT:#x}", word(1))));
        }
        let [rows, hosts, limit, idle_threshold] = [0, 1, 2, 3].map(|i| word(SHAPE_AT + i) as u32);
        let shape = Shape { rows, hosts, limit, idle_threshold };
        shape.check()?;
        let layout = Layout::of(shape);
        if layout.words * size_of::<u64>() != len {
            return Err(fault(format!("a load map of {rows} rows and {hosts} hosts does not have {len} bytes")));
        }
        Ok(Self { shape, layout, memory: header.memory, file: header.file })
    }

    fn words(&self) -> &[AtomicU64] {
        let start = self.memory.as_ptr().cast::<AtomicU64>();
        // SAFETY: a mapping is aligned to pages, lives as long as `self`, and has `layout.words` words (`create` wrote
        // them, `open` compared the length; before it did, a header's). They are shared with other processes, which
        // also use them as atomics alone. The words of the mutex are among them, but nobody indexes those.
        unsafe { std::slice::from_raw_parts(start, self.layout.words) }
    }

    /// Odd while an update is going on, and greater after each.
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

    /// When the injected lock is free.
    pub(super) fn free(&self) -> &AtomicU64 {
        &self.words()[CLAIM_AT]
    }

    /// Index: the counts of candidates by position, packed.
    pub(super) fn load(&self) -> &[AtomicU64] {
        &self.words()[self.layout.load.clone()]
    }

    /// Index: minimum and number of ties, by line of those.
    pub(super) fn least(&self) -> &[AtomicU64] {
        &self.words()[self.layout.least.clone()]
    }

    /// Index: number of the target (upper half) and row (lower half) by position, ascending.
    pub(super) fn order(&self) -> &[AtomicU64] {
        &self.words()[self.layout.order.clone()]
    }

    /// By row: number of the target (upper half) and incarnation (lower half).
    pub(super) fn name(&self) -> &[AtomicU64] {
        &self.words()[self.layout.name.clone()]
    }

    /// By row: its state.
    pub(super) fn state(&self) -> &[AtomicU64] {
        &self.words()[self.layout.state.clone()]
    }

    /// Index: the sum of the cells, by row.
    pub(super) fn count(&self) -> &[AtomicU64] {
        &self.words()[self.layout.count.clone()]
    }

    /// By row: since when the count has been below the idle threshold.
    pub(super) fn since(&self) -> &[AtomicU64] {
        &self.words()[self.layout.since.clone()]
    }

    /// By host: since when the head of its queue has waited.
    pub(super) fn waiting(&self) -> &[AtomicU64] {
        &self.words()[self.layout.waiting.clone()]
    }

    /// By host: 1 if it has joined and has not been found dead.
    pub(super) fn joined(&self) -> &[AtomicU64] {
        &self.words()[self.layout.joined.clone()]
    }

    /// The cells of one host: slots held, by row.
    pub(super) fn cells(&self, host: u32) -> &[AtomicU64] {
        let start = self.layout.cells + self.layout.stride * host as usize;
        &self.words()[start..start + self.shape.rows as usize]
    }

    // === The lock over updates: a robust mutex, whose death with its owner the kernel tells the next one. ===

    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.memory.as_mut_ptr().cast::<AtomicU64>().wrapping_add(MUTEX_AT).cast()
    }

    fn init_mutex(&self) -> io::Result<()> {
        let mut attr = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attr = attr.as_mut_ptr();
        // SAFETY: `attr` is initialised by the first call and destroyed by the last; the mutex is a line of zeros of
        // the new file, which no other process has seen yet.
        unsafe {
            check(libc::pthread_mutexattr_init(attr))?;
            check(libc::pthread_mutexattr_setpshared(attr, libc::PTHREAD_PROCESS_SHARED))?;
            check(libc::pthread_mutexattr_setrobust(attr, libc::PTHREAD_MUTEX_ROBUST))?;
            check(libc::pthread_mutex_init(self.mutex(), attr))?;
            check(libc::pthread_mutexattr_destroy(attr))
        }
    }

    /// Waits for the lock.
    pub(super) fn lock(&self) -> Guard<'_> {
        for _ in 0..SPINS {
            // SAFETY: the mutex was initialised before the file had its name, and stays mapped as long as `self`.
            match unsafe { libc::pthread_mutex_trylock(self.mutex()) } {
                libc::EBUSY => std::hint::spin_loop(),
                result => return self.locked(result),
            }
        }
        // SAFETY: as above.
        self.locked(unsafe { libc::pthread_mutex_lock(self.mutex()) })
    }

    fn locked(&self, result: i32) -> Guard<'_> {
        let owner_died = result == libc::EOWNERDEAD;
        assert!(owner_died || result == 0, "the load map's mutex is damaged: {}", io::Error::from_raw_os_error(result));
        Guard { shared: self, owner_died }
    }

    // === Who is alive: one byte of the file per host, locked by its owner; the kernel unlocks it when that dies. ===

    /// Takes a host's owner lock for this map's open file; `false`: another has it.
    pub(super) fn own(&self, host: u32) -> io::Result<bool> {
        match self.set_lock(libc::F_WRLCK, host) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Gives it back.
    pub(super) fn disown(&self, host: u32) -> io::Result<()> {
        self.set_lock(libc::F_UNLCK, host)
    }

    /// A lock of the open file description, not of the process: it conflicts with other opens in this process too.
    fn set_lock(&self, kind: i32, host: u32) -> io::Result<()> {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: libc::off_t::from(host),
            l_len: 1,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open as long as `self`, and `lock` is only read during the call.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

// === impl Guard ===

impl Guard<'_> {
    /// Says that what a dead owner left has been put right. Without it the lock could never be taken again.
    pub(super) fn put_right(&mut self) {
        // SAFETY: this thread holds the mutex, which is in the inconsistent state that this call ends.
        let result = unsafe { libc::pthread_mutex_consistent(self.shared.mutex()) };
        assert_eq!(result, 0, "this thread holds a mutex whose owner died");
        self.owner_died = false;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // SAFETY: this thread holds the mutex.
        let result = unsafe { libc::pthread_mutex_unlock(self.shared.mutex()) };
        debug_assert_eq!(result, 0, "this thread holds the mutex");
    }
}
