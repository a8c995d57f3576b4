//! The records of a run, one by one, become its report: of a run whose records are all there, and of one whose records nobody
//! keeps. Memory does not grow with the number of requests.

use galton_core::record::{Decision, DecisionKind, Ended, FleetEvent};
use galton_core::scenario::TrafficModel;
use galton_core::{FailReason, Nanos, Scenario, TargetId};

use super::bounds::Bounds;
use super::counts::Tally;
use super::gauges::{EventKind, Gauging, Load, Vain};
use super::judge::Evidence;
use super::latency::Latencies;
use super::series::OverTime;
use super::served::Served;
use super::targets::PerTarget;
use super::window::Window;
use super::{SCHEMA_VERSION, conservation, judge, plots, scaling, targets};
use crate::input::RunFacts;
use crate::model::{Report, Run};

/// Takes the records of a run in order of time.
#[derive(Clone, Debug)]
pub struct Fold {
    pub(super) scenario: Scenario,
    bounds: Bounds,
    pub(super) tally: Tally,
    pub(super) latencies: Latencies,
    over_time: OverTime,
    pub(super) gauging: Gauging,
    pub(super) targets: PerTarget,
    /// Not yet added to the above.
    served: Box<Served>,
    pub(super) events: Vec<FleetEvent>,
    /// Attempts that broke.
    pub(super) broken: u64,
    pub(super) last: Nanos,
}

impl Fold {
    /// Of a run to come, whose decisions are recorded. None where its measured window only shows when it is over: then keep
    /// the records, for [`Report::compute`].
    pub fn new(scenario: &Scenario) -> Option<Self> {
        Some(Self::within(scenario, Bounds::planned(scenario)?, true))
    }

    pub(super) fn within(scenario: &Scenario, bounds: Bounds, recorded: bool) -> Self {
        Self {
            scenario: scenario.clone(),
            tally: Tally::new(),
            latencies: Latencies::default(),
            over_time: OverTime::new(&bounds),
            gauging: Gauging::new(scenario, &bounds, recorded),
            targets: PerTarget::default(),
            served: Served::none(),
            events: Vec::new(),
            broken: 0,
            last: Nanos::ZERO,
            bounds,
        }
    }

    /// A target takes an attempt: `at` is its dispatch.
    #[inline(always)]
    pub fn taken(&mut self, at: Nanos, target: TargetId, cpu_demand: f64) {
        self.gauging.taken(at, target, Load { demanded: cpu_demand, spent: 0.0 });
    }

    /// A decision is complete; of an attempt that a target took, [`Self::taken`] has been told. `t_intended`: when its
    /// request was meant to be sent.
    #[inline(always)]
    pub fn decided(&mut self, decision: &Decision, t_intended: Nanos, cpu_demand: f64) {
        let load = Load { demanded: cpu_demand, spent: 0.0 };
        let kind = if decision.kind.occupied() { EventKind::End } else { EventKind::Decision };
        self.replayed(decision, kind, load, t_intended >= self.bounds.window.start);
    }

    /// A decision is taken, or the attempt that it began is over.
    #[inline(always)]
    pub(super) fn replayed(&mut self, decision: &Decision, step: EventKind, load: Load, measured: bool) {
        let begins = step == EventKind::Decision;
        match decision.target {
            Some((target, _)) if decision.kind.occupied() && begins => self.gauging.taken(decision.at, target, load),
            Some((target, _)) if decision.kind.occupied() => {
                self.broken += u64::from(decision.kind == DecisionKind::Fail(FailReason::Reset));
                self.gauging.freed(decision.until, target, load);
            }
            _ => self.in_vain(decision, measured),
        }
    }

    /// The fleet changes.
    pub fn changed(&mut self, event: &FleetEvent) {
        self.gauging.changed(event);
        self.events.push(*event);
    }

    /// A request has ended; or the run has, and this one is unfinished or was never sent.
    #[inline(always)]
    pub fn ended(&mut self, row: &Ended) {
        if !self.bounds.window.measures(row.t_intended) || !self.served.take(row) {
            self.ended_otherwise(row);
        } else if self.served.is_full() {
            self.add_served();
        }
    }

