//! Whole simulations: requests per second, records kept in memory.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use galton_core::scenario::Architecture;
use galton_core::{Nanos, Scenario};
use galton_sim::simulate;

fn main() {
    divan::main();
}

/// Two fleets, as scenario files.
const FLEETS: [(&str, &str); 2] =
    [("20", include_str!("targets_20.json")), ("1000", include_str!("targets_1000.json"))];
/// Long enough that the fleets, of up to 10 000 slots, are full most of the time.
const REQUESTS: u64 = 100_000;

fn scenario(targets: &str, architecture: Architecture) -> Scenario {
    let (_, text) = FLEETS.iter().find(|(name, _)| *name == targets).expect("one of the fleets");
    let value: serde_json::Value = serde_json::from_str(text).expect("a scenario file is JSON");
    let mut scenario = Scenario::from_value(targets, &value, &mut |_| Err("no file".to_owned())).expect("a scenario");
    let rate_per_sec = value["traffic"]["arrival"]["rate_per_sec"].as_f64().expect("a rate");
    scenario.simulation.duration = Nanos::from_secs_f64(REQUESTS as f64 / rate_per_sec);
    scenario.load_balancer.architecture = architecture;
    scenario
}

#[divan::bench(args = FLEETS.map(|(name, _)| name), max_time = 5, sample_count = 10)]
fn round_robin(bencher: Bencher<'_, '_>, targets: &str) {
    run(bencher, &scenario(targets, Architecture::RoundRobin));
}

#[divan::bench(args = FLEETS.map(|(name, _)| name), max_time = 5, sample_count = 10)]
fn least_conns(bencher: Bencher<'_, '_>, targets: &str) {
    run(bencher, &scenario(targets, Architecture::LeastConns));
}

fn run(bencher: Bencher<'_, '_>, scenario: &Scenario) {
    bencher.counter(ItemsCount::new(REQUESTS)).bench(|| simulate(black_box(scenario)).expect("an open loop ends"));
}
