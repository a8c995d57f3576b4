//! A run by itself, against any HTTP server: parse, say what will happen, send, judge, print.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use galton_core::Nanos;
use galton_report::{Report, slo};
use galton_results::Usage;
use galton_runtime::book::Book;
use galton_runtime::clock::unix_ns;
use galton_runtime::{ScenarioClock, Shutdown, mono_ns, role, telemetry, terminal};
use prometheus::Registry;
use tokio::sync::watch;

use crate::alarm::Alarm;
use crate::args::{Args, OutputArgs, ViewStyle};
use crate::exposition;
use crate::meters::Meters;
use crate::mission::Mission;
use crate::output::{self, Output, STDOUT};
use crate::progress::{End, Outlook, Progress, Title};
use crate::results;
use crate::scribe::{self, Books, RowSink};
use crate::sender::{Job, Order, Ran, Sender};
use crate::settings::Settings;

/// From now to the first intended send: time to get to the first wait.
const LEAD_NS: u64 = 2_000_000;

/// Runs and prints.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    output::check(&args.output).map_err(Usage::error)?;
    // An open loop needs a descriptor for each request in flight. Running out is counted and makes the verdict.
    role::raise_descriptor_limit();
    telemetry::init("loadgen");
    let mission = Mission::of(args)?;
    let output = Output::create(&args.output)?;
    let meters = meters(&args.output)?;
    say(&args.output, &mission.settings.words);
    let shutdown = Shutdown::listen(false)?;
    let Measured { mut report, interrupted, complete } =
        measure(&mission, &output, &meters, view_style(&args.output), &shutdown)?;
    report.slo = slo::evaluate(&args.measure.slo, &report);
    // The results of a run are worth having, whatever could not be written of it.
    output.write(&report).and(complete)?;
    Ok(results::exit_code(&report, args.output.strict, interrupted))
}

/// The meters, and where they can be read if that is asked for: before the first request.
fn meters(args: &OutputArgs) -> anyhow::Result<Meters> {
    let (book, registry) = (Book::create(None)?, Registry::new());
    let meters = Meters::register(&book, &registry)?;
    if let Some(addr) = args.prometheus {
        let addr = exposition::serve(addr, &book, registry)?;
        if !args.quiet {
            terminal::note(format_args!("metrics on http://{addr}/metrics"));
        }
    }
    Ok(meters)
}

/// What came of a run.
pub(crate) struct Measured {
    pub(crate) report: Report,
    /// Somebody stopped it.
    pub(crate) interrupted: bool,
    /// Whether all that was to be kept of it could be written.
    pub(crate) complete: anyhow::Result<()>,
}

/// Sends, and makes the report of it.
pub(crate) fn measure(
    mission: &Mission,
    output: &Output,
    meters: &Meters,
    view: ViewStyle,
    shutdown: &Shutdown,
) -> anyhow::Result<Measured> {
    let settings = &mission.settings;
    let (started_unix_ns, since_ns) = (unix_ns(), mono_ns());
    let log = output.log(started_unix_ns + LEAD_NS)?;
    let fold = results::fold(settings, mission.warm_up(), log.is_some());
    let trace = output.trace.as_deref().map(scribe::create_trace).transpose()?;
    let books = Books { trace, fold: Some(fold), log };
    let mut progress = Progress::new(view, outlook(mission), since_ns, meters.clone(), shutdown.clone())?;
    let (rows, scribe) = scribe::start_every(progress.every(), books, move |tally| progress.tick(tally))?;
    let ran = role::run_on_time(send(mission, meters.clone(), rows, shutdown.clone()));
    // First of all, for it has the terminal.
    let written = scribe.finish();
    let (ran, written) = (ran?, written?);
    let meta = results::meta(output.id("loadgen"), started_unix_ns + LEAD_NS);
    let (report, complete) = results::report(settings, &mission.to, written, &ran, meters, meta)?;
    Ok(Measured { report, interrupted: ran.interrupted, complete })
}

async fn send(mission: &Mission, meters: Meters, rows: RowSink, shutdown: Shutdown) -> anyhow::Result<Ran> {
    let alarm = Alarm::new().await.context("no timer")?;
    let (order, orders) = watch::channel(Order::Go);
    tokio::task::spawn_local(async move {
        shutdown.wait().await;
        // Somebody waits for the results now, not for the responses.
        order.send_replace(Order::Abandon);
    });
    let settings = &mission.settings;
    let job = Job {
        clock: ScenarioClock::new(mono_ns() + LEAD_NS, 1.0),
        hosts: mission.dials(),
        template: mission.template.clone(),
        keys: settings.keys.clone().map(|keys| (keys, settings.scenario.simulation.seed)),
        timeout: settings.scenario.traffic.timeout,
        timeout_from_send: settings.limits.in_flight.is_some(),
        grace_ns: settings.grace_ns,
        drain: settings.drain,
        horizon: Nanos::ZERO,
        hard_stop: settings.scenario.simulation.total_time,
    };
    Ok(Sender::new(job, settings.pacing(), alarm, meters, rows, orders).run().await)
}

fn end(settings: &Settings) -> End {
    let duration = settings.scenario.simulation.duration;
    End {
        requests: settings.budget(),
        duration: (duration < Nanos::MAX).then(|| std::time::Duration::from_nanos(duration.0)),
    }
}

fn outlook(mission: &Mission) -> Outlook {
    let settings = &mission.settings;
    let title = Title { url: mission.to.clone(), words: settings.words.clone() };
    Outlook { title, end: end(settings), pace: results::pace(settings) }
}

fn view_style(args: &OutputArgs) -> ViewStyle {
    if args.quiet { ViewStyle::None } else { args.progress }
}

/// The first line. With JSON on stdout it goes to stderr.
fn say(args: &OutputArgs, words: &str) {
    match args.json.as_deref() {
        _ if args.quiet => {}
        Some(path) if path == Path::new(STDOUT) => terminal::note(words),
        _ => terminal::say(words),
    }
}
