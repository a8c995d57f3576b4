//! What somebody else's simulator produced: CSV with columns of the trace, in any order, most of them optional.
//!
//! Times may be in any unit, said by the end of the column's name (`t_end_ms`); they become nanoseconds here.

use std::io::{self, BufRead};

use galton_core::{Nanos, RequestId, TargetId};

use super::subject::{Asked, Ending, Recorded, Request, Window};

/// Units that a time's name may end with, and their nanoseconds.
const UNITS: [(&str, f64); 4] = [("_ns", 1.0), ("_us", 1e3), ("_ms", 1e6), ("_s", 1e9)];
/// Longest time anywhere: a week and a day, as in scenarios, in nanoseconds.
const MOST_NS: f64 = 8.0 * 24.0 * 3600.0 * 1e9;
/// Columns that carry times, without their units.
const TIMES: [&str; 12] = [
    "t_intended",
    "t_send",
    "t_end",
    "response",
    "service",
    "hold",
    "overhead",
    "target_start",
    "target_done",
    "hold_demand",
    "proxy_recv",
    "proxy_done",
];
/// The others, those without a use here among them: a run's own trace has them.
const OTHERS: [&str; 10] =
    ["seq", "user", "round", "host", "outcome", "reason", "status", "attempts", "target", "cpu_demand"];
/// Also known, and of no use here.
const UNUSED: [&str; 2] = ["cpu_used_ns", "retries"];

