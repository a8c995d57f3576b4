//! Interim responses (RFC 9110, section 15.2), which the HTTP library's server cannot send: they are written before what it
//! writes, while nothing of an earlier answer waits.

use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};

use crate::{headers, limits};

/// What of them is to be sent.
#[derive(Debug, Default)]
pub(crate) struct Interim {
    bytes: Vec<u8>,
}

// === impl Interim ===

impl Interim {
    /// One more. Not 100: this proxy says itself when it reads a body. Nor one that would have to wait behind too many.
    pub(crate) fn add(&mut self, response: Response<()>) {
        let (mut head, ()) = response.into_parts();
        if head.status == StatusCode::CONTINUE || self.bytes.len() > limits::INTERIM_BYTES {
            return;
        }
        headers::to_client(&mut head);
        // There is no body.
        head.headers.remove(CONTENT_LENGTH);
        let reason = head.status.canonical_reason().unwrap_or_default();
        self.bytes.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_u16()).as_bytes());
        for (name, value) in &head.headers {
            galton_runtime::http1::put_header(&mut self.bytes, name.as_str().as_bytes(), value.as_bytes());
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The bytes to send.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// So many of them were.
    pub(crate) fn sent(&mut self, n: usize) {
        self.bytes.drain(..n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_has_no_body_and_nothing_of_this_hop() {
        let response = |status: u16, name: &str| Response::builder().status(status).header(name, "5").body(()).unwrap();
        let mut interim = Interim::default();
        interim.add(response(100, "link"));
        assert!(interim.bytes().is_empty());
        interim.add(response(103, "link"));
        interim.add(response(199, "content-length"));
        interim.add(response(102, "keep-alive"));
        interim.sent(9);
        let expected = "103 Early Hints\r\nlink: 5\r\nvia: 1.1 galton\r\n\r\nHTTP/1.1 199 \r\nvia: 1.1 galton\r\n\r\n\
            HTTP/1.1 102 Processing\r\nvia: 1.1 galton\r\n\r\n";
        assert_eq!(std::str::from_utf8(interim.bytes()).unwrap(), expected);
    }

    #[test]
    fn they_do_not_pile_up() {
        let mut interim = Interim::default();
        for _ in 0..1000 {
            interim.add(Response::builder().status(103).header("link", "x".repeat(1000)).body(()).unwrap());
        }
        assert!((limits::INTERIM_BYTES..limits::INTERIM_BYTES + 2000).contains(&interim.bytes().len()));
    }
}
