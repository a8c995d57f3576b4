//! Several load generators' runs against the same server, put together: counts are added, histograms merged, and no percentile is
//! averaged. What only the rows of a run tell (latencies of other outcomes, holds, overheads) stays with the parts.
//!
//! A part may be merged itself. Then all that is not a sum or a histogram comes from the runs that it was merged from, so that the
//! order of merging makes no difference but one of rounding.

mod latency;
mod part;
mod series;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use galton_core::users::UserEnds;
use galton_core::{FailReason, Nanos, RejectReason};

pub use self::part::{NotAPart, Part};

use self::latency::{Merged, merged};
use self::part::NOT_SIMULTANEOUS;
use self::time::Union;
use crate::compute::{CLASSES, SCHEMA_VERSION, bins_of_counts};
use crate::generator::EQUATIONS;
use crate::hlog::{self, Interval, TAGS};
use crate::input::{Kind, RunMeta};
use crate::model::{
    Client, Connections, Conservation, ConservationRow, Counts, Errors, Excluded, Gauges, GeneratorFigures, Latency,
    MergedRun, Rates, Report, Run, Scaling, Span,
};
use crate::plot_data::PlotData;
use crate::units;
use crate::validity::{Quantity, Reason, Severity, Validity};

/// Between what differs from run to run.
const AND: &str = " + ";
/// Less than this share of the time together is worth a note.
const TOGETHER: f64 = 0.9;

/// The report of all parts together, and their interval log.
///
/// # Errors
/// There are fewer than two, or a run is there twice.
pub fn merge(parts: &[Part], meta: RunMeta) -> Result<(Report, String), NotAPart> {
    if parts.len() < 2 {
        return Err(NotAPart::Few);
    }
    no_run_twice(parts)?;
    let t0 = parts.iter().map(|part| part.started_unix_ns()).min().unwrap_or_default();
    let runs: Vec<MergedRun> = parts.iter().flat_map(|part| part.runs.iter().cloned()).collect();
    let union = Union::of(&runs, t0);
    let intervals = intervals(parts, t0);
    let [response, service, send_lag] = TAGS.map(|tag| merged(parts, &intervals, tag));
    let span = union.span();
    let counts = counts(parts);
    let nothing = crate::stats::Samples::default().summary();
    let meta = RunMeta { kind: Kind::Live, started_unix_ns: t0, host: parts[0].result.run.host.clone(), ..meta };
    let report = Report {
        schema_version: SCHEMA_VERSION,
        kind: Kind::Live,
        run: Run { meta, seed: parts[0].result.run.seed, users: users(parts) },
        scenario: parts[0].result.scenario.clone(),
        validity: validity(parts, &union),
        slo: Vec::new(),
        rates: rates(&runs, &counts, &union),
        conservation: conservation(parts),
        retries: retries(parts),
        no_attempt: parts.iter().map(|part| part.result.no_attempt).sum(),
        no_attempt_by_outcome: BTreeMap::new(),
        latency_by_outcome: BTreeMap::new(),
        plots: plots(&response, &service, &send_lag, span),
        latency: Latency {
            response: response.summary,
            service: service.summary,
            send_lag: send_lag.summary,
            hold: nothing.clone(),
            overhead: nothing.clone(),
        },
        gauges: Gauges::default(),
        free_targets_at_reject: None,
        scaling: Scaling::none(nothing),
        targets: Vec::new(),
        series: series::series(parts, t0, &intervals, counts.offered),
        summary: model(&runs),
        client: Some(client(parts, runs, span)),
        counts,
    };
    Ok((report, hlog::header(t0) + &intervals.iter().map(hlog::line).collect::<String>()))
}

/// By what identifies a run, wherever it lies and however often it has been merged.
fn no_run_twice(parts: &[Part]) -> Result<(), NotAPart> {
    let mut places: BTreeMap<(u64, &str), String> = BTreeMap::new();
    for (part, run) in parts.iter().flat_map(|part| part.runs.iter().map(move |run| (part, run))) {
        let (started_unix_ns, other) = (run.started_unix_ns, part.place(run));
        if let Some(one) = places.insert((started_unix_ns, &run.id), other.clone()) {
            return Err(NotAPart::Twice { one, other, started_unix_ns });
        }
    }
    Ok(())
}

/// All intervals in order of time, since the first T0.
fn intervals(parts: &[Part], t0: u64) -> Vec<Interval> {
    let moved = |part: &Part| {
        // Whole milliseconds, of which a log has no parts: it is the same when it is read again.
        let offset = Nanos::from_millis(millis(part.started_unix_ns()) - millis(t0));
        part.log.iter().cloned().map(move |one| Interval { start: one.start + offset, ..one }).collect::<Vec<_>>()
    };
    let mut all: Vec<Interval> = parts.iter().flat_map(moved).collect();
    all.sort_by_key(|interval| interval.start);
    all
}

fn millis(unix_ns: u64) -> u64 {
    unix_ns / 1_000_000
}

fn counts(parts: &[Part]) -> Counts {
    let sum = |of: fn(&part::CountsPart) -> u64| parts.iter().map(|part| of(&part.result.counts)).sum();
    let by = |reason: &str, of: fn(&part::CountsPart) -> &BTreeMap<String, u64>| -> u64 {
        parts.iter().filter_map(|part| of(&part.result.counts).get(reason)).sum()
    };
    Counts {
        planned: sum(|c| c.planned),
        unsent: sum(|c| c.unsent),
        offered: sum(|c| c.offered),
        ok: sum(|c| c.ok),
        rejected: RejectReason::ALL.map(|r| (r.as_str(), by(r.as_str(), |c| &c.rejected))).into(),
        timed_out: sum(|c| c.timed_out),
        failed: FailReason::ALL.map(|r| (r.as_str(), by(r.as_str(), |c| &c.failed))).into(),
        shed: sum(|c| c.shed),
        unfinished: sum(|c| c.unfinished),
    }
}

