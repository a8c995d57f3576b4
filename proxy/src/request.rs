//! What a client's request must be so that a target can be sent it: one request, of one host, of a certain length.
//!
//! The HTTP library has parsed the head; here is what it lets pass and an intermediary must not (RFC 9112, sections 3.2,
//! 6.1 and 11.2; RFC 9113, section 8). Pure.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, MAX_FORWARDS, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::declined::Declined;
use crate::headers::Given;
use crate::limits::ClientLimits;

/// Checks a head, and leaves exactly one `Host` in it; returns the request-target for an origin server.
pub(crate) fn check(head: &mut Parts, given: Given, limits: &ClientLimits) -> Result<PathAndQuery, Declined> {
    if head.method == Method::CONNECT {
        return Err(Declined::Connect);
    }
    let target = target(head, limits)?;
    host(head)?;
    let headers = &mut head.headers;
    if matches!(head.method, Method::OPTIONS | Method::TRACE) {
        one_hop_less(headers)?;
    }
    if given.expectation
        && headers.get_all(EXPECT).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Declined::ExpectationUnknown);
    }
    if head.version == Version::HTTP_2 {
        one_length(headers)?;
        join_cookies(headers);
    } else if given.coding {
        only_chunked(headers)?;
    }
    Ok(target)
}

/// Whether a body of so many bytes is declared as the request's head stands.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An origin server gets the path, not the whole URI that a client may send to a proxy (RFC 9112, section 3.2).
fn target(head: &Parts, limits: &ClientLimits) -> Result<PathAndQuery, Declined> {
    let uri = &head.uri;
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().ok_or(Declined::TargetInvalid)?;
    if path.as_str().len() + authority > limits.max_uri_bytes as usize {
        return Err(Declined::UriTooLong);
    }
    // The library takes UTF-8 as well; a URI is of ASCII (RFC 3986, section 2).
    if !path.as_str().bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Declined::TargetInvalid);
    }
    // HTTP/2 has a scheme always; that is not the absolute form.
    let absolute = head.version != Version::HTTP_2 && uri.scheme().is_some();
    match uri.scheme_str() {
        Some("http" | "https") => {}
        None if authority == 0 => {}
        _ => return Err(Declined::TargetInvalid),
    }
    let asterisk = !absolute && path.as_str() == "*";
    if asterisk && head.method != Method::OPTIONS || !asterisk && !path.path().starts_with('/') {
        return Err(Declined::TargetInvalid);
    }
    Ok(path.clone())
}

/// RFC 9110, section 7.6.2. What is no number is not for this hop.
fn one_hop_less(headers: &mut HeaderMap) -> Result<(), Declined> {
    let left = headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    match left {
        None => {}
        Some(0) => return Err(Declined::LastHop),
        Some(left) => drop(headers.insert(MAX_FORWARDS, (left - 1).into())),
    }
    Ok(())
}

/// What the URI says comes first and replaces the header (RFC 9112, section 3.2.2; RFC 9113, section 8.3.1).
fn host(head: &mut Parts) -> Result<(), Declined> {
    let mut given = head.headers.get_all(HOST).iter();
    let (first, more) = (given.next(), given.next().is_some());
    if more {
        return Err(Declined::HostAmbiguous);
    }
    match (first, head.version) {
        (Some(host), _) if !names_a_host(host.as_bytes()) => return Err(Declined::HostInvalid),
        (None, Version::HTTP_11) => return Err(Declined::HostMissing),
        _ => {}
    }
    let Some(authority) = head.uri.authority() else {
        return match (first, head.version) {
            (Some(_), _) => Ok(()),
            // HTTP/1.0 clients may leave it out; empty, as the authority is not known.
            (None, Version::HTTP_10) => insert_host(&mut head.headers, ""),
            (None, _) => Err(Declined::HostMissing),
        };
    };
    if !names_a_host(authority.as_str().as_bytes()) {
        return Err(Declined::HostInvalid);
    }
    if head.version == Version::HTTP_2 && first.is_some_and(|host| !same_host(host, authority)) {
        return Err(Declined::HostAmbiguous);
    }
    insert_host(&mut head.headers, authority.as_str())
}

fn insert_host(headers: &mut HeaderMap, host: &str) -> Result<(), Declined> {
    headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| Declined::HostInvalid)?);
    Ok(())
}

fn same_host(host: &HeaderValue, authority: &Authority) -> bool {
    host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2); a user is not part of it, an empty name is (RFC 3986, section 3.2.2).
fn names_a_host(value: &[u8]) -> bool {
    let (name, port) = match value.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = literal.iter().position(|b| *b == b']') else { return false };
            let literal_byte = |b: &u8| b.is_ascii_alphanumeric() || b":._~-".contains(b);
            if end == 0 || !literal[..end].iter().all(literal_byte) {
                return false;
            }
            (&[][..], &literal[end + 1..])
        }
        None => value.split_at(value.iter().position(|b| *b == b':').unwrap_or(value.len())),
    };
    let name_byte = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b);
    name.iter().all(name_byte) && (port.is_empty() || port[0] == b':' && port[1..].iter().all(u8::is_ascii_digit))
}

/// Any other coding would end here, with the framing that it is part of, and leave its target a body it cannot read.
fn only_chunked(headers: &HeaderMap) -> Result<(), Declined> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ if chunked_twice(headers) => Err(Declined::LengthInvalid),
        _ => Err(Declined::CodingUnknown),
    }
}

fn chunked_twice(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(TRANSFER_ENCODING).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    codings.filter(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked")).count() > 1
}

/// HTTP/1.1's are certain already; HTTP/2's were compared with what came as far as there is one.
fn one_length(headers: &HeaderMap) -> Result<(), Declined> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(Declined::LengthInvalid),
    }
}

