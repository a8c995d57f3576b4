//! What a load generator meets in the field: servers that are not there, break off, talk nonsense, hang or send without end, and
//! machines that are short of something. Each request has one right outcome, the books balance, and nothing hangs.
#![cfg(test)]

mod raw_server;

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use galton_core::record::TraceOutcome;
use galton_core::{Nanos, Outcome};
use raw_server::{Raw, Talk};
use serde_json::Value;

/// No run here takes as long, on a machine however busy.
const DEADLINE: Duration = Duration::from_secs(60);
/// As much memory as any run may take here: far less than the bodies it reads.
const MOST_KB: u64 = 64 * 1024;
const MIB: usize = 1 << 20;

/// Killed when the test is over, however that ends.
struct Killed(Child);

/// A run that has ended.
struct Ran {
    code: Option<i32>,
    result: Value,
    words: String,
    /// The most memory it had, as far as that was seen.
    peak_kb: u64,
}

fn loadgen() -> Command {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
}

/// A load generator behind something that changes its circumstances: `nice -n 10 loadgen …`.
fn behind(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(env!("CARGO_BIN_EXE_loadgen"));
    command
}

fn run(command: &mut Command, args: &[&str]) -> Ran {
    command.args(args).args(["--json", "--progress", "none"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = Killed(child);
    let read = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            from.read_to_string(&mut text).map(|_| text)
        })
    };
    let out = read(Box::new(child.0.stdout.take().unwrap()));
    let err = read(Box::new(child.0.stderr.take().unwrap()));
    let deadline = Instant::now() + DEADLINE;
    let mut peak_kb = 0;
    let status = loop {
        peak_kb = high_water_kb(child.0.id()).unwrap_or(peak_kb);
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it hangs: {args:?}");
        std::thread::sleep(Duration::from_millis(2));
    };
    let (out, words) = (out.join().unwrap().unwrap(), err.join().unwrap().unwrap());
    assert!(!words.contains("panicked"), "{words}");
    let result = serde_json::from_str(&out).unwrap_or(Value::Null);
    Ran { code: status.code(), result, words, peak_kb }
}

fn high_water_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The first core that this process may run on.
fn a_core() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    list.trim().split([',', '-']).next().unwrap().to_owned()
}

// === impl Killed ===

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

// === impl Ran ===

