//! What is recorded: decisions of the load balancers, changes of the fleet, one trace row per planned request.
//!
//! The report is computed from these alone, live or simulated. All times are scenario time since T0.

use serde::{Deserialize, Serialize};

use crate::ids::{HostId, Incarnation, RequestId, TargetId};
use crate::outcome::{FailReason, Outcome, RejectReason};
use crate::plan::Demand;
use crate::time::Nanos;

/// One decision of a load-balancer host, written when it is complete: for an attempt, when the attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When it was taken; for an attempt, its dispatch.
    pub at: Nanos,
    /// For an attempt its end; otherwise equal to `at`.
    pub until: Nanos,
    /// By whom.
    pub host: HostId,
    /// For which request.
    pub request: RequestId,
    /// Attempts of the request so far, this one included.
    pub attempt: u32,
    /// At which target, if at one.
    pub target: Option<(TargetId, Incarnation)>,
    /// What was decided, or what came of it.
    pub kind: DecisionKind,
    /// Targets that the host knew, at `at`.
    pub known: u32,
    /// The host's own tickets on that target at `at`, this one included.
    pub own: u32,
}

/// What was decided, or what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecisionKind {
    /// Dispatched, and the target took it.
    Accept,
    /// As `Accept`, on the target that was started for the request.
    ScaleRoute,
    /// Dispatched, and the target refused, being full.
    Refuse,
    /// The host rejected the request.
    Reject(RejectReason),
    /// Dispatched, and it broke; or the request failed.
    Fail(FailReason),
}

impl DecisionKind {
    /// The name in `decisions.csv`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::ScaleRoute => "scale_route",
            Self::Refuse => "refuse",
            Self::Reject(_) => "reject",
            Self::Fail(_) => "fail",
        }
    }

    /// The reason in `decisions.csv`; empty where the kind says it all.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Reject(r) => r.as_str(),
            Self::Fail(r) => r.as_str(),
            _ => "",
        }
    }

    /// From the names in `decisions.csv`.
    pub fn from_names(kind: &str, reason: &str) -> Option<Self> {
        Some(match kind {
            "accept" => Self::Accept,
            "scale_route" => Self::ScaleRoute,
            "refuse" => Self::Refuse,
            "reject" => Self::Reject(RejectReason::ALL.into_iter().find(|r| r.as_str() == reason)?),
            "fail" => Self::Fail(FailReason::ALL.into_iter().find(|r| r.as_str() == reason)?),
            _ => return None,
        })
    }

    /// Whether the target held the request: it counts as in flight from `at` to `until`. So does one that ended with its
    /// connection, or was given up, which the target had.
    pub const fn occupied(self) -> bool {
        matches!(self, Self::Accept | Self::ScaleRoute | Self::Fail(FailReason::Reset | FailReason::Timeout))
    }
}

/// One change of a target's state, or a request for one that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetEvent {
    /// The scaler's timestamp.
    #[serde(rename = "at_ns")]
    pub at: Nanos,
    /// The fleet's version from then on.
    pub version: u64,
    /// Whom it is about; none for a refused start.
    pub target: Option<TargetId>,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// What happened.
    pub what: FleetWhat,
    /// The host that asked, where one did.
    pub host: Option<HostId>,
    /// The configured delay that belongs to it: of a start, of a stop; otherwise 0.
    #[serde(rename = "delay_ns")]
    pub delay: Nanos,
    /// By how much the machine overran that delay; otherwise 0.
    #[serde(rename = "overrun_ns")]
    pub overrun: Nanos,
    /// What a stopped or dead target still held, as far as is known.
    pub held: u32,
}

/// What happened to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetWhat {
    /// A start was accepted; the target is starting.
    Starting,
    /// Another request shares a start in progress.
    Joined,
    /// A start was refused: the fleet is at its maximum.
    UpRefused,
    /// The target takes requests.
    Ready,
    /// The start did not come up.
    StartFailed,
    /// The process died by itself.
    Died,
    /// A new process of the same slot is starting.
    Restarting,
    /// No restart is left.
    GivenUp,
    /// Removal accepted: no new dispatches.
    Cordoned,
    /// Removal refused: the fleet is at its minimum, or the target is not ready.
    DownRefused,
    /// Nothing is in flight any more.
    Drained,
    /// It did not drain in time.
    DrainTimeout,
    /// The process that was told to stop has ended.
    Stopped,
}

impl FleetWhat {
    /// The name in `fleet.csv`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Joined => "joined",
            Self::UpRefused => "up_refused",
            Self::Ready => "ready",
            Self::StartFailed => "start_failed",
            Self::Died => "died",
            Self::Restarting => "restarting",
            Self::GivenUp => "given_up",
            Self::Cordoned => "cordoned",
            Self::DownRefused => "down_refused",
            Self::Drained => "drained",
            Self::DrainTimeout => "drain_timeout",
            Self::Stopped => "stopped",
        }
    }
}

/// How a planned request ended: as offered, or never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceOutcome {
    /// It was offered.
    Offered(Outcome),
    /// The run ended before it was due, or before it could be sent.
    Unsent,
}

