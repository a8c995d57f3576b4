//! What cannot be compared, and why; and whether requests can be paired.

use super::differences::{self, KeyDifference};
use super::pair::{self, Mismatch};
use super::subject::{Recorded, Records, Subject};
use super::{Options, PairingWish};

/// Ratios of two spans of time by which one of them is in another unit.
const UNIT_RATIOS: [f64; 3] = [1e3, 1e6, 1e9];
/// How near to such a ratio is near.
const NEAR: f64 = 0.2;

/// Why two runs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// One has no request in its measured window.
    #[error("{0}: no request in the measured window")]
    Empty(String),
    /// One says itself that its figures do not say what they claim to.
    #[error("{name}: the run is INVALID ({}); --allow-invalid compares it all the same", codes.join(", "))]
    Invalid {
        /// Which.
        name: String,
        /// Codes of the reasons.
        codes: Vec<String>,
    },
    /// Pairing was asked for, and the plans are different.
    #[error("requests cannot be paired: {0}")]
    OtherPlan(String),
    /// Pairing was asked for, and what is not the policy's business differs.
    #[error("requests cannot be paired: the scenarios differ in what is not the policy: {}", .0.join(", "))]
    OtherKeys(Vec<String>),
    /// Times are in different units.
    #[error("{name}: its {what} are about {factor} times those of the other run: are they in another unit?")]
    OtherUnit {
        /// Which.
        name: String,
        /// Which times.
        what: &'static str,
        /// By how much they are larger.
        factor: &'static str,
    },
    /// One ends before the other begins.
    #[error("the runs do not overlap: {0} is measured from {1}, {2} from {3}")]
    NoOverlap(String, String, String, String),
}

/// Whether the two can be compared, and whether their requests are paired.
pub(super) fn check(a: &Subject, b: &Subject, options: &Options, notes: &mut Vec<String>) -> Result<bool, Refusal> {
    for one in [a, b] {
        not_empty(one)?;
        valid(one, options)?;
        notes.extend(suspicion(one));
    }
    if let (Records::Requests(of_a), Records::Requests(of_b)) = (&a.records, &b.records) {
        same_unit((a, of_a), (b, of_b))?;
        overlap((a, of_a), (b, of_b))?;
        notes.extend([(a, of_a), (b, of_b)].into_iter().filter_map(missing));
    }
    if a.time_scale != b.time_scale {
        notes.push(format!(
            "time scales {} and {}: margins of time are those of the larger",
            a.time_scale, b.time_scale
        ));
    }
    pairing(a, b, options, notes)
}

fn not_empty(one: &Subject) -> Result<(), Refusal> {
    let some = match &one.records {
        Records::Requests(recorded) => recorded.requests.iter().any(|request| recorded.measures(request)),
        Records::Summary(figures) => figures.requests > 0,
    };
    if some { Ok(()) } else { Err(Refusal::Empty(one.name.clone())) }
}

fn valid(one: &Subject, options: &Options) -> Result<(), Refusal> {
    match &one.validity {
        Some((verdict, codes)) if verdict == "INVALID" && !options.allow_invalid => {
            Err(Refusal::Invalid { name: one.name.clone(), codes: codes.clone() })
        }
        _ => Ok(()),
    }
}

fn suspicion(one: &Subject) -> Option<String> {
    let (verdict, codes) = one.validity.as_ref().filter(|(verdict, _)| verdict != "VALID")?;
    Some(format!("{} is {verdict} ({})", one.name, codes.join(", ")))
}

fn missing((one, recorded): (&Subject, &Recorded)) -> Option<String> {
    if recorded.missing.is_empty() {
        None
    } else {
        Some(format!("{} has no {}", one.name, recorded.missing.join(", ")))
    }
}

