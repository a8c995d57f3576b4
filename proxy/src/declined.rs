//! Why the proxy itself answers a request instead of a target, and with what.

use bytes::Bytes;
use galton_core::wire::header;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};

const ERROR: HeaderName = HeaderName::from_static(header::ERROR);

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declined {
    /// There is no host yet.
    NotStarted,
    /// No room for another request.
    Overloaded,
    /// `CONNECT`: this is no tunnel.
    Connect,
    /// `Max-Forwards: 0`, and this is no origin server (RFC 9110, section 7.6.2).
    LastHop,
    /// A request-target of a form that its method does not have (RFC 9112, section 3.2).
    TargetInvalid,
    /// The request-target is too long.
    UriTooLong,
    /// No `Host`, and nothing in its stead (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
    HostMissing,
    /// More than one `Host`, or one that contradicts `:authority`.
    HostAmbiguous,
    /// A `Host` that names no host.
    HostInvalid,
    /// A body whose length cannot be told for sure (RFC 9112, section 6.3).
    LengthInvalid,
    /// A transfer coding other than chunked (RFC 9112, section 6.1).
    CodingUnknown,
    /// An expectation other than `100-continue` (RFC 9110, section 10.1.1).
    ExpectationUnknown,
    /// The body is longer than it may be.
    BodyTooLarge,
    /// The client stopped within the body.
    BodyTimeout,
    /// The client broke off within the body, or its framing is not what it should be.
    BodyBroken,
}

/// The whole answer to a client that does not complete the head of a request. There is no request to answer by way of the
/// HTTP library, so this and the next two are written as they are.
pub(crate) const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ngalton-error: head_timeout\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";

/// To what is no HTTP.
pub(crate) const MALFORMED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ngalton-error: malformed\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";

/// To a head with too many bytes or too many lines.
pub(crate) const HEAD_TOO_LARGE: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\n\
    galton-error: head_too_large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

// === impl Declined ===

impl Declined {
    /// The status, the word in `galton-error`, and the text for people.
    const fn said(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotStarted => (StatusCode::SERVICE_UNAVAILABLE, "not_started", "the run has not started\n"),
            Self::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many requests in flight at this proxy\n")
            }
            Self::Connect => (StatusCode::NOT_IMPLEMENTED, "connect", "this proxy opens no tunnels\n"),
            Self::LastHop => (StatusCode::NOT_IMPLEMENTED, "last_hop", "max-forwards ends here\n"),
            Self::TargetInvalid => (StatusCode::BAD_REQUEST, "target_invalid", "no such form of request-target here\n"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long", "the request-target is too long\n"),
            Self::HostMissing => (StatusCode::BAD_REQUEST, "host_missing", "the request names no host\n"),
            Self::HostAmbiguous => {
                (StatusCode::BAD_REQUEST, "host_ambiguous", "the request names more than one host\n")
            }
            Self::HostInvalid => (StatusCode::BAD_REQUEST, "host_invalid", "the request's host is no host\n"),
            Self::LengthInvalid => (StatusCode::BAD_REQUEST, "length_invalid", "the body's length is not certain\n"),
            Self::CodingUnknown => (StatusCode::NOT_IMPLEMENTED, "coding_unknown", "only chunked is understood\n"),
            Self::ExpectationUnknown => {
                (StatusCode::EXPECTATION_FAILED, "expectation_unknown", "only 100-continue is understood\n")
            }
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large\n"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout", "the body did not come\n"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "body_broken", "the body broke off\n"),
        }
    }

    /// Whether the connection cannot, or should not, be used again: where the next request begins is not certain, or
    /// the rest of this one is not worth reading.
    pub(crate) const fn closes(self) -> bool {
        !matches!(
            self,
            Self::NotStarted
                | Self::Overloaded
                | Self::Connect
                | Self::LastHop
                | Self::UriTooLong
                | Self::ExpectationUnknown
        )
    }

    /// The answer; `http2`: to such a client, whose connection is not this request's alone.
    pub(crate) fn response(self, http2: bool) -> Response<Bytes> {
        let (status, word, text) = self.said();
        let mut response = Response::new(Bytes::from_static(text.as_bytes()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(ERROR, HeaderValue::from_static(word));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Capacity frees up within seconds or not at all; a plain client should not hammer in between.
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.closes() && !http2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_reason_and_closes_where_the_next_request_is_not_certain() {
        let broken = Declined::LengthInvalid.response(false);
        assert_eq!(broken.status(), 400);
        assert_eq!(broken.headers()["galton-error"], "length_invalid");
        assert_eq!(broken.headers()["connection"], "close");
        assert!(!Declined::LengthInvalid.response(true).headers().contains_key("connection"));

        let full = Declined::Overloaded.response(false);
        assert_eq!((full.status().as_u16(), &full.headers()["retry-after"]), (503, &HeaderValue::from_static("1")));
        assert!(!full.headers().contains_key("connection"));
    }
}
