//! What runs leave on disk, for every program that writes or reads it: new directories, the files of a report, finished runs, and
//! two of them against each other. What the figures are is decided in `galton-report`, which opens no file.

pub mod compare;
pub mod machine;
pub mod new_dir;
pub mod place;
pub mod run_files;
mod usage;

use std::io::IsTerminal as _;

pub use usage::Usage;

/// Columns of a summary: what a terminal has that nobody made wider.
pub const SUMMARY_WIDTH: usize = 80;

/// Whether stdout takes colour: it is a terminal, and `NO_COLOR` is not set.
pub fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
