//! One load-balancer host as a state machine without I/O: retries, waits, queues, deadlines, idle scans.
//!
//! The proxy turns [`Effect`]s into sockets and precise timers, the simulator into queue entries; both feed what happens
//! back as [`Input`]s. Neither decides anything. The order of the effects of one call is the order in which they happen.
//!
//! What every call goes through is always inlined, here and in the simulator around it: where the compiler prefers to share such
//! functions, as it does when it optimises over whole crates, calls pass through memory, and a simulation takes up to a fifth longer.
//!
//! The steps are those of the scenario's semantics (`docs/scenario.md`): a call takes *attempts*, picked by the
//! architecture's policy (`ring`, `least_conns`); when nobody can take it, the scenario's mode decides; a deadline
//! ends it wherever it is.

mod attempt;
mod call;
mod exhausted;
mod fleet_view;
mod idle;
mod io;
mod least_conns;
mod queue;
mod ring;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use call::{Call, Calls, Stage};
use fleet_view::FleetView;
use idle::Scans;
pub use io::*;
pub use least_conns::LeastConns;
use queue::Queue;
use ring::Ring;
use rules::Rules;

use crate::ids::{CallId, HostId};
use crate::outcome::Outcome;
use crate::record::Decision;
use crate::scenario::{Architecture, Scenario};
use crate::table::{LoadTable, Slot};
use crate::time::Nanos;

/// One load-balancer host.
#[derive(Debug)]
pub struct Host {
    id: HostId,
    rules: Rules,
    policy: Policy,
    calls: Calls,
    fleet: FleetView,
    queue: Queue,
    scans: Scans,
    /// Slots whose release takes effect late, by number.
    late: BTreeMap<u64, Slot>,
    late_count: u64,
}

/// How a target is chosen.
#[derive(Debug)]
enum Policy {
    RoundRobin(Ring),
    LeastConns(LeastConns),
}

/// What every step needs: the time, the shared table, and where effects go.
struct Cx<'a, T, F> {
    now: Nanos,
    table: &'a mut T,
    fx: &'a mut F,
}

impl Host {
    /// A host that begins at `now` (T0, or later if it joins a run) and knows the fleet: its version and the ready targets.
    ///
    /// `fx` receives the sleep until the first idle scan: scans are at the multiples of the interval, on every host.
    pub fn new(
        id: HostId,
        scenario: &Scenario,
        now: Nanos,
        version: u64,
        members: &[Endpoint],
        fx: &mut Vec<Effect>,
    ) -> Self {
        let rules = Rules::new(scenario);
        let policy = match scenario.load_balancer.architecture {
            Architecture::RoundRobin => Policy::RoundRobin(Ring::new(scenario, id, members)),
            Architecture::LeastConns => Policy::LeastConns(LeastConns::new(scenario)),
        };
        let scans = Scans::new(rules.scan_after(now));
        if rules.idle_threshold > 0 {
            fx.push(Effect::Sleep { id: TimerId::Scan, until: scans.next });
        }
        Self {
            id,
            rules,
            policy,
            calls: Calls::default(),
            fleet: FleetView::new(version),
            queue: Queue::default(),
            scans,
            late: BTreeMap::new(),
            late_count: 0,
        }
    }

    /// Something happened at `now`; what is to be done goes to `fx`. Without a shared table
    /// ([`Architecture::RoundRobin`]) any empty table will do.
    ///
    /// For the two inputs of which there are many see [`Self::on_arrival`] and [`Self::on_end`].
    pub fn on(&mut self, now: Nanos, input: Input, table: &mut impl LoadTable, fx: &mut impl Effects) {
        let cx = &mut Cx { now, table, fx };
        match input {
            Input::Arrive(arrival) => self.on_arrival(now, arrival, table, fx),
            Input::AttemptEnded { ticket, end } => self.on_end(now, ticket, end, table, fx),
            Input::Cancelled { call } => self.cancelled(call, cx),
            Input::Timer { id } => self.timer(id, cx),
            Input::FleetChange { version, change } => self.fleet_change(version, change, cx),
            Input::Snapshot { version, members } => self.snapshot(version, &members, cx),
            Input::ScaleUp { call, answer } => self.scale_up_answer(call, answer, cx),
            Input::ScaleDown { target } => self.scale_down_answer(target),
            Input::Counts { counts } => self.propose_unused(counts, cx),
            Input::Wake { most } => self.serve_queue(most, cx),
        }
    }

