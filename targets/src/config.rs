//! What a target takes from the scenario, in machine time.

use galton_core::plan::Plan;
use galton_core::scenario::{CpuMode, OnDisconnect};
use galton_core::{Incarnation, Nanos, Scenario, TargetId};
use galton_runtime::{ScenarioClock, scenario_file};

use http::HeaderValue;

use crate::Args;
use crate::demand::Demand;

/// The settings of one target.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) target: TargetId,
    /// `target`, as every response carries it.
    pub(crate) name: HeaderValue,
    pub(crate) incarnation: Incarnation,
    /// Requests held at most.
    pub(crate) max_concurrency: u32,
    /// CPU units.
    pub(crate) cpu_capacity: f64,
    pub(crate) cpu_mode: CpuMode,
    pub(crate) on_disconnect: OnDisconnect,
    /// Machine nanoseconds of CPU time per unit (`burn`).
    pub(crate) cpu_unit_ns: f64,
    /// The idle rule's K.
    pub(crate) idle_threshold: u32,
    pub(crate) burn_threads: u32,
    plan: Plan,
    /// Converts durations; this process knows no T0.
    clock: ScenarioClock,
}

impl Config {
    /// From the scenario file, or the default scenario without one.
    pub(crate) fn load(args: &Args) -> anyhow::Result<Self> {
        let scenario = match &args.role.scenario {
            Some(path) => scenario_file::load(path, &[])?,
            None => Scenario::default(),
        };
        Ok(Self::new(&scenario, args))
    }

    fn new(scenario: &Scenario, args: &Args) -> Self {
        let targets = &scenario.targets;
        Self {
            target: args.target,
            name: HeaderValue::from_str(&args.target.to_string()).expect("t-<number> is a header value"),
            incarnation: args.incarnation,
            max_concurrency: targets.max_concurrency,
            cpu_capacity: targets.cpu_capacity,
            cpu_mode: targets.cpu_mode,
            on_disconnect: targets.on_disconnect,
            cpu_unit_ns: targets.cpu_unit.0 as f64 / args.role.time_scale,
            idle_threshold: scenario.load_balancer.rr.idle_threshold_requests,
            burn_threads: args.burn_threads,
            plan: Plan::new(scenario),
            clock: ScenarioClock::new(0, args.role.time_scale),
        }
    }

    /// What the `count`-th request without a demand of its own asks for.
    pub(crate) fn own_demand(&self, count: u64) -> Demand {
        let demand = self.plan.own_demand(self.target, self.incarnation, count);
        Demand { hold: Nanos(self.clock.machine(demand.hold)), cpu: demand.cpu }
    }

    /// CPU time that a demand stands for, in machine nanoseconds.
    pub(crate) fn cpu_ns(&self, demand: &Demand) -> u64 {
        (demand.cpu * self.cpu_unit_ns).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn config(flags: &[&str]) -> Config {
        let args = Cli::parse_from(["target"].iter().chain(flags)).args;
        Config::new(&Scenario::default(), &args)
    }

    #[test]
    fn demands_of_its_own_are_keyed_and_divided_by_the_time_scale() {
        let (plain, fast) = (config(&[]), config(&["--time-scale=4"]));
        let (other, again) = (config(&["--target=t-002"]), config(&["--incarnation=1"]));
        for count in 0..10 {
            let demand = plain.own_demand(count);
            assert_eq!(demand, plain.own_demand(count));
            assert_ne!(demand, plain.own_demand(count + 1));
            assert_ne!(demand, other.own_demand(count));
            assert_ne!(demand, again.own_demand(count));
            assert_eq!(fast.own_demand(count).cpu, demand.cpu);
            assert!(demand.hold.0.abs_diff(4 * fast.own_demand(count).hold.0) <= 2);
        }
    }

    #[test]
    fn cpu_units_are_divided_by_the_time_scale() {
        let demand = Demand { hold: Nanos::ZERO, cpu: 2.5 };
        assert_eq!(config(&[]).cpu_ns(&demand), 2_500_000, "1 ms a unit");
        assert_eq!(config(&["--time-scale=0.5"]).cpu_ns(&demand), 5_000_000);
    }
}