    /// Those that wait come first: samples are in order of ends.
    #[inline(never)]
    fn ended_otherwise(&mut self, row: &Ended) {
        self.add_served();
        let (window, timeout) = (self.bounds.window, self.scenario.traffic.timeout);
        let measured = window.measures(row.t_intended);
        self.tally.add(row, window);
        self.over_time.add(row, measured, timeout);
        if measured {
            self.latencies.add(row, timeout);
            self.targets.add(row);
        }
        self.last = self.last.max(row.t_end.or(row.t_send).unwrap_or_default());
    }

    #[inline(never)]
    fn add_served(&mut self) {
        if self.served.is_empty() {
            return;
        }
        let served = self.served.columns();
        self.tally.add_served(served, self.bounds.window);
        self.over_time.add_served(served);
        self.latencies.add_served(served);
        self.targets.add_served(served);
        self.last = served.t_end.iter().fold(self.last, |last, end| last.max(*end));
        self.served.clear();
    }

    fn in_vain(&mut self, decision: &Decision, measured: bool) {
        self.targets.tried_in_vain(decision);
        let vain = match decision.kind {
            DecisionKind::Refuse => {
                self.over_time.refused(decision.at);
                Vain::Refused(decision.target.map(|(target, _)| target))
            }
            DecisionKind::Reject(_) => Vain::Rejected,
            _ => Vain::Broke,
        };
        self.gauging.in_vain(decision.at, vain, measured);
    }

    /// Every change of the fleet so far.
    pub fn fleet_log(&self) -> &[FleetEvent] {
        &self.events
    }

    /// The report of the run, which is over.
    pub fn finish(mut self, facts: &RunFacts) -> Report {
        self.add_served();
        let window = self.final_window(facts);
        self.report(facts, window, Evidence::default())
    }

    /// A closed loop may spend its budget, and any run be interrupted, before its duration is over.
    fn final_window(&self, facts: &RunFacts) -> Window {
        let planned = self.bounds.window;
        let closed = matches!(self.scenario.traffic.model, TrafficModel::Closed(_));
        if !closed && !facts.interrupted || self.last == Nanos::ZERO {
            return planned;
        }
        let end = planned.end.min(self.last);
        Window { start: planned.start.min(end), end }
    }

    pub(super) fn report(mut self, facts: &RunFacts, window: Window, evidence: Evidence) -> Report {
        self.add_served();
        self.gauging.catch_up();
        let end = self.over_time.settle(window, self.gauging.fleet.bucket());
        self.gauging.finish(window, end);
        let conservation = conservation::check(facts, &self.tally.all(), &self.events, self.broken);
        let validity = judge::judge(facts, window, &self, &conservation, evidence);
        let series = self.over_time.series(window, &self.gauging, !self.events.is_empty());
        let scatter = self.over_time.scatter();
        let no_attempt_by_outcome = self.tally.no_attempt();
        Report {
            schema_version: SCHEMA_VERSION,
            kind: facts.meta.kind,
            run: Run { meta: facts.meta.clone(), seed: self.scenario.simulation.seed, users: facts.generator.users },
            scenario: self.scenario.to_value(),
            validity,
            slo: Vec::new(),
            client: None,
            rates: self.tally.rates(window),
            conservation,
            retries: self.tally.retries(),
            no_attempt: no_attempt_by_outcome.values().sum(),
            no_attempt_by_outcome,
            latency_by_outcome: self.latencies.by_outcome(),
            latency: self.latencies.summaries(),
            gauges: self.gauging.gauges(!self.events.is_empty()),
            free_targets_at_reject: self.gauging.free_at_refusal(),
            scaling: scaling::summarise(facts, &self.events, &self.gauging),
            targets: targets::table(&self, facts, window),
            plots: plots::plots(&self, window, series.bucket_ns, scatter),
            series,
            summary: crate::sentence::of(&self.scenario),
            counts: self.tally.measured(),
        }
    }
}

#[cfg(test)]
mod tests;
