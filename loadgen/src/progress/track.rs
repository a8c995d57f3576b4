//! Follows a run for the terminal: rates and percentiles of the last seconds, which a tally of the whole does not have.
//!
//! Time is an argument. Runs on the scribe's thread, so that the sending one does none of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use galton_core::{Nanos, Outcome};
use galton_report::{Generator, Pace, SelfEvidence, Severity, Validity, judge_generator, needed, send_lag_limit};
use hdrhistogram::Histogram;

use super::End;
use super::figures::{Figure, figure};
use super::view::{Bar, COLUMNS, Phase, Rate, Row, Second, Title, View};
use crate::tally::Tally;

/// "Lately" in the table: so many seconds.
const RECENT: usize = 5;
/// Seconds that are kept for the plots: more than fit on a screen.
const SECONDS: usize = 300;
const SECOND_NS: u64 = 1_000_000_000;
/// The edges of the bars within a decade: round numbers, each about 1.5 times the one before.
const EDGES: [u64; 6] = [10, 15, 20, 30, 50, 70];

/// What is not in the tally.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Machine time.
    pub(crate) now_ns: u64,
    pub(crate) sent: u64,
    pub(crate) in_flight: u64,
    /// CPU time of the process so far.
    pub(crate) cpu_ns: u64,
    pub(crate) peak_thread_cpu: f64,
    pub(crate) stopping: bool,
}

/// Turns tallies into views.
#[derive(Debug)]
pub(crate) struct Track {
    title: Arc<Title>,
    end: End,
    pace: Pace,
    since_ns: u64,
    /// One a second, the latest at the end.
    marks: VecDeque<Mark>,
    seconds: VecDeque<Second>,
}

/// What had happened by some moment.
#[derive(Clone, Debug)]
struct Mark {
    at_ns: u64,
    cpu_ns: u64,
    sent: u64,
    done: u64,
    timed_out: u64,
    response: Histogram<u64>,
    send_lag: Histogram<u64>,
}

// === impl Track ===

impl Track {
    /// Of a run that begins at `since_ns`.
    pub(crate) fn new(title: Title, end: End, pace: Pace, since_ns: u64, cpu_ns: u64) -> Self {
        let nothing = Sample { now_ns: since_ns, sent: 0, in_flight: 0, cpu_ns, peak_thread_cpu: 0.0, stopping: false };
        let marks = VecDeque::from([Mark::new(&Tally::new(), &nothing)]);
        Self { title: Arc::new(title), end, pace, since_ns, marks, seconds: VecDeque::new() }
    }

    /// The run now.
    pub(crate) fn view(&mut self, tally: &Tally, now: &Sample) -> View {
        let view = self.look(tally, now);
        if now.now_ns >= self.latest().at_ns + SECOND_NS {
            self.mark(tally, now);
        }
        View { seconds: self.seconds.iter().copied().collect(), ..view }
    }

    fn look(&self, tally: &Tally, now: &Sample) -> View {
        let elapsed = Duration::from_nanos(now.now_ns.saturating_sub(self.since_ns));
        let share = self.end.share(tally.offered(), elapsed);
        let validity = Validity::of(judge_generator(&self.evidence(tally, now)).into_iter().collect());
        let mut reasons: Vec<_> = validity.reasons.iter().filter(|r| r.severity != Severity::Note).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
        View {
            title: self.title.clone(),
            phase: self.phase(now, elapsed),
            elapsed,
            share,
            left: share.and_then(|share| left(elapsed, share)),
            planned: self.end.requests,
            sent: now.sent,
            done: tally.offered(),
            in_flight: now.in_flight,
            outcomes: outcomes(tally),
            offered: self.rate(now, now.sent, |mark| mark.sent),
            completed: self.rate(now, tally.offered(), |mark| mark.done),
            latencies: self.latencies(tally),
            seconds: Vec::new(),
            bars: bars(&tally.response),
            cpu_now: self.rate(now, now.cpu_ns, |mark| mark.cpu_ns).now / 1e9,
            cpu_peak: now.peak_thread_cpu,
            verdict: validity.verdict,
            reasons: reasons.into_iter().map(|reason| reason.text.clone()).collect(),
        }
    }

    fn phase(&self, now: &Sample, elapsed: Duration) -> Phase {
        let all_sent = self.end.requests.is_some_and(|n| now.sent >= n);
        match now.stopping {
            true => Phase::Stopping,
            false if all_sent || self.end.duration.is_some_and(|d| elapsed >= d) => Phase::Draining,
            false => Phase::Sending,
        }
    }

    /// As at the end, except for what the sender says only then.
    fn evidence(&self, tally: &Tally, now: &Sample) -> SelfEvidence {
        let quantile = |sample: &Histogram<u64>, q| (!sample.is_empty()).then(|| Nanos(sample.value_at_quantile(q)));
        let median_response = quantile(&tally.response, 0.5);
        SelfEvidence {
            pace: self.pace,
            time_scale: 1.0,
            send_lag_p99: quantile(&tally.send_lag, 0.99),
            median_response,
            // What is still to be sent is not missing.
            due: tally.offered() - tally.of(Outcome::Shed),
            sent: tally.offered() - tally.of(Outcome::Shed),
            in_time: tally.send_lag.count_between(0, send_lag_limit(median_response, 1.0).0),
            peak_thread_cpu: now.peak_thread_cpu,
            service_sum: None,
            generator: Generator::default(),
        }
    }

