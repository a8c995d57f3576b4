//! The plan: what will be asked, when and of which host, known before the run and the same on every machine.
//!
//! Everything here is a pure function of the scenario: a request's demand, host and think time depend on the seed and
//! the request alone, so that two policies, and a live run and its simulation, meet the same requests. The plan says
//! nothing about what happens to them.

use std::fmt::Write;
use std::iter::FusedIterator;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use twox_hash::XxHash3_128;

use crate::arrivals::{self, AHEAD, Arrivals};
use crate::dist::{Dist, Sampler};
use crate::ids::{HostId, Incarnation, RequestId, TargetId};
use crate::rng::{Keyed, KeyedRng, Purpose, scaled};
use crate::scenario::{
    Arrival, ArrivalProcess, ClosedLoop, OnError, Population, Scenario, TraceArrival, Traffic, TrafficModel,
};
use crate::time::Nanos;

/// What a request asks of a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// How long it is held.
    pub hold: Nanos,
    /// CPU in units.
    pub cpu: f64,
}

/// One planned request of an open loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// Its number, from 0, in order of time.
    pub seq: u64,
    /// When it is meant to be sent.
    pub at: Nanos,
    /// The load-balancer host it goes to.
    pub host: HostId,
    /// What it asks for.
    pub demand: Demand,
}

/// The plan of one scenario, its distributions prepared once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plan {
    seed: u64,
    hosts: u32,
    /// Which host a request goes to.
    of_host: Keyed,
    duration: Nanos,
    traffic: Arc<Traffic>,
    /// Requests are those of a trace.
    replays: bool,
    hold_ms: Sampler,
    cpu: Sampler,
    /// Absent in an open loop.
    think_ms: Option<Sampler>,
}

/// The hash of the plan of an open loop, made while it is gone through. See [`Plan::sha256`].
#[derive(Clone, Debug)]
pub struct PlanHash {
    hash: Sha256,
    /// The block at hand.
    waiting: Box<[[u8; HASHED]; TOGETHER]>,
    /// How many of them there are.
    len: usize,
}

/// Bytes of one request.
const HASHED: usize = 28;
/// Requests of a block, see [`Plan::sha256`].
const TOGETHER: usize = 128;

/// The requests of an open loop in order of time; a long plan need not be in memory.
#[derive(Clone, Debug)]
pub struct OpenLoop {
    plan: Plan,
    /// Absent in a closed loop.
    arrivals: Option<Arrivals>,
    /// The last ones made: together they cost half, and a short plan still wastes few.
    ahead: Vec<Planned>,
    /// How many of them are no longer ahead.
    taken: usize,
    /// The number of the next one to be made.
    seq: u64,
}

/// How many requests a scenario may be expected to send: exact where it says how many, otherwise the mean, or about that for
/// a closed loop, whose response times nobody knows in advance.
pub fn expected_requests(scenario: &Scenario) -> f64 {
    let duration = scenario.simulation.duration;
    match &scenario.traffic.model {
        TrafficModel::Open(arrival) => arrivals::expected(arrival, duration),
        TrafficModel::Closed(closed) => {
            let cycle_ms = closed.think_time_ms.mean() + scenario.traffic.request_duration_ms.mean();
            let sent = match &closed.population {
                Population::Fixed(users) => f64::from(*users) * duration.as_millis_f64() / cycle_ms,
                Population::Sessions { arrival, mean_requests } => {
                    arrivals::expected(arrival, duration) * mean_requests
                }
            };
            closed.num_requests.map_or(sent, |budget| sent.min(budget as f64))
        }
    }
}

// === impl Plan ===

impl Plan {
    /// Prepares the plan of `scenario`.
    pub fn new(scenario: &Scenario) -> Self {
        let traffic = Arc::new(scenario.traffic.clone());
        let think_ms = match &traffic.model {
            TrafficModel::Open(_) => None,
            TrafficModel::Closed(closed) => Some(closed.think_time_ms.sampler()),
        };
        Self {
            seed: scenario.simulation.seed,
            hosts: scenario.load_balancer.hosts,
            of_host: Keyed::new(scenario.simulation.seed, Purpose::Host),
            duration: scenario.simulation.duration,
            hold_ms: traffic.request_duration_ms.sampler(),
            cpu: traffic.cpu_demand.sampler(),
            think_ms,
            replays: matches!(
                &traffic.model,
                TrafficModel::Open(Arrival { process: ArrivalProcess::Trace { .. }, .. })
            ),
            traffic,
        }
    }

    /// The requests of an open loop, times nondecreasing and below the duration, except that an `arrival.count` may
    /// reach past it (see [`Arrivals`]). Empty for a closed loop.
    pub fn open_loop(&self) -> OpenLoop {
        let arrivals = match &self.traffic.model {
            TrafficModel::Open(arrival) => Some(Arrivals::new(self.seed, arrival, self.duration)),
            TrafficModel::Closed(_) => None,
        };
        OpenLoop { plan: self.clone(), arrivals, ahead: Vec::with_capacity(AHEAD), taken: 0, seq: 0 }
    }

