//! What the user named and what is no run, or not one of the right kind: wrong usage, exit code 2. A run that cannot be read is
//! another matter: 1.

use std::path::Path;

use galton_report::Kind;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{Usage, run_files};

/// What `result.json` says of where it is from.
#[derive(Debug, Deserialize)]
struct Origin {
    kind: Option<Kind>,
    client: Option<IgnoredAny>,
}

/// What was named and is not there.
pub fn missing(path: &Path) -> anyhow::Error {
    Usage::error(format_args!("{}: there is no such file or directory", path.display()))
}

/// A directory without the file that every run of the kind has.
pub fn no_run(dir: &Path, file: &str) -> anyhow::Error {
    Usage::error(format_args!("{}: no run directory: there is no {file}", dir.display()))
}

/// A load generator's own run, which has neither hosts nor targets.
pub fn of_generator(path: &Path, command: &str) -> anyhow::Error {
    Usage::error(format_args!("{}: this is a load generator's own run, which {command} is not for", path.display()))
}

/// Refuses what `command` is not for, which makes the reports of live runs.
pub fn refuse_all_but_live(dir: &Path, command: &str) -> anyhow::Result<()> {
    let file = dir.join("result.json");
    if !file.is_file() {
        return Ok(());
    }
    // One that cannot be read is written anew.
    let origin: Option<Origin> = serde_json::from_reader(run_files::open(&file)?).ok();
    match origin {
        Some(Origin { client: Some(_), .. }) => Err(of_generator(dir, command)),
        Some(Origin { kind: Some(Kind::Simulated), .. }) => {
            let name = dir.display();
            Err(Usage::error(format_args!("{name}: this is a simulated run, which {command} is not for")))
        }
        _ => Ok(()),
    }
}

/// The error of a file that is read as a result: it says something else (2), or is broken (1).
pub fn no_result(error: serde_json::Error, file: &Path) -> anyhow::Error {
    let name = file.display();
    if error.is_data() {
        return Usage::error(format_args!("{name} is not the result of a run: {error}"));
    }
    anyhow::Error::new(error).context(format!("cannot read {name}"))
}
