//! `loadgen plan`: the schedule of an open loop, printed and not sent.

use std::io::{self, BufWriter, ErrorKind};
use std::process::ExitCode;

use galton_core::plan::{Plan, PlanHash};
use galton_core::scenario::TrafficModel;
use galton_results::Usage;
use galton_runtime::terminal;

use crate::args::{ModelArgs, RequestArgs, TestbedArgs};
use crate::settings::settings;

/// Whose plan.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    testbed: TestbedArgs,
}

/// Model and hash on stderr, the requests as CSV on stdout.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let settings = settings(&args.model, &args.request, args.testbed.scenario.as_deref()).map_err(Usage::error)?;
    if matches!(settings.scenario.traffic.model, TrafficModel::Closed(_)) {
        return Err(Usage::error("users have no plan: when they send depends on the responses"));
    }
    let requests = settings.limits.requests.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let plan = Plan::new(&settings.scenario);
    let mut hash = PlanHash::default();
    terminal::note(&settings.words);
    let planned = plan.open_loop().take(requests).inspect(|planned| hash.add(planned));
    match galton_report::plan::write(BufWriter::new(io::stdout().lock()), planned) {
        // A reader that has seen enough (`… | head`) is no fault; it knows no hash.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        written => drop(written?),
    }
    terminal::note(format_args!("plan {}", hash.finish()));
    Ok(ExitCode::SUCCESS)
}
