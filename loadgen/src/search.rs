//! `loadgen search`: the highest rate at which objectives are kept.
//!
//! Each probe is an open loop of its own, with a seed of its own, and is judged by its own report: a probe that the generator did not
//! send as planned is no proof that the server would have kept anything.

mod bracket;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use galton_core::Nanos;
use galton_report::slo::{self, Kept, Slo, SloVerdict};
use galton_report::units::{NOT_AVAILABLE, percent, rate, time};
use galton_report::{Report, Verdict};
use galton_results::Usage;
use galton_runtime::book::Book;
use galton_runtime::{Shutdown, role, telemetry, terminal};
use prometheus::Registry;
use serde_json::{Value, json};

use self::bracket::Bracket;
use crate::args::{HostsArgs, ModelArgs, RequestArgs, ViewStyle};
use crate::meters::Meters;
use crate::mission::Mission;
use crate::output::{self, Output, STDOUT};
use crate::results::{INTERRUPTED, NOT_KEPT};
use crate::standalone::{self, Measured};
use crate::units::{self, ArrivalKind};

/// A count of Poisson arrivals is hardly ever so many standard deviations below its mean.
const SPREAD: f64 = 4.0;

/// What is looked for, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to send, http only
    #[arg(default_value = "http://127.0.0.1:8080/")]
    url: String,
    /// What every probe is to keep, repeatable: p99<250ms, errors<0.1%
    #[arg(long, value_name = "OBJECTIVE", required = true, value_parser = |text: &str| text.parse::<Slo>())]
    slo: Vec<Slo>,
    /// The lowest rate, requests per second
    #[arg(long, value_name = "R", default_value = "10", value_parser = units::rate)]
    from: f64,
    /// The highest rate; without it there is none
    #[arg(long, value_name = "R", value_parser = units::rate)]
    to: Option<f64>,
    /// How close the rate that is kept and the one that is not must come, in per cent
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = units::factor)]
    precision: f64,
    /// How long each probe sends; longer where the objectives take more requests than come in that time
    #[arg(short = 'z', long, value_name = "D", default_value = "10s", value_parser = units::horizon)]
    probe: Duration,
    /// How long the server may recover between probes
    #[arg(long, value_name = "D", default_value = "1s", value_parser = units::duration)]
    pause: Duration,
    /// The gaps between requests, as for a run
    #[arg(long, value_name = "DIST", value_parser = units::arrival)]
    arrival: Option<ArrivalKind>,
    /// The seed of the first probe; each further one has the next
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    hosts: HostsArgs,
    /// Print the result as JSON, or write it to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT, value_parser = output::file())]
    json: Option<PathBuf>,
}

/// One rate that was tried.
#[derive(Debug)]
struct Probe {
    rate: f64,
    seed: u64,
    report: Report,
    slo: Vec<Kept>,
    kept: bool,
}

/// Searches, and says every probe as it comes.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    check(args)?;
    role::raise_descriptor_limit();
    telemetry::init("loadgen");
    let shutdown = Shutdown::listen(false)?;
    let mut bracket = Bracket::new(args.from, args.to, args.precision / 100.0);
    let mut probes = Vec::new();
    say(args, &heading());
    while let Some(rate) = bracket.next() {
        let pause = if probes.is_empty() { Duration::ZERO } else { args.pause };
        if interrupted_within(&shutdown, pause)? {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let Some(probe) = probe(args, rate, args.seed + probes.len() as u64, &shutdown)? else {
            return Ok(ExitCode::from(INTERRUPTED));
        };
        say(args, &probe.line());
        bracket.tell(rate, probe.kept);
        probes.push(probe);
    }
    let (kept, missed) = bracket.answer();
    say(args, &answer(args, kept, missed, &probes));
    write(args, kept, missed, &probes)?;
    Ok(kept.map_or(ExitCode::from(NOT_KEPT), |_| ExitCode::SUCCESS))
}

fn check(args: &Args) -> anyhow::Result<()> {
    if args.arrival == Some(ArrivalKind::PoissonExact) {
        return Err(Usage::error("search sends for a time: --arrival poisson-exact would hide how a rate varies"));
    }
    match args.to {
        Some(to) if to < args.from => {
            Err(Usage::error(format_args!("--to must be at least --from, got {to} and {}", args.from)))
        }
        _ => Ok(()),
    }
}

/// None: somebody stopped it.
fn probe(args: &Args, rate: f64, seed: u64, shutdown: &Shutdown) -> anyhow::Result<Option<Probe>> {
    let model = ModelArgs {
        rate: Some(rate),
        duration: Some(length(args, rate)),
        arrival: args.arrival,
        seed: Some(seed),
        ..ModelArgs::default()
    };
    let mission = Mission::new(&args.url, &model, &args.request, None, &args.hosts)?;
    let meters = Meters::register(&Book::create(None)?, &Registry::new())?;
    let Measured { report, interrupted, .. } =
        standalone::measure(&mission, &Output::nowhere(), &meters, ViewStyle::None, shutdown)?;
    if interrupted {
        return Ok(None);
    }
    let slo = slo::evaluate(&args.slo, &report);
    let kept = slo::worst(&slo) == SloVerdict::Kept && report.validity.verdict != Verdict::Invalid;
    Ok(Some(Probe { rate, seed, report, slo, kept }))
}

