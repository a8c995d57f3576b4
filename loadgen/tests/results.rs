//! The binary from outside: what a run of its own leaves behind.
#![cfg(test)]

#[path = "../src/test_server.rs"]
#[expect(dead_code, reason = "these tests look at the results, not at the requests")]
mod test_server;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use galton_report::hlog;
use serde_json::Value;
use test_server::{Answer, Server};

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_loadgen")).args(args).output().expect("the binary");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn server() -> (Server, String) {
    let server = Server::start(Answer::ok(Duration::ZERO, ""));
    let url = format!("http://{}/", server.addr);
    (server, url)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn logged(dir: &Path, tag: &str) -> u64 {
    let log = fs::read(dir.join("latency.hlog")).unwrap();
    let intervals = hlog::read(&log[..]).unwrap();
    intervals.iter().filter(|interval| interval.tag == tag).map(|interval| interval.histogram.len()).sum()
}

#[test]
fn what_cannot_be_written_loses_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, url) = server();
    let wanted = dir.path().join("out");
    let out = wanted.to_str().unwrap();
    let line = [&url, "-c", "2", "-n", "10", "-o", out, "--log-requests", "/dev/full", "--progress", "none"];
    let (code, said, stderr) = run(&line);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("cannot write the records of the requests"), "{stderr}");
    assert!(said.contains("requests    10 in"), "{said}");
    assert_eq!(json(&wanted.join("result.json"))["counts"]["ok"], 10);
}

