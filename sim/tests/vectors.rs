//! The deterministic vectors, to the nanosecond.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use galton_core::record::{FleetWhat, TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome, Scenario};
use serde_json::Value;

const VECTORS: [&str; 6] = [
    include_str!("../../tests/vectors/D1_rr_order.json"),
    include_str!("../../tests/vectors/D2_rr_retry_exhaust_scale.json"),
    include_str!("../../tests/vectors/D3_rr_retry_delay.json"),
    include_str!("../../tests/vectors/D5_lc_ties_lowest_id.json"),
    include_str!("../../tests/vectors/D6_lc_scale.json"),
    include_str!("../../tests/vectors/D7_lc_at_max.json"),
];

#[test]
fn every_vector_holds_to_the_nanosecond() {
    for text in VECTORS {
        let vector: Value = serde_json::from_str(text).unwrap();
        let about = vector["about"].as_str().unwrap();
        let scenario =
            Scenario::from_value(about, &vector["scenario"], &mut |path| Err(format!("no file {path}"))).unwrap();
        let run = galton_sim::simulate(&scenario).unwrap();
        assert_eq!(run.trace.len() as u64, vector["arrivals"].as_u64().unwrap(), "{about}");
        assert_eq!(log(&run.trace), expected_log(&vector), "{about}");
        let ups = run.fleet.iter().filter(|e| e.what == FleetWhat::Starting).count() as u64;
        assert_eq!(ups, vector["scale_ups"].as_u64().unwrap(), "{about}: scale-ups");
        let ready = run.fleet.iter().filter(|e| e.what == FleetWhat::Ready).count() as u64;
        assert_eq!(ready, vector["fleet_at_end"].as_u64().unwrap(), "{about}: fleet at the end");
    }
}

type Line = (u64, u64, u64, u64, u64, u64);

/// Per served request: id, host, target, arrival, start, end, retries; and the overhead checked against them.
fn log(trace: &[TraceRow]) -> BTreeMap<u64, Line> {
    let mut log = BTreeMap::new();
    for row in trace {
        match row.outcome {
            TraceOutcome::Offered(Outcome::Ok) => {}
            TraceOutcome::Offered(Outcome::Rejected(_)) => continue,
            other => panic!("request {} ended {other:?}", row.seq),
        }
        let start = row.target_start.unwrap();
        assert_eq!(row.overhead, Some(start - row.t_intended));
        let (host, target) = (u64::from(row.host.unwrap()), u64::from(row.target.unwrap().0));
        let retries = u64::from(row.retries().unwrap());
        log.insert(row.seq + 1, (host, target, row.t_intended.0, start.0, row.t_end.unwrap().0, retries));
    }
    log
}

fn expected_log(vector: &Value) -> BTreeMap<u64, Line> {
    let ns = |line: &Value, key: &str| Nanos::from_millis(line[key].as_u64().unwrap()).0;
    let number = |line: &Value, key: &str| line[key].as_u64().unwrap();
    let line = |l: &Value| {
        let times = (ns(l, "arr"), ns(l, "start"), ns(l, "end"));
        (number(l, "id"), (number(l, "host"), number(l, "tgt"), times.0, times.1, times.2, number(l, "retries")))
    };
    vector["log"].as_array().unwrap().iter().map(line).collect()
}
