//! What only a load generator by itself knows of its run.

use std::collections::BTreeMap;

use galton_core::Nanos;
use serde::{Deserialize, Serialize};

use crate::compute::WarmUp;
use crate::model::Errors;
use crate::stats::plain_option;

/// The `client` object of `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Client {
    /// Who sent when, in words.
    pub model: String,
    /// Who was sent to: a URL without what is secret in it, or several hosts in words.
    pub to: String,
    /// The measured window, since T0.
    pub window_ns: Span,
    /// The deadline of a request, ...
    pub timeout_ns: Nanos,
    /// ... counted from the actual send instead of the intended one.
    pub timeout_from_send: bool,
    /// What was left out at the start; none: nothing was asked to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Excluded>,
    /// Measured responses by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Why requests failed, over the whole run: those without a whole response.
    pub errors: Errors,
    /// Over the whole run.
    pub connections: Connections,
    /// Bytes of response bodies, over the whole run.
    pub body_bytes: u64,
    /// What the generator itself took.
    pub generator: GeneratorFigures,
    /// The runs that this one was put together from, none of them merged itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<MergedRun>,
}

/// One of the runs that were merged: what sums do not tell any more, and merging the result once more takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergedRun {
    /// What people call it: its directory.
    pub name: String,
    /// What it calls itself; with its start, which run it is.
    pub id: String,
    /// Wall-clock time of its T0, nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// Who sent when, in words.
    pub model: String,
    /// Its measured window, since its T0.
    pub window_ns: Span,
    /// `ok` responses that ended within the window.
    pub completed: u64,
}

/// From when to when, since T0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its first instant.
    #[serde(rename = "start")]
    pub start: Nanos,
    /// The first instant behind it.
    #[serde(rename = "end")]
    pub end: Nanos,
}

/// The warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Excluded {
    /// What was asked for.
    pub asked: WarmUp,
    /// Planned requests that do not count.
    pub requests: u64,
    /// The measured window begins there.
    pub until_ns: Nanos,
    /// `auto` found that response times had settled, or nobody asked it.
    pub steady: bool,
}

/// Connections to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Opened.
    pub opened: u64,
    /// Requests that went over one that was used before.
    pub reused: u64,
    /// That could not be opened because descriptors or local ports had run out.
    pub exhausted: u64,
}

/// What the generator itself took. Machine time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorFigures {
    /// The largest share of one core that a sending thread used in any second.
    #[serde(serialize_with = "plain")]
    pub peak_thread_cpu: f64,
    /// The longest time for which a sender with something to send did not get to run.
    pub longest_stall_ns: Nanos,
    /// CPU time of the process.
    pub cpu_ns: Nanos,
}

fn plain<S: serde::Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
    plain_option(&Some(*value), s)
}
