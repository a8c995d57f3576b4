//! What a person sees while a run goes on: a bar and a line on a terminal, one plain line a second elsewhere.

use std::io::{IsTerminal as _, Write as _};

use galton_core::wire::{Progress, TargetList};
use galton_core::{Nanos, Scenario};
use galton_loadgen::ProgressStyle;
use galton_report::units::time;
use galton_results::columns;
use galton_runtime::terminal;
use indicatif::{ProgressBar, ProgressStyle as BarStyle};

/// Columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// The view of one run.
#[derive(Debug)]
pub(super) struct ProgressView {
    how: How,
    duration_ns: u64,
    ready: usize,
}

#[derive(Debug)]
enum How {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl ProgressView {
    pub(super) fn new(style: ProgressStyle, scenario: &Scenario) -> Self {
        let duration_ns = scenario.simulation.duration.0;
        let how = match style {
            ProgressStyle::None => How::Nothing,
            ProgressStyle::Auto if std::io::stderr().is_terminal() => How::Bar(bar(duration_ns)),
            ProgressStyle::Auto | ProgressStyle::Line => How::Lines,
        };
        Self { how, duration_ns, ready: scenario.targets.initial_count as usize }
    }

    /// How far the load is.
    pub(super) fn show(&self, p: &Progress) {
        match &self.how {
            How::Bar(bar) => {
                let columns = columns(std::io::stderr()).unwrap_or(USUAL_COLUMNS);
                bar.set_position(p.elapsed_ns.min(self.duration_ns) / 1_000_000);
                bar.set_prefix(format!("left {:.0} s  targets {}", secs(self.left_ns(p)), self.ready));
                bar.set_message(fitting(&figures(p), columns));
                rest();
            }
            How::Lines => terminal::note(format_args!("{:7.1} s  {}", secs(p.elapsed_ns), self.text(p))),
            How::Nothing => {}
        }
    }

    /// The fleet as it is.
    pub(super) fn targets(&mut self, list: &TargetList) {
        self.ready = list.targets.iter().filter(|t| t.state == "ready").count();
    }

    /// Something that a person should read.
    pub(super) fn say(&self, text: &str) {
        match &self.how {
            How::Bar(bar) => {
                bar.println(text);
                rest();
            }
            How::Lines | How::Nothing => terminal::note(text),
        }
    }

    /// No more progress.
    pub(super) fn finish(&self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }

    fn left_ns(&self, p: &Progress) -> u64 {
        self.duration_ns.saturating_sub(p.elapsed_ns)
    }

    fn text(&self, p: &Progress) -> String {
        format!(
            "left {:.0} s  sent {}  done {}  errors {}  p50 {:.1} ms  p99 {:.1} ms  in flight {}  targets {}",
            secs(self.left_ns(p)),
            p.offered,
            p.done,
            p.errors,
            p.p50_ns as f64 / 1e6,
            p.p99_ns as f64 / 1e6,
            p.in_flight,
            self.ready,
        )
    }
}

fn secs(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// The figures beside the bar, the most telling first.
fn figures(p: &Progress) -> [String; 6] {
    [
        format!("sent {}", p.offered),
        format!("done {}", p.done),
        format!("in flight {}", p.in_flight),
        format!("errors {}", p.errors),
        format!("p50 {}", time(Nanos(p.p50_ns))),
        format!("p99 {}", time(Nanos(p.p99_ns))),
    ]
}

/// As many of these as there is room for: half a number would be a wrong one, and a line that wraps is not wiped away.
fn fitting(figures: &[String], columns: usize) -> String {
    let joined = (0..=figures.len()).rev().map(|n| figures[..n].join("  "));
    joined.into_iter().find(|line| line.chars().count() <= columns).unwrap_or_default()
}

/// The bar leaves the cursor behind the last column. The `^C` of a terminal would wrap there, and what is then wiped away
/// would be one line too low.
fn rest() {
    let mut out = std::io::stderr().lock();
    // Nobody looks any more: there is nothing to keep in order.
    out.write_all(b"\r").and_then(|()| out.flush()).ok();
}

fn bar(duration_ns: u64) -> ProgressBar {
    let style =
        BarStyle::with_template("{elapsed_precise} {bar:24} {prefix}\n{msg}").expect("the template is well formed");
    ProgressBar::new(duration_ns / 1_000_000).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_whole_or_not_at_all() {
        let p = Progress {
            offered: 10_321,
            done: 10_280,
            in_flight: 41,
            p50_ns: 171_234_567,
            p99_ns: 1_512_345_678,
            ..Progress::default()
        };
        let shown = |columns| fitting(&figures(&p), columns);
        assert_eq!(shown(80), "sent 10321  done 10280  in flight 41  errors 0  p50 171 ms  p99 1.51 s");
        assert_eq!(shown(69), "sent 10321  done 10280  in flight 41  errors 0  p50 171 ms");
        assert_eq!(shown(3), "");
    }
}
