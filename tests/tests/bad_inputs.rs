//! Bad input: one clear message that names the place, the right exit code, no panic, nothing left running.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::process::Output;

use galton_tests::{Galton, SOON, command_line, eventually};
use serde_json::{Value, json};

/// What a faulty scenario says: a change to a good one, and what the message must name.
fn faulty_scenarios() -> Vec<(Value, &'static str)> {
    let arrival = |value: Value| json!({"traffic": {"arrival": value}});
    let hold = |value: Value| json!({"traffic": {"request_duration_ms": value}});
    let fixed = |key: &str, value: Value| json!({"mode": "distribution", "distribution": "deterministic", key: value});
    vec![
        (json!({"simulations": {}}), "simulations"),
        (json!({"simulation": {"sed": 1}}), "simulation.sed"),
        (json!({"simulation": {"seed": -1}}), "simulation.seed"),
        (json!({"simulation": {"seed": 1.5}}), "simulation.seed"),
        (json!({"simulation": {"duration_ms": 0}}), "simulation.duration_ms"),
        (json!({"simulation": {"duration_ms": -5}}), "simulation.duration_ms"),
        (json!({"simulation": {"duration_ms": "10s"}}), "simulation.duration_ms"),
        (json!({"simulation": {"duration_ms": 1e15}}), "simulation.duration_ms"),
        (json!({"simulation": {"duration_ms": 1000, "warmup_ms": 2000}}), "simulation.warmup_ms"),
        (json!({"simulation": []}), "simulation"),
        (arrival(json!({"distribution": "poison"})), "traffic.arrival.distribution"),
        (arrival(json!({"distribution": "poisson", "rate_per_sec": -5})), "traffic.arrival.rate_per_sec"),
        (arrival(json!({"distribution": "poisson", "rate_per_sec": 0})), "traffic.arrival.rate_per_sec"),
        (arrival(json!({"distribution": "poisson", "rate_per_sec": 1e300})), "traffic.arrival.rate_per_sec"),
        (arrival(json!({"distribution": "poisson", "rate_per_sec": null})), "traffic.arrival.rate_per_sec"),
        (arrival(json!({"distribution": "poisson", "interval_ms": 10})), "traffic.arrival.interval_ms"),
        (arrival(json!({"distribution": "trace", "file": "missing.csv"})), "missing.csv"),
        (arrival(json!({"distribution": "trace", "file": "bad.csv"})), "bad.csv"),
        (arrival(json!({"distribution": "poisson", "ramp": {"mode": "up"}})), "traffic.arrival.ramp.mode"),
        (json!({"traffic": {"closed_loop": {"concurrency": 0}}}), "traffic.closed_loop.concurrency"),
        (
            json!({"traffic": {"closed_loop": {"concurrency": 1}, "arrival": {"distribution": "poisson"}}}),
            "closed_loop",
        ),
        (hold(fixed("value_ms", json!(-1))), "traffic.request_duration_ms.value_ms"),
        (hold(fixed("value", json!(1))), "traffic.request_duration_ms.value"),
        (hold(json!({"mode": "percentiles", "p50": 5, "p80": 4, "p90": 6, "p99": 7, "p100": 8})), "p80"),
        (hold(json!({"mode": "distribution", "distribution": "zipf"})), "traffic.request_duration_ms.distribution"),
        (json!({"traffic": {"timeout_ms": 0}}), "traffic.timeout_ms"),
        (json!({"load_balancer": {"architecture": "best"}}), "load_balancer.architecture"),
        (json!({"load_balancer": {"hosts": 0}}), "load_balancer.hosts"),
        (json!({"load_balancer": {"hosts": 100_000}}), "load_balancer.hosts"),
        (json!({"load_balancer": {"no_capacity": "panic"}}), "load_balancer.no_capacity"),
        (json!({"load_balancer": {"retry_on": ["ful"]}}), "load_balancer.retry_on"),
        (json!({"load_balancer": {"rr": {"retry_limit": -1}}}), "load_balancer.rr.retry_limit"),
        (json!({"load_balancer": {"lc": {"tie_break": "coin"}}}), "load_balancer.lc.tie_break"),
        (json!({"targets": {"initial_count": 0}}), "targets.initial_count"),
        (json!({"targets": {"initial_count": 500}}), "targets.initial_count"),
        (json!({"targets": {"max_concurrency_per_target": 0}}), "targets.max_concurrency_per_target"),
        (json!({"targets": {"cpu_mode": "melt"}}), "targets.cpu_mode"),
        (json!({"scaling": {"min_targets": 9, "max_targets": 3}}), "scaling.min_targets"),
        (json!({"scaling": {"scale_up_delay_ms": {"distribution": "normal"}}}), "scaling.scale_up_delay_ms"),
        (json!({"scaling": {"policy": "psychic"}}), "scaling.policy"),
        (json!({"sampling": {"sample_on": []}}), "sampling.sample_on"),
        (json!({"reporting": {"writers": ["pdf"]}}), "reporting.writers"),
    ]
}

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

