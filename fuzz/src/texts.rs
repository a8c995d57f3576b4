//! Texts: scenarios, traces, records as CSV, profiles, lines of other processes.

use std::io::BufRead;
use std::path::Path;

use galton_core::profile::Profile;
use galton_core::scenario::read_trace;
use galton_core::wire::WatchLine;
use galton_core::{Outcome, Scenario};
use galton_report::compare::read_foreign;
use galton_report::{decisions, fleet, trace};
use galton_runtime::samples::Samples;
use galton_runtime::scenario_file;

/// What a scenario that names a trace file finds there.
const TRACE: &str = "t_ms,hold_ms,host\n0,10,0\n5,,\n";

/// Bytes of text alone: a file that is none fails where it is read.
fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// The first byte says of which format the file is; a scenario reads as it is written.
pub(crate) fn scenario(data: &[u8]) {
    let Some((format, rest)) = data.split_first() else { return };
    let path = Path::new(["s.json", "s.yaml", "s"][usize::from(*format) % 3]);
    let mut trace = |_: &str| Ok(TRACE.to_owned());
    let Ok(scenario) = scenario_file::from_text(path, text(rest), &[], &mut trace) else { return };
    let again = Scenario::from_value(&scenario.name, &scenario.to_value(), &mut trace);
    assert_eq!(again.as_ref(), Ok(&scenario));
}

pub(crate) fn trace_csv(data: &[u8]) {
    let Ok(rows) = read_trace(text(data)) else { return };
    assert!(!rows.is_empty() && rows.is_sorted_by_key(|row| row.at));
}

pub(crate) fn foreign_csv(data: &[u8]) {
    if let Ok(recorded) = read_foreign(data) {
        assert!(recorded.requests.is_sorted_by_key(|request| request.at));
    }
}

/// The first byte says which of the files it is.
pub(crate) fn records_csv(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else { return };
    match which % 3 {
        0 => reads_as_written(rest, |input| trace::read(input), |rows| trace::write(Vec::new(), rows)),
        1 => reads_as_written(rest, |input| decisions::read(input), |rows| decisions::write(Vec::new(), rows)),
        _ => reads_as_written(rest, |input| fleet::read(input), |rows| fleet::write(Vec::new(), rows)),
    }
}

fn reads_as_written<T, E: std::fmt::Debug, F: std::fmt::Debug>(
    input: &[u8],
    read: impl Fn(&mut dyn BufRead) -> Result<Vec<T>, E>,
    write: impl Fn(&[T]) -> Result<Vec<u8>, F>,
) {
    let Ok(rows) = read(&mut &input[..]) else { return };
    let written = write(&rows).expect("memory takes everything");
    let again = read(&mut &written[..]).expect("what was written can be read");
    // As text: a number that is none equals nothing.
    assert_eq!(write(&again).expect("memory takes everything"), written);
}

pub(crate) fn profile(data: &[u8]) {
    let Ok(value) = serde_json::from_slice(data) else { return };
    let Ok(profile) = Profile::from_value(&value) else { return };
    for (name, delay) in profile.delays() {
        assert!(delay.is_valid(), "{name}");
        assert!(delay.at(0.0, 1.0) <= delay.at(0.5, 1.0) && delay.at(0.5, 1.0) <= delay.at(1.0, 1.0), "{name}");
    }
}

pub(crate) fn outcome(data: &[u8]) {
    if let Ok(outcome) = text(data).parse::<Outcome>() {
        assert_eq!(outcome.to_string().parse::<Outcome>().ok(), Some(outcome));
    }
}

pub(crate) fn prometheus(data: &[u8]) {
    let samples = Samples::parse(text(data));
    let mut both = samples.clone();
    both.extend_missing(&samples);
    // As text: a value that is no number equals nothing.
    assert_eq!(format!("{both:?}"), format!("{samples:?}"), "all of it was there");
}

pub(crate) fn watch_line(data: &[u8]) {
    let Ok(line) = serde_json::from_slice::<WatchLine>(data) else { return };
    let written = serde_json::to_vec(&line).expect("a line has no map with keys that are not strings");
    assert_eq!(serde_json::from_slice::<WatchLine>(&written).ok(), Some(line));
}
