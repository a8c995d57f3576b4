//! The arguments that name a scenario and change it.

use std::path::PathBuf;

use clap::ValueEnum;
use galton_core::Scenario;
use galton_runtime::scenario_file::{self, ScenarioFileError};

/// Which scenario, and what is different about it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ScenarioArgs {
    /// Scenario file (JSON or YAML)
    #[arg(value_name = "SCENARIO")]
    pub(crate) file: PathBuf,
    /// Override a key of the scenario, such as traffic.timeout_ms=500; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Short for --set load_balancer.architecture=…
    #[arg(long, value_name = "ARCHITECTURE")]
    arch: Option<Arch>,
    /// Short for --set simulation.seed=…
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Arch {
    #[value(alias = "rr")]
    RoundRobin,
    #[value(alias = "lc")]
    LeastConns,
}

/// Parses `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as traffic.timeout_ms=500")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl ScenarioArgs {
    /// The scenario, with everything overridden; the shorthands go last, `more` among them.
    pub(crate) fn load<'a>(
        &self,
        more: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Result<Scenario, ScenarioFileError> {
        let arch = self.arch.map(|arch| match arch {
            Arch::RoundRobin => "\"round_robin\"".to_owned(),
            Arch::LeastConns => "\"least_conns\"".to_owned(),
        });
        let shorthands =
            [("load_balancer.architecture", arch), ("simulation.seed", self.seed.map(|seed| seed.to_string()))];
        let shorthands = shorthands.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let given = shorthands.chain(more).map(|(key, value)| (key.to_owned(), value));
        let overrides: Vec<_> = self.set.iter().cloned().chain(given).collect();
        scenario_file::load(&self.file, &overrides)
    }
}
