//! From what was folded to the report.

use galton_core::Nanos;
use serde_json::Value;

use super::measured::Measured;
use super::warm_up::{Decided, WarmUp};
use super::{ClientFold, Plan, Whole};
use crate::compute::window::Window;
use crate::compute::{SCHEMA_VERSION, bounds, conservation, plots};
use crate::generator::{Pace, SelfEvidence, broken_equations, judge_generator, nothing_measured, send_lag_limit};
use crate::input::RunFacts;
use crate::model::{
    Client, Connections, Conservation, Errors, Excluded, Gauges, GeneratorFigures, Rates, Report, Run, Scaling, Series,
    Span,
};
use crate::plot_data::PlotData;
use crate::stats::{Samples, Summary};
use crate::units::{count, time};
use crate::validity::{Quantity, Reason, Severity, Validity};

/// What a load generator knows besides the rows and what every conductor knows.
#[derive(Clone, Debug)]
pub struct ClientFacts {
    /// What decides when a request goes out.
    pub pace: Pace,
    /// The model in words.
    pub model: String,
    /// Who was sent to, in words.
    pub to: String,
    /// What was asked for: the part of a scenario that a load generator has.
    pub scenario: Value,
    /// The one seed.
    pub seed: u64,
    /// Connections.
    pub connections: Connections,
    /// What broke, of requests that failed without a whole response.
    pub errors: Errors,
    /// Bytes of response bodies.
    pub body_bytes: u64,
}

/// All there is, while it becomes a report.
struct Finished<'a> {
    plan: Plan,
    whole: Whole,
    measured: Measured,
    steady: bool,
    facts: &'a RunFacts,
    client: &'a ClientFacts,
    window: Window,
}

// === impl ClientFold ===

impl ClientFold {
    /// The report of the run, which is over, and the rest of the interval log.
    pub fn finish(self, facts: &RunFacts, client: &ClientFacts) -> (Report, String) {
        let Self { plan, whole, warming } = self;
        let Decided { mut measured, steady } = warming.finish(&plan);
        let log = measured.log.take().map(crate::hlog::Recorder::finish).unwrap_or_default();
        // Only an open loop with a duration offers until a time that was set: others end with their last request.
        let end = match plan.ends {
            Some(ends) if !facts.interrupted => ends,
            _ => whole.course.last,
        };
        let window = Window { start: measured.start().min(end), end };
        (Finished { plan, whole, measured, steady, facts, client, window }.report(), log)
    }
}

// === impl Finished ===

