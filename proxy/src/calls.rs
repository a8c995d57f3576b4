//! The open calls of one host: for each, what the host has decided about it and its task has not seen yet.
//!
//! One thread, no lock. A call's number holds its place in the slab, so that what is meant for another call than the one
//! at hand is delivered without a search.

use std::task::{Context, Waker};

use galton_core::host::{Ticket, TimerId};
use galton_core::{CallId, Nanos, Outcome, TargetId};
use galton_runtime::timer::TimerKey;
use slab::Slab;

/// A dispatch to carry out.
#[derive(Debug)]
pub(crate) struct Dispatch {
    /// The attempt.
    pub(crate) ticket: Ticket,
    /// Attempts of the call, this one included.
    pub(crate) attempts: u32,
    /// Time at the load balancer so far.
    pub(crate) overhead: Nanos,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// How.
    pub(crate) outcome: Outcome,
    /// Its attempts.
    pub(crate) attempts: u32,
    /// The target that served it, or the last one tried.
    pub(crate) target: Option<TargetId>,
    /// Time at the load balancer not spent in the serving attempt.
    pub(crate) overhead: Nanos,
}

/// What the task of a call has not seen yet.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// Close the open attempt.
    pub(crate) abort: bool,
    /// Carry this out.
    pub(crate) dispatch: Option<Dispatch>,
    /// The call is over.
    pub(crate) answer: Option<Answer>,
    /// Wakes the task.
    pub(crate) waker: Option<Waker>,
    /// The host has answered the call, whether or not the task has seen it.
    pub(crate) answered: bool,
    /// The scaler was asked for a target on its behalf.
    pub(crate) asked: bool,
    /// When its head was there, machine nanoseconds.
    pub(crate) recv_ns: u64,
    /// The sleep until its deadline.
    pub(crate) deadline: Option<TimerKey>,
}

/// All open calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    slab: Slab<(CallId, Mail)>,
    count: u64,
}

// === impl Mail ===

impl Mail {
    /// The task of the call waits.
    pub(crate) fn wake_later(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            // Does nothing if it is the same.
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    /// There is something new.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

// === impl Calls ===

impl Calls {
    /// A new call.
    pub(crate) fn open(&mut self, recv_ns: u64) -> CallId {
        let entry = self.slab.vacant_entry();
        assert!(entry.key() < CallId::PLACES, "the limit on connections is far below");
        let id = CallId::at_place(entry.key(), self.count);
        self.count += 1;
        entry.insert((id, Mail { recv_ns, ..Mail::default() }));
        id
    }

    /// The mail of an open call.
    pub(crate) fn mail(&mut self, id: CallId) -> Option<&mut Mail> {
        let (open, mail) = self.slab.get_mut(id.place())?;
        (*open == id).then_some(mail)
    }

    /// Where the sleep until the deadline of an open call is kept; none if it is another sleep, or the call is closed.
    pub(crate) fn deadline(&mut self, id: TimerId) -> Option<&mut Option<TimerKey>> {
        let TimerId::Deadline(call) = id else { return None };
        Some(&mut self.mail(call)?.deadline)
    }

    /// The calls on whose behalf the scaler was asked for a target, answered or not.
    pub(crate) fn asked(&self) -> Vec<CallId> {
        self.slab.iter().filter(|(_, (_, mail))| mail.asked).map(|(_, (id, _))| *id).collect()
    }

    /// The call is closed; returns what was not seen.
    pub(crate) fn close(&mut self, id: CallId) -> Option<Mail> {
        self.mail(id)?;
        Some(self.slab.remove(id.place()).1)
    }

    /// Open calls.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_and_are_never_used_again() {
        let mut calls = Calls::default();
        let first = calls.open(1);
        let second = calls.open(2);
        assert!(first < second);
        assert!(calls.close(first).is_some());
        let third = calls.open(3);
        assert!(second < third, "the place of the first is used again, its number is not");
        assert!(calls.mail(first).is_none());
        assert!(calls.close(first).is_none());
        assert_eq!(calls.mail(third).unwrap().recv_ns, 3);
        assert_eq!(calls.len(), 2);
    }
}
