//! The floor that the tasks of one sending thread share: what is open, what has ended, and the rows about it.

use std::cell::{Cell, RefCell};

use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{Nanos, Outcome, RequestId};
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Job;
use crate::exchange::{Answer, Ask};
use crate::meters::Meters;
use crate::occupancy::Occupancy;
use crate::pacing::Call;
use crate::scribe::RowSink;

/// What the tasks of the sending thread share.
#[derive(Debug)]
pub(super) struct Floor {
    pub(super) job: Job,
    pub(super) meters: Meters,
    open: RefCell<Slab<Open>>,
    ended: RefCell<Vec<(RequestId, Outcome, Nanos)>>,
    wake: Notify,
    /// Taken at the end: a row after that has nowhere to go.
    rows: RefCell<Option<RowSink>>,
    occupancy: RefCell<Occupancy>,
    body_bytes: Cell<u64>,
}

/// A call that was taken and has no row yet.
#[derive(Debug)]
struct Open {
    call: Call,
    /// When its task began; none: it has not.
    sent_ns: Option<u64>,
    task: Option<AbortHandle>,
}

// === impl Floor ===

impl Floor {
    /// Nothing open, nothing written.
    pub(super) fn new(job: Job, meters: Meters, rows: RowSink) -> Self {
        Self {
            job,
            meters,
            open: RefCell::default(),
            ended: RefCell::default(),
            wake: Notify::new(),
            rows: RefCell::new(Some(rows)),
            occupancy: RefCell::default(),
            body_bytes: Cell::default(),
        }
    }

    /// A call was taken from the pacing; returns its key.
    pub(super) fn open(&self, call: Call) -> usize {
        self.open.borrow_mut().insert(Open { call, sent_ns: None, task: None })
    }

    /// This task carries the call.
    pub(super) fn carried_by(&self, key: usize, task: AbortHandle) {
        if let Some(open) = self.open.borrow_mut().get_mut(key) {
            open.task = Some(task);
        }
    }

    /// The requests that have ended since the last time.
    pub(super) fn take_ended(&self) -> Vec<(RequestId, Outcome, Nanos)> {
        std::mem::take(&mut *self.ended.borrow_mut())
    }

    /// Completes when a request has ended.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The sender may hear of the end of a request: its connection is free.
    pub(super) fn settle(&self, call: &Call, answer: &Answer) {
        let at = self.job.clock.scenario(answer.end_ns);
        self.ended.borrow_mut().push((call.request, answer.outcome, at));
        self.wake.notify_one();
    }

    /// Writes a row about a planned request that will not be sent.
    pub(super) fn push_unsent(&self, call: &Call) {
        self.push(unsent(call));
    }

    /// Hands the last rows over; there will be no more.
    pub(super) fn close(&self) {
        self.rows.borrow_mut().take();
    }

    /// Request-nanoseconds of machine time so far.
    pub(super) fn in_flight_integral_ns(&self) -> f64 {
        self.occupancy.borrow().integral_ns()
    }

    /// Bytes of response bodies so far.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes.get()
    }

    fn push(&self, row: TraceRow) {
        if let Some(rows) = &mut *self.rows.borrow_mut() {
            rows.push(row);
        }
    }

    /// Hands over the rows that wait.
    pub(super) fn flush(&self) {
        if let Some(rows) = &mut *self.rows.borrow_mut() {
            rows.flush();
        }
    }

    /// The request goes out.
    pub(super) fn begin(&self, key: usize, call: &Call, sent_ns: u64) {
        if let Some(open) = self.open.borrow_mut().get_mut(key) {
            open.sent_ns = Some(sent_ns);
        }
        self.occupancy.borrow_mut().enter(sent_ns);
        self.meters.on_sent(sent_ns.saturating_sub(self.job.clock.mono(call.at)));
    }

    /// The request has ended.
    pub(super) fn end(&self, key: usize, answer: &Answer) {
        let Some(Open { call, sent_ns, .. }) = self.open.borrow_mut().try_remove(key) else { return };
        self.body_bytes.set(self.body_bytes.get() + answer.body_bytes);
        self.account(&call, sent_ns, answer);
    }

    fn account(&self, call: &Call, sent_ns: Option<u64>, answer: &Answer) {
        self.occupancy.borrow_mut().leave(answer.end_ns);
        self.meters.on_ended(answer.outcome, answer.end_ns.saturating_sub(self.job.clock.mono(call.at)));
        self.push(self.row(call, sent_ns, answer));
    }

    /// The run is over: whatever is still open is unfinished, or was never sent.
    pub(super) fn give_up(&self, end_ns: u64) {
        let open = std::mem::take(&mut *self.open.borrow_mut());
        for (_, Open { call, sent_ns, task }) in open {
            if let Some(task) = task {
                // Closes its connection: nobody works for it any longer.
                task.abort();
            }
            if sent_ns.is_none() {
                self.push_unsent(&call);
                continue;
            }
            let answer = Answer { end_ns, ..Answer::without_response(Outcome::Unfinished) };
            self.account(&call, sent_ns, &answer);
        }
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
            deadline_ns,
            give_up_ns: deadline_ns.saturating_add(self.job.grace_ns),
        }
    }

    fn row(&self, call: &Call, sent_ns: Option<u64>, answer: &Answer) -> TraceRow {
        let clock = self.job.clock;
        let at = |ns: Option<u64>| ns.map(|ns| clock.scenario(ns));
        // A length, not an instant.
        let long = |ns: Option<u64>| ns.map(|ns| clock.scenario(clock.t0_ns().saturating_add(ns)));
        TraceRow {
            t_send: at(sent_ns),
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

fn unsent(call: &Call) -> TraceRow {
    TraceRow::unsent(call.seq, call.request, call.host, call.at, call.demand)
}
