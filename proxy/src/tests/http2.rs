//! HTTP/2 with prior knowledge on the same port: requests as targets see them, limits of streams, floods, the end.

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use galton_runtime::mono_ns;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_local};
use tower::BoxError;

use super::rig::{Body, FakeTarget, PATIENCE, Raw, Reply, Rig, channel, empty, full, run, until};
use crate::connection::ThisThread;
use crate::limits;

/// An HTTP/2 connection to the proxy.
struct Client2 {
    sender: SendRequest<Body>,
    connection: JoinHandle<()>,
}

impl Client2 {
    async fn connect(rig: &Rig) -> Self {
        let stream = TcpStream::connect(rig.addr).await.unwrap();
        let (sender, connection) = handshake(ThisThread, TokioIo::new(stream)).await.unwrap();
        Self { sender, connection: spawn_local(async move { drop(connection.await) }) }
    }

    async fn call(&self, request: Request<Body>) -> Result<Reply, BoxError> {
        let (head, body) = self.sender.clone().send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://a.example{path}")).body(empty()).unwrap()
}

#[test]
fn a_request_reaches_a_target_as_one_of_http1() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let client = Client2::connect(&rig).await;
        let mut request = get("/x?y");
        for crumb in ["a=1", "b=2"] {
            request.headers_mut().append("cookie", HeaderValue::from_static(crumb));
        }
        let reply = client.call(request).await.unwrap();
        assert_eq!((reply.status, &reply.body[..], reply.header("galton-target")), (200, &b"t-001"[..], "t-001"));
        assert!(!reply.headers.contains_key("connection") && !reply.headers.contains_key("transfer-encoding"));
        let seen = target.seen.take();
        let header = |name: &str| seen[0].headers[name].to_str().unwrap().to_owned();
        assert_eq!(
            (seen[0].uri.to_string(), header("host"), header("via")),
            ("/x?y".into(), "a.example".into(), "2.0 galton".into())
        );
        assert_eq!(header("cookie"), "a=1; b=2");
        rig.settled().await;
    });
}

#[test]
fn streams_are_requests_of_their_own() {
    run(async {
        let gate = Rc::new(Semaphore::new(0));
        let passing = Rc::clone(&gate);
        let target = FakeTarget::http(1, move |request| {
            let passing = Rc::clone(&passing);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                passing.acquire().await.unwrap().forget();
                Response::new(full(body))
            }
        })
        .await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let client = Client2::connect(&rig).await;
        let calls = (0..20_u8).map(|n| {
            let request = Request::post("http://a/").body(full(vec![n; 100_000])).unwrap();
            client.call(request)
        });
        let open = async {
            until("all are in flight", || target.seen.borrow().len() == 20).await;
            gate.add_permits(20);
        };
        let (replies, ()) = tokio::join!(futures_util::future::join_all(calls), open);
        for (n, reply) in replies.into_iter().enumerate() {
            let reply = reply.unwrap();
            assert!(reply.status == 200 && reply.body == vec![n as u8; 100_000], "{n}: {}", reply.status);
        }
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "ok"), 20);
    });
}

#[test]
fn trailers_go_both_ways() {
    run(async {
        let target = FakeTarget::http(1, |request| async move {
            let trailers = request.into_body().collect().await.unwrap().trailers().cloned().unwrap_or_default();
            let frames = [Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(trailers))];
            let body = BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames)));
            Response::builder().header("trailer", "x-sum").body(body).unwrap()
        })
        .await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let client = Client2::connect(&rig).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let frames = [Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(trailers))];
        let body = BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames)));
        let request =
            Request::post("http://a/").header("te", "trailers").header("trailer", "x-sum").body(body).unwrap();
        let whole = client.sender.clone().send_request(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["x-sum"], "7");
        assert_eq!(whole.to_bytes(), "body");
        rig.settled().await;
    });
}

