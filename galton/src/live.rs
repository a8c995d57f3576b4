//! Live runs beside simulated ones: a scenario on real processes, until a run may be believed.

use std::path::Path;

use galton_core::Scenario;
use galton_loadgen::ProgressStyle;
use galton_report::{Report, RunData, Verdict};
use galton_runtime::{Shutdown, terminal};

use crate::run::{Ending, RunOptions, execute};

/// How often one live run is tried: a machine on which three in a row are not valid will not do better at the fourth.
pub(crate) const MOST_TRIES: usize = 3;

/// What all live runs of a command share.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    pub(crate) time_scale: f64,
    /// Where the run directories go.
    pub(crate) output_dir: &'a Path,
    pub(crate) progress: ProgressStyle,
    pub(crate) shutdown: Shutdown,
}

/// What came of a live run.
#[derive(Debug)]
pub(crate) enum Tried {
    /// It may be believed.
    Valid(Box<(RunData, Report)>),
    /// It was INVALID, however often it was tried.
    Invalid,
    /// Somebody stopped it.
    Stopped,
}

// === impl Live ===

impl Live<'_> {
    /// A live run that may be believed. One that is INVALID says nothing about the scenario, and is run again.
    pub(crate) fn valid(&self, scenario: &Scenario) -> anyhow::Result<Tried> {
        for _ in 0..MOST_TRIES {
            let Some((data, report)) = self.run(scenario)? else { return Ok(Tried::Stopped) };
            if report.validity.verdict != Verdict::Invalid {
                return Ok(Tried::Valid(Box::new((data, report))));
            }
            let reasons: Vec<&str> = report.validity.reasons.iter().map(|reason| reason.code.as_str()).collect();
            terminal::note(format_args!("{}: INVALID ({}) and does not count", data.meta.id, reasons.join(", ")));
        }
        Ok(Tried::Invalid)
    }

    fn run(&self, scenario: &Scenario) -> anyhow::Result<Option<(RunData, Report)>> {
        let mut scenario = scenario.clone();
        self.output_dir.to_string_lossy().as_ref().clone_into(&mut scenario.reporting.output_dir);
        let options = RunOptions { time_scale: self.time_scale, progress: self.progress, announce: false, stays: true };
        let Some(executed) = execute(scenario, &options, &self.shutdown)? else { return Ok(None) };
        let report = Report::compute(&executed.data);
        executed.write(&report)?;
        Ok((executed.ending == Ending::Finished).then_some((executed.data, report)))
    }
}
