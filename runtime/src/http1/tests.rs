use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http_body_util::{Empty, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

/// What was read of a response.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    trailers: Vec<(String, String)>,
    goes_on: bool,
}

fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect()
}

/// Reads one response that comes in these pieces, and the end of the connection if it does not end before.
fn read(head_only: bool, pieces: &[&[u8]]) -> Result<Read, ReadError> {
    let mut reader = Reader::new(1000);
    reader.expect(head_only, HeaderMap::new());
    let mut pieces: VecDeque<_> = pieces.iter().filter(|piece| !piece.is_empty()).collect();
    let mut more = |reader: &mut Reader| match pieces.pop_front() {
        Some(piece) => {
            reader.push(piece);
            Ok(())
        }
        None => reader.closed(),
    };
    let head = loop {
        match reader.head()? {
            Some(head) if head.status().is_informational() => {}
            Some(head) => break head,
            None => more(&mut reader)?,
        }
    };
    let (mut body, mut trailers) = (Vec::new(), Vec::new());
    while !reader.is_done() {
        match reader.frame()?.map(Frame::into_data) {
            Some(Ok(data)) => body.extend_from_slice(&data),
            Some(Err(frame)) => trailers = lines(&frame.into_trailers().unwrap()),
            None if reader.is_done() => {}
            None => more(&mut reader)?,
        }
    }
    // What else came belongs to no response.
    while !pieces.is_empty() {
        reader.push(pieces.pop_front().unwrap());
    }
    let goes_on = reader.can_go_on();
    let body = String::from_utf8(body).unwrap();
    Ok(Read { status: head.status().as_u16(), headers: lines(head.headers()), body, trailers, goes_on })
}

/// In one piece, in any two, and byte by byte: always the same.
fn read_all_ways(head_only: bool, bytes: &str) -> Result<Read, ReadError> {
    let whole = read(head_only, &[bytes.as_bytes()]);
    for (at, _) in bytes.char_indices() {
        let (first, second) = bytes.as_bytes().split_at(at);
        assert_eq!(read(head_only, &[first, second]), whole, "{bytes:?} split at {at}");
    }
    let single: Vec<_> = bytes.as_bytes().chunks(1).collect();
    assert_eq!(read(head_only, &single), whole, "{bytes:?} byte by byte");
    whole
}

#[test]
fn a_response_ends_where_its_head_says() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", "abc", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc", "abc", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n", "abc", false),
        ("HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 1\r\n\r\na", "a", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", "a", false),
        ("HTTP/1.0 200 OK\r\nconnection: te, Keep-Alive\r\ncontent-length: 1\r\n\r\na", "a", true),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "ab", true),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA;x=\"y\"\r\n0123456789\r\n1\r\na\r\n00\r\n\r\n",
            "0123456789a",
            true,
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n1\r\na\r\n0\r\n\r\n", "a", false),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", "", true),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
            "a",
            true,
        ),
    ];
    for (bytes, body, goes_on) in cases {
        let read = read_all_ways(false, bytes).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        assert_eq!((read.body.as_str(), read.goes_on), (body, goes_on), "{bytes:?}");
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
    let read = read_all_ways(true, head).unwrap();
    assert_eq!((read.body.as_str(), read.goes_on), ("", true));
    assert_eq!(read.headers, [("content-length".to_owned(), "3".to_owned())]);
}

#[test]
fn headers_and_trailers_are_what_came() {
    let bytes = "HTTP/1.1 503 Full\r\nGalton-Outcome: full\r\nx: 1\r\nX:\t2 \r\ntransfer-encoding: chunked\r\n\r\n0\r\ny: 3\r\nY: 4\r\n\r\n";
    let read = read_all_ways(false, bytes).unwrap();
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    let headers = [("galton-outcome", "full"), ("x", "1"), ("x", "2"), ("transfer-encoding", "chunked")];
    assert_eq!((read.status, read.headers), (503, pairs(&headers)));
    assert_eq!((read.trailers, read.goes_on), (pairs(&[("y", "3"), ("y", "4")]), true));
    let mut reader = Reader::new(1000);
    reader.expect(false, HeaderMap::new());
    reader.push(b"HTTP/1.1 200 Fine\r\ncontent-length: 0\r\n\r\n");
    let head = reader.head().unwrap().unwrap();
    assert_eq!(head.extensions().get::<hyper::ext::ReasonPhrase>().unwrap().as_bytes(), b"Fine");
}

