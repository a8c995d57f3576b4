//! What to say about a key or a word that nobody knows: the one that was probably meant.

use serde_json::Value;

use super::read::join;
use super::spec::{Kind, Object, Tag};

/// Longest piece of a faulty value that is repeated in a message.
const SHOWN: usize = 40;

/// A value in a message: scalars as they are, the rest by kind.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > SHOWN => {
            format!("{:?}…", text.chars().take(SHOWN).collect::<String>())
        }
        scalar => scalar.to_string(),
    }
}

/// The word nearest to `given`, if it is near enough to be a slip: a third of its letters at most.
pub(super) fn near<'a>(given: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|word| (distance(given, word), word))
        .filter(|(distance, word)| *distance * 3 <= word.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Levenshtein distance; case, the sort of dash and the unit are left aside.
fn distance(a: &str, b: &str) -> usize {
    let fold = |s: &str| s.to_lowercase().replace('-', "_").trim_end_matches("_ms").chars().collect::<Vec<_>>();
    let (a, b) = (fold(a), fold(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// What to say about the unknown key `name` of an object with these parts. `None` if one of its tags is faulty and
/// another value of that tag would know the key: then the tag's fault says enough.
pub(super) fn unknown_key(
    root: &Object,
    parts: &[&Object],
    tags: &[(&Tag, Option<&'static str>)],
    name: &str,
) -> Option<String> {
    for (tag, chosen) in tags {
        let owners: Vec<&str> = tag.variants.iter().filter(|v| knows(&v.body, name)).map(|v| v.name).collect();
        match chosen {
            _ if owners.is_empty() => {}
            // One of its own tags says more.
            Some(chosen) if owners.contains(chosen) => {}
            None => return None,
            Some(chosen) => {
                return Some(format!("belongs to {} {}, not to {chosen}", tag.name, owners.join(" or ")));
            }
        }
    }
    let tag_names = tags.iter().map(|(tag, _)| tag.name);
    let known: Vec<&str> =
        parts.iter().flat_map(|part| part.keys.iter().map(|key| key.name.as_str())).chain(tag_names).collect();
    if let Some(word) = near(name, known.iter().copied()) {
        return Some(format!("unknown key; did you mean {word}?"));
    }
    let elsewhere = paths(root).into_iter().find(|path| path.rsplit('.').next() == Some(name));
    Some(match elsewhere {
        Some(path) => format!("unknown key here; did you mean {path}?"),
        None => format!("unknown key; known here: {}", known.join(", ")),
    })
}

/// Whether `object` has the key, in any variant.
fn knows(object: &Object, name: &str) -> bool {
    object.keys.iter().any(|key| key.name == name)
        || object.tag.as_ref().is_some_and(|tag| tag.name == name || tag.variants.iter().any(|v| knows(&v.body, name)))
}

/// The paths of all keys outside of variants.
fn paths(object: &Object) -> Vec<String> {
    let below = |name: &str, kind: &Kind| match kind {
        Kind::Object(object) => paths(object).iter().map(|path| join(name, path)).collect(),
        _ => vec![],
    };
    object.keys.iter().flat_map(|key| [vec![key.name.clone()], below(&key.name, &key.kind)].concat()).collect()
}
