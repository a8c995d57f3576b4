//! What runs leave on disk, for every program that writes or reads it: new directories, the files of a report, finished runs, and
//! two of them against each other. What the figures are is decided in `galton-report`, which opens no file.

pub mod compare;
pub mod machine;
pub mod new_dir;
pub mod place;
pub mod run_files;
pub mod unfit;
mod usage;

use std::io::IsTerminal as _;
use std::os::fd::AsFd;

pub use usage::Usage;

/// Columns of a summary: what a terminal has that nobody made wider.
pub const SUMMARY_WIDTH: usize = 80;
/// Columns of a table that goes to no terminal.
const TABLE_WIDTH: usize = 100;

/// Whether stdout takes colour: it is a terminal, and `NO_COLOR` is not set.
pub fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns for a table on stdout: those of the terminal.
pub fn table_width() -> usize {
    columns(std::io::stdout()).unwrap_or(TABLE_WIDTH)
}

/// Columns of a terminal; none: it is none, or does not say.
pub fn columns(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
