//! What the machine adds, where a profile says so: each delay is drawn by itself, keyed by what it belongs to, so that one
//! more event somewhere changes no other delay.

use galton_core::profile::{Delay, Profile};
use galton_core::rng::{KeyedRng, Purpose};
use galton_core::{Nanos, RequestId};

/// A machine under a simulated run.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Its delays.
    pub profile: &'a Profile,
    /// The seed of its jitter, apart from the scenario's: an ensemble of runs meets the same requests.
    pub seed: u64,
    /// Scenario seconds per machine second of the run that is to be met.
    pub time_scale: f64,
}

/// Where a request loses time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hop {
    SendLag,
    ClientToProxy,
    Pick,
    ProxyToTarget,
    HoldOver,
    TargetToProxy,
    ProxyToClient,
    Refusal,
    WaitOver,
}

/// Where the fleet's business loses time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Errand {
    Ask,
    Push,
    Spawn,
}

/// Hops of one attempt, at most.
const HOPS: u32 = 16;

/// Errands are keyed by their number, apart from any request.
const ERRANDS: u64 = 1 << 62;

impl Machine<'_> {
    /// The delay of one hop of one attempt, from 0; attempt 0 is what comes before the first.
    pub(crate) fn hop(&self, hop: Hop, request: RequestId, attempt: u32) -> Nanos {
        let index = attempt.wrapping_mul(HOPS).wrapping_add(hop as u32);
        let u = KeyedRng::new(self.seed, Purpose::Machine, request.0).uniform_at(index);
        self.of_hop(hop).at(u, self.time_scale)
    }

    /// The delay of the `number`-th errand.
    pub(crate) fn errand(&self, errand: Errand, number: u64) -> Nanos {
        let u = KeyedRng::new(self.seed, Purpose::Machine, ERRANDS | number).uniform_at(0);
        let delay = match errand {
            Errand::Ask => &self.profile.ask,
            Errand::Push => &self.profile.push,
            Errand::Spawn => &self.profile.spawn,
        };
        delay.at(u, self.time_scale)
    }

    fn of_hop(&self, hop: Hop) -> &Delay {
        let profile = self.profile;
        match hop {
            Hop::SendLag => &profile.send_lag,
            Hop::ClientToProxy => &profile.client_to_proxy,
            Hop::Pick => &profile.pick,
            Hop::ProxyToTarget => &profile.proxy_to_target,
            Hop::HoldOver => &profile.hold_over,
            Hop::TargetToProxy => &profile.target_to_proxy,
            Hop::ProxyToClient => &profile.proxy_to_client,
            Hop::Refusal => &profile.refusal,
            Hop::WaitOver => &profile.wait_over,
        }
    }
}
