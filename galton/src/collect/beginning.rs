//! Whether load generator and proxies count from the same T0. A conductor sees to it, and so does `loadgen --scaler`; whoever starts
//! both by hand and tells neither gets a trace and records that do not go together.

use std::collections::HashMap;

use galton_core::record::{Decision, TraceRow};
use galton_core::{Nanos, RequestId};
use galton_report::{Quantity, Reason, Severity};

/// Times are rounded to nanoseconds of machine time, which are up to a thousand of scenario time.
const ROUNDING: Nanos = Nanos(1_000);
/// So many dispatches may lie outside of their requests, as those of requests that a client sent by itself under a number of the plan.
const STRAY: f64 = 0.5;

/// A host dispatches a request after it came and before it is answered.
pub(super) fn differs(trace: &[TraceRow], decisions: &[Decision]) -> Option<Reason> {
    let times = |row: &TraceRow| Some((row.request(), (row.proxy_recv?, row.proxy_done?)));
    let at_host: HashMap<RequestId, (Nanos, Nanos)> = trace.iter().filter_map(times).collect();
    let dispatches = decisions.iter().filter(|decision| decision.kind.occupied());
    let (mut all, mut outside) = (0_u64, 0_u64);
    for (decision, (received, done)) in dispatches.filter_map(|d| Some((d, at_host.get(&d.request)?))) {
        all += 1;
        outside += u64::from(decision.at + ROUNDING < *received || decision.at > *done + ROUNDING);
    }
    let share = outside as f64 / all.max(1) as f64;
    let (value, limit) = (Quantity::Ratio(share), Quantity::Ratio(STRAY));
    let text = format!(
        "trace and decision records count from different T0: {value} of the dispatches lie outside of their request"
    );
    (share > STRAY).then(|| Reason::new("T0_DIFFERS", Severity::Invalid, value, limit, text))
}

#[cfg(test)]
mod tests {
    use galton_core::plan::Demand;
    use galton_core::record::DecisionKind;
    use galton_core::{HostId, TargetId};

    use super::*;

    #[test]
    fn dispatches_lie_within_their_requests_or_t0_is_another() {
        let request = RequestId::open(0);
        let demand = Demand { hold: Nanos(5), cpu: 0.0 };
        let row = TraceRow {
            proxy_recv: Some(Nanos::from_millis(10)),
            proxy_done: Some(Nanos::from_millis(20)),
            ..TraceRow::unsent(0, request, HostId(0), Nanos(0), demand)
        };
        let dispatched = |at| Decision {
            at,
            until: at,
            host: HostId(0),
            request,
            attempt: 1,
            target: Some((TargetId(1), 0)),
            kind: DecisionKind::Accept,
            known: 1,
            own: 1,
        };
        let of = |at| differs(std::slice::from_ref(&row), &[dispatched(at)]).map(|reason| reason.code);
        assert_eq!([of(Nanos::from_millis(10)), of(Nanos::from_millis(20))], [None, None]);
        assert_eq!(of(Nanos::from_millis(9)).as_deref(), Some("T0_DIFFERS"));
        assert_eq!(of(Nanos::from_millis(21)).as_deref(), Some("T0_DIFFERS"));
        assert_eq!(differs(&[row], &[]), None, "nothing was recorded");
    }
}
