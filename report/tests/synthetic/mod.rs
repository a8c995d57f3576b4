//! The records of a run that never was: round robin over hosts, retries, scale-ups, one removal, deadlines and broken
//! connections, by a few rules that are simple enough to recount by hand.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use galton_core::counters::{Counters, LoadCounters, ProxyCounters, TargetCounters};
use galton_core::plan::Demand;
use galton_core::record::{Decision, DecisionKind, FleetEvent, FleetWhat, TraceOutcome, TraceRow};
use galton_core::rng::{KeyedRng, Purpose};
use galton_core::{FailReason, HostId, Nanos, Outcome, RejectReason, RequestId, Scenario, TargetId};
use galton_report::{Generator, HostInfo, Kind, RunData, RunMeta};
use serde_json::json;

/// Time from the client to the proxy, and back.
const WIRE: Nanos = Nanos(50_000);
const RETRY_DELAY: Nanos = Nanos(1_000_000);
const RETRY_LIMIT: u32 = 2;

/// The scenario of the run: `rate_per_sec` over `secs` seconds, two hosts, targets of ten slots, holds of 100 ms.
pub(crate) fn scenario(rate_per_sec: f64, secs: u64) -> Scenario {
    let initial = ((rate_per_sec / 80.0) as u32).max(1);
    let value = json!({
        "description": "synthetic",
        "simulation": {"duration_ms": secs * 1000, "warmup_ms": secs * 50, "seed": 7},
        "traffic": {
            "arrival": {"distribution": "poisson", "rate_per_sec": rate_per_sec},
            "request_duration_ms": {"mode": "distribution", "distribution": "exponential", "mean_ms": 100},
            "timeout_ms": 600
        },
        "load_balancer": {"architecture": "round_robin", "hosts": 2, "rr": {"retry_delay_ms": 1, "retry_limit": RETRY_LIMIT}},
        "targets": {"initial_count": initial, "max_concurrency_per_target": 10},
        "scaling": {"max_targets": initial + 1}
    });
    Scenario::from_value("synthetic", &value, &mut |_: &str| Err("no files".to_owned())).expect("the scenario is valid")
}

/// The records of that scenario.
pub(crate) fn run(rate_per_sec: f64, secs: u64) -> RunData {
    Run::new(scenario(rate_per_sec, secs)).finish()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Ready(u32),
    Ended(u64, u32),
    Attempt(u64, Option<u32>),
    Cordon,
}

struct Target {
    ready: bool,
    held: u32,
    waiters: Vec<u64>,
    counters: TargetCounters,
}

struct Run {
    scenario: Scenario,
    queue: BinaryHeap<Reverse<(Nanos, u64, Step)>>,
    steps: u64,
    rng: KeyedRng,
    targets: Vec<Target>,
    next: [usize; 2],
    rows: Vec<TraceRow>,
    decisions: Vec<Decision>,
    fleet: Vec<FleetEvent>,
    proxies: [ProxyCounters; 2],
}

impl Run {
    fn new(scenario: Scenario) -> Self {
        let rng = KeyedRng::new(scenario.simulation.seed, Purpose::Arrival, 0);
        let proxy = |host| ProxyCounters { cpu: Nanos(1_000_000), ..ProxyCounters::new(HostId(host)) };
        let mut run = Self {
            queue: BinaryHeap::new(),
            steps: 0,
            rng,
            targets: Vec::new(),
            next: [0; 2],
            rows: Vec::new(),
            decisions: Vec::new(),
            fleet: Vec::new(),
            proxies: [proxy(0), proxy(1)],
            scenario,
        };
        for _ in 0..run.scenario.targets.initial_count {
            let id = run.add_target();
            run.ready(Nanos::ZERO, id, Nanos::ZERO);
        }
        run.plan();
        let cordon = Nanos(run.scenario.simulation.duration.0 / 10 * 7);
        run.push(cordon, Step::Cordon);
        run
    }

    fn push(&mut self, at: Nanos, step: Step) {
        self.steps += 1;
        self.queue.push(Reverse((at, self.steps, step)));
    }

    fn exponential(&mut self, mean_ns: f64) -> Nanos {
        Nanos((-self.rng.uniform().ln() * mean_ns) as u64)
    }

    fn plan(&mut self) {
        let galton_core::scenario::TrafficModel::Open(arrival) = &self.scenario.traffic.model else { panic!("open") };
        let galton_core::scenario::ArrivalProcess::Poisson { rate_per_sec } = arrival.process else {
            panic!("Poisson")
        };
        let mut at = Nanos::ZERO;
        loop {
            at += self.exponential(1e9 / rate_per_sec);
            if at >= self.scenario.simulation.duration {
                return;
            }
            let seq = self.rows.len() as u64;
            let send = at + self.exponential(20_000.0);
            let demand = Demand { hold: self.exponential(100e6), cpu: 5.0 + 10.0 * self.rng.uniform() };
            let host = HostId(self.rng.below(2));
            self.rows.push(TraceRow {
                t_send: Some(send),
                attempts: Some(0),
                proxy_recv: Some(send + WIRE),
                ..TraceRow::unsent(seq, RequestId::open(seq), host, at, demand)
            });
            self.push(send + WIRE, Step::Attempt(seq, None));
        }
    }