/// Spans of intended sends and mean response times that differ by a factor of 1000 to the some are of another unit, where
/// somebody else wrote one of them: in a run's own files units are never in doubt.
fn same_unit((a, of_a): (&Subject, &Recorded), (b, of_b): (&Subject, &Recorded)) -> Result<(), Refusal> {
    if a.kind.is_some() && b.kind.is_some() {
        return Ok(());
    }
    let spans = span(of_a).zip(span(of_b));
    let means = mean_response(of_a).zip(mean_response(of_b));
    // Response times may really be far apart; beside sends of the same span they are believed.
    for (what, pair) in [("intended sends", spans), ("response times", means.filter(|_| spans.is_none()))] {
        let Some((of_a, of_b)) = pair else { continue };
        let (larger, ratio) = if of_a > of_b { (a, of_a / of_b) } else { (b, of_b / of_a) };
        let near = UNIT_RATIOS.iter().position(|unit| (ratio / unit - 1.0).abs() < NEAR);
        if let Some(factor) = near.map(|i| ["1000", "1,000,000", "1,000,000,000"][i]) {
            return Err(Refusal::OtherUnit { name: larger.name.clone(), what, factor });
        }
    }
    Ok(())
}

/// When the last request was meant to be sent.
fn span(recorded: &Recorded) -> Option<f64> {
    let last = recorded.requests.iter().filter_map(|request| request.at).max()?;
    (last.0 > 0).then_some(last.0 as f64)
}

fn mean_response(recorded: &Recorded) -> Option<f64> {
    let responses = || recorded.requests.iter().filter_map(|request| request.response);
    let n = responses().count();
    (n > 0).then(|| responses().map(|response| response.0 as f64).sum::<f64>() / n as f64).filter(|mean| *mean > 0.0)
}

fn overlap((a, of_a): (&Subject, &Recorded), (b, of_b): (&Subject, &Recorded)) -> Result<(), Refusal> {
    let Some((in_a, in_b)) = of_a.window.zip(of_b.window) else { return Ok(()) };
    if in_a.start < in_b.end && in_b.start < in_a.end {
        return Ok(());
    }
    Err(Refusal::NoOverlap(a.name.clone(), in_a.to_string(), b.name.clone(), in_b.to_string()))
}

/// Whether to pair; refuses if that was asked for and cannot be.
fn pairing(a: &Subject, b: &Subject, options: &Options, notes: &mut Vec<String>) -> Result<bool, Refusal> {
    let why_not = match options.pairing {
        PairingWish::Never => return Ok(false),
        _ => different_plan(a, b),
    };
    let foreign_keys: Vec<String> =
        key_differences(a, b).into_iter().filter(|one| !one.is_policy()).map(|one| one.key).collect();
    let must = options.pairing == PairingWish::Must;
    match why_not {
        Some(why) if must => Err(Refusal::OtherPlan(why)),
        Some(why) => {
            notes.push(format!("requests are not paired, only distributions are compared: {why}"));
            Ok(false)
        }
        None if must && !foreign_keys.is_empty() => Err(Refusal::OtherKeys(foreign_keys)),
        None => {
            if !foreign_keys.is_empty() {
                notes.push(format!("not only the policy differs: {}", foreign_keys.join(", ")));
            }
            Ok(true)
        }
    }
}

/// Why the two were not asked the same things, or it cannot be known; none: they were.
fn different_plan(a: &Subject, b: &Subject) -> Option<String> {
    let (Records::Requests(of_a), Records::Requests(of_b)) = (&a.records, &b.records) else {
        return Some(
            "not both have a trace (a run directory with trace.csv; loadgen writes one with --log-requests)".to_owned(),
        );
    };
    if let (Some(one), Some(other)) = (&a.plan_sha256, &b.plan_sha256) {
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        return (one != other).then(|| format!("the plans are different ({}, {})", short(one), short(other)));
    }
    match pair::same_requests(of_a, of_b) {
        Ok(()) => None,
        Err(Mismatch::NothingInCommon) => Some("they have no request in common".to_owned()),
        Err(Mismatch::Unknown) => Some("without t_intended nobody knows which request is which".to_owned()),
        Err(Mismatch::Request(id)) => Some(match id.user_and_round() {
            Some((user, round)) => format!("request {round} of user {user} asks for something else"),
            None => format!("request {} is sent at another time, or asks for something else", id.0),
        }),
    }
}

