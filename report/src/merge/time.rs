//! When merged runs measured: together, and at all.

use galton_core::Nanos;

use crate::model::{MergedRun, Span};

/// The measured windows of all, since the first T0.
#[derive(Clone, Debug)]
pub(super) struct Union(Vec<Span>);

// === impl Union ===

impl Union {
    pub(super) fn of(runs: &[MergedRun], t0: u64) -> Self {
        let moved = |run: &MergedRun| {
            let (offset, Span { start, end }) = (Nanos(run.started_unix_ns) - Nanos(t0), run.window_ns);
            Span { start: start + offset, end: end + offset }
        };
        Self(runs.iter().map(moved).collect())
    }

    /// From the first start to the last end.
    pub(super) fn span(&self) -> Span {
        let start = self.0.iter().map(|span| span.start).min().unwrap_or_default();
        let end = self.0.iter().map(|span| span.end).max().unwrap_or_default();
        Span { start, end }
    }

    /// For how long any of them measured: gaps do not count.
    pub(super) fn any(&self) -> Nanos {
        let mut spans = self.0.clone();
        spans.sort_by_key(|span| span.start);
        let (mut until, mut sum) = (Nanos::ZERO, Nanos::ZERO);
        for Span { start, end } in spans {
            sum += end - start.max(until);
            until = until.max(end);
        }
        sum
    }

    /// For how long all of them did.
    pub(super) fn all(&self) -> Nanos {
        let start = self.0.iter().map(|span| span.start).max().unwrap_or_default();
        let end = self.0.iter().map(|span| span.end).min().unwrap_or_default();
        end - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_do_not_count() {
        let union = |spans: &[(u64, u64)]| {
            Union(spans.iter().map(|(start, end)| Span { start: Nanos(*start), end: Nanos(*end) }).collect())
        };
        let overlapping = union(&[(0, 10), (5, 12), (6, 8)]);
        assert_eq!((overlapping.any().0, overlapping.all().0), (12, 2));
        let apart = union(&[(20, 30), (0, 10)]);
        assert_eq!((apart.any().0, apart.all().0, apart.span().end.0), (20, 0, 30));
    }
}
