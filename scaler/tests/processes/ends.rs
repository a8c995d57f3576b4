//! However a scaler ends, no target is left.

use std::time::{Duration, Instant};

use crate::support::{Scaler, Setup, alive, kill, until};
use rustix::process::Signal;
use serde_json::{Value, json};

fn scenario() -> Value {
    json!({"targets": {"initial_count": 3}, "scaling": {"min_targets": 1, "max_targets": 3}})
}

/// Waits until none of these processes is there.
fn gone(pids: &[u32], within: Duration) {
    let began = Instant::now();
    until("the end of the targets", || (!pids.iter().copied().any(alive)).then_some(()));
    assert!(began.elapsed() < within, "the targets took {:?}", began.elapsed());
}

fn started() -> (Scaler, Vec<u32>) {
    let scaler = Setup::new(scenario()).started();
    let pids = scaler.pids();
    assert!(pids.len() == 3 && pids.iter().copied().all(alive));
    (scaler, pids)
}

#[test]
fn sigterm_ends_everything_with_0() {
    let (mut scaler, pids) = started();
    let began = Instant::now();
    kill(scaler.process.id(), Signal::TERM);
    assert_eq!(scaler.exit().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(!pids.iter().copied().any(alive), "they end before the scaler does");
}

#[test]
fn a_call_ends_everything_with_0() {
    let (mut scaler, pids) = started();
    assert_eq!(scaler.post("/stop", "").0, 200);
    assert_eq!(scaler.exit().code(), Some(0));
    assert!(!pids.iter().copied().any(alive));
}

#[test]
fn without_its_parent_everything_ends() {
    let (mut scaler, pids) = started();
    let began = Instant::now();
    drop(scaler.lifeline.take());
    scaler.exit();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    gone(&pids, Duration::from_secs(2));
}

#[test]
fn targets_do_not_outlive_a_killed_scaler() {
    let (scaler, pids) = started();
    kill(scaler.process.id(), Signal::KILL);
    gone(&pids, Duration::from_secs(2));
    assert_eq!(scaler.journal().len(), 3, "its history is whole");
}

#[test]
fn targets_that_are_not_up_yet_end_with_the_scaler() {
    let script = r#"echo $$ >> "${0%/*}/pids"
        case "$*" in *t-003*) exec cat;; esac
        exec "$ROLES" "$@""#;
    let mut scaler = Setup::new(scenario()).script(script).announced();
    let file = scaler.dir.path().join("pids");
    let read = || std::fs::read_to_string(&file).ok().filter(|pids| pids.lines().count() == 3);
    let pids: Vec<u32> = until("three processes", read).lines().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(scaler.get("/readyz").0, 503);
    kill(scaler.process.id(), Signal::TERM);
    assert_eq!(scaler.exit().code(), Some(0));
    gone(&pids, Duration::from_secs(2));
}

#[test]
fn a_target_that_fails_at_first_fails_the_scaler_and_leaves_none() {
    let script = r#"echo $$ >> "${0%/*}/pids"
        case "$*" in *t-002*) sleep 0.2; echo "no memory" >&2; exit 3;; esac
        exec "$ROLES" "$@""#;
    let mut scaler = Setup::new(scenario()).script(script).announced();
    assert_eq!(scaler.exit().code(), Some(1));
    let log = scaler.log() + &std::fs::read_to_string(scaler.run_file("log/target-t-002-0.log")).unwrap();
    assert!(log.contains("no memory"), "{log}");
    let said = until("the reason", || Some(scaler.log()));
    assert!(said.contains("t-002 of the initial fleet") && said.contains("exit status: 3"), "{said}");
    let pids = std::fs::read_to_string(scaler.dir.path().join("pids")).unwrap();
    let pids: Vec<u32> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    gone(&pids, Duration::from_secs(2));
}

#[test]
fn a_program_that_is_no_target_is_refused() {
    let script = r#"echo '{"role":"proxy","admin":"127.0.0.1:1","pid":'$$'}'; exec cat"#;
    let mut scaler = Setup::new(scenario()).script(script).announced();
    assert_eq!(scaler.exit().code(), Some(1));
    assert!(scaler.log().contains("announced no data port"), "{}", scaler.log());
}

#[test]
fn a_wrong_configuration_is_told_from_a_failure() {
    let run = |scenario: Value, args: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("scenario.json");
        std::fs::write(&file, scenario.to_string()).unwrap();
        let mut command = std::process::Command::new(crate::support::roles());
        let out = command.arg("scaler").arg("--scenario").arg(&file).args(args).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, why) = run(json!({"targets": {"initial_cuont": 3}}), &[]);
    assert!(code == Some(2) && why.contains("initial_cuont"), "{code:?} {why}");
    let (code, why) = run(scenario(), &["--listen", "127.0.0.1:80"]);
    assert!(code == Some(2) && why.contains("--listen 127.0.0.1:80"), "{code:?} {why}");
}
