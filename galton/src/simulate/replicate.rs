//! Many simulated runs with other seeds, over all cores. Nothing of the result depends on which thread did what.

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use galton_core::Scenario;
use galton_loadgen::ProgressStyle;
use galton_report::{Figures, Replications, Report};
use galton_results::SUMMARY_WIDTH;
use galton_runtime::terminal;
use galton_sim::Endless;

use super::run::{Jitter, Setting, run as simulate};
use super::{Args, progress};
use crate::report_files;
use crate::run_dir::RunDir;

/// Simulates the replications; the report is that of the first, the table that of all.
pub(super) fn run<'a>(
    args: &Args,
    scenario: &Scenario,
    setting: &Setting<'a>,
    dir: &RunDir,
) -> anyhow::Result<ExitCode> {
    let n = args.replications.get();
    let bar =
        (args.progress == ProgressStyle::Auto && std::io::stderr().is_terminal()).then(|| progress::bar(n as u64));
    let one = |index: usize| {
        let mut scenario = scenario.clone();
        scenario.simulation.seed = scenario.simulation.seed.wrapping_add(index as u64);
        // Another seed is another day: the machine does not repeat itself.
        let day = |jitter: Jitter<'a>| Jitter { seed: jitter.seed.wrapping_add(index as u64), ..jitter };
        let setting = Setting { jitter: setting.jitter.map(day), ..setting.clone() };
        let done = simulate(&scenario, &setting, false, ProgressStyle::None)?;
        bar.iter().for_each(|bar| bar.inc(1));
        let first = (index == 0).then(|| Box::new((done.report.clone(), done.fleet)));
        Ok((scenario.simulation.seed, Figures::of(&done.report), first))
    };
    let done: Result<Vec<_>, Endless> = on_all_cores(n, args.jobs, one).into_iter().collect();
    bar.iter().for_each(|bar| bar.finish_and_clear());
    let mut done = done?;
    let first = done.first_mut().and_then(|(.., first)| first.take()).map(|first| *first);
    let runs: Vec<(u64, Figures)> = done.into_iter().map(|(seed, figures, _)| (seed, figures)).collect();
    let replications = Replications::of(&runs);
    dir.write("replications.json", &replications.to_json())?;
    dir.write("replications.csv", &replications.to_csv())?;
    let Some((report, fleet)): Option<(Report, _)> = first else { return Ok(ExitCode::SUCCESS) };
    report_files::write_fleet(dir, &fleet)?;
    let path = report_files::write_report(dir, scenario, &report)?;
    terminal::say(format_args!("\nfirst of {n} replications:\n{}", report.summary(SUMMARY_WIDTH, crate::colour())));
    terminal::say(format_args!("all {n} replications:\n{}", replications.to_table()));
    terminal::say(path.display());
    Ok(report_files::exit_code(&report, args.strict))
}

/// `f` of 0 to `n` − 1, in order, computed by as many threads as there are cores, or by `jobs`.
pub(crate) fn on_all_cores<T: Send>(n: usize, jobs: Option<NonZeroUsize>, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get).min(n);
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(n)));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= n {
                        break;
                    }
                    let result = f(index);
                    results.lock().expect("a thread that panics takes the process with it").push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("a thread that panics takes the process with it");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_on_any_number_of_threads() {
        for jobs in [1, 2, 7] {
            let squares = on_all_cores(20, NonZeroUsize::new(jobs), |n| n * n);
            assert!(squares.into_iter().eq((0..20).map(|n| n * n)));
        }
    }
}
