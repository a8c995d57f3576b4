//! Writing what a run leaves behind: its records, and the report in every form that is asked for.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use galton_core::Scenario;
use galton_core::record::FleetEvent;
use galton_core::scenario::Writer;
use galton_report::{Report, RunData, decisions, fleet, trace};

use crate::run_dir::RunDir;

/// Writes `trace.csv`, `fleet.csv` and, if they were recorded, `decisions.csv`.
pub(crate) fn write_records(dir: &RunDir, data: &RunData) -> anyhow::Result<()> {
    write_file(&dir.file("trace.csv"), |out| trace::write(out, &data.trace).map(drop))?;
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
    let run = || {
        let mut out = BufWriter::new(File::create(path)?);
        write(&mut out)?;
        out.flush()
    };
    run().with_context(|| format!("cannot write {}", path.display()))
}
