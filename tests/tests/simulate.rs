//! `galton simulate`: what is repeated is the same to the byte, a report made on the way is that of the records, policies meet
//! the same requests, and a machine's profile adds what it says.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::PathBuf;

use galton_core::record::TraceRow;
use galton_report::trace;
use galton_tests::Galton;
use serde_json::{Value, json};

/// Members of `result.json` that depend on how wide the buckets of plots are. A report made on the way divides time before
/// the run, by the duration and by how many requests are to be expected; one made of records afterwards, by the last end and by how
/// many there were.
const DIVIDED: &str = "series";

/// What one `galton simulate` left behind.
struct Simulated {
    galton: Galton,
    dir: PathBuf,
}

impl Simulated {
    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    fn result(&self) -> Value {
        serde_json::from_str(&self.text("result.json")).unwrap()
    }

    fn trace(&self) -> Vec<TraceRow> {
        trace::read(self.text("trace.csv").as_bytes()).unwrap()
    }
}

fn galton() -> Galton {
    Galton::new(env!("CARGO_BIN_EXE_galton-under-test"))
}

#[track_caller]
fn simulate(scenario: &Value, args: &[&str]) -> Simulated {
    let galton = galton();
    galton.file("scenario.json", &scenario.to_string());
    let out = galton.output(&[&["simulate", "scenario.json", "--progress", "none"], args].concat());
    assert_eq!(out.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    let dir = fs::read_dir(galton.dir().join("runs")).unwrap().next().unwrap().unwrap().path();
    Simulated { galton, dir }
}

fn lognormal(mean_ms: u32) -> Value {
    json!({"mode": "distribution", "distribution": "lognormal", "mean_ms": mean_ms, "sigma": 0.5})
}

fn poisson(rate_per_sec: u32) -> Value {
    json!({"distribution": "poisson", "rate_per_sec": rate_per_sec})
}

/// Retries, refusals, starts that are learned of late, removals, a warm-up. 6000 requests.
fn round_robin() -> Value {
    json!({
        "simulation": {"seed": 42, "duration_ms": 120_000, "drain_ms": 5_000, "warmup_ms": 20_000},
        "traffic": {"arrival": poisson(50), "request_duration_ms": lognormal(200)},
        "load_balancer": {
            "architecture": "round_robin", "hosts": 3,
            "rr": {"retry_limit": 2, "retry_delay_ms": 5, "sync_delay_ms": 500, "idle_scale_down_threshold_requests_5m": 20}
        },
        "targets": {"initial_count": 4, "max_concurrency_per_target": 2},
        "scaling": {
            "min_targets": 2, "max_targets": 20, "scale_up": "coalesced", "scale_up_delay_ms": 500,
            "idle_window_ms": 5_000, "scan_interval_ms": 1_000, "drain_timeout_ms": 3_000
        },
        "reporting": {"writers": ["json"]}
    })
}

/// A scenario with other values at JSON pointers.
fn with(mut scenario: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        scenario.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    scenario
}

/// A start for every request without room.
fn per_request() -> Value {
    let spike = json!({"mode": "spike", "base_rate_per_sec": 20, "peak_rate_per_sec": 120, "at_ms": 30_000, "length_ms": 10_000});
    let arrival = json!({"distribution": "poisson", "ramp": spike});
    with(round_robin(), &[("/traffic/arrival", arrival), ("/scaling/scale_up", json!("per_request"))])
}

fn least_conns() -> Value {
    with(round_robin(), &[("/load_balancer/architecture", json!("least_conns"))])
}

/// A fixed fleet with too much to do: requests queue until their deadline; and the shared table takes time.
fn timeouts() -> Value {
    with(
        least_conns(),
        &[
            ("/traffic/timeout_ms", json!(900)),
            ("/load_balancer/no_capacity", json!({"mode": "queue", "depth": 1000, "timeout_ms": 5_000})),
            ("/load_balancer/lc", json!({"shared_map_lock_latency_ms": 2})),
            ("/scaling", json!({"min_targets": 4, "max_targets": 4})),
        ],
    )
}

/// Users whose budget is spent before the duration is over.
fn closed_loop() -> Value {
    let users = json!({"concurrency": 20, "think_time_ms": {"distribution": "exponential", "mean_ms": 300}, "num_requests": 4_000});
    let traffic = json!({"closed_loop": users, "request_duration_ms": lognormal(200)});
    with(round_robin(), &[("/traffic", traffic)])
}

/// Requests in flight are cut off.
fn hard_stop() -> Value {
    with(least_conns(), &[("/simulation/total_time_ms", json!(90_000))])
}

/// The same, at the end of the window; a request takes longer than it is to the next.
fn no_drain() -> Value {
    with(round_robin(), &[("/simulation/drain_ms", json!(0)), ("/traffic/request_duration_ms", lognormal(800))])
}

fn scenarios() -> [(&'static str, Value); 7] {
    [
        ("round robin", round_robin()),
        ("per request", per_request()),
        ("least connections", least_conns()),
        ("timeouts", timeouts()),
        ("closed loop", closed_loop()),
        ("hard stop", hard_stop()),
        ("no drain", no_drain()),
    ]
}

/// `result.json` without its object `run`, which names the time and the command.
fn without_run(text: &str) -> String {
    let (before, run) = text.split_once("\n  \"run\": {").unwrap();
    let (_, after) = run.split_once("\n  }").unwrap();
    before.to_owned() + after
}

#[test]
fn one_seed_gives_one_result_on_any_number_of_threads() {
    for (name, scenario) in [("round robin", round_robin()), ("closed loop", closed_loop())] {
        let once = |jobs| simulate(&scenario, &["--replications", "4", "--jobs", jobs]);
        let first = once("1");
        for other in [once("1"), once("2"), once("3")] {
            for file in ["replications.json", "replications.csv", "fleet.csv", "scenario.json"] {
                assert!(first.text(file) == other.text(file), "{name}: {file}");
            }
            assert!(without_run(&first.text("result.json")) == without_run(&other.text("result.json")), "{name}");
        }
        let alone = simulate(&scenario, &[]);
        assert!(
            without_run(&first.text("result.json")) == without_run(&alone.text("result.json")),
            "{name}: the first"
        );
        let later = simulate(&scenario, &["--seed", "43"]);
        assert_ne!(first.result()["run"]["plan_sha256"], later.result()["run"]["plan_sha256"]);
        let second = &first.text("replications.csv");
        let second: Vec<&str> = second.lines().nth(2).unwrap().split(',').collect();
        let mean = later.result()["latency"]["response"]["mean"].as_f64().unwrap();
        assert_eq!((second[0], second[1].parse().unwrap()), ("43", mean), "{name}: the second has the next seed");
    }
}

/// Where the two ways to a report may differ, by prefix of the path, and why.
fn may_differ(name: &str) -> &'static [&'static str] {
    match name {
        // The window of a closed loop ends with its last response, which the records show only afterwards: then it lies on the
        // end, outside.
        "closed loop" => &["rates.completed", "gauges.target_cpu.decision", "targets.*.cpu.decision"],
        // Several requests that waited for one start are dispatched to it in one instant: records do not say in which order.
        _ => &["gauges.target_cpu.decision", "targets.*.cpu.decision"],
    }
}

/// What may differ does so by no more than this, where it is a mean or a rate.
const HARDLY: f64 = 0.01;

#[test]
fn a_report_made_on_the_way_is_that_of_the_records() {
    for (name, scenario) in scenarios() {
        let on_the_way = simulate(&scenario, &[]);
        assert!(!on_the_way.dir.join("trace.csv").exists());
        let of_records = simulate(&scenario, &["--trace"]);
        let [mut ours, mut theirs] = [&on_the_way, &of_records].map(Simulated::result);
        let [our_run, their_run] = [&mut ours, &mut theirs].map(|result| result["run"].take());
        assert_eq!((&our_run["plan_sha256"], &our_run["users"]), (&their_run["plan_sha256"], &their_run["users"]));
        let [our_series, their_series] = [&mut ours, &mut theirs].map(|result| result[DIVIDED].take());
        for (path, a, b) in differences(String::new(), &ours, &theirs) {
            let known = may_differ(name).iter().any(|prefix| path.starts_with(prefix));
            assert!(known, "{name}: {path}: {a} on the way, {b} of records");
            let is_mean = path.ends_with("mean") || path.starts_with("rates");
            let close = |a: f64, b: f64| (a / b - 1.0).abs() < HARDLY;
            let hardly = !is_mean || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| close(a, b));
            assert!(hardly, "{name}: {path}: {a} on the way, {b} of records");
        }
        assert_eq!(on_the_way.text("fleet.csv"), of_records.text("fleet.csv"));
        // However time is divided, what is counted over time is the same in all.
        for column in ["offered", "ok", "rejected", "timed_out", "retries", "refused"] {
            let sums = [&our_series, &their_series].map(|series| sum_of(series, column));
            assert!(sums[0] == sums[1], "{name}: {column}: {sums:?}");
        }
    }
}

