//! Wrong usage as an error: exit code 2 wherever it ends up.

use std::fmt::{self, Display};

/// What was asked for cannot be done, whatever the machine: exit code 2.
#[derive(Debug)]
pub struct Usage(String);

// === impl Usage ===

impl Usage {
    /// As an error to be returned.
    pub fn error(why: impl Display) -> anyhow::Error {
        Self(why.to_string()).into()
    }

    /// Whether that is what an error comes from.
    pub fn is_cause_of(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| cause.is::<Self>())
    }
}

impl Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
