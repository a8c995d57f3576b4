//! `loadgen search`: the highest rate at which objectives are kept.
//!
//! Each probe is an open loop of its own, with a seed of its own, and is judged by its own report: a probe that the generator did not
//! send as planned is no proof that the server would have kept anything.

mod answer;
mod bracket;
mod probe;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use galton_report::slo::Slo;
use galton_results::Usage;
use galton_runtime::{Shutdown, role, telemetry, terminal};
use serde_json::{Value, json};

use self::answer::Answer;
use self::bracket::Bracket;
use self::probe::Probe;
use crate::args::{HostsArgs, RequestArgs};
use crate::output::{self, Output, STDOUT};
use crate::results::{INTERRUPTED, NOT_KEPT};
use crate::units::{self, ArrivalKind};

/// Requests per second: a plan counts whole nanoseconds.
const HIGHEST_RATE: f64 = 1e9;
/// For how many seconds the objectives may make a probe longer: a day, after which nobody waits for the next one.
const LONGEST_NEED: f64 = 86_400.0;

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 found, 1 could not send, 2 wrong usage, 99 no rate was found that keeps the objectives, 130 \
    interrupted (what is known by then is written)";

/// What is looked for, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
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

/// A search on its way.
struct Search<'a> {
    args: &'a Args,
    bracket: Bracket,
    probes: Vec<Probe>,
}

/// Searches, and says every probe as it comes.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.check()?;
    output::check_json(args.json.as_deref())?;
    role::raise_descriptor_limit();
    telemetry::init("loadgen");
    let shutdown = Shutdown::listen(false)?;
    let mut search = Search::new(args);
    args.say(&probe::heading());
    let ended = search.ask_all(&shutdown);
    // However it ended: what was measured is not lost.
    let answer = search.answer(matches!(ended, Ok(true)));
    args.say(&format!("\n{answer}"));
    search.write(&answer)?;
    Ok(match (ended?, answer.kept) {
        (false, _) => ExitCode::from(INTERRUPTED),
        (true, None) => ExitCode::from(NOT_KEPT),
        (true, Some(_)) => ExitCode::SUCCESS,
    })
}

/// Whether somebody stops the search within this time.
fn interrupted_within(shutdown: &Shutdown, pause: Duration) -> anyhow::Result<bool> {
    role::run_local(async { Ok(tokio::time::timeout(pause, shutdown.wait()).await.is_ok()) })
}

// === impl Args ===

impl Args {
    fn check(&self) -> anyhow::Result<()> {
        if self.arrival == Some(ArrivalKind::PoissonExact) {
            return Err(Usage::error("search sends for a time: --arrival poisson-exact would hide how a rate varies"));
        }
        for (flag, rate) in [("--from", Some(self.from)), ("--to", self.to)] {
            if let Some(rate) = rate.filter(|rate| *rate > HIGHEST_RATE) {
                return Err(Usage::error(format_args!(
                    "{flag} must be at most {HIGHEST_RATE} per second, got {rate:e}"
                )));
            }
        }
        match self.to {
            Some(to) if to < self.from => {
                Err(Usage::error(format_args!("--to must be at least --from, got {to} and {}", self.from)))
            }
            _ => self.check_need(),
        }
    }

    /// The first probe takes longest.
    fn check_need(&self) -> anyhow::Result<()> {
        if probe::needed_secs(self, self.from) <= LONGEST_NEED {
            return Ok(());
        }
        Err(Usage::error(format_args!(
            "--from {:e} is too low: the requests that the objectives take, at least {}, are not sent within a day",
            self.from,
            self.needs()
        )))
    }

    /// Requests without which the objectives are not decided.
    fn needs(&self) -> u64 {
        self.slo.iter().map(Slo::needs).max().unwrap_or(1)
    }

    /// With JSON on stdout, words go to stderr.
    fn say(&self, line: &str) {
        match self.json.as_deref() {
            Some(path) if path == Path::new(STDOUT) => terminal::note(line),
            _ => terminal::say(line),
        }
    }

    fn objectives(&self) -> Vec<String> {
        self.slo.iter().map(ToString::to_string).collect()
    }
}

// === impl Search ===

impl<'a> Search<'a> {
    fn new(args: &'a Args) -> Self {
        let bracket = Bracket::new(args.from, args.to, args.precision / 100.0);
        Self { args, bracket, probes: Vec::new() }
    }

    /// Every rate until there is an answer; false: somebody stopped it.
    fn ask_all(&mut self, shutdown: &Shutdown) -> anyhow::Result<bool> {
        while let Some(rate) = self.bracket.next() {
            let pause = if self.probes.is_empty() { Duration::ZERO } else { self.args.pause };
            if interrupted_within(shutdown, pause)? {
                return Ok(false);
            }
            let seed = self.args.seed.wrapping_add(self.probes.len() as u64);
            let probe = Probe::run(self.args, rate, seed, shutdown)?;
            self.args.say(&probe.line());
            let kept = probe.kept;
            self.probes.push(probe);
            let Some(kept) = kept else { return Ok(false) };
            self.bracket.tell(rate, kept);
        }
        Ok(true)
    }

    fn answer(&self, complete: bool) -> Answer {
        let (kept, missed) = self.bracket.answer();
        // A rate may have been kept before.
        let why =
            |rate| self.probes.iter().rfind(|probe| probe.rate == rate && probe.kept == Some(false)).map(Probe::why);
        let missed = missed.and_then(|rate| Some((rate, why(rate)?)));
        Answer { objectives: self.args.objectives().join(", "), complete, kept, missed }
    }

    fn write(&self, answer: &Answer) -> anyhow::Result<()> {
        let Some(path) = &self.args.json else { return Ok(()) };
        let probes: Vec<Value> = self.probes.iter().map(Probe::json).collect();
        let all = json!({
            "objectives": self.args.objectives(),
            "interrupted": !answer.complete,
            "kept": answer.kept,
            "missed": answer.missed.as_ref().map(|(rate, _)| rate),
            "probes": probes,
        });
        Output::write_json(path, &format!("{all:#}\n"))
    }
}