impl Finished<'_> {
    fn report(mut self) -> Report {
        let conservation = conservation::check(self.facts, &self.whole.counts(), &[], 0);
        let validity = Validity::of(self.reasons(&conservation));
        let (meta, seed, users) = (self.facts.meta.clone(), self.client.seed, self.facts.generator.users);
        let no_attempt_by_outcome = self.measured.tally.no_attempt();
        Report {
            schema_version: SCHEMA_VERSION,
            kind: self.facts.meta.kind,
            run: Run { meta, seed, users },
            scenario: self.client.scenario.clone(),
            validity,
            slo: Vec::new(),
            rates: self.rates(),
            client: Some(self.client()),
            plots: self.plots(),
            conservation,
            retries: self.measured.tally.retries(),
            no_attempt: no_attempt_by_outcome.values().sum(),
            no_attempt_by_outcome,
            latency_by_outcome: self.measured.latencies.by_outcome(),
            latency: self.measured.latencies.summaries(),
            gauges: Gauges::default(),
            free_targets_at_reject: None,
            scaling: Scaling::none(Samples::default().summary()),
            targets: Vec::new(),
            series: self.series(),
            summary: self.client.model.clone(),
            counts: self.measured.tally.measured(),
        }
    }

    fn rates(&self) -> Rates {
        let secs = |window: Window| window.secs().max(f64::MIN_POSITIVE);
        // Without a duration, offering ends with the last intended send and not with its response.
        let open = matches!(self.client.pace, Pace::Planned | Pace::Capped) && self.plan.ends.is_none();
        let offered_until = if open { self.measured.last_intended() } else { self.window.end };
        let offering = Window { end: offered_until.max(self.window.start), ..self.window };
        let per_sec = |n: u64, window: Window| if window.secs() > 0.0 { n as f64 / secs(window) } else { 0.0 };
        Rates {
            offered: per_sec(self.measured.tally.measured().offered, offering),
            completed: per_sec(self.measured.completed(), self.window),
        }
    }

    fn client(&self) -> Client {
        Client {
            model: self.client.model.clone(),
            to: self.client.to.clone(),
            window_ns: Span { start: self.window.start, end: self.window.end },
            timeout_ns: self.plan.timeout,
            timeout_from_send: self.plan.timeout_from_send,
            excluded: self.excluded(),
            statuses: self.measured.statuses.clone(),
            errors: self.client.errors.clone().sorted(),
            connections: self.client.connections,
            body_bytes: self.client.body_bytes,
            generator: GeneratorFigures {
                peak_thread_cpu: self.facts.counters.load.peak_thread_cpu,
                longest_stall_ns: self.facts.generator.longest_stall,
                cpu_ns: self.facts.counters.load.cpu,
            },
            merged: Vec::new(),
        }
    }

    fn excluded(&self) -> Option<Excluded> {
        let requests = self.whole.counts().planned - self.measured.tally.measured().planned;
        let asked = self.plan.warm_up;
        (asked != WarmUp::None).then_some(Excluded {
            asked,
            requests,
            until_ns: self.window.start,
            steady: self.steady,
        })
    }

    fn plots(&mut self) -> PlotData {
        let samples = &self.measured.latencies;
        let named = [
            ("response", &samples.response),
            ("service", samples.service()),
            ("hold", samples.hold()),
            ("overhead", &samples.overhead),
            ("send_lag", &samples.send_lag),
        ];
        let some = named.into_iter().filter(|(_, samples)| samples.len() > 0);
        PlotData {
            window: (self.window.start, self.window.end),
            response: plots::bins(&samples.response),
            hold: plots::bins(samples.hold()),
            histograms: some.map(|(name, samples)| (name, plots::histogram(samples))).collect(),
            scatter: self.whole.points.scatter(),
            ..PlotData::default()
        }
    }

    fn series(&mut self) -> Series {
        let end = self.whole.course.last.max(self.window.end.min(self.whole.course.last));
        let (bucket, windows) = bounds::lengths(end, self.whole.counts().offered as f64);
        let (bucket_ns, columns, rows) = self.whole.course.rows(bucket);
        let latency = std::mem::replace(&mut self.whole.windows, super::Windows::new()).table(windows);
        Series { bucket_ns, columns, rows, latency }
    }

    fn reasons(&self, conservation: &Conservation) -> Vec<Reason> {
        let measured = self.measured.tally.measured().offered;
        let mut reasons = self.facts.reasons.clone();
        reasons.extend(broken_equations(&conservation.rows));
        reasons.extend(judge_generator(&self.evidence()));
        reasons.extend(
            [nothing_measured(measured), self.unsettled(), self.interruption(), self.unfinished()]
                .into_iter()
                .flatten(),
        );
        reasons
    }

    fn evidence(&self) -> SelfEvidence {
        let counts = self.measured.tally.measured();
        let median = |samples: &Samples, q| samples.quantile_of(q).map(Nanos);
        let median_response = median(&self.measured.latencies.response, 0.5);
        let time_scale = self.facts.meta.time_scale;
        SelfEvidence {
            pace: self.client.pace,
            time_scale,
            send_lag_p99: median(&self.measured.latencies.send_lag, 0.99),
            median_response,
            due: counts.planned - counts.shed,
            sent: counts.offered - counts.shed,
            in_time: self.measured.in_time(send_lag_limit(median_response, time_scale)),
            peak_thread_cpu: self.facts.counters.load.peak_thread_cpu,
            service_sum: (!self.whole.cut_off).then_some(self.whole.service_sum),
            generator: self.facts.generator,
        }
    }

    /// What `auto` found, if it found that the run is still on its way.
    fn unsettled(&self) -> Option<Reason> {
        let (left_out, all) = (self.excluded()?, self.whole.counts().planned);
        let text = format!(
            "response times had not settled when half of the run was over (MSER-5); what was meant for before {} is left out",
            time(left_out.until_ns)
        );
        let share = Quantity::Ratio(left_out.requests as f64 / all.max(1) as f64);
        (!self.steady).then(|| Reason::new("NOT_STEADY", Severity::Suspect, share, Quantity::Ratio(0.5), text))
    }

    /// Whoever stops a run of his own knows that it is short: no more than a note.
    fn interruption(&self) -> Option<Reason> {
        let (value, limit) =
            (Quantity::Time(self.window.end), Quantity::Time(self.plan.ends.unwrap_or(self.window.end)));
        let text = format!("stopped after {value}; what was planned for later was not sent");
        self.facts.interrupted.then(|| Reason::new("INTERRUPTED", Severity::Note, value, limit, text))
    }

    fn unfinished(&self) -> Option<Reason> {
        let n = self.whole.counts().unfinished;
        let text = format!("{} requests were still in flight when the run ended; they are in no percentile", count(n));
        (n > 0).then(|| Reason::new("UNFINISHED", Severity::Note, Quantity::Count(n), Quantity::Count(0), text))
    }
}

// === impl Scaling ===

impl Scaling {
    /// Without a scaler.
    pub(crate) fn none(nothing: Summary) -> Self {
        Self {
            ups: 0,
            downs: 0,
            peak: 0,
            joined: 0,
            ups_refused: 0,
            downs_refused: 0,
            deaths: 0,
            restarts: 0,
            starts: crate::model::Starts {
                took: nothing.clone(),
                configured: nothing,
                overrun: 0,
                worst_overrun: Nanos::ZERO,
            },
            events: Vec::new(),
        }
    }
}
