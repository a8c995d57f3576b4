//! The CPU of a target as arithmetic: how much the active requests ask of it, and how it slows them down when that is too much
//! (`cpu_mode: slowdown`). The target and the simulator both run this.
//!
//! Egalitarian processor sharing in virtual time, as in Demers, Keshav and Shenker, "Analysis and simulation of a fair
//! queueing algorithm" (SIGCOMM 1989): all active requests progress at the same rate r = 1 / max(1, utilisation), so one
//! clock V with dV = r dt serves them all, and a request that arrives at V₀ with a hold of h is done when V reaches V₀ + h.
//! Nothing has to be recomputed per request when the rate changes.

use std::collections::BTreeMap;

use crate::time::Nanos;

/// One active request. Given by [`SharedCpu::arrive`], consumed by [`SharedCpu::finish`] or [`SharedCpu::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    /// Virtual time at which it is done: the bits of a non-negative `f64`, which sort as the number does.
    done: u64,
    /// Equal ends keep the order of arrival.
    seq: u64,
}

/// The requests that share the CPU of one target. Times are of any one clock; one before the last counts as the last.
#[derive(Clone, Debug)]
pub struct SharedCpu {
    capacity: f64,
    /// CPU units of each active request, by virtual end.
    active: BTreeMap<Job, f64>,
    /// Their sum.
    demand: f64,
    /// V at `at`, in nanoseconds.
    virtual_ns: f64,
    at: Nanos,
    seq: u64,
}

impl SharedCpu {
    /// With the target's capacity in CPU units, which must be above 0.
    pub fn new(capacity: f64) -> Self {
        Self { capacity, active: BTreeMap::new(), demand: 0.0, virtual_ns: 0.0, at: Nanos::ZERO, seq: 0 }
    }

    /// Σ demand of active requests ÷ capacity; above 1 the CPU is overloaded.
    pub fn utilisation(&self) -> f64 {
        self.demand / self.capacity
    }

    /// A request begins: work that takes `hold` alone, and `cpu` units while it lasts.
    pub fn arrive(&mut self, now: Nanos, hold: Nanos, cpu: f64) -> Job {
        self.advance(now);
        self.seq += 1;
        let job = Job { done: (self.virtual_ns + hold.0 as f64).to_bits(), seq: self.seq };
        self.active.insert(job, cpu);
        self.demand += cpu;
        job
    }

    /// When the next request is done if none arrives or leaves before.
    pub fn next(&self) -> Option<Nanos> {
        let (job, _) = self.active.first_key_value()?;
        Some(self.at + Nanos(libm::round(self.remaining_ns(*job)) as u64))
    }

    /// Takes out a request that is done at `now`, to the nanosecond; the earliest first. To be called until `None`.
    pub fn finish(&mut self, now: Nanos) -> Option<Job> {
        // The rate changes with every one that is done, also within a late call: each is taken out at its own time.
        let due = self.next().filter(|&due| due <= now)?;
        self.advance(due);
        let (job, cpu) = self.active.pop_first()?;
        self.forget(cpu);
        Some(job)
    }

    /// Takes out a request that is not done: its caller went away. Nothing happens if it is not active.
    pub fn leave(&mut self, now: Nanos, job: Job) {
        self.advance(now);
        if let Some(cpu) = self.active.remove(&job) {
            self.forget(cpu);
        }
    }

    fn forget(&mut self, cpu: f64) {
        self.demand = (self.demand - cpu).max(0.0);
        if self.active.is_empty() {
            // Rounding errors end with the busy period.
            self.demand = 0.0;
            self.virtual_ns = 0.0;
        }
    }

    /// Nanoseconds until the job is done at the present rate.
    fn remaining_ns(&self, job: Job) -> f64 {
        (f64::from_bits(job.done) - self.virtual_ns).max(0.0) * self.utilisation().max(1.0)
    }

