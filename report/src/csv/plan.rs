//! The plan of an open loop as CSV: one line per request, so that any other simulator can be given the very same ones.
//!
//! The columns have the names that they have in `trace.csv`. So the file can be replayed as it stands as an arrival trace,
//! and a simulator that appends its own columns (`t_end_ns`, `attempts`, …) has written a trace.

use std::io::{self, Write};

use galton_core::plan::Planned;

use super::write_line;

/// The columns, in order.
pub const COLUMNS: [&str; 5] = ["seq", "t_intended_ns", "hold_demand_ns", "cpu_demand", "host"];

/// Writes a plan line by line, so that none need be in memory. The caller buffers.
pub fn write<W: Write>(mut out: W, plan: impl Iterator<Item = Planned>) -> io::Result<W> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for planned in plan {
        let demand = planned.demand;
        write_line(&mut out, &[&planned.seq, &planned.at.0, &demand.hold.0, &demand.cpu, &planned.host])?;
    }
    out.flush()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use galton_core::Scenario;
    use galton_core::plan::Plan;
    use serde_json::json;

    use super::*;

    fn scenario(arrival: serde_json::Value, file: &str) -> Scenario {
        let value = json!({"simulation": {"duration_ms": 60_000, "seed": 3}, "load_balancer": {"hosts": 3},
            "traffic": {"arrival": arrival}});
        Scenario::from_value("x", &value, &mut |_| Ok(file.to_owned())).unwrap()
    }

    #[test]
    fn a_plan_read_back_as_an_arrival_trace_is_the_same_plan() {
        let original = Plan::new(&scenario(json!({"distribution": "poisson", "rate_per_sec": 50}), ""));
        let csv = String::from_utf8(write(Vec::new(), original.open_loop()).unwrap()).unwrap();
        assert!(csv.lines().count() > 2_000);
        let again = Plan::new(&scenario(json!({"distribution": "trace", "file": "plan.csv"}), &csv));
        assert_eq!(again.sha256(), original.sha256());
    }
}
