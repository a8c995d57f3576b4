//! The path of a request: from its send over a host and a target back to its client.

use galton_core::host::{Arrival, AttemptEnd, Input, Ticket, TimerId};
use galton_core::plan::Demand;
use galton_core::scenario::{CpuMode, OnDisconnect, Scenario};
use galton_core::{CallId, HostId, Incarnation, Nanos, Outcome, TargetId};

use crate::edge::{Edge, process_of};
use crate::machine::{Hop, Machine};
use crate::observer::Observer;
use crate::requests::{Answer, Attempt, Deadline, Moment, Request};
use crate::source::Sent;
use crate::world::{Event, World};

/// The queue is not tidied before it is as long as this.
pub(crate) const FEW_EVENTS: usize = 4096;

impl<O: Observer> World<'_, O> {
    /// A client sends a request.
    #[inline(always)]
    pub(crate) fn send(&mut self, sent: Sent) {
        self.edge.sent += 1;
        let lag = self.edge.hop(Hop::SendLag, &sent, 0);
        let t_send = self.edge.now + lag;
        let call = self.edge.requests.open(sent, t_send);
        if self.edge.machine.is_none() {
            return self.arrive(call);
        }
        let way = self.edge.hop(Hop::ClientToProxy, &sent, 0) + self.edge.hop(Hop::Pick, &sent, 0);
        self.edge.queue.push(t_send + way, Event::Arrive(call));
    }

    /// A host has the request.
    #[inline(always)]
    pub(crate) fn arrive(&mut self, call: CallId) {
        let Some(request) = self.edge.requests.get(call) else { return };
        let Sent { request: id, at, host, .. } = request.sent;
        request.proxy_recv = Moment::at(self.edge.now - hop(self.edge.machine, Hop::Pick, &request.sent, 0));
        self.edge.proxies[host.0 as usize].received += 1;
        let deadline = at + self.edge.scenario.traffic.timeout;
        let arrival = Arrival { call, request: id, deadline, idempotent: true };
        self.feed_arrival(host, arrival);
    }

    #[inline(always)]
    pub(crate) fn hold_over(&mut self, call: CallId, number: u32) {
        let Edge { requests, targets, scenario, machine, queue, now, .. } = &mut self.edge;
        let this = |attempt: &mut Attempt| attempt.is_held(number);
        let request = requests.get(call);
        let Some((request, attempt)) = request.and_then(|r| r.attempt.take_if(this).map(|attempt| (r, attempt))) else {
            return self.edge.deserted_hold_over(call, number);
        };
        request.target_done = Moment::at(*now);
        let ticket = attempt.ticket;
        if let Some(process) = process_of(targets, ticket.target(), ticket.incarnation()) {
            process.complete();
            process.counters.cpu_burned += hold_of(scenario, &request.sent.demand).1.unwrap_or_default();
        }
        let (host, end) = (request.sent.host, AttemptEnd::Done { ok: true });
        if machine.is_none() {
            return self.host_sees_end(host, ticket, end);
        }
        let seen = *now + hop(*machine, Hop::TargetToProxy, &request.sent, number);
        request.attempt = Some(Attempt { ticket, held: true, end: Some(end) });
        queue.push(seen, Event::AttemptOver(call, number));
    }

    pub(crate) fn shared_hold_over(&mut self, target: TargetId, incarnation: Incarnation) {
        let now = self.edge.now;
        let Some(shared) = self.edge.process(target, incarnation).and_then(|process| process.shared.as_mut()) else {
            return;
        };
        if shared.due != Some(now) {
            return;
        }
        shared.due = None;
        let over: Vec<_> = std::iter::from_fn(|| shared.finish(now)).collect();
        self.edge.schedule_shared(target, incarnation);
        for (call, number) in over {
            self.hold_over(call, number);
        }
    }

    pub(crate) fn attempt_over(&mut self, call: CallId, number: u32) {
        let Some(request) = self.edge.requests.get(call) else { return };
        let host = request.sent.host;
        let this = |attempt: &mut Attempt| attempt.ticket.attempt() == number;
        let Some(Attempt { ticket, end: Some(end), .. }) = request.attempt.take_if(this) else { return };
        self.host_sees_end(host, ticket, end);
    }

    #[inline(always)]
    fn host_sees_end(&mut self, host: HostId, ticket: Ticket, end: AttemptEnd) {
        let call = ticket.call();
        self.feed_end(host, ticket, end);
        self.edge.requests.close_if_over(call);
    }

    /// A sleep of a host is over. The deadline of a request that has been answered meanwhile is none.
    pub(crate) fn timer(&mut self, host: HostId, id: TimerId) {
        if let TimerId::Deadline(call) = id {
            match self.edge.requests.get(call).filter(|request| !request.answered) {
                Some(request) => request.deadline = Deadline::None,
                None => return,
            }
        }
        self.feed_host(host, Input::Timer { id });
    }
}

