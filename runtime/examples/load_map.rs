//! What a pick and its release cost on the load map: alone, and with a second process that does the same.
//!
//! `cargo run --profile bench -p galton-runtime --example load_map`

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use galton_core::table::{BucketTable, FleetRows, LoadTable, RowState, Slot};
use galton_core::{HostId, Nanos, TargetId};
use galton_runtime::load_map::{HostMap, LoadMap};
use galton_runtime::mono_ns;

const LIMIT: u32 = 10;
/// Slots that a host holds all the time: a pick takes one more, and the oldest is released.
const HELD: usize = 16;
/// Measured in batches, so that the median leaves out what else the machine does.
const PAIRS: u64 = 1_000;
const BATCHES: usize = 1_001;

fn main() -> anyhow::Result<()> {
    if let Some(path) = std::env::args().nth(1) {
        let mut map = LoadMap::open(Path::new(&path))?.join(HostId(1), Nanos::ZERO)?;
        while map.ready() > 0 {
            batch(&mut map, HostId(1));
        }
        return Ok(());
    }
    println!("ns per pick and release, ties at random: median and 9th decile");
    println!("{:>6} {:>13} {:>13} {:>13} {:>13}", "rows", "alone", "shared", "simulator", "row change");
    for rows in [8, 64, 256, 1024] {
        let path = std::env::temp_dir().join(format!("galton-load-map-{}", std::process::id()));
        let result = report(rows, &path);
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        result?;
    }
    Ok(())
}

fn report(rows: u32, path: &PathBuf) -> anyhow::Result<()> {
    let mut fleet = LoadMap::create(path, rows * 2 + 64, 4, LIMIT, 1)?;
    let mut simulated = BucketTable::new(LIMIT, 1);
    for n in 1..=rows {
        fleet.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO);
        simulated.put(TargetId(n), 0, RowState::Ready, Nanos::ZERO);
    }
    let mut map: HostMap = LoadMap::open(path)?.join(HostId(0), Nanos::ZERO)?;
    let alone = measure(&mut map, HostId(0));
    let simulator = measure(&mut simulated, HostId(0));
    let mut other = second(path)?;
    while fleet.total_in_flight() == 0 {
        std::thread::yield_now();
    }
    let shared = measure(&mut map, HostId(0));
    let change = deciles((1..=rows).map(|n| time(|| fleet.put(TargetId(n), 0, RowState::Cordoned, Nanos::ZERO))));
    other.wait()?;
    println!("{rows:>6} {alone:>13} {shared:>13} {simulator:>13} {change:>13}");
    Ok(())
}

/// Another process that picks and releases as long as a target is ready.
fn second(path: &PathBuf) -> anyhow::Result<Child> {
    Ok(Command::new(std::env::current_exe()?).arg(path).stdout(Stdio::null()).spawn()?)
}

/// Nanoseconds per pair of a pick and a release, over the batches.
fn measure(table: &mut impl LoadTable, host: HostId) -> String {
    deciles((0..BATCHES).map(|_| time(|| batch(table, host)) / PAIRS as f64))
}

fn time(f: impl FnOnce()) -> f64 {
    let start = mono_ns();
    f();
    (mono_ns() - start) as f64
}

fn deciles(times: impl Iterator<Item = f64>) -> String {
    let mut times: Vec<f64> = times.collect();
    times.sort_unstable_by(f64::total_cmp);
    format!("{:.0} {:.0}", times[times.len() / 2], times[times.len() * 9 / 10])
}

fn batch(table: &mut impl LoadTable, host: HostId) {
    let mut held = std::collections::VecDeque::with_capacity(HELD + 1);
    let mut state = 1_u64;
    for _ in 0..PAIRS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if let Some(slot) = pick(table, host, state >> 32) {
            held.push_back(slot);
        }
        if held.len() > HELD
            && let Some(slot) = held.pop_front()
        {
            table.release(host, slot, Nanos(1));
        }
    }
    held.into_iter().for_each(|slot| table.release(host, slot, Nanos(1)));
}

fn pick(table: &mut impl LoadTable, host: HostId, coin: u64) -> Option<Slot> {
    loop {
        let low = table.lowest(&[])?;
        let k = (coin * u64::from(low.len)) >> 32;
        let Some(target) = table.nth(&low, k as u32, &[]) else { continue };
        if let Ok(slot) = table.reserve(host, target, &low) {
            return Some(slot);
        }
    }
}