    /// The demand of one request, keyed by (seed, request); what a trace's row says goes before what would be drawn.
    pub fn demand(&self, request: RequestId) -> Demand {
        let row = self.row(request);
        Demand {
            hold: row
                .and_then(|row| row.hold)
                .unwrap_or_else(|| Nanos::from_millis_f64(self.hold_ms.sample(&mut self.rng(Purpose::Hold, request)))),
            cpu: row.and_then(|row| row.cpu).unwrap_or_else(|| self.cpu.sample(&mut self.rng(Purpose::Cpu, request))),
        }
    }

    /// The demand that a target draws by itself for its `count`-th foreign request, from 0.
    pub fn own_demand(&self, target: TargetId, incarnation: Incarnation, count: u64) -> Demand {
        // 20 bits of target, 12 of incarnation, 32 of count: beyond those, keys meet again, which only repeats demands.
        let key = u64::from(target.0) << 44 ^ u64::from(incarnation) << 32 ^ count;
        let mut rng = KeyedRng::new(self.seed, Purpose::OwnDemand, key);
        Demand { hold: Nanos::from_millis_f64(self.hold_ms.sample(&mut rng)), cpu: self.cpu.sample(&mut rng) }
    }

    /// The host of one request: a trace's row says it, or it is uniform over the hosts, keyed by (seed, request).
    pub fn host(&self, request: RequestId) -> HostId {
        let row = self.row(request).and_then(|row| row.host);
        HostId(row.unwrap_or_else(|| self.of_host.rng(request.0).below(self.hosts)))
    }

    /// The think time after one request of a closed loop, keyed by (seed, request); 0 in an open loop.
    pub fn think_time(&self, request: RequestId) -> Nanos {
        let draw = |think: &Sampler| Nanos::from_millis_f64(think.sample(&mut self.rng(Purpose::Think, request)));
        self.think_ms.as_ref().map_or(Nanos::ZERO, draw)
    }

    /// When the sessions of a partly open loop begin; none: it is none.
    pub fn sessions(&self) -> Option<Arrivals> {
        let TrafficModel::Closed(closed) = &self.traffic.model else { return None };
        let Population::Sessions { arrival, .. } = &closed.population else { return None };
        Some(Arrivals::new(self.seed, arrival, self.duration))
    }

    /// Whether a session goes on after this request, keyed by (seed, request): their number is geometric. The users of a closed
    /// loop always go on.
    pub fn goes_on(&self, request: RequestId) -> bool {
        match &self.traffic.model {
            TrafficModel::Closed(ClosedLoop { population: Population::Sessions { mean_requests, .. }, .. }) => {
                self.rng(Purpose::Session, request).uniform() * mean_requests >= 1.0
            }
            _ => true,
        }
    }

    /// When user `user` of a closed loop starts: ⌊user·think/N⌋ µs with the mean think time in µs.
    ///
    /// 0 without think time, in an open loop, and when the think time has no finite mean.
    pub fn user_start(&self, user: u32) -> Nanos {
        let TrafficModel::Closed(closed) = &self.traffic.model else { return Nanos::ZERO };
        let Population::Fixed(users) = closed.population else { return Nanos::ZERO };
        let think_us = closed.think_time_ms.mean() * 1e3;
        if !think_us.is_finite() {
            return Nanos::ZERO;
        }
        let us = libm::floor(f64::from(user) * think_us / f64::from(users.max(1)));
        Nanos((us as u64).saturating_mul(1000))
    }

    /// SHA-256, in hex, of the plan: of every (at, host, hold, cpu) of an open loop in order, of the generating parameters
    /// of a closed one. Two runs with the same hash were asked the same things.
    ///
    /// Numbers are hashed as little-endian bytes, times in nanoseconds, doubles as their bits. An open loop is gone
    /// through once for it; what goes into the SHA-256 is the XXH3 of 128 bits of each 128 requests, as a number, since a
    /// simulation would spend a twentieth of its time on the whole. Nobody is expected to forge a plan.
    pub fn sha256(&self) -> String {
        let mut hash = PlanHash::default();
        match &self.traffic.model {
            TrafficModel::Open(_) => self.open_loop().for_each(|planned| hash.add(&planned)),
            TrafficModel::Closed(closed) => self.hash_closed(closed, &mut hash.hash),
        }
        hash.finish()
    }