/// One line per planned request. `None` is an empty cell: not known, or not applicable.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceRow {
    /// From 0, in the order of intended sends (open loop) or of sending (closed loop).
    pub seq: u64,
    /// User, in a closed loop.
    pub user: Option<u32>,
    /// Round of the user, in a closed loop.
    pub round: Option<u32>,
    /// The load-balancer host it was meant for.
    pub host: Option<u32>,
    /// When it was meant to be sent.
    pub t_intended: Nanos,
    /// When it was sent.
    pub t_send: Option<Nanos>,
    /// When its response was complete, or when it was given up.
    pub t_end: Option<Nanos>,
    /// How it ended.
    pub outcome: TraceOutcome,
    /// HTTP status, if there was a response.
    pub status: Option<u16>,
    /// Dispatches to a target, as the proxy counted them.
    pub attempts: Option<u32>,
    /// The target that served it, or the last one tried.
    pub target: Option<TargetId>,
    /// When the proxy had its head.
    pub proxy_recv: Option<Nanos>,
    /// When the proxy had the response's head ready.
    pub proxy_done: Option<Nanos>,
    /// When the target began to hold it.
    pub target_start: Option<Nanos>,
    /// When the hold ended.
    pub target_done: Option<Nanos>,
    /// Demanded hold.
    pub hold_demand: Nanos,
    /// Demanded CPU, in units.
    pub cpu_demand: f64,
    /// CPU time really spent for it (`burn`).
    pub cpu_used: Option<Nanos>,
    /// Time at the load balancer not spent in the serving attempt.
    pub overhead: Option<Nanos>,
}

/// What the report asks of a request that has ended: a part of its [`TraceRow`], that a run which keeps no rows need not make one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// When it was meant to be sent.
    pub t_intended: Nanos,
    /// When it was sent.
    pub t_send: Option<Nanos>,
    /// When its response was complete, or when it was given up.
    pub t_end: Option<Nanos>,
    /// How it ended.
    pub outcome: TraceOutcome,
    /// Dispatches to a target, as the proxy counted them.
    pub attempts: Option<u32>,
    /// The target that served it, or the last one tried.
    pub target: Option<TargetId>,
    /// Hold time as the target measured it.
    pub hold: Option<Nanos>,
    /// Time at the load balancer not spent in the serving attempt.
    pub overhead: Option<Nanos>,
}

impl Ended {
    /// Response time: from the intended send.
    #[inline]
    pub fn response(&self) -> Option<Nanos> {
        self.t_end.map(|end| end - self.t_intended)
    }

    /// Service latency: from the actual send.
    #[inline]
    pub fn service(&self) -> Option<Nanos> {
        self.t_end.zip(self.t_send).map(|(end, send)| end - send)
    }

    /// Send lag: actual minus intended send.
    #[inline]
    pub fn send_lag(&self) -> Option<Nanos> {
        self.t_send.map(|send| send - self.t_intended)
    }

    /// Retries: attempts − 1, and 0 without attempts.
    #[inline]
    pub fn retries(&self) -> Option<u32> {
        self.attempts.map(|n| n.saturating_sub(1))
    }
}

impl TraceRow {
    /// What the report asks of it.
    pub fn ended(&self) -> Ended {
        Ended {
            t_intended: self.t_intended,
            t_send: self.t_send,
            t_end: self.t_end,
            outcome: self.outcome,
            attempts: self.attempts,
            target: self.target,
            hold: self.hold(),
            overhead: self.overhead,
        }
    }

    /// Of a request that is planned, and as yet not sent: nothing else is known of it.
    pub fn unsent(seq: u64, request: RequestId, host: HostId, t_intended: Nanos, demand: Demand) -> Self {
        let (user, round) = request.user_and_round().unzip();
        Self {
            seq,
            user,
            round,
            host: Some(host.0),
            t_intended,
            t_send: None,
            t_end: None,
            outcome: TraceOutcome::Unsent,
            status: None,
            attempts: None,
            target: None,
            proxy_recv: None,
            proxy_done: None,
            target_start: None,
            target_done: None,
            hold_demand: demand.hold,
            cpu_demand: demand.cpu,
            cpu_used: None,
            overhead: None,
        }
    }

    /// The key of its decisions.
    pub fn request(&self) -> RequestId {
        match (self.user, self.round) {
            (Some(user), Some(round)) => RequestId::closed(user, round),
            _ => RequestId::open(self.seq),
        }
    }

    /// Response time: from the intended send.
    pub fn response(&self) -> Option<Nanos> {
        self.ended().response()
    }

    /// Service latency: from the actual send.
    pub fn service(&self) -> Option<Nanos> {
        self.ended().service()
    }

    /// Send lag: actual minus intended send.
    pub fn send_lag(&self) -> Option<Nanos> {
        self.ended().send_lag()
    }

    /// Hold time as the target measured it.
    pub fn hold(&self) -> Option<Nanos> {
        self.target_done.zip(self.target_start).map(|(done, start)| done - start)
    }

    /// Retries: attempts − 1, and 0 without attempts.
    pub fn retries(&self) -> Option<u32> {
        self.ended().retries()
    }
}
