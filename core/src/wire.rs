//! What the processes say to each other over HTTP and on stdout. Times here are machine time: nanoseconds of
//! CLOCK_MONOTONIC, which all processes of one machine share; the edges convert.

use serde::{Deserialize, Serialize};

use crate::ids::{CallId, HostId, Incarnation, TargetId};
use crate::record::FleetEvent;

/// Header names, lower case.
pub mod header {
    /// Request: [`crate::RequestId`] in decimal.
    pub const SEQ: &str = "galton-seq";
    /// Request: hold time demanded, machine nanoseconds.
    pub const HOLD_NS: &str = "galton-hold-ns";
    /// Request: CPU demanded, in units (decimal fraction).
    pub const CPU: &str = "galton-cpu";
    /// Request: the deadline, machine nanoseconds of CLOCK_MONOTONIC.
    pub const DEADLINE_NS: &str = "galton-deadline-ns";
    /// Request: a key for the policies that hash one.
    pub const KEY: &str = "galton-key";
    /// Response: [`crate::Outcome`] as its `Display` prints it, or `full` from a target that refuses.
    pub const OUTCOME: &str = "galton-outcome";
    /// Response: why the proxy itself declined the request, as a word (`host_missing`, `body_too_large`, …; docs/proxy.md).
    pub const ERROR: &str = "galton-error";
    /// Response: dispatches to a target.
    pub const ATTEMPTS: &str = "galton-attempts";
    /// Response: the target that served, or the last one tried (`t-001`).
    pub const TARGET: &str = "galton-target";
    /// Response: when the proxy had the request's head.
    pub const RECV_NS: &str = "galton-recv-ns";
    /// Response: when the proxy had the response's head.
    pub const DONE_NS: &str = "galton-done-ns";
    /// Response: time at the load balancer outside of the serving attempt (retries, waits, picks), machine nanoseconds.
    pub const OVERHEAD_NS: &str = "galton-overhead-ns";
    /// Response: when the target began the hold.
    pub const TARGET_START_NS: &str = "galton-target-start-ns";
    /// Response: when the hold ended.
    pub const TARGET_DONE_NS: &str = "galton-target-done-ns";
    /// Response: CPU time really spent for it (`burn`), nanoseconds.
    pub const CPU_USED_NS: &str = "galton-cpu-used-ns";
}

/// The value of [`header::OUTCOME`] with which a target refuses (503).
pub const FULL: &str = "full";

/// The one JSON line by which a process announces, on stdout, that it has bound its ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// `proxy`, `target`, `scaler` or `loadgen`.
    pub role: String,
    /// Address of the data port, where the role has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Address of the admin port (the scaler's API is there too).
    pub admin: String,
    /// Process id.
    pub pid: u32,
}

/// The beginning of scenario time. `POST /start` on the admin port of the scaler and of loadgen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// T0, machine nanoseconds of CLOCK_MONOTONIC; may lie a little ahead.
    pub t0_ns: u64,
}

/// One target, as a proxy needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which slot.
    pub target: TargetId,
    /// Which process of it.
    pub incarnation: Incarnation,
    /// Address of its data port.
    pub data: String,
    /// Address of its admin port.
    pub admin: String,
    /// Since when it has been ready: the scaler's timestamp, machine nanoseconds; T0 for the initial fleet.
    pub since_ns: u64,
}

/// One line of `GET /v1/watch?host=H` on the scaler, newline-delimited JSON, in order. The stream begins with `Hello`;
/// everything about scenario time comes after `Start`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchLine {
    /// The ready fleet as it is, and T0 if the run has started.
    Hello {
        /// T0, once there is one.
        start: Option<Start>,
        /// Id of the load map of this run; none with a policy that shares none.
        map: Option<u64>,
        /// Version of the fleet.
        version: u64,
        /// Ready targets.
        members: Vec<Member>,
    },
    /// The run starts; the fleet of `Hello` is what every host knows at T0.
    Start(Start),
    /// One change, to be learned at `due_ns` and not before.
    Change {
        /// The fleet's version with it.
        version: u64,
        /// The scaler's timestamp.
        at_ns: u64,
        /// When this host learns it.
        due_ns: u64,
        /// The change.
        change: WireChange,
    },
    /// The whole ready fleet, at once: changes of this version and before are known with it.
    Snapshot {
        /// Version of the fleet.
        version: u64,
        /// Ready targets.
        members: Vec<Member>,
    },
    /// What came of a request for a target.
    ScaleUp {
        /// Who asked.
        call: CallId,
        /// What came of it.
        answer: WireScaleUp,
    },
    /// Nothing to say; keeps the stream alive.
    Ping,
}

