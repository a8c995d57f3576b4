//! The two roles that the tests of this package start as processes. `galton` has all roles, but depends on this package.

use std::process::ExitCode;

use clap::Parser;

/// One process of a run.
#[derive(Parser)]
enum Role {
    /// The scaling service.
    Scaler(galton_scaler::Args),
    /// A target.
    Target(galton_targets::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    match Role::parse() {
        Role::Scaler(args) => galton_scaler::run(args),
        Role::Target(args) => galton_targets::run(args),
    }
}
