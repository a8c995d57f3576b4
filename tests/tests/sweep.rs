//! `galton sweep`: several values of a key, simulated and live, become one table, one drawing and two files.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Output;

use galton_tests::Galton;
use serde_json::{Value, json};

/// Two targets of two slots, for which 10 Erlang are too much: more slots, fewer rejections.
fn scenario() -> Value {
    json!({
        "description": "sweep under test",
        "simulation": {"seed": 7, "duration_ms": 20_000, "drain_ms": 5_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 10},
            "request_duration_ms": {"mode": "distribution", "distribution": "lognormal", "mean_ms": 1_000, "sigma": 0.3}
        },
        "load_balancer": {"architecture": "least_conns", "hosts": 2, "no_capacity": "fail"},
        "targets": {"initial_count": 2, "max_concurrency_per_target": 2},
        "scaling": {"min_targets": 2, "max_targets": 2}
    })
}

const VARY: &str = "--vary=targets.max_concurrency_per_target=1,2,8";
const REFERENCE: &str = "--reference=load_balancer.architecture=round_robin";

/// Sweeps the scenario; what was said, and the directory of the result.
fn sweep(galton: &Galton, more: &[&str]) -> (String, PathBuf) {
    galton.file("scenario.json", &scenario().to_string());
    let out = galton.output(&[&["sweep", "scenario.json", "--progress=none"], more].concat());
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    let drawing = galton.dir().join(said.lines().last().unwrap());
    (said, drawing.parent().unwrap().to_owned())
}

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

/// The simulated mean of a figure at a point.
fn mean(point: &Value, name: &str) -> f64 {
    let figures = point["simulated"]["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["name"] == name).unwrap()["mean"].as_f64().unwrap()
}

#[test]
fn a_figure_follows_the_value_and_the_same_sweep_says_the_same() {
    let galton = galton();
    let args = [VARY, REFERENCE, "--replications=5", "--figures=rejected,response-p50"];
    let (said, dir) = sweep(&galton, &args);
    let text = std::fs::read_to_string(dir.join("sweep.json")).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    let rejected: Vec<f64> = found["points"].as_array().unwrap().iter().map(|p| mean(p, "rejected")).collect();
    assert!(rejected.len() == 3 && rejected[0] > rejected[1] && rejected[1] > 5.0 * rejected[2], "{rejected:?}");
    assert_eq!(found["points"][1]["simulated"]["seeds"], json!([7, 8, 9, 10, 11]));
    assert_eq!(found["references"][0]["label"], "load_balancer.architecture=round_robin");
    assert!(said.contains("machine profile none") && said.contains("\nresponse p50 "), "{said}");
    let svg = std::fs::read_to_string(dir.join("sweep.svg")).unwrap();
    assert!(svg.contains("max concurrency per target") && !svg.contains("live run"), "{svg}");
    let (_, again) = sweep(&galton, &args);
    assert_ne!(again, dir);
    for file in ["sweep.csv", "sweep.svg"] {
        assert_eq!(std::fs::read(dir.join(file)).unwrap(), std::fs::read(again.join(file)).unwrap(), "{file}");
    }
}

#[test]
fn live_points_lie_beside_the_simulated_ones() {
    let args = ["--vary=targets.max_concurrency_per_target=2", "--replications=2", "--live=1", "--time-scale=20"];
    let galton = galton();
    let (said, dir) = sweep(&galton, &args);
    let found: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("sweep.json")).unwrap()).unwrap();
    let point = &found["points"][0];
    if point["left_out"] == json!(1) {
        // A machine that is busy three times in a row: then it is said, and nothing is drawn.
        assert!(said.contains("2: 1 live, INVALID every time, left out"), "{said}");
        return;
    }
    assert_eq!((&point["live"]["seeds"], &point["simulated"]["seeds"]), (&json!([7]), &json!([7, 8])));
    let run = dir.join(point["live_runs"][0].as_str().unwrap());
    assert!(run.join("report.html").exists(), "the live run stays");
    let offered = |side: &str| {
        let figures = point[side]["figures"].as_array().unwrap();
        figures.iter().find(|figure| figure["name"] == "offered").unwrap()["values"][0].as_f64()
    };
    assert_eq!(offered("live"), offered("simulated"), "the same plan");
    assert!(std::fs::read_to_string(dir.join("sweep.svg")).unwrap().contains("live run"));
}

#[test]
fn what_cannot_be_swept_is_refused_before_anything_runs() {
    let galton = galton();
    galton.file("scenario.json", &scenario().to_string());
    let refused = |args: &[&str], named: &str| {
        let Output { status, stderr, .. } = galton.output(&[&["sweep", "scenario.json"], args].concat());
        let said = String::from_utf8(stderr).unwrap();
        assert!(status.code() == Some(2) && said.contains(named), "{args:?}: {said}");
    };
    refused(&["--vary=load_balancer.nothing=1"], "load_balancer.nothing");
    refused(&["--vary=targets.max_concurrency_per_target=2,-1"], "--vary, -1");
    refused(&["--vary=targets.max_concurrency_per_target=2,-1"], "targets.max_concurrency_per_target: ");
    refused(&["--vary=load_balancer.hosts=1,,2"], "value 2 of 3 is empty");
    refused(&[VARY, "--reference=load_balancer.architecture=random"], "--reference, load_balancer.architecture=random");
    refused(&[VARY, "--figures=nonsense"], "no such figure; there are: response mean");
    refused(&[VARY, "--live=3", "--replications=2"], "--replications");
    refused(&[VARY, "--profile=nowhere.json"], "nowhere.json");
    refused(&[], "--vary");
    assert!(!galton.dir().join("runs").exists());
}
