//! Requests that were served, which most are: they wait until there are some, since to add one at a time to all that is counted
//! takes half as many instructions again.

use galton_core::record::{Ended, TraceOutcome};
use galton_core::{Nanos, Outcome, TargetId};

/// Requests that wait, at most: 4 KB, which leaves most of the processor's nearest cache to the rest.
const TOGETHER: usize = 64;

/// Measured requests that a target served and of which everything is known, in order of their ends; by column.
#[derive(Clone, Debug)]
pub(super) struct Served {
    len: usize,
    t_intended: [Nanos; TOGETHER],
    t_end: [Nanos; TOGETHER],
    response: [u64; TOGETHER],
    service: [u64; TOGETHER],
    send_lag: [u64; TOGETHER],
    hold: [u64; TOGETHER],
    overhead: [u64; TOGETHER],
    attempts: [u32; TOGETHER],
    target: [TargetId; TOGETHER],
}

/// The columns, as far as they are filled. Durations are nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<'a> {
    pub(super) t_intended: &'a [Nanos],
    pub(super) t_end: &'a [Nanos],
    pub(super) response: &'a [u64],
    pub(super) service: &'a [u64],
    pub(super) send_lag: &'a [u64],
    pub(super) hold: &'a [u64],
    pub(super) overhead: &'a [u64],
    pub(super) attempts: &'a [u32],
    pub(super) target: &'a [TargetId],
}

// === impl Served ===

impl Served {
    pub(super) fn none() -> Box<Self> {
        let (times, durations) = ([Nanos::ZERO; TOGETHER], [0; TOGETHER]);
        Box::new(Self {
            len: 0,
            t_intended: times,
            t_end: times,
            response: durations,
            service: durations,
            send_lag: durations,
            hold: durations,
            overhead: durations,
            attempts: [0; TOGETHER],
            target: [TargetId(0); TOGETHER],
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == TOGETHER
    }

    /// Takes a measured request, if it was served, there is room, and everything of it is known.
    #[inline(always)]
    pub(super) fn take(&mut self, row: &Ended) -> bool {
        let Ended { t_intended, t_send, t_end, outcome, attempts, target, hold, overhead } = *row;
        let (Some(t_send), Some(t_end), Some(attempts), Some(target)) = (t_send, t_end, attempts, target) else {
            return false;
        };
        let (Some(hold), Some(overhead)) = (hold, overhead) else { return false };
        let at = self.len;
        if outcome != TraceOutcome::Offered(Outcome::Ok) || at >= TOGETHER {
            return false;
        }
        self.t_intended[at] = t_intended;
        self.t_end[at] = t_end;
        self.response[at] = (t_end - t_intended).0;
        self.service[at] = (t_end - t_send).0;
        self.send_lag[at] = (t_send - t_intended).0;
        self.hold[at] = hold.0;
        self.overhead[at] = overhead.0;
        self.attempts[at] = attempts;
        self.target[at] = target;
        self.len = at + 1;
        true
    }

    pub(super) fn columns(&self) -> Columns<'_> {
        let n = self.len;
        Columns {
            t_intended: &self.t_intended[..n],
            t_end: &self.t_end[..n],
            response: &self.response[..n],
            service: &self.service[..n],
            send_lag: &self.send_lag[..n],
            hold: &self.hold[..n],
            overhead: &self.overhead[..n],
            attempts: &self.attempts[..n],
            target: &self.target[..n],
        }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }
}
