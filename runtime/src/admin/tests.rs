use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use super::*;

fn start(handler: Option<Handler>) -> (AdminServer, Arc<AtomicBool>) {
    let ready = Arc::new(AtomicBool::new(false));
    let registry = prometheus::Registry::new();
    let counter = prometheus::IntCounter::new("things_total", "Things.").unwrap();
    counter.inc_by(3);
    registry.register(Box::new(counter)).unwrap();
    let routes = Routes { ready: ready.clone(), registry, handler };
    (spawn(([127, 0, 0, 1], 0).into(), routes).unwrap(), ready)
}

fn connect(server: &AdminServer) -> TcpStream {
    let stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Status and everything else of the response to one request on a connection of its own.
fn call(server: &AdminServer, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = connect(server);
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

fn echo() -> Option<Handler> {
    Some(Arc::new(|request: Request<Bytes>| {
        Box::pin(async move {
            (request.uri().path() == "/echo").then(|| json(201, &String::from_utf8_lossy(request.body())))
        })
    }))
}

#[test]
fn the_built_in_paths_answer() {
    let (server, ready) = start(None);
    assert_eq!(call(&server, "GET", "/healthz", "").0, 200);
    assert_eq!(call(&server, "GET", "/readyz", "").0, 503);
    ready.store(true, Ordering::Release);
    assert_eq!(call(&server, "GET", "/readyz", "").0, 200);
    let (status, page) = call(&server, "GET", "/metrics", "");
    assert_eq!(status, 200);
    assert!(page.contains("\nthings_total 3\n") && page.contains("text/plain; version=0.0.4"), "{page}");
    assert_eq!(call(&server, "POST", "/metrics", "").0, 405);
    assert_eq!(call(&server, "GET", "/nowhere", "").0, 404);
}

#[test]
fn a_role_adds_paths_and_gets_the_body() {
    let (server, _) = start(echo());
    let (status, answer) = call(&server, "POST", "/echo", "hello");
    assert_eq!(status, 201);
    assert!(answer.ends_with("\"hello\"") && answer.contains("application/json"), "{answer}");
    let (status, answer) = call(&server, "GET", "/nowhere", "");
    assert_eq!(status, 404);
    assert!(answer.contains("nothing at GET /nowhere"), "{answer}");
}

#[test]
fn a_body_above_the_limit_is_refused_unread() {
    let (server, _) = start(echo());
    let mut stream = connect(&server);
    write!(stream, "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", BODY_BYTES + 1).unwrap();
    // As much as the server needs to see that it is too much. It may close while this is being written.
    stream.write_all(&vec![b'x'; BODY_BYTES + 1]).ok();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 413"), "{line}");
}

#[test]
fn a_streamed_body_arrives_piece_by_piece() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let (server, _) = start(Some(Arc::new(move |_| {
        let mut receiver = receiver.lock().unwrap().take().expect("asked once");
        let pieces = futures_util::stream::poll_fn(move |cx| {
            receiver.poll_recv(cx).map(|piece| piece.map(|p| Ok(hyper::body::Frame::data(p))))
        });
        let body = http_body_util::StreamBody::new(pieces).boxed_unsync();
        Box::pin(async move { Some(Response::new(body)) })
    })));
    let mut stream = connect(&server);
    stream.write_all(b"GET /watch HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    for piece in ["one\n", "two\n"] {
        sender.blocking_send(piece.into()).unwrap();
        assert!(lines.by_ref().any(|line| line == piece.trim()), "{piece} has not come");
    }
}
