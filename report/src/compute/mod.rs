//! From records to [`Report`]: each module accumulates one part; `fold` puts them together.

mod bounds;
mod by_target;
mod client;
mod conservation;
mod counts;
mod fold;
mod gauges;
mod judge;
mod latency;
mod plots;
mod scaling;
mod series;
mod served;
mod targets;
mod window;

use std::collections::HashMap;

use galton_core::record::TraceRow;
use galton_core::{Nanos, RequestId};

use crate::input::{RunData, RunFacts};
use crate::model::Report;

use self::bounds::Bounds;
pub(crate) use self::bounds::lengths;
pub(crate) use self::client::COLUMNS as CLIENT_COLUMNS;
#[cfg(test)]
pub(crate) use self::client::tests as client_tests;
pub use self::client::{ClientFacts, ClientFold, Plan as ClientPlan, WarmUp};
pub(crate) use self::counts::CLASSES;
pub use self::fold::Fold;
use self::gauges::{EventKind, Load, in_order};
pub(crate) use self::plots::bins_of_counts;
pub(crate) use self::scaling::{TOLERANCE, TOLERANCE_SHARE};
pub(crate) use self::series::WINDOW_COLUMNS;

/// Version of the schema of `result.json`.
pub(crate) const SCHEMA_VERSION: u32 = 1;

impl Report {
    /// Computes everything; a few seconds per million requests on one core, in a release build.
    pub fn compute(data: &RunData) -> Self {
        let bounds = Bounds::of(data);
        let mut fold = Fold::within(&data.scenario, bounds, data.decisions.is_some());
        replay(data, &bounds, &mut fold);
        let mut rows: Vec<&TraceRow> = data.trace.iter().collect();
        rows.sort_by_key(|row| (row.t_end.unwrap_or(Nanos::MAX), row.seq));
        rows.into_iter().for_each(|row| fold.ended(&row.ended()));
        let evidence = judge::evidence(data, bounds.window, &fold);
        let facts = RunFacts::of(data);
        fold.report(&facts, bounds.window, evidence)
    }
}

/// What a replay needs to know of a request.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    load: Load,
    measured: bool,
}

/// Decisions and changes of the fleet, in order of time.
fn replay(data: &RunData, bounds: &Bounds, fold: &mut Fold) {
    let unit = data.scenario.targets.cpu_unit.0.max(1) as f64;
    let asked = |row: &TraceRow| {
        let spent = row.cpu_used.map_or(0.0, |used| used.0 as f64 / unit);
        let load = Load { demanded: row.cpu_demand, spent };
        (row.request(), Asked { load, measured: bounds.window.measures(row.t_intended) })
    };
    let requests: HashMap<RequestId, Asked> = data.trace.iter().map(asked).collect();
    let decisions = data.decisions.as_deref().unwrap_or_default();
    for event in in_order(data) {
        if event.kind == EventKind::Fleet {
            fold.changed(&data.fleet[event.index]);
            continue;
        }
        let decision = &decisions[event.index];
        let asked = requests.get(&decision.request).copied().unwrap_or_default();
        fold.replayed(decision, event.kind, asked.load, asked.measured);
    }
}
