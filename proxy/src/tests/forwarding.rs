//! Requests and responses on their way through, and attempts that come to nothing.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use galton_core::record::DecisionKind;
use galton_core::{FailReason, Outcome, RejectReason};
use galton_runtime::mono_ns;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Client, FakeTarget, Rig, channel, empty, full, get, post, refusal, run, until};
use crate::limits;

/// Bytes that show a swap or a loss.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn a_request_goes_through_and_comes_back_with_what_the_proxy_says() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let before = mono_ns();
        let request = Request::get("/a/b?c=d")
            .header("host", "galton.test")
            .header("galton-seq", "17")
            .header("galton-hold-ns", "5")
            .header("connection", "x-private")
            .header("x-private", "1")
            .header("te", "trailers");
        let reply = rig.call(request.body(empty()).unwrap()).await;
        assert_eq!((reply.status, &reply.body[..]), (200, &b"t-001"[..]));
        assert_eq!(reply.header("galton-outcome"), "ok");
        assert_eq!(reply.header("galton-attempts"), "1");
        assert_eq!(reply.header("galton-target"), "t-001");
        assert_eq!(reply.header("via"), "1.1 galton");
        let number = |name| reply.header(name).parse::<u64>().unwrap();
        assert!(before <= number("galton-recv-ns"));
        assert!(number("galton-recv-ns") <= number("galton-done-ns"));
        assert!(number("galton-overhead-ns") <= number("galton-done-ns") - number("galton-recv-ns"));

        let seen = target.seen.take();
        assert_eq!(seen[0].uri, "/a/b?c=d");
        assert_eq!(seen[0].headers["host"], "galton.test");
        assert_eq!(seen[0].headers["galton-hold-ns"], "5");
        assert_eq!(seen[0].headers["x-forwarded-for"], "127.0.0.1");
        assert!(!seen[0].headers.contains_key("x-private"));
        assert_eq!(
            (&seen[0].headers["te"], &seen[0].headers["connection"]),
            (&"trailers".parse().unwrap(), &"te".parse().unwrap())
        );
        let records = rig.records();
        assert_eq!((records.len(), records[0].request.0, records[0].kind), (1, 17, DecisionKind::Accept));
        rig.settled().await;
    });
}

#[test]
fn large_bodies_stream_both_ways_at_once() {
    run(async {
        let target = FakeTarget::http(1, |request| async move {
            let body = request.into_body().map_err(Into::into);
            Response::new(BodyExt::boxed_unsync(body))
        })
        .await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let mut client = Client::connect(rig.addr).await;
        let (sender, body) = channel();
        let mut echoed = client.sender.send_request(post(body)).await.unwrap().into_body();
        assert_eq!(rig.taken(), 1, "the slot is held until the response is complete");
        let piece = Bytes::from(pattern(1 << 16));
        let mut back = Vec::new();
        for _ in 0..128 {
            sender.send(piece.clone()).unwrap();
            let due = back.len() + piece.len();
            while back.len() < due {
                back.extend_from_slice(&echoed.frame().await.unwrap().unwrap().into_data().unwrap());
            }
        }
        drop(sender);
        assert!(echoed.frame().await.is_none());
        assert_eq!(back.len(), 8 << 20);
        assert!(back.chunks(piece.len()).all(|chunk| chunk == piece));
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "ok"), 1);
    });
}

#[test]
fn a_refused_request_is_sent_again_with_the_same_body() {
    run(async {
        let refusing = FakeTarget::refusing(1).await;
        let echo = FakeTarget::http(2, |request| async move {
            Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
        })
        .await;
        let rig = Rig::start("round_robin", &[&refusing, &echo]).await;
        let body = pattern(limits::REPLAY_BYTES);
        let (sender, chunked) = channel();
        body.chunks(1000).for_each(|chunk| sender.send(Bytes::copy_from_slice(chunk)).unwrap());
        drop(sender);
        let reply = rig.call(post(chunked)).await;
        assert_eq!((reply.status, reply.header("galton-attempts")), (200, "2"));
        assert_eq!(reply.header("galton-target"), "t-002");
        assert!(reply.body == body);
        let with_length = rig.call(post(full(body.clone()))).await;
        assert_eq!(with_length.header("galton-attempts"), "2");
        assert!(with_length.body == body);
        rig.settled().await;
        assert_eq!(rig.count("retries_total", ""), 2);
        assert_eq!(rig.count("attempts_total", "outcome=\"full\""), 2);
        assert_eq!(refusing.connections.get(), 1, "a refusal does not cost the connection");
    });
}

