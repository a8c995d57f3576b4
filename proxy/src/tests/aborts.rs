//! Whatever ends a request, its slot comes back: clients that go away, deadlines, both at any moment.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use galton_core::record::DecisionKind;
use galton_core::{FailReason, Outcome};
use galton_runtime::mono_ns;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::rig::{Body, Client, FakeTarget, PATIENCE, Rig, channel, empty, full, get, post, run, until};

/// A target that never answers; counts those that wait, until their connections are gone.
async fn silent(number: u32) -> (FakeTarget, Rc<Cell<u32>>) {
    struct Waiting(Rc<Cell<u32>>);
    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let waiting = Rc::new(Cell::new(0));
    let count = Rc::clone(&waiting);
    let target = FakeTarget::http(number, move |_| {
        count.set(count.get() + 1);
        let waiting = Waiting(Rc::clone(&count));
        async move {
            let _waiting = waiting;
            std::future::pending().await
        }
    })
    .await;
    (target, waiting)
}

/// A target that begins a response and never ends it.
async fn endless(number: u32) -> FakeTarget {
    FakeTarget::http(number, |_| async {
        let (sender, body) = channel();
        sender.send(Bytes::from_static(b"begun")).unwrap();
        tokio::task::spawn_local(async move { sender.closed().await });
        Response::new(body)
    })
    .await
}

fn due_in(ms: u64) -> Request<Body> {
    let mut request = get();
    request.headers_mut().insert("galton-deadline-ns", (mono_ns() + ms * 1_000_000).into());
    request
}

#[test]
fn a_client_that_goes_away_gives_its_slot_back() {
    run(async {
        let (target, waiting) = silent(1).await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let mut client = Client::connect(rig.addr).await;
        let _asked = client.sender.send_request(get());
        until("the target holds it", || waiting.get() == 1).await;
        assert_eq!(rig.taken(), 1);
        client.vanish();
        rig.settled().await;
        until("the target is let go", || waiting.get() == 0).await;
        assert_eq!(rig.count("requests_total", "cancelled"), 1);
        assert_eq!(rig.count("attempts_total", "closed"), 1);
    });
}

#[test]
fn a_client_that_goes_away_within_the_response_gives_its_slot_back() {
    run(async {
        let target = endless(1).await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let mut client = Client::connect(rig.addr).await;
        let mut body = client.sender.send_request(get()).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begun");
        assert_eq!(rig.taken(), 1);
        client.vanish();
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "cancelled"), 1);
    });
}

#[test]
fn a_client_that_goes_away_within_its_request_is_not_the_targets_fault() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let mut client = Client::connect(rig.addr).await;
        let (sender, body) = channel();
        sender.send(Bytes::from_static(b"half of")).unwrap();
        let _asked = client.sender.send_request(post(body));
        until("the target has the head", || !target.seen.borrow().is_empty()).await;
        client.vanish();
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "cancelled"), 1);
        assert_eq!(rig.count("attempts_total", "closed"), 1);
        assert_eq!(target.seen.borrow().len(), 1);
    });
}

#[test]
fn a_deadline_ends_an_attempt_and_gives_its_slot_back() {
    run(async {
        let (target, waiting) = silent(1).await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let before = mono_ns();
        let reply = rig.call(due_in(60)).await;
        assert!(mono_ns() - before >= 60_000_000);
        assert_eq!((reply.status, reply.header("galton-outcome")), (504, &*Outcome::TimedOut.to_string()));
        assert_eq!((reply.header("galton-attempts"), reply.header("galton-target")), ("1", "t-001"));
        rig.settled().await;
        until("the target is let go", || waiting.get() == 0).await;
        let late = rig.call(due_in(0)).await;
        assert_eq!((late.status, late.header("galton-attempts")), (504, "0"), "it was over when it came");
        rig.settled().await;
    });
}

#[test]
fn a_request_without_a_deadline_has_the_scenarios() {
    run(async {
        let (target, _) = silent(1).await;
        let rig = Rig::start("short_timeout", &[&target]).await;
        let before = mono_ns();
        assert_eq!(rig.get().await.status, 504);
        assert!(mono_ns() - before >= 200_000_000);
        rig.settled().await;
    });
}

