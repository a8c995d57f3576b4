//! For the fuzzer alone: what is private here and reads what others send.

use std::net::{IpAddr, Ipv6Addr};

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use crate::headers;

/// Headers that end at a proxy (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// Reads lines of `name: value` as headers, and sends them both ways.
///
/// # Panics
/// If a header goes through that should not, or one that frames the message does not.
pub fn headers(lines: &[u8]) {
    let received: HeaderMap = lines.split(|byte| *byte == b'\n').filter_map(header).collect();
    let _ = headers::asked(&received);
    let _ = headers::refused(StatusCode::SERVICE_UNAVAILABLE, &received);
    let mut sent = received.clone();
    headers::ensure_host(&mut sent);
    headers::to_target(&mut sent, Version::HTTP_11, IpAddr::V6(Ipv6Addr::LOCALHOST));
    assert!(sent.contains_key(HOST) && sent.contains_key("x-forwarded-for"));
    has_passed(&received, &sent);
    let mut answered = received.clone();
    headers::to_client(&mut answered, Version::HTTP_10);
    has_passed(&received, &answered);
}

fn has_passed(received: &HeaderMap, sent: &HeaderMap) {
    assert!(HOP_BY_HOP.iter().all(|name| !sent.contains_key(*name)), "{sent:?}");
    assert!(sent.contains_key("via"));
    let lengths = |headers: &HeaderMap| headers.get_all(CONTENT_LENGTH).iter().cloned().collect::<Vec<_>>();
    assert_eq!(lengths(received), lengths(sent));
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = line[colon + 1..].trim_ascii();
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
}