#[test]
fn a_refused_request_whose_body_is_gone_is_rejected() {
    run(async {
        let (refusing, other) = (FakeTarget::refusing(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("round_robin", &[&refusing, &other]).await;
        let reply = rig.call(post(full(pattern(limits::REPLAY_BYTES + 1)))).await;
        assert_eq!((reply.status, reply.header("galton-attempts")), (503, "1"));
        let outcome = Outcome::Rejected(RejectReason::RetriesExhausted);
        assert_eq!(reply.header("galton-outcome"), outcome.to_string());
        assert!(other.seen.borrow().is_empty());
        rig.settled().await;
        assert_eq!(rig.count("attempts_total", "outcome=\"full\""), 1);
        assert_eq!(rig.count("attempts_total", "outcome=\"reset\""), 0);
        assert_eq!(rig.records()[0].kind, DecisionKind::Refuse);
    });
}

#[test]
fn an_early_refusal_lets_go_of_a_body_that_is_still_coming() {
    run(async {
        let refusing = FakeTarget::http(1, |_| async { refusal() }).await;
        let echo = FakeTarget::http(2, |request| async move {
            Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
        })
        .await;
        let rig = Rig::start("round_robin", &[&refusing, &echo]).await;
        let mut client = Client::connect(rig.addr).await;
        let (sender, body) = channel();
        sender.send(Bytes::from_static(b"first ")).unwrap();
        let seen = Rc::clone(&echo.seen);
        let call = client.call(post(body));
        let rest = async {
            until("the second attempt", || !seen.borrow().is_empty()).await;
            sender.send(Bytes::from_static(b"second")).unwrap();
            drop(sender);
        };
        let (reply, ()) = tokio::join!(call, rest);
        let reply = reply.unwrap();
        assert_eq!((reply.status, &reply.body[..]), (200, &b"first second"[..]));
        rig.settled().await;
    });
}

#[test]
fn nobody_takes_it() {
    run(async {
        let refusing = FakeTarget::refusing(1).await;
        let rig = Rig::start("round_robin", &[&refusing]).await;
        let reply = rig.get().await;
        assert_eq!((reply.status, reply.header("galton-attempts")), (503, "3"));
        let outcome = Outcome::Rejected(RejectReason::RetriesExhausted);
        assert_eq!(reply.header("galton-outcome"), outcome.to_string());
        assert_eq!(reply.header("retry-after"), "1");
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "rejected"), 1);
    });
}