/// Every value that differs, with its path; places in lists are `*`.
fn differences(path: String, a: &Value, b: &Value) -> Vec<(String, Value, Value)> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (a, b) {
        _ if a == b => Vec::new(),
        (Value::Object(x), Value::Object(y)) if x.keys().eq(y.keys()) => {
            x.iter().flat_map(|(key, value)| differences(below(key), value, &y[key])).collect()
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).flat_map(|(x, y)| differences(below("*"), x, y)).collect()
        }
        _ => vec![(path, a.clone(), b.clone())],
    }
}

fn sum_of(series: &Value, column: &str) -> f64 {
    let at = series["columns"].as_array().unwrap().iter().position(|name| name == column).unwrap();
    series["rows"].as_array().unwrap().iter().filter_map(|row| row[at].as_f64()).sum()
}

#[test]
fn the_books_balance_and_the_verdict_is_valid() {
    for (name, scenario) in scenarios() {
        let result = simulate(&scenario, &["--strict"]).result();
        assert_eq!(result["kind"], "simulated");
        assert_eq!(result["conservation"]["ok"], true, "{name}: {:#}", result["conservation"]);
        assert_eq!(result["validity"]["verdict"], "VALID", "{name}: {:#}", result["validity"]);
        // That the scenario did what it is here for.
        let counts = &result["counts"];
        let met = match name {
            "timeouts" => counts["timed_out"].as_u64() > Some(100),
            "hard stop" => counts["unsent"].as_u64() > Some(100) && counts["unfinished"].as_u64() > Some(0),
            "no drain" => counts["unsent"] == 0 && counts["unfinished"].as_u64() > Some(10),
            "closed loop" => result["run"]["users"]["budget_exhausted"].as_u64() == Some(20),
            "least connections" => result["scaling"]["ups"].as_u64() > Some(2),
            _ => result["scaling"]["ups"].as_u64() > Some(2) && result["scaling"]["downs"].as_u64() > Some(2),
        };
        assert!(met, "{name}: {counts:#} {:#}", result["run"]["users"]);
        for target in result["targets"].as_array().unwrap() {
            let [requests, accepted, refused] = ["requests", "accepted", "refused"].map(|key| target[key].as_u64());
            assert_eq!(
                requests,
                accepted.zip(refused).map(|(accepted, refused)| accepted + refused),
                "{name}: {target:#}"
            );
        }
    }
}

