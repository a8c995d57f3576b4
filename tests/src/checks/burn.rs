//! `scenarios/burn.json`: the CPU seconds that a target reports agree with the kernel's accounting of its process.

use galton_core::{Incarnation, TargetId};
use galton_tests::Run;
use serde_json::Value;

use super::{Tally, run};

/// Relative.
const TOLERANCE: f64 = 0.05;

pub(super) fn check(tally: &mut Tally) {
    let scenario: Value = serde_json::from_str(include_str!("../../../scenarios/burn.json")).expect("a scenario");
    let run = run(&scenario, &[]);
    tally.check(run.result["conservation"]["ok"] == true, "the books balance");
    for event in run.fleet.iter().filter(|e| e.what == galton_core::record::FleetWhat::Ready) {
        let Some(target) = event.target else { continue };
        let (burned, kernel) = cpu_seconds(&run, target, event.incarnation);
        let off = (burned / kernel - 1.0).abs();
        let what = format!("{target}: {burned:.3} s reported, {kernel:.3} s by the kernel, {:.1} % apart", off * 1e2);
        tally.check(burned > 0.0 && off <= TOLERANCE, &what);
    }
}

/// Of the last scrape of a target: what it says that it spent on demand, and what the kernel says that its process spent.
fn cpu_seconds(run: &Run, target: TargetId, incarnation: Incarnation) -> (f64, f64) {
    let metrics = run.dir.join("metrics");
    let read = |kind: &str| std::fs::read_to_string(metrics.join(format!("target-{target}-{incarnation}{kind}.prom")));
    let text = read(".final").or_else(|_| read("")).expect("a scrape of every target");
    let last = |name: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with(name));
        lines.next_back().and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    };
    (last("galton_target_cpu_seconds_total"), last("process_cpu_seconds_total"))
}
