//! Reads a tree of values against the declared keys: checks each value, fills in defaults, and goes on after a fault, so
//! that all faults are found. What is faulty is left out of the result.

use serde_json::{Map, Value};

use super::fault::Faults;
use super::hint::{describe, near, unknown_key};
use super::spec::{Key, Kind, Object, Presence, Range, Tag, Variant};

/// The keys of `spec` as `value` has them, defaults filled in; faults go to `faults`.
pub(super) fn read(spec: &Object, value: &Value, faults: &mut Faults) -> Value {
    let mut reader = Reader { root: spec, faults };
    reader.object("", spec, value).map_or(Value::Null, Value::Object)
}

/// The path of a key below `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

struct Reader<'a> {
    root: &'a Object,
    faults: &'a mut Faults,
}

/// The parts of an object: itself, and the body of each chosen variant; and what its tags say.
struct Parts<'a> {
    objects: Vec<&'a Object>,
    tags: Vec<(&'a Tag, Option<&'static str>)>,
}

impl Reader<'_> {
    fn fault(&mut self, path: &str, message: impl Into<String>) {
        self.faults.add(path, message);
    }

    // === objects ===

    fn object(&mut self, path: &str, spec: &Object, value: &Value) -> Option<Map<String, Value>> {
        let Some(given) = value.as_object() else {
            self.fault(path, format!("must be an object, got {}", describe(value)));
            return None;
        };
        let parts = self.parts(path, spec, given);
        self.unknown_keys(path, &parts, given);
        let mut read = Map::new();
        for (tag, chosen) in &parts.tags {
            if let Some(word) = chosen {
                read.insert(tag.name.to_owned(), Value::from(*word));
            }
        }
        for part in &parts.objects {
            self.one_of(path, part, given);
            for key in &part.keys {
                if let Some(value) = self.key(path, part, key, given) {
                    read.insert(key.name.clone(), value);
                }
            }
            self.relations(path, part, &read);
        }
        Some(read)
    }

    /// Follows the tags from `spec` into the chosen variants.
    fn parts<'s>(&mut self, path: &str, spec: &'s Object, given: &Map<String, Value>) -> Parts<'s> {
        let mut parts = Parts { objects: vec![spec], tags: vec![] };
        let mut next = spec.tag.as_ref();
        while let Some(tag) = next {
            let variant = self.variant(&join(path, tag.name), tag, given.get(tag.name));
            parts.tags.push((tag, variant.map(|v| v.name)));
            parts.objects.extend(variant.map(|v| &v.body));
            next = variant.and_then(|v| v.body.tag.as_ref());
        }
        parts
    }

    fn variant<'s>(&mut self, path: &str, tag: &'s Tag, given: Option<&Value>) -> Option<&'s Variant> {
        let names: Vec<&'static str> = tag.variants.iter().map(|v| v.name).collect();
        let word = match given {
            Some(value) => self.word(path, &names, value)?,
            None => tag.default.or_else(|| {
                self.fault(path, format!("is missing: one of {}", names.join(", ")));
                None
            })?,
        };
        tag.variants.iter().find(|v| v.name == word)
    }

    fn unknown_keys(&mut self, path: &str, parts: &Parts<'_>, given: &Map<String, Value>) {
        for name in given.keys() {
            let known = parts.tags.iter().any(|(tag, _)| tag.name == name)
                || parts.objects.iter().any(|part| part.keys.iter().any(|key| key.name == *name));
            if !known && let Some(message) = unknown_key(self.root, &parts.objects, &parts.tags, name) {
                self.fault(&join(path, name), message);
            }
        }
    }

    fn one_of(&mut self, path: &str, part: &Object, given: &Map<String, Value>) {
        for group in &part.one_of {
            let mut present = group.iter().filter(|name| given.contains_key(*name));
            match (present.next(), present.next()) {
                (Some(first), Some(second)) => {
                    self.fault(&join(path, second), format!("cannot be given together with {}", join(path, first)));
                }
                (None, _) if part.keys.iter().all(|key| !group.contains(&key.name) || no_default(key)) => {
                    self.fault(path, format!("needs one of {}", group.join(", ")));
                }
                _ => {}
            }
        }
    }

    fn key(&mut self, path: &str, part: &Object, key: &Key, given: &Map<String, Value>) -> Option<Value> {
        let path = join(path, &key.name);
        if let Some(value) = given.get(&key.name) {
            return self.value(&path, &key.kind, value);
        }
        let replaced = |group: &&Vec<String>| group.contains(&key.name) && group.iter().any(|n| given.contains_key(n));
        match &key.presence {
            Presence::Required => {
                self.fault(&path, "is missing");
                None
            }
            Presence::Default(value) if part.one_of.iter().find(replaced).is_none() => {
                self.value(&path, &key.kind, value)
            }
            _ => None,
        }
    }

    fn relations(&mut self, path: &str, part: &Object, read: &Map<String, Value>) {
        let number = |name: &String| read.get(name).and_then(Value::as_f64);
        for pair in part.ascending.iter().flat_map(|keys| keys.windows(2)) {
            let [low, high] = pair else { continue };
            if let (Some(low_value), Some(high_value)) = (number(low), number(high))
                && low_value > high_value
            {
                self.fault(&join(path, high), format!("must be ≥ {low} ({low_value}), got {high_value}"));
            }
        }
        for keys in &part.some_positive {
            if keys.iter().all(|name| is_zero(read.get(name))) {
                let message = match &keys[1..] {
                    [] => "must not be all 0".to_owned(),
                    others => format!("must not be 0 together with {}", others.join(", ")),
                };
                self.fault(&join(path, &keys[0]), message);
            }
        }
    }

    // === values ===

    fn value(&mut self, path: &str, kind: &Kind, value: &Value) -> Option<Value> {
        match kind {
            Kind::Int { min, max } => self.int(path, *min, *max, value).map(Value::from),
            Kind::Num(range) => self.num(path, *range, value).map(Value::from),
            Kind::Text { max_chars, may_be_empty } => self.text(path, *max_chars, *may_be_empty, value),
            Kind::Bool => {
                let bool = value.as_bool();
                if bool.is_none() {
                    self.fault(path, format!("must be true or false, got {}", describe(value)));
                }
                bool.map(Value::from)
            }
            Kind::Word(of) => self.word(path, of, value).map(Value::from),
            Kind::Words { of, at_least } => self.words(path, of, *at_least, value),
            Kind::List { item, at_least, at_most } => self.list(path, item, *at_least..=*at_most, value),
            Kind::Object(spec) => self.object(path, spec, value).map(Value::Object),
            Kind::Either(_, spec) if value.is_object() => self.object(path, spec, value).map(Value::Object),
            Kind::Either(short, spec) => {
                let before = self.faults.0.len();
                let read = self.value(path, short, value);
                if let Some(tag) = &spec.tag {
                    let also = format!(" (or an object with {})", tag.name);
                    self.faults.0[before..].iter_mut().for_each(|fault| fault.message.push_str(&also));
                }
                read
            }
        }
    }

    fn int(&mut self, path: &str, min: u64, max: u64, value: &Value) -> Option<u64> {
        match (value.as_u64(), value.as_f64()) {
            (Some(int), _) if (min..=max).contains(&int) => return Some(int),
            (_, Some(x)) if libm::trunc(x) == x && x < min as f64 => {
                self.fault(path, format!("must be ≥ {min}, got {value}"));
            }
            (_, Some(x)) if libm::trunc(x) == x && x > max as f64 => {
                self.fault(path, format!("must be ≤ {max}, got {value}"));
            }
            // 5.0 is a whole number, as in JSON Schema.
            (_, Some(x)) if libm::trunc(x) == x => return Some(x as u64),
            _ => self.fault(path, format!("must be a whole number, got {}", describe(value))),
        }
        None
    }

    fn num(&mut self, path: &str, range: Range, value: &Value) -> Option<f64> {
        let Range { min, above, max } = range;
        match value.as_f64() {
            None => self.fault(path, format!("must be a number, got {}", describe(value))),
            Some(x) if above && x <= min => self.fault(path, format!("must be > {min}, got {value}")),
            Some(x) if x < min => self.fault(path, format!("must be ≥ {min}, got {value}")),
            Some(x) if x <= max => return Some(x),
            Some(_) => self.fault(path, format!("must be ≤ {max}, got {value}")),
        }
        None
    }

    fn text(&mut self, path: &str, max_chars: usize, may_be_empty: bool, value: &Value) -> Option<Value> {
        match value.as_str() {
            None => self.fault(path, format!("must be a string, got {}", describe(value))),
            Some("") if !may_be_empty => self.fault(path, "must not be empty"),
            Some(text) if text.chars().count() > max_chars => {
                self.fault(path, format!("must have at most {max_chars} characters, got {}", text.chars().count()));
            }
            Some(text) => return Some(Value::from(text)),
        }
        None
    }

    fn word(&mut self, path: &str, of: &[&'static str], value: &Value) -> Option<&'static str> {
        let word = value.as_str().and_then(|given| of.iter().copied().find(|word| *word == given));
        if word.is_none() {
            let hint = value.as_str().and_then(|given| near(given, of.iter().copied()));
            let hint = hint.map(|word| format!("; did you mean {word}?")).unwrap_or_default();
            self.fault(path, format!("must be one of {}, got {}{hint}", of.join(", "), describe(value)));
        }
        word
    }

    fn words(&mut self, path: &str, of: &[&'static str], at_least: usize, value: &Value) -> Option<Value> {
        let given = self.items(path, at_least..=usize::MAX, value)?;
        let mut words: Vec<&'static str> = vec![];
        for (i, item) in given.iter().enumerate() {
            let path = format!("{path}[{i}]");
            match self.word(&path, of, item) {
                Some(word) if words.contains(&word) => self.fault(&path, format!("{word} is listed twice")),
                word => words.extend(word),
            }
        }
        Some(Value::from(words))
    }

    fn list(
        &mut self,
        path: &str,
        item: &Kind,
        count: std::ops::RangeInclusive<usize>,
        value: &Value,
    ) -> Option<Value> {
        let given = self.items(path, count, value)?;
        let read: Vec<Option<Value>> =
            given.iter().enumerate().map(|(i, value)| self.value(&format!("{path}[{i}]"), item, value)).collect();
        read.into_iter().collect::<Option<Vec<Value>>>().map(Value::from)
    }

    fn items<'v>(
        &mut self,
        path: &str,
        count: std::ops::RangeInclusive<usize>,
        value: &'v Value,
    ) -> Option<&'v [Value]> {
        match value.as_array() {
            None => self.fault(path, format!("must be a list, got {}", describe(value))),
            Some(list) if list.len() < *count.start() => {
                self.fault(path, format!("must have at least {} entries, got {}", count.start(), list.len()));
            }
            Some(list) if list.len() > *count.end() => {
                self.fault(path, format!("must have at most {} entries, got {}", count.end(), list.len()));
            }
            Some(list) => return Some(list),
        }
        None
    }
}

/// Whether a number is 0, or all numbers of a list are.
fn is_zero(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Array(list)) => list.iter().all(|item| item.as_f64() == Some(0.0)),
        value => value.and_then(Value::as_f64) == Some(0.0),
    }
}

fn no_default(key: &Key) -> bool {
    !matches!(key.presence, Presence::Default(_))
}
