//! Who watches a simulated run: everything that a live run records, at the moment at which it is known.

use galton_core::plan::Demand;
use galton_core::record::{Decision, Ended, FleetEvent, TraceRow};
use galton_core::{Nanos, TargetId};

/// Told of everything, in order of time.
pub trait Observer {
    /// A target has taken an attempt: it is in flight until its decision is complete.
    fn taken(&mut self, at: Nanos, target: TargetId, asked: &Asked);
    /// A decision is complete.
    fn decided(&mut self, decision: &Decision, asked: &Asked);
    /// The fleet has changed.
    fn changed(&mut self, event: &FleetEvent);
    /// A request has ended; or the run has, and this one is unfinished or was never sent. `row`: all there is to say of it.
    fn ended(&mut self, ended: &Ended, row: impl FnOnce() -> TraceRow);
}

/// What the request of a decision had asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// When it was meant to be sent.
    pub t_intended: Nanos,
    /// What of a target.
    pub demand: Demand,
}

/// Keeps every record: memory grows with the run.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) trace: Vec<TraceRow>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) fleet: Vec<FleetEvent>,
}

impl Observer for Records {
    fn taken(&mut self, _: Nanos, _: TargetId, _: &Asked) {}

    fn decided(&mut self, decision: &Decision, _: &Asked) {
        self.decisions.push(*decision);
    }

    fn changed(&mut self, event: &FleetEvent) {
        self.fleet.push(*event);
    }

    fn ended(&mut self, _: &Ended, row: impl FnOnce() -> TraceRow) {
        self.trace.push(row());
    }
}
