//! `galton plan`: what a scenario will ask, before anything runs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use galton_core::plan::{Plan, Planned};
use galton_core::scenario::TrafficModel;
use galton_core::{Nanos, Scenario};
use galton_report::units::{digits, rate, time};
use galton_runtime::terminal;

use crate::Usage;
use crate::scenario_args::ScenarioArgs;

/// In the place of a file: stdout.
const STDOUT: &str = "-";

/// Whose plan, and in which form.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Write the requests as CSV, to FILE or to stdout
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT)]
    csv: Option<PathBuf>,
}

/// What there is to say about a plan in a few lines.
#[derive(Debug, Default)]
struct Summary {
    requests: u64,
    first: Nanos,
    last: Nanos,
    hold_ns: u128,
    longest_hold: Nanos,
    cpu: f64,
    by_host: Vec<u64>,
}

/// Prints the plan of a scenario: in a few lines, or every request of it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let scenario = args.scenario.load(None)?;
    if matches!(scenario.traffic.model, TrafficModel::Closed(_)) {
        return Err(Usage::error(format!(
            "{}: a closed loop has no plan in advance: when a user sends depends on the responses. Run it, and take the \
             run's trace.csv; or describe the traffic by traffic.arrival",
            scenario.name
        )));
    }
    let plan = Plan::new(&scenario);
    match args.csv.as_deref() {
        None => summarise(&scenario, &plan)?,
        Some(file) if file == Path::new(STDOUT) => terminal::written(write(&plan, io::stdout().lock()))?,
        Some(file) => File::create(file)
            .and_then(|out| write(&plan, out))
            .with_context(|| format!("cannot write {}", file.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(plan: &Plan, out: impl Write) -> io::Result<()> {
    galton_report::plan::write(BufWriter::new(out), plan.open_loop()).map(drop)
}

fn summarise(scenario: &Scenario, plan: &Plan) -> anyhow::Result<()> {
    terminal::print(format_args!("seed {} · {} · plan {}\n", scenario.simulation.seed, scenario.name, plan.sha256()))?;
    let mut summary = Summary { by_host: vec![0; scenario.load_balancer.hosts as usize], ..Summary::default() };
    plan.open_loop().for_each(|planned| summary.add(&planned));
    summary.lines(scenario.simulation.duration).iter().try_for_each(|line| terminal::print(format_args!("{line}\n")))
}

// === impl Summary ===

impl Summary {
    fn add(&mut self, planned: &Planned) {
        if self.requests == 0 {
            self.first = planned.at;
        }
        self.requests += 1;
        self.last = planned.at;
        self.hold_ns += u128::from(planned.demand.hold.0);
        self.longest_hold = self.longest_hold.max(planned.demand.hold);
        self.cpu += planned.demand.cpu;
        if let Some(count) = self.by_host.get_mut(planned.host.0 as usize) {
            *count += 1;
        }
    }

    fn lines(&self, duration: Nanos) -> Vec<String> {
        if self.requests == 0 {
            return vec!["requests    none".to_owned()];
        }
        let n = self.requests;
        // A count may reach past the duration, and the window of a run then ends with its last request.
        let window = duration.max(self.last);
        let mean_hold = Nanos((self.hold_ns / u128::from(n)) as u64);
        let mut lines = vec![
            format!("requests    {n}, the first at {}, the last at {}", time(self.first), time(self.last)),
            format!("rate        {} over {}", rate(n as f64 / window.as_secs_f64()), time(window)),
            format!("hold        {} on average, {} at most", time(mean_hold), time(self.longest_hold)),
            format!("cpu         {} units on average", digits(self.cpu / n as f64)),
        ];
        let of_host = |(host, count): (usize, &u64)| format!("{:<12}{count} requests", format!("host {host}"));
        lines.extend(self.by_host.iter().enumerate().map(of_host));
        lines
    }
}
