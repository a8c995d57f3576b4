//! Where requests go and what they carry: the URL, method, headers and body of the command line.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

use crate::args::RequestArgs;
use crate::settings::UsageError;
use crate::template::{Demands, Template};

/// A body larger than this is read into memory by mistake: it is sent whole with every request.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// A URL that can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Name or address, without brackets.
    name: String,
    port: u16,
    path: PathAndQuery,
    /// The `host` header.
    host: HeaderValue,
    /// The `authorization` header, of a URL with a user.
    credentials: Option<HeaderValue>,
}

// === impl Destination ===

impl Destination {
    /// From a URL; a bare `host:port/path` is taken for http.
    pub(crate) fn parse(url: &str) -> Result<Self, UsageError> {
        let wrong = |why: &str| UsageError(format!("{url:?} is not a URL to send to: {why}"));
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = full.parse().map_err(|e: http::uri::InvalidUri| wrong(&e.to_string()))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(wrong("only http is spoken"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        let (user, host) = match authority.as_str().rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority.as_str()),
        };
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self {
            name: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            path,
            host: host.parse().map_err(|_| wrong("its host cannot be sent"))?,
            credentials: user.map(basic).transpose().map_err(wrong)?,
        })
    }

    /// In words: where, without who asks.
    pub(crate) fn words(&self) -> String {
        format!("http://{}{}", self.host.to_str().unwrap_or(&self.name), self.path)
    }

    /// The address, looked up once: a run talks to one server. Of several it is the first that accepts a connection.
    pub(crate) fn resolve(&self, connect_timeout: Duration) -> anyhow::Result<SocketAddr> {
        let found = (self.name.as_str(), self.port)
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {}", self.name))?;
        let found: Vec<SocketAddr> = found.collect();
        accepting(&found, connect_timeout).ok_or_else(|| anyhow!("{} has no address", self.name))
    }

    /// What every request carries.
    pub(crate) fn template(&self, args: &RequestArgs, body: Bytes, demands: Demands) -> Result<Template, UsageError> {
        let mut headers = HeaderMap::new();
        for text in &args.headers {
            let (name, value) = header(text)?;
            headers.append(name, value);
        }
        if let Some(credentials) = self.credentials.clone().filter(|_| !headers.contains_key(AUTHORIZATION)) {
            headers.insert(AUTHORIZATION, credentials);
        }
        let host = headers.remove(HOST).unwrap_or_else(|| self.host.clone());
        let uri = if args.http2 {
            // The host travels as `:authority`.
            let host =
                Authority::try_from(host.as_bytes()).map_err(|_| UsageError(format!("{host:?} is not a host")))?;
            Uri::builder().scheme(Scheme::HTTP).authority(host).path_and_query(self.path.clone()).build()
        } else {
            headers.insert(HOST, host);
            Ok(Uri::from(self.path.clone()))
        };
        if !args.keepalive {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let default = if args.body.is_some() { Method::POST } else { Method::GET };
        let uri = uri.map_err(|e| UsageError(format!("the URL cannot be sent: {e}")))?;
        Ok(Template::new(args.method.clone().unwrap_or(default), uri, headers, body, demands))
    }
}

/// The first address that accepts a connection within this time each, or the first of all: then the run says what is wrong with
/// it. One alone is not asked.
fn accepting(addrs: &[SocketAddr], connect_timeout: Duration) -> Option<SocketAddr> {
    let first = *addrs.first()?;
    if addrs.len() == 1 {
        return Some(first);
    }
    let accepts = |addr: &&SocketAddr| {
        let connected = TcpStream::connect_timeout(addr, connect_timeout);
        connected.inspect_err(|e| tracing::debug!("{addr} is left out: {e}")).is_ok()
    };
    Some(addrs.iter().find(accepts).copied().unwrap_or(first))
}

/// The header that says `user:password` of a URL; RFC 7617.
fn basic(user: &str) -> Result<HeaderValue, &'static str> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut pair: Vec<u8> = percent_decode_str(name).collect();
    if pair.contains(&b':') {
        return Err("the name of a user has no colon");
    }
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .expect("base64 has nothing that a header may not have");
    value.set_sensitive(true);
    Ok(value)
}