    fn latencies(&self, tally: &Tally) -> Vec<Row> {
        let oldest = self.marks.front().expect("there is always a mark");
        let timed_out = tally.of(Outcome::TimedOut);
        let row = |name, sample: &Histogram<u64>, censored| Row { name, figures: figures(sample, censored) };
        vec![
            row("response", &tally.response, timed_out),
            row("  last 5 s", &difference(&tally.response, &oldest.response), timed_out - oldest.timed_out),
            row("send lag", &tally.send_lag, 0),
            row("  last 5 s", &difference(&tally.send_lag, &oldest.send_lag), 0),
        ]
    }

    /// Of something that is counted: over the last second or a little more, and since the beginning.
    fn rate(&self, now: &Sample, count: u64, of: impl Fn(&Mark) -> u64) -> Rate {
        let per_second = |count: u64, since_ns: u64| {
            let passed_ns = now.now_ns.saturating_sub(since_ns);
            if passed_ns == 0 { 0.0 } else { count as f64 / (passed_ns as f64 / 1e9) }
        };
        let settled = self.marks.iter().rev().find(|mark| now.now_ns >= mark.at_ns + SECOND_NS);
        let mark = settled.unwrap_or_else(|| self.marks.front().expect("there is always a mark"));
        Rate { now: per_second(count.saturating_sub(of(mark)), mark.at_ns), overall: per_second(count, self.since_ns) }
    }

    /// A second is over.
    fn mark(&mut self, tally: &Tally, now: &Sample) {
        let mark = Mark::new(tally, now);
        self.seconds.push_back(mark.second(self.latest()));
        self.marks.push_back(mark);
        while self.seconds.len() > SECONDS {
            self.seconds.pop_front();
        }
        while self.marks.len() > RECENT {
            self.marks.pop_front();
        }
    }

    fn latest(&self) -> &Mark {
        self.marks.back().expect("there is always a mark")
    }
}

// === impl Mark ===

impl Mark {
    fn new(tally: &Tally, now: &Sample) -> Self {
        Self {
            at_ns: now.now_ns,
            cpu_ns: now.cpu_ns,
            sent: now.sent,
            done: tally.offered(),
            timed_out: tally.of(Outcome::TimedOut),
            response: tally.response.clone(),
            send_lag: tally.send_lag.clone(),
        }
    }

    /// What happened since an earlier one, per second.
    fn second(&self, earlier: &Self) -> Second {
        let passed_ns = self.at_ns.saturating_sub(earlier.at_ns).max(1);
        let per_second = (self.done - earlier.done) as f64 * SECOND_NS as f64 / passed_ns as f64;
        let response = difference(&self.response, &earlier.response);
        let at = |q| (!response.is_empty()).then(|| response.value_at_quantile(q));
        let bears_p99 = response.len() >= needed(0.99);
        let high_ns = at(if bears_p99 { 0.99 } else { 1.0 });
        Second { completed: per_second.round() as u64, p50_ns: at(0.5), high_ns, bears_p99 }
    }
}

/// What was recorded since.
fn difference(now: &Histogram<u64>, earlier: &Histogram<u64>) -> Histogram<u64> {
    let mut since = now.clone();
    since.subtract(earlier).expect("a tally only grows");
    since
}

fn figures(sample: &Histogram<u64>, censored: u64) -> [Figure; COLUMNS.len()] {
    COLUMNS.map(|(_, q)| figure(sample, q, censored))
}

fn outcomes(tally: &Tally) -> Vec<(String, u64)> {
    let mut others: Vec<(Outcome, u64)> =
        tally.outcomes.iter().map(|(outcome, n)| (*outcome, *n)).filter(|(o, _)| *o != Outcome::Ok).collect();
    others.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let ok = [(Outcome::Ok, tally.of(Outcome::Ok))];
    ok.into_iter().chain(others).map(|(outcome, n)| (words(outcome), n)).collect()
}

fn words(outcome: Outcome) -> String {
    let class = outcome.class().replace('_', " ");
    match outcome.reason() {
        "" => class,
        reason => format!("{class} ({})", reason.replace('_', " ")),
    }
}

fn left(elapsed: Duration, share: f64) -> Option<Duration> {
    let whole = elapsed.as_secs_f64() / share;
    Duration::try_from_secs_f64(whole - elapsed.as_secs_f64()).ok()
}

fn bars(sample: &Histogram<u64>) -> Vec<Bar> {
    let edges = (0..13).flat_map(|decade| EDGES.map(|edge| edge * 10_u64.pow(decade)));
    let mut bars: Vec<Bar> = edges.map(|below_ns| Bar { below_ns, count: 0 }).collect();
    for value in sample.iter_recorded() {
        let at = bars.partition_point(|bar| bar.below_ns <= value.value_iterated_to());
        if let Some(bar) = bars.get_mut(at) {
            bar.count += value.count_at_value();
        }
    }
    let used = |bar: &Bar| bar.count > 0;
    bars.truncate(bars.iter().rposition(used).map_or(0, |last| last + 1));
    bars.drain(..bars.iter().position(used).unwrap_or(0));
    bars
}

#[cfg(test)]
mod tests;
