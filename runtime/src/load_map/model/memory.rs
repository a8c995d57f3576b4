//! The memory of a model check in place of the mapped one: loom's atomics, and bytes that are given up when a thread says
//! that its process dies.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

pub(in super::super) use loom::sync::atomic::{AtomicU64, fence};

use crate::load_map::shared::Shape;

/// Bytes for hosts, and as many for seats.
const BYTES: usize = 4;

/// As one process sees it.
#[derive(Clone, Debug)]
pub(in super::super) struct Memory {
    words: Arc<Vec<AtomicU64>>,
    owners: Arc<Vec<AtomicU64>>,
    process: u64,
}

// === impl Memory ===

impl Memory {
    pub(in super::super) fn new(words: usize) -> Self {
        let zeros = |n| Arc::new((0..n).map(|_| AtomicU64::new(0)).collect());
        Self { words: zeros(words), owners: zeros(2 * BYTES), process: 1 }
    }

    /// The same memory in a process of this number, from 1.
    pub(in super::super) fn of_process(&self, process: u64) -> Self {
        Self { process, ..self.clone() }
    }

    pub(in super::super) fn create(_: File, words: usize) -> io::Result<Self> {
        Ok(Self::new(words))
    }

    pub(in super::super) fn open(_: File) -> io::Result<Self> {
        Err(io::Error::other("a model has no files"))
    }

    pub(in super::super) fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    pub(in super::super) fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    /// # Safety
    /// None is needed here; that of the mapped memory is asked for.
    pub(in super::super) unsafe fn section(&self, at: &Range<usize>) -> &[AtomicU64] {
        &self.words[at.clone()]
    }

    pub(in super::super) fn own(&self, byte: u32) -> io::Result<bool> {
        Ok(self.owner(byte).compare_exchange(0, self.process, AcqRel, Relaxed).is_ok())
    }

    pub(in super::super) fn disown(&self, byte: u32) -> io::Result<()> {
        self.owner(byte).store(0, Release);
        Ok(())
    }

    fn owner(&self, byte: u32) -> &AtomicU64 {
        let seat = byte.checked_sub(Shape::MOST_HOSTS);
        &self.owners[seat.map_or(byte as usize, |seat| BYTES + seat as usize)]
    }
}
