//! Interval logs of HdrHistogram (`latency.hlog`): one compressed histogram per second and latency, which the tools of
//! HdrHistogram read, and which can be merged over runs without losing anything but digits.
//!
//! Format 1.3 as `HistogramLogWriter` of the Java library has it, histograms in its second encoding, deflated. The crate's own
//! writer borrows its output for as long as it lives, and writes neither the version nor the legend.

use std::io::BufRead;
use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use galton_core::Nanos;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// The latencies that are logged, by their names in `result.json`.
pub const TAGS: [&str; 3] = ["response", "service", "send_lag"];

/// The length of an interval.
const INTERVAL_NS: u64 = 1_000_000_000;
/// The longest latency that is told apart from longer ones: 24 h.
const LONGEST_NS: u64 = 86_400_000_000_000;
/// Significant digits, as in every report.
const DIGITS: u8 = 3;
/// Nanoseconds per unit of an interval's maximum: the library's tools expect milliseconds.
const MAX_UNIT: f64 = 1e6;

/// The head of a log whose intervals count from `started_unix_ns`.
pub fn header(started_unix_ns: u64) -> String {
    let at = started_unix_ns as f64 / 1e9;
    format!(
        "#[Histogram log format version 1.3]\n#[Values: nanoseconds; a timed-out request counts with its deadline]\n\
         #[StartTime: {at:.3} (seconds since epoch)]\n#[BaseTime: {at:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )
}

/// One histogram of a log.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Which of [`TAGS`].
    pub tag: String,
    /// Since the log's start.
    pub start: Nanos,
    /// How long.
    pub length: Nanos,
    /// Nanoseconds.
    pub histogram: Histogram<u64>,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("not an interval log of HdrHistogram: {0}")]
pub struct HlogError(String);

/// Takes latencies in about the order of their ends, and makes the lines of a log of them.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    /// In the order of [`TAGS`].
    histograms: [Histogram<u64>; 3],
    interval: u64,
    last: Nanos,
    lines: String,
    serializer: Codec,
}

/// The crate's serializer has no `Clone` and no `Debug`; it holds nothing but buffers.
#[derive(Default)]
struct Codec(V2DeflateSerializer);

// === impl Codec ===

impl Clone for Codec {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codec")
    }
}

impl Codec {
    fn line(&mut self, tag: &str, start: Nanos, length: Nanos, histogram: &Histogram<u64>) -> String {
        let mut bytes = Vec::new();
        self.0.serialize(histogram, &mut bytes).expect("a histogram within these bounds can be written to memory");
        let max = histogram.max() as f64 / MAX_UNIT;
        let (start, length) = (start.as_secs_f64(), length.as_secs_f64());
        format!("Tag={tag},{start:.3},{length:.3},{max:.3},{}\n", STANDARD.encode(bytes))
    }
}

/// The line of one interval.
pub fn line(interval: &Interval) -> String {
    Codec::default().line(&interval.tag, interval.start, interval.length, &interval.histogram)
}

/// An empty histogram with the bounds of those in a log.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are constants in range")
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            histograms: [(); 3].map(|()| histogram()),
            interval: 0,
            last: Nanos::ZERO,
            lines: String::new(),
            serializer: Codec::default(),
        }
    }

    /// A request ended at `end`, with these latencies, in the order of [`TAGS`]; none: it does not count there.
    pub(crate) fn record(&mut self, end: Nanos, latencies: [Option<u64>; 3]) {
        // One that ended before a line that is written already goes into the next line.
        if end.0 / INTERVAL_NS > self.interval {
            self.write(INTERVAL_NS);
            self.interval = end.0 / INTERVAL_NS;
        }
        self.last = self.last.max(end);
        for (histogram, latency) in self.histograms.iter_mut().zip(latencies) {
            latency.into_iter().for_each(|ns| histogram.saturating_record(ns));
        }
    }

    /// The lines that are complete.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }

    /// The lines that are left; the run is over.
    pub(crate) fn finish(mut self) -> String {
        let length = self.last.0.saturating_sub(self.interval * INTERVAL_NS).clamp(1, INTERVAL_NS);
        self.write(length);
        self.lines
    }

    fn write(&mut self, length: u64) {
        let start = Nanos(self.interval * INTERVAL_NS);
        for (tag, histogram) in TAGS.into_iter().zip(&mut self.histograms) {
            if !histogram.is_empty() {
                self.lines.push_str(&self.serializer.line(tag, start, Nanos(length), histogram));
                histogram.reset();
            }
        }
    }
}

/// Reads a log; intervals without a tag count as `response`, as other tools write them.
///
/// # Errors
/// It is no such log.
pub fn read(mut input: impl BufRead) -> Result<Vec<Interval>, HlogError> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|e| HlogError(e.to_string()))?;
    let mut deserializer = Deserializer::new();
    let mut found = Vec::new();
    let fault = IntervalLogIterator::new(&bytes).try_for_each(|entry| match entry {
        Ok(LogEntry::Interval(one)) => {
            let decoded = STANDARD.decode(one.encoded_histogram()).map_err(|e| e.to_string());
            let histogram = decoded.and_then(|b| deserializer.deserialize(&mut &b[..]).map_err(|e| e.to_string()));
            match histogram {
                Ok(histogram) => found.push(Interval {
                    tag: one.tag().map_or(TAGS[0], |tag| tag.as_str()).to_owned(),
                    start: Nanos::from_secs_f64(one.start_timestamp().as_secs_f64()),
                    length: Nanos::from_secs_f64(one.duration().as_secs_f64()),
                    histogram,
                }),
                Err(why) => return ControlFlow::Break(why),
            }
            ControlFlow::Continue(())
        }
        Ok(_) => ControlFlow::Continue(()),
        Err(e) => ControlFlow::Break(format!("{e:?}")),
    });
    match fault {
        ControlFlow::Break(why) => Err(HlogError(why)),
        ControlFlow::Continue(()) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_back_as_it_was_written() {
        let mut recorder = Recorder::new();
        for i in 0..5_000_u64 {
            let end = Nanos(i * 1_000_000);
            recorder.record(end, [Some(1_000_000 + i), Some(900_000), (i % 2 == 0).then_some(10)]);
        }
        let mut log = header(1_700_000_000_500_000_000);
        log.push_str(&recorder.take());
        assert!(log.contains("#[StartTime: 1700000000.500 (seconds since epoch)]"));
        log.push_str(&recorder.finish());
        let intervals = read(log.as_bytes()).unwrap();
        assert_eq!(intervals.len(), 15);
        let sum = |tag: &str| intervals.iter().filter(|i| i.tag == tag).map(|i| i.histogram.len()).sum::<u64>();
        assert_eq!(TAGS.map(sum), [5_000, 5_000, 2_500]);
        assert_eq!((intervals[3].start.0, intervals[3].length.0), (1_000_000_000, 1_000_000_000));
        assert_eq!(intervals[12].length.0, 999_000_000);
        assert!(intervals[0].histogram.equivalent(intervals[0].histogram.max(), 1_000_999));
        assert!(log.lines().nth(5).unwrap().starts_with("Tag=response,0.000,1.000,1.001,HISTF"), "{log}");
    }

    #[test]
    fn something_else_is_refused() {
        assert!(read(&b"seq,user\n1,2\n"[..]).is_err());
        assert!(read(&b"Tag=response,0.000,1.000,1.0,bm9uc2Vuc2U=\n"[..]).is_err());
    }
}
