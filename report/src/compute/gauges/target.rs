//! The gauges of one target during a replay.
//!
//! What they weigh is larger than the processor's caches, for a large fleet by far, and each target has its turn seldom. So steps
//! wait, and are gone through many at once: then the memory of one target is fetched once for all of them.

use galton_core::Nanos;

use super::sampler::{Area, Position, Sampler, Weights};
use crate::compute::window::Window;

/// The gauges of one target, from ready to its end, draining included; as far as the steps have been gone through.
#[derive(Clone, Debug)]
pub(crate) struct TargetGauges {
    demanded: Units,
    serving: bool,
    /// Requests in flight, and CPU demanded.
    holding: Sampler<2>,
    /// CPU demanded, in millionths of a unit, over the run.
    cpu_over_time: Area<1>,
    measured: Box<Measured>,
}

/// CPU that was really spent, where requests say so.
#[derive(Clone, Debug, Default)]
struct Measured {
    spent: Units,
    cpu: Sampler<1>,
}

/// CPU units of what is held, in millionths: whole, so that they come back to 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Units(i64);

/// What one request takes of a target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// CPU demanded, in units.
    pub(crate) demanded: f64,
    /// CPU really spent, in units.
    pub(crate) spent: f64,
}

/// An attempt begins or ends to be held by a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) at: Nanos,
    /// Taken before.
    pub(super) samples: u64,
    /// By how much the CPU demanded changes.
    pub(super) demanded: Units,
    /// Attempts held from then on.
    pub(super) held: u32,
}

/// Steps that wait for a target, at most: 2 KB.
pub(super) const STEPS: usize = 64;

/// What is the same for all targets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub(super) window: Window,
    /// What a millionth of a CPU unit is of a target's capacity.
    pub(super) part: f64,
}

// === impl Units ===

impl Units {
    /// What begins (+1) or ends (−1) to be held.
    #[inline]
    pub(super) fn of(units: f64, by: i32) -> Self {
        Self(i64::from(by) * (units * 1e6 + 0.5) as i64)
    }

    /// In thousandths of a capacity, of which one millionth of a unit is `part`.
    #[inline]
    fn thousandths(self, part: f64) -> u64 {
        // By way of a signed number: a processor has no instruction for the other.
        (self.0 as f64 * part * super::CPU_SCALE + 0.5) as i64 as u64
    }
}

// === impl TargetGauges ===

impl TargetGauges {
    pub(super) fn new(bucket: Nanos) -> Self {
        Self {
            demanded: Units::default(),
            serving: false,
            holding: Sampler::default(),
            cpu_over_time: Area::new(bucket),
            measured: Box::default(),
        }
    }

    pub(crate) fn in_flight(&self) -> &Weights {
        self.holding.weights(0)
    }

    pub(crate) fn cpu(&self) -> &Weights {
        self.holding.weights(1)
    }

    /// As `cpu`, from what was really spent instead of demanded.
    pub(crate) fn cpu_measured(&self) -> &Weights {
        self.measured.cpu.weights(0)
    }

    /// The mean CPU demanded within each bucket, in millionths of a unit.
    pub(super) fn cpu_over_time(&self, bucket: Nanos) -> impl Iterator<Item = f64> + '_ {
        self.cpu_over_time.means(0, bucket)
    }

    /// Steps in order of time, no more than [`STEPS`].
    #[inline(never)]
    pub(super) fn go_through(&mut self, steps: &[Step], measure: Measure) {
        let mut cpu = [0; STEPS];
        for (cpu, step) in cpu.iter_mut().zip(steps) {
            self.demanded.0 += step.demanded.0;
            *cpu = self.demanded.thousandths(measure.part);
            self.cpu().fetch(*cpu);
        }
        for (Step { at, samples, demanded, held }, cpu) in steps.iter().zip(cpu) {
            let here = Position { samples: *samples, time: measure.window.clip(*at) };
            self.holding.set(here, [(*held).into(), cpu]);
            self.cpu_over_time.rise(*at, [demanded.0]);
        }
    }

    /// So much CPU is really spent from now on.
    #[cold]
    pub(super) fn spend(&mut self, here: Position, more: Units, measure: Measure) {
        let Measured { spent, cpu } = &mut *self.measured;
        spent.0 += more.0;
        cpu.set(here, [spent.thousandths(measure.part)]);
    }

    /// It begins to serve, or ceases to; every step before has been gone through.
    pub(super) fn serve(&mut self, here: Position, serving: bool) {
        if self.serving != serving {
            self.serving = serving;
            if serving { self.begin(here) } else { self.end(here) }
        }
    }

    fn begin(&mut self, here: Position) {
        self.holding.begin(here);
        self.measured.cpu.begin(here);
    }

    fn end(&mut self, here: Position) {
        self.holding.end(here);
        self.measured.cpu.end(here);
    }

    /// The run is over; every step has been gone through.
    pub(super) fn finish(&mut self, here: Position, at: Nanos) {
        self.end(here);
        self.cpu_over_time.finish(at);
    }
}