impl Ran {
    fn count(&self, path: &str) -> u64 {
        self.result.pointer(&format!("/counts/{path}")).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Every planned request has one end, and ends of all kinds are the requests that were offered.
    #[track_caller]
    fn assert_balanced(&self) {
        let counts = &self.result["counts"];
        let several = |name: &str| counts[name].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
        let one = ["ok", "timed_out", "shed", "unfinished"].map(|name| self.count(name)).iter().sum::<u64>();
        assert_eq!(one + several("rejected") + several("failed"), self.count("offered"), "{counts:#}");
        assert_eq!(self.count("planned"), self.count("offered") + self.count("unsent"), "{counts:#}");
    }

    /// It ran to its end, and that many requests ended so.
    #[track_caller]
    fn assert_all(&self, outcome: &str, n: u64) {
        assert_eq!(self.code, Some(0), "{}", self.words);
        self.assert_balanced();
        assert_eq!((self.count("planned"), self.count(outcome)), (n, n), "{:#}", self.result["counts"]);
    }

    /// Reason, text and number of failed requests.
    fn errors(&self) -> Vec<(&str, &str, u64)> {
        let errors = self.result["client"]["errors"].as_array().into_iter().flatten();
        errors.filter_map(|e| Some((e["reason"].as_str()?, e["text"].as_str()?, e["requests"].as_u64()?))).collect()
    }

    fn verdict(&self) -> &str {
        self.result["validity"]["verdict"].as_str().unwrap_or("none")
    }

    fn reasons(&self) -> Vec<&str> {
        let reasons = self.result["validity"]["reasons"].as_array();
        reasons.into_iter().flatten().filter_map(|reason| reason["code"].as_str()).collect()
    }
}

#[test]
fn nobody_listens() {
    let url = format!("http://{}/", raw_server::free_addr());
    for model in [["-c", "4"], ["-r", "200"]] {
        let ran = run(&mut loadgen(), &[&url, model[0], model[1], "-n", "40"]);
        ran.assert_all("failed/connect", 40);
        assert_eq!(ran.errors(), [("connect", "Connection refused (os error 111)", 40)]);
    }
}

#[test]
fn a_name_that_is_none_and_a_scheme_not_spoken_are_told_before_any_load() {
    let ran = run(&mut loadgen(), &["http://no-such-host.invalid/", "-n", "10"]);
    assert_eq!(ran.code, Some(1), "{}", ran.words);
    assert!(ran.words.starts_with("error: cannot resolve no-such-host.invalid"), "{}", ran.words);
    let ran = run(&mut loadgen(), &["https://127.0.0.1/", "-n", "10"]);
    assert_eq!(ran.code, Some(2), "{}", ran.words);
    assert!(ran.words.contains("only http is spoken"), "{}", ran.words);
}

#[test]
fn a_body_that_breaks_off_is_a_reset() {
    let server = Raw::start(|talk: &mut Talk| {
        talk.answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot all");
    });
    let ran = run(&mut loadgen(), &[&server.url(), "-c", "4", "-n", "40"]);
    ran.assert_all("failed/reset", 40);
    assert_eq!(ran.errors(), [("reset", "connection closed before the response was complete", 40)]);
}

#[test]
fn a_server_that_closes_without_a_word_is_a_reset() {
    let server = Raw::start(|_| {});
    let ran = run(&mut loadgen(), &[&server.url(), "-c", "4", "-n", "40"]);
    ran.assert_all("failed/reset", 40);
    assert_eq!(ran.errors(), [("reset", "connection closed before the response was complete", 40)]);
}

#[test]
fn a_server_that_never_answers_times_out() {
    let server = Raw::start(Talk::wait_for_the_end);
    for model in [["-c", "10"], ["-r", "100"]] {
        let ran = run(&mut loadgen(), &[&server.url(), model[0], model[1], "-n", "20", "-t", "300ms"]);
        ran.assert_all("timed_out", 20);
        let median = &ran.result["latency"]["response"]["quantiles"][0];
        assert!(median["value"].as_u64().unwrap() >= 299_000_000, "a timeout is a sample: {median}");
    }
}

#[test]
fn a_body_that_never_ends_times_out() {
    let server = Raw::start(|talk: &mut Talk| {
        talk.answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot all");
        talk.wait_for_the_end();
    });
    run(&mut loadgen(), &[&server.url(), "-c", "10", "-n", "20", "-t", "300ms"]).assert_all("timed_out", 20);
}

#[test]
fn nonsense_is_a_reset() {
    for nonsense in [
        "ceci n'est pas HTTP\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nyes!",
        "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nyes\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nyes\r\n",
        "HTTP/1.1 200 OK\r\nno colon in here\r\n\r\n",
    ] {
        let server = Raw::start(move |talk: &mut Talk| talk.answer(nonsense));
        let ran = run(&mut loadgen(), &[&server.url(), "-c", "2", "-n", "10", "-t", "5s"]);
        assert_eq!((ran.code, ran.count("failed/reset")), (Some(0), 10), "{nonsense:?}: {:#}", ran.result["counts"]);
        ran.assert_balanced();
    }
}

/// Streams a body of that many MiB to each of two requests.
fn read_a_large_body(mib: usize) {
    let server = Raw::start(move |talk: &mut Talk| {
        talk.answer(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", mib * MIB));
        let block = vec![b'.'; MIB];
        (0..mib).for_each(|_| talk.write(&block));
    });
    let ran = run(&mut loadgen(), &[&server.url(), "-c", "2", "-n", "2", "-t", "50s"]);
    ran.assert_all("ok", 2);
    assert_eq!(ran.result["client"]["body_bytes"], 2 * mib * MIB);
    assert!((1..MOST_KB).contains(&ran.peak_kb), "{} kB for {mib} MiB", ran.peak_kb);
}

#[test]
fn a_large_body_is_read_and_not_kept() {
    read_a_large_body(256);
}

#[test]
#[ignore = "takes its time: cargo test -p galton-loadgen --test failures -- --ignored"]
fn a_gigabyte_is_read_and_not_kept() {
    read_a_large_body(1024);
}

#[test]
fn an_open_loop_without_descriptors_is_not_valid() {
    let server = Raw::start(Talk::wait_for_the_end);
    let program = env!("CARGO_BIN_EXE_loadgen");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", program]);
    let ran = run(&mut limited, &[&server.url(), "-r", "400", "-n", "200", "-t", "1s", "--strict"]);
    assert_eq!((ran.code, ran.verdict()), (Some(98), "INVALID"), "{}", ran.words);
    assert!(ran.reasons().contains(&"DESCRIPTORS_EXHAUSTED"), "{:?}", ran.reasons());
    ran.assert_balanced();
    let (connect, timed_out) = (ran.count("failed/connect"), ran.count("timed_out"));
    assert!(connect > 0 && timed_out > 0 && connect + timed_out == 200, "{connect} and {timed_out}");
    assert_eq!(ran.errors(), [("connect", "Too many open files (os error 24)", connect)]);
}

#[test]
fn the_users_are_all_back_when_the_server_is() {
    const USERS: u64 = 10;
    let server = Raw::start(|talk: &mut Talk| {
        loop {
            talk.answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes");
            if !talk.read_request() {
                return;
            }
        }
    });
    let (url, going) = (server.url(), Instant::now());
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace.csv");
    let log = trace.to_str().unwrap();
    let args = [url.as_str(), "-c", "10", "--think-time-ms", "10", "-z", "7s", "-t", "1s", "--log-requests", log];
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| run(&mut loadgen(), &args));
        server.wait_for(200);
        server.down();
        std::thread::sleep(Duration::from_secs(3));
        server.up();
        let answered = server.answered();
        server.wait_for(answered + 200);
        assert!(going.elapsed() < Duration::from_secs(7), "while it still sends");
        run.join().unwrap()
    });
    assert_eq!(ran.code, Some(0), "{}", ran.words);
    ran.assert_balanced();
    assert_eq!(ran.result["run"]["users"]["horizon"], USERS, "{:#}", ran.result["run"]);
    assert!(ran.count("failed/connect") > 0 && ran.count("ok") >= 400, "{:#}", ran.result["counts"]);
    let rows = galton_report::trace::read(std::io::BufReader::new(std::fs::File::open(&trace).unwrap())).unwrap();
    let served_late = |user| {
        let ok = TraceOutcome::Offered(Outcome::Ok);
        rows.iter()
            .any(|row| row.user == Some(user) && row.outcome == ok && row.t_intended >= Nanos::from_millis(6_000))
    };
    assert!((0..USERS as u32).all(served_late), "each of them is served in the last second");
}

#[test]
fn a_starved_generator_says_so() {
    let server = Raw::start(|talk: &mut Talk| {
        loop {
            talk.answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes");
            if !talk.read_request() {
                return;
            }
        }
    });
    let core = a_core();
    // One that always has something to do on the core, and goes first.
    let busy = Command::new("taskset").args(["-c", &core, "sh", "-c", "while :; do :; done"]).spawn().unwrap();
    let _busy = Killed(busy);
    let mut starved = behind(&["taskset", "-c", &core, "nice", "-n", "10"]);
    let ran = run(&mut starved, &[&server.url(), "-r", "2000", "-n", "2000", "--strict"]);
    assert_eq!((ran.code, ran.verdict()), (Some(98), "INVALID"), "{}", ran.words);
    assert!(ran.reasons().contains(&"SEND_LAG_P99"), "{:?}", ran.reasons());
    ran.assert_balanced();
}
