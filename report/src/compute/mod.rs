//! From [`RunData`] to [`Report`]: each module computes one part; this one puts them together.

mod conservation;
mod counts;
mod gauges;
mod judge;
mod latency;
mod scaling;
mod series;
mod targets;
mod window;

use crate::input::RunData;
use crate::model::{Report, Run};

use self::gauges::replay;
use self::window::Window;

/// Version of the schema of `result.json`.
const SCHEMA_VERSION: u32 = 1;

impl Report {
    /// Computes everything; a few seconds per million requests on one core, in a release build.
    pub fn compute(data: &RunData) -> Self {
        let window = Window::of(data);
        let samples = latency::Latencies::collect(data, window);
        let replayed = replay(data, window);
        let latency = samples.summaries();
        let conservation = conservation::check(data);
        let counts = counts::count(data, window);
        let no_attempt_by_outcome = counts::no_attempt(data, window);
        let validity = judge::judge(data, window, &samples, &conservation);
        Self {
            schema_version: SCHEMA_VERSION,
            kind: data.meta.kind,
            run: run(data),
            scenario: data.scenario.to_value(),
            validity,
            rates: counts::rates(data, window, &counts),
            counts,
            conservation,
            retries: counts::retries(data, window),
            no_attempt: no_attempt_by_outcome.values().sum(),
            no_attempt_by_outcome,
            latency_by_outcome: samples.by_outcome(),
            latency,
            gauges: replayed.gauges(),
            free_targets_at_reject: replayed.free_at_refusal(),
            scaling: scaling::summarise(data, &replayed),
            targets: targets::table(data, window, &replayed),
            series: series::series(data, window, &replayed),
            plots: series::plots(data, window, &samples, &replayed),
            summary: crate::sentence::of(&data.scenario),
        }
    }
}

fn run(data: &RunData) -> Run {
    Run { meta: data.meta.clone(), seed: data.scenario.simulation.seed, users: data.generator.users }
}
