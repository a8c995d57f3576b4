//! The world of one simulated run: the hosts, the fleet and the table that they share, which decide; and the edge, which acts.

use galton_core::counters::{Counters, ProxyCounters};
use galton_core::fleet::{self, Fleet, Restarts};
use galton_core::host::{self, Arrival, AttemptEnd, Effect, Host, Ticket, TimerId};
use galton_core::prefetch::prefetch;
use galton_core::scenario::Scenario;
use galton_core::table::BucketTable;
use galton_core::users::UserEnds;
use galton_core::{CallId, HostId, Incarnation, Nanos, TargetId};

use crate::edge::Edge;
use crate::host_effects::AtOnce;
use crate::machine::Machine;
use crate::observer::Observer;
use crate::requests::Answer;

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

/// What decides, and what it acts on.
pub(crate) struct World<'a, O> {
    pub(crate) hosts: Vec<Host>,
    pub(crate) fleet: Fleet,
    pub(crate) table: BucketTable,
    pub(crate) edge: Edge<'a, O>,
    /// What hosts ask of the fleet, and what came after that: it waits for the end of the host's step.
    pub(crate) later: Vec<Effect>,
}

/// A run that cannot come to an end: where nothing takes time, users that do not think are answered and send again for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "simulated time stands still at {at}: users have sent {sent} requests, are answered in no time, and send again at once. \
     Give them a think time (think_time_ms), or simulate a machine whose hops take time (--profile)"
)]
pub struct Endless {
    /// When.
    pub at: Nanos,
    /// Requests until it was noticed, over the whole run.
    pub sent: u64,
}

/// Runs a scenario to the end of its drain, on a machine or on none, and tells `observer` everything.
///
/// # Errors
///
/// Where it would never end.
pub fn run<O: Observer>(
    scenario: &Scenario,
    machine: Option<Machine<'_>>,
    observer: &mut O,
) -> Result<Totals, Endless> {
    let mut world = World::new(scenario, machine, observer);
    world.ask_source();
    while let Some((at, event)) = world.next() {
        if at > world.edge.end || world.is_over_by(at) {
            break;
        }
        world.edge.now = at;
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
        let edge = Edge::new(scenario, machine, observer);
        let mut world = Self { hosts: Vec::new(), fleet, table, edge, later: Vec::new() };
        for endpoint in world.fleet.ready() {
            world.edge.spawn(endpoint.target, endpoint.incarnation);
        }
        world.fleet_effects(fx);
        (0..scenario.load_balancer.hosts).for_each(|id| world.join(HostId(id)));
        world
    }

    fn join(&mut self, id: HostId) {
        let mut fx = Vec::new();
        let (version, members) = (self.fleet.version(), self.fleet.ready());
        let edge = &mut self.edge;
        self.hosts.push(Host::new(id, edge.scenario, edge.now, version, &members, &mut fx));
        edge.proxies.push(ProxyCounters::new(id));
        self.host_effects(id, fx);
        self.feed_fleet(fleet::Input::HostJoined(id));
    }

    /// Nothing is under way, and nothing will be.
    fn is_over_by(&self, at: Nanos) -> bool {
        let edge = &self.edge;
        let rests = edge.requests.len() == 0 && edge.asks_at.is_none();
        rests && (edge.source.ends_with_its_requests() || at >= edge.scenario.simulation.duration)
    }

    /// The next event. What belongs to one a little later is fetched meanwhile: in a large run nothing of it is in the
    /// processor's caches any more.
    #[inline(always)]
    fn next(&mut self) -> Option<(Nanos, Event)> {
        let (hosts, table) = (&self.hosts, &self.table);
        let Edge { requests, targets, queue, .. } = &mut self.edge;
        queue.pop(|event| {
            let Event::HoldOver(call, _, host, target) = event else { return };
            requests.fetch(*call);
            hosts[host.0 as usize].fetch(*call);
            table.fetch(*target);
            prefetch(&targets[target.0 as usize]);
        })
    }

    #[inline(always)]
    fn handle(&mut self, event: Event) {
        match event {
            Event::Send => self.ask_source(),
            Event::Arrive(call) => self.arrive(call),
            Event::Reach(call, attempt) => self.edge.reach(call, attempt),
            Event::HoldOver(call, attempt, ..) => self.hold_over(call, attempt),
            Event::SharedHoldOver(target, incarnation) => self.shared_hold_over(target, incarnation),
            Event::AttemptOver(call, attempt) => self.attempt_over(call, attempt),
            Event::Answered(call, answer) => self.edge.answered(call, &answer),
            Event::Timer(host, id) => self.timer(host, id),
            Event::Host(host, input) => self.feed_host(host, *input),
            Event::Fleet(input) => self.feed_fleet(*input),
        }
    }

    /// Sends what is due, and comes back when more is.
    pub(crate) fn ask_source(&mut self) {
        self.edge.asked_now();
        while let Some(sent) = self.edge.next_sent() {
            self.send(sent);
        }
    }

    pub(crate) fn feed_host(&mut self, id: HostId, input: host::Input) {
        let (host, now, table, mut fx) = self.step(id);
        host.on(now, input, table, &mut fx);
        self.step_done(id);
    }

    /// As [`Self::feed_host`].
    #[inline(always)]
    pub(crate) fn feed_arrival(&mut self, id: HostId, arrival: Arrival) {
        let (host, now, table, mut fx) = self.step(id);
        host.on_arrival(now, arrival, table, &mut fx);
        self.step_done(id);
    }

    /// As [`Self::feed_host`].
    #[inline(always)]
    pub(crate) fn feed_end(&mut self, id: HostId, ticket: Ticket, end: AttemptEnd) {
        let (host, now, table, mut fx) = self.step(id);
        host.on_end(now, ticket, end, table, &mut fx);
        self.step_done(id);
    }

    /// What a step of a host needs: its effects are done as they come, as far as they can be.
    #[inline(always)]
    fn step(&mut self, id: HostId) -> (&mut Host, Nanos, &mut BucketTable, AtOnce<'_, 'a, O>) {
        let Self { hosts, table, edge, later, .. } = self;
        (&mut hosts[id.0 as usize], edge.now, table, AtOnce { host: id, edge, later })
    }

    /// Does the others.
    #[inline(always)]
    fn step_done(&mut self, id: HostId) {
        if !self.later.is_empty() {
            self.do_later(id);
        }
    }

    pub(crate) fn feed_fleet(&mut self, input: fleet::Input) {
        let mut fx = Vec::new();
        self.fleet.on(self.edge.now, input, &mut fx);
        self.fleet_effects(fx);
    }

    fn finish(self) -> Result<Totals, Endless> {
        self.edge.finish(&self.hosts)
    }
}
