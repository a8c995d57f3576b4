//! `galton check` and `galton schema`.

use std::path::PathBuf;
use std::process::ExitCode;

use galton_core::scenario;
use galton_runtime::{scenario_file, terminal};

/// What to check.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Scenario files (JSON or YAML)
    #[arg(required = true, value_name = "SCENARIO")]
    files: Vec<PathBuf>,
}

/// Validates every file; prints all faults of all of them.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut faulty = 0;
    for file in &args.files {
        match scenario_file::load(file, &[]) {
            Ok(scenario) if scenario.description.is_empty() => {
                terminal::print(format_args!("{}: ok\n", file.display()))?;
            }
            Ok(scenario) => terminal::print(format_args!("{}: ok: {}\n", file.display(), scenario.description))?,
            Err(error) => {
                faulty += 1;
                terminal::note(error);
            }
        }
    }
    Ok(ExitCode::from(if faulty == 0 { 0 } else { crate::USAGE }))
}

/// Prints the JSON Schema.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    terminal::print(format_args!("{:#}\n", scenario::schema()))?;
    Ok(ExitCode::SUCCESS)
}
