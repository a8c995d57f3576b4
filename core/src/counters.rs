//! Counters that only a process can know, from scrapes of a live run or from a simulated one, per incarnation.

use serde::{Deserialize, Serialize};

use crate::ids::{HostId, Incarnation, TargetId};
use crate::time::Nanos;

/// All counters of a run, over the whole run (not only the measured window).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Of the load generator.
    pub load: LoadCounters,
    /// Of every incarnation of every proxy.
    pub proxies: Vec<ProxyCounters>,
    /// Of every incarnation of every target.
    pub targets: Vec<TargetCounters>,
    /// Scrapes that should be there and are not, in words.
    pub missing: Vec<String>,
    /// Whose counters are not all here: what they add up to is not known.
    pub uncounted: Uncounted,
}

/// Processes that left no counters: they have no entry among the [`Counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncounted {
    /// A proxy.
    pub proxies: bool,
    /// A process of a target.
    pub targets: bool,
}

/// What the load generator counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadCounters {
    /// Requests sent: their first byte was handed to a connection, or a connection was tried for them.
    pub sent: u64,
    /// Of these, those that ended without a connection to the proxy.
    pub connect_failures: u64,
    /// CPU time of the process.
    pub cpu: Nanos,
    /// The highest share of one core that a sending thread used in any second.
    pub peak_thread_cpu: f64,
}

/// What one proxy process counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProxyCounters {
    /// Which host.
    pub host: HostId,
    /// It did not end because it was told to.
    pub died: bool,
    /// Requests whose head was read.
    pub received: u64,
    /// Of these, turned away because the process had no room for them: no policy saw them.
    pub overloaded: u64,
    /// Responses by outcome class; `cancelled` are those whose client went away.
    pub ok: u64,
    /// Answered 503.
    pub rejected: u64,
    /// Answered 504.
    pub timed_out: u64,
    /// Answered 502, or broken off.
    pub failed: u64,
    /// The client went away first.
    pub cancelled: u64,
    /// Dispatches to a target.
    pub attempts: u64,
    /// Of these, without a connection to the target.
    pub connection_failures: u64,
    /// Of these, closed by the proxy: the client went away, or the deadline or the attempt's own time passed.
    pub closed: u64,
    /// Injected delays (sync, retry, lock), and how many of them the machine overran.
    pub delays: u64,
    /// Those it overran.
    pub delays_overrun: u64,
    /// CPU time of the process.
    pub cpu: Nanos,
    /// Slots still taken when the run was over.
    pub in_flight_at_end: u64,
}

/// What one target process counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetCounters {
    /// Which slot.
    pub target: TargetId,
    /// Which process of it.
    pub incarnation: Incarnation,
    /// It did not end because it was told to.
    pub died: bool,
    /// Requests taken.
    pub accepted: u64,
    /// Requests refused, being full or draining.
    pub refused: u64,
    /// Holds that ended by themselves.
    pub completed: u64,
    /// Holds whose caller went away.
    pub cancelled: u64,
    /// CPU time of the whole process, as the kernel accounts it.
    pub cpu: Nanos,
    /// CPU time spent on demand (`burn`), as the burning threads measured it.
    pub cpu_burned: Nanos,
    /// Holds that ended later than they should, by more than the tolerance.
    pub delays_overrun: u64,
}

// === impl ProxyCounters ===

impl ProxyCounters {
    /// Of a process that has counted nothing yet.
    pub fn new(host: HostId) -> Self {
        Self {
            host,
            died: false,
            received: 0,
            overloaded: 0,
            ok: 0,
            rejected: 0,
            timed_out: 0,
            failed: 0,
            cancelled: 0,
            attempts: 0,
            connection_failures: 0,
            closed: 0,
            delays: 0,
            delays_overrun: 0,
            cpu: Nanos::ZERO,
            in_flight_at_end: 0,
        }
    }
}

// === impl TargetCounters ===

impl TargetCounters {
    /// Of a process that has counted nothing yet.
    pub fn new(target: TargetId, incarnation: Incarnation) -> Self {
        Self {
            target,
            incarnation,
            died: false,
            accepted: 0,
            refused: 0,
            completed: 0,
            cancelled: 0,
            cpu: Nanos::ZERO,
            cpu_burned: Nanos::ZERO,
            delays_overrun: 0,
        }
    }
}
