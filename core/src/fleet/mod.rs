//! The fleet as a state machine without I/O: starts, removals, restarts, limits; who is told what, and when.
//!
//! The scaler turns [`Effect`]s into processes and messages, the simulator into queue entries. The order of the effects of
//! one call is the order in which they happen.

mod io;
mod member;
mod remove;
mod start;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use io::*;
pub use member::Phase;
use member::{Member, State};

use crate::dist::Dist;
use crate::host::{Change, Endpoint};
use crate::ids::{HostId, Incarnation, TargetId};
use crate::record::{FleetEvent, FleetWhat};
use crate::rng::{KeyedRng, Purpose};
use crate::scenario::{Architecture, ScaleUp, Scenario};
use crate::table::RowState;
use crate::time::Nanos;

/// How a dead target comes back: after `first`, then twice that, and so on up to `longest`; at most `limit` times in a row.
///
/// These are machine times, which a time scale does not touch; the edge converts them to scenario time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// The first backoff.
    pub first: Nanos,
    /// The longest backoff.
    pub longest: Nanos,
    /// Restarts in a row before the target is given up.
    pub limit: u32,
    /// A target that was ready for this long starts counting anew.
    pub stable: Nanos,
}

impl Restarts {
    /// 100 ms doubling to 5 s, ten times in a row (half a minute of trying), counting anew after a minute of service; in
    /// scenario time at time scale `scale`.
    pub fn at_scale(scale: f64) -> Self {
        let machine = |ms: f64| Nanos::from_millis_f64(ms * scale);
        Self { first: machine(100.0), longest: machine(5_000.0), limit: 10, stable: machine(60_000.0) }
    }
}

/// The fleet of targets.
#[derive(Debug)]
pub struct Fleet {
    rules: Rules,
    hosts: BTreeSet<HostId>,
    members: BTreeMap<TargetId, Member>,
    version: u64,
    last_number: u32,
}

/// What the scenario says about the fleet.
#[derive(Debug)]
struct Rules {
    seed: u64,
    min: usize,
    max: usize,
    slots: usize,
    up_delay_ms: Dist,
    down_delay_ms: Dist,
    drain_timeout: Nanos,
    /// How long a change takes to reach the hosts that did not cause it; the shared table is always fresh.
    news_delay: Nanos,
    shared_starts: bool,
    restarts: Restarts,
}

/// A note about a member, for [`Fleet::log`]: what, who asked, the configured delay, its overrun, what was held.
#[derive(Clone, Copy, Default)]
struct Note {
    host: Option<HostId>,
    delay: Nanos,
    overrun: Nanos,
    held: u32,
}

impl Fleet {
    /// The fleet at T0: the initial targets are ready, and every host that joins then knows them.
    pub fn new(scenario: &Scenario, restarts: Restarts, fx: &mut Vec<Effect>) -> Self {
        let mut fleet = Self {
            rules: Rules::new(scenario, restarts),
            hosts: BTreeSet::new(),
            members: BTreeMap::new(),
            version: 0,
            last_number: 0,
        };
        for _ in 0..scenario.targets.initial_count {
            let target = fleet.next_number();
            fleet.version += 1;
            fleet.members.insert(target, Member::initial());
            fleet.row(target, Some(RowState::Ready), fx);
            fleet.log(Nanos::ZERO, Some(target), FleetWhat::Ready, Note::default(), fx);
        }
        fleet
    }

    /// Something happened at `now`; what is to be done is appended to `fx`.
    pub fn on(&mut self, now: Nanos, input: Input, fx: &mut Vec<Effect>) {
        match input {
            Input::HostJoined(host) => self.host_joined(now, host, fx),
            Input::HostLeft(host) => self.host_left(now, host, fx),
            Input::ScaleUp { waiter, asked } => self.scale_up(now, asked.map_or(now, |at| at.min(now)), waiter, fx),
            Input::LeaveStart { host, call } => self.leave_start((host, call)),
            Input::ScaleDown { host, target } => self.scale_down(now, host, target, fx),
            Input::Spawned { target, incarnation } => self.spawned(now, target, incarnation, fx),
            Input::Died { target, incarnation, held } => self.died(now, target, incarnation, held, fx),
            Input::Released { host, target } => self.released(now, host, target, fx),
            Input::Stopped { target, held } => self.stopped(now, target, held, fx),
            Input::Timer { id } => self.timer(now, id, fx),
        }
    }

    /// The fleet's version: it grows with every change that hosts learn.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The ready targets, by number.
    pub fn ready(&self) -> Vec<Endpoint> {
        let ready = |(target, member): (&TargetId, &Member)| match member.state {
            State::Ready { since } => Some(Endpoint::new(*target, member.incarnation, since)),
            _ => None,
        };
        self.members.iter().filter_map(ready).collect()
    }

