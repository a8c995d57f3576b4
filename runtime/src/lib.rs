//! The I/O that every Galton process shares: clock, precise timer, telemetry, admin server, lifeline, shutdown, and the
//! memory-mapped book that survives SIGKILL. No policy.

pub mod admin;
pub mod book;
pub mod child;
pub mod clock;
pub mod http1;
pub mod http_client;
pub mod load_map;
pub mod memory;
pub mod readiness;
pub mod records;
pub mod role;
pub mod samples;
pub mod scenario_file;
pub mod shutdown;
pub mod slice;
pub mod telemetry;
pub mod terminal;
pub mod timer;

mod families;
mod mapped;

pub use clock::{ScenarioClock, mono_ns};
pub use shutdown::Shutdown;
