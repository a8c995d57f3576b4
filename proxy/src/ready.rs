//! Whether the process is ready: when all of its hosts are.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// One host's part in it.
#[derive(Debug)]
pub(crate) struct Ready {
    all: Arc<AtomicBool>,
    /// Hosts that are not.
    missing: Arc<AtomicUsize>,
    own: Cell<bool>,
}

// === impl Ready ===

impl Ready {
    /// For so many hosts, none of which is ready; `all` follows whether they are.
    pub(crate) fn parts(hosts: usize, all: &Arc<AtomicBool>) -> Vec<Self> {
        let missing = Arc::new(AtomicUsize::new(hosts));
        let part = || Self { all: Arc::clone(all), missing: Arc::clone(&missing), own: Cell::new(false) };
        (0..hosts).map(|_| part()).collect()
    }

    /// This host is, or is not. Returns whether it was.
    pub(crate) fn set(&self, ready: bool) -> bool {
        let was = self.own.replace(ready);
        if ready && !was {
            let last = self.missing.fetch_sub(1, Ordering::Relaxed) == 1;
            self.all.fetch_or(last, Ordering::Relaxed);
        } else if was && !ready {
            self.missing.fetch_add(1, Ordering::Relaxed);
            self.all.store(false, Ordering::Relaxed);
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_needed_and_one_that_is_not_is_enough() {
        let all = Arc::new(AtomicBool::new(false));
        let parts = Ready::parts(2, &all);
        let now = || all.load(Ordering::Relaxed);
        assert!(!parts[0].set(true) && !now());
        assert!(parts[0].set(true) && !now(), "said twice, it counts once");
        parts[1].set(true);
        assert!(now());
        assert!(parts[0].set(false) && !now());
        parts[0].set(true);
        assert!(now());
    }
}
