//! Deterministic vectors: a scenario and what must follow, request by request.

use std::collections::BTreeMap;

use galton_core::Outcome;
use galton_core::record::{FleetWhat, TraceOutcome, TraceRow};
use serde_json::Value;

use crate::Run;

/// Every vector.
pub const ALL: [&str; 6] = [
    include_str!("../vectors/D1_rr_order.json"),
    include_str!("../vectors/D2_rr_retry_exhaust_scale.json"),
    include_str!("../vectors/D3_rr_retry_delay.json"),
    include_str!("../vectors/D5_lc_ties_lowest_id.json"),
    include_str!("../vectors/D6_lc_scale.json"),
    include_str!("../vectors/D7_lc_at_max.json"),
];

/// One vector.
#[derive(Debug)]
pub struct Vector(Value);

/// How one request ended: at which target after how many refusals, rejected, or otherwise.
#[derive(Clone, Debug, PartialEq)]
enum End {
    Served { target: u64, retries: u64 },
    Rejected,
    Other(String),
}

impl Vector {
    /// Reads one of [`ALL`].
    pub fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).expect("a vector"))
    }

    /// What is run.
    pub fn scenario(&self) -> &Value {
        &self.0["scenario"]
    }

    /// Everything in which a run is not what the vector says.
    pub fn differences(&self, run: &Run) -> Vec<String> {
        let about = self.0["about"].as_str().unwrap_or("?");
        let mut found = Vec::new();
        let mut same = |what: &str, is: String, should: String| {
            if is != should {
                found.push(format!("{about}: {what} {is}, expected {should}"));
            }
        };
        let (is, should) = (ends(run), self.ends());
        for id in 1..=self.number("arrivals") {
            same(&format!("request {id}"), format!("{:?}", is.get(&id)), format!("{:?}", should.get(&id)));
        }
        same("arrivals", is.len().to_string(), self.number("arrivals").to_string());
        same("scale-ups", run.count(FleetWhat::Starting).to_string(), self.number("scale_ups").to_string());
        let at_end = run.count(FleetWhat::Ready) - run.count(FleetWhat::Stopped);
        same("fleet at the end", at_end.to_string(), self.number("fleet_at_end").to_string());
        same("conservation", run.result["conservation"]["ok"].to_string(), "true".to_owned());
        found
    }

    fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().expect("a number in a vector")
    }

    fn ends(&self) -> BTreeMap<u64, End> {
        let number = |line: &Value, key: &str| line[key].as_u64().expect("a number in a vector's log");
        let served = |line: &Value| {
            let end = End::Served { target: number(line, "tgt"), retries: number(line, "retries") };
            (number(line, "id"), end)
        };
        let log = self.0["log"].as_array().expect("a vector's log");
        let all = (1..=self.number("arrivals")).map(|id| (id, End::Rejected));
        all.chain(log.iter().map(served)).collect()
    }
}

fn ends(run: &Run) -> BTreeMap<u64, End> {
    run.trace.iter().map(|row| (row.seq + 1, end(row))).collect()
}

fn end(row: &TraceRow) -> End {
    match (row.outcome, row.target, row.retries()) {
        (TraceOutcome::Offered(Outcome::Ok), Some(target), Some(retries)) => {
            End::Served { target: u64::from(target.0), retries: u64::from(retries) }
        }
        (TraceOutcome::Offered(Outcome::Rejected(_)), ..) => End::Rejected,
        (other, ..) => End::Other(format!("{other:?}")),
    }
}
