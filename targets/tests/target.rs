//! Targets as processes, over HTTP. Runs itself as the target, so that stdout, CPU time and death are the target's own.

#![allow(clippy::unwrap_used, reason = "a test without #[test]")]

#[path = "target/client.rs"]
mod client;
#[path = "target/process.rs"]
mod process;

use std::time::Duration;

use clap::Parser as _;
use rustix::process::Signal;
use serde_json::json;

use crate::client::Connection;
use crate::process::{Target, until};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: galton_targets::Args,
}

const TESTS: &[(&str, fn())] = &[
    ("above the limit it refuses at once", above_the_limit_it_refuses_at_once),
    ("a caller that goes away frees its slot", a_caller_that_goes_away_frees_its_slot),
    ("a hold that finishes anyway", a_hold_that_finishes_anyway),
    ("a hold lasts as long as asked", a_hold_lasts_as_long_as_asked),
    ("without headers it draws its own demand", without_headers_it_draws_its_own_demand),
    ("malformed headers are named", malformed_headers_are_named),
    ("burning agrees with the kernel", burning_agrees_with_the_kernel),
    ("too much demand slows all down", too_much_demand_slows_all_down),
    ("draining refuses and waits", draining_refuses_and_waits),
    ("idle counts", idle_counts),
    ("the book survives, and the ends are clean", the_book_survives_and_the_ends_are_clean),
    ("a wrong scenario is an error", a_wrong_scenario_is_an_error),
];

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("target") => galton_targets::run(Cli::parse_from(&args[1..]).args).unwrap_or_else(|error| {
            eprintln!("{error:#}");
            1.into()
        }),
        // What `cargo test` and its relatives ask of a test binary.
        Some("--list") => {
            TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
            0.into()
        }
        wanted => {
            let wanted = wanted.filter(|arg| !arg.starts_with('-')).unwrap_or_default();
            for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(wanted)) {
                println!("test {name} ...");
                test();
            }
            0.into()
        }
    }
}

const MS: u64 = 1_000_000;
const LONG: u64 = 600_000 * MS;

fn held(target: &Target, n: u64) {
    until(&format!("{n} are held"), || target.counts(0).in_flight == n as u32);
}

fn above_the_limit_it_refuses_at_once() {
    let target = Target::start(&json!({"targets": {"max_concurrency_per_target": 2}}), &[]);
    let mut holding = [target.connect(), target.connect()];
    holding.iter_mut().for_each(|connection| connection.send(&[("galton-hold-ns", LONG)]));
    held(&target, 2);
    assert_eq!((target.metric("galton_target_in_flight{"), target.metric("galton_target_slots{")), (2.0, 2.0));

    let mut connection = target.connect();
    for _ in 0..2 {
        let refused = connection.call(&[("galton-hold-ns", LONG)]);
        assert_eq!((refused.status, refused.header("galton-outcome")), (503, Some("full")));
        assert_eq!(refused.header("galton-target"), Some("t-007"));
    }
    // A body that has not come does not keep the refusal waiting.
    connection.write("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000\r\n\r\n");
    assert_eq!(connection.response().status, 503);
    assert_eq!((target.requests("accepted"), target.requests("refused")), (2, 3));
    assert_eq!(target.requests("completed"), 0);

    drop(holding);
    held(&target, 0);
    // The slot is free before the response is sent: one connection never meets itself.
    let mut connections = [target.connect(), target.connect()];
    for _ in 0..50 {
        connections.iter_mut().for_each(|connection| connection.send(&[("galton-hold-ns", 1)]));
        connections.iter_mut().for_each(|connection| assert_eq!(connection.response().status, 200));
    }
}

fn a_caller_that_goes_away_frees_its_slot() {
    for mode in ["account", "burn", "slowdown"] {
        let target = Target::start(&json!({"targets": {"cpu_mode": mode, "max_concurrency_per_target": 1}}), &[]);
        for _ in 0..3 {
            let mut connection = target.connect();
            connection.send(&[("galton-hold-ns", LONG), ("galton-cpu", 10_000_000)]);
            held(&target, 1);
            drop(connection);
            held(&target, 0);
        }
        // With a body that never comes, too.
        let mut connection = target.connect();
        connection.write("POST / HTTP/1.1\r\nhost: t\r\ngalton-hold-ns: 600000000000\r\ncontent-length: 9\r\n\r\nabc");
        held(&target, 1);
        drop(connection);
        held(&target, 0);
        assert_eq!((target.requests("cancelled"), target.requests("completed")), (4, 0), "{mode}");
        assert_eq!(target.connect().call(&[("galton-hold-ns", 1)]).status, 200);
        assert_eq!(target.metric("galton_target_cpu_utilisation_ratio"), 0.0);
    }
}

