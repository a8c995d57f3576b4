//! Why requests failed, in the words of whatever broke.

use std::collections::BTreeMap;

use galton_core::FailReason;
use serde::{Deserialize, Serialize};

/// Texts that are told apart, of a run however bad: more than a person looks through.
const MOST_TEXTS: usize = 10;
/// Characters of a text; what is longer ends with an ellipsis.
const MOST_CHARS: usize = 200;

/// Failed requests by what broke: a few texts, and all others together by their reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Errors(Vec<ErrorCount>);

/// Requests that failed alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// Why they count as failed.
    pub reason: FailReason,
    /// What broke. None: texts beyond those that are told apart.
    pub text: Option<String>,
    /// How many.
    pub requests: u64,
}

// === impl Errors ===

impl Errors {
    /// One more request failed, with this text. The first texts are those that are told apart.
    pub fn count(&mut self, reason: FailReason, text: &str) {
        let text = bounded(text);
        if let Some(known) = self.0.iter_mut().find(|e| e.reason == reason && e.text.as_deref() == Some(&text)) {
            known.requests += 1;
        } else if self.texts() < MOST_TEXTS {
            self.0.push(ErrorCount { reason, text: Some(text), requests: 1 });
        } else {
            self.count_others(reason, 1);
        }
    }

    /// Those of several runs together: of their texts the most frequent.
    pub fn sum<'a>(runs: impl Iterator<Item = &'a Self>) -> Self {
        let mut by_text: BTreeMap<(FailReason, Option<&str>), u64> = BTreeMap::new();
        for one in runs.flat_map(Self::iter) {
            *by_text.entry((one.reason, one.text.as_deref())).or_default() += one.requests;
        }
        let all = by_text.into_iter().map(|((reason, text), requests)| ErrorCount {
            reason,
            text: text.map(str::to_owned),
            requests,
        });
        let mut sum = Self::default();
        for one in Self(all.collect()).sorted().0 {
            if one.text.is_some() && sum.texts() < MOST_TEXTS {
                sum.0.push(one);
            } else {
                sum.count_others(one.reason, one.requests);
            }
        }
        sum
    }

    /// The most frequent first, what has no text of its own last.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_by_key(|one| (one.text.is_none(), std::cmp::Reverse(one.requests)));
        self
    }

    /// One by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ErrorCount> {
        self.0.iter()
    }

    fn texts(&self) -> usize {
        self.0.iter().filter(|one| one.text.is_some()).count()
    }

    fn count_others(&mut self, reason: FailReason, requests: u64) {
        match self.0.iter_mut().find(|one| one.reason == reason && one.text.is_none()) {
            Some(others) => others.requests += requests,
            None => self.0.push(ErrorCount { reason, text: None, requests }),
        }
    }
}

// === impl ErrorCount ===

impl ErrorCount {
    /// What broke, for people.
    pub fn words(&self) -> &str {
        self.text.as_deref().unwrap_or("others")
    }
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        None => text.to_owned(),
        Some(_) => text.chars().take(MOST_CHARS - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: impl IntoIterator<Item = (FailReason, String)>) -> Errors {
        let mut errors = Errors::default();
        texts.into_iter().for_each(|(reason, text)| errors.count(reason, &text));
        errors
    }

    fn told(errors: &Errors) -> Vec<(FailReason, &str, u64)> {
        errors.iter().map(|one| (one.reason, one.words(), one.requests)).collect()
    }

    #[test]
    fn equal_causes_are_counted_together_and_by_their_reason() {
        use FailReason::{Connect, Reset};
        let errors =
            of([(Connect, "no"), (Reset, "no"), (Reset, "no")].map(|(reason, text)| (reason, text.to_owned())));
        assert_eq!(told(&errors.sorted()), [(Reset, "no", 2), (Connect, "no", 1)]);
    }

    #[test]
    fn so_many_texts_of_such_a_length_are_kept_and_the_others_counted() {
        let many = (0..25).map(|i| (FailReason::Reset, format!("{i} {}", "ä".repeat(300))));
        let errors = of(many.clone().chain(many)).sorted();
        assert_eq!(errors.iter().len(), MOST_TEXTS + 1);
        assert!(errors.iter().take(MOST_TEXTS).all(|one| one.requests == 2), "{errors:?}");
        let first = errors.iter().next().unwrap().words();
        assert!(first.chars().count() == MOST_CHARS && first.ends_with("ä…"), "{first}");
        assert_eq!(told(&errors).last(), Some(&(FailReason::Reset, "others", 30)));
    }

    #[test]
    fn of_several_runs_the_most_frequent_stay() {
        let some = |from: u64, to: u64| {
            of((from..to).flat_map(|i| (0..=i).map(move |_| (FailReason::Connect, format!("cause {i}")))))
        };
        let sum = Errors::sum([some(0, 8), some(4, 14)].iter());
        let told = told(&sum);
        assert_eq!(told.len(), MOST_TEXTS + 1);
        assert_eq!(told[..2], [(FailReason::Connect, "cause 7", 16), (FailReason::Connect, "cause 13", 14)]);
        assert_eq!(told.last(), Some(&(FailReason::Connect, "others", 1 + 2 + 3 + 4)));
        assert_eq!(told.iter().map(|one| one.2).sum::<u64>(), 36 + 95);
    }
}