    /// Every target there is or was, by number: its process and where it is in its life.
    pub fn members(&self) -> impl Iterator<Item = (TargetId, Incarnation, Phase)> + '_ {
        self.members.iter().map(|(target, member)| (*target, member.incarnation, member.phase()))
    }

    /// How many targets there should be: ready, starting or coming back.
    pub fn desired(&self) -> usize {
        let wanted = |p: Phase| matches!(p, Phase::Starting | Phase::Ready | Phase::Restarting);
        self.members.values().filter(|m| wanted(m.phase())).count()
    }

    fn timer(&mut self, now: Nanos, id: TimerId, fx: &mut Vec<Effect>) {
        match id {
            TimerId::StartDelay(target, inc) => self.start_delay_over(now, target, inc, fx),
            TimerId::StopDelay(target, inc) => self.stop_delay_over(target, inc, fx),
            TimerId::DrainTimeout(target, inc) => self.drain_timed_out(now, target, inc, fx),
            TimerId::Backoff(target, inc) => self.backoff_over(now, target, inc, fx),
        }
    }

    fn host_joined(&mut self, now: Nanos, host: HostId, fx: &mut Vec<Effect>) {
        self.hosts.insert(host);
        let message = Message::Snapshot { version: self.version, members: self.ready() };
        fx.push(Effect::Tell { host, due: now, message });
    }

    fn host_left(&mut self, now: Nanos, host: HostId, fx: &mut Vec<Effect>) {
        if !self.hosts.remove(&host) {
            return;
        }
        fx.push(Effect::ForgetHost { host });
        for member in self.members.values_mut() {
            member.forget_waiters(|(waiter, _)| *waiter == host);
        }
        let draining: Vec<_> = self.draining().collect();
        for target in draining {
            self.released(now, host, target, fx);
        }
    }

    fn next_number(&mut self) -> TargetId {
        self.last_number += 1;
        TargetId(self.last_number)
    }

    fn member_of(&mut self, target: TargetId, incarnation: Incarnation) -> Option<&mut Member> {
        self.members.get_mut(&target).filter(|m| m.incarnation == incarnation)
    }

    /// Tells a change to `first` at once and to everybody else after the news delay.
    fn announce(&mut self, now: Nanos, first: Option<HostId>, change: Change, fx: &mut Vec<Effect>) {
        let version = self.version;
        let tell = |host, due| Effect::Tell { host, due, message: Message::Change { version, change } };
        fx.extend(first.filter(|host| self.hosts.contains(host)).map(|host| tell(host, now)));
        let due = now + self.rules.news_delay;
        fx.extend(self.hosts.iter().filter(|host| Some(**host) != first).map(|host| tell(*host, due)));
    }

    fn row(&self, target: TargetId, state: Option<RowState>, fx: &mut Vec<Effect>) {
        let incarnation = self.members.get(&target).map_or(0, |m| m.incarnation);
        fx.push(Effect::Row { target, incarnation, state });
    }

    fn log(&self, at: Nanos, target: Option<TargetId>, what: FleetWhat, note: Note, fx: &mut Vec<Effect>) {
        let incarnation = target.and_then(|t| self.members.get(&t)).map_or(0, |m| m.incarnation);
        let Note { host, delay, overrun, held } = note;
        let version = self.version;
        fx.push(Effect::Log(FleetEvent { at, version, target, incarnation, what, host, delay, overrun, held }));
    }
}

// === impl Rules ===

impl Rules {
    fn new(scenario: &Scenario, restarts: Restarts) -> Self {
        let scaling = &scenario.scaling;
        Self {
            seed: scenario.simulation.seed,
            min: scaling.min_targets as usize,
            max: scaling.max_targets as usize,
            slots: scenario.targets.max_concurrency as usize,
            up_delay_ms: scaling.scale_up_delay_ms.clone(),
            down_delay_ms: scaling.scale_down_delay_ms.clone(),
            drain_timeout: scaling.drain_timeout,
            news_delay: match scenario.load_balancer.architecture {
                Architecture::RoundRobin => scenario.load_balancer.rr.sync_delay,
                Architecture::LeastConns => Nanos::ZERO,
            },
            shared_starts: scaling.scale_up == ScaleUp::Coalesced,
            restarts,
        }
    }

    fn start_delay(&self, target: TargetId) -> Nanos {
        self.delay(&self.up_delay_ms, Purpose::StartDelay, target)
    }

    fn stop_delay(&self, target: TargetId) -> Nanos {
        self.delay(&self.down_delay_ms, Purpose::StopDelay, target)
    }

    fn delay(&self, dist: &Dist, purpose: Purpose, target: TargetId) -> Nanos {
        Nanos::from_millis_f64(dist.sample(&mut KeyedRng::new(self.seed, purpose, u64::from(target.0))))
    }
}
