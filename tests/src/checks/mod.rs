//! Checks of whole runs that take minutes: `galton-under-test checks [NAME…] [REQUESTS]`.
//!
//! Each prints what it measured beside what it should be. The last line counts: `N passed, N failed`.

mod big;
mod burn;
mod erlang;
mod memory;
mod precision;
mod vectors;

use std::process::ExitCode;

use galton_tests::{Galton, Run};
use serde_json::Value;

/// Measures, prints, and counts what held.
type Check = fn(&mut Tally);

/// By name: what is checked. `precision` and `big` need a quiet machine.
const ALL: [(&str, Check); 6] = [
    ("vectors", vectors::check),
    ("erlang", erlang::check),
    ("burn", burn::check),
    ("memory", memory::check),
    ("precision", precision::check),
    ("big", big::check),
];

/// How many checks held.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u32,
    failed: u32,
    /// How long a run is to be, where a check can be asked (`memory 100000000`: a minute or more).
    requests: Option<u64>,
}

impl Tally {
    /// Counts one check, and prints it.
    pub(crate) fn check(&mut self, holds: bool, what: &str) {
        println!("{}  {what}", if holds { "ok    " } else { "FAILED" });
        if holds {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// Runs the named checks, or all. A number is how many requests one of them is to simulate.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let (names, requests) = match args.split_last() {
        Some((last, names)) if last.parse::<u64>().is_ok() => (names, last.parse().ok()),
        _ => (args, None),
    };
    if let Some(unknown) = names.iter().find(|name| ALL.iter().all(|(known, _)| known != name)) {
        eprintln!("no check is named {unknown:?}; there are {}", ALL.map(|(name, _)| name).join(", "));
        return ExitCode::from(2);
    }
    let mut tally = Tally { requests, ..Tally::default() };
    for (name, check) in ALL.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|n| n == name)) {
        println!("== {name}");
        check(&mut tally);
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    ExitCode::from(u8::from(tally.failed > 0))
}

/// Runs a scenario with this very binary.
fn run(scenario: &Value, args: &[&str]) -> Run {
    let program = std::env::current_exe().expect("the running program");
    Galton::new(&program.to_string_lossy()).run(scenario, args)
}

/// The smallest value with a cumulative share of at least `q`.
fn quantile(sorted: &[i64], q: f64) -> i64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
