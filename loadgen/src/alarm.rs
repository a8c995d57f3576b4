//! Waiting for intended send times: the precise timer, woken a little early, and the rest spun away.
//!
//! A wake-up through the kernel comes some tens of microseconds late, more after a core has slept for long. The alarm
//! measures by how much at the start and from then on, sets the timer that much earlier and yields to the other tasks of the
//! thread until the time has come: never early. At high rates it does not, since the spinning would take the time that the
//! sending needs.

use std::cell::Cell;
use std::io;

use galton_runtime::mono_ns;
use galton_runtime::timer::Timer;

/// Never wake earlier than this, however slow the machine: what is later is not the wake-up but another process.
const MAX_AHEAD_NS: f64 = 250_000.0;
/// Spin for at most this share of the mean gap between sends: it costs CPU.
const SPIN_SHARE: f64 = 0.12;
/// Spin only while the mean gap between sends is at least this (2000/s): with less, the share is too short to help.
const MIN_SPIN_GAP_NS: f64 = 500_000.0;
/// How early to wake is such that this share of wake-ups comes in time: most do, and one slow one does not decide.
const IN_TIME: f64 = 0.9;
/// By how much one wake-up that comes too late moves it at most. Small against the latencies, so that it settles; some
/// hundred wake-ups take it from one to another.
const STEP_NS: f64 = 2_000.0;
/// The mean gap is exponentially weighted, over about so many sends.
const GAPS: f64 = 16.0;
/// How many wake-ups are measured at the start, how far apart.
const PROBES: usize = 32;
const PROBE_NS: u64 = 300_000;

/// The alarm clock of the sending thread.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Timer,
    latency: Latency,
    longest_stall_ns: u64,
}

/// How late wake-ups come: the [`IN_TIME`] quantile, followed by stochastic approximation (Robbins and Monro, 1951), whose
/// fixed point is where the steps up and down balance.
#[derive(Debug)]
struct Latency(Cell<f64>);

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
        let latency = Latency(Cell::new(late[(PROBES as f64 * IN_TIME) as usize] as f64));
        Ok(Self { timer, latency, longest_stall_ns: 0 })
    }

    /// Completes at `at_ns` machine time, never early; `u64::MAX` is never. Wakes at most `spin_ns` early. Dropping it gives up
    /// the wait.
    pub(crate) async fn until(&self, at_ns: u64, spin_ns: f64) {
        let wake_ns = at_ns.saturating_sub(self.latency.0.get().min(spin_ns) as u64);
        if wake_ns > mono_ns() {
            self.timer.sleep_until(wake_ns).await;
            self.latency.observe(mono_ns().saturating_sub(wake_ns) as f64);
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

// === impl Latency ===

impl Latency {
    fn observe(&self, late_ns: f64) {
        let now = self.0.get();
        let step = if late_ns > now { IN_TIME } else { IN_TIME - 1.0 };
        self.0.set((now + step * STEP_NS).clamp(0.0, MAX_AHEAD_NS));
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

    /// How long spinning before each send may take and leave enough time for the sending.
    pub(crate) fn spin_ns(&self) -> f64 {
        if self.mean_ns >= MIN_SPIN_GAP_NS { self.mean_ns * SPIN_SHARE } else { 0.0 }
    }
}

impl Default for Gaps {
    fn default() -> Self {
        Self { last_ns: None, mean_ns: f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latency_follows_the_quantile_and_forgets_what_was() {
        let latency = Latency(Cell::new(0.0));
        let settle = |slow: f64| {
            // Nine wake-ups spread evenly up to 90 % of the slow ones' time, and then one slow one.
            (0..20_000).for_each(|n| latency.observe(slow * f64::from(n % 10 + 1) / 10.0));
            latency.0.get()
        };
        let at_first = settle(100_000.0);
        assert!((85_000.0..=102_000.0).contains(&at_first), "{at_first}");
        let later = settle(30_000.0);
        assert!((25_000.0..=32_000.0).contains(&later), "{later}");
        assert_eq!(settle(1e9), MAX_AHEAD_NS, "no wake-up is worth more spinning");
    }
}
