//! Pacing: which request goes out next, and when. The sender asks and obeys; it does not know which model drives it.
//!
//! Decisions only: time is an argument, nothing here waits or sends.

mod closed;
mod open;

use galton_core::plan::Demand;
use galton_core::users::UserEnds;
use galton_core::{HostId, Nanos, Outcome, RequestId};

pub(crate) use closed::Closed;
pub(crate) use open::{Limits, Open};

/// One request to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Call {
    /// Its number in the trace.
    pub(crate) seq: u64,
    /// The key of its demand.
    pub(crate) request: RequestId,
    /// When it is meant to be sent.
    pub(crate) at: Nanos,
    /// The host it goes to.
    pub(crate) host: HostId,
    /// What it asks for.
    pub(crate) demand: Demand,
}

/// What the sender does next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Next {
    /// Send this, now.
    Send(Call),
    /// Drop this: it finds no place in flight, and is not to wait for one.
    Shed(Call),
    /// Nothing before then, unless a request ends first.
    Wait(Nanos),
    /// Nothing more will be sent.
    Over,
}

/// A model of who sends when.
pub(crate) trait Pacing: std::fmt::Debug {
    /// What happens next, at `now`. A call that it returns counts as sent.
    fn next(&mut self, now: Nanos) -> Next;

    /// A request that was sent has ended, at `now`.
    fn ended(&mut self, request: RequestId, outcome: Outcome, now: Nanos);

    /// Takes the next request that was planned for then or earlier and never sent. To be called when sending is over.
    fn take_unsent(&mut self, until: Nanos) -> Option<Call>;

    /// How the users ended, if the run ends here and there are users.
    fn user_ends(&self) -> Option<UserEnds>;
}
