//! The driver of [`Host`]: inputs go in with the time, effects become sleeps, messages and mail for calls. It decides
//! nothing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use galton_core::host::{AttemptEnd, Effect, Endpoint, Host, Input, ScaleUpAnswer, Ticket, TimerId};
use galton_core::record::Decision;
use galton_core::table::LoadTable;
use galton_core::{CallId, HostId, Nanos, Scenario};
use galton_runtime::load_map::WakeSocket;
use galton_runtime::records::RecordWriter;
use galton_runtime::timer::{Timer, TimerKey};
use galton_runtime::{ScenarioClock, mono_ns};
use rustc_hash::FxHashMap;

use crate::calls::{Answer, Calls, Dispatch, Mail};
use crate::metrics::Metrics;
use crate::posts::{Post, Posts};
use crate::recording::Recording;
use crate::upstream::Upstreams;
use crate::{counts, limits};

/// What a host acts upon.
#[derive(Debug)]
pub(crate) struct Outside {
    /// Which host this is.
    pub(crate) host: HostId,
    /// The precise timer of this thread.
    pub(crate) timer: Timer,
    /// The targets.
    pub(crate) upstreams: Rc<Upstreams>,
    /// What is to be said to the scaler.
    pub(crate) posts: Rc<Posts>,
    /// Where decisions are written down.
    pub(crate) records: RefCell<Option<RecordWriter>>,
    /// Of which requests.
    pub(crate) recording: Recording,
    /// What is counted.
    pub(crate) metrics: Rc<Metrics>,
}

/// A running host: there is one from T0 on.
pub(crate) struct Engine {
    /// Scenario time.
    pub(crate) clock: ScenarioClock,
    /// What it acts upon.
    pub(crate) outside: Rc<Outside>,
    /// The way to the other hosts' queues, and from them; none with a policy that shares nothing.
    wakes: Option<WakeSocket>,
    /// The open calls.
    pub(crate) calls: RefCell<Calls>,
    machine: RefCell<Box<dyn Machine>>,
    /// The sleeps, but for the deadlines of open calls, which are with these.
    timers: RefCell<FxHashMap<TimerId, TimerKey>>,
    scratch: Cell<Vec<Effect>>,
}

/// What a host begins with.
#[derive(Debug)]
pub(crate) struct Beginning<'a> {
    /// The scenario.
    pub(crate) scenario: &'a Scenario,
    /// With T0.
    pub(crate) clock: ScenarioClock,
    /// Version of the fleet.
    pub(crate) version: u64,
    /// The ready targets.
    pub(crate) members: &'a [Endpoint],
}

/// A host with its load table, whichever that is.
trait Machine {
    fn on(&mut self, now: Nanos, input: Input, effects: &mut Vec<Effect>);
}

struct HostAndTable<T> {
    host: Host,
    table: T,
}

impl<T: LoadTable> Machine for HostAndTable<T> {
    fn on(&mut self, now: Nanos, input: Input, effects: &mut Vec<Effect>) {
        self.host.on(now, input, &mut self.table, effects);
    }
}

// === impl Engine ===

