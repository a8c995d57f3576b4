//! Whether a load generator did what it was told: a generator that was the bottleneck must say so.
//!
//! One set of rules for a run of its own and for one under a conductor. It judges figures; where they come from, and which
//! requests they cover, is the caller's affair. Limits are machine time: at a time scale of S, 1 ms is S ms of scenario time.

use galton_core::Nanos;
use galton_core::scenario::TrafficModel;

use crate::input::Generator;
use crate::model::ConservationRow;
use crate::stats::needed;
use crate::units::count;
use crate::validity::{Quantity, Reason, Severity};

/// A send this late is never fine, even against slow responses; and always fine below it. Machine time.
const SEND_LAG_FLOOR: Nanos = Nanos(500_000);
/// The share of the median response that send lag may reach.
const SEND_LAG_SHARE: f64 = 0.1;
/// The share of the plan that must be sent in time.
const SENT_IN_TIME: f64 = 0.99;
/// So many late ones say nothing about a share: of a hundred requests, two are 2 %.
pub(crate) const FEW: u64 = 3;
/// A sending thread above this share of a core may be the bottleneck.
const THREAD_CPU: f64 = 0.8;
/// A sender that does not run for longer than this bunches its requests. Machine time.
const STALL: Nanos = Nanos::from_millis(10);
/// What Little's law may miss by.
const LITTLE: f64 = 0.005;

/// What its books must say.
pub(crate) const EQUATIONS: [&str; 3] = [
    "planned = offered + unsent",
    "offered = sent + shed",
    "offered = ok + rejected + timed out + failed + shed + unfinished",
];

/// The figures that a load generator is judged by. Durations are scenario time where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelfEvidence {
    /// What decides when a request goes out.
    pub pace: Pace,
    /// Scenario seconds per machine second.
    pub time_scale: f64,
    /// 99th percentile of the send lag; none: nothing was sent.
    pub send_lag_p99: Option<Nanos>,
    /// Median response time; none: nothing was answered.
    pub median_response: Option<Nanos>,
    /// Requests to be sent before the run was over or interrupted, without those shed at the generator's own cap.
    pub due: u64,
    /// Those of them whose send lag was within [`send_lag_limit`].
    pub in_time: u64,
    /// Those of them that were sent at all.
    pub sent: u64,
    /// The largest share of one core that a sending thread used in any second.
    pub peak_thread_cpu: f64,
    /// Σ service latency of all that was sent, in nanoseconds. None: something was cut off and has no latency.
    pub service_sum: Option<f64>,
    /// What the sender noticed about itself.
    pub generator: Generator,
}

/// What decides when a request goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// An open loop: the plan alone.
    Planned,
    /// An open loop with a cap on requests in flight: a late send is then the server's doing.
    Capped,
    /// A closed loop whose users pause between two requests.
    Thinking,
    /// A closed loop without think time: it takes whatever the sending thread gives.
    Unpaced,
}

/// A generator's own books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    /// Requests planned.
    pub planned: u64,
    /// Requests offered, by their records.
    pub offered: u64,
    /// Requests planned and never offered, by their records.
    pub unsent: u64,
    /// Requests shed at the generator's own cap, by their records.
    pub shed: u64,
    /// Requests that went out, as the sender counted them.
    pub sent: u64,
}

/// All that speaks against the generator, or beside it.
pub fn judge_generator(evidence: &SelfEvidence) -> Vec<Reason> {
    let rules = [send_lag, sent_in_time, never_sent, descriptors, thread_cpu, stall, little];
    rules.iter().filter_map(|rule| rule(evidence)).collect()
}

/// How late a send may be: scenario time.
pub fn send_lag_limit(median_response: Option<Nanos>, time_scale: f64) -> Nanos {
    let share = |of: Nanos, share: f64| Nanos((of.0 as f64 * share) as u64);
    share(SEND_LAG_FLOOR, time_scale).max(share(median_response.unwrap_or_default(), SEND_LAG_SHARE))
}