    fn hash_closed(&self, closed: &ClosedLoop, hash: &mut Sha256) {
        let on_error = match closed.on_error {
            OnError::Continue => 0,
            OnError::Cancel => 1,
            OnError::Replace => 2,
        };
        let budget = closed.num_requests.unwrap_or(u64::MAX);
        let hosts = u64::from(self.hosts);
        let users = match closed.population {
            Population::Fixed(users) => u64::from(users),
            Population::Sessions { .. } => u64::MAX,
        };
        for number in [self.seed, hosts, self.duration.0, users, budget, on_error] {
            hash.update(number.to_le_bytes());
        }
        if let Population::Sessions { arrival, mean_requests } = &closed.population {
            hash.update(mean_requests.to_bits().to_le_bytes());
            Arrivals::new(self.seed, arrival, self.duration).for_each(|at| hash.update(at.0.to_le_bytes()));
        }
        for dist in [&closed.think_time_ms, &self.traffic.request_duration_ms, &self.traffic.cpu_demand] {
            hash_dist(dist, hash);
        }
    }

    /// What a trace's row says goes before what was drawn.
    fn replay(&self, planned: &mut Planned) {
        let Some(row) = self.row(RequestId::open(planned.seq)) else { return };
        planned.host = row.host.map_or(planned.host, HostId);
        planned.demand.hold = row.hold.unwrap_or(planned.demand.hold);
        planned.demand.cpu = row.cpu.unwrap_or(planned.demand.cpu);
    }

    fn row(&self, request: RequestId) -> Option<&TraceArrival> {
        match &self.traffic.model {
            TrafficModel::Open(arrival) => match &arrival.process {
                ArrivalProcess::Trace { rows, .. } => rows.get(usize::try_from(request.0).ok()?),
                _ => None,
            },
            TrafficModel::Closed(_) => None,
        }
    }

    fn rng(&self, purpose: Purpose, request: RequestId) -> KeyedRng {
        KeyedRng::new(self.seed, purpose, request.0)
    }
}

fn hash_dist(dist: &Dist, hash: &mut Sha256) {
    let (name, numbers) = dist.parameters();
    hash.update(name);
    for number in numbers {
        hash.update(number.to_bits().to_le_bytes());
    }
}

// === impl PlanHash ===

impl Default for PlanHash {
    fn default() -> Self {
        Self { hash: Sha256::new(), waiting: Box::new([[0; HASHED]; TOGETHER]), len: 0 }
    }
}

impl PlanHash {
    /// The next request of the plan.
    #[inline]
    pub fn add(&mut self, planned: &Planned) {
        let Planned { at, host, demand, .. } = *planned;
        let bytes = &mut self.waiting[self.len];
        bytes[..8].copy_from_slice(&at.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&host.0.to_le_bytes());
        bytes[12..20].copy_from_slice(&demand.hold.0.to_le_bytes());
        bytes[20..].copy_from_slice(&demand.cpu.to_bits().to_le_bytes());
        self.len += 1;
        if self.len == TOGETHER {
            self.hash_waiting();
        }
    }

    fn hash_waiting(&mut self) {
        let block = self.waiting[..self.len].as_flattened();
        self.hash.update(XxHash3_128::oneshot(block).to_le_bytes());
        self.len = 0;
    }

    /// The hash of the plan that was added, in hex.
    pub fn finish(mut self) -> String {
        if self.len > 0 {
            self.hash_waiting();
        }
        self.hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
            hex
        })
    }
}

// === impl OpenLoop ===

impl OpenLoop {
    /// The next request.
    #[inline]
    pub fn peek(&mut self) -> Option<&Planned> {
        if self.taken == self.ahead.len() {
            self.make();
        }
        self.ahead.get(self.taken)
    }

    #[inline(never)]
    fn make(&mut self) {
        let Self { plan, arrivals, ahead, taken, seq } = self;
        ahead.clear();
        *taken = 0;
        let Some(arrivals) = arrivals else { return };
        let times = arrivals.next_some();
        if times.is_empty() {
            return;
        }
        let first = RequestId::open(*seq).0;
        let (mut hosts, mut hold_ms, mut cpu) = ([0.0; AHEAD], [0.0; AHEAD], [0.0; AHEAD]);
        plan.of_host.uniforms(first, &mut hosts);
        plan.hold_ms.sample_each(plan.seed, Purpose::Hold, first, &mut hold_ms);
        plan.cpu.sample_each(plan.seed, Purpose::Cpu, first, &mut cpu);
        let drawn = hosts.into_iter().zip(hold_ms).zip(cpu);
        ahead.extend((*seq..).zip(times).zip(drawn).map(|((seq, at), ((host, hold_ms), cpu))| {
            let demand = Demand { hold: Nanos::from_millis_f64(hold_ms), cpu };
            Planned { seq, at: *at, host: HostId(scaled(host, plan.hosts)), demand }
        }));
        if plan.replays {
            ahead.iter_mut().for_each(|planned| plan.replay(planned));
        }
        *seq += ahead.len() as u64;
    }
}

impl Iterator for OpenLoop {
    type Item = Planned;

    #[inline]
    fn next(&mut self) -> Option<Planned> {
        let next = self.peek().copied()?;
        self.taken += 1;
        Some(next)
    }
}

impl FusedIterator for OpenLoop {}

#[cfg(test)]
mod tests;
