//! `galton export`: the course of finished runs as OpenMetrics text with times, which Prometheus imports. Runs of one export
//! begin at the same moment, so that a live one and simulated ones overlay.
//!
//! The names begin with `galton_run_`: what was measured live goes by other names, and no sum over those meets an import.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use galton_report::Kind;
use galton_results::{Usage, place, run_files, unfit};
use galton_runtime::clock::unix_ns;
use galton_runtime::terminal;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The version of `result.json` that is read.
const SCHEMA: u32 = 1;
/// Prometheus writes the last hours itself: blocks with times in them may cost it samples of its own.
const OWN_HOURS_NS: u64 = 3 * 3_600 * SECOND_NS;
const SECOND_NS: u64 = 1_000_000_000;

/// What becomes of which columns of the series.
const FAMILIES: [Family; 9] = [
    rate("galton_run_offered_per_second", "Requests, by intended send.", &[("offered", "")]),
    rate(
        "galton_run_ended_per_second",
        "Requests that ended, by outcome.",
        &[
            ("ok", r#",outcome="ok""#),
            ("rejected", r#",outcome="rejected""#),
            ("timed_out", r#",outcome="timed_out""#),
            ("failed", r#",outcome="failed""#),
        ],
    ),
    rate("galton_run_retries_per_second", "Attempts after the first of a request.", &[("retries", "")]),
    rate("galton_run_refusals_per_second", "Attempts that a target refused, being full.", &[("refused", "")]),
    gauge("galton_run_in_flight", "Slots taken, mean of a bucket.", &[("in_flight", "")]),
    gauge("galton_run_free_slots", "Free slots of ready targets, mean of a bucket.", &[("free_slots", "")]),
    gauge("galton_run_targets", "Ready targets, mean of a bucket.", &[("fleet", "")]),
    summary(
        "galton_run_response_seconds",
        "Response time, percentiles of a window.",
        &[
            ("response_p50", r#",quantile="0.5""#),
            ("response_p80", r#",quantile="0.8""#),
            ("response_p90", r#",quantile="0.9""#),
            ("response_p99", r#",quantile="0.99""#),
        ],
    ),
    summary(
        "galton_run_overhead_seconds",
        "Overhead at the load balancer, percentiles of a window.",
        &[("overhead_p50", r#",quantile="0.5""#), ("overhead_p99", r#",quantile="0.99""#)],
    ),
];

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 could not read a run or write, 2 wrong usage, or what was named is not there or no run \
    with hosts and targets";

/// Which runs, from when on, and where to.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Run directories or result.json files, live or simulated
    #[arg(value_name = "RESULT", required = true)]
    results: Vec<PathBuf>,
    /// Let the runs begin at this time, in seconds since 1970, not when the first of them did
    #[arg(long, value_name = "UNIX_S")]
    at: Option<u32>,
    /// Write to FILE, not to stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The part of `result.json` that is exported.
#[derive(Debug, Deserialize)]
struct Run {
    schema_version: u32,
    kind: Kind,
    run: RunName,
    series: Series,
    /// Of a load generator by itself.
    client: Option<IgnoredAny>,
}

/// Which run.
#[derive(Debug, Deserialize)]
struct RunName {
    id: String,
    started_unix_ns: u64,
}

/// The run over time.
#[derive(Debug, Deserialize)]
struct Series {
    bucket_ns: u64,
    columns: Vec<String>,
    rows: Vec<Vec<Option<f64>>>,
    latency: Windows,
}

/// Percentiles over time.
#[derive(Debug, Deserialize)]
struct Windows {
    bucket_ns: u64,
    columns: Vec<String>,
    rows: Vec<Vec<Option<f64>>>,
}

/// A metric, and the columns that it is made of: each with its labels.
struct Family {
    name: &'static str,
    help: &'static str,
    what: What,
    columns: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// From counts per bucket. A gauge, exact for every bucket: what `rate()` makes of a counter depends on its window.
    Rate,
    /// From means per bucket.
    Gauge,
    /// From percentiles per window, in nanoseconds.
    Summary,
}

/// Writes the text.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.output.as_deref().map_or(Ok(()), place::check)?;
    let runs = args.results.iter().map(|path| Run::read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(twice) =
        runs.iter().enumerate().find_map(|(i, run)| runs[..i].iter().find(|r| r.labels() == run.labels()))
    {
        return Err(Usage::error(format_args!("{} is there twice", twice.run.id)));
    }
    let start = match args.at {
        Some(at) => u64::from(at) * SECOND_NS,
        None => runs.first().map_or(0, |run| run.run.started_unix_ns),
    };
    let length = runs.iter().map(|run| run.series.bucket_ns * run.series.rows.len() as u64).max().unwrap_or_default();
    if start + length + OWN_HOURS_NS > unix_ns() {
        terminal::note("galton: a Prometheus that runs must not import times of the last three hours: see --at");
    }
    let text = text(&runs, start)?;
    match &args.output {
        None => terminal::print(text)?,
        Some(file) => std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(runs: &[Run], start_ns: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    for family in &FAMILIES {
        family.write(&mut text, runs, start_ns)?;
    }
    text.push_str("# EOF\n");
    Ok(text)
}

const fn rate(name: &'static str, help: &'static str, columns: &'static [(&'static str, &'static str)]) -> Family {
    Family { name, help, what: What::Rate, columns }
}

const fn gauge(name: &'static str, help: &'static str, columns: &'static [(&'static str, &'static str)]) -> Family {
    Family { name, help, what: What::Gauge, columns }
}

const fn summary(name: &'static str, help: &'static str, columns: &'static [(&'static str, &'static str)]) -> Family {
    Family { name, help, what: What::Summary, columns }
}

// === impl Family ===

impl Family {
    fn write(&self, text: &mut String, runs: &[Run], start_ns: u64) -> anyhow::Result<()> {
        let Self { name, help, .. } = self;
        let kind = if self.what == What::Summary { "summary" } else { "gauge" };
        writeln!(text, "# TYPE {name} {kind}")?;
        writeln!(text, "# HELP {name} {help}")?;
        for run in runs {
            for (column, labels) in self.columns {
                for (at_ns, value) in run.points(self.what, column)? {
                    let ms = (start_ns + at_ns) / 1_000_000;
                    let value = value.map_or_else(|| "NaN".to_owned(), |value| value.to_string());
                    let run = run.labels();
                    writeln!(text, "{name}{{{run}{labels}}} {value} {}.{:03}", ms / 1000, ms % 1000)?;
                }
            }
        }
        Ok(())
    }
}

// === impl Run ===

impl Run {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let file = if path.is_dir() { path.join("result.json") } else { path.to_owned() };
        match (path.exists(), file.exists()) {
            (false, _) => return Err(unfit::missing(path)),
            (true, false) => return Err(unfit::no_run(path, "result.json (reporting.writers: json)")),
            (true, true) => {}
        }
        let run: Self =
            serde_json::from_reader(run_files::open(&file)?).map_err(|error| unfit::no_result(error, &file))?;
        if run.client.is_some() {
            return Err(unfit::of_generator(path, "export"));
        }
        if run.schema_version != SCHEMA {
            let found = run.schema_version;
            return Err(Usage::error(format_args!("{}: schema version {found}, not {SCHEMA}", file.display())));
        }
        Ok(run)
    }

    /// Which run it is, for the inside of braces.
    fn labels(&self) -> String {
        let source = match self.kind {
            Kind::Live => "live",
            Kind::Simulated => "sim",
        };
        let id = &self.run.id;
        format!(r#"source="{source}",scenario="{}",run="{}""#, escaped(scenario(id)), escaped(id))
    }

    /// Time since the start of the run, in nanoseconds, and value; none: not known. Nothing at all, if nothing is known.
    ///
    /// A bucket is told of at its start: a value counts until the next one. So that the last one ends with the run, "not known"
    /// comes behind it.
    fn points(&self, what: What, column: &str) -> anyhow::Result<Vec<(u64, Option<f64>)>> {
        let series = &self.series;
        let (bucket_ns, columns, rows) = match what {
            What::Rate | What::Gauge => (series.bucket_ns, &series.columns, &series.rows),
            What::Summary => (series.latency.bucket_ns, &series.latency.columns, &series.latency.rows),
        };
        let unit = match what {
            What::Rate => bucket_ns as f64 / 1e9,
            What::Gauge => 1.0,
            What::Summary => 1e9,
        };
        let index = columns.iter().position(|name| name == column);
        let index = index.with_context(|| format!("{}: no {column} in its series", self.run.id))?;
        let values: Vec<Option<f64>> = rows.iter().map(|row| row.get(index).copied().flatten()).collect();
        if values.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let values = values.into_iter().map(|value| value.map(|value| value / unit)).chain([None]);
        Ok((0..).map(|i: u64| i * bucket_ns).zip(values).collect())
    }
}

/// The scenario of a run: its id up to the time.
fn scenario(id: &str) -> &str {
    let is_time = |part: &str| part.len() == 16 && part.as_bytes()[8] == b'T' && part.ends_with('Z');
    let mut dashes = id.rmatch_indices('-').map(|(at, _)| at);
    let before = dashes.find(|at| id[at + 1..].split('-').next().is_some_and(is_time));
    before.map_or(id, |at| &id[..at])
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(kind: &str, id: &str, in_flight: [Option<f64>; 2]) -> Run {
        let columns = [
            "t_ns",
            "offered",
            "ok",
            "rejected",
            "timed_out",
            "failed",
            "retries",
            "refused",
            "in_flight",
            "free_slots",
            "fleet",
        ];
        let row = |t: f64, n: f64, in_flight: Option<f64>| {
            let mut row = vec![Some(t); 7];
            row[1..].fill(Some(n));
            row.extend([None, in_flight, Some(1.5), Some(2.0)]);
            row
        };
        let percentiles =
            ["response_p50", "response_p80", "response_p90", "response_p99", "overhead_p50", "overhead_p99"];
        let result = json!({
            "schema_version": 1, "kind": kind, "run": {"id": id, "started_unix_ns": 5_000_000_000_u64, "seed": 42},
            "series": {
                "bucket_ns": 500_000_000, "columns": columns,
                "rows": [row(0.0, 3.0, in_flight[0]), row(5e8, 4.0, in_flight[1])],
                "latency": {
                    "bucket_ns": 1_000_000_000, "columns": percentiles,
                    "rows": [[200_000_000.0, null, null, null, 0.0, 1500.0]],
                },
            },
        });
        serde_json::from_value(result).unwrap()
    }

    fn lines_of<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        text.lines().filter(|line| line.starts_with(name)).collect()
    }

    #[test]
    fn values_count_for_their_bucket_and_end_with_the_run() {
        let runs = [run("live", "ramp-1-20261127T015306Z", [Some(0.25), None])];
        let text = text(&runs, 5_000_000_000).unwrap();
        let labels = r#"source="live",scenario="ramp-1",run="ramp-1-20261127T015306Z""#;
        let expected = |name: &str, more: &str, points: &[&str]| -> Vec<String> {
            points.iter().map(|point| format!("{name}{{{labels}{more}}} {point}")).collect()
        };
        let offered = expected("galton_run_offered_per_second", "", &["6 5.000", "8 5.500", "NaN 6.000"]);
        assert_eq!(lines_of(&text, "galton_run_offered_per_second"), offered);
        let in_flight = expected("galton_run_in_flight", "", &["0.25 5.000", "NaN 5.500", "NaN 6.000"]);
        assert_eq!(lines_of(&text, "galton_run_in_flight"), in_flight);
        let response = expected("galton_run_response_seconds", r#",quantile="0.5""#, &["0.2 5.000", "NaN 6.000"]);
        assert_eq!(lines_of(&text, "galton_run_response_seconds"), response, "no percentile that no window bears");
        assert!(lines_of(&text, "galton_run_refusals_per_second").is_empty(), "not recorded is not 0");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn runs_begin_together_under_labels_of_their_own() {
        let runs = [run("live", "a", [None; 2]), run("simulated", "a", [None; 2])];
        let text = text(&runs, 9_000_000_000).unwrap();
        for source in ["live", "sim"] {
            let labels = format!(r#"{{source="{source}",scenario="a",run="a"}}"#);
            assert!(text.contains(&format!("galton_run_offered_per_second{labels} 6 9.000\n")), "{text}");
        }
        // A family is one block.
        let types = text.lines().filter(|line| line.starts_with("# TYPE"));
        assert_eq!(types.count(), FAMILIES.len());
    }

    #[test]
    fn a_label_cannot_end_early() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        assert_eq!(scenario("least_conns-20261127T015306Z-2"), "least_conns");
        assert_eq!(scenario("round-robin"), "round-robin");
    }
}