    fn add_target(&mut self) -> u32 {
        let number = self.targets.len() as u32 + 1;
        let counters = TargetCounters { cpu: Nanos(500_000_000), ..TargetCounters::new(TargetId(number), 0) };
        self.targets.push(Target { ready: false, held: 0, waiters: Vec::new(), counters });
        number
    }

    fn log(
        &mut self,
        at: Nanos,
        target: Option<u32>,
        what: FleetWhat,
        host: Option<u32>,
        delay: Nanos,
        overrun: Nanos,
    ) {
        self.fleet.push(FleetEvent {
            at,
            version: self.fleet.len() as u64,
            target: target.map(TargetId),
            incarnation: 0,
            what,
            host: host.map(HostId),
            delay,
            overrun,
            held: 0,
        });
    }

    fn ready(&mut self, at: Nanos, id: u32, delay: Nanos) {
        self.targets[id as usize - 1].ready = true;
        let overrun = if delay > Nanos::ZERO { Nanos(40_000) } else { Nanos::ZERO };
        self.log(at, Some(id), FleetWhat::Ready, None, delay, overrun);
        for seq in std::mem::take(&mut self.targets[id as usize - 1].waiters) {
            self.attempt(at, seq, Some(id));
        }
    }

    fn host(&self, seq: u64) -> usize {
        self.rows[seq as usize].host.unwrap_or_default() as usize
    }

    fn decide(&mut self, at: Nanos, until: Nanos, seq: u64, target: Option<u32>, kind: DecisionKind) {
        let row = &self.rows[seq as usize];
        self.decisions.push(Decision {
            at,
            until,
            host: HostId(self.host(seq) as u32),
            request: RequestId::open(seq),
            attempt: row.attempts.unwrap_or_default(),
            target: target.map(|t| (TargetId(t), 0)),
            kind,
            known: self.targets.iter().filter(|t| t.ready).count() as u32,
            own: 0,
        });
    }

    fn end(&mut self, at: Nanos, seq: u64, outcome: Outcome) {
        let host = self.host(seq);
        let proxy = &mut self.proxies[host];
        let (count, status) = match outcome {
            Outcome::Ok => (&mut proxy.ok, 200),
            Outcome::Rejected(_) => (&mut proxy.rejected, 503),
            Outcome::TimedOut => (&mut proxy.timed_out, 504),
            _ => (&mut proxy.failed, 502),
        };
        *count += 1;
        let row = &mut self.rows[seq as usize];
        row.outcome = TraceOutcome::Offered(outcome);
        row.status = Some(status);
        row.proxy_done = Some(at);
        row.t_end = Some(at + WIRE);
    }

    fn attempt(&mut self, at: Nanos, seq: u64, routed: Option<u32>) {
        let host = self.host(seq);
        if self.rows[seq as usize].attempts == Some(0) {
            self.proxies[host].received += 1;
        }
        let deadline = self.rows[seq as usize].t_intended + self.scenario.traffic.timeout;
        if at >= deadline {
            return self.end(at, seq, Outcome::TimedOut);
        }
        let ring: Vec<u32> = (1..).zip(&self.targets).filter(|(_, t)| t.ready).map(|(id, _)| id).collect();
        let id = routed.unwrap_or_else(|| {
            let id = ring[self.next[host] % ring.len()];
            self.next[host] = (self.next[host] + 1) % ring.len();
            id
        });
        self.proxies[host].attempts += 1;
        let attempts = self.rows[seq as usize].attempts.unwrap_or_default() + 1;
        self.rows[seq as usize].attempts = Some(attempts);
        self.rows[seq as usize].target = Some(TargetId(id));
        if self.rng.below(500) == 0 {
            self.proxies[host].connection_failures += 1;
            self.decide(at, at, seq, Some(id), DecisionKind::Fail(FailReason::Connect));
            return self.end(at, seq, Outcome::Failed(FailReason::Connect));
        }
        let limit = self.scenario.targets.max_concurrency;
        let target = &mut self.targets[id as usize - 1];
        if target.held < limit {
            self.accept(at, seq, id, deadline, routed.is_some());
        } else {
            target.counters.refused += 1;
            self.decide(at, at, seq, Some(id), DecisionKind::Refuse);
            if attempts <= RETRY_LIMIT {
                self.push(at + RETRY_DELAY, Step::Attempt(seq, None));
            } else {
                self.scale_up(at, seq);
            }
        }
    }

