//! What `loadgen` does with finished runs, beside making them.

use std::process::ExitCode;

use crate::merge;

/// A command about finished runs.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Compare two runs: directories, or their result.json
    Compare(galton_results::compare::Args),
    /// Put the runs of several load generators against the same server together
    Merge(merge::Args),
}

// === impl Command ===

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Compare(args) => galton_results::compare::run(args),
            Self::Merge(args) => merge::run(args),
        }
    }
}
