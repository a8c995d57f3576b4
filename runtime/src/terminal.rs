//! Words for whoever started the process, on stdout and stderr. A reader who has gone away (`… | head -1`) is no reason to
//! give up a run whose results go to files: what cannot be written is dropped, where `println!` would panic. Where the text is the
//! result itself, a full disk is an error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write, stderr, stdout};

use anyhow::Context as _;

/// A line on stdout.
pub fn say(words: impl Display) {
    write(stdout().lock(), format_args!("{words}\n"));
}

/// Text on stdout, as it is: the result of the command. A reader who has seen enough is no fault.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    written(write!(out, "{text}").and_then(|()| out.flush()))
}

/// What came of writing the result of the command to stdout.
pub fn written(result: io::Result<()>) -> anyhow::Result<()> {
    let minded = result.or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) });
    minded.context("cannot write to standard output")
}

/// A line on stderr.
pub fn note(words: impl Display) {
    write(stderr().lock(), format_args!("{words}\n"));
}

fn write(mut out: impl Write, text: std::fmt::Arguments<'_>) {
    // Nobody reads it any more: there is nobody to tell.
    out.write_fmt(text).and_then(|()| out.flush()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_fault_and_a_reader_who_has_seen_enough_is_none() {
        assert!(written(Err(ErrorKind::BrokenPipe.into())).is_ok());
        let error = written(Err(ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot write to standard output: no storage space");
    }
}
