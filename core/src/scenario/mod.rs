//! The scenario: one file for live runs, simulations and validations.
//!
//! A file is read once, into a [`Scenario`] that cannot be wrong; every fault in it is reported at once, with its path.
//! The keys are declared once (`keys`); reader and JSON Schema are made from that declaration. Files, formats and
//! overrides are not here but at the edge (`galton_runtime::scenario_file`).

mod build;
mod fault;
mod hint;
mod keys;
mod keys_dist;
mod limits;
mod model;
mod read;
mod rules;
mod schema;
mod spec;
mod trace;
mod traffic;
mod words;
mod write;

use serde_json::Value;

pub use fault::{Fault, Faults};
pub use model::*;
pub use schema::schema;
pub use traffic::*;
pub use words::Word;

/// The path of the trace file in the tree of a scenario, a JSON pointer.
pub const TRACE_FILE_POINTER: &str = "/traffic/arrival/file";

impl Scenario {
    /// Reads and validates a tree of values; absent keys get their defaults.
    ///
    /// `read_file` returns the text of the trace file that `traffic.arrival.file` names, or says why it cannot; it is
    /// not called for any other scenario.
    ///
    /// # Errors
    /// All faults of the tree and of its trace file.
    pub fn from_value(
        name: &str,
        value: &Value,
        read_file: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let tree = read::read(&keys::scenario(), value, &mut faults);
        rules::check(&tree, &mut faults);
        let rows = trace_rows(&tree, read_file, &mut faults);
        if !faults.0.is_empty() {
            return Err(faults);
        }
        let scenario = build::build(name, &tree, rows);
        rules::check_whole(&scenario, &mut faults);
        if faults.0.is_empty() { Ok(scenario) } else { Err(faults) }
    }

    /// Every key with its value, defaults filled in; optional keys only where they are set. [`Scenario::from_value`]
    /// makes an equal scenario of it, given the same trace file.
    pub fn to_value(&self) -> Value {
        write::write(self)
    }
}

impl Default for Scenario {
    /// The scenario of an empty file, named `default`.
    fn default() -> Self {
        let no_file = |_: &str| Err("the default scenario has no trace".to_owned());
        Self::from_value("default", &Value::Object(Default::default()), &mut { no_file })
            .expect("the defaults are valid, as a test shows")
    }
}

/// The rows of an arrival trace, by time: a CSV file with a column `t_ms` (and `hold_ms`, `cpu`, `host`), or a run's own trace.
///
/// # Errors
/// What is wrong, each with its line.
pub fn read_trace(text: &str) -> Result<Vec<TraceArrival>, Vec<String>> {
    trace::parse(text, None)
}

fn trace_rows(
    tree: &Value,
    read_file: &mut dyn FnMut(&str) -> Result<String, String>,
    faults: &mut Faults,
) -> Vec<TraceArrival> {
    let Some(file) = tree.pointer(TRACE_FILE_POINTER).and_then(Value::as_str) else { return vec![] };
    let hosts = tree["load_balancer"]["hosts"].as_u64();
    let named = |messages: Vec<String>| messages.into_iter().map(|m| format!("{file}: {m}")).collect();
    let rows = read_file(file).map_err(|why| vec![why]).and_then(|text| trace::parse(&text, hosts).map_err(named));
    let rows = rows.unwrap_or_else(|messages: Vec<String>| {
        messages.into_iter().for_each(|message| faults.add("traffic.arrival.file", message));
        vec![]
    });
    if let Some(count) = tree["traffic"]["arrival"]["count"].as_u64()
        && !rows.is_empty()
        && count > rows.len() as u64
    {
        faults.add("traffic.arrival.count", format!("must be ≤ the rows of the trace ({}), got {count}", rows.len()));
    }
    rows
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_faults;
#[cfg(test)]
mod tests_schema;
