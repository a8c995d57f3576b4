//! The binary from outside: a search for a rate, its end, and what it says when it does not come to one.
#![cfg(test)]

#[path = "../src/test_server.rs"]
#[expect(dead_code, reason = "these tests look at the results, not at the requests")]
mod test_server;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use test_server::{Answer, Server};

const DEADLINE: Duration = Duration::from_secs(60);
/// A generator may be late by a tenth of it: a busy machine is no reason for a probe not to be kept.
const SLOW: Duration = Duration::from_millis(500);

fn start(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.arg("search").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Exit code, stdout and stderr.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let out = start(args).wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::yield_now();
    }
}

/// What it has said once there is a line that says so.
fn said_until(child: &mut Child, word: &str) -> (String, impl Read + use<>) {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains(word) {
        assert!(out.read_line(&mut said).unwrap() > 0, "it ended before {word:?}: {said}");
    }
    (said, out)
}

#[test]
fn a_search_that_is_interrupted_in_a_pause_tells_what_it_knows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("search.json");
    let server = Server::start(Answer::ok(SLOW, ""));
    let url = format!("http://{}/", server.addr);
    let objective = ["--slo", "errors<50%", "--from", "20", "--probe", "300ms", "--pause", "1h"];
    let mut child = start(&[&[url.as_str(), "--json", file.to_str().unwrap()], &objective[..]].concat());
    let (mut said, mut rest) = said_until(&mut child, "kept");
    interrupt(&child);
    rest.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.ends_with("\ninterrupted: so far 20/s keeps errors < 50 %; no rate was too much yet\n"), "{said}");
    let result = json(&file);
    assert_eq!(
        (&result["interrupted"], &result["kept"], &result["missed"]),
        (&true.into(), &20.0.into(), &Value::Null)
    );
    assert_eq!(result["probes"].as_array().unwrap().len(), 1, "{result:#}");
}

#[test]
fn a_probe_that_is_interrupted_is_neither_kept_nor_missed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("search.json");
    let (silent, unanswered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_silent, count) = (silent.clone(), unanswered.clone());
    let server = Server::with(move |_| match is_silent.load(Ordering::SeqCst) {
        true => {
            count.fetch_add(1, Ordering::SeqCst);
            Answer::silence()
        }
        false => Answer::ok(SLOW, ""),
    });
    let url = format!("http://{}/", server.addr);
    let objective = ["--slo", "errors<50%", "--from", "20", "--probe", "300ms", "--pause", "0s", "--timeout", "1h"];
    let mut child = start(&[&[url.as_str(), "--json", file.to_str().unwrap()], &objective[..]].concat());
    let (mut said, mut rest) = said_until(&mut child, "kept");
    silent.store(true, Ordering::SeqCst);
    wait_until("a request without an answer", || unanswered.load(Ordering::SeqCst) > 0);
    interrupt(&child);
    rest.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    let result = json(&file);
    let probes = result["probes"].as_array().unwrap();
    let (last, before) = probes.split_last().unwrap();
    assert!(!before.is_empty() && before.iter().all(|probe| probe["kept"] == true), "{result:#}");
    assert_eq!((&last["kept"], &result["kept"]), (&Value::Null, &before.last().unwrap()["rate"]), "{result:#}");
    assert!(said.contains("interrupted\n") && said.contains("\ninterrupted: so far "), "{said}");
}

#[test]
fn a_search_comes_to_its_end() {
    let server = Server::start(Answer::ok(SLOW, ""));
    let url = format!("http://{}/", server.addr);
    // Seeds go on from the largest one, too.
    let seed = u64::MAX.to_string();
    let args =
        [&url, "--slo", "errors<50%", "--from", "20", "--to", "20", "--probe", "300ms", "--pause", "0s", "--json"];
    let (code, said, stderr) = run(&[&args[..], &["--seed", &seed]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("20/s keeps errors < 50 %, twice; it is the highest that was asked for"), "{stderr}");
    let result: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&result["interrupted"], &result["kept"]), (&false.into(), &20.0.into()));
    assert_eq!((&result["probes"][0]["seed"], &result["probes"][1]["seed"]), (&u64::MAX.into(), &0.into()));
}

#[test]
fn a_probe_that_is_not_valid_says_why() {
    let server = Server::start(Answer::silence());
    let search = format!(
        "ulimit -n 40; exec {} search http://{}/ --slo 'errors<50%' --from 200 --probe 1s --timeout 2s",
        env!("CARGO_BIN_EXE_loadgen"),
        server.addr
    );
    let out = Command::new("sh").args(["-c", &search]).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(99), "{said}");
    let why = "not valid: DESCRIPTORS_EXHAUSTED: file descriptors or local ports ran out: ";
    assert_eq!(said.matches(why).count(), 2, "{said}");
    assert!(said.contains("\nno rate is known to keep errors < 50 %: the probe of 200/s was not valid: "), "{said}");
    assert!(said.trim_end().ends_with("; errors < 50 %: missed: 100 %") && !said.contains("keep up"), "{said}");
}

#[test]
fn rates_that_cannot_be_are_refused() {
    for (flags, why) in [
        (
            ["--from", "1e-18"],
            "--from 1e-18 is too low: the requests that the objectives take, at least 368, are not sent",
        ),
        (["--from", "1e300"], "--from must be at most 1000000000 per second, got 1e300"),
        (["--to", "1e300"], "--to must be at most 1000000000 per second, got 1e300"),
        (["--to", "1e-18"], "--to must be at least --from"),
    ] {
        let (code, _, stderr) = run(&[&["http://127.0.0.1:1/", "--slo", "p99<1s"], &flags[..]].concat());
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}
