//! `galton report`: the report of a run that is over, from what its processes left in a directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use galton_report::{Report, RunData};
use galton_results::{Usage, run_files, unfit};

use crate::collect;
use crate::report_files;
use crate::run_dir::RunDir;

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done (VALID or SUSPECT; without --strict INVALID too), 1 could not read the run or \
    write, 2 wrong usage, or what was named is not there or no live run, 98 INVALID under --strict";

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
    let (dir, data) = read(&args.dir)?;
    let report = Report::compute(&data);
    let path = report_files::write(&dir, &data, &report)?;
    report_files::tell(&report, &path);
    Ok(report_files::exit_code(&report, args.strict))
}

fn read(path: &Path) -> anyhow::Result<(RunDir, RunData)> {
    if !path.exists() {
        return Err(unfit::missing(path));
    }
    if !path.is_dir() {
        return Err(Usage::error(format_args!("{} is no directory", path.display())));
    }
    unfit::refuse_all_but_live(path, "report")?;
    if !path.join("scenario.json").is_file() {
        return Err(unfit::no_run(path, "scenario.json"));
    }
    let dir = RunDir::open(path)?;
    let data = collect::collect(&dir, run_files::scenario(path)?)?;
    Ok((dir, data))
}
