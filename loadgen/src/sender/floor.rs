//! The floor of one sending thread: the lanes, what is sent next, what has ended, and the rows about it.
//!
//! Whoever notices that something may be sent (the sender at its time, a lane at the end of a request) asks the pacing and
//! hands out what is due: in a closed loop the end of one request leads to the next without a detour.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::users::UserEnds;
use galton_core::{Nanos, Outcome};
use galton_report::Errors;
use galton_runtime::mono_ns;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::lane::{self, Lane};
use super::{Job, Step};
use crate::alarm::Gaps;
use crate::exchange::Answer;
use crate::link::{Dial, LinkCounts};
use crate::meters::Meters;
use crate::occupancy::Occupancy;
use crate::pacing::{Call, Next, Pacing};
use crate::scribe::RowSink;
use crate::template::Ask;

/// What the lanes and the sender share.
#[derive(Debug)]
pub(super) struct Floor {
    pub(super) job: Job,
    pub(super) meters: Meters,
    pacing: RefCell<Box<dyn Pacing>>,
    lanes: RefCell<Vec<(Rc<Lane>, AbortHandle)>>,
    /// Lanes to each host that have nothing to do.
    resting: Vec<Resting>,
    /// Calls taken from the pacing, and those of them that have ended.
    taken: Cell<u64>,
    settled: Cell<u64>,
    gaps: RefCell<Gaps>,
    /// Nothing more is sent.
    closed: Cell<bool>,
    /// When the sender looks again by itself.
    armed: Cell<Nanos>,
    wake: Notify,
    /// Taken at the end: a row after that has nowhere to go.
    rows: RefCell<Option<RowSink>>,
    occupancy: RefCell<Occupancy>,
    body_bytes: Cell<u64>,
    errors: RefCell<Errors>,
}

/// Lanes that rest; the last used is used first, so that as few connections as can be are used.
#[derive(Debug, Default)]
struct Resting {
    linked: RefCell<Vec<Rc<Lane>>>,
    /// They would have to open a connection.
    unlinked: RefCell<Vec<Rc<Lane>>>,
}

// === impl Floor ===

impl Floor {
    /// No lane yet, nothing written.
    pub(super) fn new(job: Job, pacing: Box<dyn Pacing>, meters: Meters, rows: RowSink) -> Self {
        Self {
            resting: job.hosts.iter().map(|_| Resting::default()).collect(),
            job,
            meters,
            pacing: RefCell::new(pacing),
            lanes: RefCell::default(),
            taken: Cell::new(0),
            settled: Cell::new(0),
            gaps: RefCell::default(),
            closed: Cell::new(false),
            armed: Cell::new(Nanos::MAX),
            wake: Notify::new(),
            rows: RefCell::new(Some(rows)),
            occupancy: RefCell::default(),
            body_bytes: Cell::default(),
            errors: RefCell::default(),
        }
    }

    /// Hands out what is due. Says when to look again.
    pub(super) fn pump(self: &Rc<Self>, now: Nanos) -> Step {
        if self.closed.get() || self.job.hard_stop.is_some_and(|end| now >= end) {
            return Step::Over;
        }
        loop {
            let next = self.pacing.borrow_mut().next(now);
            match next {
                Next::Send(call) => self.send(call),
                Next::Shed(call) => self.shed(&call),
                Next::Wait(until) => {
                    self.armed.set(until);
                    return Step::Wait(until);
                }
                Next::Over => return Step::Over,
            }
        }
    }

    /// Sends nothing more.
    pub(super) fn close(&self) {
        self.closed.set(true);
    }

    /// Everything that was handed out has ended.
    pub(super) fn is_empty(&self) -> bool {
        self.settled.get() == self.taken.get()
    }

    /// Completes when there is something for the sender to see.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// How long to spin for each send at most.
    pub(super) fn spin_ns(&self) -> f64 {
        self.gaps.borrow().spin_ns()
    }

    fn send(self: &Rc<Self>, call: Call) {
        self.taken.set(self.taken.get() + 1);
        self.gaps.borrow_mut().sent(self.job.clock.mono(call.at));
        match self.resting[call.host.0 as usize].take() {
            Some(lane) => lane.give(call),
            None => {
                let lane = Rc::new(Lane::new(call.host, call));
                let task = tokio::task::spawn_local(lane::run(self.clone(), lane.clone()));
                self.lanes.borrow_mut().push((lane, task.abort_handle()));
            }
        }
    }

    fn shed(&self, call: &Call) {
        self.taken.set(self.taken.get() + 1);
        self.settled.set(self.settled.get() + 1);
        self.meters.on_shed();
        let outcome = TraceOutcome::Offered(Outcome::Shed);
        self.push(TraceRow { outcome, t_end: Some(self.job.clock.now()), ..unsent(call) });
    }

    /// A lane has nothing to do.
    pub(super) fn rest(&self, lane: Rc<Lane>, linked: bool) {
        let resting = &self.resting[lane.host.0 as usize];
        (if linked { &resting.linked } else { &resting.unlinked }).borrow_mut().push(lane);
    }

    /// The server closed the connection of a lane that rests.
    pub(super) fn lost_link(&self, lane: &Rc<Lane>) {
        let resting = &self.resting[lane.host.0 as usize];
        let mut linked = resting.linked.borrow_mut();
        if let Some(at) = linked.iter().rposition(|other| Rc::ptr_eq(other, lane)) {
            resting.unlinked.borrow_mut().push(linked.remove(at));
        }
    }

