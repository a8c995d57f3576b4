//! HTTP/1.1 and 1.0 as clients speak it, byte by byte: what is refused, what is handed on, and what ends the connection.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::AsyncWriteExt;

use super::rig::{Client, FakeTarget, Raw, Rig, channel, exchange, full, get, post, run, until};

/// Answers with what it was sent, its head's framing first.
async fn echo(number: u32) -> FakeTarget {
    FakeTarget::http(number, |request| async move {
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await
}

#[test]
fn what_an_intermediary_must_not_hand_on_is_refused_and_ends_the_connection() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\n";
        let refused = [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400", "host_missing"),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), "400", "host_ambiguous"),
            ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(), "400", "host_invalid"),
            ("GET a.example HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "400", "target_invalid"),
            ("GET * HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "400", "target_invalid"),
            (format!("{head}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "501", "coding_unknown"),
            (
                format!("{head}transfer-encoding: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
                "501",
                "coding_unknown",
            ),
            (format!("{head}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), "400", "length_invalid"),
            (format!("{head}transfer-encoding: chunked\r\n\r\nnonsense\r\n"), "400", "body_broken"),
            (format!("{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"), "400", "malformed"),
            (format!("{head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"), "400", "malformed"),
            (format!("{head}content-length: 1\r\ncontent-length: 2\r\n\r\nxy"), "400", "malformed"),
            (format!("{head}content-length: 1, 1\r\n\r\nx"), "400", "malformed"),
            (format!("{head}content-length: +1\r\n\r\nx"), "400", "malformed"),
            (format!("{head}x: a\r\n b\r\n\r\n"), "400", "malformed"),
            (format!("{head}x : a\r\n\r\n"), "400", "malformed"),
            (format!("{head}x: a\0b\r\n\r\n"), "400", "malformed"),
            (format!("{head}x: a\rb\r\n\r\n"), "400", "malformed"),
            (format!("{head}: a\r\n\r\n"), "400", "malformed"),
            (
                "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
                "400",
                "malformed",
            ),
        ];
        for (request, status, reason) in refused {
            let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
            let reply = exchange(rig.addr, &format!("{request}{smuggled}")).await;
            assert!(
                reply.starts_with(&format!("HTTP/1.1 {status} ")) || reply.starts_with(&format!("HTTP/1.0 {status} ")),
                "{request:?}: {reply}"
            );
            assert_eq!(reply.matches("HTTP/1.").count(), 1, "{request:?}: {reply}");
            assert!(reply.contains("connection: close\r\n"), "{request:?}: {reply}");
            let said = reply.lines().find_map(|line| line.strip_prefix("galton-error: ")).unwrap_or("");
            assert_eq!(said, reason, "{request:?}: {reply}");
        }
        assert!(target.seen.borrow().iter().all(|head| head.uri.path() != "/smuggled"));
        rig.settled().await;
    });
}

#[test]
fn both_lengths_are_one_and_end_the_connection() {
    run(async {
        let target = echo(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        for order in
            [["content-length: 3", "transfer-encoding: chunked"], ["transfer-encoding: chunked", "content-length: 3"]]
        {
            let [first, second] = order;
            let request = format!(
                "POST / HTTP/1.1\r\nhost: a\r\n{first}\r\n{second}\r\n\r\n5\r\nabcde\r\n0\r\n\r\nGET /smuggled"
            );
            let reply = exchange(rig.addr, &request).await;
            assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("abcde"), "{reply}");
            assert!(reply.contains("connection: close\r\n"), "{reply}");
        }
        let seen = target.seen.take();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|head| !head.headers.contains_key("content-length")));
        rig.settled().await;
    });
}

#[test]
fn equal_lengths_are_one() {
    run(async {
        let target = echo(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let request =
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc";
        let reply = exchange(rig.addr, request).await;
        assert!(reply.ends_with("\r\n\r\nabc"), "{reply}");
        assert_eq!(target.seen.borrow()[0].headers.get_all("content-length").iter().count(), 1);
        rig.settled().await;
    });
}

#[test]
fn a_request_that_breaks_no_rule_keeps_its_connection() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let mut raw = Raw::connect(rig.addr).await;
        let rejected = [
            ("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", "501", "connect"),
            ("GET / HTTP/1.1\r\nhost: a\r\nexpect: more\r\n\r\n", "417", "expectation_unknown"),
            (&format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(9000)), "414", "uri_too_long"),
        ];
        for (request, status, reason) in rejected {
            raw.send(request).await;
            let head = raw.until("\n\r\n").await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains(&format!("galton-error: {reason}\r\n")), "{head}");
        }
        raw.send("OPTIONS * HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n").await;
        assert!(raw.until("t-001").await.contains("HTTP/1.1 200 OK"));
        let seen = target.seen.take();
        assert_eq!((seen.len(), seen[0].uri.to_string().as_str()), (1, "*"));
        assert!(!seen[0].headers.contains_key("upgrade") && !seen[0].headers.contains_key("connection"));
        rig.settled().await;
    });
}

