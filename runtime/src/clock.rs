//! The one clock of the repository: CLOCK_MONOTONIC, scenario time on top of it, and the CPU clocks.

use galton_core::Nanos;
use rustix::time::{ClockId, clock_gettime};

/// Machine time: nanoseconds of CLOCK_MONOTONIC, the same for all processes of this machine.
pub fn mono_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// CPU time of this process so far, all threads, user and system, in nanoseconds.
pub fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread so far, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// Calendar time, nanoseconds since 1970: for the eyes of people, never for measuring.
pub fn unix_ns() -> u64 {
    read(ClockId::Realtime)
}

fn read(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Scenario time: (CLOCK_MONOTONIC − T0) × S.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScenarioClock {
    t0_ns: u64,
    scale: f64,
}

impl ScenarioClock {
    /// With T0 in machine nanoseconds and the time scale S > 0 (4 runs four times faster).
    pub fn new(t0_ns: u64, scale: f64) -> Self {
        Self { t0_ns, scale }
    }

    /// Scenario time now; zero before T0.
    pub fn now(&self) -> Nanos {
        self.scenario(mono_ns())
    }

    /// Scenario time of a machine instant; zero before T0.
    pub fn scenario(&self, mono_ns: u64) -> Nanos {
        let since = mono_ns.saturating_sub(self.t0_ns);
        if self.scale == 1.0 { Nanos(since) } else { Nanos((since as f64 * self.scale).round() as u64) }
    }

    /// Machine instant of a scenario time.
    pub fn mono(&self, at: Nanos) -> u64 {
        self.t0_ns.saturating_add(self.machine(at))
    }

    /// Machine length of a scenario duration, in nanoseconds.
    pub fn machine(&self, duration: Nanos) -> u64 {
        if self.scale == 1.0 { duration.0 } else { (duration.0 as f64 / self.scale).round() as u64 }
    }

    /// T0 in machine nanoseconds.
    pub fn t0_ns(&self) -> u64 {
        self.t0_ns
    }

    /// S.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_time_runs_at_the_scale() {
        let clock = ScenarioClock::new(1_000, 4.0);
        assert_eq!(clock.scenario(1_250), Nanos(1_000));
        assert_eq!(clock.mono(Nanos(1_000)), 1_250);
        assert_eq!(clock.scenario(0), Nanos::ZERO);
    }
}
