//! The verdict: the conductor's reasons, the books, the load generator, the machine, and how the run ended.
//!
//! The rules on the load generator are in [`crate::generator`]; here are the figures for them.

use galton_core::record::{FleetEvent, TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome};

use super::fold::Fold;
use super::scaling;
use super::window::Window;
use crate::generator::{FEW, Pace, SelfEvidence, broken_equations, judge_generator, nothing_measured, send_lag_limit};
use crate::input::{Kind, RunData, RunFacts};
use crate::model::Conservation;
use crate::units::things;
use crate::validity::{Quantity, Reason, Severity, Validity};

/// The share of injected delays that the machine may overrun.
const DELAYS_OVERRUN: f64 = 0.01;

/// What only the trace of a live run tells about its load generator.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    live: bool,
    median_response: Option<Nanos>,
    due: u64,
    in_time: u64,
    sent: u64,
    service_sum: Option<f64>,
}

/// All reasons, the conductor's first.
pub(super) fn judge(
    facts: &RunFacts,
    window: Window,
    fold: &Fold,
    conservation: &Conservation,
    evidence: Evidence,
) -> Validity {
    let mut reasons = facts.reasons.clone();
    reasons.extend(broken_equations(&conservation.rows));
    if evidence.live {
        reasons.extend(judge_generator(&self_evidence(facts, fold, evidence)));
    }
    reasons.extend(machine(facts, &fold.events));
    if fold.tally.all().planned > 0 {
        reasons.extend(nothing_measured(fold.tally.measured().offered));
    }
    reasons.extend(ending(facts, fold, window));
    Validity::of(reasons)
}

/// What the load generator of a live run is judged by, over the measured window; Little's law over the whole run.
pub(super) fn evidence(data: &RunData, window: Window, fold: &Fold) -> Evidence {
    if data.meta.kind != Kind::Live {
        return Evidence::default();
    }
    let median_response = fold.latencies.response.quantile_of(0.5).map(Nanos);
    let limit = send_lag_limit(median_response, data.meta.time_scale);
    let due = || data.trace.iter().filter(|row| was_due(row, data, window));
    let lags = || due().filter_map(TraceRow::send_lag);
    Evidence {
        live: true,
        median_response,
        due: due().count() as u64,
        in_time: lags().filter(|lag| *lag <= limit).count() as u64,
        sent: lags().count() as u64,
        service_sum: service_sum(data),
    }
}

fn self_evidence(facts: &RunFacts, fold: &Fold, evidence: Evidence) -> SelfEvidence {
    SelfEvidence {
        pace: Pace::of(&fold.scenario.traffic.model),
        time_scale: facts.meta.time_scale,
        send_lag_p99: fold.latencies.send_lag.quantile_of(0.99).map(Nanos),
        median_response: evidence.median_response,
        due: evidence.due,
        in_time: evidence.in_time,
        sent: evidence.sent,
        peak_thread_cpu: facts.counters.load.peak_thread_cpu,
        service_sum: evidence.service_sum,
        generator: facts.generator,
    }
}

/// It was to be sent before the hard stop and was not shed at the generator's own cap.
fn was_due(row: &TraceRow, data: &RunData, window: Window) -> bool {
    let hard_stop = data.scenario.simulation.total_time.unwrap_or(Nanos::MAX);
    let shed = row.outcome == TraceOutcome::Offered(Outcome::Shed);
    window.measures(row.t_intended) && row.t_intended < hard_stop && !shed
}

fn service_sum(data: &RunData) -> Option<f64> {
    let unfinished = TraceOutcome::Offered(Outcome::Unfinished);
    let cut_off = |row: &TraceRow| row.outcome == unfinished || row.t_send.is_some() && row.t_end.is_none();
    let sum = || data.trace.iter().filter_map(TraceRow::service).map(|t| t.0 as f64).sum();
    (!data.trace.iter().any(cut_off)).then(sum)
}

/// Whether the machine kept the delays that the scenario asks for, and every process was heard.
fn machine(facts: &RunFacts, fleet: &[FleetEvent]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let (proxies, targets) = (&facts.counters.proxies, &facts.counters.targets);
    let overrun =
        proxies.iter().map(|p| p.delays_overrun).sum::<u64>() + targets.iter().map(|t| t.delays_overrun).sum::<u64>();
    let delays = proxies.iter().map(|p| p.delays).sum::<u64>() + targets.iter().map(|t| t.completed).sum::<u64>();
    let share = overrun as f64 / delays.max(1) as f64;
    if share > DELAYS_OVERRUN && overrun > FEW {
        let (value, limit) = (Quantity::Ratio(share), Quantity::Ratio(DELAYS_OVERRUN));
        let text = format!("the machine overran {value} of the injected delays and hold times ({overrun} of {delays})");
        reasons.push(Reason::new("DELAYS_OVERRUN", Severity::Suspect, value, limit, text));
    }
    reasons.extend(overload(facts));
    reasons.extend(late_starts(facts, fleet));
    if !facts.counters.missing.is_empty() {
        let missing = Quantity::Count(facts.counters.missing.len() as u64);
        let text = format!("missing scrapes: {}", facts.counters.missing.join(", "));
        reasons.push(Reason::new("MISSING_SCRAPE", Severity::Suspect, missing, Quantity::Count(0), text));
    }
    reasons
}

/// Whether every request met the policy, and not the limits of the process around it.
fn overload(facts: &RunFacts) -> Option<Reason> {
    let overloaded = facts.counters.proxies.iter().map(|p| p.overloaded).sum::<u64>();
    let text = format!(
        "{} found no room at a proxy: the limit on descriptors (ulimit -n) was measured, and not the policy",
        things(overloaded, "request")
    );
    let (value, limit) = (Quantity::Count(overloaded), Quantity::Count(0));
    (overloaded > 0).then(|| Reason::new("PROXY_OVERLOADED", Severity::Invalid, value, limit, text))
}

fn late_starts(facts: &RunFacts, fleet: &[FleetEvent]) -> Option<Reason> {
    let late = fleet.iter().filter(|e| e.overrun > scaling::tolerance(facts, e.delay));
    let worst = late.clone().max_by_key(|e| e.overrun)?;
    let (value, limit) = (Quantity::Time(worst.overrun), Quantity::Time(scaling::tolerance(facts, worst.delay)));
    let text =
        format!("{} took longer than the configured delay, by up to {value}", things(late.count() as u64, "start"));
    Some(Reason::new("SPAWN_OVERRUN", Severity::Suspect, value, limit, text))
}

/// Whether the run came to its end.
fn ending(facts: &RunFacts, fold: &Fold, window: Window) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if facts.interrupted {
        let (value, limit) = (Quantity::Time(window.end), Quantity::Time(fold.scenario.simulation.duration));
        let text = format!("interrupted after {value} of {limit}");
        reasons.push(Reason::new("INTERRUPTED", Severity::Suspect, value, limit, text));
    }
    let count = fold.tally.all().unfinished;
    if count > 0 {
        // Without a drain, or with a hard stop, requests are cut off because the scenario says so.
        let simulation = &fold.scenario.simulation;
        let asked_for = simulation.drain == Nanos::ZERO || simulation.total_time.is_some();
        let severity = if asked_for { Severity::Note } else { Severity::Suspect };
        let text = format!("{count} requests were still in flight when the run ended");
        reasons.push(Reason::new("UNFINISHED", severity, Quantity::Count(count), Quantity::Count(0), text));
    }
    reasons
}