    /// The request goes out.
    pub(super) fn begin(&self, call: &Call, sent_ns: u64) {
        self.occupancy.borrow_mut().enter(sent_ns);
        self.meters.on_sent(sent_ns.saturating_sub(self.job.clock.mono(call.at)));
    }

    /// The request has ended.
    pub(super) fn end(&self, call: &Call, sent_ns: u64, answer: &Answer) {
        self.body_bytes.set(self.body_bytes.get() + answer.body_bytes);
        if let (Outcome::Failed(reason), Some(error)) = (answer.outcome, &answer.error) {
            self.errors.borrow_mut().count(reason, error);
        }
        self.occupancy.borrow_mut().leave(answer.end_ns);
        self.meters.on_ended(answer.outcome, answer.end_ns.saturating_sub(self.job.clock.mono(call.at)));
        self.push(self.row(call, sent_ns, answer));
    }

    /// The pacing hears of the end of a request, whose connection is free; what is due because of it goes out.
    pub(super) fn settle(self: &Rc<Self>, call: &Call, answer: &Answer) {
        self.settled.set(self.settled.get() + 1);
        let ended = self.job.clock.scenario(answer.end_ns);
        self.pacing.borrow_mut().ended(call.request, answer.outcome, ended);
        let before = self.armed.get();
        match self.pump(ended) {
            Step::Wait(until) if until >= before => {}
            Step::Wait(_) | Step::Over => self.wake.notify_one(),
        }
    }

    /// The run is over: whatever is still open is unfinished, or was never sent. The plan ends at `plan_end`. Closes all
    /// connections.
    pub(super) fn give_up(&self, plan_end: Nanos) {
        let end_ns = mono_ns();
        for (lane, task) in self.lanes.borrow_mut().drain(..) {
            task.abort();
            match lane.carries() {
                Some((call, Some(sent_ns))) => {
                    let answer = Answer { end_ns, ..Answer::without_response(Outcome::Unfinished) };
                    self.end(&call, sent_ns, &answer);
                }
                Some((call, None)) => self.push(unsent(&call)),
                None => {}
            }
        }
        while let Some(call) = self.pacing.borrow_mut().take_unsent(plan_end) {
            self.taken.set(self.taken.get() + 1);
            self.push(unsent(&call));
        }
        self.rows.borrow_mut().take();
    }

    /// Hands over the rows that wait.
    pub(super) fn flush(&self) {
        if let Some(rows) = &mut *self.rows.borrow_mut() {
            rows.flush();
        }
    }

    fn push(&self, row: TraceRow) {
        if let Some(rows) = &mut *self.rows.borrow_mut() {
            rows.push(row);
        }
    }

    /// Calls taken from the pacing.
    pub(super) fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// Request-nanoseconds of machine time so far.
    pub(super) fn in_flight_integral_ns(&self) -> f64 {
        self.occupancy.borrow().integral_ns()
    }

    /// Bytes of response bodies so far.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes.get()
    }

    /// Why requests failed so far.
    pub(super) fn errors(&self) -> Errors {
        self.errors.borrow().clone()
    }

    /// Connections to all hosts so far.
    pub(super) fn connections(&self) -> LinkCounts {
        self.job.hosts.iter().map(Dial::counts).fold(LinkCounts::default(), LinkCounts::plus)
    }

    /// How the users ended, if there are users and the run ends here.
    pub(super) fn user_ends(&self) -> Option<UserEnds> {
        self.pacing.borrow().user_ends()
    }

    /// What to send for a call.
    pub(super) fn ask(&self, call: &Call, sent_ns: u64) -> Ask {
        let clock = self.job.clock;
        let deadline_ns = if self.job.timeout_from_send {
            sent_ns.saturating_add(clock.machine(self.job.timeout))
        } else {
            clock.mono(call.at + self.job.timeout)
        };
        Ask {
            request: call.request.0,
            hold_ns: clock.machine(call.demand.hold),
            cpu: call.demand.cpu,
            key: self.job.keys.as_ref().map(|(keys, seed)| keys.key(*seed, call.request)),
            deadline_ns,
            give_up_ns: deadline_ns.saturating_add(self.job.grace_ns),
        }
    }

    fn row(&self, call: &Call, sent_ns: u64, answer: &Answer) -> TraceRow {
        let clock = self.job.clock;
        let at = |ns: Option<u64>| ns.map(|ns| clock.scenario(ns));
        // A length, not an instant.
        let long = |ns: Option<u64>| ns.map(|ns| clock.scenario(clock.t0_ns().saturating_add(ns)));
        TraceRow {
            t_send: Some(clock.scenario(sent_ns)),
            t_end: Some(clock.scenario(answer.end_ns)),
            outcome: TraceOutcome::Offered(answer.outcome),
            status: answer.status,
            attempts: answer.attempts,
            target: answer.target,
            proxy_recv: at(answer.proxy_recv_ns),
            proxy_done: at(answer.proxy_done_ns),
            target_start: at(answer.target_start_ns),
            target_done: at(answer.target_done_ns),
            cpu_used: long(answer.cpu_used_ns),
            overhead: long(answer.overhead_ns),
            ..unsent(call)
        }
    }
}

// === impl Resting ===

impl Resting {
    fn take(&self) -> Option<Rc<Lane>> {
        let linked = self.linked.borrow_mut().pop();
        linked.or_else(|| self.unlinked.borrow_mut().pop())
    }
}

fn unsent(call: &Call) -> TraceRow {
    TraceRow::unsent(call.seq, call.request, call.host, call.at, call.demand)
}
