//! A table as one process uses it, and the load: a pick, and the release of what was picked a while ago.

use std::collections::VecDeque;

/// Slots that a process holds all the time.
const HELD: usize = 16;

/// One process's end of a table.
pub(crate) trait Contender {
    /// What a pick gives.
    type Slot;

    /// Takes a slot at the least loaded target, and says how often it looked.
    fn pick(&mut self, request: u64) -> (Self::Slot, u64);

    fn release(&mut self, slot: Self::Slot);
}

/// The load.
pub(crate) struct Pairs<C: Contender> {
    table: C,
    held: VecDeque<C::Slot>,
    requests: u64,
    pub(crate) looks: u64,
}

// === impl Pairs ===

impl<C: Contender> Pairs<C> {
    pub(crate) fn of(table: C) -> Self {
        Self { table, held: VecDeque::with_capacity(HELD + 1), requests: 0, looks: 0 }
    }

    pub(crate) fn run(&mut self, pairs: u64) {
        for _ in 0..pairs {
            self.requests += 1;
            let (slot, looks) = self.table.pick(self.requests);
            self.looks += looks;
            self.held.push_back(slot);
            if self.held.len() > HELD
                && let Some(slot) = self.held.pop_front()
            {
                self.table.release(slot);
            }
        }
    }
}
