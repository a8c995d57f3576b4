//! Which headers go through, which are dropped and which are added, in both directions. Pure.
//!
//! Hop-by-hop headers end here (RFC 9110, section 7.6.1), `Host` is kept, the chain of proxies is extended.

use galton_core::RequestId;
use galton_core::wire::header;
use galton_runtime::http1::put_header;
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

/// What this hop says anew.
static FORWARDED: [HeaderName; 3] = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];

const SEQ: HeaderName = HeaderName::from_static(header::SEQ);
const DEADLINE_NS: HeaderName = HeaderName::from_static(header::DEADLINE_NS);
const OUTCOME: HeaderName = HeaderName::from_static(header::OUTCOME);
const TARGET: HeaderName = HeaderName::from_static(header::TARGET);

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

/// Which headers a request has of those that something depends on. One walk over all names costs less than a search for each
/// that may be there, and most requests have none of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given {
    /// `galton-seq` or `galton-deadline-ns`.
    asks: bool,
    /// `Expect`.
    pub(crate) expectation: bool,
    /// `Transfer-Encoding`.
    pub(crate) coding: bool,
    /// `Content-Length`.
    pub(crate) length: bool,
    /// One that ends at this hop.
    ends_here: bool,
    /// One of [`FORWARDED`].
    forwarded: bool,
}

/// What a client asks of the proxy itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The key of the request's coins and records.
    pub(crate) request: Option<RequestId>,
    /// Its deadline, machine nanoseconds.
    pub(crate) deadline_ns: Option<u64>,
}

/// Reads `galton-seq` and `galton-deadline-ns`; what cannot be read is as good as absent.
pub(crate) fn asked(headers: &HeaderMap, given: Given) -> Asked {
    if !given.asks {
        return Asked::default();
    }
    let number = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    Asked { request: number(SEQ).map(RequestId), deadline_ns: number(DEADLINE_NS) }
}

/// Writes the headers of the request to a target, from those of a client's; `peer`: the client's address. There is one `Host`.
///
/// `Expect` is dropped with the hop-by-hop ones: this proxy itself says `100 Continue` when it reads the body. Trailers are
/// forwarded, so it accepts them where its client does (RFC 9110, section 10.1.4).
pub(crate) fn to_target(headers: &HeaderMap, given: Given, version: Version, peer: &HeaderValue, head: &mut Vec<u8>) {
    let mut put = |name: &HeaderName, value: &[u8]| put_header(head, name.as_str().as_bytes(), value);
    let ended = given.ends_here.then(|| Ended::of(headers));
    for (name, value) in headers {
        let ends_here = ended.as_ref().is_some_and(|ended| ended.contains(name));
        // What this hop says itself is put below.
        let said_anew = given.forwarded && FORWARDED.contains(name);
        if !ends_here && !said_anew {
            put(name, value.as_bytes());
        }
    }
    if ended.is_some() && headers.get_all(TE).iter().any(accepts_trailers) {
        put(&TE, b"trailers");
        put(&CONNECTION, b"te");
    }
    put(&VIA, via(version).as_bytes());
    match given.forwarded {
        true => put(&X_FORWARDED_FOR, &chain(headers, peer)),
        false => put(&X_FORWARDED_FOR, peer.as_bytes()),
    }
    // What this hop knows for sure; what the client says of an earlier one it may have made up.
    put(&X_FORWARDED_PROTO, b"http");
    if let Some(host) = headers.get(HOST) {
        put(&X_FORWARDED_HOST, host.as_bytes());
    }
}

/// Makes a target's response headers those of the response to the client.
pub(crate) fn to_client(head: &mut response::Parts) {
    if head.headers.keys().any(|name| ends_here(name.as_str())) {
        Ended::of(&head.headers).strip(&mut head.headers);
    }
    if head.status == StatusCode::NO_CONTENT {
        // Must not be there (RFC 9110, section 8.6).
        head.headers.remove(CONTENT_LENGTH);
    }
    head.headers.append(VIA, HeaderValue::from_static(via(head.version)));
}

/// Leaves of trailers what may be one, in both directions.
pub(crate) fn keep_trailers(trailers: &mut HeaderMap) {
    for name in HOP_BY_HOP.iter().chain(&NOT_TRAILERS) {
        trailers.remove(name);
    }
}

/// Whether a target refused, being full.
pub(crate) fn refused(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE
        && headers.get(OUTCOME).is_some_and(|v| v.as_bytes() == galton_core::wire::FULL.as_bytes())
}

/// Which headers of a message end at this hop.
#[derive(Debug)]
struct Ended {
    /// By `Connection`. Rare enough that the allocation does not matter.
    named: Vec<HeaderName>,
    /// The coding alone says how long it is (RFC 9112, section 6.3).
    coded: bool,
}

