//! The command line of Galton: live runs (`run`, `up`, `report`) and simulated ones (`simulate`, `sweep`), what holds them against
//! each other (`validate`, `calibrate`, `compare`), what works on scenario files (`check`, `schema`, `plan`), and the roles that a
//! run starts as processes of its own.

mod calibrate;
mod check;
mod cluster;
mod collect;
mod export;
mod front;
mod healthcheck;
mod live;
mod plan;
mod profile_file;
mod report;
mod report_files;
mod run;
mod run_dir;
mod scenario_args;
mod scrape;
mod scratch;
mod simulate;
mod sweep;
mod up;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use galton_results::{Usage, colour, compare, machine};
use galton_runtime::scenario_file::ScenarioFileError;
use profile_file::ProfileFileError;

/// Wrong usage or configuration.
const USAGE: u8 = 2;

/// A live testbed for load balancers: real proxies, real targets, an autoscaler, real traffic, and a report.
#[derive(Debug, Parser)]
#[command(name = "galton", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario on real processes and write the report
    Run(run::Args),
    /// Simulate a scenario, thousands of times faster, and write the same report
    Simulate(simulate::Args),
    /// Simulate a scenario with several values of one key, and show how its figures depend on it
    Sweep(sweep::Args),
    /// Hold live runs of scenarios against an ensemble of simulated ones
    Validate(validate::Args),
    /// Start a scenario's proxies, scaler and targets without a load, until interrupted
    Up(up::Args),
    /// Write the report of a run that is over, from the files that its processes left
    Report(report::Args),
    /// Measure what this machine adds to a run, and write its profile
    Calibrate(calibrate::Args),
    /// Validate scenario files
    Check(check::CheckArgs),
    /// Print the JSON Schema of scenario files
    Schema,
    /// Compare two runs: live, simulated, or of another simulator
    Compare(compare::Args),
    /// Write the course of runs as OpenMetrics text, for Prometheus to import
    Export(export::Args),
    /// Print what a scenario will ask: a summary, or every request as CSV
    Plan(plan::Args),
    /// Send load, open or closed loop (also a binary of its own: `loadgen`)
    Loadgen(Box<galton_loadgen::Args>),
    /// Serve one address for all load-balancer hosts that a scaler knows of
    Front(front::Args),
    /// Ask a process whether it is ready: exit code 0 or 1
    Healthcheck(healthcheck::Args),
    /// Role: one load-balancer host
    Proxy(galton_proxy::Args),
    /// Role: one fake target server
    Target(galton_targets::Args),
    /// Role: the scaling service, which owns the targets
    Scaler(galton_scaler::Args),
}

/// Parses the command line, runs the command, and prints the one error there may be.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Up(args) => up::run(args),
        Command::Report(args) => report::run(&args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Check(args) => check::check(&args),
        Command::Schema => check::schema(),
        Command::Compare(args) => compare::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Front(args) => front::run(args),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Loadgen(args) => galton_loadgen::run(*args),
        Command::Proxy(args) => galton_proxy::run(args),
        Command::Target(args) => galton_targets::run(args),
        Command::Scaler(args) => galton_scaler::run(args),
    };
    result.unwrap_or_else(|error| {
        galton_runtime::terminal::note(format_args!("galton: {error:#}"));
        exit_code(&error)
    })
}

/// 2 where the scenario, the machine profile or the usage is at fault, 1 for everything else.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    let usage = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<ScenarioFileError>() || cause.is::<ProfileFileError>() || cause.is::<Usage>()
    };
    ExitCode::from(if error.chain().any(usage) { USAGE } else { 1 })
}
