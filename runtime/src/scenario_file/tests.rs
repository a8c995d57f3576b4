//! Formats, overrides, trace files, and what is said about bad ones.

use std::path::PathBuf;

use galton_core::Nanos;
use galton_core::scenario::{Arrival, ArrivalProcess, TrafficModel};
use tempfile::TempDir;

use super::*;

fn file(name: &str, text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn load_text(name: &str, text: &str, overrides: &[(&str, &str)]) -> Result<Scenario, String> {
    let (dir, path) = file(name, text);
    let overrides: Vec<(String, String)> = overrides.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    load(&path, &overrides).map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn arrival(scenario: &Scenario) -> &ArrivalProcess {
    match &scenario.traffic.model {
        TrafficModel::Open(Arrival { process, .. }) => process,
        closed => panic!("{closed:?}"),
    }
}

#[test]
fn json_and_yaml_say_the_same() {
    let json = r#"{"simulation": {"seed": 18446744073709551615, "duration_ms": 1.5e3}, "load_balancer": {"no_capacity": "fail"},
                   "sampling": {"sample_on": ["lb_decision", "topology_change"]}}"#;
    let yaml = "# a comment\nsimulation:\n  seed: 18446744073709551615\n  duration_ms: 1.5e3\nload_balancer:\n  no_capacity: fail\n\
                sampling: {sample_on: [lb_decision, topology_change]}\n";
    let expected = load_text("same.json", json, &[]).unwrap();
    assert_eq!(expected.name, "same");
    assert_eq!(expected.simulation.seed, u64::MAX);
    assert_eq!(expected.simulation.duration, Nanos::from_millis(1500));
    for (name, text) in
        [("same.yaml", yaml), ("same.yml", yaml), ("same.txt", yaml), ("same.scenario", json), ("same", json)]
    {
        assert_eq!(load_text(name, text, &[]).unwrap(), expected, "{name}");
    }
}

#[test]
fn syntax_errors_have_a_line_and_a_column() {
    for (name, text, expected) in [
        ("a.json", "{\n  \"simulation\": }", "a.json: not valid JSON: expected value at line 2 column 17"),
        ("a.json", "{\"seed\": 1e999}", "a.json: not valid JSON: number out of range at line 1 column 14"),
        ("a.json", "", "a.json: not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("a.json", "{\"a\": 1,\n\"a\": 2}", "a.json: not valid JSON: key \"a\" is there twice at line 2 column 3"),
        ("a.txt", "{\"a\" 1}", "a.txt: not valid JSON: expected `:` at line 1 column 6"),
    ] {
        assert_eq!(load_text(name, text, &[]).unwrap_err(), expected);
    }
    for text in ["simulation:\n  seed: [1\n", "a: 1\na: 2\n", "a: .nan\n"] {
        let said = load_text("a.yaml", text, &[]).unwrap_err();
        assert!(said.starts_with("a.yaml: not valid YAML: ") && said.contains("line "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (dir, _) = file("a.json", "{}");
    let error = load(&dir.path().join("b.json"), &[]).unwrap_err();
    assert!(matches!(error, ScenarioFileError::Read { .. }));
    assert!(error.to_string().contains("b.json: cannot be read: No such file"), "{error}");
}

#[test]
fn faults_come_after_a_line_for_the_file() {
    assert_eq!(
        load_text("a.json", r#"{"simulation": {"seed": -1}}"#, &[]).unwrap_err(),
        "a.json: 1 fault\nsimulation.seed: must be ≥ 0, got -1"
    );
    let said = load_text("a.json", r#"{"simulation": {"seed": -1}}"#, &[("load_balancer.host", "3")]).unwrap_err();
    assert_eq!(
        said,
        "a.json: 2 faults\nsimulation.seed: must be ≥ 0, got -1\nload_balancer.host: unknown key; did you mean hosts?"
    );
}

#[test]
fn overrides_set_make_and_remove_keys() {
    let text = r#"{"simulation": {"seed": 1, "total_time_ms": 9000},
                   "traffic": {"arrival": {"ramp": {"mode": "steps", "steps": [{"t_ms": 0, "rate_per_sec": 5}]}}}}"#;
    let overrides = [
        ("simulation.seed", "7"),
        ("simulation.total_time_ms", "null"),
        ("traffic.arrival.ramp.steps.0.rate_per_sec", "8"),
        ("load_balancer.architecture", "least_conns"),
        ("load_balancer.no_capacity", r#"{"mode": "queue", "depth": 3, "timeout_ms": 5}"#),
        ("traffic.request_duration_ms.mean_ms", "50"),
        ("description", "two words"),
    ];
    let value = load_text("a.json", text, &overrides).unwrap().to_value();
    let at = |pointer: &str| value.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/simulation/seed"), 7);
    assert_eq!(at("/simulation/total_time_ms"), Value::Null);
    assert_eq!(at("/traffic/arrival/ramp/steps/0/rate_per_sec"), 8);
    assert_eq!(at("/load_balancer/architecture"), "least_conns");
    assert_eq!(at("/load_balancer/no_capacity/depth"), 3);
    assert_eq!(at("/description"), "two words");
    assert!(value["traffic"]["request_duration_ms"]["median_ms"].as_f64().unwrap() < 50.0);
}

#[test]
fn removing_a_key_makes_nothing() {
    let text = r#"{"traffic": {"arrival": {"ramp": {"mode": "steps", "steps": [{"t_ms": 0, "rate_per_sec": 5}]}}}}"#;
    let plain = load_text("a.json", text, &[]).unwrap().to_value();
    for key in ["traffic.closed_loop.num_requests", "load_balancer.lc.retry_limit", "simulation.seed", "nothing"] {
        assert_eq!(load_text("a.json", text, &[(key, "null")]).unwrap().to_value(), plain, "{key}");
    }
    for (key, expected) in [
        (
            "traffic.arrival.ramp.steps.1.t_ms",
            "traffic.arrival.ramp.steps is a list; its entries are 0 to 0, not \"1\"",
        ),
        ("traffic.arrival.ramp.mode.x.y", "traffic.arrival.ramp.mode has a single value, nothing is below it"),
        ("traffic.closed_loop..num_requests", "a part of the path is empty"),
    ] {
        let said = load_text("a.json", text, &[(key, "null")]).unwrap_err();
        assert!(said.contains(&format!("{key}: override: {expected}")), "{said}");
    }
}

#[test]
fn faulty_overrides_are_faults_at_their_path() {
    let text =
        r#"{"simulation": {"seed": 1}, "sampling": {"sample_on": ["lb_decision"]}, "reporting": {"writers": []}}"#;
    for (key, expected) in [
        ("simulation.seed.x", "simulation.seed has a single value, nothing is below it"),
        ("sampling.sample_on.1", "sampling.sample_on is a list; its entries are 0 to 0, not \"1\""),
        ("sampling.sample_on.x", "sampling.sample_on is a list; its entries are 0 to 0, not \"x\""),
        ("simulation..seed", "a part of the path is empty"),
        ("", "a part of the path is empty"),
    ] {
        let said = load_text("a.json", text, &[(key, "topology_change")]).unwrap_err();
        assert!(
            said.contains(&format!("{key}{}override: {expected}", if key.is_empty() { "" } else { ": " })),
            "{said}"
        );
    }
    let said = load_text("a.json", text, &[("simulation.seed.x", "1"), ("reporting.writers.0", "csv")]).unwrap_err();
    assert_eq!(
        said,
        "a.json: 3 faults\n\
         simulation.seed.x: override: simulation.seed has a single value, nothing is below it\n\
         reporting.writers.0: override: reporting.writers is an empty list\n\
         reporting.writers: must have at least 1 entries, got 0"
    );
}

#[test]
fn a_trace_file_is_relative_to_the_scenario_file() {
    let (dir, path) = file("a.json", r#"{"traffic": {"arrival": {"distribution": "trace", "file": "sub/t.csv"}}}"#);
    let error = load(&path, &[]).unwrap_err().to_string();
    assert!(error.contains("traffic.arrival.file: ") && error.contains("sub/t.csv: No such file"), "{error}");
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::write(dir.path().join("sub/t.csv"), "t_ms,hold_ms\n5,2.5\n").unwrap();
    let scenario = load(&path, &[]).unwrap();
    let ArrivalProcess::Trace { file, rows } = arrival(&scenario) else { panic!("{scenario:?}") };
    assert!(Path::new(file).is_absolute());
    assert_eq!(rows[0].hold, Some(Nanos(2_500_000)));

    // The resolved scenario is the same from anywhere.
    let elsewhere = tempfile::tempdir().unwrap();
    let resolved = elsewhere.path().join("a.json");
    std::fs::write(&resolved, scenario.to_value().to_string()).unwrap();
    assert_eq!(load(&resolved, &[]).unwrap(), scenario);
}
