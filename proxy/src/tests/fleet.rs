//! What comes from the scaler and what goes to it: the start, changes of the fleet, targets on demand, idle scans; other
//! hosts; the end.

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use galton_core::table::{FleetRows, LoadTable, RowState};
use galton_core::wire::{Member, Start, TargetCounts, WatchLine, WireChange, WireScaleUp};
use galton_core::{HostId, Nanos, Outcome, RejectReason, TargetId};
use galton_runtime::load_map::LoadMap;
use galton_runtime::mono_ns;
use http::Response;
use tokio::sync::Notify;

use super::rig::{Client, FakeTarget, Rig, args, channel, full, get, hello, metrics, run, until};
use crate::app::{assemble, configured};

fn ready(version: u64, at_ns: u64, due_ns: u64, target: &FakeTarget) -> WatchLine {
    WatchLine::Change { version, at_ns, due_ns, change: WireChange::Ready(target.member()) }
}

#[test]
fn before_the_start_requests_are_turned_away() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::connect("round_robin", None, &[&target]).await;
        let early = rig.get().await;
        assert_eq!((early.status, early.header("galton-attempts")), (503, "0"));
        let outcome = Outcome::Rejected(RejectReason::NoCapacity);
        assert_eq!(early.header("galton-outcome"), outcome.to_string());
        assert!(early.body.starts_with(b"the run has not started"));

        let other = FakeTarget::ok(2).await;
        rig.scaler.say(&ready(2, 0, 0, &other));
        rig.scaler.say(&WatchLine::Start(Start { t0_ns: mono_ns() }));
        while rig.get().await.status != 200 {}
        assert_eq!(rig.get().await.header("galton-target"), "t-002", "what became ready before T0 is known at T0");
        rig.settled().await;
    });
}

