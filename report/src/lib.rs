//! From records to a report: one code for live and simulated runs.
//!
//! Pure: no clock, no environment, no files. Writers return strings or write to an [`std::io::Write`].

mod compute;
mod csv;
mod generator;
mod input;
mod model;
mod plot_data;
mod sentence;
mod stats;
pub mod units;
pub mod validate;
mod validity;
mod write;

pub use csv::{ReadError, decisions, fleet, trace};
pub use galton_core::users::UserEnds;
pub use generator::{Books, Pace, SelfEvidence, broken_equations, judge_generator, send_lag_limit};
pub use input::{Generator, HostInfo, Kind, RunData, RunMeta};
pub use model::*;
pub use sentence::of as sentence;
pub use stats::{GaugeQuantile, GaugeSummary, Quantile, Summary, needed};
pub use validity::{Quantity, Reason, Severity, Validity, Verdict};
