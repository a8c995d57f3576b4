//! The vocabulary in which the keys of a scenario are declared.
//!
//! [`super::keys`] declares every key once, with this; the reader ([`super::read`]) and the JSON Schema ([`super::schema`])
//! are both made from that declaration, so that they cannot differ. Relations between keys of different sections are not
//! here but in [`super::rules`].

use serde_json::Value;

/// An object: its keys, those of the chosen variant, and how they relate.
#[derive(Default)]
pub(super) struct Object {
    pub(super) keys: Vec<Key>,
    /// The key that chooses a variant, if there are any.
    pub(super) tag: Option<Tag>,
    /// Of each group, at most one key is given; where none has a default, one must be.
    pub(super) one_of: Vec<Vec<String>>,
    /// The values of these keys never fall.
    pub(super) ascending: Vec<Vec<String>>,
    /// Not all of these are 0.
    pub(super) some_positive: Vec<Vec<String>>,
}

/// A key whose value decides which further keys there are.
pub(super) struct Tag {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) variants: Vec<Variant>,
}

/// One value of a [`Tag`], and the keys that come with it.
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) body: Object,
}

/// One key.
pub(super) struct Key {
    pub(super) name: String,
    pub(super) doc: &'static str,
    pub(super) kind: Kind,
    pub(super) presence: Presence,
}

/// What happens when a key is absent.
pub(super) enum Presence {
    Required,
    Optional,
    Default(Value),
}

/// What a key holds.
pub(super) enum Kind {
    Int {
        min: u64,
        max: u64,
    },
    Num(Range),
    Text {
        max_chars: usize,
        may_be_empty: bool,
    },
    Bool,
    Word(Vec<&'static str>),
    /// A list of different words.
    Words {
        of: Vec<&'static str>,
        at_least: usize,
    },
    /// A list.
    List {
        item: Box<Kind>,
        at_least: usize,
        at_most: usize,
    },
    Object(Object),
    /// An object, or something short for it.
    Either(Box<Kind>, Object),
}

/// Numbers from `min` (itself included unless `above`) to `max`.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) min: f64,
    pub(super) above: bool,
    pub(super) max: f64,
}

// === impl Range ===

impl Range {
    /// `min..=max`.
    pub(super) const fn from(min: f64, max: f64) -> Self {
        Self { min, above: false, max }
    }

    /// Greater than 0, up to `max`.
    pub(super) const fn positive(max: f64) -> Self {
        Self { min: 0.0, above: true, max }
    }
}

// === impl Object ===

impl Object {
    /// An object of these keys.
    pub(super) fn of(keys: impl Into<Vec<Key>>) -> Self {
        Self { keys: keys.into(), ..Self::default() }
    }

    /// Adds the key that chooses a variant.
    pub(super) fn tagged(
        mut self,
        name: &'static str,
        default: Option<&'static str>,
        doc: &'static str,
        variants: impl Into<Vec<Variant>>,
    ) -> Self {
        self.tag = Some(Tag { name, doc, default, variants: variants.into() });
        self
    }

    /// At most one of these keys; without a default among them, exactly one.
    pub(super) fn one_of<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.one_of.push(keys.into_iter().map(Into::into).collect());
        self
    }

    /// The values of these keys never fall, in this order.
    pub(super) fn ascending<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.ascending.push(keys.into_iter().map(Into::into).collect());
        self
    }

    /// At least one of these keys is not 0.
    pub(super) fn some_positive<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.some_positive.push(keys.into_iter().map(Into::into).collect());
        self
    }
}

// === impl Variant ===

impl Variant {
    /// A value of a tag, with its keys.
    pub(super) fn new(name: &'static str, doc: &'static str, body: Object) -> Self {
        Self { name, doc, body }
    }
}

// === impl Key ===

impl Key {
    /// A required key.
    pub(super) fn new(name: impl Into<String>, kind: Kind, doc: &'static str) -> Self {
        Self { name: name.into(), doc, kind, presence: Presence::Required }
    }

    /// A required whole number.
    pub(super) fn int(name: &str, min: u64, max: u64, doc: &'static str) -> Self {
        Self::new(name, Kind::Int { min, max }, doc)
    }

    /// A required number.
    pub(super) fn num(name: impl Into<String>, range: Range, doc: &'static str) -> Self {
        Self::new(name, Kind::Num(range), doc)
    }

    /// A required word out of some.
    pub(super) fn word(name: &str, of: Vec<&'static str>, doc: &'static str) -> Self {
        Self::new(name, Kind::Word(of), doc)
    }

    /// A required object.
    pub(super) fn object(name: &str, object: Object, doc: &'static str) -> Self {
        Self::new(name, Kind::Object(object), doc)
    }

    /// The same key with a default.
    pub(super) fn or(mut self, default: impl Into<Value>) -> Self {
        self.presence = Presence::Default(default.into());
        self
    }

    /// The same key, which may be absent and then means nothing.
    pub(super) fn optional(mut self) -> Self {
        self.presence = Presence::Optional;
        self
    }
}
