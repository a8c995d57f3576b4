//! How long a request is held, in each of the three CPU modes.

use galton_runtime::mono_ns;

use crate::app::App;
use crate::burn::Burner;
use crate::demand::Demand;
use crate::slowdown::Slowdown;

/// What CPU demand does.
pub(crate) enum CpuModel {
    /// It is only accounted.
    Account,
    /// It is really spent.
    Burn(Burner),
    /// Too much of it slows all down.
    Slowdown(Slowdown),
}

/// How a hold went; instants in machine nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// When it began.
    pub(crate) start: u64,
    /// When it should have ended.
    pub(crate) due: u64,
    /// When it ended.
    pub(crate) done: u64,
    /// CPU time spent (`burn`), in nanoseconds.
    pub(crate) cpu_used: u64,
}

/// Holds a request. Dropping this ends the hold, and gives its share of the CPU back.
pub(crate) async fn hold(app: &App, start: u64, demand: &Demand) -> Held {
    let mut due = start.saturating_add(demand.hold.0);
    let mut cpu_used = 0;
    match &app.cpu {
        CpuModel::Account => app.timer.sleep_until(due).await,
        CpuModel::Burn(burner) => {
            let burning = burner.burn(app.config.cpu_ns(demand));
            app.timer.sleep_until(due).await;
            if let Some(burnt) = burning.finished().await {
                cpu_used = burnt.spent_ns;
                due = due.max(burnt.at);
            }
        }
        CpuModel::Slowdown(shared) => due = shared.run(start, demand).finished().await,
    }
    Held { start, due, done: mono_ns(), cpu_used }
}
