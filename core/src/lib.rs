//! The pure core of Galton: what a load balancer and its autoscaler decide, and the records of it.
//!
//! Nothing here reads a clock, draws entropy, locks, logs or does I/O: time is an argument, chance is keyed by the seed.
//! The live processes turn [`host::Effect`]s and [`fleet::Effect`]s into sockets, timers and processes; the simulator
//! turns the same effects into queue entries.

pub mod arrivals;
pub mod counters;
pub mod cpu;
pub mod dist;
pub mod fleet;
pub mod host;
pub mod idle;
pub mod ids;
pub mod outcome;
pub mod plan;
pub mod prefetch;
pub mod profile;
pub mod record;
pub mod rng;
pub mod scenario;
pub mod table;
pub mod time;
pub mod users;
pub mod wire;

pub use ids::{CallId, HostId, Incarnation, RequestId, TargetId};
pub use outcome::{FailReason, Outcome, RejectReason};
pub use scenario::Scenario;
pub use time::Nanos;
