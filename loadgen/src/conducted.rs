//! A part of a run: the scenario says what is sent, the trace goes to a file, and [`GeneratorFacts`] to another one. A conductor
//! says when to begin and when to end; without one it begins by itself ([`crate::beginning`]), and ends when it is done.
//!
//! On the admin port, besides the metrics: `POST /start` with [`wire::Start`], `POST /stop` (send nothing more, drain,
//! finish), `GET /counters` ([`galton_core::counters::LoadCounters`]).

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use bytes::Bytes;
use galton_core::Scenario;
use galton_core::arrivals::Arrivals;
use galton_core::plan::Plan;
use galton_core::scenario::TrafficModel;
use galton_core::wire::{Announce, Progress, Start};
use galton_report::GeneratorFacts;
use galton_results::{Usage, machine};
use galton_runtime::admin::{self, Body, Routes};
use galton_runtime::book::Book;
use galton_runtime::clock::unix_ns;
use galton_runtime::shutdown::Cause;
use galton_runtime::{ScenarioClock, Shutdown, child, mono_ns, role, scenario_file, telemetry};
use http::{Method, Request, Response};
use prometheus::Registry;
use tokio::sync::watch;

use crate::alarm::Alarm;
use crate::args::Args;
use crate::beginning::Beginning;
use crate::destination::{self, Destination};
use crate::hosts;
use crate::link::Dial;
use crate::meters::Meters;
use crate::pacing::{Closed, Limits, Open, Pacing};
use crate::scribe::{self, TraceFile, Written};
use crate::sender::{Job, Order, Ran, Sender};
use crate::settings::GRACE_NS;
use crate::tally::Tally;
use crate::template::{Demands, Template};

/// What the admin port and the sending thread share.
#[derive(Clone, Debug)]
struct Desk {
    start: Arc<watch::Sender<Option<Start>>>,
    order: Arc<watch::Sender<Order>>,
    meters: Meters,
}

/// What is sent, and to whom.
struct Assignment {
    scenario: Scenario,
    time_scale: f64,
    hosts: Vec<Dial>,
    template: Template,
    trace: TraceFile,
    /// Where it writes what it counted and noticed.
    facts: Option<PathBuf>,
    beginning: Beginning,
    /// Nobody will say when to end.
    unattended: bool,
}

/// Runs until told to stop.
pub(crate) fn run(args: &Args, trace: &Path) -> anyhow::Result<ExitCode> {
    let assignment = assignment(args, trace)?;
    telemetry::init("loadgen");
    role::raise_descriptor_limit();
    let shutdown = Shutdown::listen(args.conducted.lifeline)?;
    let (book, registry) = (Book::create(args.conducted.book.as_deref())?, Registry::new());
    let desk = Desk {
        start: Arc::new(watch::Sender::new(None)),
        order: Arc::new(watch::Sender::new(Order::Go)),
        meters: Meters::register(&book, &registry)?,
    };
    book.register(&registry)?;
    telemetry::register_process(&registry, "loadgen")?;
    let ready = Arc::new(AtomicBool::new(false));
    let answering = desk.clone();
    let handler: admin::Handler = Arc::new(move |request| {
        let answer = answering.answer(&request);
        Box::pin(async move { answer })
    });
    let routes = Routes { ready: ready.clone(), registry, handler: Some(handler) };
    let admin = admin::spawn(args.conducted.admin, routes)?;
    role::run_on_time(serve(assignment, desk, shutdown, admin.addr, ready))
}

