//! One rate that was tried: its own open loop, its own report.

use std::time::Duration;

use galton_core::Nanos;
use galton_report::slo::{self, Kept, SloVerdict};
use galton_report::units::{NOT_AVAILABLE, percent, rate, time};
use galton_report::{Report, Verdict};
use galton_runtime::Shutdown;
use galton_runtime::book::Book;
use prometheus::Registry;
use serde_json::{Value, json};

use super::Args;
use super::answer::Why;
use crate::args::{ModelArgs, ViewStyle};
use crate::meters::Meters;
use crate::mission::Mission;
use crate::output::Output;
use crate::standalone::{self, Measured};

/// A count of Poisson arrivals is hardly ever so many standard deviations below its mean.
const SPREAD: f64 = 4.0;

/// One rate that was tried.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) rate: f64,
    /// None: somebody stopped it before it could be judged.
    pub(super) kept: Option<bool>,
    seed: u64,
    report: Report,
    slo: Vec<Kept>,
}

/// The line above those of the probes.
pub(super) fn heading() -> String {
    format!("{:>10}  {:>10}  {:>10}  {:>10}  {:>8}  verdict", "rate", "completed", "p50", "p99", "errors")
}

/// How many seconds it takes for the objectives to be decided, however few requests the chance of arrivals brings.
pub(super) fn needed_secs(args: &Args, rate: f64) -> f64 {
    let needed = args.needs() as f64;
    (needed + SPREAD * needed.sqrt()) / rate
}

/// As long as is asked for, or as it takes.
fn length(args: &Args, rate: f64) -> anyhow::Result<Duration> {
    Ok(args.probe.max(Duration::try_from_secs_f64(needed_secs(args, rate))?))
}

// === impl Probe ===

impl Probe {
    /// Sends, measures and judges.
    pub(super) fn run(args: &Args, rate: f64, seed: u64, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let model = ModelArgs {
            rate: Some(rate),
            duration: Some(length(args, rate)?),
            arrival: args.arrival,
            seed: Some(seed),
            ..ModelArgs::default()
        };
        let mission = Mission::new(&args.url, &model, &args.request, None, &args.hosts)?;
        let meters = Meters::register(&Book::create(None)?, &Registry::new())?;
        let Measured { report, interrupted, .. } =
            standalone::measure(&mission, &Output::nowhere(), &meters, ViewStyle::None, shutdown)?;
        // Requests that were broken off are no errors of the server.
        let slo = if interrupted { Vec::new() } else { slo::evaluate(&args.slo, &report) };
        let kept = slo::worst(&slo) == SloVerdict::Kept && report.validity.verdict != Verdict::Invalid;
        Ok(Self { rate, kept: (!interrupted).then_some(kept), seed, report, slo })
    }

    /// What speaks against it: the measurement itself, or else the first objective that was not kept.
    pub(super) fn why(&self) -> Why {
        let invalid = self.report.validity.verdict == Verdict::Invalid;
        let reason = self.report.validity.reasons.first().filter(|_| invalid);
        let missed = self.slo.iter().find(|kept| kept.verdict == SloVerdict::Missed);
        let not_kept = self.slo.iter().find(|kept| kept.verdict != SloVerdict::Kept);
        let text = |kept: Option<&Kept>| kept.map(|kept| kept.text.clone());
        match reason {
            Some(reason) => Why::NotValid { reason: format!("{}: {}", reason.code, reason.text), missed: text(missed) },
            None => Why::NotKept(text(missed.or(not_kept)).unwrap_or_default() + &self.failures()),
        }
    }

    /// The most frequent text of what failed without a whole response.
    fn failures(&self) -> String {
        let error = self.report.client.as_ref().and_then(|client| client.errors.iter().next());
        error.map_or(String::new(), |error| format!("; {} requests failed: {}", error.requests, error.words()))
    }

    /// All of it for people.
    pub(super) fn line(&self) -> String {
        let quantile = |q| {
            let found = self.report.latency.response.quantiles.iter().find(|found| found.q == q);
            found.and_then(|found| found.value).map_or(NOT_AVAILABLE.to_owned(), |ns| time(Nanos(ns)))
        };
        let counts = &self.report.counts;
        let errors = percent(counts.offered.saturating_sub(counts.ok) as f64 / counts.offered.max(1) as f64);
        let (errors, verdict) = match self.kept {
            None => (NOT_AVAILABLE.to_owned(), "interrupted".to_owned()),
            Some(true) => (errors, "kept".to_owned()),
            Some(false) => (errors, self.why().to_string()),
        };
        format!(
            "{:>10}  {:>10}  {:>10}  {:>10}  {errors:>8}  {verdict}",
            rate(self.rate),
            rate(self.report.rates.completed),
            quantile(0.5),
            quantile(0.99)
        )
    }

    /// All of it for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "rate": self.rate,
            "seed": self.seed,
            "kept": self.kept,
            "slo": self.slo,
            "validity": self.report.validity,
            "counts": self.report.counts,
            "errors": self.report.client.as_ref().map(|client| &client.errors),
            "rates": self.report.rates,
            "latency": { "response": self.report.latency.response, "send_lag": self.report.latency.send_lag },
        })
    }
}
