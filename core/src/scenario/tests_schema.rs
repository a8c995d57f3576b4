//! The JSON Schema admits what the reader admits, and its defaults are the reader's.
//!
//! The schema is read by a small validator of the keywords that it uses. It is no proof that the schema means the same to
//! others, only that it follows the reader.

use serde_json::{Map, Value, json};

use super::schema;
use super::tests::{files, generated};
use super::*;

/// Whether `value` is valid, and which of its keys were looked at; panics on a keyword it does not know.
fn valid(schema: &Value, value: &Value, seen: &mut Vec<String>) -> bool {
    let schema = schema.as_object().unwrap();
    // Closing keywords come last: they see what the others looked at.
    let closing = |keyword: &str| keyword.ends_with("Properties");
    let (last, first): (Vec<_>, Vec<_>) = schema.iter().partition(|(keyword, _)| closing(keyword));
    first.into_iter().chain(last).all(|(keyword, rule)| keyword_holds(keyword, rule, value, seen))
}

fn keyword_holds(keyword: &str, rule: &Value, value: &Value, seen: &mut Vec<String>) -> bool {
    let number = value.as_f64();
    let compare = |holds: fn(f64, f64) -> bool| number.is_none_or(|x| holds(x, rule.as_f64().unwrap()));
    let count = |holds: fn(usize, usize) -> bool, of: Option<usize>| {
        of.is_none_or(|count| holds(count, rule.as_u64().unwrap() as usize))
    };
    let items = || value.as_array().map(Vec::len);
    let chars = || value.as_str().map(|text| text.chars().count());
    match keyword {
        "$schema" | "title" | "description" | "default" => true,
        "type" => is_a(rule.as_str().unwrap(), value),
        "const" => value == rule,
        "enum" => rule.as_array().unwrap().contains(value),
        "minimum" => compare(|x, limit| x >= limit),
        "exclusiveMinimum" => compare(|x, limit| x > limit),
        "maximum" => compare(|x, limit| x <= limit),
        "minItems" => count(|n, limit| n >= limit, items()),
        "maxItems" => count(|n, limit| n <= limit, items()),
        "minLength" => count(|n, limit| n >= limit, chars()),
        "maxLength" => count(|n, limit| n <= limit, chars()),
        "uniqueItems" => value.as_array().is_none_or(|list| (1..list.len()).all(|i| !list[..i].contains(&list[i]))),
        "items" => value.as_array().is_none_or(|list| list.iter().all(|item| valid(rule, item, &mut vec![]))),
        "properties" => value.as_object().is_none_or(|object| properties(rule, object, seen)),
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
        }),
        "additionalProperties" | "unevaluatedProperties" => {
            assert_eq!(rule, &json!(false));
            value.as_object().is_none_or(|object| object.keys().all(|key| seen.contains(key)))
        }
        "allOf" => rule.as_array().unwrap().iter().all(|rule| valid(rule, value, seen)),
        "oneOf" => matching(rule, value, seen) == 1,
        "anyOf" => matching(rule, value, seen) >= 1,
        "not" => !valid(rule, value, &mut vec![]),
        other => panic!("keyword {other}"),
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|x| x.trunc() == x),
        other => panic!("type {other}"),
    }
}

fn properties(rule: &Value, object: &Map<String, Value>, seen: &mut Vec<String>) -> bool {
    seen.extend(rule.as_object().unwrap().keys().cloned());
    object.iter().all(|(key, value)| rule.get(key).is_none_or(|rule| valid(rule, value, &mut vec![])))
}

/// How many of the schemas admit the value; what those looked at goes to `seen`.
fn matching(rule: &Value, value: &Value, seen: &mut Vec<String>) -> usize {
    let mut count = 0;
    for rule in rule.as_array().unwrap() {
        let mut also = vec![];
        if valid(rule, value, &mut also) {
            seen.extend(also);
            count += 1;
        }
    }
    count
}

fn admits(schema: &Value, value: &Value) -> bool {
    valid(schema, value, &mut vec![])
}

#[test]
fn every_scenario_and_what_it_resolves_to_is_admitted() {
    let schema = schema();
    for (name, value) in files().into_iter().chain(generated()) {
        assert!(admits(&schema, &value), "{name}: {value}");
        let resolved = Scenario::from_value("any", &value, &mut |_| Ok("t_ms\n1\n".to_owned())).unwrap().to_value();
        assert!(admits(&schema, &resolved), "{name}, resolved: {resolved}");
    }
    assert!(admits(&schema, &Scenario::default().to_value()));
}

#[test]
fn what_the_reader_refuses_by_itself_is_refused() {
    let schema = schema();
    for (path, value) in [
        ("extra", json!(1)),
        ("simulation.seed", json!(1.5)),
        ("simulation.duration_ms", json!(0)),
        ("traffic.arrival.rate_per_second", json!(1)),
        ("traffic.arrival.interval_ms", json!(1)),
        ("traffic.arrival.distribution", json!("deterministic")),
        ("traffic.arrival.ramp", json!({"mode": "sine", "mean_rate_per_sec": 5})),
        ("traffic.arrival.ramp", json!({"mode": "steps", "steps": [{"t_ms": 1, "rate_per_sec": 1, "x": 1}]})),
        ("traffic", json!({"arrival": {}, "closed_loop": {"concurrency": 1}})),
        ("traffic.closed_loop", json!({"concurrency": 1, "think_time_ms": {"distribution": "exponential"}})),
        ("traffic.request_duration_ms", json!({"mean_ms": 5, "median_ms": 4})),
        ("traffic.request_duration_ms", json!({"mode": "percentiles", "p50": 1})),
        ("traffic.cpu_demand.mean_ms", json!(4)),
        ("load_balancer.no_capacity", json!("queue")),
        ("load_balancer.no_capacity", json!({"depth": 1, "timeout_ms": 1})),
        ("load_balancer.retry_on", json!(["full", "full"])),
        ("sampling.sample_on", json!([])),
    ] {
        let tree = path.rsplit('.').fold(value, |inner, name| json!({ name: inner }));
        assert!(!admits(&schema, &tree), "{tree}");
        assert!(Scenario::from_value("bad", &tree, &mut |_| Err(String::new())).is_err(), "{tree}");
    }
}

/// Every default outside of variants, with its path.
fn defaults(schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        match property.get("default") {
            Some(default) if !default.is_object() => found.push((path, default.clone())),
            _ => defaults(property, &path, found),
        }
    }
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_reader() {
    let models = [json!({"closed_loop": {"concurrency": 1}}), json!({"arrival": {"sessions": {"mean_requests": 2}}})];
    let models = models.map(|traffic| {
        let tree = json!({ "traffic": traffic });
        Scenario::from_value("model", &tree, &mut |_| Err(String::new())).unwrap().to_value()
    });
    let (mut found, resolved) = (vec![], Scenario::default().to_value());
    defaults(&schema(), "", &mut found);
    assert!(found.len() >= 35, "{found:?}");
    for (path, default) in found {
        let value = std::iter::once(&resolved).chain(&models).find_map(|tree| tree.pointer(&path));
        assert_eq!(value, Some(&default), "{path}");
    }
}