impl Engine {
    /// A host that runs from now on.
    pub(crate) fn begin<T: LoadTable + 'static>(
        begin: &Beginning<'_>,
        table: T,
        wakes: Option<WakeSocket>,
        outside: Rc<Outside>,
    ) -> Rc<Self> {
        let mut effects = Vec::new();
        let now = begin.clock.now();
        let host = Host::new(outside.host, begin.scenario, now, begin.version, begin.members, &mut effects);
        let engine = Rc::new(Self {
            clock: begin.clock,
            outside,
            wakes,
            calls: RefCell::default(),
            machine: RefCell::new(Box::new(HostAndTable { host, table })),
            timers: RefCell::default(),
            scratch: Cell::default(),
        });
        for effect in effects {
            if let Some(input) = engine.perform(effect) {
                engine.feed(input);
            }
        }
        engine
    }

    /// Something happened now: the host decides, and what it decided is done.
    pub(crate) fn feed(self: &Rc<Self>, input: Input) {
        self.count_fleet(&input);
        let mut effects = self.scratch.take();
        let mut follow_ups = VecDeque::new();
        let mut next = Some(input);
        while let Some(input) = next {
            self.machine.borrow_mut().on(self.clock.now(), input, &mut effects);
            follow_ups.extend(effects.drain(..).filter_map(|effect| self.perform(effect)));
            next = follow_ups.pop_front();
        }
        self.scratch.set(effects);
    }

    /// Serves this host's queue whenever another process says so.
    pub(crate) async fn listen(self: Rc<Self>) {
        let Some(wakes) = &self.wakes else { return };
        loop {
            match wakes.woken().await {
                Ok(most) => self.feed(Input::Wake { most }),
                Err(error) => return tracing::error!(%error, "other hosts cannot wake this one any more"),
            }
        }
    }

    /// This host goes: nobody is to wake it any more.
    pub(crate) fn leave(&self) {
        self.wakes.iter().for_each(WakeSocket::unlink);
    }

    /// What is counted by target follows the fleet.
    fn count_fleet(&self, input: &Input) {
        match input {
            Input::FleetChange { change, .. } => self.outside.metrics.fleet_change(*change),
            Input::Snapshot { members, .. } => self.outside.metrics.fleet(members),
            _ => {}
        }
    }

    /// Gives an attempt back.
    pub(crate) fn end_attempt(self: &Rc<Self>, ticket: Ticket, end: AttemptEnd) {
        self.feed(self.attempt_ended(ticket, end));
    }

    /// The scaler lost sight of this host, and forgot who waits: what was asked for will not be answered.
    pub(crate) fn scaler_lost(self: &Rc<Self>) {
        self.outside.posts.forget_asks();
        let asked = self.calls.borrow().asked();
        for call in asked {
            self.feed(Input::ScaleUp { call, answer: ScaleUpAnswer::Refused });
        }
    }

    /// A machine instant at which an injected delay ended just now.
    pub(crate) fn count_delay(&self, due_ns: u64) {
        self.outside.metrics.delays.inc();
        if mono_ns() > due_ns.saturating_add(limits::OVERRUN_NS) {
            self.outside.metrics.delays_overrun.inc();
        }
    }

    fn attempt_ended(&self, ticket: Ticket, end: AttemptEnd) -> Input {
        self.outside.metrics.attempt_ended(ticket.target(), end);
        Input::AttemptEnded { ticket, end }
    }

    /// Does it; returns what is to be fed because of it at once.
    fn perform(self: &Rc<Self>, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Dispatch { ticket, overhead } => {
                let (call, attempts) = (ticket.call(), ticket.attempt());
                self.outside.metrics.dispatched(ticket.target(), attempts);
                let dispatch = Dispatch { ticket, attempts, overhead };
                return self.deliver(call, dispatch);
            }
            Effect::Abort { call } => self.mail(call, |mail| mail.abort = true),
            Effect::Answer { call, outcome, attempts, target, overhead } => {
                self.answered(call, Answer { outcome, attempts, target, overhead });
            }
            Effect::Sleep { id, until } => self.sleep(id, until),
            Effect::Forget { id } => self.forget(id),
            Effect::AskScaleUp { call } => return self.ask_scale_up(call),
            Effect::LeaveStart { call } => drop(self.outside.posts.push(Post::LeaveStart(call))),
            Effect::AskScaleDown { target } => {
                return (!self.outside.posts.push(Post::ScaleDown(target))).then_some(Input::ScaleDown { target });
            }
            Effect::Released { target } => {
                self.outside.upstreams.released(target);
                self.outside.posts.push(Post::Released(target));
            }
            Effect::ReadCounts { targets, window } => counts::read(Rc::clone(self), targets, window),
            Effect::Wake { host } if host == self.outside.host => return Some(Input::Wake { most: 1 }),
            Effect::Wake { host } => self.wake(host),
            Effect::Record { decision, .. } => self.record(&decision),
        }
        None
    }

    /// What cannot even be said is as good as refused.
    fn ask_scale_up(&self, call: CallId) -> Option<Input> {
        // No news for the call's task: it is not woken.
        if let Some(mail) = self.calls.borrow_mut().mail(call) {
            mail.asked = true;
        }
        let refused = Input::ScaleUp { call, answer: ScaleUpAnswer::Refused };
        (!self.outside.posts.push(Post::ScaleUp(call, mono_ns()))).then_some(refused)
    }

    /// A dispatch of a call that is no longer there goes back at once.
    fn deliver(&self, call: CallId, dispatch: Dispatch) -> Option<Input> {
        let mut calls = self.calls.borrow_mut();
        let Some(mail) = calls.mail(call) else {
            return Some(self.attempt_ended(dispatch.ticket, AttemptEnd::Closed { committed: false }));
        };
        mail.dispatch = Some(dispatch);
        mail.wake();
        None
    }

    fn mail(&self, call: CallId, write: impl FnOnce(&mut Mail)) {
        if let Some(mail) = self.calls.borrow_mut().mail(call) {
            write(mail);
            mail.wake();
        }
    }

    fn answered(&self, call: CallId, answer: Answer) {
        let metrics = &self.outside.metrics;
        metrics.answered(answer.outcome);
        metrics.overhead.observe_ns(self.clock.machine(answer.overhead));
        self.mail(call, |mail| {
            metrics.duration.observe_ns(mono_ns().saturating_sub(mail.recv_ns));
            mail.answered = true;
            mail.answer = Some(answer);
        });
    }

    fn sleep(self: &Rc<Self>, id: TimerId, until: Nanos) {
        let due_ns = self.clock.mono(until);
        let engine = Rc::clone(self);
        let key = self.outside.timer.call_at(due_ns, move || engine.wake_up(id, due_ns));
        match self.calls.borrow_mut().deadline(id) {
            Some(deadline) => *deadline = Some(key),
            None => drop(self.timers.borrow_mut().insert(id, key)),
        }
    }

    fn wake_up(self: &Rc<Self>, id: TimerId, due_ns: u64) {
        self.taken(id);
        if id.injected() {
            self.count_delay(due_ns);
        }
        self.feed(Input::Timer { id });
    }

    fn forget(&self, id: TimerId) {
        if let Some(key) = self.taken(id) {
            self.outside.timer.cancel(key);
        }
    }

    /// The sleep is over, or no longer wanted.
    fn taken(&self, id: TimerId) -> Option<TimerKey> {
        match self.calls.borrow_mut().deadline(id) {
            Some(deadline) => deadline.take(),
            None => self.timers.borrow_mut().remove(&id),
        }
    }

    fn wake(&self, host: HostId) {
        if let Some(wakes) = &self.wakes {
            wakes.send(host);
        }
    }

    fn record(&self, decision: &Decision) {
        if !self.outside.recording.takes(decision.request) {
            return;
        }
        if let Some(records) = self.outside.records.borrow_mut().as_mut() {
            records.write(decision);
            self.outside.metrics.records_lost.set(records.lost());
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("clock", &self.clock).finish_non_exhaustive()
    }
}