#[test]
fn a_change_is_learned_when_it_is_due_and_not_before() {
    run(async {
        let (first, second) = (FakeTarget::ok(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("round_robin", &[&first]).await;
        let at_ns = mono_ns();
        let due_ns = at_ns + 150_000_000;
        rig.scaler.say(&ready(2, at_ns, due_ns, &second));
        let mut client = Client::connect(rig.addr).await;
        let learned = loop {
            let reply = client.call(get()).await.unwrap();
            if reply.header("galton-target") == "t-002" {
                break reply.header("galton-recv-ns").parse::<u64>().unwrap();
            }
        };
        assert!(learned >= due_ns, "{} ns early", due_ns - learned);
        assert_eq!(rig.count("injected_delays_total", ""), 1);
        rig.settled().await;
    });
}

#[test]
fn a_target_that_is_cordoned_gets_nothing_more_and_is_released() {
    run(async {
        let go = Rc::new(Notify::new());
        let gate = Rc::clone(&go);
        let first = FakeTarget::http(1, move |_| {
            let gate = Rc::clone(&gate);
            async move {
                gate.notified().await;
                Response::new(full("t-001"))
            }
        })
        .await;
        let second = FakeTarget::ok(2).await;
        let rig = Rig::start("round_robin", &[&first, &second]).await;
        let mut client = Client::connect(rig.addr).await;
        let held = client.sender.send_request(get());
        until("the first target holds one", || first.seen.borrow().len() == 1).await;
        let now = mono_ns();
        let change = WireChange::Cordoned(TargetId(1));
        rig.scaler.say(&WatchLine::Change { version: 2, at_ns: now, due_ns: now, change });
        let mut other = Client::connect(rig.addr).await;
        // In round robin two in a row at the same target mean that the other is not on the list.
        let mut last = String::new();
        loop {
            let target = other.call(get());
            let reply = tokio::time::timeout(Duration::from_millis(200), target).await;
            let Ok(reply) = reply else {
                // It went to the first before the change came.
                go.notify_one();
                other = Client::connect(rig.addr).await;
                continue;
            };
            let target = reply.unwrap().header("galton-target").to_owned();
            if target == last {
                break;
            }
            last = target;
        }
        assert!(
            !rig.scaler.posts.borrow().iter().any(|(path, _)| path == "/v1/released"),
            "something is in flight there"
        );
        go.notify_waiters();
        go.notify_one();
        assert_eq!(held.await.unwrap().status(), 200);
        let released = rig.scaler.post("/v1/released").await;
        assert_eq!(released, serde_json::json!({ "host": 0, "target": "t-001" }));
        rig.settled().await;
    });
}

#[test]
fn a_target_is_asked_for_and_gets_the_request() {
    run(async {
        let (refusing, started) = (FakeTarget::refusing(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("scale_up", &[&refusing]).await;
        let mut client = Client::connect(rig.addr).await;
        let scaling = async {
            let asked = rig.scaler.post("/v1/scale-up").await;
            let call = galton_core::CallId(asked["call"].as_u64().unwrap());
            assert_eq!(asked["host"], 0);
            let answer = |answer| WatchLine::ScaleUp { call, answer };
            rig.scaler.say(&answer(WireScaleUp::Accepted(TargetId(2))));
            let now = mono_ns();
            rig.scaler.say(&ready(2, now, now, &started));
            rig.scaler.say(&answer(WireScaleUp::Ready(TargetId(2))));
        };
        let (reply, ()) = tokio::join!(client.call(get()), scaling);
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.header("galton-target")), (200, "t-002"));
        assert_eq!(reply.header("galton-attempts"), "2");
        rig.settled().await;
    });
}

#[test]
fn a_request_that_is_given_up_leaves_its_start() {
    run(async {
        let rig = Rig::start("scale_up", &[]).await;
        let mut client = Client::connect(rig.addr).await;
        let waiting = async {
            let asked = rig.scaler.post("/v1/scale-up").await;
            let left = rig.scaler.post("/v1/leave-start").await;
            assert_eq!(left, serde_json::json!({ "host": 0, "call": asked["call"] }));
        };
        let mut request = get();
        request.headers_mut().insert("galton-deadline-ns", (mono_ns() + 50_000_000).into());
        let (reply, ()) = tokio::join!(client.call(request), waiting);
        assert_eq!(reply.unwrap().status, 504);
        rig.settled().await;
    });
}

#[test]
fn a_start_that_is_refused_rejects_the_request() {
    run(async {
        let rig = Rig::start("scale_up", &[]).await;
        let mut client = Client::connect(rig.addr).await;
        let scaling = async {
            let asked = rig.scaler.post("/v1/scale-up").await;
            let call = galton_core::CallId(asked["call"].as_u64().unwrap());
            rig.scaler.say(&WatchLine::ScaleUp { call, answer: WireScaleUp::Refused });
        };
        let (reply, ()) = tokio::join!(client.call(get()), scaling);
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.header("galton-attempts")), (503, "0"));
        rig.settled().await;
    });
}

#[test]
fn a_scaler_that_will_not_hear_of_it_rejects_the_request() {
    run(async {
        let rig = Rig::start("scale_up", &[]).await;
        rig.scaler.refusing.set(true);
        let reply = rig.get().await;
        assert_eq!((reply.status, reply.header("galton-attempts")), (503, "0"));
        rig.settled().await;
    });
}

#[test]
fn a_scaler_that_goes_away_leaves_nobody_waiting() {
    run(async {
        let rig = Rig::start("scale_up", &[]).await;
        let mut client = Client::connect(rig.addr).await;
        let leaving = async {
            rig.scaler.post("/v1/scale-up").await;
            rig.scaler.break_off(hello(Some(rig.t0_ns), 1, &[]));
        };
        let (reply, ()) = tokio::join!(client.call(get()), leaving);
        assert_eq!(reply.unwrap().status, 503);
        rig.settled().await;
    });
}

