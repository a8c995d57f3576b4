//! Which headers go through, which are dropped and which are added, in both directions. Pure.
//!
//! Hop-by-hop headers end here (RFC 9110, section 7.6.1), `Host` is kept, the chain of proxies is extended.

use galton_core::wire::header;
use galton_core::{Outcome, RequestId, TargetId};
use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    COOKIE, DATE, EXPECT, EXPIRES, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LOCATION, MAX_FORWARDS, PRAGMA, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RANGE, RETRY_AFTER, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, VIA, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, response};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What ends at this hop, whether or not `Connection` names it. `Expect` as well: this proxy answers it itself.
static HOP_BY_HOP: [HeaderName; 7] = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, EXPECT];

const SEQ: HeaderName = HeaderName::from_static(header::SEQ);
const DEADLINE_NS: HeaderName = HeaderName::from_static(header::DEADLINE_NS);
const OUTCOME: HeaderName = HeaderName::from_static(header::OUTCOME);
const ATTEMPTS: HeaderName = HeaderName::from_static(header::ATTEMPTS);
const TARGET: HeaderName = HeaderName::from_static(header::TARGET);
const RECV_NS: HeaderName = HeaderName::from_static(header::RECV_NS);
const DONE_NS: HeaderName = HeaderName::from_static(header::DONE_NS);
const OVERHEAD_NS: HeaderName = HeaderName::from_static(header::OVERHEAD_NS);

/// What must not come as a trailer (RFC 9110, section 6.5.1), beside what ends at this hop: it would change how the message is
/// framed, routed, judged or read after that has been done.
static NOT_TRAILERS: [HeaderName; 33] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    MAX_FORWARDS,
    PRAGMA,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    RANGE,
    TRAILER,
    WWW_AUTHENTICATE,
    AGE,
    DATE,
    EXPIRES,
    LOCATION,
    RETRY_AFTER,
    SET_COOKIE,
    VARY,
    VIA,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    OUTCOME,
    TARGET,
];

/// What a client asks of the proxy itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The key of the request's coins and records.
    pub(crate) request: Option<RequestId>,
    /// Its deadline, machine nanoseconds.
    pub(crate) deadline_ns: Option<u64>,
}

/// Reads `galton-seq` and `galton-deadline-ns`; what cannot be read is as good as absent.
pub(crate) fn asked(headers: &HeaderMap) -> Asked {
    let number = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    Asked { request: number(SEQ).map(RequestId), deadline_ns: number(DEADLINE_NS) }
}

