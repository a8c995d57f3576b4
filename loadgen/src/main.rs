//! The binary `loadgen`: the command line around [`galton_loadgen`].

use std::process::ExitCode;

use clap::Parser;
use galton_results::Usage;
use galton_runtime::terminal;

/// Open- and closed-loop load generator: sends requests to an HTTP server, measures from the intended send time on, and says
/// so when it was the bottleneck itself
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    args: galton_loadgen::Args,
}

fn main() -> ExitCode {
    match galton_loadgen::run(Cli::parse().args) {
        Ok(code) => code,
        Err(error) => {
            terminal::note(format_args!("error: {error:#}"));
            if Usage::is_cause_of(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
