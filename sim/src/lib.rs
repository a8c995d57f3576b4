//! Discrete-event simulator over the core: the same hosts and the same fleet as in a live run, with queue entries in the
//! place of sockets, timers and processes.
//!
//! No clock, no threads, no I/O; integer nanoseconds; events at the same instant in the order in which they were caused.
//! So far: open-loop traffic, on the machine-less model (no network, no spawn time), CPU accounted.

mod effects;
mod queue;
mod target;
mod world;

pub use world::{Simulated, simulate};
