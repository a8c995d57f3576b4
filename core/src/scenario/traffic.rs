//! The traffic of a validated scenario: who asks, how often, for what.

use crate::dist::Dist;
use crate::time::Nanos;

/// `traffic`: who asks, how often, for what.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Open or closed loop.
    pub model: TrafficModel,
    /// Hold time on the target; the distribution is in milliseconds.
    pub request_duration_ms: Dist,
    /// CPU demand in CPU units.
    pub cpu_demand: Dist,
    /// Deadline of a request, from its intended send.
    pub timeout: Nanos,
}

/// Whether arrivals wait for completions.
#[derive(Clone, Debug, PartialEq)]
pub enum TrafficModel {
    /// Arrivals independent of completions.
    Open(Arrival),
    /// Users that wait for their responses: so many (closed loop), or as many as come (partly open).
    Closed(ClosedLoop),
}

/// `traffic.arrival`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// The distribution of the gaps.
    pub process: ArrivalProcess,
    /// Exactly this many arrivals.
    pub count: Option<u64>,
    /// The rate over time.
    pub ramp: Ramp,
}

/// `traffic.arrival.distribution`.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrivalProcess {
    /// Exponential gaps.
    Poisson {
        /// Arrivals per second.
        rate_per_sec: f64,
    },
    /// Exponential gaps, given by their mean (key `mean_ms`, or `lambda` per millisecond).
    Exponential {
        /// Mean gap.
        mean_ms: f64,
    },
    /// Normal gaps, truncated at 0.
    Normal {
        /// Mean before truncation.
        mean_ms: f64,
        /// Standard deviation before truncation.
        stddev_ms: f64,
    },
    /// Equal gaps; the first arrival is at 0.
    Deterministic {
        /// The gap.
        interval_ms: f64,
    },
    /// Gamma gaps.
    Gamma {
        /// Arrivals per second.
        rate_per_sec: f64,
        /// Coefficient of variation of a gap.
        cv: f64,
    },
    /// Weibull gaps.
    Weibull {
        /// Arrivals per second.
        rate_per_sec: f64,
        /// Coefficient of variation of a gap.
        cv: f64,
    },
    /// Uniform gaps between `1 − jitter` and `1 + jitter` times the mean.
    Uniform {
        /// Arrivals per second.
        rate_per_sec: f64,
        /// Half the width, as a share of the mean: above 0, at most 1.
        jitter: f64,
    },
    /// Lognormal gaps.
    LogNormal {
        /// Arrivals per second.
        rate_per_sec: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Markov-modulated Poisson: the phases follow each other in order, round and round, each for an exponential time.
    Mmpp {
        /// Rate of each phase, arrivals per second.
        rates_per_sec: Vec<f64>,
        /// Mean stay in each phase.
        mean_dwell_ms: Vec<f64>,
    },
    /// Arrivals read from a file, resolved while the scenario was loaded.
    Trace {
        /// The path as given to the reader; a loaded scenario file has it absolute, so that it can be read again from anywhere.
        file: String,
        /// Its rows, by time.
        rows: Vec<TraceArrival>,
    },
}

/// One row of an arrival trace; a column that is there replaces the draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceArrival {
    /// When.
    pub at: Nanos,
    /// Hold time.
    pub hold: Option<Nanos>,
    /// CPU demand in units.
    pub cpu: Option<f64>,
    /// Load-balancer host.
    pub host: Option<u32>,
}

/// `traffic.arrival.ramp`: the rate over time, per second.
#[derive(Clone, Debug, PartialEq)]
pub enum Ramp {
    /// The distribution's own rate.
    None,
    /// From `start` to `end` over `ramp`, then `end` for `hold` (absent: until the duration ends).
    Linear {
        /// Rate at 0.
        start_rate_per_sec: f64,
        /// Rate from the end of the ramp on.
        end_rate_per_sec: f64,
        /// Length of the ramp.
        ramp: Nanos,
        /// How long the end rate lasts; arrivals end after it.
        hold: Option<Nanos>,
    },
    /// Piecewise constant: each step's rate from its time on; 0 before the first.
    Steps(Vec<RateStep>),
    /// `mean + amplitude · sin(2πt / period)`; amplitude ≤ mean.
    Sine {
        /// Mean rate.
        mean_rate_per_sec: f64,
        /// Amplitude.
        amplitude_per_sec: f64,
        /// Period.
        period: Nanos,
    },
    /// `base`, but `peak` within `[at, at + length)`.
    Spike {
        /// Rate outside of the spike.
        base_rate_per_sec: f64,
        /// Rate within.
        peak_rate_per_sec: f64,
        /// When it begins.
        at: Nanos,
        /// How long it lasts.
        length: Nanos,
    },
}

/// One step of [`Ramp::Steps`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateStep {
    /// From when on.
    pub at: Nanos,
    /// The rate.
    pub rate_per_sec: f64,
}

/// `traffic.closed_loop`, or `traffic.arrival` with `sessions`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedLoop {
    /// Which users there are, each with at most one request in flight.
    pub population: Population,
    /// Pause after each response, in milliseconds.
    pub think_time_ms: Dist,
    /// Budget over all users; absent: until the duration ends.
    pub num_requests: Option<u64>,
    /// What a user does after an error.
    pub on_error: OnError,
}

/// The users of a closed or partly open loop.
#[derive(Clone, Debug, PartialEq)]
pub enum Population {
    /// So many, from the start to the end.
    Fixed(u32),
    /// They arrive, send a geometric number of requests, and leave: partly open (Schroeder, Wierman, Harchol-Balter, "Open
    /// versus closed: a cautionary tale", NSDI 2006).
    Sessions {
        /// When they arrive.
        arrival: Arrival,
        /// Mean number of requests of one, at least 1.
        mean_requests: f64,
    },
}

/// `on_error` of `traffic.closed_loop` and `traffic.arrival.sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Go on with the next round.
    Continue,
    /// The user ends.
    Cancel,
    /// The user ends and a new one takes its place at once.
    Replace,
}