#[test]
fn what_cannot_be_forwarded_is_refused_and_the_connection_goes_on() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start_with("round_robin", &[&target], &["--max-body-bytes", "1000"]).await;
        let client = Client2::connect(&rig).await;
        let refused = [
            (Request::connect("a.example:80").body(empty()), 501, "connect"),
            (Request::get("http://a/").header("host", "b").body(empty()), 400, "host_ambiguous"),
            (Request::get("http://me@a/").body(empty()), 400, "host_invalid"),
            (Request::get("http://a/").header("expect", "x").body(empty()), 417, "expectation_unknown"),
            (Request::post("http://a/").body(full(vec![7; 1001])), 413, "body_too_large"),
            (Request::get(format!("http://a/{}", "x".repeat(9000))).body(empty()), 414, "uri_too_long"),
        ];
        for (request, status, reason) in refused {
            let reply = client.call(request.unwrap()).await.unwrap();
            assert_eq!((reply.status, reply.header("galton-error")), (status, reason));
        }
        let large = Request::get("http://a/").header("x", "x".repeat(limits::HEADER_BYTES)).body(empty()).unwrap();
        assert_eq!(client.call(large).await.unwrap().status, 431);
        assert!(target.seen.borrow().is_empty());
        assert_eq!(client.call(get("/")).await.unwrap().status, 200);
        rig.settled().await;
    });
}

#[test]
fn a_stream_that_is_reset_gives_its_slot_back() {
    run(async {
        let target = FakeTarget::http(1, |_| std::future::pending()).await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let client = Client2::connect(&rig).await;
        let mut sender = client.sender.clone();
        let call = spawn_local(async move { drop(sender.send_request(get("/")).await) });
        until("the slot is taken", || rig.taken() == 1).await;
        call.abort();
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "cancelled"), 1);
        assert!(!client.connection.is_finished());
    });
}

#[test]
fn a_drain_says_goaway_and_finishes_what_is_in_flight() {
    run(async {
        let gate = Rc::new(Semaphore::new(0));
        let passing = Rc::clone(&gate);
        let target = FakeTarget::http(1, move |_| {
            let passing = Rc::clone(&passing);
            async move {
                passing.acquire().await.unwrap().forget();
                Response::new(full("finished"))
            }
        })
        .await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let (idle, busy) = (Client2::connect(&rig).await, Client2::connect(&rig).await);
        gate.add_permits(1);
        assert_eq!(idle.call(get("/")).await.unwrap().body, "finished");
        let stop = async {
            until("it is in flight", || target.seen.borrow().len() == 2).await;
            rig.shutdown.ask();
            until("the idle connection is closed", || idle.connection.is_finished()).await;
            gate.add_permits(1);
        };
        let (reply, ()) = tokio::join!(busy.call(get("/")), stop);
        assert_eq!(reply.unwrap().body, "finished");
        assert_eq!(rig.served.await.unwrap().unwrap(), ExitCode::SUCCESS);
    });
}

#[test]
fn a_client_that_takes_no_response_holds_no_slot_beyond_its_deadline() {
    run(async {
        let target = FakeTarget::http(1, |_| async {
            let (sender, body) = channel();
            for _ in 0..8 {
                sender.send(Bytes::from(vec![7; 1 << 20])).unwrap();
            }
            spawn_local(async move { sender.closed().await });
            Response::new(body)
        })
        .await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let client = Client2::connect(&rig).await;
        let mut request = get("/");
        let deadline = mono_ns() + 300_000_000;
        request.headers_mut().insert("galton-deadline-ns", deadline.into());
        // Its window is used up, and nothing gives it back.
        let held = client.sender.clone().send_request(request).await.unwrap();
        assert_eq!(rig.taken(), 1);
        until("the slot is back", || rig.taken() == 0).await;
        assert!(mono_ns() >= deadline);
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "timed_out"), 1);
        drop(held);
    });
}

#[test]
fn an_idle_connection_is_sent_away() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start_with("round_robin", &[&target], &["--idle-timeout-ms", "100"]).await;
        let client = Client2::connect(&rig).await;
        assert_eq!(client.call(get("/")).await.unwrap().status, 200);
        until("it is closed", || client.connection.is_finished()).await;
        rig.settled().await;
    });
}

#[test]
fn a_preface_in_pieces_is_one_and_so_is_a_method_that_begins_like_it() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let mut raw = Raw::connect(rig.addr).await;
        for piece in PREFACE.chunks(1) {
            raw.stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        raw.stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        raw.stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, REQUEST)).await.unwrap();
        raw.until("t-001").await;
        for piece in ["P", "PR"] {
            let mut raw = Raw::connect(rig.addr).await;
            raw.send(piece).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            raw.send(&"PROPFIND / HTTP/1.1\r\nhost: a\r\n\r\n"[piece.len()..]).await;
            assert!(raw.until("t-001").await.starts_with("HTTP/1.1 200"));
        }
        assert_eq!(target.seen.borrow().len(), 3);
        rig.settled().await;
    });
}

