//! The fleet's history: every event is appended to `fleet.jsonl` as it happens, and kept for `GET /v1/events`.
//!
//! A line is written with one system call and no buffer of our own, so that SIGKILL loses nothing.
//!
//! Hosts propose an idle target again at every scan: of a fleet at its minimum this is most of what happens. The file, from which
//! the report counts, has every refusal; where there is no file, one that only repeats another is not kept.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{HostId, TargetId};

/// Most events kept in memory (about 10 MB). A fleet at its maximum logs every refused start, so a long run has no bound;
/// the file has them all.
const KEPT: usize = 1 << 17;

/// Writes the history.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Option<(PathBuf, File)>,
    refused: Refused,
    kept: History,
}

/// The removals that were refused since the fleet last changed: which version that was, who proposed whom.
#[derive(Debug, Default)]
struct Refused {
    version: u64,
    proposed: BTreeSet<(Option<HostId>, Option<TargetId>)>,
}

/// The newest events, readable from the admin thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<VecDeque<FleetEvent>>>);

// === impl Journal ===

impl Journal {
    /// Creates the file, where there is one.
    pub(crate) fn create(path: Option<PathBuf>) -> anyhow::Result<Self> {
        let file = path.map(create).transpose()?;
        Ok(Self { file, refused: Refused::default(), kept: History::default() })
    }

    /// Writes one event down. A history with a hole would be worse than no run, so a full disk is the caller's end.
    pub(crate) fn append(&mut self, event: &FleetEvent) -> anyhow::Result<()> {
        if let Some((path, file)) = &mut self.file {
            let mut line = serde_json::to_vec(event).context("serialise a fleet event")?;
            line.push(b'\n');
            file.write_all(&line).with_context(|| format!("write {}", path.display()))?;
        } else if self.refused.has(event) {
            return Ok(());
        }
        self.kept.push(*event);
        Ok(())
    }

    /// What has been written so far.
    pub(crate) fn history(&self) -> History {
        self.kept.clone()
    }
}

fn create(path: PathBuf) -> anyhow::Result<(PathBuf, File)> {
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    Ok((path, file))
}

// === impl Refused ===

impl Refused {
    /// Whether the event tells of a refusal that there was already.
    fn has(&mut self, event: &FleetEvent) -> bool {
        if event.what != FleetWhat::DownRefused {
            return false;
        }
        if event.version != self.version {
            *self = Self { version: event.version, ..Self::default() };
        }
        !self.proposed.insert((event.host, event.target))
    }
}

// === impl History ===

impl History {
    fn push(&self, event: FleetEvent) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event);
    }

    /// The events, one JSON object per line. Serialised on the caller's thread: the fleet waits for a copy at most.
    pub(crate) fn lines(&self) -> serde_json::Result<String> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut lines = String::new();
        for event in &events {
            lines.push_str(&serde_json::to_string(event)?);
            lines.push('\n');
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use galton_core::Nanos;

    use super::*;

    fn event(version: u64) -> FleetEvent {
        FleetEvent {
            at: Nanos(5),
            version,
            target: Some(TargetId(1)),
            incarnation: 0,
            what: FleetWhat::Ready,
            host: Some(HostId(1)),
            delay: Nanos(3),
            overrun: Nanos(1),
            held: 0,
        }
    }

    #[test]
    fn the_file_has_a_line_as_soon_as_it_is_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.jsonl");
        let mut journal = Journal::create(Some(path.clone())).unwrap();
        journal.append(&event(1)).unwrap();
        journal.append(&event(2)).unwrap();
        let written = std::fs::read_to_string(path).unwrap();
        let read: Vec<FleetEvent> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, [event(1), event(2)]);
        assert_eq!(journal.history().lines().unwrap(), written);
    }

    #[test]
    fn a_refusal_again_and_again_is_in_the_file_only() {
        let refused =
            |version, host| FleetEvent { what: FleetWhat::DownRefused, host: Some(HostId(host)), ..event(version) };
        let events = [refused(1, 0), refused(1, 1), refused(1, 0), event(2), refused(2, 0), refused(2, 0), event(2)];
        let kept = |path: Option<PathBuf>| {
            let mut journal = Journal::create(path).unwrap();
            events.iter().for_each(|event| journal.append(event).unwrap());
            let lines = journal.history().lines().unwrap();
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<FleetEvent>>()
        };
        assert_eq!(kept(None), [&events[..2], &events[3..5], &events[6..]].concat());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.jsonl");
        assert_eq!(kept(Some(path.clone())), events);
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), events.len());
    }

    #[test]
    fn memory_keeps_the_newest_events() {
        let history = History::default();
        (0..KEPT as u64 + 3).for_each(|version| history.push(event(version)));
        let lines = history.lines().unwrap();
        assert_eq!(lines.lines().count(), KEPT);
        assert!(lines.lines().next().unwrap().contains("\"version\":3,"));
    }
}
