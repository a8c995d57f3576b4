//! Statistics of what was recorded: quantiles of samples with their confidence, and distributions weighted by time or by
//! the number of decisions.

mod batches;
mod binomial;
mod by_rank;
mod classes;
#[cfg(test)]
mod coverage;
mod effective;
mod groups;
mod long;
mod mser;
mod sample;
mod sparse;
mod student;
mod twin;
mod weighted;

pub use by_rank::needed;
pub use sample::{Quantile, Summary};
pub use weighted::{GaugeQuantile, GaugeSummary};

pub(crate) use by_rank::exact_quantile;
pub(crate) use groups::Groups;
pub(crate) use mser::BatchMeans;
pub(crate) use sample::Samples;
pub(crate) use sparse::Sparse;
pub(crate) use student::student;
pub(crate) use twin::Twin;
pub(crate) use weighted::{Weighted, plain_option};

/// The quantiles of every table.
pub(crate) const QUANTILES: [f64; 8] = [0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];

/// `p99.9` for 0.999.
pub(crate) fn quantile_name(q: f64) -> String {
    format!("p{}", (q * 1e6).round() / 1e4)
}
