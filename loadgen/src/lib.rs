//! The load generator: open and closed loops over HTTP, on a precise timer, with a verdict on itself.
//!
//! `pacing` decides what goes out when, `sender` does it, `scribe` writes it down. It stands alone against any
//! HTTP server, or is a part of a run (`conducted`). What becomes of the rows is
//! said in `results`: the report of `galton-report`, folded as they come.

mod alarm;
mod args;
mod commands;
mod conducted;
mod destination;
mod exchange;
mod exposition;
mod link;
mod measure_args;
mod merge;
mod meters;
mod occupancy;
mod output;
mod pacing;
mod progress;
mod results;
mod scribe;
mod sender;
mod settings;
mod standalone;
mod tally;
#[cfg(test)]
mod test_http2;
#[cfg(test)]
mod test_server;
mod units;

use std::process::ExitCode;

pub use args::{Args, ProgressStyle};

/// Runs the load generator until it is done: standalone, or under a conductor with `--scenario`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(command) = &args.command {
        return command.run();
    }
    match args.conducted.scenario.clone() {
        Some(scenario) => conducted::run(&args, &scenario),
        None => standalone::run(&args),
    }
}
