//! The words of a load map, and the locks that show who is alive: all that is unsafe about it, and all that a model check
//! replaces (see `model`).
//!
//! Everything is read and written as 64-bit atomics, so that no process ever sees a torn value.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
pub(super) use std::sync::atomic::{AtomicU64, fence};

use memmap2::{MmapOptions, MmapRaw};

/// A mapped file of whole words, shared with other processes.
#[derive(Debug)]
pub(super) struct Memory {
    map: MmapRaw,
    file: File,
}

// === impl Memory ===

impl Memory {
    /// Fills an empty file with so many words, all 0, and maps it.
    pub(super) fn create(mut file: File, words: usize) -> io::Result<Self> {
        // Written, not only sized: a full disk is an error here, and not a SIGBUS at some later store.
        let bytes = (words * size_of::<u64>()) as u64;
        io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file)?;
        Self::open(file)
    }

    /// Maps a file.
    pub(super) fn open(file: File) -> io::Result<Self> {
        Ok(Self { map: MmapOptions::new().map_raw(&file)?, file })
    }

    /// The file's length.
    pub(super) fn bytes(&self) -> usize {
        self.map.len()
    }

    /// All whole words of the file.
    pub(super) fn words(&self) -> &[AtomicU64] {
        let start = self.map.as_ptr().cast::<AtomicU64>();
        // SAFETY: a mapping is aligned to pages, lives as long as `self` and never moves. Its words are shared with other
        // processes, which also use them as atomics alone.
        unsafe { std::slice::from_raw_parts(start, self.map.len() / size_of::<u64>()) }
    }

    /// Some of them, without looking whether there are so many: a pick asks for a dozen sections.
    ///
    /// # Safety
    /// `at` must be within [`Self::words`].
    pub(super) unsafe fn section(&self, at: &Range<usize>) -> &[AtomicU64] {
        // SAFETY: it is within them, says the caller.
        unsafe { self.words().get_unchecked(at.clone()) }
    }

    // === Who is alive: a byte of the file is locked by its owner; the kernel unlocks it when that dies. ===

    /// Takes a byte for this open file; `false`: another has it.
    pub(super) fn own(&self, byte: u32) -> io::Result<bool> {
        match self.lock(libc::F_WRLCK, byte) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Gives it back.
    pub(super) fn disown(&self, byte: u32) -> io::Result<()> {
        self.lock(libc::F_UNLCK, byte)
    }

    /// A lock of the open file description, not of the process: it conflicts with other opens in this process too.
    fn lock(&self, kind: i32, byte: u32) -> io::Result<()> {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: libc::off_t::from(byte),
            l_len: 1,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open as long as `self`, and `lock` is only read during the call.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