/// Keys in which the scenarios differ; none where one is not known.
pub(super) fn key_differences(a: &Subject, b: &Subject) -> Vec<KeyDifference> {
    match (&a.scenario, &b.scenario) {
        (Some(of_a), Some(of_b)) => differences::between(of_a, of_b),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use galton_core::{Nanos, RequestId};

    use super::super::subject::{Asked, Ending, Request};
    use super::*;
    use crate::input::Kind;

    fn subject(name: &str, gap: u64, response: u64, n: u64) -> Subject {
        let request = |seq| Request {
            id: RequestId::open(seq),
            at: Some(Nanos(seq * gap)),
            end: Some(Nanos(seq * gap + response)),
            outcome: Some(Ending::Ok),
            response: Some(Nanos(response)),
            service: None,
            hold: None,
            overhead: None,
            attempts: None,
            target: None,
            asked: Asked::default(),
        };
        let requests = (0..n).map(request).collect();
        let recorded = Recorded { requests, window: None, timeout: None, fleet: None, missing: Vec::new() };
        Subject {
            name: name.to_owned(),
            kind: None,
            time_scale: 1.0,
            plan_sha256: None,
            scenario: None,
            validity: None,
            records: Records::Requests(recorded),
        }
    }

    fn checked(a: &Subject, b: &Subject, pairing: PairingWish) -> Result<bool, String> {
        let options = Options { pairing, ..Options::default() };
        check(a, b, &options, &mut Vec::new()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn requests_are_paired_where_they_are_the_same() {
        let (a, b) = (subject("a", 1_000, 50, 10), subject("b", 1_000, 70, 10));
        assert_eq!(checked(&a, &b, PairingWish::Auto), Ok(true));
        assert_eq!(checked(&a, &b, PairingWish::Never), Ok(false));
        let other = subject("c", 1_100, 70, 10);
        assert_eq!(checked(&a, &other, PairingWish::Auto), Ok(false));
        assert!(checked(&a, &other, PairingWish::Must).unwrap_err().contains("request 1 is sent at another time"));
        let hashed = |hash: &str| Subject { plan_sha256: Some(hash.to_owned()), ..a.clone() };
        assert!(checked(&hashed("x"), &hashed("y"), PairingWish::Must).unwrap_err().contains("(x, y)"));
    }

    #[test]
    fn what_cannot_be_compared_is_refused_with_its_name() {
        let a = subject("a", 1_000_000, 50_000, 10);
        let refused = |b: &Subject| checked(&a, b, PairingWish::Auto).unwrap_err();
        assert!(refused(&subject("b", 1, 1, 0)).starts_with("b: no request"));
        assert!(refused(&subject("b", 1, 1, 10)).starts_with("a: its intended sends are about 1,000,000 times"));
        let invalid = Subject {
            validity: Some(("INVALID".to_owned(), vec!["CONSERVATION".to_owned()])),
            ..subject("b", 1_000_000, 50_000, 10)
        };
        assert!(refused(&invalid).contains("CONSERVATION"));
        let options = Options { allow_invalid: true, ..Options::default() };
        assert!(check(&a, &invalid, &options, &mut Vec::new()).is_ok());
    }

    #[test]
    fn a_run_may_be_a_thousand_times_as_long_as_another() {
        let own = |gap| Subject { kind: Some(Kind::Simulated), ..subject("a", gap, 50, 10) };
        assert_eq!(checked(&own(1_000), &own(1_000_000), PairingWish::Never), Ok(false));
        let foreign = subject("b", 1_000_000, 50, 10);
        assert!(checked(&own(1_000), &foreign, PairingWish::Never).unwrap_err().contains("another unit"));
    }

    #[test]
    fn pairing_on_demand_wants_the_policy_alone_to_differ() {
        let with = |value: serde_json::Value| Subject { scenario: Some(value), ..subject("a", 1_000, 50, 10) };
        let a = with(serde_json::json!({"load_balancer": {"hosts": 1}, "targets": {"n": 1}}));
        let policy = with(serde_json::json!({"load_balancer": {"hosts": 2}, "targets": {"n": 1}}));
        let targets = with(serde_json::json!({"load_balancer": {"hosts": 1}, "targets": {"n": 2}}));
        assert_eq!(checked(&a, &policy, PairingWish::Must), Ok(true));
        assert!(checked(&a, &targets, PairingWish::Must).unwrap_err().contains("targets.n"));
        assert_eq!(checked(&a, &targets, PairingWish::Auto), Ok(true));
    }
}
