//! One latency of all parts: histograms merged, exact figures added, intervals from how the shares vary over time.

use hdrhistogram::Histogram;

use super::part::{Part, SummaryPart};
use crate::hlog::{self, Interval};
use crate::stats::{Groups, Summary};

/// Groups of neighbouring intervals, as batches of a sample; see [`crate::stats`].
const GROUPS: usize = 32;

/// A latency of all parts together.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub(super) summary: Summary,
    /// Values and how often they are there.
    pub(super) counts: Vec<(u64, u64)>,
}

/// Of one tag.
pub(super) fn merged(parts: &[Part], intervals: &[Interval], tag: &str) -> Merged {
    let own: Vec<&SummaryPart> = parts.iter().filter_map(|part| part.latency(tag)).filter(|one| one.n > 0).collect();
    let groups = grouped(intervals, tag);
    let n: u64 = own.iter().map(|one| one.n).sum();
    let weighted = |of: &dyn Fn(&SummaryPart) -> f64| own.iter().map(|one| of(one) * one.n as f64).sum::<f64>();
    let mean = weighted(&|one| one.mean.unwrap_or_default() as f64) / n.max(1) as f64;
    // Within and between the parts.
    let squares = own.iter().map(|one| {
        let (own_mean, std) = (one.mean.unwrap_or_default() as f64, one.std.unwrap_or_default() as f64);
        std.powi(2) * (one.n - 1) as f64 + one.n as f64 * (own_mean - mean).powi(2)
    });
    let std = (squares.sum::<f64>() / n.saturating_sub(1).max(1) as f64).sqrt();
    let groups = Groups {
        min: own.iter().filter_map(|one| one.min).min().unwrap_or_default(),
        max: own.iter().filter_map(|one| one.max()).max().unwrap_or_default(),
        censored: own.iter().map(|one| one.censored).sum(),
        worth: own.iter().map(|one| one.n_eff).sum(),
        histograms: groups,
    };
    let summary = Summary {
        mean: (n > 0).then_some(mean.round() as u64),
        std: (n > 0).then_some(std.round() as u64),
        ..groups.summary()
    };
    Merged { summary, counts: groups.counts() }
}

/// Neighbours in time together, whichever part they are from: parts that share a server share its fate.
fn grouped(intervals: &[Interval], tag: &str) -> Vec<Histogram<u64>> {
    let own: Vec<&Interval> = intervals.iter().filter(|interval| interval.tag == tag).collect();
    let Some((first, last)) = own.first().zip(own.last()) else { return Vec::new() };
    let span = (last.start - first.start).0 + 1;
    let mut groups: Vec<Histogram<u64>> = Vec::new();
    let mut at = None;
    for interval in &own {
        let group = u128::from((interval.start - first.start).0) * GROUPS as u128 / u128::from(span);
        if at != Some(group) {
            groups.push(hlog::histogram());
            at = Some(group);
        }
        if let Some(group) = groups.last_mut() {
            // Of the same bounds, or of another tool's that are smaller.
            group.add(&interval.histogram).ok();
        }
    }
    groups
}
