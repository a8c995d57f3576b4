//! The live side: runs of a scenario on real processes, until one may be believed.

use std::path::Path;

use galton_core::Scenario;
use galton_loadgen::ProgressStyle;
use galton_report::{Report, RunData, Verdict};
use galton_runtime::{Shutdown, terminal};

use crate::run::{Ending, RunOptions, execute};

/// How often one live run is tried: a machine on which three in a row are not valid will not do better at the fourth.
const MOST_TRIES: usize = 3;

/// What all live runs share.
#[derive(Debug)]
pub(super) struct Live<'a> {
    pub(super) time_scale: f64,
    /// Where the run directories go.
    pub(super) output_dir: &'a Path,
    pub(super) progress: ProgressStyle,
    pub(super) shutdown: Shutdown,
}

// === impl Live ===

impl Live<'_> {
    /// A live run that may be believed. One that is INVALID says nothing about the simulation, and is run again. None:
    /// somebody stopped it.
    pub(super) fn valid(&self, scenario: &Scenario) -> anyhow::Result<Option<(RunData, Report)>> {
        for _ in 0..MOST_TRIES {
            let Some((data, report)) = self.run(scenario)? else { return Ok(None) };
            if report.validity.verdict != Verdict::Invalid {
                return Ok(Some((data, report)));
            }
            let reasons: Vec<&str> = report.validity.reasons.iter().map(|reason| reason.code.as_str()).collect();
            terminal::note(format_args!("{}: INVALID ({}) and does not count", data.meta.id, reasons.join(", ")));
        }
        anyhow::bail!("{MOST_TRIES} live runs in a row were INVALID")
    }

    fn run(&self, scenario: &Scenario) -> anyhow::Result<Option<(RunData, Report)>> {
        let mut scenario = scenario.clone();
        self.output_dir.to_string_lossy().as_ref().clone_into(&mut scenario.reporting.output_dir);
        let options = RunOptions { time_scale: self.time_scale, progress: self.progress, announce: false };
        let executed = execute(scenario, &options, &self.shutdown)?;
        let report = Report::compute(&executed.data);
        executed.write(&report)?;
        Ok((executed.ending == Ending::Finished).then_some((executed.data, report)))
    }
}
