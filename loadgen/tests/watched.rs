//! What can be seen of a run while it lasts: its metrics, and the terminal.
#![cfg(test)]

#[path = "../src/test_server.rs"]
#[expect(dead_code, reason = "another test needs the rest")]
mod test_server;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use galton_runtime::http_client;
use rustix::process::{Pid, Signal, kill_process};
use test_server::{Answer, Server};

const DEADLINE: Duration = Duration::from_secs(20);

/// A standalone run that is killed when the test is over, however that ends.
struct Run(Child);

impl Run {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::yield_now();
        }
        panic!("it did not end");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn scrape(addr: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(http_client::get(addr, "/metrics", DEADLINE)).unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// The value of a series, as the page has it.
fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn a_run_serves_its_metrics_from_before_the_first_request_on() {
    let server = Server::start(Answer::ok(Duration::ZERO, ""));
    let url = format!("http://{}/", server.addr);
    let mut run = Run::start(&[&url, "-r", "100", "-z", "60s", "--prometheus", "127.0.0.1:0", "--progress", "none"]);
    let first = BufReader::new(run.0.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    let addr = first.strip_prefix("metrics on http://").and_then(|rest| rest.strip_suffix("/metrics")).unwrap();

    let page = scrape(addr);
    for class in ["ok", "rejected", "timed_out", "failed", "shed", "unfinished"] {
        let series = format!("galton_load_requests_total{{outcome=\"{class}\"}}");
        assert!(value(&page, &series).is_some(), "{series} is there before the first request: {page}");
    }
    for series in [
        "galton_load_sent_total",
        "galton_load_in_flight",
        "galton_load_peak_thread_cpu_ratio",
        "galton_load_response_seconds_count",
        "galton_load_send_lag_seconds_count",
        "process_cpu_seconds_total",
        "process_open_fds",
    ] {
        assert!(value(&page, series).is_some(), "{series}: {page}");
    }
    assert!(page.contains("galton_build_info{version="), "{page}");
    // promtool's rule that is broken most easily.
    for kind in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = kind.split(' ').next().unwrap();
        assert!(page.contains(&format!("# HELP {name} ")), "{name} has no help");
        assert_eq!(kind.ends_with(" counter"), name.ends_with("_total"), "{kind}");
    }

    let deadline = Instant::now() + DEADLINE;
    let counted = |page: &str| value(page, "galton_load_requests_total{outcome=\"ok\"}").unwrap_or(0.0);
    while counted(&scrape(addr)) < 20.0 {
        assert!(Instant::now() < deadline, "the counters move");
    }
    let page = scrape(addr);
    let (sent, ended) = (value(&page, "galton_load_sent_total"), value(&page, "galton_load_response_seconds_count"));
    assert!(sent >= ended && ended >= Some(20.0), "{page}");
    kill_process(Pid::from_child(&run.0), Signal::TERM).unwrap();
    assert_eq!(run.exit_code(), Some(130));
}

#[test]
fn a_metrics_address_in_use_is_an_error_before_any_load() {
    let server = Server::start(Answer::ok(Duration::ZERO, ""));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut run = Run::start(&[&format!("http://{}/", server.addr), "--prometheus", &addr]);
    assert_eq!(run.exit_code(), Some(1));
    let words = std::io::read_to_string(run.0.stderr.take().unwrap()).unwrap();
    let wanted = format!("error: --prometheus: cannot listen on {addr}: Address already in use");
    assert!(words.starts_with(&wanted), "{words}");
    assert!(server.seen().is_empty());
}

/// A run in a terminal of 80 × 24 of its own, made by script(1).
struct InTerminal {
    run: Run,
    shown: String,
}

impl InTerminal {
    fn start(line: &str) -> Self {
        let mut command = Command::new("script");
        let size = format!("stty rows 24 cols 80; exec {} {line}", env!("CARGO_BIN_EXE_loadgen"));
        command.args(["-qec", &size, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self { run: Run(command.spawn().unwrap()), shown: String::new() }
    }

    fn wait_for(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        while !self.shown.contains(text) {
            let n = self.run.0.stdout.as_mut().unwrap().read(&mut bytes).unwrap();
            assert!(n > 0, "it ended without {text:?}: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    }

    fn press(&mut self, keys: &str) {
        let keyboard = self.run.0.stdin.as_mut().unwrap();
        keyboard.write_all(keys.as_bytes()).and_then(|()| keyboard.flush()).unwrap();
    }
}

const TAKEN: &str = "\u{1b}[?1049h";
const PUT_BACK: &str = "\u{1b}[?1049l";

#[test]
fn a_terminal_is_taken_and_put_back_before_the_results() {
    let server = Server::start(Answer::ok(Duration::ZERO, ""));
    for stop in ["q", "\u{3}"] {
        let mut terminal = InTerminal::start(&format!("http://{}/ -r 100 -z 60s", server.addr));
        terminal.wait_for(TAKEN);
        // Drawn whole on a fresh screen.
        terminal.wait_for("completed, each of");
        terminal.press(stop);
        terminal.wait_for(PUT_BACK);
        terminal.wait_for("INTERRUPTED");
        assert!(terminal.shown.find(PUT_BACK) < terminal.shown.find("INTERRUPTED"), "{}", terminal.shown);
        assert_eq!(terminal.run.exit_code(), Some(130), "{stop:?}");
    }
}

#[test]
fn a_terminal_is_put_back_when_a_second_signal_ends_the_process() {
    // It does not answer, and a closed connection takes its time to be noticed: the two signals come at once.
    let server = Server::start(Answer::silence());
    let mut terminal = InTerminal::start(&format!("http://{}/ -c 1 -z 60s", server.addr));
    terminal.wait_for("completed, each of");
    terminal.press("qq");
    terminal.wait_for(PUT_BACK);
    assert_eq!(terminal.run.exit_code(), Some(130));
}

#[test]
fn without_a_terminal_there_are_lines_and_no_screen() {
    let server = Server::start(Answer::ok(Duration::ZERO, ""));
    let url = format!("http://{}/", server.addr);
    let mut run = Run::start(&[&url, "-r", "20", "-z", "1500ms"]);
    assert_eq!(run.exit_code(), Some(0));
    let words = std::io::read_to_string(run.0.stderr.take().unwrap()).unwrap();
    assert!(words.starts_with("   1 s  "), "{words}");
    let mut run = Run::start(&[&url, "-n", "1", "--progress", "none"]);
    assert_eq!(run.exit_code(), Some(0));
    assert_eq!(std::io::read_to_string(run.0.stderr.take().unwrap()).unwrap(), "");
}