/// Makes a client's request headers those of the request to a target; `peer`: the client's address. There is one `Host`.
///
/// `Expect` is dropped with the hop-by-hop ones: this proxy itself says `100 Continue` when it reads the body. Trailers are
/// forwarded, so it accepts them where its client does (RFC 9110, section 10.1.4).
pub(crate) fn to_target(headers: &mut HeaderMap, version: Version, peer: &HeaderValue) {
    if has_hop_by_hop(headers) {
        let trailers = headers.get_all(TE).iter().any(accepts_trailers);
        strip_hop_by_hop(headers);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
    }
    append_via(headers, version);
    append_forwarded_for(headers, peer);
    // What this hop knows for sure; what the client says of an earlier one it may have made up.
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Makes a target's response headers those of the response to the client.
pub(crate) fn to_client(head: &mut response::Parts) {
    if has_hop_by_hop(&head.headers) {
        strip_hop_by_hop(&mut head.headers);
    }
    if head.status == StatusCode::NO_CONTENT {
        // Must not be there (RFC 9110, section 8.6).
        head.headers.remove(CONTENT_LENGTH);
    }
    append_via(&mut head.headers, head.version);
}

/// Leaves of trailers what may be one, in both directions.
pub(crate) fn keep_trailers(trailers: &mut HeaderMap) {
    for name in HOP_BY_HOP.iter().chain(&NOT_TRAILERS) {
        trailers.remove(name);
    }
}

/// Whether a response can be handed on: nobody asked for another protocol or for a coding but chunked.
pub(crate) fn forwardable(head: &response::Parts) -> bool {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    head.status != StatusCode::SWITCHING_PROTOCOLS
        && codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

/// Whether a target refused, being full.
pub(crate) fn refused(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE
        && headers.get(OUTCOME).is_some_and(|v| v.as_bytes() == galton_core::wire::FULL.as_bytes())
}

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

fn accepts_trailers(value: &HeaderValue) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// One look at each name is cheaper than one for each name that may be there, and most heads have none of them.
fn has_hop_by_hop(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| HOP_BY_HOP.contains(name))
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Named by `Connection` first, while it is there; it is rare enough that the allocation does not matter.
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    if headers.contains_key(TRANSFER_ENCODING) {
        // The coding alone says how long it is (RFC 9112, section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    // A client must not be able to strip what makes the request whole.
    for name in named.iter().filter(|name| **name != HOST && **name != CONTENT_LENGTH) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn append_via(headers: &mut HeaderMap, version: Version) {
    let via = match version {
        Version::HTTP_2 => "2.0 galton",
        Version::HTTP_10 => "1.0 galton",
        _ => "1.1 galton",
    };
    headers.append(VIA, HeaderValue::from_static(via));
}

fn append_forwarded_for(headers: &mut HeaderMap, peer: &HeaderValue) {
    let mut chain = Vec::new();
    for earlier in headers.get_all(X_FORWARDED_FOR) {
        chain.extend_from_slice(earlier.as_bytes());
        chain.extend_from_slice(b", ");
    }
    if chain.is_empty() {
        headers.insert(X_FORWARDED_FOR, peer.clone());
        return;
    }
    chain.extend_from_slice(peer.as_bytes());
    headers.insert(X_FORWARDED_FOR, HeaderValue::from_bytes(&chain).expect("joined from values of headers"));
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

    fn map(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn hop_by_hop_headers_end_here_and_the_rest_goes_through() {
        let mut headers = map(&[
            ("host", "example.org"),
            ("connection", "keep-alive, X-Secret"),
            ("connection", "content-length"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("content-length", "3"),
            ("galton-hold-ns", "7"),
        ]);
        to_target(&mut headers, Version::HTTP_11, &HeaderValue::from_static("10.0.0.9"));
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let forwarded = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
        assert_eq!(names, [&["content-length", "galton-hold-ns", "host", "via"][..], &forwarded].concat());
        assert_eq!(headers["host"], "example.org");
        assert_eq!(headers["via"], "1.1 galton");
        assert_eq!(forwarded.map(|name| &headers[name]), ["10.0.0.9", "example.org", "http"]);
    }

    #[test]
    fn what_a_coding_frames_has_no_length_of_its_own() {
        let (mut head, ()) = http::Response::new(()).into_parts();
        head.headers = map(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        to_client(&mut head);
        assert_eq!(head.headers.keys().collect::<Vec<_>>(), ["via"]);
    }

    #[test]
    fn trailers_change_nothing_that_has_been_decided() {
        let mut trailers = map(&[
            ("checksum", "7"),
            ("authorization", "Basic x"),
            ("connection", "close"),
            ("x-forwarded-for", "6.6.6.6"),
            ("galton-outcome", "ok"),
        ]);
        keep_trailers(&mut trailers);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["checksum"]);
    }

    #[test]
    fn the_chain_of_proxies_grows() {
        let mut headers = map(&[("via", "1.0 first"), ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")]);
        to_target(&mut headers, Version::HTTP_10, &HeaderValue::from_static("3.3.3.3"));
        assert_eq!(headers.get_all("via").iter().collect::<Vec<_>>(), ["1.0 first", "1.0 galton"]);
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 3.3.3.3");
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
    }

    #[test]
    fn trailers_are_accepted_where_the_client_does() {
        let mut headers = map(&[("te", "gzip;q=0.5, Trailers"), ("connection", "te")]);
        to_target(&mut headers, Version::HTTP_2, &HeaderValue::from_static("3.3.3.3"));
        assert_eq!((&headers["te"], &headers["connection"]), (&"trailers".parse().unwrap(), &"te".parse().unwrap()));
        assert_eq!(headers["via"], "2.0 galton");
    }

    #[test]
    fn what_nobody_asked_for_is_not_handed_on() {
        let response = |status, coding: &[(&'static str, &'static str)]| {
            let (mut head, ()) = http::Response::new(()).into_parts();
            (head.status, head.headers) = (status, map(coding));
            head
        };
        assert!(forwardable(&response(StatusCode::OK, &[("transfer-encoding", "chunked")])));
        assert!(!forwardable(&response(StatusCode::OK, &[("transfer-encoding", "gzip, chunked")])));
        assert!(!forwardable(&response(StatusCode::SWITCHING_PROTOCOLS, &[])));
        let mut empty = response(StatusCode::NO_CONTENT, &[("content-length", "0")]);
        to_client(&mut empty);
        assert!(!empty.headers.contains_key("content-length"));
    }

    #[test]
    fn a_verdict_overrides_what_the_target_claims() {
        let mut headers = map(&[("galton-outcome", "ok"), ("galton-target", "t-009")]);
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

    #[test]
    fn only_the_galton_503_is_a_refusal() {
        let full = map(&[("galton-outcome", "full")]);
        assert!(refused(StatusCode::SERVICE_UNAVAILABLE, &full));
        assert!(!refused(StatusCode::OK, &full));
        assert!(!refused(StatusCode::SERVICE_UNAVAILABLE, &map(&[])));
    }

    #[test]
    fn unreadable_requests_to_the_proxy_are_absent() {
        let headers = map(&[("galton-seq", "17"), ("galton-deadline-ns", "soon")]);
        assert_eq!(asked(&headers), Asked { request: Some(RequestId(17)), deadline_ns: None });
    }
}
