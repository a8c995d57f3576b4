//! A run by itself, against any HTTP server: parse, say what will happen, send, judge, print.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use galton_core::Nanos;
use galton_core::scenario::TrafficModel;
use galton_report::{Report, slo};
use galton_runtime::book::Book;
use galton_runtime::clock::unix_ns;
use galton_runtime::{ScenarioClock, Shutdown, mono_ns, role, telemetry, terminal};
use prometheus::Registry;
use tokio::sync::watch;

use crate::alarm::Alarm;
use crate::args::{Args, RequestArgs, ViewStyle};
use crate::destination::{self, Destination};
use crate::exchange::{Demands, Template};
use crate::exposition;
use crate::link::Dial;
use crate::meters::Meters;
use crate::output::{self, Output, STDOUT};
use crate::progress::{End, Outlook, Progress, Title};
use crate::results;
use crate::scribe::{self, Books, RowSink};
use crate::sender::{Job, Order, Ran, Sender};
use crate::settings::{Settings, UsageError, settings};

/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;
/// From now to the first intended send: time to get to the first wait.
const LEAD_NS: u64 = 2_000_000;

/// Runs and prints.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let parsed = output::check(&args.output).and_then(|()| Ok((settings(args)?, Destination::parse(&args.url)?)));
    let (settings, destination) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return Ok(usage(&error)),
    };
    let RequestArgs { hold, cpu, key, body, .. } = &args.request;
    let demands = Demands { hold: hold.is_some(), cpu: cpu.is_some(), key: key.is_some() };
    let template = match destination.template(&args.request, destination::body(body.as_deref())?, demands) {
        Ok(template) => template,
        Err(error) => return Ok(usage(&error)),
    };
    telemetry::init("loadgen");
    // An open loop needs a descriptor for each request in flight. Running out is counted and makes the verdict.
    role::raise_descriptor_limit();
    let dial = Dial::new(destination.resolve()?, args.request.connect_timeout)
        .with(settings.protocol, settings.max_requests_per_conn);
    let output = Output::create(&args.output)?;
    let meters = meters(args)?;
    say(args, &settings.words);
    let (report, interrupted) = measure(args, &settings, &output, dial, template, &meters)?;
    output.write(&report)?;
    Ok(results::exit_code(&report, args.output.strict, interrupted))
}

/// Prints a usage error as clap prints its own.
pub(crate) fn usage(error: &UsageError) -> ExitCode {
    terminal::note(format_args!("error: {error}\n\nFor more information, try '--help'."));
    ExitCode::from(USAGE)
}

/// The meters, and where they can be read if that is asked for: before the first request.
fn meters(args: &Args) -> anyhow::Result<Meters> {
    let (book, registry) = (Book::create(None)?, Registry::new());
    let meters = Meters::register(&book, &registry)?;
    if let Some(addr) = args.output.prometheus {
        let addr = exposition::serve(addr, &book, registry)?;
        if !args.output.quiet {
            terminal::note(format_args!("metrics on http://{addr}/metrics"));
        }
    }
    Ok(meters)
}

/// Sends, and makes the report of it. Also: whether somebody stopped the run.
fn measure(
    args: &Args,
    settings: &Settings,
    output: &Output,
    dial: Dial,
    template: Template,
    meters: &Meters,
) -> anyhow::Result<(Report, bool)> {
    let shutdown = Shutdown::listen(false)?;
    let (started_unix_ns, since_ns) = (unix_ns(), mono_ns());
    let log = output.log(started_unix_ns + LEAD_NS)?;
    let fold = results::fold(settings, args.measure.warmup.unwrap_or_default(), log.is_some());
    let trace = output.trace.as_deref().map(scribe::create_trace).transpose()?;
    let books = Books { trace, fold: Some(fold), log };
    let outlook = outlook(args, settings);
    let mut progress = Progress::new(view_style(args), outlook, since_ns, meters.clone(), shutdown.clone())?;
    let (rows, scribe) = scribe::start_every(progress.every(), books, move |tally| progress.tick(tally))?;
    let ran = role::run_local(send(settings, dial, template, meters.clone(), rows, shutdown));
    // First of all, for it has the terminal.
    let written = scribe.finish();
    let (ran, written) = (ran?, written?);
    let meta = results::meta(output.id("loadgen"), started_unix_ns + LEAD_NS);
    let mut report = results::report(settings, written, &ran, meters, meta)?;
    report.slo = slo::evaluate(&args.measure.slo, &report);
    Ok((report, ran.interrupted))
}

async fn send(
    settings: &Settings,
    dial: Dial,
    template: Template,
    meters: Meters,
    rows: RowSink,
    shutdown: Shutdown,
) -> anyhow::Result<Ran> {
    let alarm = Alarm::new().await.context("no timer")?;
    let (order, orders) = watch::channel(Order::Go);
    tokio::task::spawn_local(async move {
        shutdown.wait().await;
        // Somebody waits for the results now, not for the responses.
        order.send_replace(Order::Abandon);
    });
    let job = Job {
        clock: ScenarioClock::new(mono_ns() + LEAD_NS, 1.0),
        hosts: vec![dial],
        template,
        keys: settings.keys.clone().map(|keys| (keys, settings.scenario.simulation.seed)),
        timeout: settings.scenario.traffic.timeout,
        timeout_from_send: settings.limits.in_flight.is_some(),
        grace_ns: 0,
        drain: settings.drain,
        horizon: Nanos::ZERO,
        hard_stop: None,
    };
    Ok(Sender::new(job, settings.pacing(), alarm, meters, rows, orders).run().await)
}

fn end(settings: &Settings) -> End {
    let duration = settings.scenario.simulation.duration;
    let requests = match &settings.scenario.traffic.model {
        TrafficModel::Closed(closed) => closed.num_requests,
        TrafficModel::Open(_) => settings.limits.requests,
    };
    End { requests, duration: (duration < Nanos::MAX).then(|| std::time::Duration::from_nanos(duration.0)) }
}

fn outlook(args: &Args, settings: &Settings) -> Outlook {
    let title = Title { url: args.url.clone(), words: settings.words.clone() };
    Outlook { title, end: end(settings), pace: results::pace(settings) }
}

fn view_style(args: &Args) -> ViewStyle {
    if args.output.quiet { ViewStyle::None } else { args.output.progress }
}

/// The first line. With JSON on stdout it goes to stderr.
fn say(args: &Args, words: &str) {
    match args.output.json.as_deref() {
        _ if args.output.quiet => {}
        Some(path) if path == Path::new(STDOUT) => terminal::note(words),
        _ => terminal::say(words),
    }
}
