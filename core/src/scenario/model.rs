//! The validated scenario, defaults filled in. Times are [`Nanos`]; the keys of the file are in milliseconds.

use super::traffic::Traffic;
use crate::dist::Dist;
use crate::time::Nanos;

/// A whole, valid scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The file's stem; names the run directory.
    pub name: String,
    /// What the scenario shows, in a line.
    pub description: String,
    /// `simulation`.
    pub simulation: Simulation,
    /// `traffic`.
    pub traffic: Traffic,
    /// `load_balancer`.
    pub load_balancer: LoadBalancer,
    /// `targets`.
    pub targets: Targets,
    /// `scaling`.
    pub scaling: Scaling,
    /// `sampling`.
    pub sampling: Sampling,
    /// `reporting`.
    pub reporting: Reporting,
}

/// `simulation`: the run itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulation {
    /// The one seed.
    pub seed: u64,
    /// Arrivals are planned in `[0, duration)`.
    pub duration: Nanos,
    /// How long to wait for requests in flight after that.
    pub drain: Nanos,
    /// Hard stop of the whole run.
    pub total_time: Option<Nanos>,
    /// Requests intended before this stay out of the statistics.
    pub warmup: Nanos,
}

/// `load_balancer`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalancer {
    /// Which policy.
    pub architecture: Architecture,
    /// Load-balancer hosts.
    pub hosts: u32,
    /// What a request does when nobody can take it.
    pub no_capacity: NoCapacity,
    /// What may be tried again.
    pub retry_on: RetryOn,
    /// Longest time for one attempt, from its dispatch to the end of its response.
    pub try_timeout: Option<Nanos>,
    /// `load_balancer.rr`.
    pub rr: RoundRobin,
    /// `load_balancer.lc`.
    pub lc: LeastConns,
}

/// `load_balancer.architecture`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// A private list and index per host.
    RoundRobin,
    /// One table of in-flight counts shared by all hosts.
    LeastConns,
}

/// `load_balancer.no_capacity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCapacity {
    /// Ask the scaler for a target and wait for it.
    WaitScaleUp,
    /// Reject.
    Fail,
    /// Wait in a queue of the host, first in first out.
    Queue {
        /// Most requests waiting per host.
        depth: u32,
        /// Longest wait.
        timeout: Nanos,
    },
}

/// `load_balancer.retry_on`: what is not listed ends `failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// The target refused because it is full.
    pub full: bool,
    /// No connection.
    pub connect: bool,
    /// The connection broke before a byte of the response, and the method is idempotent.
    pub reset: bool,
    /// The attempt took too long, no byte of its response has been seen by the client, and the method is idempotent.
    pub timeout: bool,
}

/// `load_balancer.rr`.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundRobin {
    /// Retries after the first attempt.
    pub retry_limit: u32,
    /// Wait after every refusal.
    pub retry_delay: Nanos,
    /// How long a fleet change takes to reach the hosts that did not cause it.
    pub sync_delay: Nanos,
    /// Where each host starts in its list.
    pub start_offset: StartOffset,
    /// A target that accepted fewer requests than this within the idle window is idle; 0: never.
    pub idle_threshold_requests: u32,
}

/// `load_balancer.rr.start_offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOffset {
    /// All at the first target.
    Same,
    /// Uniform, drawn by (seed, host).
    Random,
}

/// `load_balancer.lc`.
#[derive(Clone, Debug, PartialEq)]
pub struct LeastConns {
    /// L: how long an operation on the shared map takes, one at a time.
    pub lock_latency: Nanos,
    /// Wait after a target refused a reserved slot.
    pub retry_delay: Nanos,
    /// Retries after the first attempt.
    pub retry_limit: u32,
    /// Which of several equally loaded targets.
    pub tie_break: TieBreak,
    /// A target whose in-flight count stayed below this for the whole idle window is idle; 0: never.
    pub idle_threshold_outstanding: u32,
}

/// `load_balancer.lc.tie_break`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TieBreak {
    /// Uniform, drawn by (seed, request, attempt).
    Random,
    /// The lowest number.
    LowestId,
    /// The first after this host's last pick.
    Rotate,
}

/// `targets`.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// Targets ready at T0.
    pub initial_count: u32,
    /// Requests a target holds at most.
    pub max_concurrency: u32,
    /// CPU units of a target.
    pub cpu_capacity: f64,
    /// What happens to a hold whose caller went away.
    pub on_disconnect: OnDisconnect,
    /// CPU time of one CPU unit (`burn`).
    pub cpu_unit: Nanos,
    /// What CPU demand does.
    pub cpu_mode: CpuMode,
}

/// `targets.on_disconnect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The slot is free at once.
    Cancel,
    /// The hold goes on.
    Finish,
}

/// `targets.cpu_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuMode {
    /// Utilisation is computed, hold times stay.
    Account,
    /// The CPU time is really spent.
    Burn,
    /// Work proceeds at 1 / max(1, utilisation).
    Slowdown,
}

/// `scaling`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// Fewest targets.
    pub min_targets: u32,
    /// Most targets, starts in progress counted.
    pub max_targets: u32,
    /// Who asks. Only `on_demand` so far: the hosts do.
    pub policy: ScalingPolicy,
    /// From an accepted start to ready, in milliseconds.
    pub scale_up_delay_ms: Dist,
    /// From an accepted removal to the stop, in milliseconds, at least.
    pub scale_down_delay_ms: Dist,
    /// Whether exhausted requests share a start.
    pub scale_up: ScaleUp,
    /// The idle window.
    pub idle_window: Nanos,
    /// How often a host looks for idle targets.
    pub scan_interval: Nanos,
    /// After this a draining target is stopped, whatever it holds.
    pub drain_timeout: Nanos,
}

/// `scaling.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalingPolicy {
    /// The hosts ask.
    OnDemand,
}

/// `scaling.scale_up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleUp {
    /// Every exhausted request starts its own target.
    PerRequest,
    /// Requests share a start in progress while it has free slots.
    Coalesced,
}

/// `sampling`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Only `event` so far.
    pub mode: SamplingMode,
    /// Which events take a sample of the gauges; at least one.
    pub sample_on: Vec<SampleOn>,
}

/// `sampling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplingMode {
    /// A sample per event.
    Event,
}

/// `sampling.sample_on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleOn {
    /// Every decision of a load balancer.
    LbDecision,
    /// Every completion.
    RequestComplete,
    /// Every change of the fleet.
    TopologyChange,
}

/// `reporting`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reporting {
    /// Where run directories go.
    pub output_dir: String,
    /// Which files are written.
    pub writers: Vec<Writer>,
    /// Whether the HTML has plots.
    pub include_plots: bool,
}

/// `reporting.writers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// `result.json`.
    Json,
    /// `report.md`.
    Markdown,
    /// `*.csv`.
    Csv,
    /// `report.html`.
    Html,
}