/// Over the time in which any of them measured.
fn rates(runs: &[MergedRun], counts: &Counts, union: &Union) -> Rates {
    let secs = union.any().as_secs_f64();
    let per_sec = |n: u64| if secs > 0.0 { n as f64 / secs } else { 0.0 };
    Rates { offered: per_sec(counts.offered), completed: per_sec(runs.iter().map(|run| run.completed).sum()) }
}

fn conservation(parts: &[Part]) -> Conservation {
    let row = |(i, what): (usize, &'static str)| {
        let side = |of: fn(&part::RowPart) -> u64| {
            parts.iter().filter_map(|part| part.result.conservation.rows.get(i)).map(of).sum()
        };
        ConservationRow::equal(what, side(|row| row.left), side(|row| row.right))
    };
    let rows: Vec<ConservationRow> = EQUATIONS.into_iter().enumerate().map(row).collect();
    Conservation { ok: rows.iter().all(|row| row.ok), rows }
}

fn retries(parts: &[Part]) -> BTreeMap<&'static str, BTreeMap<u32, u64>> {
    let mut all: BTreeMap<&'static str, BTreeMap<u32, u64>> = BTreeMap::new();
    for (class, histogram) in parts.iter().flat_map(|part| &part.result.retries) {
        let Some(class) = CLASSES.into_iter().find(|known| known == class) else { continue };
        histogram.iter().for_each(|(n, k)| *all.entry(class).or_default().entry(*n).or_default() += k);
    }
    all
}

/// None: one of them is an open loop.
fn users(parts: &[Part]) -> Option<UserEnds> {
    parts.iter().try_fold(UserEnds::default(), |sum, part| {
        let one = part.result.run.users?;
        Some(UserEnds {
            budget_exhausted: sum.budget_exhausted + one.budget_exhausted,
            horizon: sum.horizon + one.horizon,
            cancelled: sum.cancelled + one.cancelled,
            unfinished: sum.unfinished + one.unfinished,
            completed: sum.completed + one.completed,
        })
    })
}

/// The reasons of all, each with the name of its part; the worst decides.
fn validity(parts: &[Part], union: &Union) -> Validity {
    let mut reasons: Vec<Reason> = parts.iter().flat_map(Part::reasons).collect();
    let (any, all) = (union.any(), union.all());
    let share = all.as_secs_f64() / any.as_secs_f64().max(f64::MIN_POSITIVE);
    if share < TOGETHER {
        let text = format!("all of them measured at the same time for {} of {}", units::time(all), units::time(any));
        let (value, limit) = (Quantity::Ratio(share), Quantity::Ratio(TOGETHER));
        reasons.push(Reason::new(NOT_SIMULTANEOUS, Severity::Note, value, limit, text));
    }
    Validity::of(reasons)
}

fn client(parts: &[Part], runs: Vec<MergedRun>, span: Span) -> Client {
    let clients = || parts.iter().map(|part| &part.result.client);
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    clients().flat_map(|client| &client.statuses).for_each(|(status, n)| *statuses.entry(*status).or_default() += n);
    let excluded = clients().filter_map(|client| client.excluded).reduce(|sum, one| Excluded {
        requests: sum.requests + one.requests,
        steady: sum.steady && one.steady,
        ..sum
    });
    Client {
        model: model(&runs),
        to: hosts(parts),
        window_ns: span,
        timeout_ns: clients().map(|client| client.timeout_ns).max().unwrap_or_default(),
        timeout_from_send: clients().any(|client| client.timeout_from_send),
        excluded: excluded.map(|sum| Excluded { until_ns: span.start, ..sum }),
        statuses,
        errors: Errors::sum(clients().map(|client| &client.errors)),
        connections: clients().map(|client| client.connections).fold(Connections::default(), |sum, one| Connections {
            opened: sum.opened + one.opened,
            reused: sum.reused + one.reused,
            exhausted: sum.exhausted + one.exhausted,
        }),
        body_bytes: clients().map(|client| client.body_bytes).sum(),
        generator: clients().map(|client| client.generator).fold(GeneratorFigures::default(), |sum, one| {
            GeneratorFigures {
                peak_thread_cpu: sum.peak_thread_cpu.max(one.peak_thread_cpu),
                longest_stall_ns: sum.longest_stall_ns.max(one.longest_stall_ns),
                cpu_ns: sum.cpu_ns + one.cpu_ns,
            }
        }),
        merged: runs,
    }
}

/// What each of them did, said once where it is the same.
fn model(runs: &[MergedRun]) -> String {
    let models: BTreeSet<&str> = runs.iter().map(|run| run.model.as_str()).collect();
    format!("{} runs merged: {}", runs.len(), Vec::from_iter(models).join(AND))
}

/// Who was sent to, said once where it is the same.
fn hosts(parts: &[Part]) -> String {
    let hosts: BTreeSet<&str> = parts.iter().flat_map(|part| part.result.client.to.split(AND)).collect();
    Vec::from_iter(hosts).join(AND)
}

fn plots(response: &Merged, service: &Merged, send_lag: &Merged, span: Span) -> PlotData {
    let named = TAGS.into_iter().zip([response, service, send_lag]);
    PlotData {
        window: (span.start, span.end),
        response: bins_of_counts(&response.counts, response.summary.n),
        histograms: named.map(|(name, merged)| (name, merged.counts.clone())).collect(),
        ..PlotData::default()
    }
}

#[cfg(test)]
mod tests;
