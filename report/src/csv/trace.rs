//! `trace.csv`: one line per planned request, the pairing key between a live run and its simulation.

use std::io::{self, BufRead, Write};

use galton_core::Outcome;
use galton_core::record::{TraceOutcome, TraceRow};

use super::{Cells, Opt, ReadError, opt_ns, read_rows, write_line};

/// The columns, in order.
pub const COLUMNS: [&str; 20] = [
    "seq",
    "user",
    "round",
    "host",
    "t_intended_ns",
    "t_send_ns",
    "t_end_ns",
    "outcome",
    "reason",
    "status",
    "attempts",
    "target",
    "proxy_recv_ns",
    "proxy_done_ns",
    "target_start_ns",
    "target_done_ns",
    "hold_demand_ns",
    "cpu_demand",
    "cpu_used_ns",
    "overhead_ns",
];

/// The outcome of a request that was planned and never offered: in the trace only.
const UNSENT: &str = "unsent";

/// Writes a trace line by line, so that none need be in memory. The caller buffers, and flushes.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "{}", COLUMNS.join(","))?;
        Ok(Self { out })
    }

    /// Writes one row.
    pub fn write(&mut self, row: &TraceRow) -> io::Result<()> {
        let (outcome, reason) = names(row.outcome);
        write_line(
            &mut self.out,
            &[
                &row.seq,
                &Opt(row.user),
                &Opt(row.round),
                &Opt(row.host),
                &row.t_intended.0,
                &opt_ns(row.t_send),
                &opt_ns(row.t_end),
                &outcome,
                &reason,
                &Opt(row.status),
                &Opt(row.attempts),
                &Opt(row.target),
                &opt_ns(row.proxy_recv),
                &opt_ns(row.proxy_done),
                &opt_ns(row.target_start),
                &opt_ns(row.target_done),
                &row.hold_demand.0,
                &row.cpu_demand,
                &opt_ns(row.cpu_used),
                &opt_ns(row.overhead),
            ],
        )
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes a whole trace.
pub fn write<W: Write>(out: W, rows: &[TraceRow]) -> io::Result<W> {
    let mut writer = Writer::new(out)?;
    for row in rows {
        writer.write(row)?;
    }
    writer.finish()
}

/// Reads a whole trace.
pub fn read(input: impl BufRead) -> Result<Vec<TraceRow>, ReadError> {
    read_rows(input, &COLUMNS, row)
}

fn row(cells: &mut Cells<'_>) -> Result<TraceRow, ReadError> {
    Ok(TraceRow {
        seq: cells.required()?,
        user: cells.optional()?,
        round: cells.optional()?,
        host: cells.optional()?,
        t_intended: cells.ns()?,
        t_send: cells.opt_ns()?,
        t_end: cells.opt_ns()?,
        outcome: outcome(cells)?,
        status: cells.optional()?,
        attempts: cells.optional()?,
        target: cells.optional()?,
        proxy_recv: cells.opt_ns()?,
        proxy_done: cells.opt_ns()?,
        target_start: cells.opt_ns()?,
        target_done: cells.opt_ns()?,
        hold_demand: cells.ns()?,
        cpu_demand: cpu_demand(cells)?,
        cpu_used: cells.opt_ns()?,
        overhead: cells.opt_ns()?,
    })
}

fn names(outcome: TraceOutcome) -> (&'static str, &'static str) {
    match outcome {
        TraceOutcome::Offered(outcome) => (outcome.class(), outcome.reason()),
        TraceOutcome::Unsent => (UNSENT, ""),
    }
}

fn outcome(cells: &mut Cells<'_>) -> Result<TraceOutcome, ReadError> {
    let (class, reason) = (cells.text(), cells.text());
    if class == UNSENT {
        return Ok(TraceOutcome::Unsent);
    }
    Outcome::from_names(class, reason)
        .map(TraceOutcome::Offered)
        .ok_or_else(|| cells.fault("outcome", format!("{class:?} with reason {reason:?} is no outcome")))
}

fn cpu_demand(cells: &mut Cells<'_>) -> Result<f64, ReadError> {
    let demand: f64 = cells.required()?;
    if demand.is_finite() && demand >= 0.0 {
        return Ok(demand);
    }
    Err(cells.fault("cpu_demand", format!("must be ≥ 0 and finite, got {demand}")))
}
