//! The state of a target: what it holds, and whether it takes more. Belongs to the data thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use galton_core::Nanos;
use galton_core::idle::AcceptWindow;
use galton_core::scenario::CpuMode;
use galton_core::wire::TargetCounts;
use galton_runtime::mono_ns;
use galton_runtime::timer::Timer;
use tokio::sync::Notify;

use crate::burn::Burner;
use crate::config::Config;
use crate::demand::Demand;
use crate::hold::{CpuModel, Held};
use crate::metrics::Metrics;
use crate::slowdown::Slowdown;

/// One target.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) timer: Timer,
    pub(crate) cpu: CpuModel,
    /// What `/readyz` says.
    ready: Arc<AtomicBool>,
    in_flight: Cell<u32>,
    /// CPU units of what is held.
    demand: Cell<f64>,
    draining: Cell<bool>,
    /// What is still held is left as it is: neither completed nor cancelled.
    closed: Cell<bool>,
    /// Requests without a demand of their own, so far.
    own: Cell<u64>,
    accepted: RefCell<AcceptWindow>,
    /// Told when the last request is over.
    empty: Notify,
}

impl App {
    /// Must be called on the data thread, within its `LocalSet`.
    pub(crate) fn new(config: Config, metrics: Metrics, ready: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let timer = Timer::new()?;
        let cpu = match config.cpu_mode {
            CpuMode::Account => CpuModel::Account,
            CpuMode::Burn => CpuModel::Burn(Burner::start(config.burn_threads, metrics.cpu_burned.clone())?),
            CpuMode::Slowdown => CpuModel::Slowdown(Slowdown::new(config.cpu_capacity, timer.clone())),
        };
        let accepted = RefCell::new(AcceptWindow::new(config.idle_threshold));
        Ok(Self {
            config,
            metrics,
            timer,
            cpu,
            ready,
            in_flight: Cell::new(0),
            demand: Cell::new(0.0),
            draining: Cell::new(false),
            closed: Cell::new(false),
            own: Cell::new(0),
            accepted,
            empty: Notify::new(),
        })
    }

    /// Whether there is room, now.
    pub(crate) fn has_room(&self) -> bool {
        !self.draining.get() && self.in_flight.get() < self.config.max_concurrency
    }

    /// What a request asks for that does not say so itself.
    pub(crate) fn own_demand(&self) -> Demand {
        self.config.own_demand(self.own.replace(self.own.get() + 1))
    }

    /// Takes a slot for a request; there must be room.
    pub(crate) fn accept(self: &Rc<Self>, now: u64, demand: &Demand) -> Slot {
        self.in_flight.set(self.in_flight.get() + 1);
        self.set_demand(self.demand.get() + demand.cpu);
        self.accepted.borrow_mut().accept(Nanos(now));
        self.metrics.accepted.inc();
        self.metrics.in_flight.inc();
        Slot { app: self.clone(), cpu: demand.cpu, over: false }
    }

    fn set_demand(&self, demand: f64) {
        self.demand.set(demand);
        self.metrics.cpu_utilisation.set(demand / self.config.cpu_capacity);
    }

    fn release(&self, cpu: f64) {
        let left = self.in_flight.get() - 1;
        self.in_flight.set(left);
        self.metrics.in_flight.dec();
        // Rounding errors of the sum end with the busy period.
        self.set_demand(if left == 0 { 0.0 } else { self.demand.get() - cpu });
        if left == 0 {
            self.empty.notify_waiters();
        }
    }

    /// What an idle scan needs.
    pub(crate) fn counts(&self, window_ns: u64) -> TargetCounts {
        TargetCounts {
            accepted_in_window: self.accepted.borrow().count(Nanos(mono_ns()), Nanos(window_ns)),
            in_flight: self.in_flight.get(),
        }
    }

    /// Refuses from now on; returns when nothing is held, or after `timeout`. Says what is still held.
    pub(crate) async fn drain(&self, timeout: Duration) -> u32 {
        self.draining.set(true);
        self.metrics.slots.set(0);
        self.ready.store(false, Ordering::Release);
        let emptied = async {
            while self.in_flight.get() > 0 {
                self.empty.notified().await;
            }
        };
        // The answer is the count below, either way.
        tokio::time::timeout(timeout, emptied).await.ok();
        self.in_flight.get()
    }

    /// The process ends: what is still held counts neither as completed nor as cancelled. Says how many.
    pub(crate) fn close(&self) -> u32 {
        self.closed.set(true);
        self.in_flight.get()
    }
}

/// A slot of the target. Dropped before [`Slot::complete`], its request was cancelled.
pub(crate) struct Slot {
    app: Rc<App>,
    cpu: f64,
    over: bool,
}

impl Slot {
    /// The hold is over: counts it and frees the slot.
    pub(crate) fn complete(mut self, held: &Held) {
        self.over = true;
        self.app.metrics.completed(held);
        self.app.release(self.cpu);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.over && !self.app.closed.get() {
            self.app.metrics.cancelled.inc();
            self.app.release(self.cpu);
        }
    }
}
