//! `loadgen merge`: the runs of several generators as one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use galton_report::hlog;
use galton_report::merge::{Part, merge};
use galton_report::slo::{self, Slo};
use galton_results::{Usage, run_files};

use crate::output::{self, LOG, Output, STDOUT};
use crate::results;

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 could not read or write, 2 wrong usage, or the runs cannot be merged, 98 not valid \
    (--strict), 99 an objective was not kept (--slo)";

/// What to merge, and where to.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Directories that loadgen -o, or merge -o, has written: runs at about the same time against the same server
    #[arg(value_name = "DIR", required = true, num_args = 2..)]
    dirs: Vec<PathBuf>,
    /// Write the merged report and interval log there; if there is something in DIR, into a new directory below it
    #[arg(short, long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Print the result as JSON, or write it to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT, value_parser = output::file())]
    json: Option<PathBuf>,
    /// What all of them together are to keep, repeatable, as for a run
    #[arg(long, value_name = "OBJECTIVE", value_parser = |text: &str| text.parse::<Slo>())]
    slo: Vec<Slo>,
    /// Exit with 98 if one of the runs is not valid
    #[arg(long)]
    strict: bool,
    /// No summary
    #[arg(long)]
    quiet: bool,
}

/// Merges.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let parts = args.dirs.iter().map(|dir| part(dir)).collect::<anyhow::Result<Vec<Part>>>()?;
    // Started when the first of them was, which only they know.
    let (mut report, log) = merge(&parts, results::meta("merged".to_owned(), 0)).map_err(Usage::error)?;
    report.slo = slo::evaluate(&args.slo, &report);
    let output = Output::of_merged(args.output_dir.as_deref(), args.json.as_deref(), args.quiet)?;
    report.run.meta.id = output.id("merged");
    output.write_log(&log)?;
    output.write(&report)?;
    Ok(results::exit_code(&report, args.strict, false))
}

/// One of the runs.
fn part(dir: &Path) -> anyhow::Result<Part> {
    let name = dir.display();
    let (result, log) = (dir.join("result.json"), dir.join(LOG));
    for file in [&result, &log] {
        if !file.is_file() {
            return Err(Usage::error(format_args!(
                "{}: not there; merge takes what loadgen -o has written",
                file.display()
            )));
        }
    }
    let intervals =
        hlog::read(run_files::open(&log)?).map_err(|e| Usage::error(format_args!("{}: {e}", log.display())))?;
    let result = run_files::json(&result)?;
    Part::new(name.to_string(), result, intervals).map_err(|e| Usage::error(format_args!("{name}: {e}")))
}
