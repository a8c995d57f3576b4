//! The precise timer: one `timerfd` per thread, armed for the earliest deadline.
//!
//! Tokio's timer rounds up to whole milliseconds; everything that waits for a *scenario* time waits here instead.
//! A [`Timer`] belongs to the thread (the current-thread runtime and its `LocalSet`) that made it.
//!
//! Deadlines are in a binary heap, what to do at them in a slab. Cancelling empties the slab's slot and leaves the heap's
//! entry behind, to be dropped when it comes up or when such entries are the majority. The descriptor is armed again only
//! when the earliest deadline becomes earlier, or has passed. In the steady state nothing is allocated.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::mono_ns;

/// The heap is swept when it holds more dead entries than living ones, and at least so many.
const SWEEP: usize = 64;
/// Due actions in a row, before the runtime looks at its sockets and signals: beside so many that costs little.
const TURN: usize = 16;

/// The precise timer of one thread. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Timer(Rc<RefCell<Queue>>);

/// Names a pending [`Timer::call_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    slot: usize,
    /// Tells this use of the slot from earlier ones.
    seq: u64,
}

/// A sleep; dropping it cancels it.
#[derive(Debug)]
pub struct Sleep {
    timer: Timer,
    at: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    New,
    Pending(TimerKey),
    Done,
}

/// By deadline, then in order of insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    seq: u64,
    slot: usize,
}

struct Slot {
    seq: u64,
    action: Action,
}

enum Action {
    Free,
    Wake(Waker),
    Call(Box<dyn FnOnce()>),
}

struct Queue {
    fd: Rc<AsyncFd<OwnedFd>>,
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    seq: u64,
    /// What the descriptor is armed for; `u64::MAX`: nothing.
    armed: u64,
}

// === impl Timer ===

impl Timer {
    /// The timer of this thread. Must be called within a current-thread tokio runtime; spawns its driver with
    /// `tokio::task::spawn_local`.
    pub fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: an `OwnedFd` is the same open descriptor for as long as it lives, and the `AsyncFd` owns it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) }?;
        let fd = Rc::new(fd);
        let queue = Rc::new(RefCell::new(Queue::new(fd.clone())));
        tokio::task::spawn_local(drive(fd, Rc::downgrade(&queue)));
        Ok(Self(queue))
    }

    /// Completes at `mono_ns` machine time (CLOCK_MONOTONIC), at once if that has passed; never early.
    pub fn sleep_until(&self, mono_ns: u64) -> Sleep {
        Sleep { timer: self.clone(), at: mono_ns, state: State::New }
    }

    /// Calls `f` on this thread at `mono_ns`, unless cancelled: for many timers without a task each. `f` is called by the
    /// timer's own task, never from within this call, however late it is.
    pub fn call_at(&self, mono_ns: u64, f: impl FnOnce() + 'static) -> TimerKey {
        self.0.borrow_mut().insert(mono_ns, Action::Call(Box::new(f)))
    }

    /// Cancels a call; nothing happens if it has run.
    pub fn cancel(&self, key: TimerKey) {
        // What the call held is dropped after the borrow has ended: it may use the timer.
        let cancelled = self.0.borrow_mut().cancel(key);
        drop(cancelled);
    }
}

/// Waits for the descriptor and does what is due. Ends with the last [`Timer`]. The descriptor's count of expirations is
/// not read: tokio registers it edge-triggered, and arming it resets the count.
async fn drive(fd: Rc<AsyncFd<OwnedFd>>, queue: Weak<RefCell<Queue>>) {
    while let Ok(mut guard) = fd.readable().await {
        guard.clear_ready();
        loop {
            let Some(queue) = queue.upgrade() else { return };
            if !take_turn(&queue) {
                break;
            }
            drop(queue);
            // Once the runtime has looked at its sockets and signals, too.
            tokio::task::yield_now().await;
        }
    }
}