/// Everything that the flags and files say.
fn assignment(args: &Args, trace: &Path) -> anyhow::Result<Assignment> {
    let path = args.testbed.scenario.as_deref().context("--trace without --scenario")?;
    let scenario = scenario_file::load(path, &[]).map_err(Usage::error)?;
    let demands = Demands { hold: true, cpu: true, key: false };
    let destination = Destination::parse(&args.url).map_err(Usage::error)?;
    let body = destination::body(args.request.body.as_deref())?;
    let template = destination.template(&args.request, body, demands).map_err(Usage::error)?;
    let addrs = match &args.testbed.hosts.scaler {
        Some(scaler) => role::run_local(hosts::found(scaler, Some(scenario.load_balancer.hosts)))?,
        None => hosts::of(&args.testbed.hosts.proxy, scenario.load_balancer.hosts).map_err(Usage::error)?,
    };
    let hosts = addrs.into_iter().map(|addr| Dial::new(addr, args.request.connect_timeout)).collect();
    let conducted = &args.conducted;
    Ok(Assignment {
        scenario,
        time_scale: conducted.time_scale,
        hosts,
        template,
        trace: scribe::create_trace(trace)?,
        facts: conducted.generator.clone(),
        beginning: Beginning::of(conducted, &args.testbed.hosts),
        unattended: !conducted.wait_start && !conducted.lifeline,
    })
}