// === frames of our own (RFC 9113, section 4.1) ===

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://a/` in HPACK: three entries of the static table, and a literal `:authority`.
const REQUEST: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends these frames for as long as the proxy takes them; returns the kinds of frames that came back until it ended the
/// connection.
async fn flood(rig: &Rig, next: impl FnMut(u32) -> Vec<u8> + 'static) -> Vec<u8> {
    let (mut read, write) = TcpStream::connect(rig.addr).await.unwrap().into_split();
    let sending = spawn_local(send(write, next));
    let mut all = Vec::new();
    let reading = tokio::time::timeout(PATIENCE, read.read_to_end(&mut all));
    // Reset or closed: ended.
    let _ = reading.await.expect("the flood is ended");
    sending.abort();
    let mut kinds = Vec::new();
    let mut rest = &all[..];
    while let [a, b, c, kind, ..] = *rest {
        kinds.push(kind);
        rest = rest.get(9 + u32::from_be_bytes([0, a, b, c]) as usize..).unwrap_or(&[]);
    }
    kinds
}

async fn send(mut write: OwnedWriteHalf, mut next: impl FnMut(u32) -> Vec<u8>) {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let mut n = 0;
    while write.write_all(&bytes).await.is_ok() {
        bytes = next(n);
        n += 1;
    }
}

fn opened_and_reset(n: u32) -> Vec<u8> {
    let stream = 2 * n + 1;
    let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream, REQUEST);
    both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    both
}

#[test]
fn streams_that_are_reset_as_soon_as_they_are_opened_end_the_connection() {
    run(async {
        let target = FakeTarget::http(1, |_| std::future::pending()).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let kinds = flood(&rig, |n| (0..100).flat_map(|i| opened_and_reset(100 * n + i)).collect()).await;
        assert!(kinds.contains(&GOAWAY), "{kinds:?}");
        rig.settled().await;
        assert!(rig.count("received_total", "") <= 200);

        // One by one, so that each is a request before it is reset.
        let connection = TcpStream::connect(rig.addr).await.unwrap();
        let (mut read, mut write) = connection.into_split();
        write.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        let before = rig.count("received_total", "");
        for n in 0..2 * limits::TAKEN_BACK {
            let stream = 2 * n + 1;
            let opened = write.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, stream, REQUEST)).await;
            if opened.is_err() {
                break;
            }
            tokio::task::yield_now().await;
            if write.write_all(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, read.read_to_end(&mut rest));
        let _ = ended.await.expect("the connection is ended");
        rig.settled().await;
        assert!(rig.count("received_total", "") - before <= u64::from(limits::TAKEN_BACK) + 10);
    });
}

#[test]
fn a_head_without_end_ends_the_connection() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        for piece in [&b""[..], &[0x82; 1000]] {
            let kinds = flood(&rig, move |n| match n {
                0 => frame(HEADERS, END_STREAM, 1, REQUEST),
                _ => frame(CONTINUATION, 0, 1, piece),
            })
            .await;
            assert!(kinds.contains(&GOAWAY), "{kinds:?}");
        }
        assert!(target.seen.borrow().is_empty());
        rig.settled().await;
    });
}

#[test]
fn frames_that_are_no_requests_do_not_keep_a_connection() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let flags = ["--idle-timeout-ms", "150", "--stall-timeout-ms", "150"];
        let rig = Rig::start_with("round_robin", &[&target], &flags).await;
        let pings = flood(&rig, |_| frame(PING, 0, 0, &[7; 8])).await;
        assert!(pings.contains(&GOAWAY) && pings.contains(&PING));
        let settings = flood(&rig, |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])).await;
        assert!(settings.contains(&GOAWAY));
        // A client that does not read what it asks for is waited for, and not kept either.
        let (read, write) = TcpStream::connect(rig.addr).await.unwrap().into_split();
        let sent = tokio::time::timeout(PATIENCE, send(write, |_| frame(PING, 0, 0, &[7; 8]).repeat(100)));
        sent.await.expect("the connection is ended");
        drop(read);
        assert_eq!(Client2::connect(&rig).await.call(get("/")).await.unwrap().status, 200);
        rig.settled().await;
    });
}
