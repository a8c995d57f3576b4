//! The sender: one thread that does what the pacing says, and writes a row about every request.
//!
//! It knows neither open nor closed loop: it asks for the next call, waits for its time and gives it to a lane, which sends it
//! and tells the pacing how it ended.

mod floor;
mod lane;

use std::rc::Rc;
use std::time::Duration;

use galton_core::Nanos;
use galton_report::{Errors, Generator};
use galton_runtime::{ScenarioClock, mono_ns};
use tokio::sync::watch;

use self::floor::Floor;
use crate::alarm::Alarm;
use crate::link::{Dial, LinkCounts};
use crate::meters::Meters;
use crate::occupancy::ThreadCpu;
use crate::pacing::Pacing;
use crate::scribe::RowSink;
use crate::template::Template;
use crate::units::Keys;

/// How often waiting rows are handed over and the CPU is looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(100);

/// What a run sends to, and how long it waits.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) clock: ScenarioClock,
    /// How to connect to each host, by its number.
    pub(crate) hosts: Vec<Dial>,
    pub(crate) template: Template,
    /// The keys that requests carry, and the seed they are drawn with.
    pub(crate) keys: Option<(Keys, u64)>,
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
    pub(crate) connections: LinkCounts,
    /// Bytes of response bodies.
    pub(crate) body_bytes: u64,
    /// Why requests failed.
    pub(crate) errors: Errors,
    /// It was told to stop before the pacing was over, or to abandon what was in flight after that.
    pub(crate) interrupted: bool,
}

/// When to look for something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Not before then, unless a request ends first.
    Wait(Nanos),
    /// Nothing more will be sent.
    Over,
}

/// The sender of this thread.
pub(crate) struct Sender {
    floor: Rc<Floor>,
    alarm: Alarm,
    orders: watch::Receiver<Order>,
}

// === impl Sender ===

impl Sender {
    /// A sender on this thread. `orders` can be given before and while it runs.
    pub(crate) fn new(
        job: Job,
        pacing: Box<dyn Pacing>,
        alarm: Alarm,
        meters: Meters,
        rows: RowSink,
        orders: watch::Receiver<Order>,
    ) -> Self {
        Self { floor: Rc::new(Floor::new(job, pacing, meters, rows)), alarm, orders }
    }

    /// Sends until the pacing is over or an order says so, drains, and hands the last rows over.
    pub(crate) async fn run(mut self) -> Ran {
        let housekeeping = tokio::task::spawn_local(keep_house(self.floor.clone()));
        let stopped = self.issue().await;
        self.floor.close();
        self.drain(stopped).await;
        let abandoned = !self.floor.is_empty() && *self.orders.borrow() == Order::Abandon;
        housekeeping.abort();
        // Whoever stops a run cuts its plan off: what was meant for later was not asked for any more.
        self.floor.give_up(stopped.unwrap_or(Nanos::MAX));
        Ran {
            generator: self.generator(),
            connections: self.floor.connections(),
            body_bytes: self.floor.body_bytes(),
            errors: self.floor.errors(),
            interrupted: stopped.is_some() || abandoned,
        }
    }

    /// Sends what there is to send. Returns when it was told to stop, if it was.
    async fn issue(&mut self) -> Option<Nanos> {
        let clock = self.floor.job.clock;
        // Scenario time stands still at 0 before T0.
        while mono_ns() < clock.t0_ns() && *self.orders.borrow() == Order::Go {
            self.wait(Nanos::ZERO).await;
        }
        loop {
            if *self.orders.borrow() != Order::Go {
                return Some(clock.now());
            }
            match self.floor.pump(clock.now()) {
                Step::Wait(until) => self.wait(until).await,
                Step::Over => return None,
            }
        }
    }

    async fn drain(&mut self, stopped: Option<Nanos>) {
        // The last requests go out from lanes that have not had their turn yet.
        tokio::task::yield_now().await;
        let clock = self.floor.job.clock;
        let from = stopped.unwrap_or_else(|| clock.now().max(self.floor.job.horizon));
        let until = from + self.floor.job.drain;
        let until = self.floor.job.hard_stop.map_or(until, |end| end.min(until));
        while !self.floor.is_empty() && *self.orders.borrow() != Order::Abandon && clock.now() < until {
            self.wait(until).await;
        }
    }

    /// Until `until`, something to see, or the next order.
    async fn wait(&mut self, until: Nanos) {
        let until = self.floor.job.hard_stop.map_or(until, |end| end.min(until));
        let until_ns = if until == Nanos::MAX { u64::MAX } else { self.floor.job.clock.mono(until) };
        let spin_ns = self.floor.spin_ns();
        tokio::select! {
            biased;
            () = self.floor.woken() => {}
            // Without anybody left to give orders this branch is off.
            Ok(()) = self.orders.changed() => {}
            () = self.alarm.until(until_ns, spin_ns) => {}
        }
        self.alarm.woken(until_ns);
    }

    fn generator(&self) -> Generator {
        let scale = self.floor.job.clock.scale();
        Generator {
            planned: Some(self.floor.taken()),
            longest_stall: Nanos(self.alarm.longest_stall_ns()),
            in_flight_integral: Some(self.floor.in_flight_integral_ns() * scale),
            descriptors_exhausted: self.floor.connections().exhausted > 0,
            users: self.floor.user_ends(),
        }
    }
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
