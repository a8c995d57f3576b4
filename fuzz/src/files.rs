//! Mapped files, which a process that was killed leaves, or a disk that fails.

use std::io::Write;
use std::path::Path;

use galton_core::table::{FleetRows, LoadTable, RowState};
use galton_core::{HostId, Nanos, TargetId};
use galton_runtime::load_map::LoadMap;
use galton_runtime::{book as books, records};

fn with_file(data: &[u8], read: impl FnOnce(&Path)) {
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a temporary file");
    file.write_all(data).expect("there is room for a temporary file");
    read(file.path());
}

pub(crate) fn decisions(data: &[u8]) {
    with_file(data, |path| {
        if let Ok(decisions) = records::read(path) {
            assert!(decisions.len() <= data.len() / 64);
        }
    });
}

pub(crate) fn book(data: &[u8]) {
    with_file(data, |path| {
        if let Ok(series) = books::read(path) {
            assert!(series.iter().all(|(name, _)| !name.is_empty()));
        }
    });
}

/// A map that can be opened can be used: a host joins, picks and leaves, and the scaler changes a row.
pub(crate) fn load_map(data: &[u8]) {
    with_file(data, |path| {
        let Ok(mut fleet) = LoadMap::open(path) else { return };
        let now = Nanos(1_000);
        let Ok(mut map) = LoadMap::open(path).and_then(|map| map.join(HostId(0), now)) else { return };
        fleet.put(TargetId(1), 0, RowState::Ready, now);
        if let Some(low) = map.lowest(&[]) {
            let k = map.position_after(&low, TargetId(1), &[]);
            let target = map.nth(&low, k, &[]).expect("nobody else changes it");
            assert_eq!(fleet.in_flight(target), low.count);
            let slot = map.reserve(HostId(0), target, &low).expect("nobody else changes it");
            assert_eq!(fleet.in_flight(target), low.count + 1);
            map.release(HostId(0), slot, now);
            assert_eq!(fleet.in_flight(target), low.count);
        }
        let _ = (map.idle(now, now), map.longest_waiting(true), map.claim(now, now), map.ready());
        drop(map);
        fleet.reap(now);
        fleet.remove(TargetId(1), 0);
        let _ = fleet.total_in_flight();
    });
}
