//! `cpu_mode: slowdown`, live: [`SharedCpu`] says when each request is done, one timer waits for the earliest.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use galton_core::Nanos;
use galton_core::cpu::{Job, SharedCpu};
use galton_runtime::mono_ns;
use galton_runtime::timer::{Timer, TimerKey};
use tokio::sync::oneshot;

use crate::demand::Demand;

/// The requests that share this target's CPU.
#[derive(Clone)]
pub(crate) struct Slowdown(Rc<Shared>);

/// One request that makes progress; dropping it takes it out.
pub(crate) struct Running {
    shared: Rc<Shared>,
    job: Job,
    done: oneshot::Receiver<u64>,
}

struct Shared {
    timer: Timer,
    state: RefCell<State>,
}

struct State {
    cpu: SharedCpu,
    /// Who waits for the end of each, to be told when that was.
    waiting: BTreeMap<Job, oneshot::Sender<u64>>,
    /// When the next one is done, and the timer for it.
    next: Option<(Nanos, TimerKey)>,
}

impl Slowdown {
    pub(crate) fn new(capacity: f64, timer: Timer) -> Self {
        let state = State { cpu: SharedCpu::new(capacity), waiting: BTreeMap::new(), next: None };
        Self(Rc::new(Shared { timer, state: RefCell::new(state) }))
    }

    /// Begins a request at `start`, machine time.
    pub(crate) fn run(&self, start: u64, demand: &Demand) -> Running {
        let (tell, done) = oneshot::channel();
        let job = {
            let mut state = self.0.state.borrow_mut();
            state.settle(Nanos(start));
            let job = state.cpu.arrive(Nanos(start), demand.hold, demand.cpu);
            state.waiting.insert(job, tell);
            job
        };
        self.0.rearm();
        Running { shared: self.0.clone(), job, done }
    }
}

impl Running {
    /// Waits for the end, and says when it was to be, machine time.
    pub(crate) async fn finished(mut self) -> u64 {
        (&mut self.done).await.expect("the sender is kept until the job is done, or until this is dropped")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let left = {
            let mut state = self.shared.state.borrow_mut();
            let now = Nanos(mono_ns());
            state.settle(now);
            state.waiting.remove(&self.job).is_some().then(|| state.cpu.leave(now, self.job))
        };
        if left.is_some() {
            self.shared.rearm();
        }
    }
}

impl Shared {
    /// Waits for the next end, if that is not what the timer waits for already.
    fn rearm(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let next = state.cpu.next();
        if state.next.map(|(at, _)| at) == next {
            return;
        }
        if let Some((_, key)) = state.next.take() {
            self.timer.cancel(key);
        }
        state.next = next.map(|at| {
            let shared = self.clone();
            (at, self.timer.call_at(at.0, move || shared.tick()))
        });
    }

    fn tick(self: Rc<Self>) {
        {
            let mut state = self.state.borrow_mut();
            state.next = None;
            state.settle(Nanos(mono_ns()));
        }
        self.rearm();
    }
}

impl State {
    /// Ends all that is done by now.
    fn settle(&mut self, now: Nanos) {
        while let Some(due) = self.cpu.next() {
            let Some(job) = self.cpu.finish(now) else { return };
            if let Some(tell) = self.waiting.remove(&job) {
                // Nobody listens if the caller has just gone away.
                tell.send(due.0).ok();
            }
        }
    }
}
