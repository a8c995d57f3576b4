//! Gauges, reconstructed from the records: what every target really held, whatever any host believed.
//!
//! Nothing per target is ever written while a run goes on. The decisions say when each accepted attempt began and ended, the
//! fleet's log says which targets there were; both in order of time give every gauge, under two samplings that must not be
//! confused. *Decision-sampled*: the value that each decision met, before its own effect. *Time-weighted*: the value over
//! time. They differ, since decisions weight by traffic and by refusals.
//!
//! A target's slot is taken here from the dispatch until the host saw the attempt end, a little longer than the target
//! held it: live, in-flight may pass the limit for the time that a response takes to travel. Free slots never go below 0.

mod events;
mod fleet;
mod replay;
mod sampler;
mod target;

pub(crate) use events::{EventKind, in_order};
pub(crate) use replay::{Gauging, SlotsAt, Vain};
pub(crate) use target::{Load, TargetGauges};

/// CPU utilisation is kept in thousandths of a target's capacity.
pub(crate) const CPU_SCALE: f64 = 1e3;
