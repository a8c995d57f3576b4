//! The runs of a sweep: simulated on all cores, live one after the other.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use galton_core::profile::Profile;
use galton_loadgen::ProgressStyle;
use galton_report::{Figures, Replications};
use galton_runtime::terminal;

use super::cases::Case;
use crate::live::{Live, MOST_TRIES, Tried};
use crate::simulate::{self, Jitter, Setting, on_all_cores, simulate};

/// How every case is simulated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Simulation<'a> {
    pub(super) replications: usize,
    pub(super) profile: Option<&'a Profile>,
    pub(super) time_scale: f64,
    pub(super) progress: ProgressStyle,
}

/// The live runs of one case.
#[derive(Debug, Default)]
pub(super) struct Lived {
    /// Seed and figures of those that count.
    pub(super) runs: Vec<(u64, Figures)>,
    /// Names of their directories.
    pub(super) ids: Vec<String>,
    /// INVALID however often they were tried.
    pub(super) left_out: usize,
}

// === impl Simulation ===

impl Simulation<'_> {
    /// All replications of all cases, in their order. They depend on nothing but the arguments.
    pub(super) fn all(&self, cases: &[Case]) -> anyhow::Result<Vec<Replications>> {
        let runs = cases.len() * self.replications;
        let shown = self.progress == ProgressStyle::Auto && std::io::stderr().is_terminal();
        let bar = shown.then(|| simulate::bar(runs as u64));
        let figures = on_all_cores(runs, None, |n| {
            let figures = self.one(&cases[n / self.replications], n % self.replications);
            bar.iter().for_each(|bar| bar.inc(1));
            figures
        });
        bar.iter().for_each(|bar| bar.finish_and_clear());
        let figures = figures.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        Ok(figures.chunks(self.replications).map(Replications::of).collect())
    }

    fn one(&self, case: &Case, index: usize) -> anyhow::Result<(u64, Figures)> {
        let scenario = case.replication(index);
        let setting = Setting {
            // Another seed is another day: the machine does not repeat itself.
            jitter: self.profile.map(|profile| Jitter { profile, seed: index as u64 + 1 }),
            time_scale: self.time_scale,
            id: scenario.name.clone(),
            started_unix_ns: 0,
        };
        let done = simulate(&scenario, &setting, false, ProgressStyle::None);
        let done = done.with_context(|| format!("cannot simulate {}", case.label))?;
        Ok((scenario.simulation.seed, Figures::of(&done.report)))
    }
}

/// Runs a case live, with the seeds of its first replications, as far as nobody stops it.
pub(super) fn live(case: &Case, runs: usize, live: &Live<'_>) -> anyhow::Result<Lived> {
    let mut lived = Lived::default();
    for n in 0..runs {
        terminal::note(format_args!("{}: live run {} of {runs}", case.label, n + 1));
        match live.valid(&case.replication(n))? {
            Tried::Valid(run) => {
                let (data, report) = *run;
                lived.runs.push((data.scenario.simulation.seed, Figures::of(&report)));
                lived.ids.push(data.meta.id);
            }
            Tried::Invalid => {
                terminal::note(format_args!("{}: INVALID {MOST_TRIES} times, and left out", case.label));
                lived.left_out += 1;
            }
            Tried::Stopped => break,
        }
    }
    Ok(lived)
}
