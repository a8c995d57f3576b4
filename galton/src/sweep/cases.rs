//! The cases of a sweep: the scenario with each value, and with the overrides of each reference. All are loaded before
//! anything runs.

use anyhow::Context as _;
use galton_core::Scenario;

use super::vary::{Reference, Vary};
use crate::scenario_args::ScenarioArgs;

/// The scenario with some overrides.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) label: String,
    pub(super) overrides: Vec<(String, String)>,
    pub(super) scenario: Scenario,
}

/// The cases of the values, then those of the references.
pub(super) fn load(args: &ScenarioArgs, vary: &Vary, references: &[Reference]) -> anyhow::Result<Vec<Case>> {
    let value = |value: &String| (value.clone(), "--vary", vec![(vary.key.clone(), value.clone())]);
    let reference = |reference: &Reference| (reference.label(), "--reference", reference.0.clone());
    let all = vary.values.iter().map(value).chain(references.iter().map(reference));
    all.map(|(label, flag, overrides)| case(args, label, flag, overrides)).collect()
}

fn case(args: &ScenarioArgs, label: String, flag: &str, overrides: Vec<(String, String)>) -> anyhow::Result<Case> {
    let scenario = args.load(overrides.iter().map(|(key, value)| (key.as_str(), value.clone())));
    let scenario = scenario.with_context(|| format!("{flag}, {label}"))?;
    Ok(Case { label, overrides, scenario })
}

// === impl Case ===

impl Case {
    /// With the seed of a replication.
    pub(super) fn replication(&self, index: usize) -> Scenario {
        let mut scenario = self.scenario.clone();
        scenario.simulation.seed = scenario.simulation.seed.wrapping_add(index as u64);
        scenario
    }
}
