//! The simplest table that is as exact as the load map, as a contender: counts, and a mutex over them.
//!
//! It knows nothing of who holds what, of limits and of idleness; the mutex is robust, as that of a table for processes
//! that may be killed must be.

use std::fs::File;
use std::mem::MaybeUninit;
use std::path::Path;

use anyhow::ensure;
use galton_core::rng::{Keyed, Purpose};
use memmap2::{MmapOptions, MmapRaw};

use crate::contender::Contender;

/// Bytes kept for the mutex.
const MUTEX: usize = 64;

pub(crate) struct Plain {
    memory: MmapRaw,
    targets: usize,
    coins: Keyed,
}

// === impl Plain ===

impl Plain {
    pub(crate) fn create(path: &Path, targets: u32) -> anyhow::Result<()> {
        std::fs::write(path, vec![0; MUTEX + targets as usize * size_of::<u32>()])?;
        let table = Self::open(path, 0)?;
        let mut attr = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attr = attr.as_mut_ptr();
        // SAFETY: the first call initialises `attr`; the mutex is a part of the file for itself, which nobody else has open.
        let results = unsafe {
            [
                libc::pthread_mutexattr_init(attr),
                libc::pthread_mutexattr_setpshared(attr, libc::PTHREAD_PROCESS_SHARED),
                libc::pthread_mutexattr_setrobust(attr, libc::PTHREAD_MUTEX_ROBUST),
                libc::pthread_mutex_init(table.mutex(), attr),
            ]
        };
        ensure!(results == [0; 4], "cannot make a mutex: {results:?}");
        Ok(())
    }

    pub(crate) fn open(path: &Path, host: u32) -> anyhow::Result<Self> {
        let memory = MmapOptions::new().map_raw(&File::options().read(true).write(true).open(path)?)?;
        let targets = (memory.len() - MUTEX) / size_of::<u32>();
        Ok(Self { memory, targets, coins: Keyed::new(host.into(), Purpose::Choice) })
    }

    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.memory.as_mut_ptr().cast()
    }

    fn locked<R>(&mut self, change: impl FnOnce(&mut [u32]) -> R) -> R {
        // SAFETY: `create` initialised the mutex.
        match unsafe { libc::pthread_mutex_lock(self.mutex()) } {
            0 => {}
            // One of the others, at the end; a count that is wrong by one does not matter any more.
            // SAFETY: this thread holds the mutex, which is in the inconsistent state that this call ends.
            libc::EOWNERDEAD => assert_eq!(unsafe { libc::pthread_mutex_consistent(self.mutex()) }, 0),
            error => panic!("cannot lock: {}", std::io::Error::from_raw_os_error(error)),
        }
        // SAFETY: the counts follow the mutex, are as many as the mapping has room for, and belong to whoever holds it.
        let counts =
            unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().add(MUTEX).cast(), self.targets) };
        let result = change(counts);
        // SAFETY: this thread holds the mutex.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(self.mutex()) }, 0, "this thread holds it");
        result
    }
}

impl Contender for Plain {
    type Slot = usize;

    fn pick(&mut self, request: u64) -> (usize, u64) {
        let u = self.coins.rng(request).uniform_at(0);
        let target = self.locked(|counts| {
            let least = counts.iter().copied().fold(u32::MAX, u32::min);
            let ties: u32 = counts.iter().map(|count| u32::from(*count == least)).sum();
            let k = ((u * f64::from(ties)) as u32).min(ties - 1);
            let mut hits = counts.iter_mut().enumerate().filter(|(_, count)| **count == least);
            let (target, count) = hits.nth(k as usize).expect("there are as many");
            *count += 1;
            target
        });
        (target, 1)
    }

    fn release(&mut self, target: usize) {
        self.locked(|counts| counts[target] -= 1);
    }
}
