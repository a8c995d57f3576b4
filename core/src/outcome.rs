//! How a request ended. A failed request is data, not an `Err`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How an offered request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A target did the work.
    Ok,
    /// The load balancer gave up because nobody had room (503).
    Rejected(RejectReason),
    /// The deadline passed first (504); its response time is censored.
    TimedOut,
    /// Something broke.
    Failed(FailReason),
    /// The load generator dropped it at its own cap on requests in flight.
    Shed,
    /// Still in flight when the run ended.
    Unfinished,
}

/// Why the load balancer gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Mode `fail`, and something was tried; or, in any mode, the body of what was refused cannot be sent again.
    RetriesExhausted,
    /// Nothing could be tried, or the scaler refused.
    NoCapacity,
    /// The target started for this request was full by the time it was ready.
    NewTargetFull,
    /// The target started for this request did not come up.
    StartFailed,
    /// The host's queue was full.
    QueueFull,
    /// The request waited in the host's queue for as long as it may.
    QueueTimeout,
}

/// What broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// No connection.
    Connect,
    /// The connection broke before the whole response was there.
    Reset,
    /// A status ≥ 400 from a server that is not Galton's, or a refusal that may not be retried.
    Http,
    /// The attempt took longer than one may, and could not be made again.
    Timeout,
    /// The proxy's process had no room for it: no policy saw it (503).
    Overloaded,
}

impl RejectReason {
    /// Every reason, in the order of reports.
    pub const ALL: [Self; 6] = [
        Self::RetriesExhausted,
        Self::NoCapacity,
        Self::NewTargetFull,
        Self::StartFailed,
        Self::QueueFull,
        Self::QueueTimeout,
    ];

    /// The name in reports, traces and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "retries_exhausted",
            Self::NoCapacity => "no_capacity",
            Self::NewTargetFull => "new_target_full",
            Self::StartFailed => "start_failed",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
        }
    }
}

impl FailReason {
    /// Every reason, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Connect, Self::Reset, Self::Http, Self::Timeout, Self::Overloaded];

    /// The name in reports, traces and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Http => "http",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
        }
    }
}

impl Outcome {
    /// The name of the class: `ok`, `rejected`, `timed_out`, `failed`, `shed`, `unfinished`.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected(_) => "rejected",
            Self::TimedOut => "timed_out",
            Self::Failed(_) => "failed",
            Self::Shed => "shed",
            Self::Unfinished => "unfinished",
        }
    }

    /// The reason within the class; empty where the class says it all.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Rejected(r) => r.as_str(),
            Self::Failed(r) => r.as_str(),
            _ => "",
        }
    }

    /// From the names of class and reason.
    pub fn from_names(class: &str, reason: &str) -> Option<Self> {
        Some(match class {
            "ok" => Self::Ok,
            "rejected" => Self::Rejected(RejectReason::ALL.into_iter().find(|r| r.as_str() == reason)?),
            "timed_out" => Self::TimedOut,
            "failed" => Self::Failed(FailReason::ALL.into_iter().find(|r| r.as_str() == reason)?),
            "shed" => Self::Shed,
            "unfinished" => Self::Unfinished,
            _ => return None,
        })
    }
}

/// `ok`, `timed_out`, `rejected;reason=no_capacity`: the value of the `galton-outcome` header.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => f.write_str(self.class()),
            reason => write!(f, "{};reason={reason}", self.class()),
        }
    }
}

/// A `galton-outcome` that names no outcome.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} names no outcome")]
pub struct NotAnOutcome(String);

impl FromStr for Outcome {
    type Err = NotAnOutcome;
    fn from_str(s: &str) -> Result<Self, NotAnOutcome> {
        let (class, reason) = s.split_once(";reason=").unwrap_or((s, ""));
        Self::from_names(class, reason).ok_or_else(|| NotAnOutcome(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_round_trips_through_the_header() {
        let rejected = RejectReason::ALL.map(Outcome::Rejected);
        let failed = FailReason::ALL.map(Outcome::Failed);
        let plain = [Outcome::Ok, Outcome::TimedOut, Outcome::Shed, Outcome::Unfinished];
        for outcome in rejected.into_iter().chain(failed).chain(plain) {
            assert_eq!(outcome.to_string().parse::<Outcome>().unwrap(), outcome);
        }
        assert!("rejected".parse::<Outcome>().is_err());
        assert!("rejected;reason=x".parse::<Outcome>().is_err());
    }
}
