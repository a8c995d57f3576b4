//! The roles without a conductor: started by hand, or by a container engine.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use galton_core::table::FleetRows;
use galton_core::{HostId, Nanos};
use galton_runtime::load_map::LoadMap;
use galton_tests::role::Role;
use galton_tests::{Galton, SOON, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Status and body of a GET.
fn get(addr: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
}

/// A request that a target is to hold for so long.
fn asked(addr: &str, hold: Duration) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    let hold_ns = hold.as_nanos();
    write!(stream, "GET / HTTP/1.1\r\nhost: {addr}\r\ngalton-hold-ns: {hold_ns}\r\ngalton-cpu: 0\r\n\r\n").unwrap();
    stream
}

fn json_of(addr: &str, path: &str) -> Value {
    let (status, body) = get(addr, path).unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn scaler(galton: &Galton) -> Role {
    let mut command = galton.command(&["scaler", "--autostart", "--hosts", "3"]);
    // What containers are told: variables stand for flags.
    command.env("GALTON_SCENARIO", "scenario.json").env("GALTON_MAP", "load.map").env("GALTON_ADVERTISE", "127.0.0.1");
    command.env("GALTON_LISTEN", "0.0.0.0:0").env("GALTON_ADMIN", "0.0.0.0:0");
    Role::start(&mut command)
}

fn scaler_at(galton: &Galton, admin: &str) -> Role {
    let args = ["scaler", "--autostart", "--scenario", "scenario.json", "--map", "load.map", "--admin", admin];
    Role::start(&mut galton.command(&args))
}

fn proxy(galton: &Galton, scaler: &Role) -> Role {
    proxy_of(galton, &["--host", "auto"], scaler.admin())
}

fn proxy_of(galton: &Galton, flags: &[&str], scaler: &str) -> Role {
    let args = ["proxy", "--scenario", "scenario.json", "--map", "load.map", "--scaler", scaler];
    Role::start(&mut galton.command(&[&args[..], flags].concat()))
}

fn galton() -> Galton {
    let galton = Galton::new(env!("CARGO_BIN_EXE_galton-under-test"));
    let scenario = json!({
        "traffic": {"request_duration_ms": {"distribution": "deterministic", "value_ms": 1}},
        "load_balancer": {"architecture": "least_conns", "hosts": 1},
        "targets": {"initial_count": 2},
        "scaling": {"min_targets": 2, "max_targets": 2}
    });
    galton.file("scenario.json", &scenario.to_string());
    galton
}

#[test]
fn proxies_get_their_numbers_and_everybody_is_found() {
    let galton = galton();
    let scaler = scaler(&galton);
    assert!(scaler.admin().starts_with("127.0.0.1:"), "{}", scaler.admin());
    let proxies = [proxy(&galton, &scaler), proxy(&galton, &scaler), proxy(&galton, &scaler)];
    for proxy in &proxies {
        let healthy = || galton.output(&["healthcheck", "--admin", proxy.admin()]).status.success();
        eventually(SOON, "a healthy proxy", healthy);
    }
    let hosts = json_of(scaler.admin(), "/v1/hosts");
    let mut found: Vec<&str> = hosts.as_array().unwrap().iter().map(|host| host["data"].as_str().unwrap()).collect();
    found.sort_unstable();
    let mut started: Vec<&str> = proxies.iter().map(Role::data).collect();
    started.sort_unstable();
    assert_eq!(found, started);
    let numbers: Vec<u64> = hosts.as_array().unwrap().iter().map(|host| host["host"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2]);

    let groups = json_of(scaler.admin(), "/v1/prometheus");
    let mut instances: Vec<&str> =
        groups.as_array().unwrap().iter().map(|group| group["labels"]["instance"].as_str().unwrap()).collect();
    instances.sort_unstable();
    assert_eq!(instances, ["proxy-0", "proxy-1", "proxy-2", "scaler", "t-001", "t-002"]);
    for group in groups.as_array().unwrap() {
        let (status, metrics) = get(group["targets"][0].as_str().unwrap(), "/metrics").unwrap();
        assert_eq!(status, 200);
        assert!(metrics.contains("galton_build_info"), "{metrics}");
    }
    for proxy in &proxies {
        assert_eq!(get(proxy.data(), "/").unwrap().0, 200);
    }
}

#[test]
fn the_threads_of_a_proxy_are_hosts_behind_one_port() {
    let galton = galton();
    let scaler = scaler(&galton);
    let args = ["proxy", "--threads", "2", "--host", "auto", "--scenario", "scenario.json", "--map", "load.map"];
    let more = ["--records", "records", "--scaler", scaler.admin()];
    let mut proxy = Role::start(&mut galton.command(&[&args[..], &more].concat()));
    let healthy = || galton.output(&["healthcheck", "--admin", proxy.admin()]).status.success();
    eventually(SOON, "a healthy proxy", healthy);

    let hosts = json_of(scaler.admin(), "/v1/hosts");
    let hosts: Vec<_> = hosts.as_array().unwrap().iter().map(|h| (h["host"].as_u64(), h["data"].as_str())).collect();
    assert_eq!(hosts, [(Some(0), Some(proxy.data())), (Some(1), Some(proxy.data()))]);
    let groups = json_of(scaler.admin(), "/v1/prometheus").to_string();
    assert!(groups.contains("proxy-0") && !groups.contains("proxy-1"), "scraped once: {groups}");

    // The kernel spreads connections over the threads' sockets.
    let served = |host: u32| {
        let (_, metrics) = get(proxy.admin(), "/metrics").unwrap();
        let line = format!("galton_proxy_requests_total{{proxy=\"{host}\",outcome=\"ok\"}} ");
        let count = metrics.lines().find_map(|l| l.strip_prefix(&line)).unwrap_or_else(|| panic!("{metrics}"));
        count.parse::<u64>().unwrap()
    };
    eventually(SOON, "requests at both hosts", || {
        assert_eq!(get(proxy.data(), "/").unwrap().0, 200);
        served(0) > 0 && served(1) > 0
    });
    let files = ["records.0", "records.1"].map(|name| galton.dir().join(name));
    assert!(files.iter().all(|file| file.exists()), "each host has its own");

    assert_eq!(proxy.end(Signal::TERM), Some(0), "both threads end");
}

#[test]
fn a_scaler_that_comes_back_begins_another_run_and_ends_the_old_proxies() {
    let galton = galton();
    let mut first = scaler(&galton);
    let admin = first.admin().to_owned();
    let mut old = proxy(&galton, &first);
    eventually(SOON, "the old proxy serves", || get(old.data(), "/").is_some_and(|(status, _)| status == 200));
    first.end(Signal::KILL);
    let second = scaler_at(&galton, &admin);
    assert_eq!(old.ended(), Some(1), "so that a restart policy starts it again");
    let new = proxy(&galton, &second);
    eventually(SOON, "the new proxy serves", || get(new.data(), "/").is_some_and(|(status, _)| status == 200));
}

#[test]
fn a_proxy_that_is_there_before_its_scaler_joins_the_load_map_of_its_run() {
    for is_left in [false, true] {
        let galton = galton();
        let map = galton.dir().join("load.map");
        if is_left {
            LoadMap::create(&map, 8, 3, 1, 0).unwrap();
        }
        // Kept until the scaler takes it: nobody else is given this port.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = port.local_addr().unwrap().to_string();
        let mut proxy = proxy_of(&galton, &["--host", "0"], &admin);
        drop(port);
        let _scaler = scaler_at(&galton, &admin);
        eventually(SOON, "the proxy serves", || {
            assert_eq!(proxy.has_ended(), None, "an old map: {is_left}");
            get(proxy.data(), "/").is_some_and(|(status, _)| status == 200)
        });
        let taken = LoadMap::open(&map).unwrap().join(HostId(0), Nanos::ZERO);
        assert!(taken.is_err_and(|why| why.to_string().contains("joined already")), "an old map: {is_left}");
    }
}

#[test]
fn a_scaler_whose_port_is_taken_leaves_the_load_map_alone() {
    let galton = galton();
    let scaler = scaler(&galton);
    let map = || LoadMap::open(&galton.dir().join("load.map")).unwrap().id();
    let before = map();
    let args = ["scaler", "--scenario", "scenario.json", "--map", "load.map", "--admin", scaler.admin()];
    assert_eq!(galton.output(&args).status.code(), Some(1));
    assert_eq!(map(), before);
}

#[test]
fn what_a_killed_proxy_held_goes_to_those_who_wait_at_another() {
    let galton = Galton::new(env!("CARGO_BIN_EXE_galton-under-test"));
    let scenario = json!({
        "traffic": {"timeout_ms": 100_000},
        "load_balancer": {"architecture": "least_conns", "hosts": 2,
            "no_capacity": {"mode": "queue", "depth": 9, "timeout_ms": 90_000}},
        "targets": {"initial_count": 3, "max_concurrency_per_target": 1},
        "scaling": {"min_targets": 3, "max_targets": 3}
    });
    galton.file("scenario.json", &scenario.to_string());
    let scaler = scaler(&galton);
    let [mut victim, other] = ["0", "1"].map(|host| proxy_of(&galton, &["--host", host], scaler.admin()));
    for proxy in [&victim, &other] {
        eventually(SOON, "a healthy proxy", || get(proxy.admin(), "/readyz").is_some_and(|(status, _)| status == 200));
    }
    let map = LoadMap::open(&galton.dir().join("load.map")).unwrap();
    let _held = [(); 3].map(|()| asked(victim.data(), Duration::from_secs(80)));
    eventually(SOON, "every slot is taken", || map.total_in_flight() == 3);
    // Two wait longer than the first of them takes: one wake would be too few.
    let mut waiting = [(); 3].map(|()| asked(other.data(), Duration::from_secs(4)));
    let received = || get(other.admin(), "/metrics").unwrap().1.contains("galton_proxy_received_total{proxy=\"1\"} 3");
    eventually(SOON, "three wait", received);
    assert_eq!(map.total_in_flight(), 3);
    victim.end(Signal::KILL);
    let began = Instant::now();
    for stream in &mut waiting {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}: they were served one after the other");
}

/// A proxy as host 0, and where its log goes.
fn host_0(galton: &Galton, scaler: &Role) -> (Role, std::path::PathBuf) {
    let args = ["proxy", "--host", "0", "--scenario", "scenario.json", "--map", "load.map", "--scaler", scaler.admin()];
    let log = galton.dir().join("proxy.log");
    let mut command = galton.command(&args);
    (Role::start(command.stderr(std::fs::File::create(&log).unwrap())), log)
}

fn wake_sockets(galton: &Galton) -> usize {
    let files = std::fs::read_dir(galton.dir()).unwrap().map(|file| file.unwrap().file_name());
    files.filter(|name| name.to_string_lossy().starts_with("wake-")).count()
}

#[test]
fn a_second_proxy_with_a_number_that_is_taken_is_told_so_and_harms_nobody() {
    let galton = galton();
    let scaler = scaler(&galton);
    let mut first = proxy_of(&galton, &["--host", "0"], scaler.admin());
    eventually(SOON, "the first serves", || get(first.data(), "/").is_some_and(|(status, _)| status == 200));
    let (mut second, log) = host_0(&galton, &scaler);
    assert_eq!(second.ended(), Some(1));
    let log = std::fs::read_to_string(log).unwrap();
    let end = "galton: the scaler refuses: host 0 is being watched for already (tried for 10s)";
    assert!(log.contains(end), "{log}");
    assert_eq!(wake_sockets(&galton), 1, "that of the first");
    assert_eq!(get(first.data(), "/").unwrap().0, 200);
    assert_eq!(first.end(Signal::TERM), Some(0));
    assert_eq!(wake_sockets(&galton), 0);
}

#[test]
fn a_proxy_takes_over_the_number_of_one_that_is_killed() {
    let galton = galton();
    let scaler = scaler(&galton);
    let mut first = proxy_of(&galton, &["--host", "0"], scaler.admin());
    eventually(SOON, "the first serves", || get(first.data(), "/").is_some_and(|(status, _)| status == 200));
    let (second, log) = host_0(&galton, &scaler);
    let refused = || std::fs::read_to_string(&log).unwrap().contains("watched for already");
    eventually(SOON, "the second is refused", refused);
    first.end(Signal::KILL);
    eventually(SOON, "the second serves", || get(second.data(), "/").is_some_and(|(status, _)| status == 200));
    assert_eq!(wake_sockets(&galton), 1);
}

#[test]
fn a_process_that_is_not_there_is_not_healthy() {
    let galton = galton();
    let output = galton.output(&["healthcheck", "--admin", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("127.0.0.1:1"), "{output:?}");
}
