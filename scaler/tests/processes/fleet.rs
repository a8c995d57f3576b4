//! The scaler with real target processes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{DEADLINE, Setup, alive, call, kill, until};
use galton_core::record::FleetWhat;
use galton_core::wire::{Member, TargetInfo, WatchLine, WireChange, WireScaleUp};
use galton_core::{CallId, Nanos, TargetId};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Two targets at first, three at most, two hosts that learn late what they did not cause.
fn scenario() -> Value {
    json!({
        "load_balancer": {"hosts": 2, "rr": {"sync_delay_ms": 100}},
        "targets": {"initial_count": 2, "max_concurrency_per_target": 4},
        "scaling": {
            "min_targets": 1, "max_targets": 3, "scale_up_delay_ms": 300, "scale_down_delay_ms": 50,
            "drain_timeout_ms": 60000
        }
    })
}

fn with(mut scenario: Value, pointer: &str, value: Value) -> Value {
    *scenario.pointer_mut(pointer).expect("the key is there") = value;
    scenario
}

fn ids(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| member.target.to_string()).collect()
}

const T1: TargetId = TargetId(1);
const T2: TargetId = TargetId(2);
const T3: TargetId = TargetId(3);

#[test]
fn the_initial_fleet_comes_up_and_hosts_learn_it_in_order() {
    let scaler = Setup::new(scenario()).announced();
    let (mut host, mut observer) = (scaler.watch(Some(1)), scaler.watch(None));
    let WatchLine::Hello { start: None, version: 0, members, .. } = host.next() else { panic!("no Hello first") };
    assert_eq!(ids(&members), ["t-001", "t-002"]);
    assert!(matches!(observer.next(), WatchLine::Hello { start: None, .. }));
    assert_eq!(scaler.get("/readyz").0, 200, "Hello comes when the initial fleet is up");
    assert!(members.iter().all(|member| call(&member.admin, "GET", "/healthz", "").0 == 200));
    assert_eq!(scaler.post("/v1/scale-up", "{}").0, 409, "not started");

    assert_eq!(scaler.start().0, 200);
    assert_eq!(scaler.start().0, 409, "started already");
    let WatchLine::Start(start) = host.next() else { panic!("no Start") };
    let WatchLine::Snapshot { version, members } = host.next() else { panic!("no Snapshot after Start") };
    assert_eq!((version, ids(&members)), (2, vec!["t-001".to_owned(), "t-002".to_owned()]));
    assert!(members.iter().all(|member| member.since_ns == start.t0_ns));
    assert_eq!(observer.next(), WatchLine::Start(start));

    let mut late = scaler.watch(Some(0));
    let WatchLine::Hello { start: Some(late_start), version: 2, members, .. } = late.next() else { panic!("no Hello") };
    assert_eq!((late_start, members.len()), (start, 2));
    assert!(matches!(late.next(), WatchLine::Snapshot { version: 2, .. }));

    assert_eq!(scaler.events().iter().map(|e| e.what).collect::<Vec<_>>(), [FleetWhat::Ready; 2]);
    assert_eq!(scaler.journal(), scaler.events());
    assert_eq!(scaler.metric("galton_scaler_targets{state=\"ready\"}"), 2.0);
    assert_eq!(scaler.metric("galton_scaler_desired_targets"), 2.0);
    assert_eq!(scaler.metric("galton_scaler_min_targets"), 1.0);
    assert_eq!(scaler.metric("galton_scaler_max_targets"), 3.0);
    assert_eq!(scaler.metric("galton_scaler_start_duration_seconds_count"), 2.0);
    assert!(scaler.targets().iter().all(|t| t.state == "ready" && t.pid.is_some_and(alive)));
}