/// A change of the fleet, with addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireChange {
    /// The target takes requests.
    Ready(Member),
    /// The target is being removed.
    Cordoned(TargetId),
    /// The target's process died.
    Gone(TargetId, Incarnation),
}

/// What came of a request for a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireScaleUp {
    /// The start was accepted, or shared.
    Accepted(TargetId),
    /// The target is ready.
    Ready(TargetId),
    /// The fleet is at its maximum.
    Refused,
    /// The start did not come up.
    StartFailed,
}

/// `POST /v1/scale-up` on the scaler: start one target. The answer comes on the watch stream of `host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleUpCall {
    /// Who asks; without a host (a person), the answer is the response itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// For which call of that host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// When the host asked, machine time; absent: now. The delay of the start counts from there, whatever the way took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_ns: Option<u64>,
}

/// `POST /v1/leave-start` on the scaler: a call that waits for a start has been given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveStartCall {
    /// At which host.
    pub host: HostId,
    /// Which call.
    pub call: CallId,
}

/// `POST /v1/scale-down` on the scaler: remove a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleDownCall {
    /// Who asks; none: a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// Which target.
    pub target: TargetId,
}

/// `POST /v1/released` on the scaler: this host knows that the target is cordoned and has nothing in flight there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedCall {
    /// Who.
    pub host: HostId,
    /// Which target.
    pub target: TargetId,
}

/// `POST /v1/hosts` on the scaler: a proxy that has no number asks for one. It is the proxy's from its watch on; until then it is
/// kept for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostNumber {
    /// The lowest that nobody has.
    pub host: HostId,
}

/// One line of `GET /v1/hosts` on the scaler: a proxy that watches, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Which host.
    pub host: HostId,
    /// Address of its data port.
    pub data: String,
    /// Address of its admin port.
    pub admin: String,
}

/// `GET /v1/targets` on the scaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetList {
    /// Version of the fleet.
    pub version: u64,
    /// Every target there is or was, by number.
    pub targets: Vec<TargetInfo>,
}

/// One target in [`TargetList`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// Which slot.
    pub target: TargetId,
    /// Which process of it.
    pub incarnation: Incarnation,
    /// The name of its [`crate::fleet::Phase`]: `starting`, `ready`, `draining`, `restarting`, `ended`.
    pub state: String,
    /// Address of the data port, once known.
    pub data: Option<String>,
    /// Address of the admin port, once known.
    pub admin: Option<String>,
    /// Process id, once known.
    pub pid: Option<u32>,
}

/// One line of `GET /v1/events` on the scaler, and of `fleet.jsonl` in the run directory.
pub type FleetLine = FleetEvent;

/// `GET /counts?window_ns=W` on a target's admin port: what an idle scan needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetCounts {
    /// Requests accepted within the window (machine nanoseconds), from any host, counted up to the threshold.
    pub accepted_in_window: u32,
    /// Requests held now.
    pub in_flight: u32,
}

/// Answer to `POST /drain?timeout_ms=N` on a target's admin port (N: machine time, 30 s without it): from then on the target
/// refuses; the answer comes when nothing is held, or after N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Requests still held.
    pub held: u32,
}

/// One line a second on loadgen's stdout under the conductor, after its [`Announce`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Scenario nanoseconds since T0.
    pub elapsed_ns: u64,
    /// Requests planned, if the plan is finite.
    pub planned: Option<u64>,
    /// Requests sent.
    pub offered: u64,
    /// Requests ended.
    pub done: u64,
    /// Of these, not `ok`.
    pub errors: u64,
    /// In flight now.
    pub in_flight: u64,
    /// Median response time so far, scenario nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile of it.
    pub p99_ns: u64,
    /// Nothing is left to send or to wait for; the files are written.
    pub finished: bool,
}
