//! The result of a standalone run, for the terminal (at most 30 lines) and as JSON in the shape of `result.json`.

use std::fmt::{self, Display, Write};

use galton_core::{FailReason, Nanos, Outcome, RejectReason};
use galton_report::{Validity, units};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::figures::{self, Figure, QUANTILES, figure};
use crate::link::LinkCounts;
use crate::sender::Ran;
use crate::settings::Settings;
use crate::tally::Tally;

/// So many reasons are printed; JSON has them all.
const REASONS: usize = 8;
/// The version of `result.json`'s shape.
const SCHEMA_VERSION: u32 = 1;

/// Everything about a finished run.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) settings: Settings,
    pub(crate) command: Vec<String>,
    pub(crate) started_unix_ns: u64,
    pub(crate) tally: Tally,
    pub(crate) ran: Ran,
    pub(crate) validity: Validity,
}

// === impl Summary ===

impl Summary {
    /// The result as `result.json` has it; what a load generator alone cannot know is not there.
    pub(crate) fn json(&self) -> Value {
        let tally = &self.tally;
        let censored = tally.of(Outcome::TimedOut);
        let others: serde_json::Map<String, Value> =
            tally.others.iter().map(|(class, h)| ((*class).to_owned(), latency(h, 0))).collect();
        json!({
            "schema_version": SCHEMA_VERSION,
            "kind": "live",
            "run": {
                "started_unix_ns": self.started_unix_ns,
                "command": self.command,
                "seed": self.settings.scenario.simulation.seed,
                "version": env!("CARGO_PKG_VERSION"),
                "time_scale": 1.0,
                "model": self.settings.words,
            },
            "validity": self.validity,
            "counts": self.counts(),
            "rates": { "offered": self.offered_rate(), "completed": self.completed_rate() },
            "latency_by_outcome": others,
            "latency": {
                "response": latency(&tally.response, censored),
                "service": latency(&tally.service, censored),
                "send_lag": latency(&tally.send_lag, 0),
            },
            "connections": { "opened": self.ran.connections.opened, "reused": self.ran.connections.reused },
            "body_bytes": self.ran.body_bytes,
            "generator": self.ran.generator,
        })
    }

    fn counts(&self) -> Value {
        let tally = &self.tally;
        let rejected = reasons_of(RejectReason::ALL.map(|r| (r.as_str(), tally.of(Outcome::Rejected(r)))));
        let failed = reasons_of(FailReason::ALL.map(|r| (r.as_str(), tally.of(Outcome::Failed(r)))));
        json!({
            "planned": tally.planned(),
            "unsent": tally.unsent,
            "offered": tally.offered(),
            "ok": tally.of(Outcome::Ok),
            "rejected": rejected,
            "timed_out": tally.of(Outcome::TimedOut),
            "failed": failed,
            "shed": tally.of(Outcome::Shed),
            "unfinished": tally.of(Outcome::Unfinished),
        })
    }

    /// Requests per second over the time of sending.
    fn offered_rate(&self) -> f64 {
        let sending = self.tally.sending.map_or(0.0, |(first, last)| last.since(first).as_secs_f64());
        // n sends are n − 1 gaps.
        per_second(self.tally.offered().saturating_sub(1) as f64, sending)
    }

    /// `ok` responses per second, from the first send to the last end.
    fn completed_rate(&self) -> f64 {
        per_second(self.tally.of(Outcome::Ok) as f64, self.elapsed().as_secs_f64())
    }

    fn elapsed(&self) -> Nanos {
        self.tally.sending.map_or(Nanos::ZERO, |(first, _)| self.tally.last_end.since(first))
    }