    fn advance(&mut self, now: Nanos) {
        self.virtual_ns += now.since(self.at).0 as f64 / self.utilisation().max(1.0);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn ms(n: u64) -> Nanos {
        Nanos(n * MS)
    }

    /// Every end, in order, with nothing arriving any more.
    fn ends(cpu: &mut SharedCpu) -> Vec<(Nanos, Job)> {
        std::iter::from_fn(|| cpu.next().map(|at| (at, cpu.finish(at).expect("next() says that one is done"))))
            .collect()
    }

    #[test]
    fn below_capacity_a_hold_lasts_as_long_as_asked_to_the_nanosecond() {
        let mut cpu = SharedCpu::new(100.0);
        let a = cpu.arrive(Nanos(1_000_000_007), Nanos(123_456_789), 40.0);
        let b = cpu.arrive(Nanos(1_000_000_010), Nanos(5), 60.0);
        assert_eq!(cpu.utilisation(), 1.0);
        assert_eq!(ends(&mut cpu), [(Nanos(1_000_000_015), b), (Nanos(1_123_456_796), a)]);
        assert_eq!(cpu.utilisation(), 0.0);
    }

    #[test]
    fn above_capacity_all_slow_down_and_speed_up_when_one_leaves() {
        // Two requests of 100 units on 100: each at half speed. a needs 10 ms; b arrives when 5 ms of a are left, and needs
        // 20: a is done 10 ms later; then b, with 15 ms left, runs alone.
        let mut cpu = SharedCpu::new(100.0);
        let a = cpu.arrive(ms(0), ms(10), 100.0);
        let b = cpu.arrive(ms(5), ms(20), 100.0);
        assert_eq!(ends(&mut cpu), [(ms(15), a), (ms(30), b)]);
    }

    #[test]
    fn one_that_leaves_frees_its_share() {
        let mut cpu = SharedCpu::new(50.0);
        let a = cpu.arrive(ms(0), ms(10), 50.0);
        let b = cpu.arrive(ms(0), ms(100), 150.0);
        assert_eq!(cpu.next(), Some(ms(40)), "a quarter of the speed");
        cpu.leave(ms(20), b);
        cpu.leave(ms(21), b);
        assert_eq!(ends(&mut cpu), [(ms(25), a)]);
    }

    #[test]
    fn a_late_call_takes_each_out_at_its_own_time() {
        let mut cpu = SharedCpu::new(100.0);
        let a = cpu.arrive(ms(0), ms(10), 100.0);
        let b = cpu.arrive(ms(0), ms(20), 100.0);
        assert_eq!(cpu.finish(ms(19)), None);
        assert_eq!(cpu.finish(ms(1000)), Some(a));
        assert_eq!(cpu.next(), Some(ms(30)), "alone from 20 ms on, whenever the call came");
        assert_eq!(cpu.finish(ms(1000)), Some(b));
        assert_eq!(cpu.finish(ms(1000)), None);
    }

    #[test]
    fn work_is_conserved_under_any_load() {
        // While overloaded, Σ cpu·hold is served at the capacity: with equal demands the last end is the sum of the work.
        let mut cpu = SharedCpu::new(10.0);
        for i in 0..50 {
            cpu.arrive(ms(0), ms(1 + i * 7 % 13), 10.0);
        }
        let work: u64 = (0..50).map(|i| 1 + i * 7 % 13).sum();
        let ends = ends(&mut cpu);
        assert_eq!(ends.len(), 50);
        assert!(ends.is_sorted_by_key(|(at, _)| *at));
        let last = ends[49].0.0;
        assert!(last.abs_diff(work * MS) < 100, "{last} against {}", work * MS);
    }

    #[test]
    fn equal_ends_keep_the_order_of_arrival_and_no_cpu_is_no_load() {
        let mut cpu = SharedCpu::new(1.0);
        let jobs: Vec<Job> = (0..3).map(|_| cpu.arrive(ms(1), ms(2), 0.0)).collect();
        assert_eq!(cpu.utilisation(), 0.0);
        assert_eq!(ends(&mut cpu), jobs.into_iter().map(|job| (ms(3), job)).collect::<Vec<_>>());
    }
}