#[test]
fn a_count_is_sent_wherever_the_duration_ends_live_and_simulated() {
    let arrival = json!({"distribution": "deterministic", "interval_ms": 100, "count": 40});
    let changes = [
        ("/simulation", json!({"duration_ms": 1_000, "drain_ms": 1_000})),
        ("/traffic/arrival", arrival),
        ("/traffic/request_duration_ms", json!({"distribution": "deterministic", "value_ms": 500})),
    ];
    let scenario = with(roomy(), &changes);
    let live = galton().run(&scenario, &["--time-scale", "2"]).result;
    let simulated = simulate(&scenario, &[]).result();
    for result in [&live, &simulated] {
        let counts = &result["counts"];
        assert_eq!([&counts["offered"], &counts["ok"]], [40, 40], "{}: {counts:#}", result["kind"]);
        let rate = result["rates"]["offered"].as_f64().unwrap();
        assert!((rate - 40.0 / 3.9).abs() < 0.01, "{}: {rate}/s", result["kind"]);
    }
}

#[test]
fn policies_meet_the_same_requests() {
    let [rr, lc] = ["round_robin", "least_conns"].map(|arch| simulate(&round_robin(), &["--trace", "--arch", arch]));
    assert_eq!(rr.result()["run"]["plan_sha256"], lc.result()["run"]["plan_sha256"]);
    let asked = |row: &TraceRow| (row.seq, row.t_intended, row.host, row.hold_demand, row.cpu_demand.to_bits());
    let [of_rr, of_lc] = [&rr, &lc].map(Simulated::trace);
    assert!(of_rr.len() > 5_000 && of_rr.iter().map(asked).eq(of_lc.iter().map(asked)));
    let ends = |rows: &[TraceRow]| rows.iter().map(|row| row.t_end).collect::<Vec<_>>();
    assert_ne!(ends(&of_rr), ends(&of_lc), "and fare differently");
}