/// Does what is due; whether there is more, which has to wait until others have had their turn: a call that is always too late for
/// the next one that it asks for would never let go of the thread.
fn take_turn(queue: &RefCell<Queue>) -> bool {
    queue.borrow_mut().armed = u64::MAX;
    for _ in 0..TURN {
        let due = queue.borrow_mut().pop(mono_ns());
        match due {
            Some(Action::Wake(waker)) => waker.wake(),
            Some(Action::Call(f)) => f(),
            Some(Action::Free) | None => {
                queue.borrow_mut().rearm();
                return false;
            }
        }
    }
    true
}

// === impl Queue ===

impl Queue {
    fn new(fd: Rc<AsyncFd<OwnedFd>>) -> Self {
        Self { fd, heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), seq: 0, armed: u64::MAX }
    }

    fn insert(&mut self, at: u64, action: Action) -> TimerKey {
        self.seq += 1;
        let new = Slot { seq: self.seq, action };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot] = new;
            slot
        } else {
            self.slots.push(new);
            self.slots.len() - 1
        };
        self.heap.push(Reverse(Entry { at, seq: self.seq, slot }));
        if at < self.armed {
            self.arm(at);
        }
        TimerKey { slot, seq: self.seq }
    }

    /// The slot of a key, while it is pending.
    fn pending(&mut self, key: TimerKey) -> Option<&mut Action> {
        let slot = &mut self.slots[key.slot];
        (slot.seq == key.seq && !matches!(slot.action, Action::Free)).then_some(&mut slot.action)
    }

    fn cancel(&mut self, key: TimerKey) -> Option<Action> {
        let action = std::mem::replace(self.pending(key)?, Action::Free);
        self.free.push(key.slot);
        let living = self.slots.len() - self.free.len();
        if self.heap.len() > 2 * living + SWEEP {
            let slots = &self.slots;
            self.heap.retain(|Reverse(entry)| slots[entry.slot].is(entry));
        }
        Some(action)
    }

    /// The next action whose deadline has passed.
    fn pop(&mut self, now: u64) -> Option<Action> {
        while let Some(entry) = self.earliest().filter(|entry| entry.at <= now) {
            self.heap.pop();
            let slot = &mut self.slots[entry.slot];
            if slot.is(&entry) {
                self.free.push(entry.slot);
                return Some(std::mem::replace(&mut slot.action, Action::Free));
            }
        }
        None
    }

    fn earliest(&self) -> Option<Entry> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    /// Arms for the earliest deadline unless it is already.
    fn rearm(&mut self) {
        while let Some(entry) = self.earliest() {
            if self.slots[entry.slot].is(&entry) {
                if entry.at < self.armed {
                    self.arm(entry.at);
                }
                return;
            }
            self.heap.pop();
        }
    }

    fn arm(&mut self, at: u64) {
        // A value of zero would disarm.
        let at = at.max(1);
        let it_value = Timespec { tv_sec: (at / 1_000_000_000) as i64, tv_nsec: (at % 1_000_000_000) as i64 };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value })
            .expect("the descriptor is a timerfd and the time is normalised");
        self.armed = at;
    }
}

impl Slot {
    /// Whether the slot still holds what that entry of the heap stands for.
    fn is(&self, entry: &Entry) -> bool {
        self.seq == entry.seq && !matches!(self.action, Action::Free)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("pending", &self.heap.len()).field("armed", &self.armed).finish_non_exhaustive()
    }
}

// === impl Sleep ===

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.timer.0.borrow_mut();
        let state = match self.state {
            State::New if mono_ns() < self.at => {
                State::Pending(queue.insert(self.at, Action::Wake(cx.waker().clone())))
            }
            State::Pending(key) => match queue.pending(key) {
                Some(Action::Wake(waker)) => {
                    // The old one is dropped after the borrow has ended: it may be the last of a task that sleeps.
                    let old = std::mem::replace(waker, cx.waker().clone());
                    drop(queue);
                    drop(old);
                    return Poll::Pending;
                }
                _ => State::Done,
            },
            State::New | State::Done => State::Done,
        };
        drop(queue);
        self.state = state;
        if matches!(self.state, State::Done) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let State::Pending(key) = self.state {
            self.timer.cancel(key);
        }
    }
}

#[cfg(test)]
mod tests;
