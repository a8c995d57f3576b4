//! `galton report`: the report of a run that is over, from what its processes left in a directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use galton_report::{Report, RunData};
use galton_results::{Usage, run_files};

use crate::collect;
use crate::report_files;
use crate::run_dir::RunDir;

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done (VALID or SUSPECT; without --strict INVALID too), 1 could not write, 2 wrong usage, or a \
    file that is not there or not what it should be, 98 INVALID under --strict";

/// Of which run.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Directory of the run: of `galton run`, or one into which roles that were started by hand have written
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Exit with 98 if the verdict is INVALID
    #[arg(long)]
    strict: bool,
}

/// Writes the report into the directory, and prints the summary.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What cannot be read is what was asked for.
    let (dir, data) = read(&args.dir).map_err(|error| Usage::error(format_args!("{error:#}")))?;
    let report = Report::compute(&data);
    let path = report_files::write(&dir, &data, &report)?;
    report_files::tell(&report, &path);
    Ok(report_files::exit_code(&report, args.strict))
}

fn read(path: &Path) -> anyhow::Result<(RunDir, RunData)> {
    let dir = RunDir::open(path)?;
    let data = collect::collect(&dir, run_files::scenario(path)?)?;
    Ok((dir, data))
}
