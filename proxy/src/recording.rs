//! How closely requests are looked at: which are written down, and have their times in the response's head.

use std::num::NonZeroU64;
use std::str::FromStr;

use galton_core::RequestId;

/// Which requests are looked at closely. What is counted is counted for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    /// None.
    Off,
    /// One in so many.
    Sample(NonZeroU64),
    /// All.
    All,
}

// === impl Recording ===

impl Recording {
    /// Whether this request is. Every host says the same of it.
    pub(crate) fn takes(self, request: RequestId) -> bool {
        match self {
            Self::Off => false,
            Self::All => true,
            // Mixed first (Fibonacci hashing): numbers come with patterns, as of the host that a request is for.
            Self::Sample(n) => (request.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % n == 0,
        }
    }
}

impl FromStr for Recording {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected off, sample:N (one request in N), or all".to_owned();
        match text {
            "off" => Ok(Self::Off),
            "all" => Ok(Self::All),
            _ => text.strip_prefix("sample:").and_then(|n| n.parse().ok()).map(Self::Sample).ok_or_else(expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_its_share_of_any_stride() {
        let sample: Recording = "sample:16".parse().unwrap();
        for stride in [1, 2, 16, 1 << 20] {
            let taken = (0..16_000).filter(|n| sample.takes(RequestId(n * stride))).count();
            assert!((700..1300).contains(&taken), "stride {stride}: {taken} of 16000");
        }
    }

    #[test]
    fn the_three_words_are_read_and_nothing_else() {
        assert_eq!("off".parse(), Ok(Recording::Off));
        assert_eq!("all".parse(), Ok(Recording::All));
        assert!((0..100).all(|n| "sample:1".parse::<Recording>().unwrap().takes(RequestId(n))));
        for bad in ["", "sample", "sample:0", "sample:-1", "some"] {
            assert!(bad.parse::<Recording>().unwrap_err().contains("sample:N"), "{bad}");
        }
    }
}