// === impl Given ===

impl Given {
    /// What these have.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut given = Self::default();
        for name in headers.keys().map(HeaderName::as_str) {
            match name {
                header::SEQ | header::DEADLINE_NS => given.asks = true,
                "content-length" => given.length = true,
                "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto" => given.forwarded = true,
                name if ends_here(name) => {
                    given.ends_here = true;
                    given.expectation |= name == "expect";
                    given.coding |= name == "transfer-encoding";
                }
                _ => {}
            }
        }
        given
    }
}

/// One of [`HOP_BY_HOP`].
fn ends_here(name: &str) -> bool {
    matches!(name, "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade" | "expect")
}

// === impl Ended ===

impl Ended {
    fn of(headers: &HeaderMap) -> Self {
        let connection = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
        let named = connection
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close"))
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            // A client must not be able to strip what makes the request whole.
            .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
            .collect();
        Self { named, coded: headers.contains_key(TRANSFER_ENCODING) }
    }

    fn contains(&self, name: &HeaderName) -> bool {
        HOP_BY_HOP.contains(name) || self.named.contains(name) || self.coded && *name == CONTENT_LENGTH
    }

    fn strip(&self, headers: &mut HeaderMap) {
        for name in HOP_BY_HOP.iter().chain(&self.named) {
            headers.remove(name);
        }
        if self.coded {
            headers.remove(CONTENT_LENGTH);
        }
    }
}

fn accepts_trailers(value: &HeaderValue) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2.0 galton",
        Version::HTTP_10 => "1.0 galton",
        _ => "1.1 galton",
    }
}

/// All that were forwarded for, this hop's client last.
fn chain(headers: &HeaderMap, peer: &HeaderValue) -> Vec<u8> {
    let earlier = headers.get_all(X_FORWARDED_FOR).iter();
    earlier.chain([peer]).map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    /// What a target gets, as it is parsed.
    fn sent(received: &HeaderMap, version: Version, peer: &'static str) -> HeaderMap {
        let mut head = Vec::new();
        to_target(received, Given::of(received), version, &HeaderValue::from_static(peer), &mut head);
        let mut sent = HeaderMap::new();
        for line in std::str::from_utf8(&head).unwrap().lines() {
            let (name, value) = line.split_once(": ").unwrap();
            sent.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        sent
    }

    #[test]
    fn a_walk_finds_what_a_search_would() {
        for name in &HOP_BY_HOP {
            assert!(
                ends_here(name.as_str()) && Given::of(&map(&[(name.as_str().to_owned().leak(), "x")])).ends_here,
                "{name}"
            );
        }
        assert!(FORWARDED.iter().all(|name| Given::of(&map(&[(name.as_str().to_owned().leak(), "x")])).forwarded));
        let none = Given::of(&map(&[("host", "a"), ("via", "x"), ("accept", "y")]));
        assert!(!none.asks && !none.length && !none.forwarded && !none.ends_here && !none.coding && !none.expectation);
        let all = Given::of(&map(&[
            ("galton-seq", "1"),
            ("content-length", "2"),
            ("transfer-encoding", "x"),
            ("expect", "y"),
        ]));
        assert!(all.asks && all.length && all.coding && all.expectation);
    }

    #[test]
    fn hop_by_hop_headers_end_here_and_the_rest_goes_through() {
        let received = map(&[
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
        let headers = sent(&received, Version::HTTP_11, "10.0.0.9");
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
        let received = map(&[("via", "1.0 first"), ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")]);
        let headers = sent(&received, Version::HTTP_10, "3.3.3.3");
        assert_eq!(headers.get_all("via").iter().collect::<Vec<_>>(), ["1.0 first", "1.0 galton"]);
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 3.3.3.3");
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
    }

    #[test]
    fn trailers_are_accepted_where_the_client_does() {
        let headers = sent(&map(&[("te", "gzip;q=0.5, Trailers"), ("connection", "te")]), Version::HTTP_2, "3.3.3.3");
        assert_eq!((&headers["te"], &headers["connection"]), (&"trailers".parse().unwrap(), &"te".parse().unwrap()));
        assert_eq!(headers["via"], "2.0 galton");
    }

    #[test]
    fn an_answer_without_content_has_no_length() {
        let (mut head, ()) = http::Response::new(()).into_parts();
        (head.status, head.headers) = (StatusCode::NO_CONTENT, map(&[("content-length", "0")]));
        to_client(&mut head);
        assert!(!head.headers.contains_key("content-length"));
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
        assert_eq!(asked(&headers, Given::of(&headers)), Asked { request: Some(RequestId(17)), deadline_ns: None });
    }
}