#[test]
fn what_is_no_response_is_an_error() {
    let chunked = |rest: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{rest}");
    let headers = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
    let cases = [
        ("ICY 200 OK\r\n\r\n".to_owned(), ReadError::Malformed),
        ("HTTP/2.0 200 OK\r\n\r\n".to_owned(), ReadError::Malformed),
        ("HTTP/1.1 020 OK\r\n\r\n".to_owned(), ReadError::Malformed),
        (headers("content-length: +3"), ReadError::Malformed),
        (headers("content-length: 3, 3"), ReadError::Malformed),
        (headers("content-length:"), ReadError::Malformed),
        (headers("content-length: 3\r\ncontent-length: 4"), ReadError::Malformed),
        (headers("content-length: 18446744073709551616"), ReadError::Malformed),
        (headers("a b: c"), ReadError::Malformed),
        (headers(&"x: 1\r\n".repeat(101)), ReadError::Malformed),
        (headers(&format!("x: {}", "y".repeat(1000))), ReadError::TooLarge),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n".to_owned(), ReadError::Unasked),
        (headers("transfer-encoding: gzip, chunked"), ReadError::Unasked),
        (headers("transfer-encoding: chunked\r\ntransfer-encoding: chunked"), ReadError::Unasked),
        ("HTTP/1.1 200 OK\r\n".to_owned(), ReadError::Incomplete),
        (headers("content-length: 3"), ReadError::Incomplete),
        (chunked(""), ReadError::Incomplete),
        (chunked("1\r\na\r\n"), ReadError::Incomplete),
        (chunked("0\r\n"), ReadError::Incomplete),
        (chunked("\r\n\r\n"), ReadError::Malformed),
        (chunked("g\r\n"), ReadError::Malformed),
        (chunked(" 1\r\na\r\n0\r\n\r\n"), ReadError::Malformed),
        (chunked("1;\n0\r\na\r\n0\r\n\r\n"), ReadError::Malformed),
        (chunked("1\r\nab0\r\n\r\n"), ReadError::Malformed),
        (chunked("11111111111111111\r\n"), ReadError::Malformed),
        (chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(16 * 1024))), ReadError::TooLarge),
        (chunked(&format!("0\r\nx: {}\r\n\r\n", "y".repeat(16 * 1024))), ReadError::TooLarge),
        (chunked("0\r\na b: c\r\n\r\n"), ReadError::Malformed),
    ];
    for (bytes, error) in cases {
        assert_eq!(read(false, &[bytes.as_bytes()]).unwrap_err(), error, "{bytes:?}");
        if bytes.len() < 1000 {
            assert_eq!(read_all_ways(false, &bytes).unwrap_err(), error);
        }
    }
}

// === a connection ===

type Body = StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

fn body(parts: &[&'static str], trailers: Option<HeaderMap>) -> Body {
    let data = parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
    let frames: Vec<_> = data.chain(trailers.map(|trailers| Ok(Frame::trailers(trailers)))).collect();
    StreamBody::new(futures_util::stream::iter(frames))
}

fn request<B>(framing: Framing, body: B) -> Request<'static, B> {
    Request { head: b"POST / HTTP/1.1\r\nhost: a\r\n\r\n", framing, body, head_only: false, headers: HeaderMap::new() }
}

/// A connection, and its server's end.
async fn pair<B>() -> (Link<B>, TcpStream)
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Link::new(client, 1000), listener.accept().await.unwrap().0)
}

/// With a deadline.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

