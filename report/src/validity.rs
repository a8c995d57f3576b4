//! Whether a run may be believed: the verdict and the reasons for it.

use std::fmt;

use galton_core::Nanos;
use serde::{Deserialize, Serialize};

use crate::units;

/// The verdict and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validity {
    /// The verdict.
    pub verdict: Verdict,
    /// The weightiest first.
    pub reasons: Vec<Reason>,
}

/// The verdict on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Nothing speaks against the figures.
    Valid,
    /// Something may have bent the figures.
    Suspect,
    /// The figures do not say what they claim to.
    Invalid,
}

/// How much a reason weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; the verdict stays.
    Note,
    /// At least [`Verdict::Suspect`].
    Suspect,
    /// [`Verdict::Invalid`].
    Invalid,
}

/// One reason for a verdict: what was found, and what would have been fine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// A stable name: `SEND_LAG_P99`.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What was found.
    pub value: Quantity,
    /// The limit it broke.
    pub limit: Quantity,
    /// The same for people.
    pub text: String,
}

/// A number with its unit; plain in JSON: integer nanoseconds, a count, or a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Quantity {
    /// A number of things.
    Count(u64),
    /// A duration.
    Time(Nanos),
    /// A fraction, 1 = 100 %.
    Ratio(f64),
}

// === impl Validity ===

impl Validity {
    /// The verdict that follows from these reasons.
    pub fn of(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
        let verdict = match reasons.first().map(|reason| reason.severity) {
            Some(Severity::Invalid) => Verdict::Invalid,
            Some(Severity::Suspect) => Verdict::Suspect,
            Some(Severity::Note) | None => Verdict::Valid,
        };
        Self { verdict, reasons }
    }
}

// === impl Reason ===

impl Reason {
    /// `value` against `limit`, in words.
    pub fn new(code: &str, severity: Severity, value: Quantity, limit: Quantity, text: String) -> Self {
        Self { code: code.to_owned(), severity, value, limit, text }
    }
}

// === impl Verdict ===

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "VALID",
            Self::Suspect => "SUSPECT",
            Self::Invalid => "INVALID",
        })
    }
}

// === impl Severity ===

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Suspect => "suspect",
            Self::Invalid => "invalid",
        })
    }
}

// === impl Quantity ===

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Count(n) => units::count(*n),
            Self::Time(time) => units::time(*time),
            Self::Ratio(share) => units::percent(*share),
        })
    }
}
