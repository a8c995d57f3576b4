//! In which keys two scenarios differ.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// Sections that say nothing about what happens in a run.
const SILENT: [&str; 3] = ["description", "sampling", "reporting"];
/// Sections that are the policy: comparing those is what a comparison is for.
const POLICY: [&str; 2] = ["load_balancer", "scaling"];

/// A key in which they differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyDifference {
    /// Its path.
    pub key: String,
    /// Its value in the first; null: absent.
    pub a: Value,
    /// Its value in the second.
    pub b: Value,
}

/// All keys in which they differ, by path.
pub(crate) fn between(a: &Value, b: &Value) -> Vec<KeyDifference> {
    let (mut of_a, mut of_b) = (BTreeMap::new(), BTreeMap::new());
    leaves(a, String::new(), &mut of_a);
    leaves(b, String::new(), &mut of_b);
    let missing: Vec<String> = of_b.keys().filter(|key| !of_a.contains_key(*key)).cloned().collect();
    let keys = of_a.keys().cloned().chain(missing);
    let value = |values: &BTreeMap<String, Value>, key: &str| values.get(key).cloned().unwrap_or(Value::Null);
    let mut found: Vec<KeyDifference> =
        keys.map(|key| KeyDifference { a: value(&of_a, &key), b: value(&of_b, &key), key }).collect();
    found.retain(|one| one.a != one.b && !SILENT.contains(&one.section()));
    found.sort_by(|one, other| one.key.cmp(&other.key));
    found
}

fn leaves(value: &Value, path: String, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => {
            let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            object.iter().for_each(|(key, value)| leaves(value, below(key), into));
        }
        leaf => {
            into.insert(path, leaf.clone());
        }
    }
}

// === impl KeyDifference ===

impl KeyDifference {
    fn section(&self) -> &str {
        self.key.split('.').next().unwrap_or_default()
    }

    /// Whether it is one of the policy's.
    pub(crate) fn is_policy(&self) -> bool {
        POLICY.contains(&self.section())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_told_by_their_paths() {
        let a = json!({"description": "x", "load_balancer": {"hosts": 2, "rr": {"sync_delay_ms": 5}}, "targets": {"n": [1]}});
        let b = json!({"description": "y", "load_balancer": {"hosts": 2, "rr": {"sync_delay_ms": 9}}, "simulation": {"seed": 1}});
        let found = between(&a, &b);
        let keys: Vec<&str> = found.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["load_balancer.rr.sync_delay_ms", "simulation.seed", "targets.n"]);
        assert_eq!((&found[0].a, &found[1].a, &found[2].b), (&json!(5), &json!(null), &json!(null)));
        assert!(found[0].is_policy() && !found[1].is_policy());
        assert_eq!(between(&a, &a), []);
    }
}
