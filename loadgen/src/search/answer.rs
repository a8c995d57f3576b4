//! What came of a search, in words.

use std::fmt;

use galton_report::units::rate;

/// The highest rate that was kept, and the lowest that was not, as far as the search came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// What was to be kept, in words.
    pub(super) objectives: String,
    /// The search came to its end: what was kept was kept twice.
    pub(super) complete: bool,
    pub(super) kept: Option<f64>,
    /// And what spoke against it.
    pub(super) missed: Option<(f64, Why)>,
}

/// Why a rate does not count as kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// An objective was not kept, in words.
    NotKept(String),
    /// The measurement was not valid, and perhaps an objective was missed by its figures besides.
    NotValid {
        /// Code and text of the weightiest reason.
        reason: String,
        missed: Option<String>,
    },
}

// === impl Why ===

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotKept(text) => f.write_str(text),
            Self::NotValid { reason, missed: None } => write!(f, "not valid: {reason}"),
            Self::NotValid { reason, missed: Some(missed) } => write!(f, "not valid: {reason}; {missed}"),
        }
    }
}

// === impl Answer ===

impl Answer {
    /// What is known of the lowest rate that was not kept: of one that was not measured well, not that it is too much.
    fn not_kept(missed: f64, why: &Why) -> String {
        match why {
            Why::NotKept(_) => format!("{} does not: {why}", rate(missed)),
            Why::NotValid { .. } => format!("the probe of {} was {why}", rate(missed)),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (objectives, so_far) = (&self.objectives, if self.complete { "" } else { "interrupted: so far " });
        let twice = if self.complete { ", twice" } else { "" };
        match (self.kept, &self.missed) {
            (Some(kept), Some((missed, why))) => {
                write!(f, "{so_far}{} keeps {objectives}{twice}; {}", rate(kept), Self::not_kept(*missed, why))
            }
            (Some(kept), None) if self.complete => {
                write!(f, "{} keeps {objectives}, twice; it is the highest that was asked for", rate(kept))
            }
            (Some(kept), None) => write!(f, "{so_far}{} keeps {objectives}; no rate was too much yet", rate(kept)),
            (None, Some((missed, why @ Why::NotKept(_)))) => {
                write!(f, "{so_far}not even {} keeps {objectives}: {why}", rate(*missed))
            }
            (None, Some((missed, why))) => {
                write!(f, "{so_far}no rate is known to keep {objectives}: {}", Self::not_kept(*missed, why))
            }
            (None, None) => write!(f, "{so_far}nothing is known: no probe came to its end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSED: &str = "errors < 1 %: missed: 100 %";

    fn answer(complete: bool, kept: Option<f64>, missed: Option<(f64, Why)>) -> String {
        Answer { objectives: "errors < 1 %".to_owned(), complete, kept, missed }.to_string()
    }

    fn not_kept() -> Why {
        Why::NotKept(MISSED.to_owned())
    }

    fn not_valid(missed: Option<&str>) -> Why {
        Why::NotValid { reason: "CODE: it ran out".to_owned(), missed: missed.map(str::to_owned) }
    }

    #[test]
    fn it_says_what_was_found() {
        for (kept, missed, words) in [
            (
                Some(20.0),
                Some((40.0, not_kept())),
                "20/s keeps errors < 1 %, twice; 40/s does not: errors < 1 %: missed: 100 %",
            ),
            (
                Some(20.0),
                Some((40.0, not_valid(None))),
                "20/s keeps errors < 1 %, twice; the probe of 40/s was not valid: CODE: it ran out",
            ),
            (Some(20.0), None, "20/s keeps errors < 1 %, twice; it is the highest that was asked for"),
            (None, Some((10.0, not_kept())), "not even 10/s keeps errors < 1 %: errors < 1 %: missed: 100 %"),
            (
                None,
                Some((10.0, not_valid(Some(MISSED)))),
                "no rate is known to keep errors < 1 %: the probe of 10/s was not valid: CODE: it ran out; errors < 1 %: missed: 100 %",
            ),
        ] {
            assert_eq!(answer(true, kept, missed), words);
        }
    }

    #[test]
    fn an_interrupted_one_says_what_is_known_so_far() {
        for (kept, missed, words) in [
            (
                Some(20.0),
                Some((40.0, not_valid(None))),
                "interrupted: so far 20/s keeps errors < 1 %; the probe of 40/s was not valid: CODE: it ran out",
            ),
            (Some(20.0), None, "interrupted: so far 20/s keeps errors < 1 %; no rate was too much yet"),
            (None, None, "interrupted: so far nothing is known: no probe came to its end"),
        ] {
            assert_eq!(answer(false, kept, missed), words);
        }
    }
}