#[test]
fn the_host_of_an_absolute_uri_comes_first() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let request = "GET http://a.example:8080/x?y HTTP/1.1\r\nhost: b.example\r\nx-forwarded-host: c\r\nconnection: close\r\n\r\n";
        assert!(exchange(rig.addr, request).await.starts_with("HTTP/1.1 200"));
        let seen = target.seen.take();
        let header = |name: &str| seen[0].headers[name].to_str().unwrap().to_owned();
        assert_eq!((seen[0].uri.to_string(), header("host")), ("/x?y".to_owned(), "a.example:8080".to_owned()));
        assert_eq!(
            (header("x-forwarded-host"), header("x-forwarded-proto")),
            ("a.example:8080".to_owned(), "http".to_owned())
        );
        rig.settled().await;
    });
}

#[test]
fn a_client_is_told_to_continue_when_a_target_reads() {
    run(async {
        let target = echo(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let mut raw = Raw::connect(rig.addr).await;
        raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").await;
        assert_eq!(raw.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        raw.send("body").await;
        assert!(raw.until("\r\n\r\nbody").await.starts_with("HTTP/1.1 200"));
        assert!(!target.seen.borrow()[0].headers.contains_key("expect"));
        rig.settled().await;
    });
}

#[test]
fn a_client_whose_request_goes_nowhere_is_not_told_to_continue() {
    run(async {
        let rig = Rig::start("least_conns", &[]).await;
        let reply =
            exchange(rig.addr, "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").await;
        assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
        assert!(reply.contains("retry-after: 1\r\n"), "{reply}");
        rig.settled().await;
    });
}

#[test]
fn a_get_with_a_body_keeps_it() {
    run(async {
        let target = echo(1).await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let chunked = "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
        assert!(exchange(rig.addr, chunked).await.ends_with("\r\n\r\nbody"));
        let sized = "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody";
        assert!(exchange(rig.addr, sized).await.ends_with("\r\n\r\nbody"));
        rig.settled().await;
    });
}

/// A target that says these bytes to every request.
async fn saying(bytes: &'static str) -> FakeTarget {
    FakeTarget::raw(1, move |mut stream| async move {
        let mut head = Vec::new();
        while tokio::io::AsyncReadExt::read_buf(&mut stream, &mut head).await.unwrap_or(0) > 0 {
            if head.ends_with(b"\r\n\r\n") {
                head.clear();
                let _ = stream.write_all(bytes.as_bytes()).await;
            }
        }
    })
    .await
}

#[test]
fn a_response_without_a_body_keeps_its_length() {
    run(async {
        let not_modified = saying("HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\netag: \"x\"\r\n\r\n").await;
        let rig = Rig::start("round_robin", &[&not_modified]).await;
        let mut raw = Raw::connect(rig.addr).await;
        for _ in 0..2 {
            raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let head = raw.until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 304 ") && head.contains("content-length: 7\r\n"), "{head}");
        }
        rig.settled().await;
    });
    run(async {
        let head_only = saying("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n").await;
        let rig = Rig::start("round_robin", &[&head_only]).await;
        let mut raw = Raw::connect(rig.addr).await;
        for _ in 0..2 {
            raw.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let head = raw.until("\r\n\r\n").await;
            assert!(head.contains("content-length: 7\r\n"), "{head}");
        }
        assert_eq!(head_only.connections.get(), 1);
        rig.settled().await;
    });
    run(async {
        let nothing = saying("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").await;
        let rig = Rig::start("round_robin", &[&nothing]).await;
        let reply = exchange(rig.addr, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(reply.starts_with("HTTP/1.1 204 ") && !reply.contains("content-length"), "{reply}");
        rig.settled().await;
    });
}

#[test]
fn interim_responses_are_handed_on_and_a_switch_is_a_fault() {
    run(async {
        let hinting =
            saying("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        let rig = Rig::start("round_robin", &[&hinting]).await;
        let get = "GET / HTTP/1.1\r\nhost: a\r\n";
        // Of two that come at once, each hint is before its own answer.
        let replies = exchange(rig.addr, &format!("{get}\r\n{get}connection: close\r\n\r\n")).await;
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\nvia: 1.1 galton\r\n\r\nHTTP/1.1 200 OK\r\n";
        let (first, second) = replies.rsplit_once(hint).unwrap_or_else(|| panic!("{replies}"));
        assert!(first.starts_with(hint) && first.ends_with("\r\n\r\nok"), "{replies}");
        assert!(second.ends_with("\r\n\r\nok"), "{replies}");
        let reply = exchange(rig.addr, "GET / HTTP/1.0\r\n\r\n").await;
        assert!(reply.starts_with("HTTP/1.0 200 OK\r\n") || reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        rig.settled().await;
    });
    for bad in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "garbage\r\n\r\n",
    ] {
        run(async {
            let faulty = saying(bad).await;
            let rig = Rig::start("round_robin", &[&faulty]).await;
            let reply = exchange(rig.addr, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            assert!(reply.starts_with("HTTP/1.1 502 "), "{bad}: {reply}");
            assert!(reply.contains("galton-outcome: failed;reason=reset\r\n"), "{reply}");
            rig.settled().await;
        });
    }
}

#[test]
fn old_clients_keep_a_connection_only_if_they_ask_and_know_where_a_response_ends() {
    run(async {
        let target = FakeTarget::http(1, |request| async move {
            if request.uri().path() == "/sized" {
                return Response::new(full("sized"));
            }
            let (sender, body) = channel();
            sender.send(Bytes::from_static(b"streamed")).unwrap();
            Response::new(body)
        })
        .await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let reply = exchange(rig.addr, "GET /sized HTTP/1.0\r\n\r\n").await;
        assert!(reply.starts_with("HTTP/1.0 200") && !reply.contains("keep-alive"), "{reply}");

        let mut raw = Raw::connect(rig.addr).await;
        raw.send("GET /sized HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        assert!(raw.until("\r\n\r\nsized").await.contains("connection: keep-alive\r\n"));
        raw.send("GET /streamed HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        let streamed = raw.rest().await;
        assert!(streamed.starts_with("HTTP/1.0 200") && streamed.ends_with("\r\n\r\nstreamed"), "{streamed}");
        assert!(!streamed.contains("keep-alive") && !streamed.contains("chunked"), "{streamed}");
        rig.settled().await;
    });
}

#[test]
fn trailers_go_both_ways() {
    run(async {
        let target = FakeTarget::http(1, |request| async move {
            let trailers = request.into_body().collect().await.unwrap().trailers().cloned().unwrap_or_default();
            let mut back = HeaderMap::new();
            back.insert("x-sum", trailers.get("x-sum").cloned().unwrap_or(HeaderValue::from_static("none")));
            let frames = [Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(back))];
            let body = BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames)));
            Response::builder().header("trailer", "x-sum").body(body).unwrap()
        })
        .await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, close\r\ntrailer: x-sum\r\n\
            transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n";
        let reply = exchange(rig.addr, request).await;
        assert!(reply.ends_with("4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n"), "{reply}");
        assert_eq!(target.seen.borrow()[0].headers["te"], "trailers");
        rig.settled().await;
    });
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_lets_its_slot_go() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start_with("least_conns", &[&target], &["--max-body-bytes", "100000"]).await;
        let declared = rig.call(post(full(vec![7; 100_001]))).await;
        assert_eq!((declared.status, declared.header("galton-error")), (413, "body_too_large"));
        assert!(target.seen.borrow().is_empty());

        let mut client = Client::connect(rig.addr).await;
        let (sender, body) = channel();
        for _ in 0..20 {
            sender.send(Bytes::from(vec![7; 10_000])).unwrap();
        }
        let streamed = client.call(post(body)).await.unwrap();
        assert_eq!((streamed.status, streamed.header("galton-error")), (413, "body_too_large"));
        rig.settled().await;
        assert_eq!(rig.count("attempts_total", "closed"), 1, "no target's fault");
        assert_eq!(rig.call(post(full(vec![7; 100_000]))).await.status, 200);
        rig.settled().await;
    });
}

#[test]
fn an_answer_reaches_a_client_that_is_still_sending() {
    run(async {
        let rig = Rig::start_with("round_robin", &[], &["--max-body-bytes", "10"]).await;
        let mut raw = Raw::connect(rig.addr).await;
        raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n").await;
        until("the proxy has read the head", || rig.count("received_total", "") == 1).await;
        // More than the buffers of a socket hold: a connection that is closed at once would be reset under it.
        raw.send(&"x".repeat(3_000_000)).await;
        let reply = raw.rest().await;
        assert!(reply.starts_with("HTTP/1.1 413 ") && reply.ends_with("the body is too large\n"), "{reply}");
        rig.settled().await;
    });
}

#[test]
fn heads_that_are_too_large_or_too_many_are_told_so() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig =
            Rig::start_with("round_robin", &[&target], &["--max-header-bytes", "2048", "--max-uri-bytes", "100"]).await;
        let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(2048));
        let too_large = "HTTP/1.1 431 Request Header Fields Too Large\r\ngalton-error: head_too_large\r\n";
        assert!(exchange(rig.addr, &long).await.starts_with(too_large));
        let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(101));
        assert!(exchange(rig.addr, &many).await.starts_with(too_large));
        // Behind a request that was answered, in the same bytes and after them.
        let behind = exchange(rig.addr, &format!("GET / HTTP/1.1\r\nhost: a\r\n\r\n{many}")).await;
        assert!(behind.starts_with("HTTP/1.1 200 OK") && behind.contains("t-001HTTP/1.1 431 "), "{behind}");
        let mut raw = Raw::connect(rig.addr).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        raw.until("t-001").await;
        raw.send(&long).await;
        assert!(raw.rest().await.starts_with(too_large));
        let uri = format!("GET /{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "x".repeat(100));
        assert!(exchange(rig.addr, &uri).await.starts_with("HTTP/1.1 414 "));
        assert_eq!(target.seen.take().len(), 2);
        assert_eq!(rig.get().await.status, 200);
        rig.settled().await;
    });
}

#[test]
fn a_target_that_was_tried_is_not_tried_again_while_another_is_left() {
    run(async {
        let targets = [FakeTarget::refusing(1).await, FakeTarget::refusing(2).await, FakeTarget::ok(3).await];
        let rig = Rig::start("least_conns", &targets.each_ref()).await;
        let reply = rig.call(get()).await;
        assert_eq!((reply.status, reply.header("galton-attempts")), (200, "3"));
        let tried: Vec<_> =
            rig.records().iter().filter_map(|decision| decision.target).map(|(target, _)| target.0).collect();
        assert_eq!(tried, [1, 2, 3]);
        rig.settled().await;
    });
}
