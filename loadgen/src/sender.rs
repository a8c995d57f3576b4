//! The sender: one thread that does what the pacing says, and writes a row about every request.
//!
//! It knows neither open nor closed loop: it asks for the next call, waits for its time, sends it from a task of its own,
//! and tells the pacing how it ended.

mod floor;

use std::rc::Rc;
use std::time::Duration;

use galton_core::Nanos;
use galton_report::Generator;
use galton_runtime::{ScenarioClock, mono_ns};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::floor::Floor;
use crate::alarm::Alarm;
use crate::exchange::{Template, exchange};
use crate::meters::Meters;
use crate::occupancy::ThreadCpu;
use crate::pacing::{Call, Next, Pacing};
use crate::pool::{Pool, PoolCounts};
use crate::scribe::RowSink;

/// Sends in a row, without a wait between them, before the other tasks of the thread get a turn: each send is such a task.
const BURST: u32 = 4;
/// How often waiting rows are handed over and the CPU is looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// What a run sends to, and how long it waits.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) clock: ScenarioClock,
    /// The connections to each host, by its number.
    pub(crate) pools: Vec<Pool>,
    pub(crate) template: Template,
    /// The deadline that travels with a request, in scenario time.
    pub(crate) timeout: Nanos,
    /// Count the timeout from the actual send: a request that queued at our own cap still gets its time. Otherwise from
    /// the intended one.
    pub(crate) timeout_from_send: bool,
    /// How long after the deadline we give up ourselves, machine time.
    pub(crate) grace_ns: u64,
    /// How long to wait for what is in flight when nothing more is sent, ...
    pub(crate) drain: Nanos,
    /// ... counted from here at the earliest, unless the sender is told to stop: the end of a run's traffic, which may lie
    /// behind its last request.
    pub(crate) horizon: Nanos,
    /// Everything ends then.
    pub(crate) hard_stop: Option<Nanos>,
}

/// What the sender is told from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    #[default]
    Go,
    /// Send nothing more; wait for what is in flight.
    Stop,
    /// Send nothing more and wait for nothing.
    Abandon,
}

/// What the sender knows at the end, apart from the rows.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// What it noticed about itself.
    pub(crate) generator: Generator,
    /// Over all hosts.
    pub(crate) connections: PoolCounts,
    /// Bytes of response bodies.
    pub(crate) body_bytes: u64,
    /// It was told to stop before the pacing was over.
    pub(crate) interrupted: bool,
}

/// The sender and what its tasks share.
pub(crate) struct Sender<'a> {
    floor: Rc<Floor>,
    pacing: &'a mut dyn Pacing,
    alarm: Alarm,
    orders: watch::Receiver<Order>,
    /// Calls taken from the pacing, and those of them that have ended.
    taken: u64,
    settled: u64,
}

// === impl Sender ===

impl<'a> Sender<'a> {
    /// A sender on this thread. `orders` can be given before and while it runs.
    pub(crate) fn new(
        job: Job,
        pacing: &'a mut dyn Pacing,
        alarm: Alarm,
        meters: Meters,
        rows: RowSink,
        orders: watch::Receiver<Order>,
    ) -> Self {
        let floor = Rc::new(Floor::new(job, meters, rows));
        Self { floor, pacing, alarm, orders, taken: 0, settled: 0 }
    }

    /// Sends until the pacing is over or an order says so, drains, and hands the last rows over.
    pub(crate) async fn run(mut self) -> Ran {
        let housekeeping = tokio::task::spawn_local(keep_house(self.floor.clone()));
        let interrupted = self.issue().await;
        self.drain(interrupted).await;
        self.finish(&housekeeping);
        Ran {
            generator: self.generator(),
            connections: self.connections(),
            body_bytes: self.floor.body_bytes(),
            interrupted,
        }
    }