/// One reason for each equation that does not hold.
pub fn broken_equations(rows: &[ConservationRow]) -> impl Iterator<Item = Reason> {
    rows.iter().filter(|row| !row.ok).map(|row| {
        let arrived = row.right - row.never.unwrap_or_default();
        let text = format!("{} against {} do not add up: {}", count(row.left), count(arrived), row.what);
        let (left, right) = (Quantity::Count(row.left), Quantity::Count(arrived));
        Reason::new("CONSERVATION", Severity::Invalid, left, right, text)
    })
}

/// No request counts, because the warm-up took them all or there were none.
pub(crate) fn nothing_measured(offered: u64) -> Option<Reason> {
    let (value, limit) = (Quantity::Count(offered), Quantity::Count(1));
    let text = "no request was sent in the measured window".to_owned();
    (offered == 0).then(|| Reason::new("NOTHING_MEASURED", Severity::Invalid, value, limit, text))
}

fn send_lag(e: &SelfEvidence) -> Option<Reason> {
    let (lag, limit) = (e.send_lag_p99?, send_lag_limit(e.median_response, e.time_scale));
    // A small sample does not bear a 99th percentile.
    if lag <= limit || e.due < needed(0.99) {
        return None;
    }
    let (value, bound) = (Quantity::Time(lag), Quantity::Time(limit));
    let (code, severity, text) = match e.pace {
        Pace::Planned => {
            let text = format!("one request in a hundred was sent {value} late or more: the generator did not keep up");
            ("SEND_LAG_P99", Severity::Invalid, text)
        }
        Pace::Capped => {
            let text = format!("p99 of the wait for a free place in flight was {value}; it counts as response time");
            ("QUEUED_AT_CAP", Severity::Note, text)
        }
        Pace::Thinking | Pace::Unpaced => return None,
    };
    Some(Reason::new(code, severity, value, bound, text))
}

fn sent_in_time(e: &SelfEvidence) -> Option<Reason> {
    let share = e.in_time as f64 / e.due.max(1) as f64;
    let (value, limit) = (Quantity::Ratio(share), Quantity::Ratio(SENT_IN_TIME));
    let text = format!("only {value} of the plan was sent in time");
    (e.pace == Pace::Planned && e.due.saturating_sub(e.in_time) > FEW && share < SENT_IN_TIME)
        .then(|| Reason::new("PLAN_NOT_SENT_IN_TIME", Severity::Invalid, value, limit, text))
}

/// What waits at the cap when the run ends would have had the longest responses of all.
fn never_sent(e: &SelfEvidence) -> Option<Reason> {
    let unsent = e.due.saturating_sub(e.sent);
    let share = unsent as f64 / e.due.max(1) as f64;
    let (value, limit) = (Quantity::Ratio(share), Quantity::Ratio(1.0 - SENT_IN_TIME));
    let text = format!("{value} of the plan waited for a free place in flight to the end and is in no percentile");
    (e.pace == Pace::Capped && unsent > FEW && share > 1.0 - SENT_IN_TIME)
        .then(|| Reason::new("PLAN_NOT_SENT", Severity::Invalid, value, limit, text))
}

fn descriptors(e: &SelfEvidence) -> Option<Reason> {
    let text = "file descriptors or local ports ran out: raise the limit (ulimit -n) or cap the requests in flight";
    let (one, none) = (Quantity::Count(1), Quantity::Count(0));
    e.generator
        .descriptors_exhausted
        .then(|| Reason::new("DESCRIPTORS_EXHAUSTED", Severity::Invalid, one, none, text.to_owned()))
}

/// A closed loop without think time always keeps its generator busy: there it is worth a note.
fn thread_cpu(e: &SelfEvidence) -> Option<Reason> {
    let (value, limit) = (Quantity::Ratio(e.peak_thread_cpu), Quantity::Ratio(THREAD_CPU));
    let (code, severity, what) = match e.pace {
        Pace::Unpaced => ("GENERATOR_BOUND", Severity::Note, "generator-bound: "),
        Pace::Planned | Pace::Capped | Pace::Thinking => ("GENERATOR_CPU", Severity::Suspect, ""),
    };
    let text = format!("{what}a sending thread used {value} of a core");
    (e.peak_thread_cpu > THREAD_CPU).then(|| Reason::new(code, severity, value, limit, text))
}