/// HTTP/2 may split cookies; HTTP/1.1 has one line of them (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(
        version: Version,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<(PathAndQuery, Parts), Declined> {
        let mut request = Request::builder().version(version).method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let given = Given::of(&head.headers);
        let uri = check(&mut head, given, &ClientLimits::parse(&[]))?;
        Ok((uri, head))
    }

    fn why(version: Version, method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<Declined> {
        checked(version, method, uri, headers).err()
    }

    #[test]
    fn a_target_is_sent_the_path_and_the_host_of_the_uri() {
        let (uri, head) =
            checked(Version::HTTP_11, "GET", "http://a.example:81/x?y", &[("host", "other.example")]).unwrap();
        assert_eq!(
            (uri.to_string().as_str(), &head.headers["host"]),
            ("/x?y", &HeaderValue::from_static("a.example:81"))
        );
        assert_eq!(head.headers.get_all("host").iter().count(), 1);
        let (uri, _) = checked(Version::HTTP_11, "OPTIONS", "*", &[("host", "a")]).unwrap();
        assert_eq!(uri, "*");
        let (_, head) = checked(Version::HTTP_10, "GET", "/", &[]).unwrap();
        assert_eq!(head.headers["host"], "");
        let (_, head) = checked(Version::HTTP_2, "GET", "http://a.example/", &[("host", "A.example")]).unwrap();
        assert_eq!(head.headers["host"], "a.example");
    }

    #[test]
    fn targets_that_are_not_of_this_method_are_declined() {
        let host = [("host", "a")];
        for (method, uri) in
            [("GET", "*"), ("GET", "a.example"), ("OPTIONS", "a.example:80"), ("GET", "ftp://a/"), ("GET", "/\u{e9}")]
        {
            assert_eq!(why(Version::HTTP_11, method, uri, &host), Some(Declined::TargetInvalid), "{method} {uri}");
        }
        assert_eq!(why(Version::HTTP_11, "CONNECT", "a.example:80", &host), Some(Declined::Connect));
        let long = format!("/{}", "x".repeat(crate::limits::URI_BYTES));
        assert_eq!(why(Version::HTTP_11, "GET", &long, &host), Some(Declined::UriTooLong));
        assert_eq!(why(Version::HTTP_11, "GET", &long[1..].replacen('x', "/", 1), &host), None);
    }

    #[test]
    fn forwards_are_counted_down_and_end() {
        let left =
            |method, n: &'static str| checked(Version::HTTP_11, method, "/", &[("host", "a"), ("max-forwards", n)]);
        assert_eq!(left("OPTIONS", "5").unwrap().1.headers["max-forwards"], "4");
        assert_eq!(left("TRACE", "0").err(), Some(Declined::LastHop));
        assert_eq!(left("GET", "0").unwrap().1.headers["max-forwards"], "0");
        assert_eq!(left("TRACE", "few").unwrap().1.headers["max-forwards"], "few");
    }

    #[test]
    fn there_is_one_host_and_it_is_one() {
        let v11 = |headers: &[(&str, &str)]| why(Version::HTTP_11, "GET", "/", headers);
        assert_eq!(v11(&[]), Some(Declined::HostMissing));
        assert_eq!(v11(&[("host", "a"), ("host", "a")]), Some(Declined::HostAmbiguous));
        for bad in ["a b", "user@a", "a:b", "a:80:80", "a/b", "[::1", "[]", "a\u{e9}", "[::1]x", "a,b c", "a#"] {
            assert_eq!(v11(&[("host", bad)]), Some(Declined::HostInvalid), "{bad}");
        }
        for good in ["", "a", "a.example:8080", "[::1]", "[2001:db8::1]:80", "a_b.example", "127.0.0.1", "a:"] {
            assert_eq!(v11(&[("host", good)]), None, "{good}");
        }
        let v2 = |uri, headers: &[(&str, &str)]| why(Version::HTTP_2, "GET", uri, headers);
        assert_eq!(v2("/", &[]), Some(Declined::HostMissing));
        assert_eq!(v2("/", &[("host", "a")]), None);
        assert_eq!(v2("http://a/", &[("host", "b")]), Some(Declined::HostAmbiguous));
        assert_eq!(v2("http://me@a/", &[]), Some(Declined::HostInvalid));
    }

    #[test]
    fn a_length_is_certain() {
        let te =
            |value: &'static str| why(Version::HTTP_11, "POST", "/", &[("host", "a"), ("transfer-encoding", value)]);
        assert_eq!(te("Chunked"), None);
        assert_eq!(te("gzip, chunked"), Some(Declined::CodingUnknown));
        assert_eq!(te("chunked, chunked"), Some(Declined::LengthInvalid));
        let lengths = |values: &[&'static str]| {
            let headers: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
            why(Version::HTTP_2, "POST", "http://a/", &headers)
        };
        assert_eq!(lengths(&["5"]), None);
        for bad in [&["5", "5"][..], &["5, 5"], &["+5"], &[""]] {
            assert_eq!(lengths(bad), Some(Declined::LengthInvalid), "{bad:?}");
        }
    }

    #[test]
    fn expectations_and_cookies() {
        let expect = |value: &'static str| why(Version::HTTP_11, "POST", "/", &[("host", "a"), ("expect", value)]);
        assert_eq!(expect("100-Continue"), None);
        assert_eq!(expect("100-continue, other"), Some(Declined::ExpectationUnknown));
        let (_, head) = checked(Version::HTTP_2, "GET", "http://a/", &[("cookie", "a=1"), ("cookie", "b=2")]).unwrap();
        assert_eq!(head.headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