#[test]
fn a_host_gets_its_target_after_the_delay_and_the_others_hear_of_it_later() {
    let scaler = Setup::new(scenario()).started();
    let (mut asker, mut other, mut observer) = (scaler.watch(Some(0)), scaler.watch(Some(1)), scaler.watch(None));
    for watch in [&mut asker, &mut other] {
        assert!(matches!(watch.next(), WatchLine::Hello { .. }));
        assert!(matches!(watch.next(), WatchLine::Snapshot { .. }));
    }
    assert!(matches!(observer.next(), WatchLine::Hello { .. }));

    let asked = Instant::now();
    assert_eq!(scaler.post("/v1/scale-up", r#"{"host":0,"call":7}"#).0, 202);
    let answer = |answer| WatchLine::ScaleUp { call: CallId(7), answer };
    assert_eq!(asker.next(), answer(WireScaleUp::Accepted(T3)));
    let WatchLine::Snapshot { version: 3, members } = asker.next() else { panic!("no snapshot before the answer") };
    assert!(asked.elapsed() >= Duration::from_millis(300), "ready after {:?}", asked.elapsed());
    assert_eq!(ids(&members), ["t-001", "t-002", "t-003"]);
    assert_eq!(asker.next(), answer(WireScaleUp::Ready(T3)));

    let WatchLine::Change { version: 3, at_ns, due_ns, change } = other.next() else { panic!("no change") };
    assert_eq!(due_ns, at_ns + 100_000_000);
    assert_eq!(change, WireChange::Ready(members[2].clone()));
    let seen = observer.next();
    assert!(matches!(seen, WatchLine::Change { version: 3, due_ns, .. } if due_ns == at_ns), "{seen:?}");

    let (starting, ready) = (scaler.event(FleetWhat::Starting, "t-003"), scaler.event(FleetWhat::Ready, "t-003"));
    assert_eq!((ready.delay, ready.overrun), (Nanos::from_millis(300), ready.at - starting.at - ready.delay));

    // The fleet is at its maximum.
    assert_eq!(scaler.post("/v1/scale-up", r#"{"host":1,"call":8}"#).0, 202);
    assert_eq!(other.next(), WatchLine::ScaleUp { call: CallId(8), answer: WireScaleUp::Refused });
    assert_eq!(scaler.post("/v1/scale-up", "{}").0, 409);
    assert_eq!(scaler.metric("galton_scaler_decisions_total{direction=\"up\",reason=\"at_max\"}"), 2.0);
    assert_eq!(scaler.metric("galton_scaler_decisions_total{direction=\"up\",reason=\"asked\"}"), 1.0);
}

#[test]
fn a_person_is_answered_at_once_and_time_is_scaled() {
    let slow = with(scenario(), "/scaling/scale_up_delay_ms", json!(40_000));
    let scaler = Setup::new(slow).args(&["--time-scale", "100"]).started();
    let asked = Instant::now();
    let (status, body) = scaler.post("/v1/scale-up", "{}");
    assert_eq!((status, body.as_str()), (200, r#"{"target":"t-003"}"#));
    assert_eq!(scaler.targets()[2].state, "starting");
    let ready = scaler.event(FleetWhat::Ready, "t-003");
    assert!(asked.elapsed() >= Duration::from_millis(400) && asked.elapsed() < Duration::from_secs(40));
    assert_eq!(ready.delay, Nanos::from_millis(40_000));
}

#[test]
fn a_target_that_two_hosts_propose_is_removed_once_when_both_have_let_go() {
    let scaler = Setup::new(scenario()).started();
    let (mut asker, mut other) = (scaler.watch(Some(0)), scaler.watch(Some(1)));
    for watch in [&mut asker, &mut other] {
        assert!(matches!(watch.next(), WatchLine::Hello { .. }));
        assert!(matches!(watch.next(), WatchLine::Snapshot { .. }));
    }
    let pid = scaler.targets()[1].pid.unwrap();
    assert_eq!(scaler.post("/v1/scale-down", r#"{"host":0,"target":"t-002"}"#).0, 200);
    assert_eq!(scaler.post("/v1/scale-down", r#"{"host":1,"target":"t-002"}"#).0, 200);
    let mut due = Vec::new();
    for watch in [&mut asker, &mut other] {
        let WatchLine::Change { version: 3, at_ns, due_ns, change } = watch.next() else { panic!("no change") };
        assert_eq!(change, WireChange::Cordoned(T2));
        due.push(due_ns - at_ns);
    }
    assert_eq!(due, [0, 100_000_000], "the asker learns it at once");

    assert_eq!(scaler.post("/v1/released", r#"{"host":0,"target":"t-002"}"#).0, 200);
    // Host 1 has not let go, so nothing can follow: the last target is refused meanwhile, and this one goes on.
    assert_eq!(scaler.post("/v1/scale-down", r#"{"target":"t-001"}"#).0, 409);
    assert_eq!(scaler.targets()[1].state, "draining");
    assert!(alive(pid));
    assert_eq!(scaler.post("/v1/released", r#"{"host":1,"target":"t-002"}"#).0, 200);
    let stopped = scaler.event(FleetWhat::Stopped, "t-002");
    assert_eq!((stopped.held, stopped.delay), (0, Nanos::from_millis(50)));
    assert!(!alive(pid));
    assert_eq!(scaler.targets()[1].state, "ended");
    let events = scaler.events();
    let whats: Vec<_> = events.iter().filter(|e| e.target == Some(T2)).map(|e| e.what).collect();
    assert_eq!(whats, [FleetWhat::Ready, FleetWhat::Cordoned, FleetWhat::Drained, FleetWhat::Stopped]);
    assert_eq!(scaler.metric("galton_scaler_decisions_total{direction=\"down\",reason=\"asked\"}"), 1.0);
    assert_eq!(scaler.metric("galton_scaler_decisions_total{direction=\"down\",reason=\"refused\"}"), 1.0);
    let scrape = std::fs::read_to_string(scaler.run_file("metrics/target-t-002-0.final.prom")).unwrap();
    assert!(scrape.contains("galton_target_requests_total"), "{scrape}");
}

#[test]
fn a_host_that_goes_away_holds_nothing_up() {
    let scaler = Setup::new(scenario()).started();
    let mut host = scaler.watch(Some(0));
    assert!(matches!(host.next(), WatchLine::Hello { .. }));
    assert_eq!(scaler.get("/v1/watch?host=0&data=127.0.0.1:1&admin=127.0.0.1:2").0, 409, "it is being watched for");
    assert_eq!(scaler.post("/v1/scale-down", r#"{"target":"t-002"}"#).0, 200);
    drop(host);
    scaler.event(FleetWhat::Stopped, "t-002");
    let mut again = until("the end of the first stream", || {
        (scaler.post("/v1/scale-up", r#"{"host":0,"call":1}"#).0 == 409).then(|| scaler.watch(Some(0)))
    });
    let WatchLine::Hello { members, .. } = again.next() else { panic!("no Hello") };
    assert_eq!(ids(&members), ["t-001"]);
}

#[test]
fn a_target_that_dies_comes_back_as_a_new_process() {
    let scaler = Setup::new(scenario()).started();
    let mut host = scaler.watch(Some(0));
    assert!(matches!(host.next(), WatchLine::Hello { .. }));
    assert!(matches!(host.next(), WatchLine::Snapshot { .. }));
    let first = scaler.targets()[0].clone();
    kill(first.pid.unwrap(), Signal::KILL);
    let line = host.next();
    assert!(matches!(&line, WatchLine::Change { change: WireChange::Gone(T1, 0), .. }), "{line:?}");
    let WatchLine::Change { change: WireChange::Ready(member), .. } = host.next() else { panic!("no change") };
    assert_eq!((member.target, member.incarnation), (T1, 1));
    assert_ne!(Some(&member.admin), first.admin.as_ref());
    assert_eq!(call(&member.admin, "GET", "/healthz", "").0, 200);
    let now = scaler.targets()[0].clone();
    assert_eq!((now.incarnation, now.state.as_str()), (1, "ready"));
    assert_ne!(now.pid, first.pid);
    assert_eq!(scaler.metric("galton_scaler_restarts_total"), 1.0);
    assert!(scaler.run_file("book/target-t-001-1.book").exists());
    let whats: Vec<_> = scaler.journal().iter().filter(|e| e.target == Some(T1)).map(|e| e.what).collect();
    assert_eq!(whats, [FleetWhat::Ready, FleetWhat::Died, FleetWhat::Restarting, FleetWhat::Ready]);
}

#[test]
fn a_start_that_does_not_come_up_is_told_to_who_waits() {
    let script = r#"case "$*" in *t-003*) echo "no room" >&2; exit 3;; esac; exec "$ROLES" "$@""#;
    let scaler = Setup::new(scenario()).script(script).started();
    let mut host = scaler.watch(Some(0));
    assert!(matches!(host.next(), WatchLine::Hello { .. }));
    assert!(matches!(host.next(), WatchLine::Snapshot { .. }));
    assert_eq!(scaler.post("/v1/scale-up", r#"{"host":0,"call":1}"#).0, 202);
    let answer = |answer| WatchLine::ScaleUp { call: CallId(1), answer };
    assert_eq!(host.next(), answer(WireScaleUp::Accepted(T3)));
    assert_eq!(host.next(), answer(WireScaleUp::StartFailed));
    scaler.event(FleetWhat::StartFailed, "t-003");
    assert_eq!(scaler.targets()[2].state, "ended");
    assert_eq!(scaler.metric("galton_scaler_start_failures_total"), 1.0);
    assert_eq!(scaler.metric("galton_scaler_restarts_total"), 0.0, "there is nobody to come back");
}

/// Has a target hold a request for good, from a thread of its own, and returns when it does.
fn hold(target: &TargetInfo) -> std::thread::JoinHandle<()> {
    let data = target.data.clone().unwrap();
    let caller = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(data).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nhost: t\r\ngalton-hold-ns: 600000000000\r\ngalton-cpu: 1\r\n\r\n").unwrap();
        // Ends with the target, whose way to break it off is its own business.
        stream.read_to_end(&mut Vec::new()).ok();
    });
    until("the request to be held", || {
        let counts = call(target.admin.as_ref().unwrap(), "GET", "/counts?window_ns=1000000000", "").1;
        counts.contains("\"in_flight\":1").then_some(())
    });
    caller
}

#[test]
fn a_target_that_does_not_drain_is_stopped_with_what_it_holds() {
    let scaler = Setup::new(with(scenario(), "/scaling/drain_timeout_ms", json!(200))).started();
    let mut host = scaler.watch(Some(0));
    assert!(matches!(host.next(), WatchLine::Hello { .. }));
    let target = scaler.targets()[1].clone();
    let caller = hold(&target);
    assert_eq!(scaler.post("/v1/scale-down", r#"{"target":"t-002"}"#).0, 200);
    scaler.event(FleetWhat::DrainTimeout, "t-002");
    assert_eq!(scaler.event(FleetWhat::Stopped, "t-002").held, 1);
    assert_eq!(scaler.metric("galton_scaler_target_requests_total{outcome=\"accepted\"}"), 1.0, "it is counted still");
    assert!(!alive(target.pid.unwrap()));
    assert!(scaler.run_file("metrics/target-t-002-0.final.prom").exists());
    caller.join().unwrap();
}

#[test]
fn what_a_killed_target_held_is_in_its_book() {
    let scaler = Setup::new(scenario()).started();
    let target = scaler.targets()[0].clone();
    let caller = hold(&target);
    kill(target.pid.unwrap(), Signal::KILL);
    assert_eq!(scaler.event(FleetWhat::Died, "t-001").held, 1);
    caller.join().unwrap();
}

#[test]
fn a_target_that_ignores_everything_is_killed() {
    let script = r#"case "$*" in *t-002*) ;; *) exec "$ROLES" "$@";; esac
        trap '' TERM
        echo '{"role":"target","data":"127.0.0.1:1","admin":"127.0.0.1:1","pid":'$$'}'
        cat"#;
    let scaler = Setup::new(scenario()).script(script).started();
    let pid = scaler.targets()[1].pid.unwrap();
    assert_eq!(scaler.post("/v1/scale-down", r#"{"target":"t-002"}"#).0, 200);
    // Nobody watches: there is nobody to let go.
    scaler.event(FleetWhat::Stopped, "t-002");
    assert!(!alive(pid));
    assert!(scaler.log().contains("SIGKILL after 2s"), "{}", scaler.log());
}

#[test]
fn hosts_of_least_connections_share_a_map_that_follows_the_fleet() {
    use galton_core::table::LoadTable;
    use galton_runtime::load_map::LoadMap;
    let mut scenario = with(scenario(), "/scaling/scale_up_delay_ms", json!(1));
    scenario["load_balancer"]["architecture"] = json!("least_conns");
    let scaler = Setup::new(scenario).announced();
    let map = LoadMap::open(&scaler.run_file("load.map")).unwrap();
    let id = map.id();
    let mut map = map.join(galton_core::HostId(0), Nanos::ZERO).unwrap();
    assert_eq!(map.ready(), 0, "before T0");
    assert!(matches!(scaler.watch(None).next(), WatchLine::Hello { map: Some(said), .. } if said == id));
    until("the initial fleet", || (scaler.get("/readyz").0 == 200).then_some(()));
    assert_eq!(scaler.start().0, 200);
    assert_eq!(map.ready(), 2);
    assert_eq!(scaler.post("/v1/scale-up", "{}").0, 200);
    let slot = map.reserve_at(galton_core::HostId(0), T3).expect("the row is there with the answer");
    scaler.event(FleetWhat::Ready, "t-003");
    assert_eq!(map.ready(), 3);
    map.release(galton_core::HostId(0), slot, Nanos::from_millis(1));
    assert_eq!(scaler.post("/v1/scale-down", r#"{"target":"t-003"}"#).0, 200);
    assert_eq!(map.ready(), 2);
}

#[tokio::test]
async fn hosts_that_wait_are_woken_when_one_dies() {
    use galton_core::HostId;
    use galton_core::table::{Head, LoadTable};
    use galton_runtime::load_map::LoadMap;
    let mut scenario = scenario();
    scenario["load_balancer"]["architecture"] = json!("least_conns");
    scenario["targets"]["max_concurrency_per_target"] = json!(1);
    let scaler = Setup::new(scenario).args(&["--autostart"]).ready();
    let open = || LoadMap::open(&scaler.run_file("load.map")).unwrap();
    let [mut dead, mut waiting] = [0, 1].map(|host| open().join(HostId(host), Nanos::ZERO).unwrap());
    let _slots = [1, 2].map(|n| dead.reserve_at(HostId(0), TargetId(n)).unwrap());
    let socket = waiting.wake_socket().unwrap();
    waiting.set_waiting(HostId(1), Some(Head::fresh(Nanos(1))));
    drop(dead);
    let woken = tokio::time::timeout(DEADLINE, socket.woken()).await;
    assert_eq!(woken.expect("a wake").unwrap(), 2, "for both slots");
}

#[test]
fn autostart_begins_when_the_initial_fleet_is_up() {
    let scaler = Setup::new(scenario()).args(&["--autostart"]).ready();
    let mut host = scaler.watch(Some(0));
    assert!(matches!(host.next(), WatchLine::Hello { start: Some(_), version: 2, .. }));
    assert_eq!(scaler.start().0, 409);
    assert_eq!(scaler.post("/v1/scale-up", "{}").0, 200);
}

#[test]
fn a_stream_has_a_ping_every_second() {
    let scaler = Setup::new(scenario()).ready();
    let mut host = scaler.watch(Some(0));
    assert!(matches!(host.line(), Some(WatchLine::Hello { .. })));
    assert_eq!((host.line(), host.line()), (Some(WatchLine::Ping), Some(WatchLine::Ping)));
}

#[test]
fn faulty_calls_are_refused_with_a_reason() {
    let scaler = Setup::new(scenario()).started();
    let refused = |method: &str, path: &str, body: &str, status: u16, why: &str| {
        let answer = call(&scaler.admin, method, path, body);
        assert!(answer.0 == status && answer.1.contains(why), "{method} {path} {body}: {answer:?}");
    };
    refused("POST", "/start", "{}", 400, "missing field `t0_ns`");
    refused("POST", "/v1/scale-up", "[", 400, "body: ");
    refused("POST", "/v1/scale-up", r#"{"host":0}"#, 400, "belong together");
    refused("POST", "/v1/scale-up", r#"{"host":0,"call":1}"#, 409, "host 0 has no watch");
    refused("POST", "/v1/scale-up", r#"{"host":2,"call":1}"#, 400, "host 2: the scenario has 2, from 0");
    refused("POST", "/v1/scale-down", r#"{"target":"2"}"#, 400, "expected t-<number from 1>");
    refused("POST", "/v1/scale-down", r#"{"target":"t-009"}"#, 409, "t-009 is not ready");
    refused("POST", "/v1/released", r#"{"host":9,"target":"t-001"}"#, 400, "host 9");
    refused("GET", "/v1/watch?host=2&data=127.0.0.1:1&admin=127.0.0.1:2", "", 400, "host 2");
    refused("GET", "/v1/watch?hosts=1", "", 400, "expected host=<number>");
    refused("GET", "/v1/scale-up", "", 404, "nothing at GET /v1/scale-up");
    refused("POST", "/v1/elsewhere", "{}", 404, "nothing at POST /v1/elsewhere");
    // It goes on as if nothing had been.
    assert_eq!(scaler.targets().iter().filter(|t| t.state == "ready").count(), 2);
}

/// What the files below this directory take up, and the names of the books among them.
fn taken(dir: &Path) -> (u64, Vec<String>) {
    let (mut bytes, mut books) = (0, Vec::new());
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // A book that is being deleted is no matter.
        let Ok(data) = path.metadata() else { continue };
        if data.is_dir() {
            let (more, names) = taken(&path);
            (bytes, books) = (bytes + more, [books, names].concat());
        } else {
            bytes += data.blocks() * 512;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            books.extend(name.ends_with(".book").then_some(name));
        }
    }
    (bytes, books)
}

#[test]
fn a_fleet_that_comes_and_goes_for_hours_fills_no_disk() {
    let fleet = json!({
        "targets": {"initial_count": 1},
        "scaling": {"min_targets": 1, "max_targets": 13, "scale_up_delay_ms": 0, "scale_down_delay_ms": 0}
    });
    let scaler = Setup::new(fleet).without_run_dir().started();
    let tmp = scaler.dir.path().join("tmp");
    // Two hours of the compose file's wave.
    for _ in 0..25 {
        let started: Vec<_> = (0..12).map(|_| scaler.post("/v1/scale-up", "{}")).collect();
        let ended = || scaler.targets().iter().all(|target| target.target == T1 || target.state == "ended");
        until("the starts", || scaler.targets().iter().all(|target| target.state != "starting").then_some(()));
        let (bytes, books) = taken(&tmp);
        assert!(bytes <= 128 << 10, "{bytes} bytes: {books:?}");
        for (status, body) in started {
            assert_eq!(status, 200, "{body}");
            assert_eq!(scaler.post("/v1/scale-down", &body).0, 200);
        }
        until("the ends", || ended().then_some(()));
    }
    let targets = scaler.targets();
    assert_eq!((targets.len(), targets.last().map(|target| target.target)), (301, Some(TargetId(301))));
    assert_eq!(taken(&tmp).1, ["target-t-001-0.book"]);
}

#[test]
fn a_t0_of_another_clock_is_refused() {
    let scaler = Setup::new(scenario()).ready();
    let (status, why) = scaler.post("/start", "{\"t0_ns\":1700000000000000000}");
    assert!(status == 400 && why.contains("CLOCK_MONOTONIC"), "{status} {why}");
    assert_eq!(scaler.start().0, 200);
}
