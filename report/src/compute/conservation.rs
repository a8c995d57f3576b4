//! Nothing vanishes: what the load generator, the proxies and the targets counted must agree, over the whole run.

use galton_core::record::{FleetEvent, FleetWhat};

use crate::generator::{Books, EQUATIONS};
use crate::input::RunFacts;
use crate::model::{Conservation, ConservationRow, Counts};

/// The table. What was sent and not received, or dispatched and not accepted, must be 0, unless a process died; then it
/// is bounded by the requests that did not end well. Or unless the sender gave it up, which may close the connection before
/// the other side has read the request: that is bounded by the attempts that proxies closed, less those that targets saw cut
/// off. `broken`: attempts that broke, as far as they were recorded. A row that needs the counters of a process which left
/// none is not there.
pub(super) fn check(facts: &RunFacts, all: &Counts, fleet: &[FleetEvent], broken: u64) -> Conservation {
    let mut rows = generator_rows(facts, all);
    if !facts.counters.proxies.is_empty() {
        rows.extend(process_rows(facts, all, fleet, broken));
    }
    Conservation { ok: rows.iter().all(|row| row.ok), rows }
}

fn generator_rows(facts: &RunFacts, all: &Counts) -> Vec<ConservationRow> {
    let books = Books {
        planned: facts.generator.planned.unwrap_or(all.planned),
        offered: all.offered,
        unsent: all.unsent,
        shed: all.shed,
        sent: facts.counters.load.sent,
    };
    let outcomes = all.ok
        + all.rejected.values().sum::<u64>()
        + all.timed_out
        + all.failed.values().sum::<u64>()
        + all.shed
        + all.unfinished;
    let by_outcome = ConservationRow::equal(EQUATIONS[2], all.offered, outcomes);
    books.equations().into_iter().chain([by_outcome]).collect()
}

fn process_rows(
    facts: &RunFacts,
    all: &Counts,
    fleet: &[FleetEvent],
    broken: u64,
) -> impl Iterator<Item = ConservationRow> {
    let (proxies, targets) = (&facts.counters.proxies, &facts.counters.targets);
    let proxy_died = proxies.iter().any(|p| p.died);
    let died = |e: &FleetEvent| matches!(e.what, FleetWhat::Died | FleetWhat::StartFailed);
    let target_died = targets.iter().any(|t| t.died) || fleet.iter().any(died);
    let lost = all.failed.values().sum::<u64>() + all.timed_out + all.unfinished;

    let received = proxies.iter().map(|p| p.received).sum();
    let attempts = proxies.iter().map(|p| p.attempts).sum();
    let arrived = targets.iter().map(|t| t.accepted + t.refused).sum::<u64>();
    let closed = proxies.iter().map(|p| p.closed).sum::<u64>();
    let given_up = closed.saturating_sub(targets.iter().map(|t| t.cancelled).sum());
    let unconnected = proxies.iter().map(|p| p.connection_failures).sum::<u64>();
    let rows = [
        balanced(
            "sent = Σ proxies received + never received",
            facts.counters.load.sent,
            received,
            if proxy_died { lost } else { all.unfinished },
        ),
        balanced(
            "Σ attempts = Σ targets (accepted + refused) + connection failures + never accepted",
            attempts,
            arrived + unconnected,
            // A request that lost an attempt may have ended well on the next one.
            if proxy_died || target_died { lost.max(broken) } else { given_up },
        ),
    ];
    let uncounted = facts.counters.uncounted;
    let known = [!uncounted.proxies, !uncounted.proxies && !uncounted.targets];
    rows.into_iter().zip(known).filter_map(|(row, known)| known.then_some(row))
}

/// A row with a term for what never arrived, which may be at most `allowed`.
fn balanced(what: &'static str, left: u64, arrived: u64, allowed: u64) -> ConservationRow {
    let never = left.saturating_sub(arrived);
    let right = arrived + never;
    ConservationRow { what, left, right, never: Some(never), ok: left == right && never <= allowed }
}