#[test]
fn a_restarted_target_is_reached_where_it_is_now() {
    run(async {
        let (first, second) = (FakeTarget::ok(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("round_robin", &[&first]).await;
        assert_eq!(rig.get().await.body, "t-001");
        let now = mono_ns();
        let change = |version, change| WatchLine::Change { version, at_ns: now, due_ns: now, change };
        let restarted = Member { target: TargetId(1), incarnation: 1, ..second.member() };
        rig.scaler.say(&change(2, WireChange::Gone(TargetId(1), 0)));
        rig.scaler.say(&change(3, WireChange::Ready(restarted)));
        while rig.get().await.body != "t-002" {}
        let seen = first.seen.borrow().len();
        assert_eq!(rig.get().await.header("galton-target"), "t-001", "the same target, another process");
        assert_eq!(first.seen.borrow().len(), seen, "the old process gets nothing more");
        rig.settled().await;
    });
}

#[test]
fn a_snapshot_replaces_what_was_known() {
    run(async {
        let (first, second) = (FakeTarget::ok(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("round_robin", &[&first]).await;
        rig.scaler.say(&WatchLine::Ping);
        rig.scaler.say(&WatchLine::Snapshot { version: 4, members: vec![second.member()] });
        while rig.get().await.body != "t-002" {}
        assert_eq!(rig.get().await.body, "t-002");
        rig.settled().await;
    });
}

#[test]
fn a_watch_that_breaks_is_opened_again_and_brings_the_whole_fleet() {
    run(async {
        let (first, second) = (FakeTarget::ok(1).await, FakeTarget::ok(2).await);
        let rig = Rig::start("round_robin", &[&first]).await;
        assert_eq!(rig.get().await.header("galton-target"), "t-001");
        rig.scaler.break_off(hello(Some(rig.t0_ns), 5, &[&second]));
        until("the second watch", || rig.scaler.watches.get() == 2).await;
        while rig.get().await.header("galton-target") != "t-002" {}
        assert_eq!(rig.get().await.header("galton-target"), "t-002", "the first is no longer a member");
        rig.settled().await;
    });
}

#[test]
fn a_scaler_that_starts_another_run_ends_the_host() {
    run(async {
        let (first, second) = (FakeTarget::ok(1).await, FakeTarget::ok(2).await);
        let mut rig = Rig::start("round_robin", &[&first]).await;
        assert_eq!(rig.get().await.status, 200);
        rig.scaler.break_off(hello(Some(rig.t0_ns + 1), 1, &[&second]));
        let ended = (&mut rig.served).await.unwrap();
        assert!(ended.unwrap_err().to_string().contains("another run"));
    });
}

#[test]
fn a_host_joins_the_load_map_of_the_run_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path(), "least_conns", ([127, 0, 0, 1], 1).into(), &[]);
    run(async move {
        let proxy = assemble(&args, configured(&args).unwrap(), metrics(dir.path()), HostId(0)).unwrap();
        let fault = |map| format!("{:#}", proxy.share(map).unwrap_err());
        assert!(fault(Some(7)).contains("No such file"));
        let path = dir.path().join("map");
        let earlier = LoadMap::create(&path, 8, 1, 1, 0).unwrap().id();
        let own = LoadMap::create(&path, 8, 1, 1, 0).unwrap().id();
        assert!(fault(Some(earlier)).contains(&format!("of another run: its id is {own}")));
        assert!(fault(None).contains("load_balancer.architecture"));
        let start = Start { t0_ns: mono_ns() };
        assert!(proxy.begin(start, 1, &[]).unwrap_err().to_string().contains("which load map"));
        proxy.share(Some(own)).unwrap();
        proxy.begin(start, 1, &[]).unwrap();
        let taken = LoadMap::open(&path).unwrap().join(HostId(0), Nanos::ZERO);
        assert!(taken.unwrap_err().to_string().contains("joined already"));
    });
}

#[test]
fn a_load_map_of_another_run_ends_the_host() {
    run(async {
        let mut rig = Rig::connect("least_conns", None, &[]).await;
        rig.scaler.break_off(hello(Some(mono_ns()), 1, &[]));
        let ended = (&mut rig.served).await.unwrap();
        assert!(ended.unwrap_err().to_string().contains("the scaler has no load map"));
    });
}

#[test]
fn an_idle_target_is_proposed_for_removal() {
    run(async {
        let counts = |accepted_in_window| TargetCounts { accepted_in_window, in_flight: 0 };
        let answering = |counts: TargetCounts| {
            move |request: http::Request<hyper::body::Incoming>| async move {
                assert_eq!(request.uri().path_and_query().unwrap(), "/counts?window_ns=40000000");
                Response::new(full(serde_json::to_vec(&counts).unwrap()))
            }
        };
        let idle = FakeTarget::http(1, answering(counts(1))).await;
        let busy = FakeTarget::http(2, answering(counts(2))).await;
        let absent = FakeTarget::absent(3).await;
        let rig = Rig::start("idle_scans", &[&idle, &busy, &absent]).await;
        let proposed = rig.scaler.post("/v1/scale-down").await;
        assert_eq!(proposed, serde_json::json!({ "host": 0, "target": "t-001" }));
        let others = rig.scaler.posts.borrow().iter().any(|(_, body)| body["target"] != "t-001");
        assert!(!others, "{:?}", rig.scaler.posts.borrow());
    });
}

#[test]
fn a_proposal_that_was_refused_comes_again() {
    run(async {
        let counts = TargetCounts { accepted_in_window: 0, in_flight: 0 };
        let counts = serde_json::to_vec(&counts).unwrap();
        let idle = FakeTarget::http(1, move |_| {
            let counts = counts.clone();
            async move { Response::new(full(counts)) }
        })
        .await;
        let rig = Rig::start("idle_scans", &[&idle]).await;
        rig.scaler.refusing.set(true);
        let proposals = || rig.scaler.posts.borrow().iter().filter(|(path, _)| path == "/v1/scale-down").count();
        until("the third proposal", || proposals() >= 3).await;
    });
}

#[test]
fn a_target_that_the_table_knows_before_the_stream_tells_is_waited_for() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let mut rig = Rig::start("least_conns", &[]).await;
        rig.map.put(TargetId(1), 0, RowState::Ready, Nanos::ZERO);
        let mut client = Client::connect(rig.addr).await;
        let telling = async {
            until("the dispatch", || rig.count("dispatches_total", "") == 1).await;
            let now = mono_ns();
            rig.scaler.say(&ready(2, now, now, &target));
        };
        let (reply, ()) = tokio::join!(client.call(get()), telling);
        assert_eq!(reply.unwrap().header("galton-target"), "t-001");
        rig.settled().await;
    });
}