#[test]
fn traces_can_be_compared() {
    let [rr, lc] = ["round_robin", "least_conns"].map(|arch| simulate(&round_robin(), &["--trace", "--arch", arch]));
    for file in ["trace.csv", "decisions.csv", "fleet.csv", "result.json", "scenario.json"] {
        assert!(rr.dir.join(file).exists(), "{file}");
    }
    let [rr_dir, lc_dir] = [&rr, &lc].map(|run| run.dir.to_str().unwrap());
    let compare = |a, b| {
        let out = rr.galton.output(&["compare", "--json", "-", a, b]);
        let found: Value = serde_json::from_slice(&out.stdout).unwrap();
        (out.status.code(), found)
    };
    let (code, found) = compare(rr_dir, rr_dir);
    assert_eq!((code, &found["paired"]["by"]), (Some(0), &json!("seq")));
    let (code, found) = compare(rr_dir, lc_dir);
    assert_eq!((code, &found["paired"]["by"]), (Some(3), &json!("seq")));
}

/// Mean of a hop whose quantiles are `HOP`.
const HOP_NS: f64 = 2_000_000.0;
const HOP: [u64; 3] = [1_000_000, 2_000_000, 3_000_000];
/// From the intended send to the end, of a request that is served at once.
const HOPS: [&str; 7] =
    ["send_lag", "client_to_proxy", "pick", "proxy_to_target", "hold_over", "target_to_proxy", "proxy_to_client"];
const OTHERS: [&str; 5] = ["refusal", "wait_over", "ask", "push", "spawn"];

fn profile() -> Value {
    let mut profile = json!({"schema_version": 1, "machine": "made up", "measured_unix_ns": 0});
    HOPS.iter().for_each(|hop| profile[*hop] = json!(HOP));
    OTHERS.iter().for_each(|delay| profile[*delay] = json!([]));
    profile
}

/// Room for all, so that hops are all that a machine adds.
fn roomy() -> Value {
    with(
        round_robin(),
        &[
            ("/targets", json!({"initial_count": 4, "max_concurrency_per_target": 100})),
            ("/scaling", json!({"min_targets": 4, "max_targets": 4})),
        ],
    )
}

