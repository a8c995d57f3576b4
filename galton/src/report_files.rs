//! Writing what a run leaves behind: its records, and the report in every form that is asked for; and telling of it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use galton_core::Scenario;
use galton_core::record::FleetEvent;
use galton_core::scenario::Writer;
use galton_report::{Report, RunData, Verdict, decisions, fleet, trace};
use galton_results::SUMMARY_WIDTH;
use galton_runtime::terminal;

use crate::run_dir::{self, RunDir};

/// Not valid, under `--strict`.
const NOT_VALID: u8 = 98;

/// Writes the records and the report; returns the path to look at.
pub(crate) fn write(dir: &RunDir, data: &RunData, report: &Report) -> anyhow::Result<PathBuf> {
    write_records(dir, data)?;
    write_report(dir, &data.scenario, report)
}

/// Prints the summary and the path to look at.
pub(crate) fn tell(report: &Report, path: &Path) {
    terminal::say(format_args!("\n{}", report.summary(SUMMARY_WIDTH, crate::colour())));
    terminal::say(path.display());
}

/// 98 where the verdict is INVALID and somebody minds.
pub(crate) fn exit_code(report: &Report, strict: bool) -> ExitCode {
    let invalid = strict && report.validity.verdict == Verdict::Invalid;
    if invalid { ExitCode::from(NOT_VALID) } else { ExitCode::SUCCESS }
}

/// Writes `trace.csv`, `fleet.csv` and, if they were recorded, `decisions.csv`.
pub(crate) fn write_records(dir: &RunDir, data: &RunData) -> anyhow::Result<()> {
    write_file(&dir.file(run_dir::TRACE), |out| trace::write(out, &data.trace).map(drop))?;
    write_fleet(dir, &data.fleet)?;
    match &data.decisions {
        Some(all) => write_file(&dir.file("decisions.csv"), |out| decisions::write(out, all).map(drop)),
        None => Ok(()),
    }
}

/// Writes `fleet.csv`.
pub(crate) fn write_fleet(dir: &RunDir, events: &[FleetEvent]) -> anyhow::Result<()> {
    write_file(&dir.file("fleet.csv"), |out| fleet::write(out, events).map(drop))
}

/// Writes what `reporting.writers` asks for; returns the path to look at.
pub(crate) fn write_report(dir: &RunDir, scenario: &Scenario, report: &Report) -> anyhow::Result<PathBuf> {
    let mut main = dir.path().to_owned();
    for writer in &scenario.reporting.writers {
        match writer {
            Writer::Json => dir.write("result.json", &report.to_json())?,
            Writer::Markdown => dir.write("report.md", &report.to_markdown())?,
            Writer::Html => dir.write("report.html", &report.to_html(scenario.reporting.include_plots))?,
            Writer::Csv => {
                for (name, content) in report.to_csvs() {
                    dir.write(name, &content)?;
                }
            }
        }
        if *writer == Writer::Html {
            main = dir.file("report.html");
        }
    }
    Ok(main)
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> anyhow::Result<()> {
    // A trace that is written again must not be lost halfway.
    let unfinished = path.with_added_extension("new");
    let run = || {
        let mut out = BufWriter::new(File::create(&unfinished)?);
        write(&mut out)?;
        out.flush()?;
        std::fs::rename(&unfinished, path)
    };
    run().with_context(|| format!("cannot write {}", path.display()))
}
