//! Decision records in a memory-mapped file: fixed size, one writer thread, a record published by storing its sequence
//! last. What was recorded survives SIGKILL.
//!
//! A record is 8 words, one cache line. Slot 0 of the file is its header; the record in slot n ≥ 1 has the sequence n.
//!
//! | word | holds |
//! |---|---|
//! | 0 | sequence, stored last |
//! | 1, 2, 3 | `at`, `until`, `request` |
//! | 4 | `host`, `attempt` |
//! | 5 | target (0: none), incarnation |
//! | 6 | `known`, `own` |
//! | 7 | kind, reason |

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use anyhow::{Context as _, bail};
use galton_core::record::{Decision, DecisionKind};
use galton_core::{FailReason, HostId, Nanos, RejectReason, RequestId, TargetId};

use crate::mapped::{self, Words};

/// Words of a record.
const RECORD: usize = 8;
/// The file grows by so many records, 1 MiB: seconds of a busy proxy, and a step takes some ten microseconds.
const STEP: usize = 16_384;
/// The first word of the file; the last byte is the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"galtonD\x01");

/// Writes decision records. Grows the file in steps, with the space really allocated, so that a full disk is an error
/// here and not a SIGBUS.
#[derive(Debug)]
pub struct RecordWriter {
    file: File,
    /// The step that is being written; none after the disk was full.
    page: Option<Words>,
    /// The slot of the next record.
    slot: usize,
    lost: u64,
}

// === impl RecordWriter ===

impl RecordWriter {
    /// Creates the file (emptying one that is there).
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = mapped::create(path)?;
        let page = Words::extend(&file, 0, STEP * RECORD)
            .with_context(|| format!("cannot allocate space for {}", path.display()))?;
        page.at(0).store(MAGIC, Release);
        Ok(Self { file, page: Some(page), slot: 1, lost: 0 })
    }

    /// Appends a record. After the disk is full, records are counted as lost instead.
    pub fn write(&mut self, decision: &Decision) {
        if self.slot.is_multiple_of(STEP) && self.page.is_some() {
            self.page = Words::extend(&self.file, self.slot * RECORD, STEP * RECORD)
                .inspect_err(|error| tracing::error!(%error, "cannot extend the decision records; the rest is lost"))
                .ok();
        }
        let Some(page) = &self.page else {
            self.lost += 1;
            return;
        };
        let first = self.slot % STEP * RECORD;
        for (i, word) in encode(decision).into_iter().enumerate() {
            page.at(first + 1 + i).store(word, Relaxed);
        }
        page.at(first).store(self.slot as u64, Release);
        self.slot += 1;
    }

    /// Records that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// Reads the records that were published, in order of writing, from the file of a living or a dead process.
pub fn read(path: &Path) -> anyhow::Result<Vec<Decision>> {
    let words = Words::open(path)?;
    if words.get(0).map(|word| word.load(Acquire)) != Some(MAGIC) {
        bail!("{} holds no decision records of this version", path.display());
    }
    let mut records = Vec::new();
    while let Some(record) = published(&words, records.len() + 1) {
        let slot = records.len() + 1;
        records.push(decode(record).with_context(|| format!("{}: record {slot} is damaged", path.display()))?);
    }
    Ok(records)
}

fn published(words: &Words, slot: usize) -> Option<[u64; RECORD - 1]> {
    let first = slot * RECORD;
    if words.get(first)?.load(Acquire) != slot as u64 {
        return None;
    }
    let mut record = [0; RECORD - 1];
    for (i, word) in record.iter_mut().enumerate() {
        *word = words.get(first + 1 + i)?.load(Relaxed);
    }
    Some(record)
}

fn encode(d: &Decision) -> [u64; RECORD - 1] {
    let (target, incarnation) = d.target.map_or((0, 0), |(target, incarnation)| (target.0, incarnation));
    let (kind, reason) = encode_kind(d.kind);
    [
        d.at.0,
        d.until.0,
        d.request.0,
        pair(d.host.0, d.attempt),
        pair(target, incarnation),
        pair(d.known, d.own),
        pair(kind, reason),
    ]
}

