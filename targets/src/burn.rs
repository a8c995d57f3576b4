//! Burning CPU time, for real: threads of their own serve the active requests in turn, a slice each, until each has spent what
//! it asked for by the thread's CPU clock.
//!
//! The CPU clock and not the wall clock: on a busy machine a request then takes longer, as real work would.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use galton_runtime::book::Cell;
use galton_runtime::clock::thread_cpu_ns;
use galton_runtime::{mono_ns, slice};
use tokio::sync::oneshot;

/// What one request gets before the next has its turn: as long as a scheduler's slice, so that turns look fair at the scale of
/// a hold, and long against what a turn costs (under a microsecond).
const SLICE_NS: u64 = 1_000_000;
/// Work between two looks at the clock: a few microseconds, so that looking (a system call) is little of it.
const SPINS: u32 = 2_000;

/// The burning threads. They end with the process.
pub(crate) struct Burner(Arc<Queue>);

/// CPU time that is being spent for one request; dropping it stops that at the end of the slice.
pub(crate) struct Burning(Option<oneshot::Receiver<Burnt>>);

/// CPU time was spent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burnt {
    /// How much, as the threads measured it.
    pub(crate) spent_ns: u64,
    /// When the last of it was, machine time.
    pub(crate) at: u64,
}

struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    more: Condvar,
    /// All that was spent.
    total: Cell,
}

struct Job {
    left_ns: u64,
    spent_ns: u64,
    done: oneshot::Sender<Burnt>,
}

// === impl Burner ===

impl Burner {
    /// With so many threads; what they spend is added to `total` in nanoseconds.
    pub(crate) fn start(threads: u32, total: Cell) -> anyhow::Result<Self> {
        let queue = Arc::new(Queue { jobs: Mutex::default(), more: Condvar::new(), total });
        for i in 0..threads {
            let queue = queue.clone();
            let spawned = std::thread::Builder::new().name(format!("burn-{i}")).spawn(move || {
                slice::usual();
                queue.serve();
            });
            spawned.context("cannot start a burning thread")?;
        }
        Ok(Self(queue))
    }

    /// Spends so much CPU time from now on, taking turns with others.
    pub(crate) fn burn(&self, cpu_ns: u64) -> Burning {
        if cpu_ns == 0 {
            return Burning(None);
        }
        let (done, finished) = oneshot::channel();
        self.0.put(Job { left_ns: cpu_ns, spent_ns: 0, done });
        Burning(Some(finished))
    }
}

impl Burning {
    /// Waits until all is spent; `None` if there was nothing to spend.
    pub(crate) async fn finished(self) -> Option<Burnt> {
        self.0?.await.ok()
    }
}

// === impl Queue ===

impl Queue {
    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, job: Job) {
        self.jobs().push_back(job);
        self.more.notify_one();
    }

    fn take(&self) -> Job {
        let mut jobs = self.jobs();
        loop {
            match jobs.pop_front() {
                Some(job) => return job,
                None => jobs = self.more.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn serve(&self) {
        loop {
            let mut job = self.take();
            if job.done.is_closed() {
                continue; // its caller went away
            }
            let spent = spend(job.left_ns.min(SLICE_NS));
            self.total.add(spent);
            job.spent_ns += spent;
            job.left_ns = job.left_ns.saturating_sub(spent);
            if job.left_ns > 0 {
                self.put(job);
            } else {
                // Nobody listens if the caller has just gone away.
                job.done.send(Burnt { spent_ns: job.spent_ns, at: mono_ns() }).ok();
            }
        }
    }
}

/// Spends at least so much CPU time on this thread, and says how much it was.
fn spend(cpu_ns: u64) -> u64 {
    let begin = thread_cpu_ns();
    loop {
        for i in 0..SPINS {
            black_box(i);
        }
        let spent = thread_cpu_ns() - begin;
        if spent >= cpu_ns {
            return spent;
        }
    }
}

#[cfg(test)]
mod tests {
    use galton_runtime::book::{Book, Kind};

    use super::*;

    fn burner(threads: u32) -> (Burner, Cell) {
        let total = Book::create(None).unwrap().cell(Kind::Seconds, "cpu_seconds_total", &[], "").unwrap();
        (Burner::start(threads, total.clone()).unwrap(), total)
    }

    fn wait(burning: Burning) -> Option<Burnt> {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(burning.finished())
    }

    #[test]
    fn what_was_asked_for_is_spent_and_little_more() {
        let (burner, total) = burner(1);
        let burning: Vec<_> = [3_300_000, 700_000].map(|ns| (ns, burner.burn(ns))).into_iter().collect();
        let mut sum = 0;
        for (asked, burning) in burning {
            let spent = wait(burning).unwrap().spent_ns;
            assert!(spent >= asked && spent < asked + 4 * SLICE_NS, "{spent} for {asked}");
            sum += spent;
        }
        assert_eq!(total.get(), sum);
        assert!(wait(burner.burn(0)).is_none());
    }

    #[test]
    fn turns_are_fair() {
        let (burner, _) = burner(1);
        let long = burner.burn(200_000_000);
        let short = wait(burner.burn(2_000_000)).unwrap();
        let long = wait(long).unwrap();
        assert!(short.at < long.at, "the short one waited for the whole long one");
    }

    #[test]
    fn what_nobody_waits_for_is_not_spent() {
        let (burner, total) = burner(1);
        drop(burner.burn(60_000_000_000));
        let spent = wait(burner.burn(1_000_000)).unwrap().spent_ns;
        // At most the slice that had begun.
        assert!(total.get() < spent + 4 * SLICE_NS, "{}", total.get());
    }
}
