//! The JSON Schema of a scenario (draft 2020-12), made from the declared keys.
//!
//! Relations between keys of different sections are beyond it; `Scenario::from_value` has the last word.

use serde_json::{Map, Value, json};

use super::keys;
use super::spec::{Key, Kind, Object, Presence, Range, Tag};

/// The schema, with descriptions, defaults and ranges; unknown keys are refused.
pub fn schema() -> Value {
    let mut schema = object(&keys::scenario());
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("Galton scenario"));
    Value::Object(schema)
}

fn object(spec: &Object) -> Map<String, Value> {
    let mut schema = open_object(spec);
    // With variants only this sees the keys of the chosen one.
    let closed = if spec.tag.is_some() { "unevaluatedProperties" } else { "additionalProperties" };
    schema.insert("type".to_owned(), json!("object"));
    schema.insert(closed.to_owned(), json!(false));
    schema
}

/// An object that admits further keys: those of the object of which it is a variant.
fn open_object(spec: &Object) -> Map<String, Value> {
    let properties: Map<String, Value> = spec.keys.iter().map(|key| (key.name.clone(), property(key))).collect();
    let required: Vec<&String> =
        spec.keys.iter().filter(|key| matches!(key.presence, Presence::Required)).map(|key| &key.name).collect();
    let groups: Vec<Value> = spec.one_of.iter().map(|group| one_of(spec, group)).collect();
    let mut schema = Map::new();
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), Value::Object(properties));
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if !groups.is_empty() {
        schema.insert("allOf".to_owned(), Value::Array(groups));
    }
    if let Some(tag) = &spec.tag {
        schema.insert("oneOf".to_owned(), tag.variants.iter().map(|v| variant(tag, v.name, v.doc, &v.body)).collect());
    }
    schema
}

fn variant(tag: &Tag, name: &str, doc: &str, body: &Object) -> Value {
    let mut schema = open_object(body);
    let mut word = json!({"const": name, "description": tag.doc});
    if tag.default == Some(name) {
        word["default"] = json!(name);
    } else {
        let mut required = vec![json!(tag.name)];
        required.extend(schema.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
        schema.insert("required".to_owned(), Value::Array(required));
    }
    schema.entry("properties").or_insert(json!({}))[tag.name] = word;
    schema.insert("description".to_owned(), json!(doc));
    Value::Object(schema)
}

/// Exactly one key of the group, or with a default among them at most one.
fn one_of(spec: &Object, group: &[String]) -> Value {
    let default = |key: &&Key| group.contains(&key.name) && matches!(key.presence, Presence::Default(_));
    let each: Vec<Value> = group.iter().map(|name| json!({"required": [name]})).collect();
    match spec.keys.iter().find(default) {
        None => json!({"oneOf": each}),
        Some(_) => json!({"not": {"required": group}}),
    }
}

fn property(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    schema.insert("description".to_owned(), json!(key.doc));
    if let Presence::Default(value) = &key.presence {
        schema.insert("default".to_owned(), value.clone());
    }
    Value::Object(schema)
}

fn kind(of: &Kind) -> Map<String, Value> {
    let schema = match of {
        Kind::Int { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Num(range) => number(*range),
        Kind::Text { max_chars, may_be_empty } => {
            json!({"type": "string", "minLength": usize::from(!may_be_empty), "maxLength": max_chars})
        }
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Word(of) => json!({"type": "string", "enum": of}),
        Kind::Words { of, at_least } => {
            json!({"type": "array", "items": {"enum": of}, "minItems": at_least, "uniqueItems": true})
        }
        Kind::List { item, at_least, at_most } => {
            json!({"type": "array", "items": kind(item), "minItems": at_least, "maxItems": at_most})
        }
        Kind::Object(spec) => return object(spec),
        Kind::Either(short, spec) => json!({"anyOf": [kind(short), object(spec)]}),
    };
    if let Value::Object(schema) = schema { schema } else { Map::new() }
}

fn number(range: Range) -> Value {
    let least = if range.above { "exclusiveMinimum" } else { "minimum" };
    json!({"type": "number", least: range.min, "maximum": range.max})
}