/// The body that `-b` names: itself, or the file behind an `@`.
pub(crate) fn body(text: Option<&str>) -> anyhow::Result<Bytes> {
    let Some(text) = text else { return Ok(Bytes::new()) };
    let Some(path) = text.strip_prefix('@') else { return Ok(Bytes::copy_from_slice(text.as_bytes())) };
    let size = std::fs::metadata(path).with_context(|| format!("cannot read the body {path}"))?.len();
    if size > MAX_BODY {
        return Err(anyhow!("the body {path} has {size} bytes; at most {MAX_BODY} are sent"));
    }
    Ok(std::fs::read(path).with_context(|| format!("cannot read the body {path}"))?.into())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), UsageError> {
    let wrong = || UsageError(format!("{text:?} is not a header: write 'Name: value'"));
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    Ok((name.trim().parse().map_err(|_| wrong())?, value.trim().parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use clap::Parser;

    use super::*;
    use crate::template::Ask;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        request: RequestArgs,
    }

    #[test]
    fn urls_with_and_without_their_parts() {
        let of = |url: &str| {
            let d = Destination::parse(url).unwrap();
            (d.name, d.port, d.path.to_string(), d.host.to_str().unwrap().to_owned())
        };
        let all = |name: &str, port, path: &str, host: &str| (name.to_owned(), port, path.to_owned(), host.to_owned());
        assert_eq!(of("http://127.0.0.1:8080/"), all("127.0.0.1", 8080, "/", "127.0.0.1:8080"));
        assert_eq!(of("localhost:9000/a?b=c"), all("localhost", 9000, "/a?b=c", "localhost:9000"));
        assert_eq!(of("http://example.test"), all("example.test", 80, "/", "example.test"));
        assert_eq!(of("http://[::1]:81/x"), all("::1", 81, "/x", "[::1]:81"));
        for wrong in ["https://example.test/", "http://", "ftp://a/", "http://a b/"] {
            assert!(Destination::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_several_addresses_the_first_that_accepts_is_taken() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let v4 = server.local_addr().unwrap();
        let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v4.port()));
        let within = Duration::from_secs(2);
        assert_eq!(accepting(&[v6, v4], within), Some(v4));
        server.accept().unwrap();
        assert_eq!(accepting(&[v4], within), Some(v4));
        server.set_nonblocking(true).unwrap();
        assert!(server.accept().is_err(), "one alone is not asked");
        drop(server);
        assert_eq!(accepting(&[v6, v4], within), Some(v6), "nobody accepts");
        assert_eq!(accepting(&[], within), None);
    }

    #[test]
    fn the_user_of_a_url_is_sent_unless_a_header_says_another() {
        let headers = |url: &str, more: &str| {
            let words = ["loadgen", "-H", more].into_iter().take(if more.is_empty() { 1 } else { 3 });
            let args = Cli::try_parse_from(words).unwrap().request;
            let demands = Demands { hold: false, cpu: false, key: false };
            let template = Destination::parse(url).unwrap().template(&args, Bytes::new(), demands).unwrap();
            let headers = template.request(Ask::default()).headers().clone();
            let all = headers.get_all(AUTHORIZATION).iter().map(|value| value.to_str().unwrap().to_owned());
            (all.collect::<Vec<_>>(), headers[HOST].to_str().unwrap().to_owned())
        };
        let basic = |pair: &str| (vec![format!("Basic {}", STANDARD.encode(pair))], "a:81".to_owned());
        assert_eq!(headers("http://Aladdin:open%20sesame@a:81/x", ""), basic("Aladdin:open sesame"));
        assert_eq!(headers("http://Aladdin:open%20sesame@a:81/x", "").0, ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]);
        assert_eq!(headers("user:p%40%3A%C3%A4@a:81", ""), basic("user:p@:ä"));
        assert_eq!(headers("http://user@a:81/", ""), basic("user:"));
        assert_eq!(headers("http://u:p@a:81/", "Authorization: Bearer x").0, ["Bearer x"]);
        assert_eq!(headers("http://a:81/", "").0, [""; 0]);
        assert_eq!(Destination::parse("http://u:p@a:81/x?y").unwrap().words(), "http://a:81/x?y");
        let wrong = Destination::parse("http://a%3Ab:p@a/").unwrap_err();
        assert!(wrong.0.contains("the name of a user has no colon"), "{wrong}");
    }

    #[test]
    fn headers_need_a_name_and_a_value() {
        assert_eq!(header("X-A: b:c").unwrap(), (HeaderName::from_static("x-a"), HeaderValue::from_static("b:c")));
        assert!(header("no colon").is_err());
        assert!(header("bad name: x").is_err());
    }
}
