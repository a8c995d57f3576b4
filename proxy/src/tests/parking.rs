//! Connections that stay idle and are parked: what is promised of a connection is kept, and no byte is lost on the way.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Response;
use tokio::io::AsyncReadExt;

use super::rig::{FakeTarget, Raw, Rig, channel, full, run, until};

const HEAD: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// How HTTP/2 begins, with empty settings (RFC 9113, section 3.4).
const HTTP2: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn rig(target: &FakeTarget, flags: &[&str]) -> Rig {
    Rig::start_with("round_robin", &[target], &[&["--park-after-ms", "5"], flags].concat()).await
}

async fn parked(rig: &Rig, n: u64) {
    until(&format!("{n} parked"), || rig.count("parked_connections", "") == n).await;
}

async fn ask(raw: &mut Raw) {
    raw.send(HEAD).await;
    assert!(raw.until("t-001").await.starts_with("HTTP/1.1 200"));
}

/// A connection that was served and is parked, the only one.
async fn one_parked(rig: &Rig) -> Raw {
    let mut raw = Raw::connect(rig.addr).await;
    ask(&mut raw).await;
    parked(rig, 1).await;
    raw
}

#[test]
fn a_parked_connection_goes_on() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = rig(&target, &[]).await;
        let mut raw = one_parked(&rig).await;
        for _ in 0..3 {
            ask(&mut raw).await;
            parked(&rig, 1).await;
        }
        raw.send(&HEAD.repeat(3)).await;
        until("all have come", || target.seen.borrow().len() == 7).await;
        assert!(target.seen.borrow().iter().all(|head| head.headers["x-forwarded-for"] == "127.0.0.1"));
        parked(&rig, 1).await;
        drop(raw);
        parked(&rig, 0).await;
        rig.settled().await;
    });
}

#[test]
fn a_connection_that_has_not_begun_is_parked_and_may_speak_either() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = rig(&target, &[]).await;
        for pieces in [&[HTTP2][..], &["P", "RI", &HTTP2[3..]]] {
            let mut raw = Raw::connect(rig.addr).await;
            parked(&rig, 1).await;
            for piece in pieces {
                raw.send(piece).await;
                parked(&rig, 0).await;
            }
            let mut frame = [0; 9];
            raw.stream.read_exact(&mut frame).await.unwrap();
            assert_eq!(frame[3], 4, "the proxy's settings");
        }
        let mut raw = Raw::connect(rig.addr).await;
        parked(&rig, 1).await;
        ask(&mut raw).await;
        // Once it is HTTP/1.1, no other protocol begins.
        parked(&rig, 1).await;
        raw.send(HTTP2).await;
        assert_eq!(raw.rest().await, "");
    });
}

#[test]
fn parked_connections_are_closed_when_their_time_is_over() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = rig(&target, &["--idle-timeout-ms", "1000", "--head-timeout-ms", "500"]).await;
        let before = Instant::now();
        let mut raw = one_parked(&rig).await;
        assert_eq!(raw.rest().await, "");
        assert!(before.elapsed() >= Duration::from_millis(1000));
        parked(&rig, 0).await;

        let before = Instant::now();
        let mut silent = Raw::connect(rig.addr).await;
        parked(&rig, 1).await;
        assert_eq!(silent.rest().await, "", "nothing was asked");
        assert!(before.elapsed() >= Duration::from_millis(500));
        parked(&rig, 0).await;
    });
}

#[test]
fn a_drain_closes_parked_connections_at_once() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = rig(&target, &[]).await;
        let mut silent = Raw::connect(rig.addr).await;
        parked(&rig, 1).await;
        let mut raw = Raw::connect(rig.addr).await;
        ask(&mut raw).await;
        parked(&rig, 2).await;
        let before = Instant::now();
        rig.shutdown.ask();
        assert_eq!((raw.rest().await, silent.rest().await), (String::new(), String::new()));
        assert_eq!(rig.count("parked_connections", ""), 0);
        assert_eq!(rig.served.await.unwrap().unwrap(), ExitCode::SUCCESS);
        assert!(before.elapsed() < crate::limits::DRAIN);
    });
}

#[test]
fn a_head_that_does_not_come_whole_after_parking_is_told_so() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = rig(&target, &["--head-timeout-ms", "100"]).await;
        let mut raw = one_parked(&rig).await;
        let before = Instant::now();
        raw.send("GET / HT").await;
        let reply = raw.rest().await;
        assert!(reply.starts_with("HTTP/1.1 408 ") && reply.contains("galton-error: head_timeout\r\n"), "{reply}");
        assert!(before.elapsed() >= Duration::from_millis(100));

        // Its first bytes were read with the request before.
        let mut raw = Raw::connect(rig.addr).await;
        raw.send(&format!("{HEAD}GET / HT")).await;
        raw.until("t-001").await;
        assert!(raw.rest().await.starts_with("HTTP/1.1 408 "));
        assert_eq!(target.seen.borrow().len(), 2);
        rig.settled().await;
    });
}

