//! The order of a replay.

use galton_core::Nanos;

use crate::input::RunData;

/// One step of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) at: Nanos,
    pub(crate) kind: EventKind,
    /// Of the fleet event, or of the decision.
    pub(crate) index: usize,
}

/// At the same instant the fleet changes first, then slots become free, then decisions are taken: a decision meets what
/// was there for it. An attempt that ends in the instant of its dispatch ends after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EventKind {
    Fleet,
    End,
    Decision,
    EndAtOnce,
}

/// All steps, in order.
pub(crate) fn in_order(data: &RunData) -> Vec<Event> {
    let decisions = data.decisions.as_deref().unwrap_or_default();
    let mut events = Vec::with_capacity(data.fleet.len() + 2 * decisions.len());
    for (index, change) in data.fleet.iter().enumerate() {
        events.push(Event { at: change.at, kind: EventKind::Fleet, index });
    }
    for (index, decision) in decisions.iter().enumerate() {
        events.push(Event { at: decision.at, kind: EventKind::Decision, index });
        if decision.kind.occupied() {
            let kind = if decision.until > decision.at { EventKind::End } else { EventKind::EndAtOnce };
            events.push(Event { at: decision.until.max(decision.at), kind, index });
        }
    }
    events.sort_unstable();
    events
}
