//! A row of the simulator's load table: what is known of one target.

use super::RowState;
use crate::ids::{HostId, Incarnation, TargetId};
use crate::time::Nanos;

/// One target, and the slots that are held on it: a line of the processor's caches.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Row {
    pub(super) target: TargetId,
    pub(super) incarnation: Incarnation,
    pub(super) state: RowState,
    pub(super) count: u32,
    held: Held,
    /// Since when the count has been below the idle threshold.
    pub(super) below_since: Option<Nanos>,
}

/// Slots held, by host number; those of the first few hosts beside the rest of the row.
#[derive(Debug, Default)]
struct Held {
    few: [u32; FEW],
    others: Box<[u32]>,
}

const FEW: usize = 4;

impl Row {
    /// Of a target that is starting.
    pub(super) fn new(target: TargetId, incarnation: Incarnation) -> Self {
        let state = RowState::Starting;
        Self { target, incarnation, state, count: 0, held: Held::default(), below_since: None }
    }

    /// The bucket where it belongs: its count, if it is ready.
    #[inline(always)]
    pub(super) fn bucket(&self) -> Option<usize> {
        self.is_ready().then_some(self.count as usize)
    }

    #[inline(always)]
    pub(super) fn is_ready(&self) -> bool {
        self.state == RowState::Ready
    }

    /// Slots that this host holds.
    #[inline(always)]
    pub(super) fn held(&self, host: HostId) -> u32 {
        let at = host.0 as usize;
        let Held { few, others } = &self.held;
        few.get(at).or_else(|| others.get(at - FEW)).copied().unwrap_or(0)
    }

    /// Where they are counted.
    #[inline(always)]
    pub(super) fn cell(&mut self, host: HostId) -> &mut u32 {
        let at = host.0 as usize;
        let Held { few, others } = &mut self.held;
        if at < FEW {
            return &mut few[at];
        }
        if others.len() <= at - FEW {
            let mut more = std::mem::take(others).into_vec();
            more.resize(at - FEW + 1, 0);
            *others = more.into_boxed_slice();
        }
        &mut others[at - FEW]
    }
}

const _: () = assert!(size_of::<Row>() == 64);
