//! Whether a standalone run may be believed: a load generator that was the bottleneck must say so.
//!
//! The rules are those of every report ([`galton_report::judge_generator`]); here are the figures for them. Under a conductor
//! the report judges.

use galton_core::{Nanos, Outcome};
use galton_report::{
    Books, Generator, Pace, Quantity, Reason, SelfEvidence, Severity, Validity, broken_equations, judge_generator,
    send_lag_limit,
};
use hdrhistogram::Histogram;

use crate::meters::Meters;
use crate::sender::Ran;
use crate::settings::Settings;
use crate::tally::Tally;

/// A run of its own is not scaled.
const TIME_SCALE: f64 = 1.0;

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// What was measured.
    pub(crate) tally: &'a Tally,
    /// What the sender noticed about itself.
    pub(crate) generator: &'a Generator,
    /// Requests that went out, as the sender counted them.
    pub(crate) sent: u64,
    /// The highest share of one core that the sender used in any second.
    pub(crate) peak_thread_cpu: f64,
    /// What decides when a request goes out.
    pub(crate) pace: Pace,
    /// Somebody stopped the run.
    pub(crate) interrupted: bool,
}

/// The verdict on a run and all that speaks against or beside it.
pub(crate) fn judge(evidence: Evidence<'_>) -> Validity {
    let mut reasons: Vec<Reason> = broken_equations(&books(evidence).equations()).collect();
    reasons.extend(judge_generator(&self_evidence(evidence)));
    reasons.extend(interruption(evidence));
    Validity::of(reasons)
}

/// What decides when a request goes out.
pub(crate) fn pace(settings: &Settings) -> Pace {
    match Pace::of(&settings.scenario.traffic.model) {
        Pace::Planned if settings.limits.in_flight.is_some() => Pace::Capped,
        pace => pace,
    }
}

fn books(e: Evidence<'_>) -> Books {
    Books {
        planned: e.generator.planned.unwrap_or(e.tally.planned()),
        offered: e.tally.offered(),
        unsent: e.tally.unsent,
        shed: e.tally.of(Outcome::Shed),
        sent: e.sent,
    }
}

fn self_evidence(e: Evidence<'_>) -> SelfEvidence {
    let tally = e.tally;
    let median_response = quantile(&tally.response, 0.5);
    // What an interruption left unsent was not due.
    let planned = if e.interrupted { tally.offered() } else { tally.planned() };
    SelfEvidence {
        pace: e.pace,
        time_scale: TIME_SCALE,
        send_lag_p99: quantile(&tally.send_lag, 0.99),
        median_response,
        due: planned - tally.of(Outcome::Shed),
        in_time: tally.send_lag.count_between(0, send_lag_limit(median_response, TIME_SCALE).0),
        peak_thread_cpu: e.peak_thread_cpu,
        service_sum: (tally.of(Outcome::Unfinished) == 0).then_some(tally.service_sum),
        generator: *e.generator,
    }
}

fn quantile(sample: &Histogram<u64>, q: f64) -> Option<Nanos> {
    (!sample.is_empty()).then(|| Nanos(sample.value_at_quantile(q)))
}

/// Whoever stops a run of his own knows that it is short: no more than a note.
fn interruption(e: Evidence<'_>) -> Option<Reason> {
    let (unsent, none) = (Quantity::Count(e.tally.unsent), Quantity::Count(0));
    let text = format!("{unsent} of the plan were not sent");
    e.interrupted.then(|| Reason::new("INTERRUPTED", Severity::Note, unsent, none, text))
}

// === impl Evidence ===

impl<'a> Evidence<'a> {
    /// Of a run that is over.
    pub(crate) fn of(settings: &Settings, tally: &'a Tally, ran: &'a Ran, meters: &Meters) -> Self {
        Self {
            tally,
            generator: &ran.generator,
            sent: meters.sent(),
            peak_thread_cpu: meters.peak_thread_cpu(),
            pace: pace(settings),
            interrupted: ran.interrupted,
        }
    }
}

#[cfg(test)]
mod tests {
    use galton_core::record::TraceOutcome;
    use galton_report::Verdict;

    use super::*;
    use crate::tally::test_row;

