//! What the proxy says about a response, in its headers.

use galton_core::wire::header;
use galton_core::{Outcome, TargetId};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

const OUTCOME: HeaderName = HeaderName::from_static(header::OUTCOME);
const ATTEMPTS: HeaderName = HeaderName::from_static(header::ATTEMPTS);
const TARGET: HeaderName = HeaderName::from_static(header::TARGET);
const RECV_NS: HeaderName = HeaderName::from_static(header::RECV_NS);
const DONE_NS: HeaderName = HeaderName::from_static(header::DONE_NS);
const OVERHEAD_NS: HeaderName = HeaderName::from_static(header::OVERHEAD_NS);

/// What the proxy says about a response.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// How the request ended, as far as the head can tell.
    pub(crate) outcome: Outcome,
    /// Dispatches.
    pub(crate) attempts: u32,
    /// The target that serves, or the last one tried.
    pub(crate) target: Option<HeaderValue>,
    /// When the head of the request was there, machine nanoseconds.
    pub(crate) recv_ns: u64,
    /// When the head of the response was there, machine nanoseconds.
    pub(crate) done_ns: u64,
    /// Time at the load balancer outside of the serving attempt, machine nanoseconds.
    pub(crate) overhead_ns: u64,
    /// Whether the times are written.
    pub(crate) timed: bool,
}

// === impl Verdict ===

impl Verdict {
    /// Writes it into the response's headers, over whatever a target claimed.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(OUTCOME, outcome(self.outcome));
        headers.insert(ATTEMPTS, attempts(self.attempts));
        if self.timed {
            headers.insert(RECV_NS, self.recv_ns.into());
            headers.insert(DONE_NS, self.done_ns.into());
            headers.insert(OVERHEAD_NS, self.overhead_ns.into());
        }
        match self.target {
            Some(target) => headers.insert(TARGET, target),
            None => headers.remove(TARGET),
        };
        if matches!(self.outcome, Outcome::Rejected(_)) {
            // Capacity frees up within seconds or not at all; a plain client should not hammer in between.
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
}

/// A target's name.
pub(crate) fn target(target: TargetId) -> HeaderValue {
    display(&target)
}

fn outcome(outcome: Outcome) -> HeaderValue {
    if outcome == Outcome::Ok { HeaderValue::from_static("ok") } else { display(&outcome) }
}

fn attempts(attempts: u32) -> HeaderValue {
    if attempts == 1 { HeaderValue::from_static("1") } else { attempts.into() }
}

fn display(value: &impl std::fmt::Display) -> HeaderValue {
    HeaderValue::from_str(&value.to_string()).expect("outcomes and target names are ASCII")
}

#[cfg(test)]
mod tests {
    use galton_core::RejectReason;

    use super::*;

    #[test]
    fn a_verdict_overrides_what_the_target_claims() {
        let mut headers = HeaderMap::new();
        headers.insert("galton-outcome", HeaderValue::from_static("ok"));
        headers.insert("galton-target", HeaderValue::from_static("t-009"));
        let outcome = Outcome::Rejected(RejectReason::NoCapacity);
        Verdict { outcome, attempts: 0, target: None, recv_ns: 5, done_ns: 9, overhead_ns: 4, timed: true }
            .write(&mut headers);
        assert_eq!(headers["galton-outcome"], outcome.to_string());
        assert_eq!(headers["galton-attempts"], "0");
        assert_eq!(headers["galton-recv-ns"], "5");
        assert_eq!(headers["galton-done-ns"], "9");
        assert_eq!(headers["galton-overhead-ns"], "4");
        assert_eq!(headers["retry-after"], "1");
        assert!(!headers.contains_key("galton-target"));
    }
}
