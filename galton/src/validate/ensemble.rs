//! The simulated side: the same scenario many times, each time with other delays of the machine.

use galton_core::profile::Profile;
use galton_core::scenario::Scenario;
use galton_report::Report;
use galton_report::validate::Observed;
use galton_runtime::Shutdown;
use galton_sim::Endless;

use crate::simulate::{Jitter, Setting, on_all_cores, records};

/// Simulates an ensemble on all cores. The members and their order depend on nothing but the arguments. Without a profile
/// all members would be the same run, and there is one. None: somebody stopped it.
pub(super) fn ensemble(
    scenario: &Scenario,
    profile: Option<&Profile>,
    members: u64,
    time_scale: f64,
    shutdown: &Shutdown,
) -> Result<Option<Vec<Observed>>, Endless> {
    let members = if profile.is_some() { members } else { 1 };
    let member = |index: usize| {
        let seed = index as u64 + 1;
        let setting = Setting {
            jitter: profile.map(|profile| Jitter { profile, seed }),
            time_scale,
            id: format!("{} simulated, jitter seed {seed}", scenario.name),
            started_unix_ns: 0,
        };
        if shutdown.cause().is_some() {
            return Ok(None);
        }
        let data = records(scenario, &setting)?;
        Ok(Some(Observed::of(&data, &Report::compute(&data))))
    };
    let all: Vec<Option<Observed>> =
        on_all_cores(members as usize, None, member).into_iter().collect::<Result<_, _>>()?;
    Ok(all.into_iter().collect())
}