    /// [`Input::Arrive`].
    #[inline(always)]
    pub fn on_arrival(&mut self, now: Nanos, arrival: Arrival, table: &mut impl LoadTable, fx: &mut impl Effects) {
        self.arrive(arrival, &mut Cx { now, table, fx });
    }

    /// [`Input::AttemptEnded`].
    #[inline(always)]
    pub fn on_end(
        &mut self,
        now: Nanos,
        ticket: Ticket,
        end: AttemptEnd,
        table: &mut impl LoadTable,
        fx: &mut impl Effects,
    ) {
        self.attempt_ended(ticket, end, &mut Cx { now, table, fx });
    }

    /// A hint that something about this call comes soon: nothing happens.
    #[inline(always)]
    pub fn fetch(&self, call: CallId) {
        self.calls.fetch(call);
    }

    /// Calls that have not been answered.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// Open tickets: what this host has in flight.
    pub fn in_flight(&self) -> u32 {
        self.fleet.in_flight()
    }

    /// What there is to write down of an attempt that the end of the run cuts off: as if its client had gone then, if it has not
    /// ended already.
    pub fn cut_off(&self, now: Nanos, ticket: &Ticket, end: Option<AttemptEnd>) -> Decision {
        self.decision(ticket, end.unwrap_or(AttemptEnd::Closed { committed: false }), now)
    }

    fn timer(&mut self, id: TimerId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        match id {
            TimerId::Deadline(call) => self.deadline(call, cx),
            TimerId::Wait(call, wait) => self.wait_over(call, wait, cx),
            TimerId::Try(call, attempt) => self.try_over(call, attempt, cx),
            TimerId::Queue(call) => self.queued_for_too_long(call, cx),
            TimerId::Scan => self.scan(cx),
            TimerId::Release(number) => self.late_release(number, cx),
        }
    }

    #[inline(always)]
    fn arrive(&mut self, arrival: Arrival, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let id = arrival.call;
        self.calls.insert(id, Call::new(arrival, cx.now));
        if arrival.deadline <= cx.now {
            return self.answer(id, Outcome::TimedOut, cx);
        }
        cx.fx.push(Effect::Sleep { id: TimerId::Deadline(id), until: arrival.deadline });
        if self.queue.is_empty() {
            self.attempt(id, cx);
        } else {
            self.enqueue(id, cx);
            self.try_head_if_idle(cx);
        }
    }

    /// The deadline: whatever the call is doing, it is over.
    fn deadline(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.calls.get(id) else {
            return;
        };
        if matches!(call.stage, Stage::Attempting { .. }) {
            cx.fx.push(Effect::Abort { call: id });
        }
        let waits = call.waits_for_start();
        self.answer(id, Outcome::TimedOut, cx);
        leave_start(id, waits, cx);
    }

    /// The client went away: nobody is to be answered.
    fn cancelled(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let waits = self.calls.get(id).is_some_and(Call::waits_for_start);
        self.drop_call(id, cx);
        leave_start(id, waits, cx);
    }

    /// The call is over: gives back what it holds while it waits, and answers.
    #[inline(always)]
    fn answer(&mut self, id: CallId, outcome: Outcome, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
        let Some(call) = self.drop_call(id, cx) else {
            return;
        };
        let overhead = match call.stage {
            Stage::Attempting { overhead, .. } => overhead,
            _ => cx.now - call.arrived,
        };
        let (attempts, target) = (call.attempts, call.last());
        cx.fx.push(Effect::Answer { call: id, outcome, attempts, target, overhead });
    }

    #[inline(always)]
    fn drop_call(&mut self, id: CallId, cx: &mut Cx<'_, impl LoadTable, impl Effects>) -> Option<Call> {
        let mut call = self.calls.remove(id)?;
        cx.fx.push(Effect::Forget { id: TimerId::Deadline(id) });
        match &mut call.stage {
            Stage::Waiting { wait, .. } => cx.fx.push(Effect::Forget { id: TimerId::Wait(id, *wait) }),
            Stage::ScalingUp { reserved } => {
                if let Some(slot) = reserved.take() {
                    self.release(slot, cx);
                }
            }
            Stage::Queued | Stage::Attempting { .. } => {}
        }
        if let Some(place) = call.queue_place() {
            cx.fx.push(Effect::Forget { id: TimerId::Queue(id) });
            self.leave_queue(place, cx);
        }
        Some(call)
    }
}

/// A call that waited for a start has been given up: others may take its place there.
fn leave_start(id: CallId, waited: bool, cx: &mut Cx<'_, impl LoadTable, impl Effects>) {
    if waited {
        cx.fx.push(Effect::LeaveStart { call: id });
    }
}