    /// Sends what there is to send. Returns whether it was told to stop.
    async fn issue(&mut self) -> bool {
        let mut burst = 0;
        // Scenario time stands still at 0 before T0.
        while mono_ns() < self.floor.job.clock.t0_ns() && *self.orders.borrow() == Order::Go {
            self.wait(Nanos::ZERO).await;
        }
        loop {
            if *self.orders.borrow() != Order::Go {
                return true;
            }
            self.settle();
            let now = self.floor.job.clock.now();
            if self.floor.job.hard_stop.is_some_and(|end| now >= end) {
                return false;
            }
            match self.pacing.next(now) {
                Next::Send(call) => {
                    self.send(call);
                    burst += 1;
                    if burst % BURST == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Next::Wait(until) => {
                    burst = 0;
                    self.wait(until).await;
                }
                Next::Over => return false,
            }
        }
    }

    async fn drain(&mut self, interrupted: bool) {
        // The last requests go out from tasks that have not had their turn yet.
        tokio::task::yield_now().await;
        let clock = self.floor.job.clock;
        let from = if interrupted { clock.now() } else { clock.now().max(self.floor.job.horizon) };
        let until = from + self.floor.job.drain;
        let until = self.floor.job.hard_stop.map_or(until, |end| end.min(until));
        loop {
            self.settle();
            let abandoned = *self.orders.borrow() == Order::Abandon;
            if self.settled == self.taken || abandoned || clock.now() >= until {
                return;
            }
            self.wait(until).await;
        }
    }

    /// Until `until`, the next end of a request, or the next order.
    async fn wait(&mut self, until: Nanos) {
        let until = self.floor.job.hard_stop.map_or(until, |end| end.min(until));
        let until_ns = if until == Nanos::MAX { u64::MAX } else { self.floor.job.clock.mono(until) };
        tokio::select! {
            biased;
            () = self.floor.woken() => {}
            // Without anybody left to give orders this branch is off.
            Ok(()) = self.orders.changed() => {}
            () = self.alarm.until(until_ns) => {}
        }
        self.alarm.woken(until_ns);
    }

    fn send(&mut self, call: Call) {
        self.taken += 1;
        self.alarm.sent(self.floor.job.clock.mono(call.at));
        let key = self.floor.open(call);
        let task = tokio::task::spawn_local(carry(self.floor.clone(), key, call));
        self.floor.carried_by(key, task.abort_handle());
    }

    /// Tells the pacing about the requests that have ended.
    fn settle(&mut self) {
        for (request, outcome, at) in self.floor.take_ended() {
            self.settled += 1;
            self.pacing.ended(request, outcome, at);
        }
    }

    /// Writes the rows of everything that has none yet.
    fn finish(&mut self, housekeeping: &JoinHandle<()>) {
        housekeeping.abort();
        let end_ns = mono_ns();
        self.floor.give_up(end_ns);
        while let Some(call) = self.pacing.take_unsent() {
            self.taken += 1;
            self.floor.push_unsent(&call);
        }
        self.floor.close();
    }

    fn generator(&self) -> Generator {
        let scale = self.floor.job.clock.scale();
        Generator {
            planned: Some(self.taken),
            longest_stall: Nanos(self.alarm.longest_stall_ns()),
            in_flight_integral: Some(self.floor.in_flight_integral_ns() * scale),
            descriptors_exhausted: self.connections().exhausted > 0,
            users: self.pacing.user_ends(),
        }
    }

    fn connections(&self) -> PoolCounts {
        self.floor.job.pools.iter().map(Pool::counts).fold(PoolCounts::default(), PoolCounts::plus)
    }
}

/// The task of one request.
async fn carry(floor: Rc<Floor>, key: usize, call: Call) {
    let sent_ns = mono_ns();
    floor.begin(key, &call, sent_ns);
    let pool = &floor.job.pools[call.host.0 as usize];
    let (answer, connection) = exchange(pool, &floor.job.template, floor.ask(&call, sent_ns)).await;
    floor.end(key, &answer);
    if let Some(connection) = connection {
        // Before the pacing hears of it: the next request of this user finds this connection idle.
        pool.give_back(connection).await;
    }
    floor.settle(&call, &answer);
}

async fn keep_house(floor: Rc<Floor>) {
    let mut cpu = ThreadCpu::new(mono_ns());
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        floor.flush();
        if let Some(share) = cpu.share(mono_ns()) {
            floor.meters.on_thread_cpu(share);
        }
    }
}

#[cfg(test)]
mod tests;
