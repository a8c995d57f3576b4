//! The world of one simulated run: the plan, the hosts, the fleet, the targets, and the queue between them.

use std::collections::{BTreeMap, HashMap};

use galton_core::counters::{Counters, LoadCounters, ProxyCounters};
use galton_core::fleet::{self, Fleet, Restarts};
use galton_core::host::{self, Host, Ticket};
use galton_core::plan::{OpenLoop, Plan, Planned};
use galton_core::record::{Decision, FleetEvent, TraceOutcome, TraceRow};
use galton_core::scenario::Scenario;
use galton_core::table::BucketTable;
use galton_core::{CallId, HostId, Incarnation, Nanos, Outcome, RequestId, TargetId};

use crate::queue::EventQueue;
use crate::target::Target;

/// What a simulated run recorded.
#[derive(Debug)]
pub struct Simulated {
    /// One row per planned request, by seq.
    pub trace: Vec<TraceRow>,
    /// Every decision, in order of completion.
    pub decisions: Vec<Decision>,
    /// Every change of the fleet.
    pub fleet: Vec<FleetEvent>,
    /// What the processes would have counted.
    pub counters: Counters,
}

/// Something due.
#[derive(Debug)]
pub(crate) enum Event {
    /// The next planned request is sent.
    Arrive(Planned),
    /// Something for a host.
    Host(HostId, host::Input),
    /// Something for the fleet.
    Fleet(fleet::Input),
    /// A hold is over.
    HoldOver(HostId, CallId, u32),
}

/// An attempt that a target holds.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) ticket: Ticket,
    pub(crate) attempt: u32,
}

#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) now: Nanos,
    pub(crate) queue: EventQueue<Event>,
    pub(crate) plan: OpenLoop,
    /// Requests sent and not answered, the next planned one included.
    pub(crate) open: usize,
    pub(crate) hosts: Vec<Host>,
    pub(crate) fleet: Fleet,
    pub(crate) table: BucketTable,
    pub(crate) targets: BTreeMap<TargetId, Target>,
    pub(crate) held: HashMap<(HostId, CallId), Held>,
    /// Attempts whose caller has gone and whose hold goes on all the same: where.
    pub(crate) deserted: HashMap<(HostId, CallId, u32), (TargetId, Incarnation)>,
    pub(crate) retired: Vec<Target>,
    pub(crate) trace: Vec<TraceRow>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) fleet_log: Vec<FleetEvent>,
    pub(crate) proxies: Vec<ProxyCounters>,
}

/// Runs a scenario with open-loop traffic to the end of its drain.
pub fn simulate(scenario: &Scenario) -> Simulated {
    let mut world = World::new(scenario);
    let end = scenario.simulation.duration + scenario.simulation.drain;
    let end = scenario.simulation.total_time.map_or(end, |total| total.min(end));
    world.next_arrival();
    while let Some((at, event)) = world.queue.pop() {
        if at > end || (world.open == 0 && at >= scenario.simulation.duration) {
            world.queue.push(at, event);
            break;
        }
        world.now = at;
        world.handle(event);
    }
    world.finish()
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut fx = Vec::new();
        let fleet = Fleet::new(scenario, Restarts::at_scale(1.0), &mut fx);
        let table =
            BucketTable::new(scenario.targets.max_concurrency, scenario.load_balancer.lc.idle_threshold_outstanding);
        let mut world = Self {
            scenario,
            now: Nanos::ZERO,
            queue: EventQueue::new(),
            plan: Plan::new(scenario).open_loop(),
            open: 0,
            hosts: Vec::new(),
            fleet,
            table,
            targets: BTreeMap::new(),
            held: HashMap::new(),
            deserted: HashMap::new(),
            retired: Vec::new(),
            trace: Vec::new(),
            decisions: Vec::new(),
            fleet_log: Vec::new(),
            proxies: Vec::new(),
        };
        for endpoint in world.fleet.ready() {
            world.spawn(endpoint.target, endpoint.incarnation);
        }
        world.fleet_effects(fx);
        (0..scenario.load_balancer.hosts).for_each(|id| world.join(HostId(id)));
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
        let idle_threshold = self.scenario.load_balancer.rr.idle_threshold_requests;
        let process = Target::new(target, incarnation, idle_threshold);
        self.retired.extend(self.targets.insert(target, process));
    }

    fn next_arrival(&mut self) {
        if let Some(planned) = self.plan.next() {
            self.open += 1;
            self.queue.push(planned.at, Event::Arrive(planned));
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive(planned) => self.arrive(&planned),
            Event::Host(host, input) => self.feed_host(host, input),
            Event::Fleet(input) => self.feed_fleet(input),
            Event::HoldOver(host, call, attempt) => self.hold_over(host, call, attempt),
        }
    }

    fn arrive(&mut self, planned: &Planned) {
        self.next_arrival();
        self.trace.push(sent_row(planned));
        let counters = &mut self.proxies[planned.host.0 as usize];
        counters.received += 1;
        let arrival = host::Arrival {
            call: CallId(planned.seq),
            request: RequestId::open(planned.seq),
            deadline: planned.at + self.scenario.traffic.timeout,
            idempotent: true,
        };
        self.feed_host(planned.host, host::Input::Arrive(arrival));
    }

    pub(crate) fn feed_host(&mut self, id: HostId, input: host::Input) {
        let mut fx = Vec::new();
        self.hosts[id.0 as usize].on(self.now, input, &mut self.table, &mut fx);
        self.host_effects(id, fx);
    }

    pub(crate) fn feed_fleet(&mut self, input: fleet::Input) {
        let mut fx = Vec::new();
        self.fleet.on(self.now, input, &mut fx);
        self.fleet_effects(fx);
    }

    fn finish(mut self) -> Simulated {
        let due = std::iter::from_fn(|| self.queue.pop()).find_map(|(_, event)| match event {
            Event::Arrive(planned) => Some(planned),
            _ => None,
        });
        self.trace.extend(due.into_iter().chain(self.plan.by_ref()).map(|planned| unsent_row(&planned)));
        for (id, host) in self.hosts.iter().enumerate() {
            self.proxies[id].in_flight_at_end = u64::from(host.in_flight());
        }
        let sent = self.proxies.iter().map(|p| p.received).sum();
        let mut targets: Vec<_> =
            self.targets.into_values().chain(self.retired).map(|target| target.counters).collect();
        targets.sort_by_key(|t| (t.target, t.incarnation));
        let load = LoadCounters { sent, ..LoadCounters::default() };
        let counters = Counters { load, proxies: self.proxies, targets, missing: Vec::new() };
        Simulated { trace: self.trace, decisions: self.decisions, fleet: self.fleet_log, counters }
    }
}

fn unsent_row(planned: &Planned) -> TraceRow {
    TraceRow::unsent(planned.seq, RequestId::open(planned.seq), planned.host, planned.at, planned.demand)
}

/// There is no time on the wire.
fn sent_row(planned: &Planned) -> TraceRow {
    TraceRow {
        t_send: Some(planned.at),
        outcome: TraceOutcome::Offered(Outcome::Unfinished),
        proxy_recv: Some(planned.at),
        ..unsent_row(planned)
    }
}
