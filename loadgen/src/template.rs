//! What all requests of a run have in common, and what each has of its own.

use bytes::Bytes;
use galton_core::wire::header;
use galton_runtime::http1::{self, Framing, put_header};
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

/// Bytes of the headers that a request has of its own.
const OWN_BYTES: usize = 200;

const SEQ: HeaderName = HeaderName::from_static(header::SEQ);
const DEADLINE_NS: HeaderName = HeaderName::from_static(header::DEADLINE_NS);
const HOLD_NS: HeaderName = HeaderName::from_static(header::HOLD_NS);
const CPU: HeaderName = HeaderName::from_static(header::CPU);
const KEY: HeaderName = HeaderName::from_static(header::KEY);

/// What all requests of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    method: Method,
    uri: Uri,
    /// Of HTTP/2: all that a request has, with places for what is its own: a copy of a map costs less than to fill one.
    headers: HeaderMap,
    /// Of HTTP/1.1: request line and headers, without what is a request's own.
    common: Vec<u8>,
    body: Bytes,
    demands: Demands,
}

/// Which demands are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demands {
    /// The hold time.
    pub(crate) hold: bool,
    /// The CPU.
    pub(crate) cpu: bool,
    /// A key.
    pub(crate) key: bool,
}

/// What one request has of its own, in machine time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask {
    /// [`galton_core::RequestId`].
    pub(crate) request: u64,
    /// Hold time.
    pub(crate) hold_ns: u64,
    /// CPU units.
    pub(crate) cpu: f64,
    /// Key.
    pub(crate) key: Option<u32>,
    /// The deadline that travels with it.
    pub(crate) deadline_ns: u64,
    /// When we give up ourselves.
    pub(crate) give_up_ns: u64,
}

/// Puts a value in the place that the template left for it; an insertion would make the map grow first.
fn fill(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    if let Some(place) = headers.get_mut(name) {
        *place = value;
    }
}

// === impl Template ===

impl Template {
    /// For HTTP/1.1 the URI is path and query and `host` is among the headers; for HTTP/2 the URI is whole. How long the body
    /// is is said here alone.
    pub(crate) fn new(method: Method, uri: Uri, mut headers: HeaderMap, body: Bytes, demands: Demands) -> Self {
        headers.remove(TRANSFER_ENCODING);
        headers.remove(CONTENT_LENGTH);
        // RFC 9110, section 8.6.
        if !body.is_empty() || method == Method::POST || method == Method::PUT {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let own = [(SEQ, true), (DEADLINE_NS, true), (HOLD_NS, demands.hold), (CPU, demands.cpu), (KEY, demands.key)];
        let own = own.into_iter().filter_map(|(name, sent)| sent.then_some(name));
        // One that is not a request's own is everybody's.
        own.clone().for_each(|name| drop(headers.remove(name)));
        let mut common = format!("{method} {uri} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &headers {
            put_header(&mut common, name.as_str().as_bytes(), value.as_bytes());
        }
        for name in own {
            headers.insert(name, HeaderValue::from_static(""));
        }
        Self { method, uri, headers, common, body, demands }
    }

    /// A request of HTTP/1.1.
    pub(crate) fn head(&self, ask: Ask) -> Vec<u8> {
        let mut head = Vec::with_capacity(self.common.len() + OWN_BYTES);
        head.extend_from_slice(&self.common);
        self.own(ask, |name, value| put_header(&mut head, name.as_str().as_bytes(), value.as_bytes()));
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The same with its body; the headers of the response go into this map.
    pub(crate) fn with_head<'a>(&self, head: &'a [u8], headers: HeaderMap) -> http1::Request<'a, Full<Bytes>> {
        let framing = Framing::Length(self.body.len() as u64);
        let head_only = self.method == Method::HEAD;
        http1::Request { head, framing, body: Full::new(self.body.clone()), head_only, headers }
    }

    /// A request of HTTP/2.
    pub(crate) fn request(&self, ask: Ask) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let mut headers = self.headers.clone();
        self.own(ask, |name, value| fill(&mut headers, name, value));
        *request.headers_mut() = headers;
        request
    }

    /// What a request has of its own.
    fn own(&self, ask: Ask, mut put: impl FnMut(&HeaderName, HeaderValue)) {
        put(&SEQ, ask.request.into());
        put(&DEADLINE_NS, ask.deadline_ns.into());
        if self.demands.hold {
            put(&HOLD_NS, ask.hold_ns.into());
        }
        if self.demands.cpu {
            put(&CPU, HeaderValue::try_from(ask.cpu.to_string()).expect("a printed number is a header value"));
        }
        if let Some(key) = ask.key.filter(|_| self.demands.key) {
            put(&KEY, key.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(demands: Demands) -> Template {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("a"));
        headers.insert(HOLD_NS, HeaderValue::from_static("0"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("77"));
        Template::new(Method::POST, Uri::from_static("/x?y"), headers, Bytes::from_static(b"body"), demands)
    }

    #[test]
    fn a_request_has_the_headers_of_all_and_its_own() {
        let ask = Ask { request: 7, hold_ns: 9, cpu: 0.5, key: Some(3), deadline_ns: 11, give_up_ns: 0 };
        let common = "POST /x?y HTTP/1.1\r\nhost: a\r\n";
        let length = "content-length: 4\r\n";
        let own = "galton-seq: 7\r\ngalton-deadline-ns: 11\r\n";
        let cases = [
            (false, format!("{common}galton-hold-ns: 0\r\n{length}{own}\r\n")),
            (true, format!("{common}{length}{own}galton-hold-ns: 9\r\ngalton-cpu: 0.5\r\ngalton-key: 3\r\n\r\n")),
        ];
        for (sent, expected) in cases {
            let template = template(Demands { hold: sent, cpu: sent, key: sent });
            assert_eq!(String::from_utf8(template.head(ask)).unwrap(), expected);
            let request = template.request(ask);
            assert_eq!(request.headers()["galton-hold-ns"], if sent { "9" } else { "0" });
            assert_eq!(
                (request.headers()["galton-seq"].as_bytes(), &request.headers()["content-length"]),
                (&b"7"[..], &HeaderValue::from_static("4"))
            );
        }
    }
}
