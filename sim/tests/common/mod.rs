//! Scenarios for tests.

use galton_core::Scenario;
use serde_json::Value;

/// The scenario that `base` describes with `changes` laid over it.
pub(crate) fn scenario(base: &Value, changes: &[&Value]) -> Scenario {
    let mut value = base.clone();
    changes.iter().for_each(|change| merge(&mut value, change));
    Scenario::from_value("test", &value, &mut |_| Err("no files here".to_owned())).expect("the scenario of a test")
}

/// Lays `from` over `into`, key by key; a distribution replaces the whole of another.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) if !from.contains_key("distribution") => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
