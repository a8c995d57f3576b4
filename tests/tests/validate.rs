//! `galton validate`: a simulation that tells the truth agrees with a live run, one that was made to believe otherwise is
//! caught, and the exit code says which.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Output;
use std::sync::Mutex;

use galton_tests::Galton;
use serde_json::{Value, json};

/// Live runs take the machine in turns: what they are compared with has it for itself.
static TURN: Mutex<()> = Mutex::new(());

/// Holds of 400 ms of machine time at time scale 5, so that what a busy machine adds stays below the floors.
fn least_conns() -> Value {
    json!({
        "description": "validate under test",
        "simulation": {"seed": 7, "duration_ms": 22_000, "drain_ms": 10_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 20},
            "request_duration_ms": {"mode": "distribution", "distribution": "lognormal", "mean_ms": 2_000, "sigma": 0.3}
        },
        "load_balancer": {
            "architecture": "least_conns",
            "hosts": 2,
            "no_capacity": "fail",
            "lc": {"idle_scale_down_threshold_outstanding_5m": 0}
        },
        "targets": {"initial_count": 4, "max_concurrency_per_target": 20},
        "scaling": {"min_targets": 4, "max_targets": 4}
    })
}

/// More than two targets take, and no more than five, behind hosts that never learn of what the others have started: a
/// quarter of the requests is lost, and 3 % if they learned at once.
fn stale() -> Value {
    let steps = json!([{"t_ms": 0, "rate_per_sec": 5}, {"t_ms": 2_000, "rate_per_sec": 40}]);
    json!({
        "description": "validate under test",
        "simulation": {"seed": 7, "duration_ms": 12_000, "drain_ms": 5_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "ramp": {"mode": "steps", "steps": steps}},
            "request_duration_ms": {"mode": "distribution", "distribution": "lognormal", "mean_ms": 1_000, "sigma": 0.3}
        },
        "load_balancer": {
            "architecture": "round_robin",
            "hosts": 4,
            "rr": {"retry_limit": 1, "retry_delay_ms": 5, "sync_delay_ms": 20_000, "idle_scale_down_threshold_requests_5m": 0}
        },
        "targets": {"initial_count": 2, "max_concurrency_per_target": 10},
        "scaling": {"min_targets": 2, "max_targets": 5, "scale_up_delay_ms": 250}
    })
}

/// How often a faithful simulation may meet a machine that is busy with something else.
const MOST_TRIES: u32 = 3;

const ARGS: [&str; 8] = ["--runs", "1", "--time-scale", "5", "--no-profile", "--progress", "none", "--json=found.json"];

/// Validates a scenario; the output, the exit code, and validate.json.
fn validate(galton: &Galton, scenario: &Value, more: &[&str]) -> (Output, Option<i32>, Value) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    galton.file("scenario.json", &scenario.to_string());
    let out = galton.output(&[&["validate", "scenario.json"], &ARGS[..], more].concat());
    let code = out.status.code();
    let text = std::fs::read_to_string(galton.dir().join("found.json"));
    let text = text.unwrap_or_else(|_| panic!("{code:?}: {}", String::from_utf8_lossy(&out.stderr)));
    (out, code, serde_json::from_str(&text).unwrap())
}

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

fn differing(found: &Value) -> Vec<&str> {
    let metrics = found["scenarios"][0]["metrics"].as_array().unwrap();
    let differs = metrics.iter().filter(|metric| metric["judgement"] == "differs");
    differs.map(|metric| metric["name"].as_str().unwrap()).collect()
}

#[test]
fn a_faithful_simulation_agrees() {
    // Without a profile the simulation knows nothing of what a busy machine adds; it is not busy three times in a row.
    let once = || {
        let galton = galton();
        (validate(&galton, &least_conns(), &[]), galton)
    };
    let quiet = (1..MOST_TRIES).map(|_| once()).find(|((_, code, _), _)| *code == Some(0));
    let ((out, code, found), galton) = quiet.unwrap_or_else(once);
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!((code, differing(&found)), (Some(0), Vec::new()), "{said}");
    assert!(said.starts_with("seed 7 · scenario · plan "), "{said}");
    assert!(said.contains("AGREES  scenario: 1 live run"), "{said}");
    let page = PathBuf::from(said.lines().last().unwrap());
    let page = galton.dir().join(page);
    assert!(std::fs::read_to_string(&page).unwrap().contains("plot-scenario-cdf"));
    let beside = std::fs::read_to_string(page.with_file_name("validate.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&beside).unwrap(), found);
    let runs = std::fs::read_dir(page.parent().unwrap()).unwrap().filter_map(Result::ok);
    let run = runs.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
    assert!(run.join("trace.csv").exists(), "the live run stays");
    assert_eq!(found["scenarios"][0]["live"][0]["id"], run.file_name().unwrap().to_str().unwrap());
}

#[test]
fn a_simulation_that_believes_in_longer_holds_is_caught() {
    let believed = ["--sim-set", "traffic.request_duration_ms.mean_ms=2600", "--set", "simulation.duration_ms=8000"];
    let (out, code, found) = validate(&galton(), &least_conns(), &believed);
    assert_eq!((code, &found["agrees"]), (Some(3), &json!(false)));
    for metric in ["response p50", "response p90", "in flight mean"] {
        assert!(differing(&found).contains(&metric), "{metric} in {:?}", differing(&found));
    }
    assert!(!differing(&found).contains(&"loss"));
    assert_eq!(found["sim_set"], json!([["traffic.request_duration_ms.mean_ms", "2600"]]));
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.lines().any(|line| line.starts_with("response p50") && line.ends_with("DIFFERS")), "{said}");
}

#[test]
fn a_simulation_without_the_sync_delay_is_caught() {
    let believed = ["--sim-set", "load_balancer.rr.sync_delay_ms=0"];
    let (_, code, found) = validate(&galton(), &stale(), &believed);
    assert_eq!(code, Some(3), "{found:#}");
    for metric in ["loss", "retries, distance"] {
        assert!(differing(&found).contains(&metric), "{metric} in {:?}", differing(&found));
    }
}

#[test]
fn what_cannot_be_validated_is_refused_before_anything_runs() {
    let galton = galton();
    galton.file("good.json", &least_conns().to_string());
    galton.file("bad.json", r#"{"traffic": {"timeout_ms": -1}}"#);
    let refused = |args: &[&str]| {
        let out = galton.output(&[&["validate"], args].concat());
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, said) = refused(&["good.json", "bad.json", "--no-profile"]);
    assert!(code == Some(2) && said.contains("bad.json") && said.contains("traffic.timeout_ms"), "{said}");
    let (code, said) = refused(&["good.json", "--no-profile", "--sim-set", "load_balancer.nothing=1"]);
    assert!(code == Some(2) && said.contains("load_balancer.nothing"), "{said}");
    let (code, said) = refused(&["good.json", "./good.json", "--no-profile"]);
    assert!(code == Some(2) && said.contains("two scenarios are named good"), "{said}");
    let (code, said) = refused(&["good.json"]);
    assert!(code == Some(2) && said.contains("galton calibrate"), "{said}");
    let (code, said) = refused(&["good.json", "--no-profile", "--ensemble", "19"]);
    assert!(code == Some(2) && said.contains("20"), "{said}");
    let (code, said) = refused(&["nowhere.json", "--no-profile"]);
    assert!(code == Some(2) && said.contains("nowhere.json"), "{said}");
    assert!(!galton.dir().join("runs").exists());
}