/// A file that is no such CSV.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The file itself.
    #[error("line {line}")]
    Io {
        /// From 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// Its header, or one of its lines.
    #[error("line {line}: {what}")]
    Line {
        /// From 1; the header is line 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Where each column is, and how many nanoseconds its unit has (1 for what is no time).
#[derive(Debug)]
struct Columns {
    count: usize,
    known: Vec<(&'static str, usize, f64)>,
}

/// One line.
struct Line<'a> {
    columns: &'a Columns,
    cells: Vec<&'a str>,
}

/// Reads a whole file.
///
/// # Errors
/// [`ForeignError`], with the line.
pub fn read(input: impl BufRead) -> Result<Recorded, ForeignError> {
    let mut lines = (1..).zip(input.lines());
    let mut next = || match lines.next() {
        Some((line, text)) => text.map(|text| Some((line, text))).map_err(|source| ForeignError::Io { line, source }),
        None => Ok(None),
    };
    let header = next()?.map_or_else(String::new, |(_, text)| text);
    let columns = Columns::of(&header).map_err(|what| ForeignError::Line { line: 1, what })?;
    let mut requests = Vec::new();
    while let Some((line, text)) = next()? {
        if !text.trim().is_empty() {
            let request = columns.request(&text, requests.len() as u64);
            requests.push(request.map_err(|what| ForeignError::Line { line, what })?);
        }
    }
    requests.sort_by_key(|request| (request.at, request.id));
    let first_and_last = requests.first().and_then(|r| r.at).zip(requests.last().and_then(|r| r.at));
    let window = first_and_last.map(|(start, end)| Window { start, end: end + Nanos(1) });
    Ok(Recorded { requests, window, timeout: None, fleet: None, missing: columns.missing() })
}

// === impl Columns ===

impl Columns {
    fn of(header: &str) -> Result<Self, String> {
        let names: Vec<&str> = header.trim_start_matches('\u{feff}').split(',').map(str::trim).collect();
        let mut known: Vec<(&'static str, usize, f64)> = Vec::new();
        for (i, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let Some((column, unit)) = column(name)? else { continue };
            if known.iter().any(|(other, ..)| *other == column) {
                return Err(format!("column {column} is there twice"));
            }
            known.push((column, i, unit));
        }
        let all = Self { count: names.len(), known };
        if all.has("response") || (all.has("t_intended") && all.has("t_end")) {
            return Ok(all);
        }
        Err("the header must have t_intended_ns and t_end_ns, or response_ns (or _us, _ms, _s)".to_owned())
    }

    fn has(&self, column: &str) -> bool {
        self.known.iter().any(|(known, ..)| *known == column)
    }

    /// What a comparison could use and does not find.
    fn missing(&self) -> Vec<&'static str> {
        let any = |columns: &[&str]| columns.iter().any(|column| self.has(column));
        let wanted: [(&'static str, bool); 7] = [
            ("t_intended", any(&["t_intended"])),
            ("outcome", any(&["outcome"])),
            ("service", any(&["service", "t_send"])),
            ("hold", any(&["hold", "target_done"])),
            ("overhead", any(&["overhead"])),
            ("attempts", any(&["attempts"])),
            ("target", any(&["target"])),
        ];
        wanted.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect()
    }

    fn request(&self, text: &str, number: u64) -> Result<Request, String> {
        let cells: Vec<&str> = text.split(',').map(str::trim).collect();
        if cells.len() != self.count {
            return Err(format!("expected {} cells like the header, found {}", self.count, cells.len()));
        }
        Line { columns: self, cells }.request(number)
    }
}

/// Which column this is, and its unit; none: one of no use here.
fn column(name: &str) -> Result<Option<(&'static str, f64)>, String> {
    if UNUSED.contains(&name) {
        return Ok(None);
    }
    if let Some(other) = OTHERS.into_iter().find(|other| *other == name) {
        return Ok(Some((other, 1.0)));
    }
    for time in TIMES {
        let Some(end) = name.strip_prefix(time) else { continue };
        if let Some((_, ns)) = UNITS.into_iter().find(|(unit, _)| *unit == end) {
            return Ok(Some((time, ns)));
        }
        if end.is_empty() {
            return Err(format!("column {name}: a time's name must end with its unit: {name}_ns, _us, _ms or _s"));
        }
    }
    Err(format!(
        "unknown column {name:?}; known: {}; and times with their unit: {}",
        OTHERS.join(", "),
        TIMES.join(", ")
    ))
}

// === impl Line ===

impl Line<'_> {
    fn request(&self, number: u64) -> Result<Request, String> {
        let (at, send) = (self.time("t_intended")?, self.time("t_send")?);
        let response = self.time("response")?;
        let end = self.time("t_end")?.or(at.zip(response).map(|(at, response)| at + response));
        let (start, done) = (self.time("target_start")?, self.time("target_done")?);
        let between = |from: Option<Nanos>, to: Option<Nanos>| from.zip(to).map(|(from, to)| to - from);
        if at.zip(end).is_some_and(|(at, end)| end < at) {
            return Err("it ends before it was meant to be sent".to_owned());
        }
        let response = response.or_else(|| between(at, end));
        Ok(Request {
            id: self.id(number)?,
            at,
            end,
            outcome: self.outcome(response)?,
            response,
            service: self.time("service")?.or_else(|| between(send, end)),
            hold: self.time("hold")?.or_else(|| between(start, done)),
            overhead: self.time("overhead")?,
            attempts: self.number("attempts")?,
            target: self.target()?,
            asked: Asked {
                hold: self.time("hold_demand")?,
                cpu: self.number("cpu_demand")?,
                host: self.number("host")?,
            },
        })
    }

    fn id(&self, number: u64) -> Result<RequestId, String> {
        match (self.number("user")?, self.number("round")?) {
            (Some(user), Some(round)) => Ok(RequestId::closed(user, round)),
            _ => Ok(RequestId::open(self.number("seq")?.unwrap_or(number))),
        }
    }

    /// Without the column, what has an end was served.
    fn outcome(&self, response: Option<Nanos>) -> Result<Option<Ending>, String> {
        match self.cell("outcome") {
            None => Ok(Some(if response.is_some() { Ending::Ok } else { Ending::Other })),
            Some("ok") => Ok(Some(Ending::Ok)),
            Some("rejected" | "failed") => Ok(Some(Ending::Lost)),
            Some("timed_out") => Ok(Some(Ending::TimedOut)),
            Some("shed" | "unfinished") => Ok(Some(Ending::Other)),
            Some("unsent") => Ok(Some(Ending::Unsent)),
            Some(other) => Err(format!(
                "column outcome: {other:?} is none of ok, rejected, failed, timed_out, shed, unfinished, unsent"
            )),
        }
    }

    /// `t-003`, or 3.
    fn target(&self) -> Result<Option<TargetId>, String> {
        let Some(cell) = self.cell("target") else { return Ok(None) };
        let plain = cell.parse().ok().filter(|n| *n > 0).map(TargetId);
        plain
            .or_else(|| cell.parse().ok())
            .map(Some)
            .ok_or_else(|| format!("column target: {cell:?} is no target: expected t-<number from 1>, or the number"))
    }

    fn cell(&self, column: &str) -> Option<&str> {
        let (_, i, _) = self.columns.known.iter().find(|(known, ..)| *known == column)?;
        self.cells.get(*i).copied().filter(|cell| !cell.is_empty())
    }

    fn number<T: std::str::FromStr>(&self, column: &str) -> Result<Option<T>, String> {
        let parse = |cell: &str| cell.parse().map_err(|_| format!("column {column}: {cell:?} is not such a number"));
        self.cell(column).map(parse).transpose()
    }

    fn time(&self, column: &str) -> Result<Option<Nanos>, String> {
        let unit = self.columns.known.iter().find(|(known, ..)| *known == column).map_or(1.0, |(_, _, unit)| *unit);
        let Some(value) = self.number::<f64>(column)? else { return Ok(None) };
        let ns = value * unit;
        if (0.0..=MOST_NS).contains(&ns) {
            return Ok(Some(Nanos(ns.round() as u64)));
        }
        Err(format!("column {column}: must be between 0 and 8 days, got {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_may_be_few_in_any_order_and_unit() {
        let text = "t_end_ms,seq,t_intended_s,outcome,attempts,target\n1500.5,1,1,ok,2,3\n700,0,0.5,rejected,3,\n";
        let found = read(text.as_bytes()).unwrap();
        assert_eq!(found.requests.iter().map(|r| r.id).collect::<Vec<_>>(), [RequestId::open(0), RequestId::open(1)]);
        let second = &found.requests[1];
        assert_eq!((second.at, second.response), (Some(Nanos(1_000_000_000)), Some(Nanos(500_500_000))));
        assert_eq!((second.attempts, second.target, second.outcome), (Some(2), Some(TargetId(3)), Some(Ending::Ok)));
        assert_eq!(found.requests[0].outcome, Some(Ending::Lost));
        assert_eq!(found.missing, ["service", "hold", "overhead"]);
        let bare = read("response_ms\n1\n2.5\n".as_bytes()).unwrap();
        assert_eq!((bare.requests.len(), bare.window), (2, None));
        assert!(bare.requests.iter().all(|r| r.outcome == Some(Ending::Ok)));
    }

    #[test]
    fn faults_name_their_line() {
        for (text, what) in [
            ("", "line 1: the header must have"),
            ("seq,t_intended_ns\n", "line 1: the header must have"),
            ("response\n", "must end with its unit"),
            ("response_ms,latency\n", "unknown column \"latency\""),
            ("response_ms,response_ns\n", "twice"),
            ("response_ms\n1\n1,2\n", "line 3: expected 1 cells"),
            ("response_ms\n-1\n", "line 2: column response"),
            ("response_ms\nNaN\n", "line 2: column response"),
            ("response_ms,outcome\n1,fine\n", "line 2: column outcome"),
            ("t_intended_ns,t_end_ns\n5,4\n", "ends before"),
            ("response_ms,target\n1,x\n", "no target"),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(what), "{text:?}: {error}");
        }
    }
}
