//! A distribution given by its percentiles: the inverse CDF is linear between them, and uniform from 0 to the first.

/// Where the given percentiles stand, with the 0 that every such distribution begins at.
const LEVELS: [f64; 6] = [0.0, 0.5, 0.8, 0.9, 0.99, 1.0];

/// The values at [`LEVELS`], nondecreasing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ladder([f64; 6]);

/// One straight piece of the inverse CDF.
struct Piece {
    level: f64,
    share: f64,
    low: f64,
    high: f64,
}

// === impl Ladder ===

impl Ladder {
    /// From p50, p80, p90, p99 and p100.
    pub(super) fn new([p50, p80, p90, p99, p100]: [f64; 5]) -> Self {
        Self([0.0, p50, p80, p90, p99, p100])
    }

    pub(super) fn quantile(&self, u: f64) -> f64 {
        let piece = self.piece(LEVELS[1..5].partition_point(|level| *level <= u));
        piece.low + (piece.high - piece.low) * ((u - piece.level) / piece.share)
    }

    /// P(X ≤ x): equal percentiles are a mass at their value.
    pub(super) fn cdf(&self, x: f64) -> f64 {
        match self.0.partition_point(|value| *value <= x) {
            0 => 0.0,
            6 => 1.0,
            above => {
                let piece = self.piece(above - 1);
                piece.level + piece.share * ((x - piece.low) / (piece.high - piece.low))
            }
        }
    }

    pub(super) fn mean(&self) -> f64 {
        self.pieces().map(|piece| piece.share * (piece.low + piece.high) / 2.0).sum()
    }

    pub(super) fn variance(&self) -> f64 {
        let mean = self.mean();
        // Per piece, with its ends taken from the mean: a second moment less the squared mean would lose digits.
        let square = |Piece { low, high, .. }: &Piece| {
            let (a, b) = (low - mean, high - mean);
            (a * a + a * b + b * b) / 3.0
        };
        self.pieces().map(|piece| piece.share * square(&piece)).sum()
    }

    fn pieces(&self) -> impl Iterator<Item = Piece> {
        (0..5).map(|index| self.piece(index))
    }

    fn piece(&self, index: usize) -> Piece {
        Piece {
            level: LEVELS[index],
            share: LEVELS[index + 1] - LEVELS[index],
            low: self.0[index],
            high: self.0[index + 1],
        }
    }
}
