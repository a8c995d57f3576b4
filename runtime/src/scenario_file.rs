//! Scenario files: JSON or YAML, overrides, and the trace file a scenario may name. What the keys mean and which values
//! they take is `galton_core::scenario`'s business.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use galton_core::Scenario;
use galton_core::scenario::{Faults, TRACE_FILE_POINTER};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Largest scenario file: a thousand steps of a ramp have 50 kB.
const MAX_SCENARIO_BYTES: u64 = 1 << 20;
/// Largest trace file: a run's own trace of as many rows as a scenario may have.
const MAX_TRACE_BYTES: u64 = 1 << 30;

/// Why a scenario file could not be loaded. Its text names the file.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioFileError {
    /// The file could not be read.
    #[error("{}: cannot be read: {why}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file is not JSON or YAML.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// The file, with the overrides, is not a scenario. One line for the file, one per fault.
    #[error("{}: {} {}\n{faults}", path.display(), faults.0.len(), if faults.0.len() == 1 { "fault" } else { "faults" })]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// All that is wrong.
        faults: Faults,
    },
}

/// Loads a scenario. The scenario is named after the file's stem.
///
/// The format follows from the extension (`.json`, `.yaml`, `.yml`); with any other the file is JSON, or else YAML. Each
/// override sets the key at a dotted path (`a.b.c`; a number is an index of a list) before validation: to the value as
/// JSON, or to the text itself if it is not JSON; `null` removes the key. A trace file is relative to the scenario file,
/// and absolute in the result.
///
/// # Errors
/// [`ScenarioFileError`]; all faults of overrides, keys and trace file at once.
pub fn load(path: &Path, overrides: &[(String, String)]) -> Result<Scenario, ScenarioFileError> {
    let text =
        read_limited(path, MAX_SCENARIO_BYTES).map_err(|why| ScenarioFileError::Read { path: path.to_owned(), why })?;
    let mut read_trace =
        |file: &str| read_limited(Path::new(file), MAX_TRACE_BYTES).map_err(|why| format!("{file}: {why}"));
    from_text(path, &text, overrides, &mut read_trace)
}

/// As [`load`], of a file's text; `read_trace` returns the text of a trace file, or says why it cannot.
///
/// # Errors
/// As those of [`load`].
pub fn from_text(
    path: &Path,
    text: &str,
    overrides: &[(String, String)],
    read_trace: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<Scenario, ScenarioFileError> {
    let mut tree = parse(path, text).map_err(|message| ScenarioFileError::Syntax { path: path.to_owned(), message })?;
    let mut faults = Faults::default();
    for (key, value) in overrides {
        if let Err(message) = set(&mut tree, key, value) {
            faults.add(key, format!("override: {message}"));
        }
    }
    absolute_trace_file(path, &mut tree);
    let name = path.file_stem().map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy());
    match Scenario::from_value(&name, &tree, read_trace) {
        Ok(scenario) if faults.0.is_empty() => return Ok(scenario),
        Ok(_) => {}
        Err(more) => faults.0.extend(more.0),
    }
    Err(ScenarioFileError::Invalid { path: path.to_owned(), faults })
}

fn read_limited(path: &Path, max_bytes: u64) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(max_bytes + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > max_bytes {
        return Err(format!("larger than {max_bytes} bytes"));
    }
    Ok(text)
}

fn absolute_trace_file(scenario_file: &Path, tree: &mut Value) {
    let base = scenario_file.parent().unwrap_or(Path::new(""));
    if let Some(Value::String(file)) = tree.pointer_mut(TRACE_FILE_POINTER)
        && !file.is_empty()
        && let Ok(absolute) = std::path::absolute(base.join(&*file))
    {
        *file = absolute.to_string_lossy().into_owned();
    }
}

// === formats ===

fn parse(path: &Path, text: &str) -> Result<Value, String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => json(text),
        Some("yaml" | "yml") => yaml(text),
        // A file that is neither is more likely meant as JSON if it begins like it.
        _ => json(text)
            .or_else(|error| yaml(text).map_err(|yaml| if text.trim_start().starts_with('{') { error } else { yaml })),
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map(|Tree(value)| value).map_err(|error| format!("not valid JSON: {error}"))
}

fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text)
        .map(|Tree(value)| value)
        .map_err(|error| format!("not valid YAML: {}", error.without_snippet()))
}

/// A tree of values in which no key is there twice: of two the last would win in silence.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Self)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        match serde_json::Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(E::custom("a number must be finite")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = vec![];
        while let Some(Tree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("key {key:?} is there twice")));
            }
            let Tree(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

// === overrides ===

/// Sets the key at a dotted path; objects on the way are made. `null` removes the key, and makes nothing on the way.
fn set(tree: &mut Value, path: &str, text: &str) -> Result<(), String> {
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    if path.split('.').any(str::is_empty) {
        return Err("a part of the path is empty".to_owned());
    }
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(parents, last)| (Some(parents), last));
    let mut at = tree;
    let mut walked = String::new();
    for name in parents.into_iter().flat_map(|parents| parents.split('.')) {
        if value.is_null() && at.as_object().is_some_and(|object| !object.contains_key(name)) {
            return Ok(());
        }
        at = child(at, name, &walked)?;
        walked = if walked.is_empty() { name.to_owned() } else { format!("{walked}.{name}") };
    }
    if let (Value::Object(object), Value::Null) = (&mut *at, &value) {
        object.remove(last);
        return Ok(());
    }
    *child(at, last, &walked)? = value;
    Ok(())
}

/// The entry `name` of `at`, which is at the path `walked`; made if `at` is an object without it.
fn child<'v>(at: &'v mut Value, name: &str, walked: &str) -> Result<&'v mut Value, String> {
    match at {
        Value::Object(object) => Ok(object.entry(name).or_insert_with(|| Value::Object(Map::new()))),
        Value::Array(list) => {
            let count = list.len();
            name.parse::<usize>().ok().and_then(|i| list.get_mut(i)).ok_or_else(|| match count {
                0 => format!("{walked} is an empty list"),
                _ => format!("{walked} is a list; its entries are 0 to {}, not {name:?}", count - 1),
            })
        }
        _ => Err(format!("{walked} has a single value, nothing is below it")),
    }
}

#[cfg(test)]
mod tests;