fn stall(e: &SelfEvidence) -> Option<Reason> {
    let (value, limit) = (Quantity::Time(e.generator.longest_stall), Quantity::Time(STALL));
    let text = format!("the sender did not get to run for {value} of machine time");
    (e.generator.longest_stall > STALL).then(|| Reason::new("SENDER_STALL", Severity::Suspect, value, limit, text))
}

/// Little's law: the integral of what is in flight is the sum of the service latencies.
fn little(e: &SelfEvidence) -> Option<Reason> {
    let (integral, sum) = (e.generator.in_flight_integral?, e.service_sum?);
    let off = (integral - sum).abs() / sum.max(1.0);
    let (value, limit) = (Quantity::Ratio(off), Quantity::Ratio(LITTLE));
    let text = format!("the requests in flight and the service latencies disagree by {value} (Little's law)");
    (sum > 0.0 && off > LITTLE).then(|| Reason::new("LITTLE", Severity::Suspect, value, limit, text))
}

// === impl Pace ===

impl Pace {
    /// Of this traffic, without a cap.
    pub fn of(model: &TrafficModel) -> Self {
        match model {
            TrafficModel::Open(_) => Self::Planned,
            TrafficModel::Closed(closed) if closed.think_time_ms.mean() > 0.0 => Self::Thinking,
            TrafficModel::Closed(_) => Self::Unpaced,
        }
    }
}

// === impl Books ===