/// What the server reads up to these bytes.
async fn read_until(server: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(soon(server.read_u8()).await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

async fn body_of<B>(link: &mut Link<B>) -> Result<Vec<u8>, LinkError>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut body = Vec::new();
    while let Some(frame) = soon(poll_fn(|cx| link.poll_frame(cx))).await {
        body.extend_from_slice(&frame?.into_data().unwrap());
    }
    Ok(body)
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let (mut link, mut server) = pair().await;
    for part in ["first", "second"] {
        let answer = async {
            let asked = read_until(&mut server, part).await;
            assert_eq!(asked, format!("POST / HTTP/1.1\r\nhost: a\r\n\r\n{part}"));
            server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
        };
        let length = Framing::Length(part.len() as u64);
        let (sent, ()) = tokio::join!(soon(link.send(request(length, body(&[part], None)), |_| {})), answer);
        assert_eq!(sent.unwrap().status(), 200);
        assert_eq!(body_of(&mut link).await.unwrap(), b"hello");
        assert!(link.is_ready());
    }
    drop(server);
    soon(poll_fn(|cx| link.poll_closed(cx))).await;
    assert!(!link.is_open());
}

#[tokio::test]
async fn a_body_is_sent_as_its_head_says() {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "7".parse().unwrap());
    let chunks = "2\r\nab\r\n1\r\nc\r\n0\r\n";
    let cases = [
        (Framing::Length(3), body(&["ab", "", "c"], None), "abc".to_owned()),
        (Framing::Length(0), body(&[], None), String::new()),
        (Framing::Chunked, body(&["ab", "", "c"], None), format!("{chunks}\r\n")),
        (Framing::Chunked, body(&["ab", "c"], Some(trailers)), format!("{chunks}checksum: 7\r\n\r\n")),
        (Framing::Chunked, body(&[], None), "0\r\n\r\n".to_owned()),
    ];
    for (framing, body, expected) in cases {
        let (mut link, mut server) = pair().await;
        let answer = async {
            let asked = read_until(&mut server, &format!("\r\n\r\n{expected}")).await;
            server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            asked
        };
        let (sent, asked) = tokio::join!(soon(link.send(request(framing, body), |_| {})), answer);
        assert_eq!(sent.unwrap().status(), 204);
        assert_eq!(asked, format!("POST / HTTP/1.1\r\nhost: a\r\n\r\n{expected}"));
        assert!(link.is_end_stream() && link.is_ready());
    }
    let known = Full::new(Bytes::from_static(b"abc"));
    let (mut link, mut server) = pair().await;
    let answer = async {
        read_until(&mut server, "\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
        server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    };
    tokio::join!(soon(link.send(request(Framing::Chunked, known), |_| {})), answer).0.unwrap();
}

#[tokio::test]
async fn a_body_of_another_length_breaks_the_connection() {
    for (framing, parts) in [(Framing::Length(3), ["ab", "cd"]), (Framing::Length(5), ["ab", "cd"])] {
        let (mut link, _server) = pair().await;
        let sent = soon(link.send(request(framing, body(&parts, None)), |_| {})).await;
        assert!(matches!(sent, Err(LinkError::Body(_))), "{sent:?}");
        assert!(!link.is_open());
    }
}

#[tokio::test]
async fn a_large_body_streams_while_the_response_does() {
    const PIECES: usize = 200;
    static PIECE: [u8; 50_000] = [b'x'; 50_000];
    let pieces: Vec<_> = (0..PIECES).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&PIECE)))).collect();
    let (mut link, server) = pair().await;
    let (mut from, mut to) = server.into_split();
    // Every byte comes back: neither side can wait for the other to be done.
    let echo = tokio::spawn(async move {
        to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000028\r\n\r\n").await.unwrap();
        tokio::io::copy(&mut (&mut from).take(10_000_028), &mut to).await.unwrap()
    });
    let body = StreamBody::new(futures_util::stream::iter(pieces));
    soon(link.send(request(Framing::Length((PIECES * PIECE.len()) as u64), body), |_| {})).await.unwrap();
    let echoed = body_of(&mut link).await.unwrap();
    assert_eq!(echoed.len(), 28 + PIECES * PIECE.len());
    assert_eq!(echo.await.unwrap(), echoed.len() as u64);
    assert!(link.is_ready());
}

#[tokio::test]
async fn an_early_answer_is_read_and_costs_the_connection() {
    let (mut link, mut server) = pair().await;
    let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let answer = async {
        read_until(&mut server, "\r\n\r\n").await;
        server.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    };
    let (sent, ()) = tokio::join!(soon(link.send(request(Framing::Length(9), never), |_| {})), answer);
    assert_eq!(sent.unwrap().status(), 413);
    assert!(link.is_end_stream() && !link.is_ready(), "its request is not sent");
    assert!(poll_fn(|cx| Poll::Ready(link.poll_settled(cx).is_pending())).await, "it waits for the body");
}

#[tokio::test]
async fn an_answer_is_read_though_its_server_takes_no_more() {
    let (mut link, mut server) = pair().await;
    let pieces = std::iter::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'x'; 10_000]))));
    let endless = StreamBody::new(futures_util::stream::iter(pieces));
    let answer = async {
        read_until(&mut server, "\r\n\r\n").await;
        server.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        // With bytes that it has not read: the connection is reset.
        drop(server);
    };
    let (sent, ()) = tokio::join!(soon(link.send(request(Framing::Length(u64::MAX), endless), |_| {})), answer);
    assert_eq!(sent.unwrap().status(), 413);
    assert_eq!(body_of(&mut link).await.unwrap(), b"no");
    assert!(!link.is_ready());
}

#[tokio::test]
async fn nothing_is_sent_where_nobody_listens() {
    let (mut link, server) = pair::<Empty<Bytes>>().await;
    // A reset, not an end: the client learns of it when it writes.
    server.set_zero_linger().unwrap();
    drop(server);
    soon(async {
        while link.stream.peer_addr().is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let sent = soon(link.send(request(Framing::Length(0), Empty::new()), |_| {})).await;
    assert!(matches!(sent, Err(LinkError::Unsent(_))), "{sent:?}");
    assert!(!link.is_open());
}
