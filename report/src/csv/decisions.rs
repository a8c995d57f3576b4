//! `decisions.csv`: one line per decision of a load-balancer host, the hosts merged in order of time.

use std::io::{self, BufRead, Write};

use galton_core::record::{Decision, DecisionKind};
use galton_core::{HostId, RequestId, TargetId};

use super::{Cells, Opt, ReadError, read_rows, write_line};

/// The columns, in order.
pub const COLUMNS: [&str; 11] =
    ["at_ns", "until_ns", "host", "request", "attempt", "target", "incarnation", "decision", "reason", "known", "own"];

/// Writes all decisions. The caller buffers.
pub fn write<W: Write>(mut out: W, decisions: &[Decision]) -> io::Result<W> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for d in decisions {
        write_line(
            &mut out,
            &[
                &d.at.0,
                &d.until.0,
                &d.host,
                &d.request.0,
                &d.attempt,
                &Opt(d.target.map(|(target, _)| target)),
                &Opt(d.target.map(|(_, incarnation)| incarnation)),
                &d.kind.as_str(),
                &d.kind.reason(),
                &d.known,
                &d.own,
            ],
        )?;
    }
    out.flush()?;
    Ok(out)
}

/// Reads all decisions.
pub fn read(input: impl BufRead) -> Result<Vec<Decision>, ReadError> {
    read_rows(input, &COLUMNS, row)
}

fn row(cells: &mut Cells<'_>) -> Result<Decision, ReadError> {
    Ok(Decision {
        at: cells.ns()?,
        until: cells.ns()?,
        host: HostId(cells.required()?),
        request: RequestId(cells.required()?),
        attempt: cells.required()?,
        target: target(cells)?,
        kind: kind(cells)?,
        known: cells.required()?,
        own: cells.required()?,
    })
}

fn target(cells: &mut Cells<'_>) -> Result<Option<(TargetId, u32)>, ReadError> {
    match (cells.optional()?, cells.optional()?) {
        (Some(target), Some(incarnation)) => Ok(Some((target, incarnation))),
        (None, None) => Ok(None),
        _ => Err(cells.fault("incarnation", "target and incarnation must both be there, or neither".to_owned())),
    }
}

fn kind(cells: &mut Cells<'_>) -> Result<DecisionKind, ReadError> {
    let (kind, reason) = (cells.text(), cells.text());
    DecisionKind::from_names(kind, reason)
        .ok_or_else(|| cells.fault("decision", format!("{kind:?} with reason {reason:?} is no decision")))
}
