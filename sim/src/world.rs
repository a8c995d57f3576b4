//! The world of one simulated run: the traffic, the hosts, the fleet, the targets, and the queue between them.

use std::collections::BTreeMap;

use galton_core::counters::{Counters, LoadCounters, ProxyCounters};
use galton_core::fleet::{self, Fleet, Restarts};
use galton_core::host::{self, Arrival, AttemptEnd, Effect, Host, Ticket, TimerId};
use galton_core::prefetch::prefetch;
use galton_core::scenario::{CpuMode, Scenario};
use galton_core::table::BucketTable;
use galton_core::users::UserEnds;
use galton_core::{CallId, HostId, Incarnation, Nanos, TargetId};

use crate::machine::{Errand, Machine};
use crate::observer::Observer;
use crate::queue::EventQueue;
use crate::requests::{Answer, Requests};
use crate::source::{Next, Source};
use crate::target::Target;

/// What the processes of a run would have counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// All counters.
    pub counters: Counters,
    /// How the users of a closed loop ended.
    pub users: Option<UserEnds>,
    /// Hash of the plan.
    pub plan_sha256: String,
}

/// Something due.
#[derive(Debug)]
pub(crate) enum Event {
    /// The source has something to send.
    Send,
    /// A request reaches its host.
    Arrive(CallId),
    /// An attempt reaches its target.
    Reach(CallId, u32),
    /// A hold is over, of this attempt of a call. Where it is says what to fetch for it.
    HoldOver(CallId, u32, HostId, TargetId),
    /// A hold is over on a CPU that requests share, unless something came or went meanwhile.
    SharedHoldOver(TargetId, Incarnation),
    /// A host sees an attempt end.
    AttemptOver(CallId, u32),
    /// A client has its response.
    Answered(CallId, Box<Answer>),
    /// A sleep of a host is over.
    Timer(HostId, TimerId),
    /// Something else for a host.
    Host(HostId, Box<host::Input>),
    /// Something for the fleet.
    Fleet(Box<fleet::Input>),
}

pub(crate) struct World<'a, O> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) machine: Option<Machine<'a>>,
    /// The requests of a target share its CPU.
    pub(crate) shares: bool,
    pub(crate) observer: &'a mut O,
    pub(crate) now: Nanos,
    pub(crate) queue: EventQueue<Event>,
    pub(crate) source: Source,
    /// For when the source is to be asked again.
    pub(crate) asks_at: Option<Nanos>,
    pub(crate) requests: Requests,
    pub(crate) hosts: Vec<Host>,
    pub(crate) fleet: Fleet,
    pub(crate) table: BucketTable,
    /// By number.
    pub(crate) targets: Vec<Option<Target>>,
    pub(crate) retired: Vec<Target>,
    /// Attempts whose caller has gone and whose hold goes on all the same: where.
    pub(crate) deserted: BTreeMap<(CallId, u32), (TargetId, Incarnation)>,
    pub(crate) proxies: Vec<ProxyCounters>,
    /// When each host has heard the last of what it was told: news keep their order.
    pub(crate) heard: Vec<Nanos>,
    pub(crate) sent: u64,
    pub(crate) errands: u64,
    pub(crate) spare: Vec<Effect>,
}

/// Runs a scenario to the end of its drain, on a machine or on none, and tells `observer` everything.
pub fn run<O: Observer>(scenario: &Scenario, machine: Option<Machine<'_>>, observer: &mut O) -> Totals {
    let mut world = World::new(scenario, machine, observer);
    let simulation = &scenario.simulation;
    let end = simulation.duration + simulation.drain;
    let end = simulation.total_time.map_or(end, |total| total.min(end));
    world.ask_source();
    while let Some((at, event)) = world.next() {
        if at > end || world.is_over_by(at) {
            break;
        }
        world.now = at;
        world.handle(event);
    }
    world.finish()
}

impl<'a, O: Observer> World<'a, O> {
    fn new(scenario: &'a Scenario, machine: Option<Machine<'a>>, observer: &'a mut O) -> Self {
        let mut fx = Vec::new();
        let time_scale = machine.map_or(1.0, |machine| machine.time_scale);
        let fleet = Fleet::new(scenario, Restarts::at_scale(time_scale), &mut fx);
        let table =
            BucketTable::new(scenario.targets.max_concurrency, scenario.load_balancer.lc.idle_threshold_outstanding);
        let hosts = scenario.load_balancer.hosts;
        let mut world = Self {
            scenario,
            machine,
            shares: scenario.targets.cpu_mode == CpuMode::Slowdown,
            observer,
            now: Nanos::ZERO,
            queue: EventQueue::new(),
            source: Source::new(scenario),
            asks_at: None,
            requests: Requests::default(),
            hosts: Vec::new(),
            fleet,
            table,
            targets: Vec::new(),
            retired: Vec::new(),
            deserted: BTreeMap::new(),
            proxies: Vec::new(),
            heard: vec![Nanos::ZERO; hosts as usize],
            sent: 0,
            errands: 0,
            spare: Vec::new(),
        };
        for endpoint in world.fleet.ready() {
            world.spawn(endpoint.target, endpoint.incarnation);
        }
        world.fleet_effects(fx);
        (0..hosts).for_each(|id| world.join(HostId(id)));
        world
    }

    fn join(&mut self, id: HostId) {
        let mut fx = Vec::new();
        let (version, members) = (self.fleet.version(), self.fleet.ready());
        self.hosts.push(Host::new(id, self.scenario, self.now, version, &members, &mut fx));
        self.proxies.push(ProxyCounters::new(id));
        self.host_effects(id, fx);
        self.feed_fleet(fleet::Input::HostJoined(id));
    }

