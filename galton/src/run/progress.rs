//! What a person sees while a run goes on: a bar on a terminal, one plain line a second elsewhere.

use std::io::IsTerminal as _;

use galton_core::Scenario;
use galton_core::wire::{Progress, TargetList};
use galton_loadgen::ProgressStyle;
use galton_runtime::terminal;
use indicatif::{ProgressBar, ProgressStyle as BarStyle};

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
        let text = self.text(p);
        match &self.how {
            How::Bar(bar) => {
                bar.set_position(p.elapsed_ns.min(self.duration_ns) / 1_000_000);
                bar.set_message(text);
            }
            How::Lines => terminal::note(format_args!("{:7.1} s  {text}", secs(p.elapsed_ns))),
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
            How::Bar(bar) => bar.println(text),
            How::Lines | How::Nothing => terminal::note(text),
        }
    }

    /// No more progress.
    pub(super) fn finish(&self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }

    fn text(&self, p: &Progress) -> String {
        let left = self.duration_ns.saturating_sub(p.elapsed_ns);
        format!(
            "left {:.0} s  sent {}  done {}  errors {}  p50 {:.1} ms  p99 {:.1} ms  in flight {}  targets {}",
            secs(left),
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

fn bar(duration_ns: u64) -> ProgressBar {
    let style = BarStyle::with_template("{elapsed_precise} {bar:24} {msg}").expect("the template is well formed");
    ProgressBar::new(duration_ns / 1_000_000).with_style(style)
}