    fn accept(&mut self, at: Nanos, seq: u64, id: u32, deadline: Nanos, routed: bool) {
        let target = &mut self.targets[id as usize - 1];
        target.held += 1;
        target.counters.accepted += 1;
        let row = &mut self.rows[seq as usize];
        let until = (at + row.hold_demand).min(deadline);
        row.overhead = row.proxy_recv.map(|received| at - received);
        (row.target_start, row.target_done) = (Some(at), Some(until));
        let kind = if routed { DecisionKind::ScaleRoute } else { DecisionKind::Accept };
        self.decide(at, until, seq, Some(id), kind);
        self.push(until, Step::Ended(seq, id));
    }

    fn scale_up(&mut self, at: Nanos, seq: u64) {
        let host = self.rows[seq as usize].host;
        if self.targets.len() as u32 >= self.scenario.scaling.max_targets {
            self.log(at, None, FleetWhat::UpRefused, host, Nanos::ZERO, Nanos::ZERO);
            self.decide(at, at, seq, None, DecisionKind::Reject(RejectReason::NoCapacity));
            return self.end(at, seq, Outcome::Rejected(RejectReason::NoCapacity));
        }
        let delay = Nanos::from_millis(200);
        let id = self.add_target();
        self.log(at, Some(id), FleetWhat::Starting, host, delay, Nanos::ZERO);
        self.targets[id as usize - 1].waiters.push(seq);
        self.push(at + delay + Nanos(40_000), Step::Ready(id));
    }

    fn step(&mut self, at: Nanos, step: Step) {
        match step {
            Step::Ready(id) => self.ready(at, id, Nanos::from_millis(200)),
            Step::Attempt(seq, routed) => self.attempt(at, seq, routed),
            Step::Cordon if self.targets.iter().filter(|t| t.ready).count() < 2 => {}
            Step::Cordon => {
                self.targets[0].ready = false;
                self.log(at, Some(1), FleetWhat::Cordoned, Some(0), Nanos::from_millis(200), Nanos::ZERO);
                self.stop_if_empty(at);
            }
            Step::Ended(seq, id) => {
                let target = &mut self.targets[id as usize - 1];
                target.held -= 1;
                let row = &self.rows[seq as usize];
                if at == row.t_intended + self.scenario.traffic.timeout {
                    target.counters.cancelled += 1;
                    let host = self.host(seq);
                    self.proxies[host].closed += 1;
                    self.end(at, seq, Outcome::TimedOut);
                } else {
                    target.counters.completed += 1;
                    self.end(at, seq, Outcome::Ok);
                }
                if id == 1 {
                    self.stop_if_empty(at);
                }
            }
        }
    }

    fn stop_if_empty(&mut self, at: Nanos) {
        if !self.targets[0].ready && self.targets[0].held == 0 {
            self.log(at, Some(1), FleetWhat::Drained, None, Nanos::ZERO, Nanos::ZERO);
            self.log(at, Some(1), FleetWhat::Stopped, None, Nanos::from_millis(200), Nanos::ZERO);
        }
    }

    fn finish(mut self) -> RunData {
        while let Some(Reverse((at, _, step))) = self.queue.pop() {
            self.step(at, step);
        }
        // Hosts write a decision when it is complete, so merged files are in no particular order of dispatch.
        self.decisions.sort_by_key(|d| (d.until, d.host));
        let sent = self.rows.len() as u64;
        RunData {
            meta: RunMeta {
                kind: Kind::Simulated,
                id: "synthetic-1".to_owned(),
                started_unix_ns: 1_700_000_000_000_000_000,
                command: ["galton", "run", "synthetic.json", "--seed", "7"].map(str::to_owned).to_vec(),
                version: "0.1.0".to_owned(),
                time_scale: 1.0,
                host: HostInfo {
                    cpus: 2,
                    kernel: "Linux 6.1".to_owned(),
                    cpu_model: "A <fast> & \"small\" one".to_owned(),
                },
                plan_sha256: "0123456789abcdef".repeat(4),
            },
            counters: Counters {
                load: LoadCounters { sent, connect_failures: 0, cpu: Nanos(1), peak_thread_cpu: 0.3 },
                proxies: self.proxies.to_vec(),
                targets: self.targets.into_iter().map(|t| t.counters).collect(),
                ..Counters::default()
            },
            scenario: self.scenario,
            trace: self.rows,
            decisions: Some(self.decisions),
            fleet: self.fleet,
            generator: Generator { planned: Some(sent), ..Generator::default() },
            reasons: Vec::new(),
            interrupted: false,
        }
    }
}
