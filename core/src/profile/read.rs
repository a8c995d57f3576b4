//! A profile from a tree of values: every fault of it, each with the path of the field it is about.

use serde_json::{Map, Value};

use super::{PROFILE_VERSION, Profile};
use crate::scenario::Faults;

/// The fields that are delays, as [`Profile::delays`] names them.
const DELAYS: [&str; 12] = [
    "send_lag",
    "client_to_proxy",
    "pick",
    "proxy_to_target",
    "hold_over",
    "target_to_proxy",
    "proxy_to_client",
    "refusal",
    "wait_over",
    "ask",
    "push",
    "spawn",
];
/// The other fields.
const ABOUT: [&str; 3] = ["schema_version", "machine", "measured_unix_ns"];

pub(super) fn read(value: &Value) -> Result<Profile, Faults> {
    let mut faults = Faults::default();
    match value.as_object() {
        Some(fields) => check(fields, &mut faults),
        None => faults.add("", "must be an object"),
    }
    if !faults.0.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(value.clone()).map_err(|error| {
        faults.add("", error.to_string());
        faults
    })
}

fn check(fields: &Map<String, Value>, faults: &mut Faults) {
    match fields.get("schema_version") {
        Some(version) if version.as_u64() == Some(PROFILE_VERSION.into()) => {}
        Some(version) => {
            return faults.add("schema_version", format!("must be {PROFILE_VERSION}, got {version}"));
        }
        None => return faults.add("schema_version", "is missing"),
    }
    let known = |name: &str| ABOUT.contains(&name) || DELAYS.contains(&name);
    for name in fields.keys().filter(|name| !known(name)) {
        faults.add(name, "is not a field of a machine profile");
    }
    about(fields, "machine", "text", Value::is_string, faults);
    about(fields, "measured_unix_ns", "whole nanoseconds since 1970", Value::is_u64, faults);
    for name in DELAYS {
        match fields.get(name) {
            Some(Value::Array(values)) => delay(name, values, faults),
            Some(_) => faults.add(name, "must be a list of nanoseconds, ascending"),
            None => faults.add(name, "is missing"),
        }
    }
}

fn about(fields: &Map<String, Value>, name: &str, what: &str, is: impl Fn(&Value) -> bool, faults: &mut Faults) {
    match fields.get(name) {
        Some(value) if is(value) => {}
        Some(value) => faults.add(name, format!("must be {what}, got {value}")),
        None => faults.add(name, "is missing"),
    }
}

/// The first fault of a delay: one is enough to find the place.
fn delay(name: &str, values: &[Value], faults: &mut Faults) {
    let mut before = 0;
    for (i, value) in values.iter().enumerate() {
        let Some(now) = value.as_u64() else {
            return faults.add(format!("{name}[{i}]"), format!("must be whole nanoseconds, got {value}"));
        };
        if now < before {
            return faults
                .add(format!("{name}[{i}]"), format!("must not be below the one before, {before}, got {now}"));
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::Delay;

    fn good() -> Value {
        let about = json!({"schema_version": 1, "machine": "a machine", "measured_unix_ns": 5});
        let mut fields = about.as_object().unwrap().clone();
        fields.extend(DELAYS.map(|name| (name.to_owned(), json!([1, 2, 2, 9]))));
        Value::Object(fields)
    }

    /// What is said of the good one with a field changed; null removes it.
    fn said(field: &str, value: Value) -> String {
        let mut tree = good();
        match value {
            Value::Null => drop(tree.as_object_mut().unwrap().remove(field)),
            value => tree[field] = value,
        }
        Profile::from_value(&tree).unwrap_err().to_string()
    }

    #[test]
    fn a_good_profile_is_read_with_all_its_delays() {
        let profile = Profile::from_value(&good()).unwrap();
        assert_eq!(serde_json::to_value(&profile).unwrap(), good());
        assert_eq!(profile.delays().map(|(name, _)| name), DELAYS);
        assert!(profile.delays().iter().all(|(_, delay)| **delay == Delay::of(vec![1, 2, 2, 9])));
    }

    #[test]
    fn every_fault_names_its_field() {
        assert_eq!(said("push", json!([3, 2])), "push[1]: must not be below the one before, 3, got 2");
        assert_eq!(said("push", json!([3, -2])), "push[1]: must be whole nanoseconds, got -2");
        assert_eq!(said("push", json!([1.5])), "push[0]: must be whole nanoseconds, got 1.5");
        assert_eq!(said("push", json!(7)), "push: must be a list of nanoseconds, ascending");
        assert_eq!(said("push", Value::Null), "push: is missing");
        assert_eq!(said("puhs", json!([])), "puhs: is not a field of a machine profile");
        assert_eq!(said("machine", json!(1)), "machine: must be text, got 1");
        assert_eq!(
            said("measured_unix_ns", json!("now")),
            r#"measured_unix_ns: must be whole nanoseconds since 1970, got "now""#
        );
        assert_eq!(Profile::from_value(&json!([])).unwrap_err().to_string(), "must be an object");
    }

    #[test]
    fn of_another_version_nothing_else_is_said() {
        let mut other = json!({"schema_version": 2, "machines": []});
        assert_eq!(Profile::from_value(&other).unwrap_err().to_string(), "schema_version: must be 1, got 2");
        other.as_object_mut().unwrap().remove("schema_version");
        assert_eq!(Profile::from_value(&other).unwrap_err().to_string(), "schema_version: is missing");
    }
}