#[test]
fn what_comes_while_a_connection_is_parked_is_not_lost() {
    const CONNECTIONS: usize = 20;
    const ROUNDS: usize = 40;
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start_with("round_robin", &[&target], &["--park-after-ms", "1"]).await;
        // Two requests a round: the second comes in two pieces, one of them with the first request, the other up to a few
        // looks later, each time at another moment.
        let talk = async |n: usize| {
            let mut raw = Raw::connect(rig.addr).await;
            for round in 0..ROUNDS {
                let (early, late) = HEAD.split_at((n + round) % HEAD.len());
                raw.send(&format!("{HEAD}{early}")).await;
                assert!(raw.until("t-001").await.starts_with("HTTP/1.1 200"));
                tokio::time::sleep(Duration::from_micros((n * ROUNDS + round) as u64 * 7 % 4000)).await;
                raw.send(late).await;
                assert!(raw.until("t-001").await.starts_with("HTTP/1.1 200"));
                tokio::time::sleep(Duration::from_micros((n * ROUNDS + round) as u64 * 11 % 4000)).await;
            }
        };
        join_all((0..CONNECTIONS).map(talk)).await;
        assert_eq!(target.seen.borrow().len(), 2 * CONNECTIONS * ROUNDS);
        rig.settled().await;
    });
}

#[test]
fn what_is_under_way_is_not_parked() {
    run(async {
        let target = FakeTarget::http(1, |_| async {
            let (sender, body) = channel();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                sender.send(Bytes::from_static(b"half")).unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
                sender.send(Bytes::from_static(b"whole")).unwrap();
            });
            Response::new(body)
        })
        .await;
        let rig = rig(&target, &[]).await;
        let mut raw = Raw::connect(rig.addr).await;
        raw.send(HEAD).await;
        raw.until("half").await;
        assert_eq!(rig.count("parked_connections", ""), 0);
        raw.until("whole").await;
        parked(&rig, 1).await;

        let target = FakeTarget::ok(1).await;
        let rig = self::rig(&target, &[]).await;
        let mut raw = Raw::connect(rig.addr).await;
        raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n").await;
        for byte in ["a", "b", "c", "d", "e"] {
            tokio::time::sleep(Duration::from_millis(30)).await;
            raw.send(byte).await;
        }
        assert!(raw.until("t-001").await.starts_with("HTTP/1.1 200"));
        parked(&rig, 1).await;
    });
}

/// An answer before all of a request was read: what is left of it is no next request.
#[test]
fn the_rest_of_a_request_is_not_taken_for_the_next() {
    run(async {
        let target = FakeTarget::http(1, |_| async { Response::new(full("t-001")) }).await;
        let rig = rig(&target, &[]).await;
        let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
        let half = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{smuggled}", 2 * smuggled.len());
        let (mut ending, mut stopping) = (Raw::connect(rig.addr).await, Raw::connect(rig.addr).await);
        for raw in [&mut ending, &mut stopping] {
            raw.send(&half).await;
            raw.until("t-001").await;
        }
        // The connection may have been ended.
        let _ = ending.stream.try_write(smuggled.as_bytes());
        let _ = ending.stream.try_write(b"GET / HTTP/1.0\r\n\r\n");
        ending.rest().await;
        stopping.rest().await;
        assert!(target.seen.borrow().iter().all(|head| head.uri.path() == "/"));
        rig.settled().await;
    });
}

#[test]
fn a_thousand_parked_connections_are_all_used_again() {
    run(async {
        galton_runtime::role::raise_descriptor_limit();
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start_with("round_robin", &[&target], &["--park-after-ms", "100"]).await;
        let mut all = Vec::new();
        for _ in 0..1000 {
            let mut raw = Raw::connect(rig.addr).await;
            ask(&mut raw).await;
            all.push(raw);
        }
        for _ in 0..2 {
            parked(&rig, 1000).await;
            for raw in &mut all {
                raw.send(HEAD).await;
            }
            for raw in &mut all {
                assert!(raw.until("t-001").await.starts_with("HTTP/1.1 200"));
            }
        }
        assert_eq!(target.seen.borrow().len(), 3000);
        rig.settled().await;
    });
}
