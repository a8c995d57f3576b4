//! The longest time for one attempt, against what follows from the holds: the same request holds a target equally long wherever it
//! goes, so what is too long once is too long each time.

mod common;

use galton_core::{FailReason, Nanos, Outcome};
use serde_json::{Value, json};

const TRY_MS: u64 = 250;
const RETRIES: u32 = 2;

/// 20 requests/s of 150 ms on average, with room for all of them.
fn base() -> Value {
    json!({
        "simulation": {"seed": 5, "duration_ms": 200_000, "drain_ms": 60_000},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": 20},
            "request_duration_ms": {"distribution": "exponential", "mean_ms": 150}
        },
        "load_balancer": {
            "no_capacity": "fail", "try_timeout_ms": TRY_MS, "retry_on": ["full", "connect", "timeout"],
            "rr": {"retry_limit": RETRIES}, "lc": {"retry_limit": RETRIES}
        },
        "targets": {"initial_count": 4, "max_concurrency_per_target": 50},
        "scaling": {"min_targets": 4, "max_targets": 4}
    })
}

#[test]
fn what_holds_a_target_for_too_long_fails_after_all_its_attempts() {
    let longest = Nanos(TRY_MS * 1_000_000);
    for architecture in ["round_robin", "least_conns"] {
        let run =
            common::simulate(&common::scenario(&base(), &[&json!({"load_balancer": {"architecture": architecture}})]));
        let mut failed = 0_u32;
        for row in &run.trace {
            let took = row.t_end.unwrap() - row.t_send.unwrap();
            if row.hold_demand < longest {
                assert_eq!(
                    (common::outcome(row), row.attempts),
                    (Some(Outcome::Ok), Some(1)),
                    "{architecture}: {row:?}"
                );
                assert_eq!(took, row.hold_demand);
            } else {
                let outcome = Some(Outcome::Failed(FailReason::Timeout));
                assert_eq!(
                    (common::outcome(row), row.attempts),
                    (outcome, Some(RETRIES + 1)),
                    "{architecture}: {row:?}"
                );
                assert_eq!(took.0, u64::from(RETRIES + 1) * longest.0);
                failed += 1;
            }
        }
        let counters = &run.counters;
        let closed: u64 = counters.proxies.iter().map(|p| p.closed).sum();
        assert_eq!(closed, u64::from(failed * (RETRIES + 1)), "{architecture}");
        assert_eq!(closed, counters.targets.iter().map(|t| t.cancelled).sum::<u64>(), "each of them had arrived");
        // exp(−250 / 150) = 0.189 of 4000; four standard errors are 0.025.
        let share = f64::from(failed) / run.trace.len() as f64;
        common::close("share of timeouts", share, (-250.0_f64 / 150.0).exp(), 0.14);
    }
}

#[test]
fn without_leave_to_try_again_one_attempt_is_all() {
    let once = json!({"load_balancer": {"architecture": "least_conns", "retry_on": ["full"]}});
    let run = common::simulate(&common::scenario(&base(), &[&once]));
    let failed: Vec<_> = run.trace.iter().filter(|row| common::outcome(row) != Some(Outcome::Ok)).collect();
    assert!(failed.len() > 500);
    assert!(failed.iter().all(|row| row.attempts == Some(1) && row.hold_demand.0 >= TRY_MS * 1_000_000));
}
