//! The rows of an arrival trace: a CSV file of times, and of demands that replace the draws.
//!
//! Two headers are known: `t_ms` with `hold_ms`, `cpu`, `host` in any order, and that of a run's own `trace.csv`, whose
//! further columns are skipped. Cells are not quoted; an empty optional cell is drawn as without the column.

use super::limits::{MAX_TRACE_FAULTS, MAX_TRACE_ROWS, MS, UNITS};
use super::traffic::TraceArrival;
use crate::time::Nanos;

/// Where each column is.
struct Columns {
    count: usize,
    at: usize,
    hold: Option<usize>,
    cpu: Option<usize>,
    host: Option<usize>,
    /// Nanoseconds per unit of the two times.
    unit_ns: f64,
}

/// The rows of `text`, sorted by time, equal times in the order of the file; or what is wrong, with line numbers.
/// `hosts` is the number of load-balancer hosts, where it is known.
pub(super) fn parse(text: &str, hosts: Option<u64>) -> Result<Vec<TraceArrival>, Vec<String>> {
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let header = lines.next().map_or("", |(_, line)| line);
    let columns = Columns::of(header).map_err(|message| vec![format!("line 1: {message}")])?;
    let (mut rows, mut faults) = (vec![], vec![]);
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        match columns.row(line, hosts) {
            Ok(row) => rows.push(row),
            Err(message) => faults.push(format!("line {number}: {message}")),
        }
        if faults.len() >= MAX_TRACE_FAULTS || rows.len() > MAX_TRACE_ROWS {
            break;
        }
    }
    if rows.len() > MAX_TRACE_ROWS {
        faults.push(format!("must have at most {MAX_TRACE_ROWS} rows"));
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push("has no rows".to_owned());
    }
    rows.sort_by_key(|row| row.at);
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

// === impl Columns ===

impl Columns {
    fn of(header: &str) -> Result<Self, String> {
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let find = |name: &str| names.iter().position(|n| *n == name);
        let count = names.len();
        if let Some(at) = find("t_intended_ns") {
            let (hold, cpu, host) = (find("hold_demand_ns"), find("cpu_demand"), find("host"));
            return Ok(Self { count, at, hold, cpu, host, unit_ns: 1.0 });
        }
        let Some(at) = find("t_ms") else {
            return Err("the header must have a column t_ms, or be that of a run's trace.csv".to_owned());
        };
        if let Some(name) = names.iter().find(|name| !["t_ms", "hold_ms", "cpu", "host"].contains(name)) {
            return Err(format!("unknown column {name:?}; known: t_ms, hold_ms, cpu, host"));
        }
        if let Some(name) = names.iter().find(|name| names.iter().filter(|n| n == name).count() > 1) {
            return Err(format!("column {name} is there twice"));
        }
        Ok(Self { count, at, hold: find("hold_ms"), cpu: find("cpu"), host: find("host"), unit_ns: 1e6 })
    }

    fn row(&self, line: &str, hosts: Option<u64>) -> Result<TraceArrival, String> {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() != self.count {
            return Err(format!("must have {} cells like the header, got {}", self.count, cells.len()));
        }
        let cell = |column: Option<usize>| column.map(|i| cells[i]).filter(|cell| !cell.is_empty());
        let max_time = MS.max * 1e6 / self.unit_ns;
        let time =
            |cell: &str, name| Ok::<_, String>(Nanos(libm::round(number(cell, name, max_time)? * self.unit_ns) as u64));
        Ok(TraceArrival {
            at: time(cells[self.at], "time")?,
            hold: cell(self.hold).map(|cell| time(cell, "hold")).transpose()?,
            cpu: cell(self.cpu).map(|cell| number(cell, "cpu", UNITS.max)).transpose()?,
            host: cell(self.host).map(|cell| host(cell, hosts)).transpose()?,
        })
    }
}

fn number(cell: &str, name: &str, max: f64) -> Result<f64, String> {
    match cell.parse::<f64>() {
        Ok(x) if x.is_nan() => Err(format!("{name} must be a number, got {cell}")),
        Ok(x) if x < 0.0 => Err(format!("{name} must be ≥ 0, got {cell}")),
        Ok(x) if x > max => Err(format!("{name} must be ≤ {max}, got {cell}")),
        Ok(x) => Ok(x),
        Err(_) => Err(format!("{name} must be a number, got {cell:?}")),
    }
}

fn host(cell: &str, hosts: Option<u64>) -> Result<u32, String> {
    let host: u32 = cell.parse().map_err(|_| format!("host must be a whole number, got {cell:?}"))?;
    match hosts {
        Some(hosts) if u64::from(host) >= hosts => {
            Err(format!("host must be < load_balancer.hosts ({hosts}), got {host}"))
        }
        _ => Ok(host),
    }
}