#[test]
fn a_queue_is_served_one_by_one() {
    run(async {
        let target = FakeTarget::http(1, |_| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Response::new(full("served"))
        })
        .await;
        let rig = Rig::start("queue", &[&target]).await;
        let replies = join_all((0..20).map(|_| rig.get())).await;
        assert!(replies.iter().all(|reply| reply.status == 200 && reply.body == "served"));
        rig.settled().await;
    });
}

#[test]
fn another_host_wakes_the_queue() {
    run(async {
        let target = FakeTarget::ok(1).await;
        let rig = Rig::start("queue", &[&target]).await;
        let mut other = LoadMap::open(&rig.map_path()).unwrap().join(HostId(1), Nanos::ZERO).unwrap();
        let slot = other.reserve_at(HostId(1), TargetId(1)).unwrap();
        let mut client = Client::connect(rig.addr).await;
        let freeing = async {
            until("it waits", || other.longest_waiting(true) == Some(HostId(0))).await;
            assert_eq!(rig.count("dispatches_total", ""), 0);
            other.release(HostId(1), slot, Nanos::ZERO);
            other.wake_socket().unwrap().send(HostId(0));
        };
        let (reply, ()) = tokio::join!(client.call(get()), freeing);
        assert_eq!(reply.unwrap().status, 200);
        rig.settled().await;
    });
}

#[test]
fn at_the_end_what_is_in_flight_finishes_and_nothing_new_begins() {
    run(async {
        let go = Rc::new(Notify::new());
        let gate = Rc::clone(&go);
        let target = FakeTarget::http(1, move |_| {
            let gate = Rc::clone(&gate);
            async move {
                gate.notified().await;
                let (sender, body) = channel();
                sender.send("in ".into()).unwrap();
                sender.send("time".into()).unwrap();
                Response::new(body)
            }
        })
        .await;
        let rig = Rig::start("round_robin", &[&target]).await;
        let mut client = Client::connect(rig.addr).await;
        let idle = Client::connect(rig.addr).await;
        let ending = async {
            until("it is in flight", || target.seen.borrow().len() == 1).await;
            rig.shutdown.ask();
            let refused = || std::net::TcpStream::connect(rig.addr).is_err();
            until("nothing is accepted", refused).await;
            go.notify_one();
        };
        let (reply, ()) = tokio::join!(client.call(get()), ending);
        let reply = reply.unwrap();
        assert_eq!((reply.status, &reply.body[..]), (200, &b"in time"[..]));
        until("the idle connection is closed", || idle.sender.is_closed()).await;
        let code = rig.served.await.unwrap().unwrap();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    });
}
