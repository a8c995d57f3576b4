//! Words for whoever started the process, on stdout and stderr. A reader who has gone away (`… | head -1`) is no reason to
//! give up a run whose results go to files: what cannot be written is dropped, where `println!` would panic.

use std::fmt::Display;
use std::io::{ErrorKind, Write, stderr, stdout};

use anyhow::Context as _;

/// A line on stdout.
pub fn say(words: impl Display) {
    write(stdout().lock(), format_args!("{words}\n"));
}

/// A result on stdout, as it is. A reader who has gone away has seen what he wanted; a full disk is an error.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

/// A line on stderr.
pub fn note(words: impl Display) {
    write(stderr().lock(), format_args!("{words}\n"));
}

fn write(mut out: impl Write, text: std::fmt::Arguments<'_>) {
    // Nobody reads it any more: there is nobody to tell.
    out.write_fmt(text).and_then(|()| out.flush()).ok();
}
