//! Waiting for intended send times: the precise timer, woken a little early, and the rest spun away.
//!
//! A wake-up through the kernel comes some tens of microseconds late. The alarm measures by how much at the start, sets the
//! timer that much earlier and yields to the other tasks of the thread until the time has come: never early. At high
//! rates it does not, since the spinning would take the time that the sending needs.

use std::io;

use galton_runtime::mono_ns;
use galton_runtime::timer::Timer;

/// Never wake earlier than this, however slow the machine: spinning costs CPU.
const MAX_AHEAD_NS: u64 = 60_000;
/// Spin only while the mean gap between sends is at least this (2000/s): then spinning takes 12 % of the time at most.
const MIN_SPIN_GAP_NS: f64 = 500_000.0;
/// The mean gap is exponentially weighted, over about so many sends.
const GAPS: f64 = 16.0;
/// How many wake-ups are measured at the start, how far apart.
const PROBES: usize = 32;
const PROBE_NS: u64 = 300_000;

/// The alarm clock of the sending thread.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Timer,
    ahead_ns: u64,
    longest_stall_ns: u64,
}

/// How far apart sends are: an exponentially weighted mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gaps {
    last_ns: Option<u64>,
    mean_ns: f64,
}

// === impl Alarm ===

impl Alarm {
    /// Makes the timer of this thread and measures its wake-up latency, in about 10 ms.
    pub(crate) async fn new() -> io::Result<Self> {
        let timer = Timer::new()?;
        let mut late = Vec::with_capacity(PROBES);
        for _ in 0..PROBES {
            let at = mono_ns() + PROBE_NS;
            timer.sleep_until(at).await;
            late.push(mono_ns().saturating_sub(at));
        }
        late.sort_unstable();
        // The 90th percentile: most wake-ups come in time, and one slow probe does not decide.
        let ahead_ns = late[PROBES * 9 / 10].min(MAX_AHEAD_NS);
        Ok(Self { timer, ahead_ns, longest_stall_ns: 0 })
    }

    /// Completes at `at_ns` machine time, never early; `u64::MAX` is never. Dropping it gives up the wait.
    pub(crate) async fn until(&self, at_ns: u64, spin: bool) {
        let wake_ns = if spin { at_ns.saturating_sub(self.ahead_ns) } else { at_ns };
        if wake_ns > mono_ns() {
            self.timer.sleep_until(wake_ns).await;
        }
        while mono_ns() < at_ns {
            tokio::task::yield_now().await;
        }
    }

    /// The wait for `at_ns` is over, by [`Self::until`] or because something else came first: if that time has passed, the
    /// thread should have run then.
    pub(crate) fn woken(&mut self, at_ns: u64) {
        self.longest_stall_ns = self.longest_stall_ns.max(mono_ns().saturating_sub(at_ns));
    }

    /// The longest time for which the thread should have run and did not, up to now.
    pub(crate) fn longest_stall_ns(&self) -> u64 {
        self.longest_stall_ns
    }
}

// === impl Gaps ===

impl Gaps {
    /// A request that was intended for `at_ns` goes out.
    pub(crate) fn sent(&mut self, at_ns: u64) {
        if let Some(last_ns) = self.last_ns.replace(at_ns) {
            let gap = at_ns.saturating_sub(last_ns) as f64;
            self.mean_ns = if self.mean_ns.is_finite() { self.mean_ns + (gap - self.mean_ns) / GAPS } else { gap };
        }
    }

    /// Whether spinning before each send would leave enough time for the sending.
    pub(crate) fn may_spin(&self) -> bool {
        self.mean_ns >= MIN_SPIN_GAP_NS
    }
}

impl Default for Gaps {
    fn default() -> Self {
        Self { last_ns: None, mean_ns: f64::INFINITY }
    }
}
