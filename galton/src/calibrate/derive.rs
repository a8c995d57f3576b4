//! From the records of the runs to the delays: pure arithmetic on what was written down. All times of a run at time scale 1
//! are machine times.

use std::collections::BTreeMap;

use galton_core::profile::{Delay, PROFILE_VERSION, Profile};
use galton_core::record::{Decision, DecisionKind, FleetEvent, FleetWhat, TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome, RequestId, TargetId};
use galton_report::RunData;

/// A sample of every delay, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Samples {
    send_lag: Vec<u64>,
    client_to_proxy: Vec<u64>,
    pick: Vec<u64>,
    proxy_to_target: Vec<u64>,
    hold_over: Vec<u64>,
    target_to_proxy: Vec<u64>,
    proxy_to_client: Vec<u64>,
    refusal: Vec<u64>,
    wait_over: Vec<u64>,
    ask: Vec<u64>,
    push: Vec<u64>,
    spawn: Vec<u64>,
}

/// What a request that was served at once met on its way.
struct Hops {
    client_to_proxy: Nanos,
    pick: Nanos,
    proxy_to_target: Nanos,
    hold_over: Nanos,
    target_to_proxy: Nanos,
    proxy_to_client: Nanos,
}

/// What a request met for which a target was started.
struct Start {
    ask: Nanos,
    spawn: Nanos,
    push: Nanos,
}

// === impl Samples ===

impl Samples {
    /// The hops of a run in which all requests are served at once.
    pub(super) fn add_hops(&mut self, data: &RunData) {
        let decisions = by_request(data);
        for row in data.trace.iter().filter(|row| row.t_intended >= data.scenario.simulation.warmup) {
            self.send_lag.extend(row.send_lag().map(|lag| lag.0));
            let of = decisions.get(&row.request()).map_or(&[][..], Vec::as_slice);
            let Some(hops) = hops(row, of) else { continue };
            self.client_to_proxy.push(hops.client_to_proxy.0);
            self.pick.push(hops.pick.0);
            self.proxy_to_target.push(hops.proxy_to_target.0);
            self.hold_over.push(hops.hold_over.0);
            self.target_to_proxy.push(hops.target_to_proxy.0);
            self.proxy_to_client.push(hops.proxy_to_client.0);
        }
    }

    /// The refusals of a run under round robin, and the waits after them.
    pub(super) fn add_refusals(&mut self, data: &RunData) {
        let delay = data.scenario.load_balancer.rr.retry_delay;
        for of in by_request(data).values() {
            self.refusal.extend(of.iter().filter(|d| d.kind == DecisionKind::Refuse).map(|d| (d.until - d.at).0));
            let waits = of.windows(2).filter(|pair| pair[0].kind == DecisionKind::Refuse);
            self.wait_over.extend(waits.map(|pair| (pair[1].at - (pair[0].until + delay)).0));
        }
    }

    /// The starts of a run under round robin in which neither a retry nor a start is delayed.
    pub(super) fn add_starts(&mut self, data: &RunData) {
        for start in by_request(data).values().filter_map(|of| start(of, &data.fleet)) {
            self.ask.push(start.ask.0);
            self.spawn.push(start.spawn.0);
            self.push.push(start.push.0);
        }
    }

    /// The size of every sample, in the order of [`Profile::delays`].
    pub(super) fn sizes(&self) -> [usize; 12] {
        [
            &self.send_lag,
            &self.client_to_proxy,
            &self.pick,
            &self.proxy_to_target,
            &self.hold_over,
            &self.target_to_proxy,
            &self.proxy_to_client,
            &self.refusal,
            &self.wait_over,
            &self.ask,
            &self.push,
            &self.spawn,
        ]
        .map(Vec::len)
    }

    /// The profile that they make.
    pub(super) fn into_profile(self, machine: String, measured_unix_ns: u64) -> Profile {
        Profile {
            schema_version: PROFILE_VERSION,
            machine,
            measured_unix_ns,
            send_lag: Delay::of(self.send_lag),
            client_to_proxy: Delay::of(self.client_to_proxy),
            pick: Delay::of(self.pick),
            proxy_to_target: Delay::of(self.proxy_to_target),
            hold_over: Delay::of(self.hold_over),
            target_to_proxy: Delay::of(self.target_to_proxy),
            proxy_to_client: Delay::of(self.proxy_to_client),
            refusal: Delay::of(self.refusal),
            wait_over: Delay::of(self.wait_over),
            ask: Delay::of(self.ask),
            push: Delay::of(self.push),
            spawn: Delay::of(self.spawn),
        }
    }
}

/// The decisions after the warm-up by request, each request's in their order.
fn by_request(data: &RunData) -> BTreeMap<RequestId, Vec<Decision>> {
    let mut all: BTreeMap<RequestId, Vec<Decision>> = BTreeMap::new();
    let measured = data.decisions.iter().flatten().filter(|d| d.at >= data.scenario.simulation.warmup);
    for decision in measured {
        all.entry(decision.request).or_default().push(*decision);
    }
    all.values_mut().for_each(|of| of.sort_by_key(|d| (d.at, d.attempt)));
    all
}

/// None for a request that was not served by its first attempt, or of which something is not known.
fn hops(row: &TraceRow, decisions: &[Decision]) -> Option<Hops> {
    let [served] = decisions else { return None };
    if served.kind != DecisionKind::Accept || row.outcome != TraceOutcome::Offered(Outcome::Ok) {
        return None;
    }
    let (received, start, done) = (row.proxy_recv?, row.target_start?, row.target_done?);
    Some(Hops {
        client_to_proxy: received - row.t_send?,
        pick: served.at - received,
        proxy_to_target: start - served.at,
        hold_over: (done - start) - row.hold_demand,
        target_to_proxy: served.until - done,
        proxy_to_client: row.t_end? - served.until,
    })
}

/// None for a request that was not refused once and then sent to the target that was started for it. Its refusal is the
/// moment when the host asks: without a retry and without a delay one follows from the other at once.
fn start(decisions: &[Decision], fleet: &[FleetEvent]) -> Option<Start> {
    let [refused, routed] = decisions else { return None };
    if (refused.kind, routed.kind) != (DecisionKind::Refuse, DecisionKind::ScaleRoute) {
        return None;
    }
    let (target, _) = routed.target?;
    let (starting, ready) = (when(fleet, target, FleetWhat::Starting)?, when(fleet, target, FleetWhat::Ready)?);
    Some(Start { ask: starting - refused.until, spawn: ready - starting, push: routed.at - ready })
}

fn when(fleet: &[FleetEvent], target: TargetId, what: FleetWhat) -> Option<Nanos> {
    fleet.iter().find(|event| event.target == Some(target) && event.what == what).map(|event| event.at)
}

#[cfg(test)]
mod tests;