    pub(crate) fn spawn(&mut self, target: TargetId, incarnation: Incarnation) {
        let process = Target::new(target, incarnation, self.scenario);
        let number = target.0 as usize;
        if self.targets.len() <= number {
            self.targets.resize_with(number + 1, || None);
        }
        self.retired.extend(self.targets[number].replace(process));
    }

    /// The process of a target, if it runs.
    #[inline]
    pub(crate) fn process(&mut self, target: TargetId, incarnation: Incarnation) -> Option<&mut Target> {
        let process = self.targets.get_mut(target.0 as usize)?.as_mut();
        process.filter(|process| process.running && process.incarnation == incarnation)
    }

    /// Nothing is under way, and nothing will be.
    fn is_over_by(&self, at: Nanos) -> bool {
        let rests = self.requests.len() == 0 && self.asks_at.is_none();
        rests && (self.source.ends_with_its_requests() || at >= self.scenario.simulation.duration)
    }

    /// The next event. What belongs to one a little later is fetched meanwhile: in a large run nothing of it is in the
    /// processor's caches any more.
    #[inline]
    fn next(&mut self) -> Option<(Nanos, Event)> {
        let (requests, hosts, table) = (&self.requests, &self.hosts, &self.table);
        let (targets, observer) = (&self.targets, &mut *self.observer);
        self.queue.pop(|event| {
            let Event::HoldOver(call, _, host, target) = event else { return };
            requests.fetch(*call);
            hosts[host.0 as usize].fetch(*call);
            table.fetch(*target);
            prefetch(&targets[target.0 as usize]);
            observer.soon(*target);
        })
    }

    #[inline]
    fn handle(&mut self, event: Event) {
        match event {
            Event::Send => self.ask_source(),
            Event::Arrive(call) => self.arrive(call),
            Event::Reach(call, attempt) => self.reach(call, attempt),
            Event::HoldOver(call, attempt, ..) => self.hold_over(call, attempt),
            Event::SharedHoldOver(target, incarnation) => self.shared_hold_over(target, incarnation),
            Event::AttemptOver(call, attempt) => self.attempt_over(call, attempt),
            Event::Answered(call, answer) => self.answered(call, &answer),
            Event::Timer(host, id) => self.timer(host, id),
            Event::Host(host, input) => self.feed_host(host, *input),
            Event::Fleet(input) => self.feed_fleet(*input),
        }
    }

    /// Sends what is due, and comes back when more is.
    pub(crate) fn ask_source(&mut self) {
        if self.asks_at.is_some_and(|at| at <= self.now) {
            self.asks_at = None;
        }
        let hard_stop = self.scenario.simulation.total_time.unwrap_or(Nanos::MAX);
        loop {
            match self.source.next(self.now) {
                Next::Send(sent) => self.send(sent),
                Next::Wait(until) => {
                    if until < hard_stop && self.asks_at.is_none_or(|at| until < at) {
                        self.asks_at = Some(until);
                        self.queue.push_recurrent(until, Event::Send);
                    }
                    return;
                }
                Next::Over => {
                    self.asks_at = None;
                    return;
                }
            }
        }
    }

    pub(crate) fn feed_host(&mut self, id: HostId, input: host::Input) {
        let mut fx = std::mem::take(&mut self.spare);
        self.hosts[id.0 as usize].on(self.now, input, &mut self.table, &mut fx);
        self.host_effects(id, fx);
    }

    /// As [`Self::feed_host`].
    #[inline]
    pub(crate) fn feed_arrival(&mut self, id: HostId, arrival: Arrival) {
        let mut fx = std::mem::take(&mut self.spare);
        self.hosts[id.0 as usize].on_arrival(self.now, arrival, &mut self.table, &mut fx);
        self.host_effects(id, fx);
    }

    /// As [`Self::feed_host`].
    #[inline]
    pub(crate) fn feed_end(&mut self, id: HostId, ticket: Ticket, end: AttemptEnd) {
        let mut fx = std::mem::take(&mut self.spare);
        self.hosts[id.0 as usize].on_end(self.now, ticket, end, &mut self.table, &mut fx);
        self.host_effects(id, fx);
    }

    pub(crate) fn feed_fleet(&mut self, input: fleet::Input) {
        let mut fx = Vec::new();
        self.fleet.on(self.now, input, &mut fx);
        self.fleet_effects(fx);
    }

    /// How long an errand of the fleet takes: no time without a machine.
    pub(crate) fn errand(&mut self, errand: Errand) -> Nanos {
        self.errands += 1;
        self.machine.map_or(Nanos::ZERO, |machine| machine.errand(errand, self.errands))
    }

    fn finish(mut self) -> Totals {
        for (_, request) in self.requests.in_order() {
            self.observer.ended(&request.ended(None, None), || request.row(None, None, None));
        }
        for sent in self.source.unsent() {
            let row = sent.unsent();
            self.observer.ended(&row.ended(), || row);
        }
        for (proxy, host) in self.proxies.iter_mut().zip(&self.hosts) {
            proxy.in_flight_at_end = u64::from(host.in_flight());
        }
        let processes = self.targets.into_iter().flatten().chain(self.retired);
        let mut targets: Vec<_> = processes.map(|target| target.counters).collect();
        targets.sort_by_key(|t| (t.target, t.incarnation));
        let load = LoadCounters { sent: self.sent, ..LoadCounters::default() };
        let counters = Counters { load, proxies: self.proxies, targets, missing: Vec::new() };
        Totals { counters, users: self.source.user_ends(), plan_sha256: self.source.plan_sha256() }
    }
}
