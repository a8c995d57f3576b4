//! Random scenarios: every architecture, mode and delay, at sizes at which something happens in a few hundred requests.
//!
//! They are made as the JSON of a scenario file, so that what a failure prints can be kept as one. Many times are multiples of
//! 10 ms: events that coincide are where orders matter.

use std::fmt;

use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A scenario, which prints as it would stand in a file.
#[derive(Clone)]
pub(crate) struct File(pub(crate) Value);

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Any scenario with open-loop traffic.
pub(crate) fn any() -> impl Strategy<Value = File> {
    (simulation(), traffic(), load_balancer(), fleet()).prop_map(|(simulation, traffic, load_balancer, fleet)| {
        let (targets, scaling) = fleet;
        File(json!({"simulation": simulation, "traffic": traffic, "load_balancer": load_balancer, "targets": targets,
            "scaling": scaling}))
    })
}

/// Milliseconds, often a round number of them.
fn ms(max: u32) -> impl Strategy<Value = Value> {
    let tens = (0..=max / 10).prop_map(|tens| json!(tens * 10));
    let any = (0..=max * 1000).prop_map(|us| json!(f64::from(us) / 1000.0));
    prop_oneof![tens, any]
}

/// As [`ms`], and not 0.
fn positive_ms(max: u32) -> impl Strategy<Value = Value> {
    ms(max).prop_map(|ms| if ms.as_f64() == Some(0.0) { json!(10) } else { ms })
}

fn simulation() -> impl Strategy<Value = Value> {
    let drain = prop_oneof![Just(json!(0)), ms(500), Just(json!(100_000))];
    (prop::num::u64::ANY, 10..300_u32, drain, option::weighted(0.2, 1..4_000_u32), 0.0..0.9_f64).prop_map(
        |(seed, tens, drain, more, share)| {
            let duration_ms = tens * 10;
            let warmup_ms = (f64::from(duration_ms) * share).floor();
            let mut simulation =
                json!({"seed": seed, "duration_ms": duration_ms, "drain_ms": drain, "warmup_ms": warmup_ms});
            if let Some(more) = more {
                simulation["total_time_ms"] = json!(warmup_ms + f64::from(more));
            }
            simulation
        },
    )
}

fn traffic() -> impl Strategy<Value = Value> {
    let timeout = prop_oneof![Just(json!(60_000)), positive_ms(300), positive_ms(2_000)];
    (arrival(), hold(), timeout).prop_map(
        |(arrival, hold, timeout)| json!({"arrival": arrival, "request_duration_ms": hold, "timeout_ms": timeout}),
    )
}

fn arrival() -> impl Strategy<Value = Value> {
    let rate = || 1..200_u32;
    let spike = |(base, peak)| {
        json!({"distribution": "poisson", "ramp": {"mode": "spike", "base_rate_per_sec": base, "peak_rate_per_sec": peak,
            "at_ms": 300, "length_ms": 500}})
    };
    prop_oneof![
        rate().prop_map(|rate| json!({"distribution": "poisson", "rate_per_sec": rate})),
        (rate(), 0..300_u32)
            .prop_map(|(rate, count)| json!({"distribution": "poisson", "rate_per_sec": rate, "count": count + 1})),
        rate().prop_map(|rate| json!({"distribution": "gamma", "rate_per_sec": rate, "cv": 3})),
        (rate(), 0..300_u32).prop_map(
            |(rate, count)| json!({"distribution": "gamma", "rate_per_sec": rate, "cv": 3, "count": count + 1})
        ),
        (1..20_u32).prop_map(|tens| json!({"distribution": "deterministic", "interval_ms": tens * 10})),
        (1..20_u32, rate()).prop_map(spike),
    ]
}

fn hold() -> impl Strategy<Value = Value> {
    prop_oneof![
        positive_ms(300).prop_map(|mean| json!({"distribution": "lognormal", "mean_ms": mean, "sigma": 1.0})),
        ms(300).prop_map(|value| json!({"distribution": "deterministic", "value_ms": value})),
        (0..10_u32, 10..60_u32).prop_map(|(fast, slow)| {
            json!({"distribution": "bimodal", "fast_ms": fast * 10, "slow_ms": slow * 10, "slow_fraction": 0.2})
        }),
    ]
}

fn load_balancer() -> impl Strategy<Value = Value> {
    let queue = (1..30_u32, positive_ms(400))
        .prop_map(|(depth, timeout)| json!({"mode": "queue", "depth": depth, "timeout_ms": timeout}));
    let mode = prop_oneof![Just(json!("wait_scale_up")), Just(json!("fail")), queue];
    let retry_on = prop_oneof![
        Just(json!(["full", "connect"])),
        Just(json!(["full", "connect", "reset"])),
        Just(json!(["connect"])),
        Just(json!(["full", "timeout"])),
    ];
    let try_timeout = option::weighted(0.4, positive_ms(200));
    let architecture = word(&["round_robin", "least_conns"]);
    (architecture, 1..=6_u32, mode, retry_on, try_timeout, round_robin(), least_conns()).prop_map(
        |(architecture, hosts, mode, retry_on, try_timeout, rr, lc)| {
            let mut all = json!({"architecture": architecture, "hosts": hosts, "no_capacity": mode, "retry_on": retry_on,
                "rr": rr, "lc": lc});
            if let Some(try_timeout) = try_timeout {
                all["try_timeout_ms"] = try_timeout;
            }
            all
        },
    )
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(words)
}

fn round_robin() -> impl Strategy<Value = Value> {
    (0..4_u32, ms(30), ms(1_000), word(&["same", "random"]), 0..6_u32).prop_map(
        |(limit, retry_delay, sync_delay, offset, threshold)| {
            json!({"retry_limit": limit, "retry_delay_ms": retry_delay, "sync_delay_ms": sync_delay, "start_offset": offset,
                "idle_scale_down_threshold_requests_5m": threshold})
        },
    )
}

fn least_conns() -> impl Strategy<Value = Value> {
    let latency = prop_oneof![3 => Just(json!(0)), 1 => ms(10)];
    (latency, 0..4_u32, ms(30), word(&["random", "lowest_id", "rotate"]), 0..3_u32).prop_map(
        |(latency, limit, delay, tie_break, threshold)| {
            json!({"shared_map_lock_latency_ms": latency, "retry_limit": limit, "retry_delay_ms": delay,
                "tie_break": tie_break, "idle_scale_down_threshold_outstanding_5m": threshold})
        },
    )
}

/// `targets` and `scaling`: min ≤ initial ≤ max.
fn fleet() -> impl Strategy<Value = (Value, Value)> {
    let targets = (1..=4_u32, word(&["cancel", "finish"]));
    let size = (1..=3_u32, 0..=3_u32, 0..=6_u32);
    let delays = (ms(500), ms(500), positive_ms(2_000), 1..200_u32, positive_ms(1_500));
    (targets, size, delays, word(&["per_request", "coalesced"])).prop_map(
        |((slots, on_disconnect), (min, more, room), (up, down, window, scan, drain), scale_up)| {
            let initial = min + more;
            let targets = json!({"initial_count": initial, "max_concurrency_per_target": slots,
                "on_disconnect": on_disconnect});
            let scaling = json!({"min_targets": min, "max_targets": initial + room, "scale_up": scale_up,
                "scale_up_delay_ms": up, "scale_down_delay_ms": down, "idle_window_ms": window,
                "scan_interval_ms": scan * 10, "drain_timeout_ms": drain});
            (targets, scaling)
        },
    )
}
