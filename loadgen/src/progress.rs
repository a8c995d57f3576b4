//! Signs of life of a standalone run, on stderr: a bar on a terminal, one plain line a second elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use galton_core::{Nanos, Outcome};
use galton_report::units;
use galton_runtime::mono_ns;
use indicatif::{ProgressBar, ProgressStyle as BarStyle};

use crate::args::ProgressStyle;
use crate::meters::Meters;
use crate::tally::Tally;

/// Where a run ends, as far as it is known before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    /// After so many requests.
    pub(crate) requests: Option<u64>,
    /// After this time.
    pub(crate) duration: Option<Duration>,
}

/// Prints how far a run is. Dropping it removes the bar.
#[derive(Debug)]
pub(crate) struct Progress {
    style: ProgressStyle,
    end: End,
    since_ns: u64,
    meters: Meters,
    bar: Option<ProgressBar>,
}

// === impl Progress ===

impl Progress {
    /// Of a run that begins at `since_ns`.
    pub(crate) fn new(style: ProgressStyle, end: End, since_ns: u64, meters: Meters) -> Self {
        let bar = (style == ProgressStyle::Auto && std::io::stderr().is_terminal()).then(|| bar(end));
        Self { style, end, since_ns, meters, bar }
    }

    /// Says how far it is.
    pub(crate) fn tick(&self, tally: &Tally) {
        let elapsed = Duration::from_nanos(mono_ns().saturating_sub(self.since_ns));
        let line = self.line(tally);
        match (&self.bar, self.style) {
            (Some(bar), _) => {
                bar.set_position(position(self.end, tally.offered(), elapsed));
                bar.set_message(line);
            }
            (None, ProgressStyle::None) => {}
            // Progress that nobody reads is no reason to fail.
            (None, _) => drop(writeln!(std::io::stderr(), "{:>4} s  {line}", elapsed.as_secs())),
        }
    }

    fn line(&self, tally: &Tally) -> String {
        let quantile = |q| units::time(Nanos(tally.response.value_at_quantile(q)));
        format!(
            "{} sent, {} done, {} errors, {} in flight, p50 {}, p99 {}",
            self.meters.sent(),
            tally.offered(),
            tally.offered() - tally.of(Outcome::Ok),
            self.meters.in_flight(),
            quantile(0.5),
            quantile(0.99),
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Counts requests where their number is known, else milliseconds.
fn bar(end: End) -> ProgressBar {
    let length = match end {
        End { requests: Some(n), .. } => n,
        End { duration, .. } => duration.map_or(0, |d| d.as_millis() as u64),
    };
    let template = "{elapsed_precise} [{bar:30}] {percent:>3} %, {eta} left  {msg}";
    let style = BarStyle::with_template(template).expect("the template is a constant");
    ProgressBar::new(length).with_style(style)
}

fn position(end: End, done: u64, elapsed: Duration) -> u64 {
    if end.requests.is_some() { done } else { elapsed.as_millis() as u64 }
}
