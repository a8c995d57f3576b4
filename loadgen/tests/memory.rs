//! Memory of the results does not grow with the number of requests.
#![cfg(test)]

use galton_core::plan::Demand;
use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{HostId, Nanos, Outcome, RequestId};
use galton_report::{ClientFold, ClientPlan, WarmUp};

/// The largest resident set so far, in megabytes.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn row(seq: u64) -> TraceRow {
    // 10 000 requests/s, of 1 to 101 ms.
    let at = Nanos(seq * 100_000);
    let response = Nanos(1_000_000 + seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 100_000_000);
    let demand = Demand { hold: Nanos::ZERO, cpu: 0.0 };
    TraceRow {
        t_send: Some(at + Nanos(50_000)),
        t_end: Some(at + response),
        status: Some(200),
        outcome: TraceOutcome::Offered(Outcome::Ok),
        ..TraceRow::unsent(seq, RequestId::open(seq), HostId(0), at, demand)
    }
}

#[test]
#[ignore = "ten million requests take a while"]
fn ten_million_requests_fit_into_a_hundred_megabytes() {
    for warm_up in [WarmUp::None, WarmUp::Auto] {
        let plan = ClientPlan { timeout: Nanos::from_millis(10_000), warm_up, log: true, ..ClientPlan::default() };
        let mut fold = ClientFold::new(plan);
        for seq in 0..10_000_000 {
            fold.add(&row(seq));
            // As the scribe does, with every batch.
            if seq % 256 == 0 {
                fold.take_log();
            }
        }
        println!("{warm_up:?}: {} MB", peak_mb());
        assert!(peak_mb() <= 100, "{} MB", peak_mb());
    }
}
