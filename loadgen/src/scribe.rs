//! The scribe: a thread that turns rows into the trace file, the tally, the results and a sign of life now and then, so that
//! the sending thread does none of it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use galton_core::record::TraceRow;
use galton_report::{ClientFold, trace};

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

/// What becomes of the rows.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Where they are written, one by one.
    pub(crate) trace: Option<TraceFile>,
    /// What they are folded into; none: whoever conducts the run makes its report from the trace.
    pub(crate) fold: Option<ClientFold>,
    /// Where the fold's interval log goes.
    pub(crate) log: Option<BufWriter<File>>,
}

/// What is there when every row is counted.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) tally: Tally,
    pub(crate) fold: Option<ClientFold>,
    /// The interval log so far; the fold has the rest.
    pub(crate) log: Option<BufWriter<File>>,
    /// Whether the rows could be written, too.
    pub(crate) complete: anyhow::Result<()>,
}

/// The sender's end: collects rows into batches.
#[derive(Debug)]
pub(crate) struct RowSink {
    batch: Vec<TraceRow>,
    batches: SyncSender<Vec<TraceRow>>,
}

/// The running scribe.
#[derive(Debug)]
pub(crate) struct Scribe(JoinHandle<Written>);

/// Starts a scribe. `tick` is called every second with what has been counted.
pub(crate) fn start(
    books: impl Into<Books>,
    tick: impl FnMut(&Tally) + Send + 'static,
) -> anyhow::Result<(RowSink, Scribe)> {
    start_every(SIGN_OF_LIFE, books, tick)
}

/// Starts a scribe that calls `tick` so often.
pub(crate) fn start_every(
    every: Duration,
    books: impl Into<Books>,
    tick: impl FnMut(&Tally) + Send + 'static,
) -> anyhow::Result<(RowSink, Scribe)> {
    let (batches, received) = sync_channel(BATCHES);
    let thread = std::thread::Builder::new().name("scribe".to_owned());
    let books = books.into();
    let handle = thread.spawn(move || scribe(&received, books, every, tick)).context("no thread for the scribe")?;
    Ok((RowSink { batch: Vec::with_capacity(BATCH), batches }, Scribe(handle)))
}

/// Creates a trace file and writes its header.
pub(crate) fn create_trace(path: &Path) -> anyhow::Result<TraceFile> {
    let file = File::create(path).and_then(|file| trace::Writer::new(BufWriter::new(file)));
    file.with_context(|| format!("cannot write the trace {}", path.display()))
}

fn scribe(
    batches: &Receiver<Vec<TraceRow>>,
    mut books: Books,
    every: Duration,
    mut tick: impl FnMut(&Tally),
) -> Written {
    let mut tally = Tally::new();
    let mut written = Ok(());
    let mut next_tick = Instant::now() + every;
    loop {
        match batches.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
            Ok(rows) => {
                rows.iter().for_each(|row| tally.add(row));
                // After a first failure the rows are only counted: the results of the run are worth having.
                let earlier = std::mem::replace(&mut written, Ok(()));
                written = earlier.and_then(|()| books.write(&rows));
                books.fold(&rows);
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
    let Books { trace, fold, log } = books;
    let written = written.and_then(|()| trace.map_or(Ok(()), |out| out.finish().map(drop)));
    Written { tally, fold, log, complete: written.context("cannot write the records of the requests") }
}

// === impl Books ===

impl Books {
    fn write(&mut self, rows: &[TraceRow]) -> std::io::Result<()> {
        if let Some(out) = &mut self.trace {
            rows.iter().try_for_each(|row| out.write(row))?;
        }
        match (&mut self.log, &mut self.fold) {
            // The lines of the rows before these.
            (Some(out), Some(fold)) => out.write_all(fold.take_log().as_bytes()),
            _ => Ok(()),
        }
    }

    fn fold(&mut self, rows: &[TraceRow]) {
        if let Some(fold) = &mut self.fold {
            rows.iter().for_each(|row| fold.add(row));
        }
    }
}

/// The trace alone.
impl From<Option<TraceFile>> for Books {
    fn from(trace: Option<TraceFile>) -> Self {
        Self { trace, ..Self::default() }
    }
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
    /// Waits until every row is counted; the sink must have been dropped.
    pub(crate) fn finish(self) -> anyhow::Result<Written> {
        self.0.join().map_err(|_| anyhow!("the scribe panicked"))
    }
}