    fn print_counts(&self, out: &mut String) -> fmt::Result {
        let tally = &self.tally;
        let elapsed = units::time(self.elapsed());
        write!(out, "requests     {} planned, {} sent", tally.planned(), tally.offered())?;
        writeln!(out, ", {} unsent, in {elapsed}", tally.unsent)?;
        let outcomes: Vec<String> =
            tally.outcomes.iter().map(|(outcome, n)| format!("{n} {}", words(*outcome))).collect();
        writeln!(out, "outcomes     {}", if outcomes.is_empty() { "none".to_owned() } else { outcomes.join(", ") })?;
        let received = per_second(self.ran.body_bytes as f64, self.elapsed().as_secs_f64());
        let (offered, completed) = (units::rate(self.offered_rate()), units::rate(self.completed_rate()));
        writeln!(out, "rates        {offered} offered, {completed} ok, {} of bodies", figures::byte_rate(received))?;
        let LinkCounts { opened, reused, .. } = self.ran.connections;
        writeln!(out, "connections  {opened} opened, {reused} requests on one used before")?;
        if let Some(users) = self.ran.generator.users {
            write!(
                out,
                "users        {} ended with the budget, {} with the time",
                users.budget_exhausted, users.horizon
            )?;
            writeln!(out, ", {} cancelled, {} unfinished", users.cancelled, users.unfinished)?;
        }
        Ok(())
    }

    fn print_latencies(&self, out: &mut String) -> fmt::Result {
        let tally = &self.tally;
        write!(out, "\n{:<16}{:>9}", "", "requests")?;
        for (name, _) in QUANTILES {
            write!(out, "{name:>11}")?;
        }
        writeln!(out)?;
        let censored = tally.of(Outcome::TimedOut);
        let mut rows = vec![
            ("response time", &tally.response, censored),
            ("service latency", &tally.service, censored),
            ("send lag", &tally.send_lag, 0),
        ];
        rows.extend(tally.others.iter().map(|(class, h)| (*class, h, 0)));
        let mut needs = None;
        for (name, sample, censored) in rows {
            write!(out, "{name:<16}{:>9}", sample.len())?;
            for (_, q) in QUANTILES {
                let figure = figure(sample, q, censored);
                if let (Figure::Needs(n), false) = (figure, sample.is_empty()) {
                    needs = needs.max(Some(n));
                }
                write!(out, "{:>11}", figure.print())?;
            }
            writeln!(out)?;
        }
        match needs {
            Some(n) => writeln!(out, "n/a: the sample is too small; the highest percentile shown takes {n} requests"),
            None => Ok(()),
        }
    }

    fn print_verdict(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\nverdict      {}", self.validity.verdict)?;
        for reason in self.validity.reasons.iter().take(REASONS) {
            writeln!(out, "             {}: {}", reason.code, reason.text)?;
        }
        Ok(())
    }
}

/// For the terminal.
impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.print_counts(&mut out)?;
        self.print_latencies(&mut out)?;
        self.print_verdict(&mut out)?;
        f.write_str(&out)
    }
}

/// `failed (connect)`.
pub(crate) fn words(outcome: Outcome) -> String {
    let class = outcome.class().replace('_', " ");
    match outcome.reason() {
        "" => class,
        reason => format!("{class} ({})", reason.replace('_', " ")),
    }
}

/// Only the reasons that occurred.
fn reasons_of<const N: usize>(reasons: [(&'static str, u64); N]) -> Value {
    reasons.into_iter().filter(|(_, n)| *n > 0).map(|(reason, n)| (reason.to_owned(), json!(n))).collect()
}

fn latency(sample: &Histogram<u64>, censored: u64) -> Value {
    let quantile = |q| match figure(sample, q, censored) {
        Figure::Value(value) => json!({ "q": q, "value": value }),
        Figure::AtLeast(value) => json!({ "q": q, "value": value, "at_least": true }),
        Figure::Needs(n) => json!({ "q": q, "value": null, "needs_n": n }),
    };
    let quantiles: Vec<Value> = QUANTILES.iter().map(|(_, q)| quantile(*q)).collect();
    let (mean, std) = if sample.is_empty() { (0.0, 0.0) } else { (sample.mean(), sample.stdev()) };
    json!({
        "n": sample.len(),
        "mean": mean.round() as u64,
        "std": std.round() as u64,
        "min": if sample.is_empty() { 0 } else { sample.min() },
        "quantiles": quantiles,
    })
}

/// 0 where there was no time.
fn per_second(count: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { count / seconds } else { 0.0 }
}