impl Books {
    /// What they must say: every request that was planned has a record, and every one that was offered went out or was
    /// shed.
    pub fn equations(&self) -> [ConservationRow; 2] {
        [
            ConservationRow::equal(EQUATIONS[0], self.planned, self.offered + self.unsent),
            ConservationRow::equal(EQUATIONS[1], self.offered, self.sent + self.shed),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validity::{Validity, Verdict};

    /// A generator with nothing to hide: 1000 requests, 50 µs late, answered within 1 ms.
    fn fine() -> SelfEvidence {
        SelfEvidence {
            pace: Pace::Planned,
            time_scale: 1.0,
            send_lag_p99: Some(Nanos(50_000)),
            median_response: Some(Nanos::from_millis(1)),
            due: 1000,
            in_time: 1000,
            sent: 1000,
            peak_thread_cpu: 0.1,
            service_sum: Some(1e8),
            generator: Generator { planned: Some(1000), in_flight_integral: Some(1e8), ..Generator::default() },
        }
    }

    fn verdict(evidence: SelfEvidence) -> (Verdict, Vec<String>) {
        let validity = Validity::of(judge_generator(&evidence));
        (validity.verdict, validity.reasons.into_iter().map(|reason| reason.code).collect())
    }

    #[track_caller]
    fn assert_one(evidence: SelfEvidence, wanted: Verdict, code: &str) {
        assert_eq!(verdict(evidence), (wanted, vec![code.to_owned()]));
    }

    #[track_caller]
    fn assert_fine(evidence: SelfEvidence) {
        assert_eq!(verdict(evidence), (Verdict::Valid, vec![]));
    }

    #[test]
    fn nothing_speaks_against_a_generator_that_kept_up_or_had_nothing_to_do() {
        assert_fine(fine());
        let idle = SelfEvidence { send_lag_p99: None, median_response: None, due: 0, in_time: 0, sent: 0, ..fine() };
        assert_fine(SelfEvidence { service_sum: Some(0.0), generator: Generator::default(), ..idle });
        assert_fine(SelfEvidence { pace: Pace::Capped, ..idle });
    }

    #[test]
    fn a_late_sender_is_invalid_unless_the_responses_are_long_or_the_server_held_it() {
        let late = SelfEvidence { send_lag_p99: Some(Nanos::from_millis(2)), ..fine() };
        assert_one(late, Verdict::Invalid, "SEND_LAG_P99");
        assert_one(SelfEvidence { pace: Pace::Capped, ..late }, Verdict::Valid, "QUEUED_AT_CAP");
        assert_fine(SelfEvidence { pace: Pace::Thinking, ..late });
        assert_fine(SelfEvidence { pace: Pace::Unpaced, ..late });
        assert_fine(SelfEvidence { median_response: Some(Nanos::from_millis(20)), ..late });
        assert_fine(SelfEvidence { time_scale: 4.0, ..late });
        assert_one(SelfEvidence { time_scale: 3.9, ..late }, Verdict::Invalid, "SEND_LAG_P99");
    }

    #[test]
    fn ninety_nine_in_a_hundred_must_be_sent_in_time() {
        assert_fine(SelfEvidence { in_time: 990, ..fine() });
        let short = SelfEvidence { in_time: 989, ..fine() };
        assert_one(short, Verdict::Invalid, "PLAN_NOT_SENT_IN_TIME");
        // Of a hundred, three are too few to say so, and no p99 is borne.
        let few = SelfEvidence { due: 100, send_lag_p99: Some(Nanos::from_millis(5)), ..fine() };
        assert_fine(SelfEvidence { in_time: 97, ..few });
        assert_one(SelfEvidence { in_time: 96, ..few }, Verdict::Invalid, "PLAN_NOT_SENT_IN_TIME");
        for pace in [Pace::Capped, Pace::Thinking, Pace::Unpaced] {
            assert_fine(SelfEvidence { pace, ..short });
        }
    }

    #[test]
    fn what_a_cap_held_back_to_the_end_is_missing() {
        let capped = SelfEvidence { pace: Pace::Capped, ..fine() };
        assert_fine(SelfEvidence { sent: 990, ..capped });
        assert_one(SelfEvidence { sent: 989, ..capped }, Verdict::Invalid, "PLAN_NOT_SENT");
        assert_fine(SelfEvidence { due: 100, sent: 97, ..capped });
        assert_one(SelfEvidence { due: 100, sent: 96, ..capped }, Verdict::Invalid, "PLAN_NOT_SENT");
    }

    #[test]
    fn a_busy_sender_is_suspect_or_the_bound() {
        let busy = SelfEvidence { peak_thread_cpu: 0.81, ..fine() };
        for pace in [Pace::Planned, Pace::Capped, Pace::Thinking] {
            assert_one(SelfEvidence { pace, ..busy }, Verdict::Suspect, "GENERATOR_CPU");
        }
        assert_one(SelfEvidence { pace: Pace::Unpaced, ..busy }, Verdict::Valid, "GENERATOR_BOUND");
        assert_fine(SelfEvidence { peak_thread_cpu: 0.8, ..fine() });
    }

    #[test]
    fn what_the_sender_noticed() {
        let noticed = |change: fn(&mut Generator)| {
            let mut evidence = fine();
            change(&mut evidence.generator);
            evidence
        };
        assert_fine(noticed(|g| g.longest_stall = STALL));
        assert_one(noticed(|g| g.longest_stall = Nanos(STALL.0 + 1)), Verdict::Suspect, "SENDER_STALL");
        assert_one(noticed(|g| g.descriptors_exhausted = true), Verdict::Invalid, "DESCRIPTORS_EXHAUSTED");
        assert_fine(noticed(|g| g.in_flight_integral = Some(1.004e8)));
        assert_fine(noticed(|g| g.in_flight_integral = None));
        let off = noticed(|g| g.in_flight_integral = Some(0.994e8));
        assert_one(off, Verdict::Suspect, "LITTLE");
        assert_fine(SelfEvidence { service_sum: None, ..off });
    }

    #[test]
    fn books_that_do_not_add_up_say_which_equation() {
        let books = Books { planned: 10, offered: 8, unsent: 2, shed: 1, sent: 7 };
        assert_eq!(broken_equations(&books.equations()).count(), 0);
        for (wrong, what) in [
            (Books { planned: 9, ..books }, "9 against 10 do not add up: planned = offered + unsent"),
            (Books { sent: 8, ..books }, "8 against 9 do not add up: offered = sent + shed"),
        ] {
            let reasons: Vec<Reason> = broken_equations(&wrong.equations()).collect();
            assert_eq!(reasons.iter().map(|r| r.text.as_str()).collect::<Vec<_>>(), [what]);
            assert_eq!((reasons[0].code.as_str(), reasons[0].severity), ("CONSERVATION", Severity::Invalid));
        }
    }
}
