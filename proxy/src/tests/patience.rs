//! How long a client may take: for a head, for a body, between requests, to read; and what is left to finish at the end.

use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use galton_runtime::mono_ns;
use http::Response;
use http_body_util::BodyExt;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

use super::rig::{FakeTarget, PATIENCE, Raw, Rig, channel, exchange, full, run, until};

const HEAD: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn a_head_that_does_not_come_whole_is_told_so() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start_with("round_robin", &[&target], &["--head-timeout-ms", "100"]).await;
        let before = Instant::now();
        let reply = exchange(rig.addr, "GET / HTTP/1.1\r\nhost:").await;
        assert!(reply.starts_with("HTTP/1.1 408 ") && reply.contains("galton-error: head_timeout\r\n"), "{reply}");
        assert!(before.elapsed() >= Duration::from_millis(100));

        // Byte by byte, after a request that was quick: the time is that of the whole head.
        let mut raw = Raw::connect(rig.addr).await;
        raw.send(HEAD).await;
        raw.until("t-001").await;
        let dripping = async {
            for byte in HEAD.as_bytes().chunks(1).take(HEAD.len() - 1) {
                let _ = raw.stream.try_write(byte);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        dripping.await;
        assert!(raw.rest().await.starts_with("HTTP/1.1 408 "));
        assert_eq!(target.seen.borrow().len(), 1);
        rig.settled().await;
    });
}

#[test]
fn idle_connections_are_closed_and_those_in_use_are_not() {
    run(async {
        let target = FakeTarget::http(1, |_| async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Response::new(full("late"))
        })
        .await;
        let flags = ["--idle-timeout-ms", "60", "--head-timeout-ms", "60", "--stall-timeout-ms", "60"];
        let rig = Rig::start_with("round_robin", &[&target], &flags).await;
        assert_eq!(exchange(rig.addr, "").await, "", "nothing was asked");
        let mut raw = Raw::connect(rig.addr).await;
        raw.send(HEAD).await;
        assert!(raw.until("late").await.starts_with("HTTP/1.1 200"), "a target may take longer than that");
        let before = Instant::now();
        assert_eq!(raw.rest().await, "");
        assert!(before.elapsed() >= Duration::from_millis(50));
        rig.settled().await;
    });
}

#[test]
fn a_body_that_stops_is_told_so_and_gives_its_slot_back() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start_with("least_conns", &[&target], &["--body-timeout-ms", "80"]).await;
        let half = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf";
        let reply = exchange(rig.addr, half).await;
        assert!(reply.starts_with("HTTP/1.1 408 ") && reply.contains("galton-error: body_timeout\r\n"), "{reply}");
        rig.settled().await;
        assert_eq!(rig.count("attempts_total", "closed"), 1, "no target's fault");

        // A body that is slow and comes is waited for.
        let mut raw = Raw::connect(rig.addr).await;
        raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n").await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            raw.send("x").await;
        }
        assert!(raw.until("t-001").await.starts_with("HTTP/1.1 200"));
        rig.settled().await;
    });
}

#[test]
fn an_answer_to_half_a_request_says_that_the_connection_ends() {
    run(async {
        let target = FakeTarget::http(1, |_| std::future::pending()).await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let deadline = mono_ns() + 100_000_000;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ngalton-deadline-ns: {deadline}\r\n");
        let reply = exchange(rig.addr, &format!("{head}content-length: 10\r\n\r\nhalf")).await;
        assert!(reply.starts_with("HTTP/1.1 504 ") && reply.contains("connection: close\r\n"), "{reply}");
        rig.settled().await;
    });
}

/// A target whose response does not end.
async fn endless() -> FakeTarget {
    FakeTarget::http(1, |_| async {
        let (sender, body) = channel();
        spawn_local(async move {
            while sender.send(Bytes::from(vec![7; 1 << 16])).is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Response::new(body)
    })
    .await
}

#[test]
fn a_client_that_does_not_read_holds_no_slot_beyond_its_deadline() {
    run(async {
        let target = endless().await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let mut raw = Raw::connect(rig.addr).await;
        let deadline = mono_ns() + 300_000_000;
        raw.send(&format!("GET / HTTP/1.1\r\nhost: a\r\ngalton-deadline-ns: {deadline}\r\n\r\n")).await;
        until("the slot is taken", || rig.taken() == 1).await;
        until("the slot is back", || rig.taken() == 0).await;
        assert!(mono_ns() >= deadline);
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "timed_out"), 1);
        // It does not let go of the response, and so of its connection.
        let mut scratch = vec![0; 1 << 16];
        let gone = async { while raw.stream.read(&mut scratch).await.is_ok_and(|n| n > 0) {} };
        tokio::time::sleep(2 * crate::limits::LET_GO).await;
        tokio::time::timeout(PATIENCE, gone).await.expect("the connection is closed");
    });
}

#[test]
fn a_client_that_does_not_read_loses_its_connection() {
    run(async {
        let target = endless().await;
        let rig = Rig::start_with("least_conns", &[&target], &["--stall-timeout-ms", "100"]).await;
        let mut raw = Raw::connect(rig.addr).await;
        raw.send(HEAD).await;
        until("the slot is taken", || rig.taken() == 1).await;
        until("the slot is back", || rig.taken() == 0).await;
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "cancelled"), 1);
    });
}

#[test]
fn what_is_in_flight_finishes_and_nothing_else_begins() {
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
        let (mut new, mut idle, mut busy) =
            (Raw::connect(rig.addr).await, Raw::connect(rig.addr).await, Raw::connect(rig.addr).await);
        gate.add_permits(1);
        idle.send(HEAD).await;
        idle.until("finished").await;
        busy.send(HEAD).await;
        until("it is in flight", || target.seen.borrow().len() == 2).await;
        rig.shutdown.ask();
        assert_eq!((new.rest().await, idle.rest().await), (String::new(), String::new()), "closed at once");
        until("the port is closed", || std::net::TcpStream::connect(rig.addr).is_err()).await;
        assert!(!rig.served.is_finished());
        gate.add_permits(1);
        let reply = busy.rest().await;
        assert!(reply.contains("connection: close\r\n") && reply.ends_with("finished"), "{reply}");
        assert_eq!(rig.served.await.unwrap().unwrap(), ExitCode::SUCCESS);
    });
}

#[test]
fn a_drain_does_not_wait_for_ever() {
    run(async {
        let target = FakeTarget::http(1, |request| async move {
            let _ = request.into_body().collect().await;
            std::future::pending().await
        })
        .await;
        let rig = Rig::start_with("round_robin", &[&target], &["--drain-timeout-ms", "100"]).await;
        let mut raw = Raw::connect(rig.addr).await;
        raw.send(HEAD).await;
        until("it is in flight", || !target.seen.borrow().is_empty()).await;
        let before = Instant::now();
        rig.shutdown.ask();
        assert_eq!(rig.served.await.unwrap().unwrap(), ExitCode::SUCCESS);
        assert!(before.elapsed() >= Duration::from_millis(100));
    });
}
