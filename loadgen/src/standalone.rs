//! A run by itself, against any HTTP server: parse, say what will happen, send, judge, print.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use galton_core::Nanos;
use galton_core::scenario::TrafficModel;
use galton_report::Verdict;
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
use crate::progress::{End, Outlook, Progress, Title};
use crate::scribe::{self, RowSink};
use crate::sender::{Job, Order, Ran, Sender};
use crate::settings::{Settings, UsageError, settings};
use crate::summary::Summary;
use crate::verdict::{Evidence, judge, pace};

/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;
/// `--strict`, and the measurement is not valid.
const NOT_VALID: u8 = 98;
/// Stopped by Ctrl-C or SIGTERM; the results are written.
const INTERRUPTED: u8 = 130;
/// From now to the first intended send: time to get to the first wait.
const LEAD_NS: u64 = 2_000_000;

/// Runs and prints.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (settings, destination) = match settings(args).and_then(|s| Ok((s, Destination::parse(&args.url)?))) {
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
    let meters = meters(args)?;
    say(args, &settings.words);
    let summary = measure(args, settings, dial, template, meters)?;
    print(args, &summary)?;
    Ok(exit_code(args, &summary))
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

fn measure(args: &Args, settings: Settings, dial: Dial, template: Template, meters: Meters) -> anyhow::Result<Summary> {
    let trace = args.output.log_requests.as_deref().map(scribe::create_trace).transpose()?;
    let shutdown = Shutdown::listen(false)?;
    let (started_unix_ns, since_ns) = (unix_ns(), mono_ns());
    let outlook = outlook(args, &settings);
    let mut progress = Progress::new(view_style(args), outlook, since_ns, meters.clone(), shutdown.clone())?;
    let (rows, scribe) = scribe::start_every(progress.every(), trace, move |tally| progress.tick(tally))?;
    let ran = role::run_local(send(&settings, dial, template, meters.clone(), rows, shutdown));
    // First of all, for it has the terminal.
    let tally = scribe.finish();
    let (ran, tally) = (ran?, tally?);
    let validity = judge(Evidence::of(&settings, &tally, &ran, &meters));
    Ok(Summary { settings, command: std::env::args().collect(), started_unix_ns, tally, ran, validity })
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
    Outlook { title, end: end(settings), pace: pace(settings) }
}

fn view_style(args: &Args) -> ViewStyle {
    if args.output.quiet { ViewStyle::None } else { args.output.progress }
}

/// The first line. With JSON on stdout it goes to stderr.
fn say(args: &Args, words: &str) {
    match args.output.json.as_deref() {
        _ if args.output.quiet => {}
        Some(path) if path == Path::new("-") => terminal::note(words),
        _ => terminal::say(words),
    }
}

fn print(args: &Args, summary: &Summary) -> anyhow::Result<()> {
    let json = || format!("{:#}\n", summary.json());
    match args.output.json.as_deref() {
        Some(path) if path == Path::new("-") => {
            terminal::print(json());
            return Ok(());
        }
        Some(path) => fs::write(path, json()).with_context(|| format!("cannot write {}", path.display()))?,
        None => {}
    }
    if !args.output.quiet {
        terminal::print(summary);
    }
    Ok(())
}

fn exit_code(args: &Args, summary: &Summary) -> ExitCode {
    if summary.ran.interrupted {
        ExitCode::from(INTERRUPTED)
    } else if args.output.strict && summary.validity.verdict == Verdict::Invalid {
        ExitCode::from(NOT_VALID)
    } else {
        ExitCode::SUCCESS
    }
}