#[test]
fn a_profile_adds_its_hops() {
    let file = galton();
    let path = file.file("profile.json", &profile().to_string());
    let path = path.to_str().unwrap();
    let on = |jitter_seed, scale| {
        let args = ["--profile", path, "--jitter-seed", jitter_seed, "--time-scale", scale];
        simulate(&roomy(), &args).result()
    };
    let mean = |result: &Value, what: &str| result["latency"][what]["mean"].as_f64().unwrap();
    let exact = simulate(&roomy(), &[]).result();
    let all = HOPS.len() as f64 * HOP_NS;
    for (scale, factor) in [("1", 1.0), ("5", 5.0)] {
        let slowed = on("1", scale);
        assert_eq!(slowed["run"]["plan_sha256"], exact["run"]["plan_sha256"]);
        let added = mean(&slowed, "response") - mean(&exact, "response");
        // Of 5000 means of seven even draws the standard error is 0.15 % of their sum.
        assert!((added / (all * factor) - 1.0).abs() < 0.006, "{added} for {}", all * factor);
        let lag = mean(&slowed, "send_lag");
        assert!((lag / (HOP_NS * factor) - 1.0).abs() < 0.02, "{lag}");
    }
    let texts = ["1", "1", "2"].map(|seed| without_run(&format!("{:#}", on(seed, "1"))));
    assert!(texts[0] == texts[1] && texts[0] != texts[2], "another jitter seed is another day");
    assert_eq!(mean(&exact, "send_lag"), 0.0);
}

#[test]
fn another_replication_is_another_day_of_the_machine() {
    let file = galton();
    let path = file.file("profile.json", &profile().to_string());
    let on = |args: &[&str]| simulate(&roomy(), &[&["--profile", path.to_str().unwrap()], args].concat());
    let replications = on(&["--replications", "3", "--jitter-seed", "5"]).text("replications.csv");
    let means: Vec<f64> =
        replications.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(means.len(), 3);
    for (n, mean) in means.iter().enumerate() {
        let alone = on(&["--seed", &(42 + n).to_string(), "--jitter-seed", &(5 + n).to_string()]).result();
        assert_eq!(alone["latency"]["response"]["mean"].as_f64(), Some(*mean), "replication {n}");
    }
}

#[test]
fn users_that_would_send_for_ever_are_an_error_whoever_simulates_them() {
    let galton = galton();
    let changes = [
        ("/traffic", json!({"closed_loop": {"concurrency": 3}, "request_duration_ms": lognormal(200)})),
        ("/load_balancer/no_capacity", json!("fail")),
        // Without the delay of a retry.
        ("/load_balancer/rr", json!({})),
        ("/targets", json!({"initial_count": 2, "max_concurrency_per_target": 1})),
    ];
    galton.file(
        "scenario.json",
        &with(roomy(), &[&changes[..], &[("/scaling", json!({"max_targets": 2}))]].concat()).to_string(),
    );
    let sweep = ["sweep", "scenario.json", "--vary", "simulation.seed=1,2", "--replications", "2"];
    let commands: [&[&str]; 5] = [
        &["simulate", "scenario.json"],
        &["simulate", "scenario.json", "--trace"],
        &["simulate", "scenario.json", "--replications", "2"],
        &sweep,
        &["validate", "scenario.json", "--no-profile", "--runs", "1"],
    ];
    for args in commands {
        let out = galton.output(&[args, &["--progress", "none"]].concat());
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("simulated time stands still at 0 ms"), "{args:?}: {said}");
        assert!(said.contains("think_time_ms") && said.contains("--profile"), "{args:?}: {said}");
    }
}

#[test]
fn wrong_usage_is_refused_before_anything_runs() {
    let galton = galton();
    galton.file("good.json", &roomy().to_string());
    let mut unsorted = profile();
    unsorted["pick"] = json!([3, 1]);
    galton.file("unsorted.json", &unsorted.to_string());
    galton.file("text.json", "profile");
    let refused = |args: &[&str], says: &str| {
        let out = galton.output(&[&["simulate", "good.json"], args].concat());
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(2) && said.contains(says), "{args:?}, {:?}: {said}", out.status.code());
    };
    refused(&["--profile", "unsorted.json"], "pick");
    refused(&["--profile", "text.json"], "text.json");
    refused(&["--profile", "nowhere.json"], "nowhere.json");
    refused(&["--trace", "--replications", "2"], "--replications");
    refused(&["--replications", "0"], "--replications");
    refused(&["--jobs", "0"], "--jobs");
    refused(&["--jitter-seed", "2"], "--profile");
    refused(&["--time-scale", "2"], "--profile");
    refused(&["--set", "traffic.timeout_ms=-1"], "traffic.timeout_ms");
    assert!(!galton.dir().join("runs").exists());
}
