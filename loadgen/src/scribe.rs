//! The scribe: a thread that turns rows into the trace file, the tally and a sign of life now and then, so that the
//! sending thread does none of it.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use galton_core::record::TraceRow;
use galton_report::trace;

use crate::tally::Tally;

/// Rows that are handed over at once: waking the scribe for each would cost the sender more than the row does.
const BATCH: usize = 256;
/// Batches on the way: 16 384 rows, some 4 MB. If the disk is slower than that for long, the sender waits, and the stall
/// is reported.
const BATCHES: usize = 64;
/// How often there is a sign of life, where nothing else is said.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Where the scribe writes the rows, besides counting them.
pub(crate) type TraceFile = trace::Writer<BufWriter<File>>;

/// The sender's end: collects rows into batches.
#[derive(Debug)]
pub(crate) struct RowSink {
    batch: Vec<TraceRow>,
    batches: SyncSender<Vec<TraceRow>>,
}

/// The running scribe.
#[derive(Debug)]
pub(crate) struct Scribe(JoinHandle<anyhow::Result<Tally>>);

/// Starts a scribe. `tick` is called every second with what has been counted.
pub(crate) fn start(
    trace: Option<TraceFile>,
    tick: impl FnMut(&Tally) + Send + 'static,
) -> anyhow::Result<(RowSink, Scribe)> {
    start_every(SIGN_OF_LIFE, trace, tick)
}

/// Starts a scribe that calls `tick` so often.
pub(crate) fn start_every(
    every: Duration,
    trace: Option<TraceFile>,
    tick: impl FnMut(&Tally) + Send + 'static,
) -> anyhow::Result<(RowSink, Scribe)> {
    let (batches, received) = sync_channel(BATCHES);
    let thread = std::thread::Builder::new().name("scribe".to_owned());
    let handle = thread.spawn(move || scribe(&received, trace, every, tick)).context("no thread for the scribe")?;
    Ok((RowSink { batch: Vec::with_capacity(BATCH), batches }, Scribe(handle)))
}

/// Creates a trace file and writes its header.
pub(crate) fn create_trace(path: &Path) -> anyhow::Result<TraceFile> {
    let file = File::create(path).and_then(|file| trace::Writer::new(BufWriter::new(file)));
    file.with_context(|| format!("cannot write the trace {}", path.display()))
}

fn scribe(
    batches: &Receiver<Vec<TraceRow>>,
    mut trace: Option<TraceFile>,
    every: Duration,
    mut tick: impl FnMut(&Tally),
) -> anyhow::Result<Tally> {
    let mut tally = Tally::new();
    let mut written = Ok(());
    let mut next_tick = Instant::now() + every;
    loop {
        match batches.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
            Ok(rows) => {
                rows.iter().for_each(|row| tally.add(row));
                // After a first failure the rows are only counted: the results of the run are worth having.
                if let (Some(out), Ok(())) = (&mut trace, &written) {
                    written = rows.iter().try_for_each(|row| out.write(row));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        // However many rows there are: a busy run shows signs of life, too.
        let now = Instant::now();
        if now >= next_tick {
            tick(&tally);
            next_tick = (next_tick + every).max(now);
        }
    }
    written.and_then(|()| trace.map_or(Ok(()), |out| out.finish().map(drop))).context("cannot write the trace")?;
    Ok(tally)
}

// === impl RowSink ===

impl RowSink {
    /// Adds a row.
    pub(crate) fn push(&mut self, row: TraceRow) {
        self.batch.push(row);
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
            // It fails only if the scribe has panicked, which `finish` tells.
            drop(self.batches.send(batch));
        }
    }
}

/// The last rows are not lost, however the sender ends.
impl Drop for RowSink {
    fn drop(&mut self) {
        self.flush();
    }
}

// === impl Scribe ===

impl Scribe {
    /// Waits until every row is counted and written; the sink must have been dropped.
    pub(crate) fn finish(self) -> anyhow::Result<Tally> {
        self.0.join().map_err(|_| anyhow!("the scribe panicked"))?
    }
}
