//! Loss systems live: `scenarios/erlang_b.json`, 20 000 requests each, against B(8, offered rate × measured mean slot occupancy).

use galton_core::Outcome;
use galton_core::record::TraceOutcome;
use galton_tests::Run;
use serde_json::Value;

use super::{Tally, run};

/// 2000 s in 40 s.
const TIME_SCALE: &str = "50";
/// Three times the spread of batch means at 20 000 requests.
const TOLERANCE: f64 = 0.015;
/// Round robin without a retry loses 0.2736; at least this.
const WITHOUT_RETRY: f64 = 0.26;
const SLOTS: u32 = 8;
/// How long the scenario offers its 10 requests/s.
const DURATION_SECS: f64 = 2_000.0;

/// A name, and what is overridden.
type Variant = (&'static str, &'static [&'static str]);

const VARIANTS: [Variant; 6] = [
    ("least connections, 1 proxy", &["load_balancer.hosts=1"]),
    ("least connections, 3 proxies", &["load_balancer.hosts=3"]),
    (
        "least connections, lognormal holds",
        &[r#"traffic.request_duration_ms={"distribution": "lognormal", "mean_ms": 800, "sigma": 1.0}"#],
    ),
    (
        "least connections, equal holds",
        &[r#"traffic.request_duration_ms={"distribution": "deterministic", "value_ms": 800}"#],
    ),
    (
        "round robin, 1 proxy, 1 retry",
        &["load_balancer.architecture=round_robin", "load_balancer.hosts=1", "load_balancer.rr.retry_limit=1"],
    ),
    (
        "round robin, 1 proxy, no retry",
        &["load_balancer.architecture=round_robin", "load_balancer.hosts=1", "load_balancer.rr.retry_limit=0"],
    ),
];

pub(super) fn check(tally: &mut Tally) {
    let scenario: Value = serde_json::from_str(include_str!("../../../scenarios/erlang_b.json")).expect("a scenario");
    let runs: Vec<(&str, Run)> = std::thread::scope(|scope| {
        let threads: Vec<_> = VARIANTS
            .iter()
            .map(|(name, overrides)| {
                let scenario = &scenario;
                scope.spawn(move || (*name, run_variant(scenario, overrides)))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a run")).collect()
    });
    for (name, run) in runs {
        judge(name, &run, tally);
    }
}

fn run_variant(scenario: &Value, overrides: &[&str]) -> Run {
    let overrides = overrides.iter().flat_map(|o| ["--set", o]);
    let args: Vec<&str> = ["--time-scale", TIME_SCALE].into_iter().chain(overrides).collect();
    run(scenario, &args)
}

fn judge(name: &str, run: &Run, tally: &mut Tally) {
    let n = run.trace.len();
    let rejected = |o: TraceOutcome| matches!(o, TraceOutcome::Offered(Outcome::Rejected(_)));
    let lost = run.trace.iter().filter(|row| rejected(row.outcome)).count() as f64 / n as f64;
    let held: Vec<f64> =
        run.decisions.iter().filter(|d| d.kind.occupied()).map(|d| (d.until - d.at).as_secs_f64()).collect();
    let occupancy = held.iter().sum::<f64>() / held.len() as f64;
    // The rate that was offered, not the one that was asked for: they are some per cent apart.
    let expected = erlang_b(SLOTS, n as f64 / DURATION_SECS * occupancy);
    let figures =
        format!("{name}: {n} requests, lost {lost:.4}, mean occupancy {:.1} ms, {}", occupancy * 1e3, run.verdict());
    if name.ends_with("no retry") {
        tally.check(
            lost >= WITHOUT_RETRY && n >= 19_500,
            &format!("{figures}; at least {WITHOUT_RETRY} (0.2736 expected)"),
        );
    } else {
        let holds = (lost - expected).abs() <= TOLERANCE && n >= 19_500;
        tally.check(holds, &format!("{figures}; Erlang B gives {expected:.4} ± {TOLERANCE}"));
    }
}

/// B(n, a) by its recursion.
fn erlang_b(slots: u32, erlang: f64) -> f64 {
    (1..=slots).fold(1.0, |b, n| erlang * b / (f64::from(n) + erlang * b))
}