    /// `n` requests with this lag and response, and `unsent` more.
    fn tally(n: u64, unsent: u64, lag_us: u64, response_us: u64) -> Tally {
        let mut tally = Tally::new();
        for seq in 0..n {
            let times = [0, lag_us, response_us].map(|us| Nanos(us * 1000));
            tally.add(&test_row(seq, TraceOutcome::Offered(Outcome::Ok), times));
        }
        for seq in n..n + unsent {
            tally.add(&test_row(seq, TraceOutcome::Unsent, [Nanos::ZERO; 3]));
        }
        tally
    }

    fn fine(tally: &Tally) -> Generator {
        Generator {
            planned: Some(tally.planned()),
            in_flight_integral: Some(tally.service_sum),
            ..Generator::default()
        }
    }

    fn evidence<'a>(tally: &'a Tally, generator: &'a Generator) -> Evidence<'a> {
        Evidence {
            tally,
            generator,
            sent: tally.offered(),
            peak_thread_cpu: 0.1,
            pace: Pace::Planned,
            interrupted: false,
        }
    }

    #[track_caller]
    fn assert_verdict(evidence: Evidence<'_>, wanted: Verdict, codes: &[&str]) {
        let Validity { verdict, reasons } = judge(evidence);
        let found: Vec<&str> = reasons.iter().map(|r| r.code.as_str()).collect();
        assert_eq!((verdict, found.as_slice()), (wanted, codes));
    }

    #[test]
    fn a_clean_run_is_valid() {
        let tally = tally(1000, 0, 50, 1000);
        assert_verdict(evidence(&tally, &fine(&tally)), Verdict::Valid, &[]);
        let nothing = Tally::new();
        assert_verdict(evidence(&nothing, &fine(&nothing)), Verdict::Valid, &[]);
    }

    #[test]
    fn a_late_sender_is_invalid_unless_the_responses_are_long_or_the_cap_held_it() {
        let late = tally(1000, 0, 2_000, 3_000);
        let generator = fine(&late);
        let e = evidence(&late, &generator);
        assert_verdict(e, Verdict::Invalid, &["SEND_LAG_P99", "PLAN_NOT_SENT_IN_TIME"]);
        assert_verdict(Evidence { pace: Pace::Capped, ..e }, Verdict::Valid, &["QUEUED_AT_CAP"]);
        assert_verdict(Evidence { pace: Pace::Unpaced, ..e }, Verdict::Valid, &[]);
        let slow = tally(1000, 0, 2_000, 100_000);
        // 2 ms are within 10 % of 100 ms.
        assert_verdict(evidence(&slow, &fine(&slow)), Verdict::Valid, &[]);
    }

    #[test]
    fn an_unsent_plan_is_invalid_unless_somebody_stopped_the_run() {
        let tally = tally(980, 20, 50, 1000);
        let generator = fine(&tally);
        let e = evidence(&tally, &generator);
        assert_verdict(e, Verdict::Invalid, &["PLAN_NOT_SENT_IN_TIME"]);
        assert_verdict(Evidence { interrupted: true, ..e }, Verdict::Valid, &["INTERRUPTED"]);
    }

    #[test]
    fn lost_requests_are_invalid() {
        let tally = tally(1000, 0, 50, 1000);
        let generator = fine(&tally);
        let e = evidence(&tally, &generator);
        assert_verdict(Evidence { sent: 101, ..e }, Verdict::Invalid, &["CONSERVATION"]);
        let planned = Generator { planned: Some(99), ..generator };
        assert_verdict(evidence(&tally, &planned), Verdict::Invalid, &["CONSERVATION"]);
    }

    #[test]
    fn what_the_sender_noticed_counts() {
        let tally = tally(1000, 0, 50, 1000);
        let noticed = Generator {
            longest_stall: Nanos::from_millis(11),
            descriptors_exhausted: true,
            in_flight_integral: Some(tally.service_sum * 1.006),
            ..fine(&tally)
        };
        let e = Evidence { peak_thread_cpu: 0.9, ..evidence(&tally, &noticed) };
        let codes = ["DESCRIPTORS_EXHAUSTED", "GENERATOR_CPU", "SENDER_STALL", "LITTLE"];
        assert_verdict(e, Verdict::Invalid, &codes);
    }
}
