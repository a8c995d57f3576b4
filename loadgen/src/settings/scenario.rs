//! The traffic of a scenario file, sent by a load generator alone.

use std::path::Path;

use galton_core::Nanos;
use galton_runtime::scenario_file;

use super::{Settings, UsageError};
use crate::link::Protocol;
use crate::pacing::Limits;

/// The proxy answers at the deadline; after this much more machine time we no longer believe that it will.
pub(crate) const GRACE_NS: u64 = 1_000_000_000;

pub(super) fn settings(path: &Path, protocol: Protocol, most: Option<u64>) -> Result<Settings, UsageError> {
    let scenario = scenario_file::load(path, &[]).map_err(|e| UsageError(e.to_string()))?;
    let words = format!("seed {}: {}", scenario.simulation.seed, galton_report::traffic_sentence(&scenario));
    Ok(Settings {
        limits: Limits { cut_off: Some(scenario.simulation.duration), lasts: Nanos::ZERO, ..Limits::default() },
        drain: scenario.simulation.drain,
        grace_ns: GRACE_NS,
        keys: None,
        protocol,
        max_requests_per_conn: most,
        words,
        scenario,
    })
}