fn a_hold_that_finishes_anyway() {
    let target = Target::start(&json!({"targets": {"on_disconnect": "finish"}}), &[]);
    let mut connection = target.connect();
    connection.send(&[("galton-hold-ns", 100 * MS)]);
    held(&target, 1);
    drop(connection);
    until("the hold is over", || target.requests("completed") == 1);
    assert_eq!((target.requests("cancelled"), target.counts(0).in_flight), (0, 0));
    assert!(target.metric("galton_target_hold_seconds_sum") >= 0.1);
}

fn a_hold_lasts_as_long_as_asked() {
    let target = Target::start(&json!({}), &[]);
    let mut connection = target.connect();
    let mut late: Vec<u64> = (0..51)
        .map(|i| {
            let hold = 3 * MS + i * 10_000;
            let response = connection.call(&[("galton-hold-ns", hold)]);
            assert_eq!((response.status, response.header("galton-outcome")), (200, Some("ok")));
            response.held_ns().checked_sub(hold).expect("never early")
        })
        .collect();
    late.sort_unstable();
    assert!(late[25] < MS, "the median hold is {} ns too long", late[25]);
    // A body that came whole changes nothing, and the connection goes on.
    connection.write("POST / HTTP/1.1\r\nhost: t\r\ngalton-hold-ns: 1\r\ncontent-length: 3\r\n\r\nabc");
    assert_eq!(connection.response().status, 200);
    assert_eq!(connection.call(&[("galton-hold-ns", 1)]).status, 200);
}

fn without_headers_it_draws_its_own_demand() {
    let hold = json!({"mode": "distribution", "distribution": "uniform", "min_ms": 40, "max_ms": 80});
    let target = Target::start(&json!({"traffic": {"request_duration_ms": hold}}), &["--time-scale=4"]);
    let mut connection = target.connect();
    let held: Vec<u64> = (0..8).map(|_| connection.call(&[]).held_ns()).collect();
    // Between 10 and 20 ms; the machine may be late, but hardly by 20 ms each time.
    assert!(held.iter().all(|held| *held >= 10 * MS) && held.iter().any(|held| *held < 40 * MS), "{held:?}");
}

fn malformed_headers_are_named() {
    let target = Target::start(&json!({}), &[]);
    let mut connection = target.connect();
    for (header, value) in [("galton-hold-ns", "soon"), ("galton-cpu", "-1")] {
        connection.write(&format!("GET / HTTP/1.1\r\nhost: t\r\n{header}: {value}\r\n\r\n"));
        let response = connection.response();
        assert_eq!(response.status, 400);
        assert!(response.body.starts_with(header) && response.body.contains(value), "{}", response.body);
    }
    assert_eq!((target.requests("malformed"), target.requests("accepted")), (2, 0));
}

fn burning_agrees_with_the_kernel() {
    let targets = json!({"cpu_mode": "burn", "cpu_unit_ms": 4});
    let target = Target::start(&json!({"targets": targets}), &["--time-scale=2"]);
    let before = target.metric("process_cpu_seconds_total");
    // 4 × 75 units of 4 ms, twice as fast: 600 ms.
    let mut connections = [(); 4].map(|()| target.connect());
    connections.iter_mut().for_each(|connection| connection.send(&[("galton-hold-ns", 1), ("galton-cpu", 75)]));
    let responses = connections.map(|mut connection| connection.response());
    let used: Vec<u64> = responses.iter().map(|r| r.header("galton-cpu-used-ns").unwrap().parse().unwrap()).collect();
    assert!(used.iter().all(|used| (150 * MS..160 * MS).contains(used)), "{used:?}");
    // Turns: all end together, after all the work, and not one after the other.
    let shortest = responses.iter().map(|response| response.held_ns()).min().unwrap();
    assert!(shortest > 4 * 140 * MS, "one was done after {shortest} ns");
    let burnt = target.metric("galton_target_cpu_seconds_total");
    assert_eq!((burnt * 1e9).round() as u64, used.iter().sum::<u64>());
    let kernel = target.metric("process_cpu_seconds_total") - before;
    assert!((kernel / burnt - 1.0).abs() < 0.05, "burnt {burnt} s, the kernel counts {kernel} s");
}

