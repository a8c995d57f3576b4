//! For the fuzzer alone: what is private here and reads what others send.

use std::sync::LazyLock;

use clap::Parser;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};

use crate::headers::{self, Given};
use crate::limits::ClientLimits;
use crate::request::check;

/// Headers that end at a proxy (RFC 9110, section 7.6.1), but for `TE: trailers`, which this one says for itself.
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

#[derive(Parser)]
struct Limits {
    #[command(flatten)]
    limits: ClientLimits,
}

/// The defaults, read once: the fuzzer comes by often.
static LIMITS: LazyLock<ClientLimits> = LazyLock::new(|| Limits::parse_from(["fuzzing"]).limits);

/// Reads lines of `name: value` as headers, and sends them both ways.
///
/// # Panics
/// If a header goes through that should not, or one that frames the message does not.
pub fn headers(lines: &[u8]) {
    let received: HeaderMap = lines.split(|byte| *byte == b'\n').filter_map(header).collect();
    let given = Given::of(&received);
    let _ = headers::asked(&received, given);
    let _ = headers::refused(StatusCode::SERVICE_UNAVAILABLE, &received);
    let peer = HeaderValue::from_static("::1");
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let (mut head, ()) = Request::new(()).into_parts();
        (head.version, head.headers) = (version, received.clone());
        if check(&mut head, given, &LIMITS).is_ok() {
            let mut lines = Vec::new();
            headers::to_target(&head.headers, given, version, &peer, &mut lines);
            let sent: HeaderMap = lines.split(|byte| *byte == b'\n').filter_map(header).collect();
            assert_eq!(sent.get_all(HOST).iter().count(), 1, "{sent:?}");
            assert!(sent.contains_key("x-forwarded-for"));
            has_passed(&received, &sent);
        }
        let (mut answered, ()) = Response::new(()).into_parts();
        (answered.version, answered.headers) = (version, received.clone());
        headers::to_client(&mut answered);
        has_passed(&received, &answered.headers);
    }
    let mut trailers = received;
    headers::keep_trailers(&mut trailers);
    assert!(!trailers.contains_key(CONTENT_LENGTH) && !trailers.contains_key(HOST));
}

fn has_passed(received: &HeaderMap, sent: &HeaderMap) {
    assert!(HOP_BY_HOP.iter().all(|name| !sent.contains_key(*name)), "{sent:?}");
    assert!(sent.contains_key("via"));
    let lengths = |headers: &HeaderMap| headers.get_all(CONTENT_LENGTH).iter().cloned().collect::<Vec<_>>();
    // A coding says how long it is by itself.
    let length = if received.contains_key(TRANSFER_ENCODING) { Vec::new() } else { lengths(received) };
    assert_eq!(length, lengths(sent));
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = line[colon + 1..].trim_ascii();
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
}
