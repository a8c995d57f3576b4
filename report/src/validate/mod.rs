//! Whether a simulation tells the truth: live runs of a scenario against an ensemble of simulated ones.
//!
//! Every run, live or simulated, is reduced to an [`Observed`] by the same code. [`judge`] holds the live runs' means
//! against the ensemble, metric by metric; [`Validation`] is what the writers print. Which rules there are, and why, is
//! stated in `docs/validation.md`.
//!
//! The ensemble is the same scenario simulated many times with the same plan, each time with other delays drawn from
//! what the machine was measured to add. What lies within it is what a faithful simulator cannot tell from a live run.

mod courses;
mod judge;
mod observed;
mod pairs;
mod quantiles;
mod range;
mod write;

pub use judge::{Judgement, Metric, Rule, Unit, Verdicts, judge};
pub use observed::Observed;
pub use pairs::pairs_assertable;
pub use write::{LiveRun, NotJudged, ScenarioResult, Validation, Why};

/// Machine time that a hop may take beyond what is simulated before it counts, in nanoseconds: what one wake-up of a
/// process takes on a machine that is busy.
const MACHINE_NS: f64 = 200_000.0;
/// And a share of the figure itself: what nobody would decide anything by.
const SHARE: f64 = 0.02;
