//! Starts that requests share: who waits for them, and for how long.

mod common;

use galton_core::record::FleetWhat;
use serde_json::json;

#[test]
fn requests_that_have_given_up_leave_room_at_a_start() {
    // 20 requests/s that wait for 100 ms each: never more than three at once, and a target has four slots. Its start takes 2.48 s, so
    // that nobody arrives in the instant in which it is over.
    for architecture in ["round_robin", "least_conns"] {
        let scenario = json!({
            "simulation": {"duration_ms": 4_000, "drain_ms": 500},
            "traffic": {
                "arrival": {"distribution": "deterministic", "interval_ms": 50},
                "request_duration_ms": {"distribution": "deterministic", "value_ms": 10},
                "timeout_ms": 100
            },
            "load_balancer": {"architecture": architecture, "hosts": 1},
            "targets": {"initial_count": 0, "max_concurrency_per_target": 4},
            "scaling": {"min_targets": 0, "max_targets": 50, "scale_up": "coalesced", "scale_up_delay_ms": 2_480}
        });
        let run = common::simulate(&common::scenario(&scenario, &[]));
        let starts = run.fleet.iter().filter(|event| event.what == FleetWhat::Starting).count();
        assert_eq!(starts, 1, "{architecture}");
    }
}
