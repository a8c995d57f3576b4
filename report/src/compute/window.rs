//! The measured window: what of a run its statistics cover.

use galton_core::Nanos;
use galton_core::scenario::TrafficModel;

use crate::input::RunData;

/// `[start, end)` of scenario time: after the warm-up, before the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
}

impl Window {
    /// Of this run. An open loop offers until its duration is over, or longer if it has to send a count; a closed loop may
    /// spend its budget, and any run may be interrupted, before that: then the window ends with the last request.
    pub(crate) fn of(data: &RunData) -> Self {
        let simulation = &data.scenario.simulation;
        let planned = simulation.total_time.map_or(simulation.duration, |t| t.min(simulation.duration));
        let closed = matches!(data.scenario.traffic.model, TrafficModel::Closed(_));
        let last = data.trace.iter().filter_map(|row| row.t_end.or(row.t_send)).max();
        let end = match last {
            Some(last) if closed || data.interrupted => planned.min(last),
            _ => {
                data.trace.iter().filter(|row| row.t_send.is_some()).map(|row| row.t_intended).fold(planned, Nanos::max)
            }
        };
        Self { start: simulation.warmup.min(end), end }
    }

    /// Its length in seconds.
    pub(crate) fn secs(self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }

    /// Whether a request counts: by its intended send, however late it ended.
    #[inline]
    pub(crate) fn measures(self, t_intended: Nanos) -> bool {
        t_intended >= self.start
    }

    /// Whether this instant lies within.
    #[inline]
    pub(crate) fn holds(self, at: Nanos) -> bool {
        self.start <= at && at < self.end
    }

    /// The instant, or the nearest one within.
    #[inline]
    pub(crate) fn clip(self, at: Nanos) -> Nanos {
        at.clamp(self.start, self.end)
    }
}
