//! What is simulated of everything around the machines that decide: the traffic, the targets, the requests under way, and the
//! queue between them.

use std::collections::BTreeMap;

use galton_core::counters::{Counters, LoadCounters, ProxyCounters};
use galton_core::host::Host;
use galton_core::scenario::{CpuMode, Scenario};
use galton_core::{CallId, Incarnation, Nanos, TargetId};

use crate::machine::{Errand, Machine};
use crate::observer::Observer;
use crate::path::FEW_EVENTS;
use crate::queue::EventQueue;
use crate::requests::{Attempt, Requests};
use crate::source::{Next, Sent, Source};
use crate::target::Target;
use crate::world::{Endless, Event, Totals};

pub(crate) struct Edge<'a, O> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) machine: Option<Machine<'a>>,
    /// The requests of a target share its CPU.
    pub(crate) shares: bool,
    pub(crate) observer: &'a mut O,
    pub(crate) now: Nanos,
    pub(crate) queue: EventQueue<Event>,
    /// The queue is tidied once it is longer than this.
    pub(crate) tidied_beyond: usize,
    pub(crate) source: Source,
    /// For when the source is to be asked again.
    pub(crate) asks_at: Option<Nanos>,
    /// Nothing happens after that: the hard stop, or, once nothing more will be sent, the end of the drain.
    pub(crate) end: Nanos,
    /// Why it cannot come to an end.
    endless: Option<Endless>,
    pub(crate) requests: Requests,
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
}

impl<'a, O: Observer> Edge<'a, O> {
    pub(crate) fn new(scenario: &'a Scenario, machine: Option<Machine<'a>>, observer: &'a mut O) -> Self {
        Self {
            scenario,
            machine,
            shares: scenario.targets.cpu_mode == CpuMode::Slowdown,
            observer,
            now: Nanos::ZERO,
            queue: EventQueue::new(),
            tidied_beyond: FEW_EVENTS,
            source: Source::new(scenario),
            asks_at: None,
            end: scenario.simulation.total_time.unwrap_or(Nanos::MAX),
            endless: None,
            requests: Requests::default(),
            targets: Vec::new(),
            retired: Vec::new(),
            deserted: BTreeMap::new(),
            proxies: Vec::new(),
            heard: vec![Nanos::ZERO; scenario.load_balancer.hosts as usize],
            sent: 0,
            errands: 0,
        }
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
    #[inline(always)]
    pub(crate) fn process(&mut self, target: TargetId, incarnation: Incarnation) -> Option<&mut Target> {
        process_of(&mut self.targets, target, incarnation)
    }

    /// The source is asked because it was time to.
    #[inline(always)]
    pub(crate) fn asked_now(&mut self) {
        if self.asks_at.is_some_and(|at| at <= self.now) {
            self.asks_at = None;
        }
    }

    /// What is due; none: nothing more now, and an event comes when the source is to be asked again.
    #[inline(always)]
    pub(crate) fn next_sent(&mut self) -> Option<Sent> {
        match self.source.next(self.now) {
            Next::Send(sent) => return Some(sent),
            Next::Wait(until) => {
                let hard_stop = self.scenario.simulation.total_time.unwrap_or(Nanos::MAX);
                if until < hard_stop && self.asks_at.is_none_or(|at| until < at) {
                    self.asks_at = Some(until);
                    self.queue.push_recurrent(until, Event::Send);
                }
            }
            Next::Over => self.sending_is_over(),
            Next::Endless(sent) => self.give_up(sent),
        }
        None
    }

    /// The drain begins, though not before the duration is over. Who has answers is asked again and again: the first time counts.
    #[cold]
    fn sending_is_over(&mut self) {
        let simulation = &self.scenario.simulation;
        self.asks_at = None;
        self.end = self.end.min(self.now.max(simulation.duration) + simulation.drain);
    }

    /// Nothing more is sent, and what is under way does not matter.
    #[cold]
    fn give_up(&mut self, sent: u64) {
        self.endless.get_or_insert(Endless { at: self.now, sent });
        self.end = Nanos::ZERO;
    }

    /// How long an errand of the fleet takes: no time without a machine.
    pub(crate) fn errand(&mut self, errand: Errand) -> Nanos {
        self.errands += 1;
        self.machine.map_or(Nanos::ZERO, |machine| machine.errand(errand, self.errands))
    }

    /// The run is over. What is under way is cut off; as live, where clients go away then.
    pub(crate) fn finish(mut self, hosts: &[Host]) -> Result<Totals, Endless> {
        if let Some(endless) = self.endless {
            return Err(endless);
        }
        for (_, request) in self.requests.in_order() {
            let number = request.sent.host.0 as usize;
            if let Some(Attempt { ticket, end, held }) = &request.attempt {
                // One that is on its way to its target never arrives.
                self.proxies[number].closed += u64::from(end.is_none() && !held);
                self.observer.decided(&hosts[number].cut_off(self.end, ticket, *end), &request.asked());
            }
            self.proxies[number].cancelled += u64::from(request.is_at_its_host());
            self.observer.ended(&request.ended(None, None), || request.row(None, None, None));
        }
        for sent in self.source.unsent() {
            let row = sent.unsent();
            self.observer.ended(&row.ended(), || row);
        }
        for (proxy, host) in self.proxies.iter_mut().zip(hosts) {
            proxy.in_flight_at_end = host.in_flight().into();
        }
        let processes = self.targets.into_iter().flatten().chain(self.retired);
        let mut targets: Vec<_> = processes.map(|target| target.counters).collect();
        targets.sort_by_key(|t| (t.target, t.incarnation));
        let load = LoadCounters { sent: self.sent, ..LoadCounters::default() };
        let counters = Counters { load, proxies: self.proxies, targets, ..Counters::default() };
        Ok(Totals { counters, users: self.source.user_ends(), plan_sha256: self.source.plan_sha256() })
    }
}

/// As [`Edge::process`].
#[inline(always)]
pub(crate) fn process_of(
    targets: &mut [Option<Target>],
    target: TargetId,
    incarnation: Incarnation,
) -> Option<&mut Target> {
    let process = targets.get_mut(target.0 as usize)?.as_mut();
    process.filter(|process| process.running && process.incarnation == incarnation)
}