/// A run of a second on one target.
fn good() -> Value {
    json!({"simulation": {"duration_ms": 500, "drain_ms": 1000},
        "traffic": {"request_duration_ms": {"mode": "distribution", "distribution": "deterministic", "value_ms": 5}}})
}

#[track_caller]
fn refused(galton: &Galton, out: &Output, code: i32, names: &str) {
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{names}: {said}");
    assert!(said.contains(names), "the message must name {names:?}: {said}");
    assert!(!said.contains("panicked"), "{names}: {said}");
    let dir = galton.dir().to_string_lossy().into_owned();
    eventually(SOON, &format!("nothing left running after {names}"), || !any_process_with(&dir));
}

fn any_process_with(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().any(|pid| command_line(pid).iter().any(|arg| arg.contains(word)))
}

#[test]
fn every_faulty_scenario_is_refused_with_its_path() {
    let galton = galton();
    galton.file("bad.csv", "t_ms,hold_ms\n1,2\nx,3\n");
    assert!(faulty_scenarios().len() >= 40);
    for (scenario, names) in faulty_scenarios() {
        galton.file("scenario.json", &scenario.to_string());
        refused(&galton, &galton.output(&["run", "scenario.json"]), 2, names);
        assert!(!galton.dir().join("runs").exists(), "{names}: a run directory was made");
    }
}

#[test]
fn all_faults_are_told_together() {
    let galton = galton();
    galton.file("scenario.json", r#"{"simulation": {"duration_ms": -1}, "targets": {"initial_count": 0}, "x": 1}"#);
    let out = galton.output(&["check", "scenario.json"]);
    for path in ["simulation.duration_ms", "targets.initial_count", "x"] {
        refused(&galton, &out, 2, path);
    }
}

#[test]
fn files_that_are_no_scenarios_are_refused() {
    let galton = galton();
    galton.file("broken.json", "{\"simulation\": ");
    galton.file("broken.yaml", "simulation: [");
    galton.file("list.json", "[]");
    galton.file("empty.json", "");
    for file in ["broken.json", "broken.yaml", "list.json", "empty.json", "missing.json", "."] {
        refused(&galton, &galton.output(&["run", file]), 2, file);
    }
}

#[test]
fn wrong_usage_is_refused() {
    let galton = galton();
    galton.file("scenario.json", &good().to_string());
    for (args, names) in [
        (&["run"][..], "SCENARIO"),
        (&["run", "scenario.json", "--set", "traffic.timeout_ms"], "KEY=VALUE"),
        (&["run", "scenario.json", "--set", "traffic.timeout=5"], "traffic.timeout"),
        (&["run", "scenario.json", "--arch", "best"], "best"),
        (&["run", "scenario.json", "--seed", "-1"], "-1"),
        (&["run", "scenario.json", "--time-scale", "0"], "--time-scale"),
        (&["run", "scenario.json", "--time-scale", "nan"], "--time-scale"),
        (&["run", "scenario.json", "--time-scale", "-2"], "-2"),
        (&["up", "scenario.json", "--listen", "nowhere"], "nowhere"),
        (&["walk"], "walk"),
    ] {
        refused(&galton, &galton.output(args), 2, names);
    }
}

#[test]
fn what_the_machine_refuses_ends_with_1() {
    let galton = galton();
    galton.file("scenario.json", &good().to_string());
    let below_a_file = ["run", "scenario.json", "--output-dir", "scenario.json/runs"];
    refused(&galton, &galton.output(&below_a_file), 1, "scenario.json/runs");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    refused(&galton, &galton.output(&["up", "scenario.json", "--listen", "192.0.2.1:80"]), 1, "192.0.2.1:80");
    refused(&galton, &galton.output(&["up", "scenario.json", "--listen", &taken]), 1, &taken);
}

#[test]
fn a_result_that_has_no_place_is_refused_before_the_work() {
    let galton = galton();
    galton.file("scenario.json", &good().to_string());
    for args in [
        &["validate", "scenario.json", "--no-profile", "--json", "."][..],
        &["calibrate", "--output", "."],
        &["compare", "a", "b", "--json", "."],
        &["export", "a", "--output", "."],
    ] {
        refused(&galton, &galton.output(args), 1, "cannot write .: is a directory");
    }
    assert!(!galton.dir().join("runs").exists());
}

#[test]
fn a_result_that_stdout_does_not_take_is_no_success() {
    let galton = galton();
    galton.file("scenario.json", &good().to_string());
    for args in
        [&["schema"][..], &["check", "scenario.json"], &["plan", "scenario.json"], &["plan", "scenario.json", "--csv"]]
    {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let out = galton.command(args).stdout(full).output().unwrap();
        refused(&galton, &out, 1, "galton: cannot write to standard output: No space left on device");
    }
}

#[test]
fn too_few_descriptors_end_with_a_reason() {
    let galton = galton();
    galton.file("scenario.json", &good().to_string());
    let program = env!("CARGO_BIN_EXE_galton-under-test");
    let script = format!("ulimit -n 12; exec {program} run scenario.json");
    let out = std::process::Command::new("sh").args(["-c", &script]).current_dir(galton.dir()).output().unwrap();
    refused(&galton, &out, 1, "Too many open files");
}
