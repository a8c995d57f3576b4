//! `galton calibrate`: real runs, from which a profile comes that holds every delay; faulty profiles are refused by name.

use std::process::Output;
use std::time::{Duration, Instant};

use galton_core::profile::{Delay, Profile};
use galton_tests::Galton;
use serde_json::Value;

/// No hop of a machine takes as long at the median, however busy the machine is with other tests.
const MEDIAN_BELOW_NS: u64 = 20_000_000;
/// Nor does a process to start.
const SPAWN_BELOW_NS: u64 = 2_000_000_000;
/// How long a machine may be too busy to be measured.
const CALM_WITHIN: Duration = Duration::from_secs(120);

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

fn median(delay: &Delay) -> u64 {
    delay.at(0.5, 1.0).0
}

/// Calibrates; again while the machine is too busy, which `galton` is right to refuse.
fn calibrated(galton: &Galton) -> Output {
    let deadline = Instant::now() + CALM_WITHIN;
    loop {
        let args = ["calibrate", "--requests", "600", "--output", "own.json", "--progress", "none"];
        // What a refused calibration leaves behind goes with the directory of this test.
        let out = galton.command(&args).env("TMPDIR", galton.dir()).output().expect("galton starts");
        let noted = String::from_utf8_lossy(&out.stderr);
        if out.status.success() {
            return out;
        }
        let busy = ["SEND_LAG_P99", "PLAN_NOT_SENT_IN_TIME"].iter().any(|code| noted.contains(code));
        assert!(busy && Instant::now() < deadline, "{noted}");
    }
}

#[test]
fn every_delay_of_this_machine_is_measured() {
    let galton = galton();
    let out = calibrated(&galton);
    let said = String::from_utf8_lossy(&out.stdout);
    let text = std::fs::read_to_string(galton.dir().join("own.json")).expect("the profile");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let profile = Profile::from_value(&value).expect("a profile without a fault");
    for (name, delay) in profile.delays() {
        assert!(said.contains(name), "{name} is in the table:\n{said}");
        assert!(delay.len() >= 5, "{name} has a sample: {}", delay.len());
        let most = if name == "spawn" { SPAWN_BELOW_NS } else { MEDIAN_BELOW_NS };
        assert!((1..most).contains(&median(delay)), "{name}: {} ns", median(delay));
    }
    assert!(!galton.dir().join("runs").exists(), "its runs leave nothing behind");

    let shown = galton.output(&["calibrate", "--show", "own.json"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.starts_with(&format!("own.json: {}, measured ", profile.machine)), "{shown}");
    assert!(!shown.contains("another machine"), "{shown}");
}

#[test]
fn faulty_profiles_are_refused_by_file_and_field() {
    let galton = galton();
    let refused = |args: &[&str], code: i32, names: &[&str]| {
        let out = galton.output(args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
        assert!(names.iter().all(|name| said.contains(name)), "{args:?} must name {names:?}: {said}");
    };
    refused(&["calibrate", "--show"], 1, &["galton-profile.json"]);
    galton.file("galton-profile.json", r#"{"schema_version": 7}"#);
    refused(&["calibrate", "--show"], 2, &["galton-profile.json", "schema_version: must be 1, got 7"]);
    let faulty = r#"{"schema_version": 1, "machine": "x", "measured_unix_ns": 0, "push": [2, 1], "pull": []}"#;
    galton.file("faulty.json", faulty);
    refused(&["calibrate", "--show", "faulty.json"], 2, &["faulty.json", "push[1]", "pull", "spawn: is missing"]);
    refused(&["calibrate", "--show", "missing.json"], 2, &["missing.json"]);
    refused(&["calibrate", "--output", "no/such/place.json"], 1, &["cannot write no/such/place.json"]);
    refused(&["calibrate", "--output", "."], 1, &["cannot write .: is a directory"]);
    refused(&["calibrate", "--requests", "1"], 2, &["--requests"]);
}