#[test]
fn an_attempt_that_takes_too_long_is_made_elsewhere() {
    run(async {
        let ((hanging, waiting), there) = (silent(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("short_tries", &[&hanging, &there]).await;
        let before = mono_ns();
        let reply = rig.call(get()).await;
        assert!(mono_ns() - before >= 80_000_000);
        assert_eq!((reply.status, reply.header("galton-attempts"), reply.header("galton-target")), (200, "2", "t-002"));
        rig.settled().await;
        until("the target is let go", || waiting.get() == 0).await;
        let kinds: Vec<_> = rig.records().iter().map(|decision| decision.kind).collect();
        assert_eq!(kinds, [DecisionKind::Fail(FailReason::Timeout), DecisionKind::Accept]);

        let once = rig.call(post(empty())).await;
        assert_eq!((once.status, once.header("galton-attempts")), (504, "1"), "POST is not idempotent");
        assert_eq!(once.header("galton-outcome"), Outcome::Failed(FailReason::Timeout).to_string());
        rig.settled().await;
    });
}

#[test]
fn an_attempt_that_takes_too_long_within_its_response_is_not_made_again() {
    run(async {
        let (begun, there) = (endless(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("short_tries", &[&begun, &there]).await;
        let mut client = Client::connect(rig.addr).await;
        let reply = client.call(get()).await;
        assert!(reply.is_err(), "{reply:?}");
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "failed"), 1);
        assert!(there.seen.borrow().is_empty());
    });
}

#[test]
fn a_deadline_within_the_response_breaks_it_off() {
    run(async {
        let target = endless(1).await;
        let rig = Rig::start("least_conns", &[&target]).await;
        let mut client = Client::connect(rig.addr).await;
        let reply = client.call(due_in(60)).await;
        assert!(reply.is_err(), "{reply:?}");
        rig.settled().await;
        assert_eq!(rig.count("requests_total", "timed_out"), 1);
    });
}

#[test]
fn a_target_that_does_not_accept_is_not_waited_for_for_ever() {
    run(async {
        // A backlog of nothing that is full: connecting to it hangs.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(Ok(filler)) =
            tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(addr)).await
        {
            fillers.push(filler);
        }
        let mut hanging = FakeTarget::absent(1).await;
        hanging.addr = addr;
        let rig = Rig::start("least_conns", &[&hanging]).await;
        let reply = rig.get().await;
        assert_eq!((reply.status, reply.header("galton-attempts")), (503, "1"));
        rig.settled().await;
        assert_eq!(rig.count("connection_failures_total", ""), 1);
    });
}

/// Numbers of requests whose response does not end; their clients leave when it has begun.
fn left_within(n: u64) -> bool {
    n.is_multiple_of(12)
}

/// A target that takes its time: for the head, then for the body, as the request's number says. The first refuses some.
async fn slow(number: u32) -> FakeTarget {
    FakeTarget::http(number, move |request: Request<Incoming>| async move {
        let n: u64 = request.headers()["galton-seq"].to_str().unwrap().parse().unwrap();
        if n % 7 == 3 && number == 1 {
            let _ = request.into_body().collect().await;
            return super::rig::refusal();
        }
        tokio::time::sleep(Duration::from_millis(n % 5)).await;
        let (sender, body) = channel();
        sender.send(Bytes::from_static(b"begun ")).unwrap();
        tokio::task::spawn_local(async move {
            if left_within(n) {
                return sender.closed().await;
            }
            tokio::time::sleep(Duration::from_millis(n % 3)).await;
            let _ = sender.send(Bytes::from_static(b"ended"));
        });
        Response::new(body)
    })
    .await
}

/// Some hundred requests, each of which is left alone, or is given up by its client or its deadline at another moment.
#[test]
fn no_slot_is_lost_in_a_storm() {
    run(async {
        let targets = [slow(1).await, slow(2).await, slow(3).await, FakeTarget::absent(4).await];
        let rig = Rig::start("storm", &targets.each_ref()).await;
        let storm = (0..400_u64).map(|n| {
            let addr = rig.addr;
            async move {
                // In waves, so that there are always some in every stage.
                tokio::time::sleep(Duration::from_millis(n / 8)).await;
                let mut client = Client::connect(addr).await;
                let mut request = match n % 4 {
                    0 => post(full(vec![7; n as usize * 300])),
                    1 => due_in(n % 9),
                    _ => get(),
                };
                request.headers_mut().insert("galton-seq", n.into());
                let ok = if left_within(n) {
                    let _begun = client.sender.send_request(request).await;
                    false
                } else {
                    let patience = Duration::from_micros(if n % 3 == 0 { n * 37 % 9000 } else { 60_000_000 });
                    let answered = tokio::time::timeout(patience, client.call(request)).await;
                    matches!(answered, Ok(Ok(ref reply)) if reply.status == 200 && reply.body == "begun ended")
                };
                client.vanish();
                u64::from(ok)
            }
        });
        let served: u64 =
            tokio::time::timeout(PATIENCE, futures_util::future::join_all(storm)).await.unwrap().iter().sum();
        rig.settled().await;
        assert!(served >= 50, "{served} were served");
        assert!(rig.count("requests_total", "\"ok\"") >= served);
        assert!(rig.count("requests_total", "cancelled") > 0, "nobody went away in time");
        assert_eq!(
            rig.records().iter().filter(|d| d.target.is_some()).count() as u64,
            rig.count("dispatches_total", "")
        );
        let after = Request::get("/").header("galton-seq", "1").header("host", "h").body(empty()).unwrap();
        assert_eq!(rig.call(after).await.status, 200);
        rig.settled().await;
    });
}