#[test]
fn a_directory_holds_the_report_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, url) = server();
    let wanted = dir.path().join("out");
    let out = wanted.to_str().unwrap();
    let (code, said, stderr) = run(&[&url, "-c", "4", "-n", "1000", "-o", out, "--log-requests", "--progress", "none"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(said.lines().count() <= 30, "{said}");
    assert!(said.trim_end().ends_with("report.html"), "{said}");
    let result = json(&wanted.join("result.json"));
    assert_eq!((&result["counts"]["ok"], &result["client"]["statuses"]["200"]), (&1000.into(), &1000.into()));
    assert_eq!((&result["run"]["id"], &result["run"]["users"]["budget_exhausted"]), (&"out".into(), &4.into()));
    assert!(result["client"]["generator"]["cpu_ns"].as_u64().unwrap() > 0);
    for (tag, n) in [("response", 1000), ("service", 1000), ("send_lag", 1000)] {
        assert_eq!(logged(&wanted, tag), n, "{tag}");
        assert_eq!(result["latency"][tag]["n"], n, "{tag}");
    }
    let markdown = fs::read_to_string(wanted.join("report.md")).unwrap();
    let page = fs::read_to_string(wanted.join("report.html")).unwrap();
    for absent in ["Hold time", "Overhead", "Retries", "Free targets", "Scaling", "## Targets"] {
        assert!(!markdown.contains(absent) && !page.contains(absent) && !said.contains(absent), "{absent}");
    }
    assert!(page.contains("plot-in-flight"));
    let series = fs::read_to_string(wanted.join("series.csv")).unwrap();
    assert_eq!(series.lines().next(), Some("t_ns,offered,ok,rejected,timed_out,failed,shed,in_flight"));
    assert_eq!(fs::read_to_string(wanted.join("trace.csv")).unwrap().lines().count(), 1001);

    // A second run leaves the first alone.
    let (code, said, _) = run(&[&url, "-n", "10", "-c", "1", "-o", out, "--quiet"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(json(&wanted.join("result.json"))["counts"]["ok"], 1000);
    let below = fs::read_dir(&wanted).unwrap().map(|e| e.unwrap().path()).find(|path| path.is_dir()).unwrap();
    assert_eq!(json(&below.join("result.json"))["counts"]["ok"], 10);
    assert!(!below.join("trace.csv").exists());
}

#[test]
fn headers_of_a_galton_server_fill_what_they_know() {
    let server = Server::start(Answer::ok(
        Duration::ZERO,
        "galton-outcome: ok\r\ngalton-attempts: 2\r\ngalton-overhead-ns: 5000\r\n",
    ));
    let (code, said, _) =
        run(&[&format!("http://{}/", server.addr), "-c", "1", "-n", "100", "--json", "--progress", "none"]);
    assert_eq!(code, 0);
    let result: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(result["retries"]["ok"]["1"], 100);
    assert_eq!(result["latency"]["overhead"]["quantiles"][0]["value"], 5000);
}

#[test]
fn objectives_decide_the_exit_code() {
    let (_server, url) = server();
    let with = |objectives: &[&str]| {
        let mut args = vec![url.as_str(), "-c", "2", "-n", "500", "--progress", "none"];
        objectives.iter().for_each(|objective| args.extend(["--slo", objective]));
        run(&args)
    };
    let (code, said, _) = with(&["p99<5s", "errors<0.1%", "rate>1"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.matches(": kept: ").count(), 3, "{said}");
    let (code, said, _) = with(&["p50<1us", "p99<5s"]);
    assert_eq!(code, 99, "{said}");
    assert!(said.contains("p50 < 1 µs: missed: "), "{said}");
    let (code, said, _) = with(&["p99.9<5s"]);
    assert_eq!(code, 99, "not shown is not kept: {said}");
    assert!(said.contains("p99.9 takes 3,688 requests, there were 500"), "{said}");
    let (code, _, stderr) = with(&["p99=5s"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("there is no < or >; write p99<250ms"), "{stderr}");
}

#[test]
fn a_warm_up_is_left_out_of_the_statistics_and_kept_in_the_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, url) = server();
    let out = dir.path().to_str().unwrap();
    let args = [&url, "-r", "1000", "-n", "600", "-w", "200", "-o", out, "--log-requests", "--progress", "none"];
    let (code, said, stderr) = run(&args);
    assert_eq!(code, 0, "{stderr}");
    assert!(said.contains("warm-up     200 requests before "), "{said}");
    let result = json(&dir.path().join("result.json"));
    assert_eq!((&result["counts"]["planned"], &result["latency"]["response"]["n"]), (&400.into(), &400.into()));
    assert_eq!(result["client"]["excluded"]["requests"], 200);
    assert_eq!(result["conservation"]["rows"][0]["left"], 600, "the books are those of the whole run");
    assert_eq!(logged(dir.path(), "response"), 400);
    assert_eq!(fs::read_to_string(dir.path().join("trace.csv")).unwrap().lines().count(), 601);

    let (code, said, _) = run(&[&url, "-c", "2", "-n", "2000", "-w", "auto", "--json", "--progress", "none"]);
    assert_eq!(code, 0);
    let result: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(result["client"]["excluded"]["asked"], "auto");
}

#[test]
fn what_does_not_make_sense_is_said() {
    for (args, why) in [
        (vec!["-n", "1", "--log-requests"], "--log-requests needs a PATH, or a directory"),
        (vec!["--log-requests", "http://127.0.0.1:1/"], "put the URL before this flag"),
        (vec!["-r", "5", "-z", "1s", "-w", "10s"], "--warmup leaves nothing to measure: the run ends after 1 s"),
        (vec!["-n", "100", "-w", "200"], "--warmup leaves nothing to measure: the run ends after 100 requests"),
        (vec!["-w", "soon"], "write a time (10s), a number of requests (10k) or auto"),
    ] {
        let (code, _, stderr) = run(&args);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}

/// A run of 600 requests into a directory of its own.
fn measured(dir: &Path, name: &str, url: &str, more: &[&str]) -> String {
    let out = dir.join(name).to_str().unwrap().to_owned();
    let mut args = vec![url, "-r", "1000", "-n", "600", "-o", &out, "--quiet"];
    args.extend(more);
    let (code, _, stderr) = run(&args);
    assert_eq!(code, 0, "{stderr}");
    out
}

#[test]
fn runs_are_compared_by_request_or_by_what_their_results_hold() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, url) = server();
    // Far beyond what a busy machine adds.
    let slow = Server::start(Answer::ok(Duration::from_millis(500), ""));
    let slow_url = format!("http://{}/", slow.addr);
    let fast = measured(dir.path(), "fast", &url, &["--log-requests"]);
    let slower = measured(dir.path(), "slow", &slow_url, &["--log-requests"]);
    let (code, said, stderr) = run(&["compare", &fast, &slower, "--allow-invalid"]);
    assert_eq!(code, 3, "{said}{stderr}");
    assert!(said.contains("response p50") && said.contains("paired by seq"), "{said}");
    let (code, _, _) = run(&["compare", &fast, &fast, "--allow-invalid"]);
    assert_eq!(code, 0);

    let bare = measured(dir.path(), "bare", &slow_url, &[]);
    let (code, said, stderr) = run(&["compare", &fast, &bare, "--allow-invalid", "--json"]);
    assert_eq!(code, 3, "{said}{stderr}");
    let comparison: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(comparison["paired"], Value::Null);
    let p50 = comparison["metrics"].as_array().unwrap().iter().find(|m| m["metric"] == "response_p50").unwrap();
    assert_eq!(p50["verdict"], "differs", "{p50:#}");
    let (code, _, stderr) = run(&["compare", &fast, "/no/such/run"]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn runs_of_several_generators_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, url) = server();
    let (a, b) = (measured(dir.path(), "a", &url, &[]), measured(dir.path(), "b", &url, &["--seed", "7"]));
    let both = dir.path().join("both");
    let (code, said, stderr) = run(&["merge", &a, &b, "-o", both.to_str().unwrap(), "--slo", "errors<1%"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(said.lines().count() <= 30 && said.contains("2 runs merged: "), "{said}");
    let result = json(&both.join("result.json"));
    assert_eq!((&result["counts"]["ok"], &result["latency"]["response"]["n"]), (&1200.into(), &1200.into()));
    assert_eq!(
        (&result["client"]["merged"][1]["id"], &result["client"]["merged"][1]["completed"]),
        (&"b".into(), &600.into())
    );
    assert_eq!(logged(&both, "response"), 1200);
    assert!(both.join("report.html").is_file() && both.join("report.md").is_file());
    // What was merged can be merged again, but not with what is in it.
    let c = measured(dir.path(), "c", &url, &["--seed", "8"]);
    let merged = |args: &[&str]| {
        let (code, said, stderr) = run(&[&["merge"], args, &["--json"]].concat());
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let both = both.to_str().unwrap();
    let (again, at_once) = (merged(&[&c, both]), merged(&[&c, &a, &b]));
    assert_eq!(again["counts"]["ok"], 1800);
    for key in ["counts", "rates", "client", "validity"] {
        assert_eq!(again[key], at_once[key], "{key}");
    }
    let twice = format!("error: {a} in {both} and {a} are the same run");
    for (args, why) in [
        (vec!["merge", both, &a], twice.as_str()),
        (vec!["merge", &a], "required"),
        (vec!["merge", &a, dir.path().to_str().unwrap()], "not there; merge takes what loadgen -o has written"),
    ] {
        let (code, _, stderr) = run(&args);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}

#[test]
fn a_search_says_why_requests_failed() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, said, stderr) =
        run(&["search", &format!("http://{nobody}/"), "--slo", "errors<10%", "--from", "100", "--probe", "200ms"]);
    assert_eq!(code, 99, "{stderr}");
    let answer = said.lines().last().unwrap();
    // Unless a busy machine held the generator up, which the answer then says.
    let why = ["requests failed: Connection refused (os error 111)", "was not valid: "];
    assert!(why.iter().any(|why| answer.contains(why)), "{said}");
}
