//! What the sender notices about itself: requests in flight over time, and the CPU of its thread.

use galton_runtime::clock::thread_cpu_ns;

/// The time integral of the requests in flight, kept apart from the latencies: by Little's law it is their sum.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Occupancy {
    in_flight: u64,
    last_ns: u64,
    integral_ns: f64,
}

/// The share of one core that this thread used, about once a second.
#[derive(Debug)]
pub(crate) struct ThreadCpu {
    since_ns: u64,
    used_ns: u64,
}

/// Shares are taken over at least this long: shorter ones say more about the scheduler than about the load.
const WINDOW_NS: u64 = 1_000_000_000;

// === impl Occupancy ===

impl Occupancy {
    /// A request goes out.
    pub(crate) fn enter(&mut self, now_ns: u64) {
        self.advance(now_ns);
        self.in_flight += 1;
    }

    /// A request ended.
    pub(crate) fn leave(&mut self, now_ns: u64) {
        self.advance(now_ns);
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Request-nanoseconds so far.
    pub(crate) fn integral_ns(&self) -> f64 {
        self.integral_ns
    }

    fn advance(&mut self, now_ns: u64) {
        self.integral_ns += self.in_flight as f64 * now_ns.saturating_sub(self.last_ns) as f64;
        self.last_ns = self.last_ns.max(now_ns);
    }
}

// === impl ThreadCpu ===

impl ThreadCpu {
    /// Begins at `now_ns`, on the thread to watch.
    pub(crate) fn new(now_ns: u64) -> Self {
        Self { since_ns: now_ns, used_ns: thread_cpu_ns() }
    }

    /// The share since the last one, once a window has passed.
    pub(crate) fn share(&mut self, now_ns: u64) -> Option<f64> {
        let passed = now_ns.saturating_sub(self.since_ns);
        if passed < WINDOW_NS {
            return None;
        }
        let used_ns = thread_cpu_ns();
        let share = used_ns.saturating_sub(self.used_ns) as f64 / passed as f64;
        *self = Self { since_ns: now_ns, used_ns };
        Some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integral_is_the_sum_of_the_stays() {
        let mut occupancy = Occupancy::default();
        occupancy.enter(100);
        occupancy.enter(150);
        occupancy.leave(200);
        occupancy.leave(400);
        assert_eq!(occupancy.integral_ns(), 100.0 + 250.0);
    }

    #[test]
    fn a_busy_thread_uses_its_core() {
        let mut cpu = ThreadCpu::new(0);
        assert_eq!(cpu.share(WINDOW_NS - 1), None, "too short to tell");
        while thread_cpu_ns() < cpu.used_ns + 2_000_000 {
            std::hint::spin_loop();
        }
        let share = cpu.share(WINDOW_NS).unwrap();
        assert!((0.002..1.0).contains(&share), "2 ms of a pretended second: {share}");
    }
}
