//! What a pick and its release cost on the load map: alone, and with other processes that do the same all the time.
//!
//! The policy is a host's own: least connections, ties at random. Beside it, the simplest table that is as exact: an
//! array of counts in mapped memory that is scanned under a mutex of the C library. `runtime/benches/map.sh` runs it.

mod contender;
mod plain;
mod shared;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use contender::{Contender, Pairs};
use galton_runtime::mono_ns;
use plain::Plain;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use shared::Map;

const TARGETS: [u32; 4] = [8, 64, 256, 1024];
const PROCESSES: [u32; 3] = [1, 2, 4];

/// Measured in batches, so that the median leaves out what else the machine does.
const PAIRS: u64 = 1_000;
const BATCHES: usize = 1_001;

/// With fewer contended batches than these nothing is said of contention: the processes ran one after the other.
const FEWEST: usize = 20;

/// What is asked of the map.
struct Limit {
    targets: u32,
    processes: u32,
    /// For a pick and a release; the median, of contended batches if there are several processes.
    ns: f64,
}

const LIMITS: [Limit; 3] = [
    Limit { targets: 64, processes: 1, ns: 100.0 },
    Limit { targets: 64, processes: 2, ns: 300.0 },
    Limit { targets: 1024, processes: 2, ns: 1000.0 },
];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(),
        ["map", path, host] => contend(host.parse()?, Map::join(Path::new(path), host.parse()?)?),
        ["plain", path, host] => contend(host.parse()?, Plain::open(Path::new(path), host.parse()?)?),
        _ => bail!("takes no arguments"),
    }
}

/// Picks and releases until it is killed; says when it has begun.
fn contend(host: usize, table: impl Contender) -> anyhow::Result<()> {
    stay_on_a_processor(host)?;
    let mut pairs = Pairs::of(table);
    pairs.run(PAIRS);
    println!("running");
    loop {
        pairs.run(PAIRS);
    }
}

/// One of its own, as long as there are as many.
fn stay_on_a_processor(host: usize) -> anyhow::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let mut mine = CpuSet::new();
    mine.set(processors[host % processors.len()]);
    Ok(sched_setaffinity(None, &mine)?)
}

fn report() -> anyhow::Result<()> {
    let cpus = std::thread::available_parallelism()?;
    println!(
        "pick and release, ns: median and 9th decile of {BATCHES} batches of {PAIRS}, and of those in which another"
    );
    println!("process came in between, with the looks that had to be repeated then; {cpus} processors");
    println!(
        "{:>8} {:>10} {:>12} {:>12} {:>8} {:>16}",
        "targets", "processes", "map", "contended", "retries", "mutex and scan"
    );
    let mut failed = 0;
    for targets in TARGETS {
        for processes in PROCESSES {
            let map = measure("map", targets, processes)?;
            let plain = measure("plain", targets, processes)?.all;
            let contended = map.contended.as_ref().map_or_else(|| "-".to_owned(), Deciles::to_string);
            let retries = 100.0 * map.retries;
            println!("{targets:>8} {processes:>10} {:>12} {contended:>12} {retries:>7.1}% {plain:>16}", map.all);
            failed += LIMITS.iter().filter(|limit| limit.is_of(targets, processes) && !limit.is_kept(&map)).count();
        }
    }
    println!("{} passed, {failed} failed", LIMITS.len() - failed);
    ensure!(failed == 0, "the map is slower than it should be");
    Ok(())
}

// === impl Limit ===

impl Limit {
    fn is_of(&self, targets: u32, processes: u32) -> bool {
        (self.targets, self.processes) == (targets, processes)
    }

    fn is_kept(&self, map: &Figures) -> bool {
        let judged = if self.processes > 1 { map.contended.as_ref() } else { Some(&map.all) };
        let is_kept = judged.is_some_and(|deciles| deciles.median <= self.ns);
        if !is_kept {
            let why = if judged.is_none() { " (the processes did not run at once)" } else { "" };
            println!("FAILED: must be ≤ {} ns{why}", self.ns);
        }
        is_kept
    }
}

/// With so many processes, of which this is one.
fn measure(table: &'static str, targets: u32, processes: u32) -> anyhow::Result<Figures> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join(table);
    match table {
        "map" => {
            let _fleet = shared::create(&path, targets, processes)?;
            among(table, &path, processes, Map::join(&path, 0)?)
        }
        _ => {
            Plain::create(&path, targets)?;
            among(table, &path, processes, Plain::open(&path, 0)?)
        }
    }
}

fn among(name: &str, path: &Path, processes: u32, table: impl Contender) -> anyhow::Result<Figures> {
    let others = (1..processes).map(|host| Other::start(name, path, host)).collect::<Result<Vec<_>, _>>()?;
    // After the others, who would inherit it.
    let allowed = sched_getaffinity(None)?;
    stay_on_a_processor(0)?;
    let mut pairs = Pairs::of(table);
    // Caches, and the processor's clock.
    pairs.run(10 * PAIRS);
    let batch = || {
        pairs.looks = 0;
        let start = mono_ns();
        pairs.run(PAIRS);
        Batch { ns: (mono_ns() - start) as f64 / PAIRS as f64, retries: pairs.looks - PAIRS }
    };
    let batches: Vec<Batch> = std::iter::repeat_with(batch).take(BATCHES).collect();
    drop(others);
    sched_setaffinity(None, &allowed)?;
    Ok(Figures::of(&batches, processes > 1))
}

struct Batch {
    ns: f64,
    retries: u64,
}

/// Another process that picks and releases, killed at the end.
struct Other(Child);

struct Figures {
    /// Of all batches.
    all: Deciles,
    /// Of those in which another process came in between.
    contended: Option<Deciles>,
    /// Looks that had to be repeated, per pick; of these.
    retries: f64,
}

struct Deciles {
    median: f64,
    ninth: f64,
}

// === impl Other ===

impl Other {
    fn start(table: &str, path: &Path, host: u32) -> anyhow::Result<Self> {
        let program: PathBuf = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.arg(table).arg(path).arg(host.to_string()).stdout(Stdio::piped());
        let mut other = Self(command.spawn()?);
        let mut line = String::new();
        BufReader::new(other.0.stdout.take().context("it is piped")?).read_line(&mut line)?;
        ensure!(line == "running\n", "a contending process did not begin");
        Ok(other)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("a contending process did not end: {error}");
        }
    }
}

// === impl Figures ===

impl Figures {
    fn of(batches: &[Batch], with_others: bool) -> Self {
        let contended: Vec<&Batch> = batches.iter().filter(|batch| batch.retries > 0).collect();
        let retries = contended.iter().map(|batch| batch.retries).sum::<u64>();
        Self {
            all: Deciles::of(batches.iter()),
            retries: retries as f64 / (contended.len().max(1) as u64 * PAIRS) as f64,
            contended: (with_others && contended.len() >= FEWEST).then(|| Deciles::of(contended.into_iter())),
        }
    }
}

// === impl Deciles ===

impl Deciles {
    fn of<'a>(batches: impl Iterator<Item = &'a Batch>) -> Self {
        let mut ns: Vec<f64> = batches.map(|batch| batch.ns).collect();
        ns.sort_unstable_by(f64::total_cmp);
        Self { median: ns[ns.len() / 2], ninth: ns[ns.len() * 9 / 10] }
    }
}

impl std::fmt::Display for Deciles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.0} {:.0}", self.median, self.ninth))
    }
}