fn too_much_demand_slows_all_down() {
    let targets = json!({"cpu_mode": "slowdown", "cpu_capacity_per_target": 50});
    let target = Target::start(&json!({"targets": targets}), &[]);
    let mut connections = [target.connect(), target.connect()];
    let (hold, [first, second]) = (300 * MS, &mut connections);
    first.send(&[("galton-hold-ns", hold), ("galton-cpu", 50)]);
    held(&target, 1);
    second.send(&[("galton-hold-ns", hold), ("galton-cpu", 50)]);
    held(&target, 2);
    assert_eq!(target.metric("galton_target_cpu_utilisation_ratio"), 2.0);
    let [first, second] = connections.map(|mut connection| connection.response());
    // The first had the CPU alone for as long as the second came later, then half of it.
    let alone = second.ns("galton-target-start-ns") - first.ns("galton-target-start-ns");
    let expected = alone + 2 * (hold - alone);
    let late = first.held_ns().checked_sub(expected).expect("never early");
    assert!(late < hold, "{late} ns late");
    let both = second.ns("galton-target-done-ns") - first.ns("galton-target-start-ns");
    assert!(both >= 2 * hold, "{both} ns for twice {hold}");
    assert!(target.connect().call(&[("galton-hold-ns", MS), ("galton-cpu", 50)]).held_ns() >= MS);
}

fn draining_refuses_and_waits() {
    let target = Target::start(&json!({}), &[]);
    assert_eq!(target.admin("GET", "/readyz").0, 200);
    let mut connection = target.connect();
    connection.send(&[("galton-hold-ns", LONG)]);
    held(&target, 1);
    assert_eq!(target.admin("POST", "/drain?timeout_ms=1"), (200, r#"{"held":1}"#.to_owned()));
    assert_eq!(target.admin("GET", "/readyz").0, 503);
    assert_eq!(target.metric("galton_target_slots{"), 0.0, "what a draining target has free is no room");
    assert_eq!(target.connect().call(&[]).header("galton-outcome"), Some("full"));
    let drained = std::thread::scope(|scope| {
        let drained = scope.spawn(|| target.admin("POST", "/drain?timeout_ms=20000"));
        drop(connection);
        drained.join().unwrap()
    });
    assert_eq!(drained, (200, r#"{"held":0}"#.to_owned()));
    assert_eq!(target.admin("POST", "/drain?timeout_ms=x").0, 400);
}

fn idle_counts() {
    let rr = json!({"idle_scale_down_threshold_requests_5m": 2});
    let target = Target::start(&json!({"load_balancer": {"rr": rr}}), &[]);
    let mut connection = target.connect();
    for expected in [0, 1, 2, 2] {
        assert_eq!(target.counts(LONG).accepted_in_window, expected);
        connection.call(&[("galton-hold-ns", 1)]);
    }
    until("the window has passed", || target.counts(MS).accepted_in_window == 0);
    assert_eq!(target.admin("GET", "/counts").0, 400);
}

fn the_book_survives_and_the_ends_are_clean() {
    let mut target = Target::start(&json!({}), &[]);
    assert_eq!(target.connect().call(&[("galton-hold-ns", 1)]).status, 200);
    let mut holding = target.connect();
    holding.send(&[("galton-hold-ns", LONG)]);
    held(&target, 1);
    target.signal(Signal::KILL);
    assert_eq!(target.ended().code(), None);
    let of =
        |outcome| format!("galton_target_requests_total{{target=\"t-007\",incarnation=\"3\",outcome=\"{outcome}\"}}");
    assert_eq!(["accepted", "completed", "cancelled"].map(|outcome| target.book(&of(outcome))), [2, 1, 0]);
    assert_eq!(target.book("galton_target_in_flight{target=\"t-007\",incarnation=\"3\"}"), 1);

    // Told to stop, it waits a little, and what it holds then is not counted as cancelled.
    let mut target = Target::start(&json!({}), &[]);
    let mut holding = target.connect();
    holding.send(&[("galton-hold-ns", LONG)]);
    held(&target, 1);
    target.signal(Signal::TERM);
    assert_eq!(target.ended().code(), Some(0));
    assert_eq!(["accepted", "completed", "cancelled"].map(|outcome| target.book(&of(outcome))), [1, 0, 0]);

    let mut target = Target::start(&json!({}), &[]);
    target.cut_lifeline();
    assert_eq!(target.ended().code(), Some(0), "an orphan has nothing to drain for");
}

fn a_wrong_scenario_is_an_error() {
    let error = Target::try_start(&json!({"targets": {"cpu_mode": "fast"}}), &[]).err().expect("it started");
    assert!(format!("{error:#}").contains("targets.cpu_mode"), "{error:#}");
}

/// A connection's patience, and the suite's.
const PATIENCE: Duration = Duration::from_secs(20);
