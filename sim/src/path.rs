//! The path of a request: from its send over a host and a target back to its client.

use galton_core::host::{Arrival, AttemptEnd, Input, Ticket, TimerId};
use galton_core::plan::Demand;
use galton_core::scenario::{CpuMode, OnDisconnect};
use galton_core::{CallId, HostId, Incarnation, Nanos, Outcome, TargetId};

use crate::machine::Hop;
use crate::observer::Observer;
use crate::requests::{Answer, Attempt, Deadline};
use crate::source::Sent;
use crate::world::{Event, World};

/// The queue is tidied when it is this much longer than what is under way can need.
const IDLE_EVENTS: usize = 4096;
/// Events that one request has in the queue, at most.
const EVENTS_PER_REQUEST: usize = 4;

impl<O: Observer> World<'_, O> {
    /// A client sends a request.
    pub(crate) fn send(&mut self, sent: Sent) {
        self.sent += 1;
        let lag = self.hop(Hop::SendLag, &sent, 0);
        let t_send = self.now + lag;
        let call = self.requests.open(sent, t_send);
        if self.machine.is_none() {
            return self.arrive(call);
        }
        let way = self.hop(Hop::ClientToProxy, &sent, 0) + self.hop(Hop::Pick, &sent, 0);
        self.queue.push(t_send + way, Event::Arrive(call));
    }

    /// A host has the request.
    pub(crate) fn arrive(&mut self, call: CallId) {
        let Some(sent) = self.requests.get(call).map(|request| request.sent) else { return };
        let received = self.now - self.hop(Hop::Pick, &sent, 0);
        if let Some(request) = self.requests.get(call) {
            request.proxy_recv = Some(received);
        }
        self.proxies[sent.host.0 as usize].received += 1;
        let deadline = sent.at + self.scenario.traffic.timeout;
        let arrival = Arrival { call, request: sent.request, deadline, idempotent: true };
        self.feed_host(sent.host, Input::Arrive(arrival));
    }

    /// A host sends an attempt to a target.
    pub(crate) fn dispatch(&mut self, host: HostId, call: CallId, ticket: Ticket, number: u32) {
        self.proxies[host.0 as usize].attempts += 1;
        let Some(request) = self.requests.get(call) else { return };
        let attempt = Attempt { ticket, number, dispatched: self.now, held: false, end: None };
        request.attempt = Some(attempt);
        if self.machine.is_none() {
            return self.reach(call, number);
        }
        let sent = request.sent;
        let way = self.hop(Hop::ProxyToTarget, &sent, number);
        self.queue.push(self.now + way, Event::Reach(call, number));
        self.needs_deadline(call);
    }

    /// The target has the attempt: it takes it, or refuses.
    pub(crate) fn reach(&mut self, call: CallId, number: u32) {
        let Some(request) = self.requests.get(call) else { return };
        let (sent, asked) = (request.sent, request.asked());
        let Some(attempt) = request.attempt.as_ref().filter(|a| a.number == number && a.end.is_none()) else { return };
        let (target, incarnation, dispatched) =
            (attempt.ticket.target(), attempt.ticket.incarnation(), attempt.dispatched);
        let (now, limit) = (self.now, self.scenario.targets.max_concurrency);
        let refused = match self.process(target, incarnation).map(|process| process.offer(now, limit)) {
            Some(true) => None,
            Some(false) => Some(AttemptEnd::Full),
            None => {
                self.proxies[sent.host.0 as usize].connection_failures += 1;
                Some(AttemptEnd::Gone)
            }
        };
        if let Some(end) = refused {
            let seen = now.max(dispatched + self.hop(Hop::Refusal, &sent, number));
            return self.end_attempt(call, number, end, seen);
        }
        if let Some(request) = self.requests.get(call) {
            request.target_start = Some(now);
            request.attempt.iter_mut().for_each(|attempt| attempt.held = true);
        }
        self.observer.taken(dispatched, target, &asked);
        self.hold(call, number, &sent, target, incarnation);
    }

    fn hold(&mut self, call: CallId, number: u32, sent: &Sent, target: TargetId, incarnation: Incarnation) {
        let now = self.now;
        if let Some(shared) = self.process(target, incarnation).and_then(|process| process.shared.as_mut()) {
            shared.arrive(now, &sent.demand, call, number);
            self.schedule_shared(target, incarnation);
            return self.needs_deadline(call);
        }
        let (length, burnt) = self.hold_of(&sent.demand);
        let over = now + length + self.hop(Hop::HoldOver, sent, number);
        self.queue.push(over, Event::HoldOver(call, number));
        let Some(request) = self.requests.get(call) else { return };
        request.cpu_used = burnt;
        // The deadline does not matter to a hold that is over before it. Of equal times it comes first.
        if let Deadline::Noted(deadline, _) = request.deadline
            && deadline <= over
        {
            self.needs_deadline(call);
        }
    }

    /// How long a target holds such a request, and what CPU time it spends on it. Every request has a core to burn.
    fn hold_of(&self, demand: &Demand) -> (Nanos, Option<Nanos>) {
        if self.scenario.targets.cpu_mode != CpuMode::Burn {
            return (demand.hold, None);
        }
        let burnt = Nanos::rounded(demand.cpu * self.scenario.targets.cpu_unit.0 as f64);
        (demand.hold.max(burnt), Some(burnt))
    }

    pub(crate) fn hold_over(&mut self, call: CallId, number: u32) {
        let held = |attempt: &&mut Attempt| attempt.held && attempt.end.is_none();
        let Some(attempt) = self.requests.attempt(call, number).filter(held) else {
            return self.deserted_hold_over(call, number);
        };
        let (target, incarnation) = (attempt.ticket.target(), attempt.ticket.incarnation());
        let now = self.now;
        let Some(request) = self.requests.get(call) else { return };
        request.target_done = Some(now);
        let (sent, burnt) = (request.sent, request.cpu_used.unwrap_or_default());
        if let Some(process) = self.process(target, incarnation) {
            process.complete();
            process.counters.cpu_burned += burnt;
        }
        let done = AttemptEnd::Done { ok: true };
        let Some(attempt) = self.requests.attempt(call, number) else { return };
        if self.machine.is_none() {
            attempt.end = Some(done);
            return self.attempt_over(call, number);
        }
        let seen = now + self.hop(Hop::TargetToProxy, &sent, number);
        self.end_attempt(call, number, done, seen);
    }

    /// A hold that went on although its caller had gone is over, unless its process ended before.
    fn deserted_hold_over(&mut self, call: CallId, number: u32) {
        if let Some((target, incarnation)) = self.deserted.remove(&(call, number))
            && let Some(process) = self.process(target, incarnation)
        {
            process.complete();
        }
    }

    pub(crate) fn shared_hold_over(&mut self, target: TargetId, incarnation: Incarnation) {
        let now = self.now;
        let Some(shared) = self.process(target, incarnation).and_then(|process| process.shared.as_mut()) else {
            return;
        };
        if shared.due != Some(now) {
            return;
        }
        shared.due = None;
        let over: Vec<_> = std::iter::from_fn(|| shared.finish(now)).collect();
        self.schedule_shared(target, incarnation);
        for (call, number) in over {
            self.hold_over(call, number);
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
        let (number, held) = (attempt.number, attempt.held);
        let (target, incarnation) = (attempt.ticket.target(), attempt.ticket.incarnation());
        let now = self.now;
        if held && self.scenario.targets.on_disconnect == OnDisconnect::Finish {
            self.deserted.insert((call, number), (target, incarnation));
        } else if held && let Some(process) = self.process(target, incarnation) {
            process.cancel(now, call, number);
            self.schedule_shared(target, incarnation);
        }
        self.end_attempt(call, number, AttemptEnd::Closed, now);
    }

    /// An attempt has ended; its host sees it at `seen`.
    pub(crate) fn end_attempt(&mut self, call: CallId, number: u32, end: AttemptEnd, seen: Nanos) {
        if let Some(attempt) = self.requests.attempt(call, number) {
            attempt.end = Some(end);
            self.queue.push(seen, Event::AttemptOver(call, number));
        }
    }

    pub(crate) fn attempt_over(&mut self, call: CallId, number: u32) {
        let Some(request) = self.requests.get(call) else { return };
        let host = request.sent.host;
        let Some(Attempt { ticket, end: Some(end), .. }) = request.attempt.take_if(|a| a.number == number) else {
            return;
        };
        self.feed_host(host, Input::AttemptEnded { ticket, end });
        self.requests.close_if_over(call);
    }

    /// A host has answered.
    pub(crate) fn answer(&mut self, host: HostId, call: CallId, answer: Answer) {
        let counters = &mut self.proxies[host.0 as usize];
        *match answer.outcome {
            Outcome::Ok => &mut counters.ok,
            Outcome::Rejected(_) => &mut counters.rejected,
            Outcome::TimedOut => &mut counters.timed_out,
            _ => &mut counters.failed,
        } += 1;
        let Some(request) = self.requests.get(call) else { return };
        request.answer = Some(answer);
        if self.machine.is_none() {
            return self.answered(call);
        }
        let sent = request.sent;
        let way = self.hop(Hop::ProxyToClient, &sent, 0);
        self.queue.push(self.now + way, Event::Answered(call));
    }

    /// The client has its response.
    pub(crate) fn answered(&mut self, call: CallId) {
        let now = self.now;
        let Some(request) = self.requests.get(call) else { return };
        request.closed = true;
        let outcome = request.answer.map_or(Outcome::Unfinished, |answer| answer.outcome);
        let sent = request.sent;
        self.observer.ended(&request.row(Some(now)));
        self.requests.close_if_over(call);
        if self.source.ended(sent.request, outcome, now) {
            self.asks_at = Some(now);
            self.queue.push(now, Event::Send);
        }
    }

    /// A sleep of a host is over. The deadline of a request that has been answered meanwhile is none.
    pub(crate) fn timer(&mut self, host: HostId, id: TimerId) {
        if let TimerId::Deadline(call) = id {
            match self.requests.get(call).filter(|request| request.answer.is_none()) {
                Some(request) => request.deadline = Deadline::None,
                None => return,
            }
        }
        self.feed_host(host, Input::Timer { id });
    }

    /// What the request is doing now may last until its deadline.
    pub(crate) fn needs_deadline(&mut self, call: CallId) {
        let Some(request) = self.requests.get(call) else { return };
        let Deadline::Noted(at, place) = request.deadline else { return };
        request.deadline = Deadline::Queued;
        let host = request.sent.host;
        self.queue.push_at_place(place, at, Event::Timer(host, TimerId::Deadline(call)));
        if self.queue.len() > IDLE_EVENTS + 2 * EVENTS_PER_REQUEST * self.requests.len() {
            let requests = &self.requests;
            self.queue.retain(|event| match event {
                Event::Timer(_, TimerId::Deadline(call) | TimerId::Queue(call)) => requests.holds(*call),
                _ => true,
            });
        }
    }

    /// What a hop adds: nothing without a machine.
    #[inline]
    fn hop(&self, hop: Hop, sent: &Sent, attempt: u32) -> Nanos {
        self.machine.map_or(Nanos::ZERO, |machine| machine.hop(hop, sent.request, attempt))
    }

    /// When an injected wait of a host that should end at `until` does end.
    pub(crate) fn woken_at(&mut self, id: TimerId, until: Nanos) -> Nanos {
        let TimerId::Wait(call, wait) = id else { return until };
        let Some(sent) = self.requests.get(call).map(|request| request.sent) else { return until };
        until + self.hop(Hop::WaitOver, &sent, wait)
    }
}