#[test]
fn a_target_without_a_connection_is_passed_over() {
    run(async {
        let (absent, there) = (FakeTarget::absent(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("round_robin", &[&absent, &there]).await;
        let first = rig.get().await;
        assert_eq!((first.status, first.header("galton-attempts")), (200, "2"));
        let second = rig.get().await;
        assert_eq!((second.status, second.header("galton-attempts")), (200, "1"));
        rig.settled().await;
        assert_eq!(rig.count("connection_failures_total", ""), 1);
    });
}

#[test]
fn a_wait_between_attempts_is_as_long_as_it_says() {
    run(async {
        let (refusing, there) = (FakeTarget::refusing(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("retry_after_a_wait", &[&refusing, &there]).await;
        let before = mono_ns();
        let reply = rig.get().await;
        assert!(mono_ns() - before >= 150_000_000);
        assert_eq!(reply.header("galton-attempts"), "2");
        assert!(reply.header("galton-overhead-ns").parse::<u64>().unwrap() >= 150_000_000);
        assert_eq!(rig.count("injected_delays_total", ""), 1);
        rig.settled().await;
    });
}

/// Reads a request's head, and no more.
async fn read_head(stream: &mut tokio::net::TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

#[test]
fn a_connection_that_breaks_before_the_response_is_a_reset() {
    run(async {
        let breaking = FakeTarget::raw(1, |mut stream| async move { read_head(&mut stream).await }).await;
        let there = FakeTarget::ok(2).await;
        let rig = Rig::start("round_robin", &[&breaking, &there]).await;
        let reply = rig.get().await;
        assert_eq!((reply.status, reply.header("galton-attempts")), (502, "1"));
        assert_eq!(reply.header("galton-outcome"), Outcome::Failed(FailReason::Reset).to_string());
        assert_eq!(reply.header("galton-target"), "t-001");
        rig.settled().await;
    });
}

#[test]
fn a_reset_is_tried_again_only_where_that_is_safe() {
    run(async {
        let breaking = FakeTarget::raw(1, |mut stream| async move { read_head(&mut stream).await }).await;
        let there = FakeTarget::ok(2).await;
        let rig = Rig::start("retry_resets", &[&breaking, &there]).await;
        assert_eq!(rig.get().await.header("galton-attempts"), "2");
        let reply = rig.call(post(empty())).await;
        assert_eq!((reply.status, reply.header("galton-attempts")), (502, "1"), "POST is not idempotent");
        rig.settled().await;
    });
}

#[test]
fn a_response_that_breaks_off_breaks_off_for_the_client() {
    run(async {
        let breaking = FakeTarget::raw(1, |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await.unwrap();
        })
        .await;
        let rig = Rig::start("least_conns", &[&breaking]).await;
        let mut client = Client::connect(rig.addr).await;
        let reply = client.call(get()).await;
        assert!(reply.is_err(), "{reply:?}");
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "failed"), 1);
        assert_eq!(rig.records()[0].kind, DecisionKind::Fail(FailReason::Reset));
    });
}

#[test]
fn connections_are_kept_and_used_again() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let mut client = Client::connect(rig.addr).await;
        for i in 0..50 {
            let request = if i % 2 == 0 { get() } else { post(full(pattern(3000))) };
            assert_eq!(client.call(request).await.unwrap().status, 200);
        }
        assert_eq!(target.connections.get(), 1);
        rig.settled().await;
    });
}

#[test]
fn a_connection_that_was_closed_while_idle_is_not_used() {
    run(async {
        let closed = Rc::new(Cell::new(0));
        let count = Rc::clone(&closed);
        let target = FakeTarget::raw(1, move |mut stream| {
            let count = Rc::clone(&count);
            async move {
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                drop(stream);
                count.set(count.get() + 1);
            }
        })
        .await;
        let rig = Rig::start("round_robin", &[&target]).await;
        for n in 1..=20 {
            assert_eq!(rig.get().await.status, 200);
            until("the target closes", || closed.get() == n).await;
            // The end of the stream is there: one round of the loop, and the proxy has seen it.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "ok"), 20);
    });
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let long = "x".repeat(limits::HEADER_BYTES);
        let header = Request::get("/").header("host", "h").header("x-long", &long).body(empty()).unwrap();
        assert_eq!(rig.call(header).await.status, 431);
        let uri = Request::get(format!("/{long}")).header("host", "h").body(empty()).unwrap();
        assert!((414..=431).contains(&rig.call(uri).await.status));
        assert!(target.seen.borrow().is_empty());
        rig.settled().await;
    });
}

#[test]
fn a_foreign_error_is_handed_on_as_failed() {
    run(async {
        let target = FakeTarget::http(1, |_| async {
            Response::builder().status(404).header("galton-outcome", "ok").body(full("no")).unwrap()
        })
        .await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let reply = rig.get().await;
        assert_eq!((reply.status, &reply.body[..]), (404, &b"no"[..]));
        assert_eq!(reply.header("galton-outcome"), Outcome::Failed(FailReason::Http).to_string());
        rig.settled().await;
    });
}

#[test]
fn old_clients_are_served() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let mut stream = tokio::net::TcpStream::connect(rig.addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with("HTTP/1.0 200") || reply.starts_with("HTTP/1.1 200"), "{reply}");
        assert!(reply.ends_with("t-001"), "{reply}");
        assert_eq!(target.seen.borrow()[0].headers["via"], "1.0 galton");
        rig.settled().await;
    });
}
