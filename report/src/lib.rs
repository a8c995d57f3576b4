//! From records to a report: one code for live and simulated runs.
//!
//! Pure: no clock, no environment, no files. Writers return strings or write to an [`std::io::Write`].

pub mod compare;
mod compute;
mod csv;
mod generator;
pub mod hlog;
mod input;
pub mod merge;
mod model;
mod plot_data;
mod replications;
mod sentence;
pub mod slo;
mod stats;
pub mod sweep;
pub mod units;
pub mod validate;
mod validity;
mod write;

pub use compute::{ClientFacts, ClientFold, ClientPlan, Fold, WarmUp};
pub use csv::{ReadError, decisions, fleet, plan, trace};
pub use galton_core::users::UserEnds;
pub use generator::{Books, Pace, SelfEvidence, broken_equations, judge_generator, send_lag_limit};
pub use input::{Generator, GeneratorFacts, HostInfo, Kind, RunData, RunFacts, RunMeta};
pub use model::*;
pub use replications::{Figures, Replicated, Replications, Unit};
pub use sentence::{of as sentence, traffic as traffic_sentence};
pub use stats::{GaugeQuantile, GaugeSummary, Quantile, Summary, needed};
pub use validity::{Quantity, Reason, Severity, Validity, Verdict};
