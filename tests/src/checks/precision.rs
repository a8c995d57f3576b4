//! Send lag and hold error (measured − demanded) at 200 and 1000 requests/s. On a quiet machine.

use galton_core::record::TraceRow;
use serde_json::json;

use super::{Tally, quantile, run};

/// Machine time.
const P50_US: i64 = 60;
const P99_US: i64 = 500;

pub(super) fn check(tally: &mut Tally) {
    for rate in [200, 1000] {
        let scenario = json!({
            "simulation": {"duration_ms": 20_000, "drain_ms": 2000},
            "traffic": {
                "arrival": {"distribution": "poisson", "rate_per_sec": rate},
                "request_duration_ms": {"mode": "distribution", "distribution": "exponential", "mean_ms": 20}
            },
            "load_balancer": {"architecture": "least_conns", "hosts": 1, "no_capacity": "fail"},
            "targets": {"initial_count": 2, "max_concurrency_per_target": 100},
            "scaling": {"min_targets": 2, "max_targets": 2}
        });
        let run = run(&scenario, &[]);
        let lag = |row: &TraceRow| Some(row.send_lag()?.0 as i64);
        let error = |row: &TraceRow| Some(row.hold()?.0 as i64 - row.hold_demand.0 as i64);
        judge(tally, &format!("send lag at {rate}/s"), run.trace.iter().filter_map(lag).collect());
        judge(tally, &format!("hold error at {rate}/s"), run.trace.iter().filter_map(error).collect());
    }
}

fn judge(tally: &mut Tally, what: &str, mut ns: Vec<i64>) {
    ns.sort_unstable();
    let at = |q| quantile(&ns, q) / 1000;
    let (min, p50, p99, max) = (at(0.0), at(0.5), at(0.99), at(1.0));
    let holds = min >= 0 && p50 <= P50_US && p99 <= P99_US;
    let limits = format!("limits: never early, p50 {P50_US}, p99 {P99_US}");
    tally.check(holds, &format!("{what}: n {}, min {min}, p50 {p50}, p99 {p99}, max {max} µs; {limits}", ns.len()));
}
