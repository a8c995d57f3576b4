//! The record files of a run directory: `trace.csv`, `decisions.csv`, `fleet.csv`, written and read.
//!
//! Plain comma-separated values with a header. No field needs quoting (numbers and names of ours), so none is quoted and
//! a quote is a fault. An empty cell is "not known, or not applicable". Times are nanoseconds of scenario time.

pub mod decisions;
pub mod fleet;
pub mod plan;
pub mod trace;

use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::str::FromStr;

use galton_core::Nanos;

/// No line of ours comes near this; whatever does is not one of our files.
const MAX_LINE_BYTES: u64 = 4096;

/// A record file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself.
    #[error("line {line}")]
    Io {
        /// From 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// A line that is not one of this file's.
    #[error("line {line}: {what}")]
    Line {
        /// From 1; the header is line 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A cell.
    #[error("line {line}, column {column}: {what}")]
    Cell {
        /// From 1; the header is line 1.
        line: u64,
        /// The column's name.
        column: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

/// Writes one line of cells.
pub(crate) fn write_line<W: Write>(out: &mut W, cells: &[&dyn Display]) -> io::Result<()> {
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        write!(out, "{cell}")?;
    }
    out.write_all(b"\n")
}

/// A cell that may be empty.
pub(crate) struct Opt<T>(pub(crate) Option<T>);

impl<T: Display> Display for Opt<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// A time that may be unknown, in nanoseconds.
pub(crate) fn opt_ns(time: Option<Nanos>) -> Opt<u64> {
    Opt(time.map(|t| t.0))
}

/// Reads a whole file: checks the header against `columns`, then hands every further line to `row`.
pub(crate) fn read_rows<T>(
    mut input: impl BufRead,
    columns: &'static [&'static str],
    row: impl Fn(&mut Cells<'_>) -> Result<T, ReadError>,
) -> Result<Vec<T>, ReadError> {
    let mut text = String::new();
    let mut number = 1;
    read_line(&mut input, &mut text, number)?;
    check_header(&text, columns)?;
    let mut rows = Vec::new();
    loop {
        number += 1;
        read_line(&mut input, &mut text, number)?;
        if text.is_empty() {
            return Ok(rows);
        }
        let Some(line) = text.strip_suffix('\n') else {
            return Err(ReadError::Line { line: number, what: "cut off: it has no end".to_owned() });
        };
        let line = line.trim_end_matches('\r');
        let found = line.split(',').count();
        if found != columns.len() {
            let what = format!("expected {} cells, found {found}", columns.len());
            return Err(ReadError::Line { line: number, what });
        }
        rows.push(row(&mut Cells { line: number, columns: columns.iter(), cells: line.split(',') })?);
    }
}

/// Reads one line with its end into `text`; an empty `text` is the end of the file.
fn read_line(input: &mut impl BufRead, text: &mut String, line: u64) -> Result<(), ReadError> {
    text.clear();
    let mut limited = io::Read::take(&mut *input, MAX_LINE_BYTES);
    limited.read_line(text).map_err(|source| ReadError::Io { line, source })?;
    if text.len() as u64 == MAX_LINE_BYTES {
        return Err(ReadError::Line { line, what: format!("longer than {MAX_LINE_BYTES} bytes") });
    }
    Ok(())
}

fn check_header(text: &str, columns: &[&str]) -> Result<(), ReadError> {
    let fault = |what| Err(ReadError::Line { line: 1, what });
    let header = text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
    let found: Vec<&str> = header.split(',').collect();
    for (i, column) in columns.iter().enumerate() {
        match found.get(i) {
            Some(name) if name == column => {}
            Some(name) => {
                return fault(format!("column {} is {name:?}, expected {column:?}", i + 1));
            }
            None => return fault(format!("column {} is missing, expected {column:?}", i + 1)),
        }
    }
    match found.get(columns.len()) {
        Some(name) => fault(format!("unexpected column {name:?}")),
        None => Ok(()),
    }
}

/// The cells of one line, taken from left to right.
pub(crate) struct Cells<'a> {
    line: u64,
    columns: std::slice::Iter<'static, &'static str>,
    cells: std::str::Split<'a, char>,
}

impl<'a> Cells<'a> {
    fn next(&mut self) -> (&'static str, &'a str) {
        // The number of cells was checked against the columns before the row was handed out.
        (self.columns.next().copied().unwrap_or_default(), self.cells.next().unwrap_or_default())
    }

    /// The next cell as it stands.
    pub(crate) fn text(&mut self) -> &'a str {
        self.next().1
    }

    /// The next cell, which must be there.
    pub(crate) fn required<T: FromStr>(&mut self) -> Result<T, ReadError> {
        let (column, text) = self.next();
        self.parse(column, text)
    }

    /// The next cell, which may be empty.
    pub(crate) fn optional<T: FromStr>(&mut self) -> Result<Option<T>, ReadError> {
        let (column, text) = self.next();
        if text.is_empty() { Ok(None) } else { self.parse(column, text).map(Some) }
    }

    /// The next cell as a time.
    pub(crate) fn ns(&mut self) -> Result<Nanos, ReadError> {
        self.required().map(Nanos)
    }

    /// The next cell as a time that may be unknown.
    pub(crate) fn opt_ns(&mut self) -> Result<Option<Nanos>, ReadError> {
        Ok(self.optional()?.map(Nanos))
    }

    /// A fault in a cell that was read as text.
    pub(crate) fn fault(&self, column: &'static str, what: String) -> ReadError {
        ReadError::Cell { line: self.line, column, what }
    }

    fn parse<T: FromStr>(&self, column: &'static str, text: &str) -> Result<T, ReadError> {
        text.parse().map_err(|_| {
            let kind = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
            self.fault(column, format!("{text:?} is not a {kind}"))
        })
    }
}

#[cfg(test)]
mod tests;
