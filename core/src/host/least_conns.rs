//! Least connections over the shared table: the smallest in-flight count below the limit, ties by rule.

use crate::ids::{HostId, RequestId, TargetId};
use crate::rng::{Keyed, Purpose, scaled};
use crate::scenario::{Scenario, TieBreak};
use crate::table::{LoadTable, Lowest, Moved, Slot};

/// How often a pick looks again because the table moved meanwhile. Some other host got through each time, so that this
/// many in a row do not happen by chance.
const MOST_LOOKS: u32 = 10_000;

/// The policy of one host, over whichever table.
#[derive(Debug)]
pub struct LeastConns {
    coins: Keyed,
    tie_break: TieBreak,
    last_pick: TargetId,
}

impl LeastConns {
    /// Of a host that has picked nothing yet.
    pub fn new(scenario: &Scenario) -> Self {
        let tie_break = scenario.load_balancer.lc.tie_break;
        let coins = Keyed::new(scenario.simulation.seed, Purpose::Choice);
        Self { coins, tie_break, last_pick: TargetId(0) }
    }

    /// Takes a slot at the least loaded target; `None` if every candidate is at its limit.
    pub fn pick<T: LoadTable>(
        &mut self,
        host: HostId,
        request: RequestId,
        attempt: u32,
        except: &[TargetId],
        table: &mut T,
    ) -> Option<Slot> {
        let mut look = || {
            let Some(low) = table.lowest(except) else { return Ok(None) };
            let k = self.position(request, attempt, &low, except, table);
            let target = table.nth(&low, k, except).ok_or(Moved)?;
            let slot = table.reserve(host, target, &low)?;
            self.last_pick = target;
            Ok(Some(slot))
        };
        match look() {
            Ok(slot) => slot,
            Err(Moved) => look_again(look),
        }
    }

    fn position<T: LoadTable>(
        &self,
        request: RequestId,
        attempt: u32,
        low: &Lowest,
        except: &[TargetId],
        table: &T,
    ) -> u32 {
        match self.tie_break {
            TieBreak::LowestId => 0,
            TieBreak::Rotate if low.len == 1 => 0,
            TieBreak::Rotate => table.position_after(low, self.last_pick, except),
            // Among one as well: whether there is a choice nobody can predict, and a branch that is missed costs more.
            TieBreak::Random => scaled(self.coins.rng(request.0).uniform_at(attempt), low.len),
        }
    }
}

/// Looks until the table has not moved meanwhile.
#[cold]
fn look_again(mut look: impl FnMut() -> Result<Option<Slot>, Moved>) -> Option<Slot> {
    (1..MOST_LOOKS).find_map(|_| look().ok()).flatten()
}