/// Long enough for the objectives to be decided, however few requests the chance of arrivals brings.
fn length(args: &Args, rate: f64) -> Duration {
    let needed = args.slo.iter().map(Slo::needs).max().unwrap_or(1) as f64;
    args.probe.max(Duration::from_secs_f64((needed + SPREAD * needed.sqrt()) / rate))
}

/// Whether somebody stops the search within this time.
fn interrupted_within(shutdown: &Shutdown, pause: Duration) -> anyhow::Result<bool> {
    role::run_local(async { Ok(tokio::time::timeout(pause, shutdown.wait()).await.is_ok()) })
}

fn heading() -> String {
    format!("{:>10}  {:>10}  {:>10}  {:>10}  {:>8}  verdict", "rate", "completed", "p50", "p99", "errors")
}

fn answer(args: &Args, kept: Option<f64>, missed: Option<f64>, probes: &[Probe]) -> String {
    let objectives: Vec<String> = args.slo.iter().map(ToString::to_string).collect();
    let objectives = objectives.join(", ");
    let why = why_missed(probes.iter().filter(|p| missed == Some(p.rate))).unwrap_or_default();
    match (kept, missed) {
        (Some(kept), Some(missed)) => {
            format!("\n{} keeps {objectives}, twice; {} does not{why}", rate(kept), rate(missed))
        }
        (Some(kept), None) => {
            format!("\n{} keeps {objectives}, twice; it is the highest that was asked for", rate(kept))
        }
        (None, _) => format!("\nnot even {} keeps {objectives}{why}", rate(args.from)),
    }
}

/// What was in the way of the lowest rate that was not kept, where it was not how fast the server answered.
fn why_missed<'a>(mut probes: impl Iterator<Item = &'a Probe> + Clone) -> Option<String> {
    if probes.clone().any(|p| p.report.validity.verdict == Verdict::Invalid) {
        return Some("; there the generator itself was too slow".to_owned());
    }
    let error = probes.find_map(|p| p.report.client.as_ref()?.errors.iter().next())?;
    Some(format!("; there {} requests failed: {}", error.requests, error.words()))
}

/// With JSON on stdout, words go to stderr.
fn say(args: &Args, line: &str) {
    match args.json.as_deref() {
        Some(path) if path == Path::new(STDOUT) => terminal::note(line),
        _ => terminal::say(line),
    }
}

fn write(args: &Args, kept: Option<f64>, missed: Option<f64>, probes: &[Probe]) -> anyhow::Result<()> {
    let Some(path) = &args.json else { return Ok(()) };
    let objectives: Vec<String> = args.slo.iter().map(ToString::to_string).collect();
    let probes: Vec<Value> = probes.iter().map(Probe::json).collect();
    let all = json!({ "objectives": objectives, "kept": kept, "missed": missed, "probes": probes });
    Output::write_json(path, &format!("{all:#}\n"))
}

// === impl Probe ===

impl Probe {
    fn line(&self) -> String {
        let quantile = |q| {
            let found = self.report.latency.response.quantiles.iter().find(|found| found.q == q);
            found.and_then(|found| found.value).map_or(NOT_AVAILABLE.to_owned(), |ns| time(Nanos(ns)))
        };
        let counts = &self.report.counts;
        let errors = counts.offered.saturating_sub(counts.ok) as f64 / counts.offered.max(1) as f64;
        let not_kept = self.slo.iter().find(|kept| kept.verdict != SloVerdict::Kept).map(|kept| kept.text.as_str());
        let verdict = match (self.kept, self.report.validity.verdict, not_kept) {
            (true, ..) => "kept".to_owned(),
            (_, Verdict::Invalid, _) => "not valid: the generator did not keep up".to_owned(),
            (.., why) => why.unwrap_or_default().to_owned(),
        };
        format!(
            "{:>10}  {:>10}  {:>10}  {:>10}  {:>8}  {verdict}",
            rate(self.rate),
            rate(self.report.rates.completed),
            quantile(0.5),
            quantile(0.99),
            percent(errors)
        )
    }

    fn json(&self) -> Value {
        json!({
            "rate": self.rate,
            "seed": self.seed,
            "kept": self.kept,
            "slo": self.slo,
            "validity": self.report.validity,
            "counts": self.report.counts,
            "rates": self.report.rates,
            "errors": self.report.client.as_ref().map(|client| &client.errors),
            "latency": { "response": self.report.latency.response, "send_lag": self.report.latency.send_lag },
        })
    }
}
