//! What `loadgen` does beside sending: with runs to come, and with finished ones.

use std::process::ExitCode;

use crate::{merge, plan, search};

/// A command.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Find the highest rate at which objectives are kept
    Search(Box<search::Args>),
    /// Print the schedule of an open loop, and send nothing
    Plan(Box<plan::Args>),
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
            Self::Search(args) => search::run(args),
            Self::Plan(args) => plan::run(args),
            Self::Compare(args) => galton_results::compare::run(args),
            Self::Merge(args) => merge::run(args),
        }
    }
}
