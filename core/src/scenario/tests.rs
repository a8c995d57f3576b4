//! Reading, writing back, defaults.

use serde_json::{Value, json};

use super::spec::{Kind, Object, Presence};
use super::*;
use crate::dist::Dist;
use crate::rng::{KeyedRng, Purpose};
use crate::time::Nanos;

pub(super) fn no_file(file: &str) -> Result<String, String> {
    Err(format!("{file}: not there"))
}

fn read(value: &Value) -> Result<Scenario, Faults> {
    Scenario::from_value("test", value, &mut no_file)
}

/// The `scenario` of every vector in the end-to-end tests, and every file in `scenarios/`.
pub(super) fn files() -> Vec<(String, Value)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![];
    for (folder, inner) in [("tests/vectors", Some("scenario")), ("scenarios", None)] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let value: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            files.push((path.display().to_string(), inner.map_or(value.clone(), |key| value[key].clone())));
        }
    }
    assert!(files.len() >= 6, "{files:?}");
    files
}

#[test]
fn every_vector_and_every_scenario_reads_and_comes_back() {
    for (name, value) in files() {
        let scenario = read(&value).unwrap_or_else(|faults| panic!("{name}:\n{faults}"));
        let written = scenario.to_value();
        assert_eq!(read(&written).unwrap_or_else(|faults| panic!("{name}:\n{faults}")), scenario, "{name}");
    }
}

#[test]
fn the_default_is_the_scenario_of_an_empty_file() {
    let default = Scenario { name: "test".to_owned(), ..Scenario::default() };
    assert_eq!(read(&json!({})).unwrap(), default);
    assert_eq!(default.simulation.seed, 42);
    assert_eq!(default.simulation.duration, Nanos::from_millis(120_000));
    let Dist::LogNormal { median, sigma } = default.traffic.request_duration_ms else { panic!("{default:?}") };
    assert_eq!(sigma, 0.5);
    assert!((median * libm::exp(0.125) - 100.0).abs() < 1e-9);
    assert_eq!(read(&default.to_value()).unwrap(), default);
}

// === generated scenarios ===

/// Trees drawn from the declared keys: every variant, every word, values over the whole of each range.
pub(super) fn generated() -> Vec<(String, Value)> {
    (0..400).map(|n| (format!("generated {n}"), Generator(KeyedRng::new(n, Purpose::Key, 0)).scenario())).collect()
}

struct Generator(KeyedRng);

impl Generator {
    fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u32) as usize
    }

    fn scenario(&mut self) -> Value {
        let mut value = self.object(&keys::scenario());
        // What relates keys of different sections.
        value["simulation"]["warmup_ms"] = json!(0);
        value["scaling"]["min_targets"] = json!(0);
        value["scaling"]["max_targets"] = json!(1024);
        let ramped = value.pointer("/traffic/arrival/ramp").is_some();
        if let Some(arrival) = value.pointer_mut("/traffic/arrival") {
            if ["trace", "mmpp"].iter().any(|d| arrival["distribution"] == *d) && ramped {
                arrival["ramp"] = json!({});
            }
            if arrival["distribution"] == "trace" && !arrival["count"].is_null() {
                arrival["count"] = json!(1);
            }
            if let Some(rates) = arrival["rates_per_sec"].as_array() {
                arrival["mean_dwell_ms"] = rates.iter().map(|_| 0.25).collect();
            }
            if let Some(steps) = arrival.pointer_mut("/ramp/steps").and_then(Value::as_array_mut) {
                steps.iter_mut().enumerate().for_each(|(i, step)| step["t_ms"] = json!(i as f64 * 0.5));
            }
        }
        value
    }

    fn object(&mut self, spec: &Object) -> Value {
        let mut object = json!({});
        let (mut part, mut parts) = (spec, vec![spec]);
        while let Some(tag) = &part.tag {
            let variant = &tag.variants[self.below(tag.variants.len())];
            object[tag.name] = json!(variant.name);
            part = &variant.body;
            parts.push(part);
        }
        for part in parts {
            let left_out: Vec<String> =
                part.one_of.iter().map(|group| group[self.below(group.len())].clone()).collect();
            for key in &part.keys {
                let in_group = part.one_of.iter().any(|group| group.contains(&key.name));
                let required = matches!(key.presence, Presence::Required);
                if if in_group { !left_out.contains(&key.name) } else { required || self.below(3) > 0 } {
                    object[key.name.as_str()] = self.value(&key.kind);
                }
            }
            for group in &part.ascending {
                let mut values: Vec<Value> = group.iter().filter_map(|name| object.get(name).cloned()).collect();
                values.sort_by(|a, b| a.as_f64().partial_cmp(&b.as_f64()).unwrap());
                group.iter().zip(values).for_each(|(name, value)| object[name.as_str()] = value);
            }
        }
        object
    }

    fn value(&mut self, kind: &Kind) -> Value {
        match kind {
            // From the smallest to the largest, most of them small.
            Kind::Int { min, max } => {
                let span = (max - min) as f64;
                json!((*min + (libm::pow(self.0.uniform(), 8.0) * span) as u64).min(*max))
            }
            // Not so near the lower end that it is the lower end.
            Kind::Num(range) => {
                json!(range.min + libm::pow(self.0.uniform(), 8.0).max(1e-12) * (range.max - range.min))
            }
            Kind::Text { .. } => json!("a text"),
            Kind::Bool => json!(self.below(2) == 0),
            Kind::Word(of) => json!(of[self.below(of.len())]),
            Kind::Words { of, .. } => json!(of[self.below(of.len())..]),
            Kind::List { item, at_least, .. } => {
                let count = at_least + self.below(4);
                (0..count).map(|_| self.value(item)).collect()
            }
            Kind::Object(spec) => self.object(spec),
            Kind::Either(short, spec) => {
                if self.below(2) == 0 {
                    self.value(short)
                } else {
                    self.object(spec)
                }
            }
        }
    }
}

#[test]
fn generated_scenarios_read_and_come_back() {
    let mut trace = |_: &str| Ok("t_ms,hold_ms\n1,2\n3,\n".to_owned());
    for (name, value) in generated() {
        let scenario = Scenario::from_value("test", &value, &mut trace)
            .unwrap_or_else(|faults| panic!("{name}: {value}\n{faults}"));
        let back = Scenario::from_value("test", &scenario.to_value(), &mut trace)
            .unwrap_or_else(|faults| panic!("{name}: {}\n{faults}", scenario.to_value()));
        assert_eq!(back, scenario, "{name}");
    }
}
