//! How far a simulated run is: a bar on a terminal, one plain line a second elsewhere, nothing for what is over at once.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use galton_core::{Nanos, Scenario};
use galton_loadgen::ProgressStyle;
use galton_runtime::terminal;
use indicatif::{ProgressBar, ProgressStyle as BarStyle};

/// The clock is read once for so many requests.
const LOOK_EVERY: u64 = 1 << 16;
/// How often something is shown.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// The view of one run.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    shown: bool,
    requests: u64,
    duration: Nanos,
    begun: Instant,
    next: Instant,
}

// === impl Progress ===

impl Progress {
    pub(crate) fn new(style: ProgressStyle, scenario: &Scenario) -> Self {
        let terminal = style == ProgressStyle::Auto && std::io::stderr().is_terminal();
        let duration = scenario.simulation.duration;
        let begun = Instant::now();
        Self {
            bar: terminal.then(|| bar(duration.0 / 1_000_000)),
            shown: style != ProgressStyle::None,
            requests: 0,
            duration,
            begun,
            next: begun + SHOW_EVERY,
        }
    }

    /// A request has ended, at `at`.
    #[inline]
    pub(crate) fn ended(&mut self, at: Nanos) {
        self.requests += 1;
        if self.shown && self.requests.is_multiple_of(LOOK_EVERY) {
            self.show(at);
        }
    }

    #[cold]
    fn show(&mut self, at: Nanos) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + SHOW_EVERY;
        let elapsed = (now - self.begun).as_secs_f64();
        let share = (at.0 as f64 / self.duration.0.max(1) as f64).min(1.0);
        let text = text(self.requests, elapsed, share);
        match &self.bar {
            Some(bar) => {
                bar.set_position(at.0 / 1_000_000);
                bar.set_message(text);
            }
            None => terminal::note(format_args!("{elapsed:7.1} s  {:3.0} %  {text}", share * 100.0)),
        }
    }

    /// No more progress.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is said after `elapsed` seconds, with `share` of the time simulated. Of none nobody knows how much is left.
fn text(requests: u64, elapsed: f64, share: f64) -> String {
    let left = (share > 0.0).then(|| format!("left {:.0} s  ", elapsed * (1.0 - share) / share));
    let millions = requests as f64 / 1e6;
    format!("{}requests {millions:.1} M  {:.2} M/s", left.unwrap_or_default(), millions / elapsed)
}

/// Of so many steps.
pub(crate) fn bar(steps: u64) -> ProgressBar {
    let style = BarStyle::with_template("{elapsed_precise} {bar:24} {msg}").expect("the template is well formed");
    ProgressBar::new(steps).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_once_time_has_passed() {
        assert_eq!(text(6_000_000, 2.0, 0.25), "left 6 s  requests 6.0 M  3.00 M/s");
        assert_eq!(text(6_000_000, 2.0, 0.0), "requests 6.0 M  3.00 M/s");
    }
}
