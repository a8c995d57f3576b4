//! Laying the requests of two runs side by side.

use std::collections::HashMap;

use galton_core::RequestId;
use serde::Serialize;

use super::subject::{Recorded, Request};

/// The requests of both sides along one axis; what one side does not have, or does not measure, is none there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions<'a> {
    pub(crate) a: Vec<Option<&'a Request>>,
    pub(crate) b: Vec<Option<&'a Request>>,
}

/// How well paired requests agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pairing {
    /// By what they were paired.
    pub by: &'static str,
    /// Measured on both sides.
    pub in_both: u64,
    /// Measured on one side only.
    pub in_one: u64,
    /// Of those in both that have a target on both sides.
    pub same_target: Agreement,
    /// Of those in both that say how they ended.
    pub same_outcome: Agreement,
    /// Of those in both whose attempts are known.
    pub same_retries: Agreement,
}

/// How many of some pairs agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Pairs.
    pub of: u64,
    /// That agree.
    pub same: u64,
}

/// Why two runs do not have the same plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// No request of one is a request of the other.
    NothingInCommon,
    /// This one is not the same on both sides.
    Request(RequestId),
    /// One of them has no times to tell it by.
    Unknown,
}

/// Whether both were asked the same things, request by request. For when one of them has no hash of its plan.
pub(crate) fn same_requests(a: &Recorded, b: &Recorded) -> Result<(), Mismatch> {
    let by_id: HashMap<RequestId, &Request> = b.requests.iter().map(|request| (request.id, request)).collect();
    let mut common = 0;
    for request in &a.requests {
        let Some(other) = by_id.get(&request.id) else { continue };
        common += 1;
        let open = request.id.user_and_round().is_none();
        if open && (request.at.is_none() || other.at.is_none()) {
            return Err(Mismatch::Unknown);
        }
        // When a user of a closed loop sends depends on the responses.
        if (open && request.at != other.at) || !request.asked.agrees(&other.asked) {
            return Err(Mismatch::Request(request.id));
        }
    }
    if common == 0 { Err(Mismatch::NothingInCommon) } else { Ok(()) }
}

/// Each side on an axis of its own.
pub(crate) fn apart<'a>(a: &'a Recorded, b: &'a Recorded) -> Positions<'a> {
    let measured = |side: &'a Recorded| side.requests.iter().filter(|r| side.measures(r)).map(Some).collect();
    Positions { a: measured(a), b: measured(b) }
}

/// The same request at the same position.
pub(crate) fn side_by_side<'a>(a: &'a Recorded, b: &'a Recorded) -> Positions<'a> {
    let mut of_b: HashMap<RequestId, &Request> =
        b.requests.iter().filter(|r| b.measures(r)).map(|request| (request.id, request)).collect();
    let mut rows: Vec<(Option<&Request>, Option<&Request>)> =
        a.requests.iter().filter(|r| a.measures(r)).map(|request| (Some(request), of_b.remove(&request.id))).collect();
    rows.extend(b.requests.iter().filter(|r| of_b.contains_key(&r.id)).map(|request| (None, Some(request))));
    let order = |row: &(Option<&Request>, Option<&Request>)| row.0.or(row.1).map(|request| (request.at, request.id));
    rows.sort_by_key(order);
    let (a, b) = rows.into_iter().unzip();
    Positions { a, b }
}

// === impl Positions ===

impl Positions<'_> {
    /// How well the two sides agree.
    pub(crate) fn agreement(&self) -> Pairing {
        let both = || self.a.iter().zip(&self.b).filter_map(|(a, b)| a.zip(*b));
        let closed = both().next().is_some_and(|(a, _)| a.id.user_and_round().is_some());
        let in_both = both().count();
        let count = |one: &dyn Fn(&Request, &Request) -> Option<bool>| {
            let known = both().filter_map(|(a, b)| one(a, b));
            known.fold(Agreement::default(), |sum, same| Agreement { of: sum.of + 1, same: sum.same + u64::from(same) })
        };
        Pairing {
            by: if closed { "user and round" } else { "seq" },
            in_both: in_both as u64,
            in_one: (self.a.len() - in_both) as u64,
            same_target: count(&|a, b| a.target.zip(b.target).map(|(a, b)| a == b)),
            same_outcome: count(&|a, b| a.outcome.zip(b.outcome).map(|(a, b)| a == b)),
            same_retries: count(&|a, b| a.attempts.zip(b.attempts).map(|(a, b)| a == b)),
        }
    }
}

// === impl Agreement ===

impl Agreement {
    /// As a share; none of none.
    pub fn share(self) -> Option<f64> {
        (self.of > 0).then(|| self.same as f64 / self.of as f64)
    }
}
