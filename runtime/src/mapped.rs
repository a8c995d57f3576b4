//! Memory-mapped 64-bit words: the one place of this crate that touches raw memory.
//!
//! Book and records are made of whole words and nothing else, so that every access is an atomic load or store: a reader in
//! another process may look at any time, and what was stored survives SIGKILL.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use anyhow::Context as _;
use memmap2::{MmapMut, MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

const WORD: usize = size_of::<u64>();

/// A stretch of mapped words.
#[derive(Debug)]
pub(crate) struct Words(MmapRaw);

impl Words {
    /// `words` words of anonymous memory, zero.
    pub(crate) fn anonymous(words: usize) -> std::io::Result<Self> {
        Ok(Self(MmapMut::map_anon(words * WORD)?.into()))
    }

    /// Extends `file` by `words` words from word `first` on and maps them. The space is really allocated, so that a full
    /// disk is an error here and not a SIGBUS later.
    pub(crate) fn extend(file: &File, first: usize, words: usize) -> std::io::Result<Self> {
        let (offset, len) = ((first * WORD) as u64, words * WORD);
        match fallocate(file, FallocateFlags::empty(), offset, len as u64) {
            // Some network and shared file systems.
            Err(Errno::OPNOTSUPP) => file.write_all_at(&vec![0; len], offset)?,
            allocated => allocated?,
        }
        Ok(Self(MmapOptions::new().offset(offset).len(len).map_raw(file)?))
    }

    /// All whole words of an existing file, for reading only. An empty file is an error.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let map = || MmapOptions::new().map_raw_read_only(&File::open(path)?);
        map().map(Self).with_context(|| format!("cannot read {}", path.display()))
    }

    /// How many words.
    pub(crate) fn len(&self) -> usize {
        self.0.len() / WORD
    }

    /// One word; `None` beyond the end. In a mapping made by [`Words::open`] it may only be loaded.
    pub(crate) fn get(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: the index is within the mapping, which lives as long as `self` and never moves; it begins at a
        // whole word of a page (so that every word is aligned), and all access to it, here and in other processes, is atomic.
        Some(unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().cast::<u64>().add(index)) })
    }

    /// One word that is known to be there.
    pub(crate) fn at(&self, index: usize) -> &AtomicU64 {
        self.get(index).expect("the index comes from the layout of this mapping")
    }
}

/// Creates (or empties) a file that will be mapped.
pub(crate) fn create(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))
}
