//! The load generator: open and closed loops over HTTP, on a precise timer, with a verdict on itself.
//!
//! `pacing` decides what goes out when, `sender` does it, `scribe` writes it down. It stands alone against any
//! HTTP server, or is a part of a run (`conducted`). What becomes of the rows is
//! said in `results`: the report of `galton-report`, folded as they come.

mod alarm;
mod args;
mod beginning;
mod commands;
mod conducted;
mod destination;
mod exchange;
mod exposition;
mod hosts;
mod link;
mod measure_args;
mod merge;
mod meters;
mod mission;
mod occupancy;
mod output;
mod pacing;
mod plan;
mod progress;
mod results;
mod scribe;
mod search;
mod sender;
mod settings;
mod standalone;
mod tally;
mod template;
#[cfg(test)]
mod test_http2;
#[cfg(test)]
mod test_server;
mod units;

use std::process::ExitCode;

pub use args::{Args, ProgressStyle};

/// Runs the load generator until it is done: standalone, or as a part of a run with `--trace`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(command) = &args.command {
        return command.run();
    }
    match &args.conducted.trace {
        Some(trace) => conducted::run(&args, trace),
        None => standalone::run(&args),
    }
}