fn decode(words: [u64; RECORD - 1]) -> Option<Decision> {
    let [at, until, request, host_attempt, target, known_own, kind] = words;
    let (host, attempt) = unpair(host_attempt);
    let (target, incarnation) = unpair(target);
    let (known, own) = unpair(known_own);
    Some(Decision {
        at: Nanos(at),
        until: Nanos(until),
        host: HostId(host),
        request: RequestId(request),
        attempt,
        target: (target != 0).then_some((TargetId(target), incarnation)),
        kind: decode_kind(unpair(kind))?,
        known,
        own,
    })
}

/// Kind and reason as numbers: a reason is its place in the list of all.
fn encode_kind(kind: DecisionKind) -> (u32, u32) {
    fn place<T: PartialEq>(all: &[T], reason: &T) -> u32 {
        all.iter().position(|r| r == reason).expect("ALL holds every reason") as u32
    }
    match kind {
        DecisionKind::Accept => (0, 0),
        DecisionKind::ScaleRoute => (1, 0),
        DecisionKind::Refuse => (2, 0),
        DecisionKind::Reject(reason) => (3, place(&RejectReason::ALL, &reason)),
        DecisionKind::Fail(reason) => (4, place(&FailReason::ALL, &reason)),
    }
}

fn decode_kind((kind, reason): (u32, u32)) -> Option<DecisionKind> {
    Some(match kind {
        0 => DecisionKind::Accept,
        1 => DecisionKind::ScaleRoute,
        2 => DecisionKind::Refuse,
        3 => DecisionKind::Reject(*RejectReason::ALL.get(reason as usize)?),
        4 => DecisionKind::Fail(*FailReason::ALL.get(reason as usize)?),
        _ => return None,
    })
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn unpair(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(n: u64, kind: DecisionKind, target: Option<(TargetId, u32)>) -> Decision {
        Decision {
            at: Nanos(n),
            until: Nanos(n + 5),
            host: HostId(2),
            request: RequestId::closed(7, n as u32),
            attempt: 3,
            target,
            kind,
            known: 100,
            own: 4,
        }
    }

    #[test]
    fn every_kind_round_trips_while_the_writer_lives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions");
        let mut writer = RecordWriter::create(&path).unwrap();
        assert_eq!(read(&path).unwrap(), []);
        let plain = [DecisionKind::Accept, DecisionKind::ScaleRoute, DecisionKind::Refuse];
        let kinds = plain
            .into_iter()
            .chain(RejectReason::ALL.map(DecisionKind::Reject))
            .chain(FailReason::ALL.map(DecisionKind::Fail));
        let written: Vec<_> = kinds
            .enumerate()
            .map(|(n, kind)| decision(n as u64, kind, (n % 2 == 0).then_some((TargetId(9), 1))))
            .inspect(|d| writer.write(d))
            .collect();
        assert_eq!(read(&path).unwrap(), written);
        assert_eq!(writer.lost(), 0);
    }

    #[test]
    fn it_grows_and_an_unpublished_record_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions");
        let mut writer = RecordWriter::create(&path).unwrap();
        let count = STEP as u64 + 10;
        for n in 0..count {
            writer.write(&decision(n, DecisionKind::Accept, None));
        }
        drop(writer);
        let records = read(&path).unwrap();
        assert_eq!(records.len() as u64, count);
        assert!(records.iter().zip(0..).all(|(d, n)| d.at == Nanos(n)));
        let mut bytes = std::fs::read(&path).unwrap();
        let last_sequence = count as usize * RECORD * 8;
        bytes[last_sequence..last_sequence + 8].fill(0);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, count - 1);
    }

    #[test]
    fn a_full_disk_loses_records_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions");
        let mut writer = RecordWriter::create(&path).unwrap();
        writer.file = File::open(&path).unwrap(); // cannot be extended: not open for writing
        for n in 0..STEP as u64 + 2 {
            writer.write(&decision(n, DecisionKind::Accept, None));
        }
        assert_eq!(writer.lost(), 3);
        assert_eq!(read(&path).unwrap().len(), STEP - 1);
    }

    #[test]
    fn another_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions");
        std::fs::write(&path, "seq,user,round\n0,,\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no decision records"));
    }
}