/// Announces, waits for the start, sends, and then, unless nobody would tell it, serves the metrics until told to stop.
async fn serve(
    assignment: Assignment,
    desk: Desk,
    shutdown: Shutdown,
    admin: SocketAddr,
    ready: Arc<AtomicBool>,
) -> anyhow::Result<ExitCode> {
    let alarm = Alarm::new().await.context("no timer")?;
    let planned = planned(&assignment.scenario);
    // First, so that whoever reads the announcement finds it true.
    ready.store(true, Ordering::Release);
    child::announce(&Announce {
        role: "loadgen".to_owned(),
        data: None,
        admin: admin.to_string(),
        pid: std::process::id(),
    })?;
    let start = tokio::select! {
        start = desk.started(&assignment.beginning) => start?,
        _ = shutdown.wait() => None,
    };
    // Stopped before it began: there is nothing to write but the header.
    let Some(start) = start else { return Ok(ExitCode::SUCCESS) };
    let stop = desk.order.clone();
    let told = shutdown.clone();
    tokio::task::spawn_local(async move {
        told.wait().await;
        stop.send_replace(Order::Abandon);
    });
    let unattended = assignment.unattended;
    // Told to end before the traffic was over, or without a parent: not what was asked for.
    let early = send(assignment, &desk, start, planned, alarm, &shutdown).await?;
    let orphaned = !unattended && shutdown.wait().await == Cause::Orphaned;
    Ok(if early || orphaned { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Sends, and says so when all is written. Returns whether it was told to end before that.
async fn send(
    assignment: Assignment,
    desk: &Desk,
    start: Start,
    planned: Option<u64>,
    alarm: Alarm,
    shutdown: &Shutdown,
) -> anyhow::Result<bool> {
    let Assignment { scenario, time_scale, hosts, template, trace, facts, .. } = assignment;
    let clock = ScenarioClock::new(start.t0_ns, time_scale);
    let started_unix_ns = (unix_ns() + start.t0_ns).saturating_sub(mono_ns());
    let meters = desk.meters.clone();
    let (rows, scribe) = scribe::start(Some(trace), move |tally| {
        say(&progress(tally, &meters, clock, planned));
    })?;
    let job = Job {
        clock,
        hosts,
        template,
        keys: None,
        timeout: scenario.traffic.timeout,
        timeout_from_send: false,
        grace_ns: GRACE_NS,
        drain: scenario.simulation.drain,
        horizon: scenario.simulation.duration,
        hard_stop: scenario.simulation.total_time,
    };
    let pacing: Box<dyn Pacing> = match Closed::new(&scenario) {
        Some(closed) => Box::new(closed),
        None => Box::new(Open::new(
            &Plan::new(&scenario),
            Limits { lasts: scenario.simulation.duration, ..Limits::default() },
        )),
    };
    let orders = desk.order.subscribe();
    let ran = Sender::new(job, pacing, alarm, desk.meters.clone(), rows, orders).run().await;
    // Sending is over: nothing on this thread minds the wait.
    let Written { tally, complete, .. } = scribe.finish()?;
    complete?;
    if let Some(path) = facts {
        write_facts(&path, &facts_of(&ran, &desk.meters, started_unix_ns, time_scale))?;
    }
    // Whoever hears that it is over may end it at once.
    let early = shutdown.cause().is_some();
    say(&Progress { finished: true, ..progress(&tally, &desk.meters, clock, Some(tally.planned())) });
    Ok(early)
}

fn facts_of(ran: &Ran, meters: &Meters, started_unix_ns: u64, time_scale: f64) -> GeneratorFacts {
    GeneratorFacts {
        started_unix_ns,
        time_scale,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: machine::host_info(),
        interrupted: ran.interrupted,
        counters: meters.counters(),
        generator: ran.generator,
    }
}

fn write_facts(path: &Path, facts: &GeneratorFacts) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(facts).expect("numbers and words can be written");
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// How many requests the plan has, if it has an end that is known.
fn planned(scenario: &Scenario) -> Option<u64> {
    match &scenario.traffic.model {
        TrafficModel::Closed(closed) => closed.num_requests,
        TrafficModel::Open(arrival) => {
            let simulation = &scenario.simulation;
            Some(Arrivals::new(simulation.seed, arrival, simulation.duration).count() as u64)
        }
    }
}

/// The counts are those of the sender, who is ahead of the rows in the tally.
fn progress(tally: &Tally, meters: &Meters, clock: ScenarioClock, planned: Option<u64>) -> Progress {
    // In this order: what has ended was sent before.
    let (done, errors) = meters.ended();
    let offered = meters.sent();
    Progress {
        elapsed_ns: clock.now().0,
        planned,
        offered,
        done,
        errors,
        in_flight: offered.saturating_sub(done),
        p50_ns: tally.response.value_at_quantile(0.5),
        p99_ns: tally.response.value_at_quantile(0.99),
        finished: false,
    }
}

/// One line for the conductor. If it is gone, the lifeline tells.
fn say(progress: &Progress) {
    let line = serde_json::to_string(progress).expect("numbers can be written");
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

// === impl Desk ===

impl Desk {
    /// T0, when somebody has said it.
    async fn started(&self, beginning: &Beginning) -> anyhow::Result<Option<Start>> {
        if let Some(start) = beginning.decide().await? {
            self.start.send_replace(Some(start));
        }
        let mut started = self.start.subscribe();
        Ok(started.wait_for(Option::is_some).await.ok().and_then(|start| *start))
    }

    fn answer(&self, request: &Request<Bytes>) -> Option<Response<Body>> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/start") => Some(self.on_start(request.body())),
            (&Method::POST, "/stop") => {
                let changed = self.order.send_if_modified(|order| {
                    let going = *order == Order::Go;
                    if going {
                        *order = Order::Stop;
                    }
                    going
                });
                Some(admin::text(200, if changed { "stopping\n" } else { "stopping already\n" }))
            }
            (&Method::GET, "/counters") => Some(admin::json(200, &self.meters.counters())),
            _ => None,
        }
    }

    fn on_start(&self, body: &[u8]) -> Response<Body> {
        let start: Start = match serde_json::from_slice(body) {
            Ok(start) => start,
            Err(e) => return admin::text(400, format!("not a start: {e}\n")),
        };
        let first = self.start.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(start);
            first
        });
        if first { admin::text(200, "started\n") } else { admin::text(409, "started already\n") }
    }
}

#[cfg(test)]
mod tests {
    use galton_core::Outcome;

    use super::*;

    #[test]
    fn what_is_sent_done_and_in_flight_goes_together_whatever_has_a_row() {
        let meters = Meters::register(&Book::create(None).unwrap(), &Registry::new()).unwrap();
        (0..4).for_each(|_| meters.on_sent(0));
        meters.on_ended(Outcome::Ok, 1);
        meters.on_ended(Outcome::TimedOut, 1);
        meters.on_shed();
        let shown = progress(&Tally::new(), &meters, ScenarioClock::new(mono_ns(), 1.0), None);
        assert_eq!((shown.offered, shown.done, shown.in_flight, shown.errors), (4, 2, 2, 1));
    }
}
