//! `fleet.csv`: one line per change of a target's state.

use std::io::{self, BufRead, Write};

use galton_core::HostId;
use galton_core::record::{FleetEvent, FleetWhat};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use super::{Cells, Opt, ReadError, read_rows, write_line};

/// The columns, in order.
pub const COLUMNS: [&str; 9] =
    ["at_ns", "version", "target", "incarnation", "what", "host", "delay_ns", "overrun_ns", "held"];

/// Writes all events. The caller buffers.
pub fn write<W: Write>(mut out: W, events: &[FleetEvent]) -> io::Result<W> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for e in events {
        write_line(
            &mut out,
            &[
                &e.at.0,
                &e.version,
                &Opt(e.target),
                &e.incarnation,
                &e.what.as_str(),
                &Opt(e.host),
                &e.delay.0,
                &e.overrun.0,
                &e.held,
            ],
        )?;
    }
    out.flush()?;
    Ok(out)
}

/// Reads all events.
pub fn read(input: impl BufRead) -> Result<Vec<FleetEvent>, ReadError> {
    read_rows(input, &COLUMNS, row)
}

fn row(cells: &mut Cells<'_>) -> Result<FleetEvent, ReadError> {
    Ok(FleetEvent {
        at: cells.ns()?,
        version: cells.required()?,
        target: cells.optional()?,
        incarnation: cells.required()?,
        what: what(cells)?,
        host: cells.optional()?.map(HostId),
        delay: cells.ns()?,
        overrun: cells.ns()?,
        held: cells.required()?,
    })
}

fn what(cells: &mut Cells<'_>) -> Result<FleetWhat, ReadError> {
    let name = cells.text();
    FleetWhat::deserialize(StrDeserializer::<Error>::new(name))
        .map_err(|_| cells.fault("what", format!("{name:?} is no change of a target")))
}
