//! A lane: a task that carries one request at a time, over a connection that it keeps.
//!
//! A task for each request would cost a spawn, and one for each connection beside it two wake-ups more.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use galton_core::{HostId, Outcome};
use galton_runtime::mono_ns;
use tokio::time::{Instant, Sleep};

use super::floor::Floor;
use crate::exchange::{Answer, exchange};
use crate::link::Link;
use crate::pacing::Call;

/// What the sender and a lane's task share.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) host: HostId,
    /// What it carries, or is to carry.
    call: Cell<Option<Call>>,
    /// When that went out; none: not yet.
    sent_ns: Cell<Option<u64>>,
    /// Wakes its task when it has nothing to do.
    waker: RefCell<Option<Waker>>,
}

/// The time limit of one request after the other. Its timer is set again only when it fires too early, or would fire too late:
/// limits come in order, and few requests reach theirs.
struct TimeLimit {
    timer: Pin<Box<Sleep>>,
    set_ns: u64,
}

/// Carries what it is given until it is aborted.
pub(super) async fn run(floor: Rc<Floor>, lane: Rc<Lane>) {
    let dial = &floor.job.hosts[lane.host.0 as usize];
    let mut link = None;
    let mut limit = TimeLimit::new();
    loop {
        let call = poll_fn(|cx| lane.poll_next(&floor, &mut link, cx)).await;
        let sent_ns = mono_ns();
        lane.sent_ns.set(Some(sent_ns));
        floor.begin(&call, sent_ns);
        let ask = floor.ask(&call, sent_ns);
        let work = exchange(dial, &mut link, &floor.job.template, ask);
        let answer = limit.within(ask.give_up_ns, work).await.unwrap_or_else(|| {
            link = None;
            Answer::without_response(Outcome::TimedOut)
        });
        lane.call.set(None);
        floor.end(&call, sent_ns, &answer);
        // Before the pacing hears of it: the next request of this user finds this connection idle.
        if let Some(used) = &mut link
            && !used.settled().await
        {
            link = None;
        }
        floor.rest(lane.clone(), link.is_some());
        floor.settle(&call, &answer);
    }
}

// === impl Lane ===

impl Lane {
    /// A lane to this host, with something to carry.
    pub(super) fn new(host: HostId, call: Call) -> Self {
        Self { host, call: Cell::new(Some(call)), sent_ns: Cell::new(None), waker: RefCell::new(None) }
    }

    /// Gives a resting lane something to carry.
    pub(super) fn give(&self, call: Call) {
        self.sent_ns.set(None);
        self.call.set(Some(call));
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// What it carries, and when that went out.
    pub(super) fn carries(&self) -> Option<(Call, Option<u64>)> {
        self.call.get().map(|call| (call, self.sent_ns.get()))
    }

    fn poll_next(self: &Rc<Self>, floor: &Floor, link: &mut Option<Link>, cx: &mut Context<'_>) -> Poll<Call> {
        if let Some(call) = self.call.get() {
            return Poll::Ready(call);
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        if let Some(open) = link
            && open.poll_closed(cx).is_ready()
        {
            *link = None;
            floor.lost_link(self);
        }
        Poll::Pending
    }
}

// === impl TimeLimit ===

impl TimeLimit {
    fn new() -> Self {
        Self { timer: Box::pin(tokio::time::sleep(Duration::from_secs(86_400))), set_ns: u64::MAX }
    }

    /// None: the time was over first.
    async fn within<T>(&mut self, until_ns: u64, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(until_ns, cx).map(|()| None),
        })
        .await
    }

    fn poll(&mut self, until_ns: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.set_ns > until_ns {
            self.set(until_ns);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if mono_ns() >= until_ns {
                return Poll::Ready(());
            }
            self.set(until_ns);
        }
        Poll::Pending
    }

    fn set(&mut self, until_ns: u64) {
        let left = Duration::from_nanos(until_ns.saturating_sub(mono_ns()));
        self.timer.as_mut().reset(Instant::now() + left);
        self.set_ns = until_ns;
    }
}
