//! A load generator's own run as one side of a comparison. It has no scenario file: `result.json` says what was measured.

use std::path::Path;

use anyhow::Context as _;
use galton_core::Nanos;
use galton_report::compare::{Recorded, Records, Subject, Window};
use galton_report::{Span, trace};
use serde::Deserialize;

use super::subjects;
use crate::run_files::{self, Meta};
use crate::unfit;

/// The part of the `client` object that is needed.
#[derive(Clone, Copy, Debug, Deserialize)]
struct ClientHead {
    window_ns: Span,
    timeout_ns: Nanos,
    timeout_from_send: bool,
}

/// Every request of the run in this directory, or what its result says of them; none: the run is none of a load generator by
/// itself.
pub(super) fn open(dir: &Path) -> anyhow::Result<Option<Subject>> {
    let (file, trace) = (dir.join("result.json"), dir.join("trace.csv"));
    let value = run_files::json(&file)?;
    let Some(client) = value.get("client") else { return Ok(None) };
    if !trace.is_file() {
        return subjects::result(&file).map(Some);
    }
    let no_result = |error| unfit::no_result(error, &file);
    let head = ClientHead::deserialize(client).map_err(no_result)?;
    let meta = Meta::deserialize(&value).map_err(no_result)?;
    let rows = trace::read(run_files::open(&trace)?).with_context(|| format!("cannot read {}", trace.display()))?;
    let window = Window { start: head.window_ns.start, end: head.window_ns.end };
    // Under a cap, the deadline of a request depends on its send: its end is what is known.
    let timeout = (!head.timeout_from_send).then_some(head.timeout_ns);
    let recorded = Recorded::of_client(&rows, window, timeout);
    let (plan, scenario) = (meta.run.plan_sha256.clone(), value["scenario"].clone());
    Ok(Some(subjects::of_meta(dir, &meta, plan, scenario, Records::Requests(recorded))))
}