impl<O: Observer> Edge<'_, O> {
    /// A host sends an attempt to a target.
    #[inline(always)]
    pub(crate) fn dispatch(&mut self, host: HostId, ticket: Ticket) {
        self.proxies[host.0 as usize].attempts += 1;
        let (call, number) = (ticket.call(), ticket.attempt());
        if self.machine.is_none() {
            return self.offer(host, ticket);
        }
        let Some(request) = self.requests.get(call) else { return };
        request.attempt = Some(Attempt { ticket, held: false, end: None });
        let way = hop(self.machine, Hop::ProxyToTarget, &request.sent, number);
        self.queue.push(self.now + way, Event::Reach(call, number));
        self.needs_deadline(call);
    }

    /// The target has the attempt.
    pub(crate) fn reach(&mut self, call: CallId, number: u32) {
        let Some(request) = self.requests.get(call) else { return };
        let this = |attempt: &mut Attempt| attempt.ticket.attempt() == number && attempt.end.is_none();
        if let Some(Attempt { ticket, .. }) = request.attempt.take_if(this) {
            let host = request.sent.host;
            self.offer(host, ticket);
        }
    }

    /// The target takes the attempt, or refuses.
    #[inline(always)]
    fn offer(&mut self, host: HostId, ticket: Ticket) {
        let (call, number, dispatched) = (ticket.call(), ticket.attempt(), ticket.dispatched());
        let (target, incarnation) = (ticket.target(), ticket.incarnation());
        let (now, limit) = (self.now, self.scenario.targets.max_concurrency);
        let taken = self.process(target, incarnation).map(|process| process.offer(now, limit));
        let Some(request) = self.requests.get(call) else { return };
        let held = taken == Some(true);
        request.attempt = Some(Attempt { ticket, held, end: None });
        if held {
            request.target_start = Moment::at(now);
            self.observer.taken(dispatched, target, &request.asked());
            if self.shares {
                return self.hold_shared(call, number);
            }
            let (length, _) = hold_of(self.scenario, &request.sent.demand);
            let over = now + length + hop(self.machine, Hop::HoldOver, &request.sent, number);
            // The deadline does not matter to a hold that is over before it. Of equal times it comes first.
            let lasts = matches!(request.deadline, Deadline::Noted(deadline, _) if deadline <= over);
            self.queue.push(over, Event::HoldOver(call, number, host, target));
            if lasts {
                self.needs_deadline(call);
            }
            return;
        }
        let seen = now.max(dispatched + hop(self.machine, Hop::Refusal, &request.sent, number));
        let end = if taken.is_some() { AttemptEnd::Full { committed: false } } else { AttemptEnd::Gone };
        self.proxies[host.0 as usize].connection_failures += u64::from(taken.is_none());
        self.end_attempt(call, number, end, seen);
    }

    fn hold_shared(&mut self, call: CallId, number: u32) {
        let now = self.now;
        let Some(Request { sent: Sent { demand, .. }, attempt: Some(attempt), .. }) = self.requests.get(call) else {
            return;
        };
        let (demand, target, incarnation) = (*demand, attempt.ticket.target(), attempt.ticket.incarnation());
        if let Some(shared) = self.process(target, incarnation).and_then(|process| process.shared.as_mut()) {
            shared.arrive(now, &demand, call, number);
            self.schedule_shared(target, incarnation);
            self.needs_deadline(call);
        }
    }

    /// A hold that went on although its caller had gone is over, unless its process ended before.
    #[cold]
    fn deserted_hold_over(&mut self, call: CallId, number: u32) {
        if let Some((target, incarnation)) = self.deserted.remove(&(call, number))
            && let Some(process) = self.process(target, incarnation)
        {
            process.complete();
        }
    }

    fn schedule_shared(&mut self, target: TargetId, incarnation: Incarnation) {
        let Some(shared) = self.process(target, incarnation).and_then(|process| process.shared.as_mut()) else {
            return;
        };
        let next = shared.next();
        if shared.due != next {
            shared.due = next;
            if let Some(at) = next {
                self.queue.push(at, Event::SharedHoldOver(target, incarnation));
            }
        }
    }

    /// A host closes an attempt.
    pub(crate) fn abort(&mut self, call: CallId) {
        let Some(request) = self.requests.get(call) else { return };
        let Some(attempt) = request.attempt.as_ref().filter(|attempt| attempt.end.is_none()) else { return };
        self.proxies[request.sent.host.0 as usize].closed += 1;
        let (number, held) = (attempt.ticket.attempt(), attempt.held);
        let (target, incarnation) = (attempt.ticket.target(), attempt.ticket.incarnation());
        let now = self.now;
        if held && self.scenario.targets.on_disconnect == OnDisconnect::Finish {
            self.deserted.insert((call, number), (target, incarnation));
        } else if held && let Some(process) = self.process(target, incarnation) {
            process.cancel(now, call, number);
            self.schedule_shared(target, incarnation);
        }
        self.end_attempt(call, number, AttemptEnd::Closed { committed: false }, now);
    }

    /// An attempt has ended; its host sees it at `seen`.
    pub(crate) fn end_attempt(&mut self, call: CallId, number: u32, end: AttemptEnd, seen: Nanos) {
        if let Some(attempt) = self.requests.attempt(call, number) {
            attempt.end = Some(end);
            self.queue.push(seen, Event::AttemptOver(call, number));
        }
    }

    /// A host has answered.
    #[inline(always)]
    pub(crate) fn answer(&mut self, host: HostId, call: CallId, answer: Answer) {
        let counters = &mut self.proxies[host.0 as usize];
        *match answer.outcome {
            Outcome::Ok => &mut counters.ok,
            Outcome::Rejected(_) => &mut counters.rejected,
            Outcome::TimedOut => &mut counters.timed_out,
            _ => &mut counters.failed,
        } += 1;
        if self.machine.is_none() {
            return self.answered(call, &answer);
        }
        let Some(request) = self.requests.get(call) else { return };
        request.answered = true;
        let sent = request.sent;
        let way = self.hop(Hop::ProxyToClient, &sent, 0);
        self.queue.push(self.now + way, Event::Answered(call, Box::new(answer)));
    }

    /// The client has its response.
    #[inline(always)]
    pub(crate) fn answered(&mut self, call: CallId, answer: &Answer) {
        let (now, scenario) = (self.now, self.scenario);
        let Some(request) = self.requests.get(call) else { return };
        (request.answered, request.closed) = (true, true);
        let sent = request.sent;
        let row = || request.row(Some(answer), Some(now), hold_of(scenario, &sent.demand).1);
        self.observer.ended(&request.ended(Some(answer), Some(now)), row);
        self.requests.close_if_over(call);
        if self.source.ended(sent.request, answer.outcome, now) {
            self.asks_at = Some(now);
            self.queue.push(now, Event::Send);
        }
    }

    /// What the request is doing now may last until its deadline.
    pub(crate) fn needs_deadline(&mut self, call: CallId) {
        let Some(request) = self.requests.get(call) else { return };
        let Deadline::Noted(at, place) = request.deadline else { return };
        request.deadline = Deadline::Queued;
        let host = request.sent.host;
        self.queue.push_at_place(place, at, Event::Timer(host, TimerId::Deadline(call)));
        if self.queue.len() > self.tidied_beyond {
            self.tidy();
        }
    }

    /// Drops the events of which nothing will come: of requests that are over, and of attempts that nobody holds any more. The next
    /// time is when as many as are left may have been added, so that each event is gone through a few times at most.
    #[cold]
    fn tidy(&mut self) {
        let Self { queue, requests, deserted, .. } = self;
        queue.retain(|event| match event {
            Event::Timer(_, TimerId::Deadline(call) | TimerId::Queue(call) | TimerId::Try(call, _)) => {
                requests.holds(*call)
            }
            Event::HoldOver(call, number, ..) => {
                requests.is_held(*call, *number) || deserted.contains_key(&(*call, *number))
            }
            _ => true,
        });
        self.tidied_beyond = FEW_EVENTS + 2 * self.queue.len();
    }

    /// What a hop adds: nothing without a machine.
    #[inline(always)]
    fn hop(&self, hop: Hop, sent: &Sent, attempt: u32) -> Nanos {
        self::hop(self.machine, hop, sent, attempt)
    }

    /// When an injected wait of a host that should end at `until` does end.
    pub(crate) fn woken_at(&mut self, id: TimerId, until: Nanos) -> Nanos {
        let TimerId::Wait(call, wait) = id else { return until };
        let Some(sent) = self.requests.get(call).map(|request| request.sent) else { return until };
        until + self.hop(Hop::WaitOver, &sent, wait)
    }
}

/// How long a target holds such a request, and what CPU time it spends on it. Every request has a core to burn.
#[inline(always)]
fn hold_of(scenario: &Scenario, demand: &Demand) -> (Nanos, Option<Nanos>) {
    if scenario.targets.cpu_mode != CpuMode::Burn {
        return (demand.hold, None);
    }
    let burnt = Nanos::rounded(demand.cpu * scenario.targets.cpu_unit.0 as f64);
    (demand.hold.max(burnt), Some(burnt))
}

/// What a hop adds: nothing without a machine.
#[inline(always)]
fn hop(machine: Option<Machine<'_>>, hop: Hop, sent: &Sent, attempt: u32) -> Nanos {
    machine.map_or(Nanos::ZERO, |machine| machine.hop(hop, sent.request, attempt))
}
