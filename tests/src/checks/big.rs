//! `scenarios/big.json`: 20 targets, 3 proxies, 1000 requests/s for 60 s. On a quiet machine.

use galton_core::record::TraceRow;
use serde_json::Value;

use super::{Tally, quantile, run};

pub(super) fn check(tally: &mut Tally) {
    let scenario: Value = serde_json::from_str(include_str!("../../../scenarios/big.json")).expect("a scenario");
    let run = run(&scenario, &[]);
    let mut lag: Vec<i64> = run.trace.iter().filter_map(|row: &TraceRow| Some(row.send_lag()?.0 as i64)).collect();
    lag.sort_unstable();
    let (p50, p99) = (quantile(&lag, 0.5) / 1000, quantile(&lag, 0.99) / 1000);
    let reasons = &run.result["validity"]["reasons"];
    let what = format!("{} requests, send lag p50 {p50} p99 {p99} µs: {} {reasons}", run.trace.len(), run.verdict());
    tally.check(run.verdict() == "VALID", &what);
    tally.check(run.result["conservation"]["ok"] == true, "the books balance");
}
