//! From what was sent to the report: one result type for a run of its own and for a whole testbed.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use anyhow::Context;
use galton_core::Nanos;
use galton_core::counters::Counters;
use galton_core::scenario::TrafficModel;
use galton_report::slo::{self, SloVerdict};
use galton_report::{
    ClientFacts, ClientFold, ClientPlan, Connections, Kind, Pace, Report, RunFacts, RunMeta, Verdict, WarmUp,
};
use galton_results::machine;
use serde_json::{Value, json};

use crate::meters::Meters;
use crate::scribe::Written;
use crate::sender::Ran;
use crate::settings::Settings;

/// `--strict`, and the measurement is not valid.
const NOT_VALID: u8 = 98;
/// An objective of `--slo` was not kept.
pub(crate) const NOT_KEPT: u8 = 99;
/// Stopped by Ctrl-C or SIGTERM; the results are written.
pub(crate) const INTERRUPTED: u8 = 130;

/// The keys of a scenario that a load generator has a use for.
const TRAFFIC: [&str; 5] = ["arrival", "closed_loop", "timeout_ms", "request_duration_ms", "cpu_demand"];

/// A fold for a run with these settings. `log`: with an interval log.
pub(crate) fn fold(settings: &Settings, warm_up: WarmUp, log: bool) -> ClientFold {
    let duration = settings.scenario.simulation.duration;
    let open = matches!(settings.scenario.traffic.model, TrafficModel::Open(_));
    // With a number of requests besides, the loop may be over before its time.
    let until_then = open && duration < Nanos::MAX && settings.limits.requests.is_none();
    ClientFold::new(ClientPlan {
        timeout: settings.scenario.traffic.timeout,
        timeout_from_send: settings.limits.in_flight.is_some(),
        ends: until_then.then_some(duration),
        warm_up,
        log,
    })
}

/// The report of a run that is over; and whether all that was to be kept of it could be written, its interval log completed.
pub(crate) fn report(
    settings: &Settings,
    to: &str,
    written: Written,
    ran: &Ran,
    meters: &Meters,
    meta: RunMeta,
) -> anyhow::Result<(Report, anyhow::Result<()>)> {
    let facts = RunFacts {
        meta,
        counters: Counters { load: meters.counters(), ..Counters::default() },
        generator: ran.generator,
        reasons: Vec::new(),
        interrupted: ran.interrupted,
    };
    let fold = written.fold.context("the rows were not folded")?;
    let (report, log) = fold.finish(&facts, &client_facts(settings, to, ran));
    let complete = written.complete.and_then(|()| {
        let rest = |mut out: BufWriter<File>| out.write_all(log.as_bytes()).and_then(|()| out.flush());
        written.log.map_or(Ok(()), rest).context("cannot write the interval log")
    });
    Ok((report, complete))
}

/// The worst that there is to tell.
pub(crate) fn exit_code(report: &Report, strict: bool, interrupted: bool) -> ExitCode {
    if interrupted {
        ExitCode::from(INTERRUPTED)
    } else if strict && report.validity.verdict == Verdict::Invalid {
        ExitCode::from(NOT_VALID)
    } else if slo::worst(&report.slo) != SloVerdict::Kept {
        ExitCode::from(NOT_KEPT)
    } else {
        ExitCode::SUCCESS
    }
}

/// Which run it is.
pub(crate) fn meta(id: String, started_unix_ns: u64) -> RunMeta {
    RunMeta {
        kind: Kind::Live,
        id,
        started_unix_ns,
        command: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time_scale: 1.0,
        host: machine::host_info(),
        plan_sha256: String::new(),
    }
}

/// What decides when a request goes out.
pub(crate) fn pace(settings: &Settings) -> Pace {
    match Pace::of(&settings.scenario.traffic.model) {
        Pace::Planned if settings.limits.in_flight.is_some() => Pace::Capped,
        pace => pace,
    }
}

fn client_facts(settings: &Settings, to: &str, ran: &Ran) -> ClientFacts {
    let connections = ran.connections;
    ClientFacts {
        pace: pace(settings),
        model: settings.words.clone(),
        to: to.to_owned(),
        scenario: asked(settings),
        seed: settings.scenario.simulation.seed,
        connections: Connections {
            opened: connections.opened,
            reused: connections.reused,
            exhausted: connections.exhausted,
        },
        errors: ran.errors.clone(),
        body_bytes: ran.body_bytes,
    }
}

/// What was asked for, in the words of scenario files; what a load generator does not know of a testbed is not there.
fn asked(settings: &Settings) -> Value {
    let mut all = settings.scenario.to_value();
    let traffic: serde_json::Map<String, Value> = TRAFFIC
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), all["traffic"].get_mut(key)?.take())))
        .filter(|(_, value)| !value.is_null())
        .collect();
    let simulation = &settings.scenario.simulation;
    let duration_ms = (simulation.duration < Nanos::MAX).then(|| simulation.duration.as_millis_f64());
    json!({
        "simulation": { "seed": simulation.seed, "duration_ms": duration_ms, "drain_ms": settings.drain.as_millis_f64() },
        "traffic": traffic,
        "limits": { "requests": settings.limits.requests, "in_flight": settings.limits.in_flight },
    })
}
