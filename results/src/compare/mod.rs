//! `compare`: two runs against each other, for `galton` and `loadgen`.

mod client;
mod margins;
mod subjects;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use galton_report::compare::{self, Comparison, Options, PairingWish, Sameness};
use galton_runtime::terminal;

use crate::{Usage, colour, place, table_width};
use margins::MarginArg;

/// Something differs.
const DIFFERS: u8 = 3;
/// In the place of a file: stdout.
const STDOUT: &str = "-";

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 nothing differs (what is undecided included), 1 could not read a run or write, 2 wrong usage, \
    what was named is not there or no run, or the two cannot be compared, 3 something differs (under --strict also: something is undecided)";

/// What to compare, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// A run directory, a result.json, or a CSV with columns of a trace
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Another one; differences are B − A
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Pair requests, or refuse: the plan is the same, and only load_balancer and scaling may differ
    #[arg(long, conflicts_with = "unpaired")]
    paired: bool,
    /// Do not pair requests, even if the plan is the same
    #[arg(long)]
    unpaired: bool,
    /// A difference that does not matter, repeatable: loss=0.5%, relative=2%, time=0.2ms, retries=0.01, targets=0.5, scale-ups=1
    #[arg(long = "margin", value_name = "WHAT=VALUE", value_parser = margins::parse)]
    margins: Vec<MarginArg>,
    /// Compare runs that are INVALID too
    #[arg(long)]
    allow_invalid: bool,
    /// Write the comparison as JSON, to FILE or to stdout (then without the tables)
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT)]
    json: Option<PathBuf>,
    /// Undecided counts as different
    #[arg(long)]
    strict: bool,
}

/// Compares.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.json.as_deref().filter(|file| *file != Path::new(STDOUT)).map_or(Ok(()), place::check)?;
    let (a, b) = (subjects::open(&args.a)?, subjects::open(&args.b)?);
    let comparison = compare::compare(a, b, &args.options()).map_err(Usage::error)?;
    match args.json.as_deref() {
        Some(file) if file == Path::new(STDOUT) => terminal::print(comparison.to_json())?,
        Some(file) => {
            std::fs::write(file, comparison.to_json()).with_context(|| format!("cannot write {}", file.display()))?;
            terminal::print(comparison.to_text(colour(), table_width()))?;
        }
        None => terminal::print(comparison.to_text(colour(), table_width()))?,
    }
    Ok(args.exit_code(&comparison))
}

// === impl Args ===

impl Args {
    fn options(&self) -> Options {
        let mut options = Options { allow_invalid: self.allow_invalid, ..Options::default() };
        options.pairing = match (self.paired, self.unpaired) {
            (true, _) => PairingWish::Must,
            (_, true) => PairingWish::Never,
            _ => PairingWish::Auto,
        };
        self.margins.iter().for_each(|margin| margin.apply(&mut options.margins));
        options
    }

    fn exit_code(&self, comparison: &Comparison) -> ExitCode {
        match comparison.verdict {
            Sameness::Differs => ExitCode::from(DIFFERS),
            Sameness::Undecided if self.strict => ExitCode::from(DIFFERS),
            Sameness::Undecided | Sameness::Same => ExitCode::SUCCESS,
        }
    }
}
