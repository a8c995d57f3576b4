//! Signs of life of a standalone run, on stderr: the whole screen on a terminal, one plain line a second elsewhere.
//!
//! Called on the scribe's thread. [`track`] makes figures of the tally, [`draw`] draws them, [`screen`] has the terminal.

mod draw;
mod figures;
mod plots;
mod screen;
mod track;
mod view;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use galton_core::{Nanos, Outcome};
use galton_report::{Pace, units};
use galton_runtime::clock::process_cpu_ns;
use galton_runtime::{Shutdown, mono_ns};

use self::screen::Screen;
use self::track::{Sample, Track};
pub(crate) use self::view::Title;
use crate::args::ViewStyle;
use crate::meters::Meters;
use crate::tally::Tally;

/// How often there is a line, and how often a new screen: often enough to look alive, seldom enough to cost nothing.
const LINES: Duration = Duration::from_secs(1);
const SCREENS: Duration = Duration::from_millis(250);

/// Where a run ends, as far as it is known before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    /// After so many requests.
    pub(crate) requests: Option<u64>,
    /// After this time.
    pub(crate) duration: Option<Duration>,
}

/// What is known about a run before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    pub(crate) title: Title,
    pub(crate) end: End,
    pub(crate) pace: Pace,
}

/// Shows how far a run is. Dropping it puts the terminal back.
#[derive(Debug)]
pub(crate) struct Progress {
    how: How,
    since_ns: u64,
    meters: Meters,
    shutdown: Shutdown,
}

#[derive(Debug)]
enum How {
    Nothing,
    Lines,
    Screen(Screen, Box<Track>),
}

// === impl End ===

impl End {
    /// How much of the run is over, by whichever end is nearer.
    fn share(self, done: u64, elapsed: Duration) -> Option<f64> {
        let of_requests = self.requests.map(|n| done as f64 / n.max(1) as f64);
        let of_time = self.duration.map(|d| elapsed.as_secs_f64() / d.as_secs_f64().max(1e-9));
        of_requests.into_iter().chain(of_time).reduce(f64::max).map(|share| share.min(1.0))
    }
}

// === impl Progress ===

impl Progress {
    /// Of a run that begins at `since_ns`; takes the terminal if that is how.
    pub(crate) fn new(
        style: ViewStyle,
        outlook: Outlook,
        since_ns: u64,
        meters: Meters,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let lines = |_| How::Lines;
        let how = match style {
            ViewStyle::None => How::Nothing,
            ViewStyle::Line => How::Lines,
            ViewStyle::Tui => How::screen(outlook, since_ns).context("--progress tui: no terminal")?,
            ViewStyle::Auto if screen::fits() => How::screen(outlook, since_ns).unwrap_or_else(lines),
            ViewStyle::Auto => How::Lines,
        };
        Ok(Self { how, since_ns, meters, shutdown })
    }

    /// How often to call [`Self::tick`].
    pub(crate) fn every(&self) -> Duration {
        if matches!(self.how, How::Screen(..)) { SCREENS } else { LINES }
    }

    /// Says how far it is.
    pub(crate) fn tick(&mut self, tally: &Tally) {
        let now = self.sample();
        match &mut self.how {
            How::Nothing => {}
            How::Lines => {
                let seconds = now.now_ns.saturating_sub(self.since_ns) / 1_000_000_000;
                // Progress that nobody reads is no reason to fail.
                writeln!(io::stderr(), "{seconds:>4} s  {}", line(tally, &now)).ok();
            }
            How::Screen(screen, track) => screen.show(track.view(tally, &now)),
        }
    }

    fn sample(&self) -> Sample {
        Sample {
            now_ns: mono_ns(),
            sent: self.meters.sent(),
            in_flight: self.meters.in_flight(),
            cpu_ns: process_cpu_ns(),
            peak_thread_cpu: self.meters.peak_thread_cpu(),
            stopping: self.shutdown.cause().is_some(),
        }
    }
}

fn line(tally: &Tally, now: &Sample) -> String {
    let quantile = |q| units::time(Nanos(tally.response.value_at_quantile(q)));
    format!(
        "{} sent, {} done, {} errors, {} in flight, p50 {}, p99 {}",
        now.sent,
        tally.offered(),
        tally.offered() - tally.of(Outcome::Ok),
        now.in_flight,
        quantile(0.5),
        quantile(0.99),
    )
}

// === impl How ===

impl How {
    fn screen(Outlook { title, end, pace }: Outlook, since_ns: u64) -> io::Result<Self> {
        let track = Track::new(title, end, pace, since_ns, process_cpu_ns());
        Ok(Self::Screen(Screen::take()?, Box::new(track)))
    }
}
