//! What the scaler did, and how long it took.

use std::collections::BTreeMap;

use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{Nanos, TargetId};

use super::gauges::Gauging;
use crate::input::RunFacts;
use crate::model::{Scaling, ScalingEvent, Starts};
use crate::stats::Samples;

/// A start may be this late before it counts, machine time: a wake-up behind one busy thread, not a slow spawn.
pub(crate) const TOLERANCE: Nanos = Nanos::from_millis(5);
/// And this share of its configured delay: what changes nothing that a report could show.
pub(crate) const TOLERANCE_SHARE: f64 = 0.01;

/// By how much a start of this delay may be late, in scenario time.
pub(super) fn tolerance(facts: &RunFacts, delay: Nanos) -> Nanos {
    let floor = Nanos((TOLERANCE.0 as f64 * facts.meta.time_scale) as u64);
    floor.max(Nanos((delay.0 as f64 * TOLERANCE_SHARE) as u64))
}

/// Everything from the fleet's log.
pub(super) fn summarise(facts: &RunFacts, fleet: &[FleetEvent], gauging: &Gauging) -> Scaling {
    let count = |what| fleet.iter().filter(|e| e.what == what).count() as u64;
    let most = gauging.at_fleet_events.iter().map(|at| at.ready).max();
    let events = events(fleet, gauging);
    Scaling {
        ups: count(FleetWhat::Starting),
        downs: count(FleetWhat::Cordoned),
        peak: most.unwrap_or_default().max(gauging.fleet.ready_count()),
        joined: count(FleetWhat::Joined),
        ups_refused: count(FleetWhat::UpRefused),
        downs_refused: count(FleetWhat::DownRefused),
        deaths: count(FleetWhat::Died) + count(FleetWhat::StartFailed),
        restarts: count(FleetWhat::Restarting),
        starts: starts(facts, &events),
        events,
    }
}

fn events(fleet: &[FleetEvent], gauging: &Gauging) -> Vec<ScalingEvent> {
    let mut begun: BTreeMap<TargetId, (Nanos, Nanos)> = BTreeMap::new();
    let mut one = |(event, slots): (&FleetEvent, &super::gauges::SlotsAt)| {
        let earlier = event.target.and_then(|id| match event.what {
            FleetWhat::Starting | FleetWhat::Cordoned => begun.insert(id, (event.at, event.delay)),
            FleetWhat::Ready | FleetWhat::Stopped => begun.remove(&id),
            _ => None,
        });
        let ends = matches!(event.what, FleetWhat::Ready | FleetWhat::Stopped);
        let earlier = earlier.filter(|_| ends);
        ScalingEvent {
            at_ns: event.at,
            what: event.what,
            target: event.target,
            incarnation: event.incarnation,
            host: event.host,
            why: why(event),
            delay_ns: event.delay.max(earlier.map_or(Nanos::ZERO, |(_, delay)| delay)),
            took_ns: earlier.map(|(at, _)| event.at - at),
            overrun_ns: event.overrun,
            held: event.held,
            ready: slots.ready,
            free_slots: Some(slots.free_slots).filter(|_| gauging.recorded()),
        }
    };
    fleet.iter().zip(&gauging.at_fleet_events).map(&mut one).collect()
}

/// The rule behind a decision, in a few words.
fn why(event: &FleetEvent) -> &'static str {
    let asked = event.host.is_some();
    match event.what {
        FleetWhat::Starting if asked => "a request found no capacity",
        FleetWhat::Cordoned if asked => "idle for the whole window",
        FleetWhat::Starting | FleetWhat::Cordoned => "asked by a person",
        FleetWhat::Joined => "shares a start in progress",
        FleetWhat::UpRefused => "the fleet is at its maximum",
        FleetWhat::DownRefused => "at the minimum, or not ready",
        FleetWhat::Ready if event.at == Nanos::ZERO && event.delay == Nanos::ZERO => "initial fleet",
        FleetWhat::Ready => "serves, and its delay is over",
        FleetWhat::StartFailed => "its process did not come up",
        FleetWhat::Died => "its process died",
        FleetWhat::Restarting => "replaces a dead process",
        FleetWhat::GivenUp => "no restart is left",
        FleetWhat::Drained => "nothing in flight",
        FleetWhat::DrainTimeout => "did not drain in time",
        FleetWhat::Stopped => "removed",
    }
}

fn starts(facts: &RunFacts, events: &[ScalingEvent]) -> Starts {
    let (mut took, mut configured) = (Samples::default(), Samples::default());
    let (mut overrun, mut worst) = (0, Nanos::ZERO);
    for event in events.iter().filter(|e| e.what == FleetWhat::Ready) {
        if let Some(time) = event.took_ns {
            took.push(time.0);
            configured.push(event.delay_ns.0);
            overrun += u64::from(event.overrun_ns > tolerance(facts, event.delay_ns));
            worst = worst.max(event.overrun_ns);
        }
    }
    Starts { took: took.summary(), configured: configured.summary(), overrun, worst_overrun: worst }
}
