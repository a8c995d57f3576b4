//! Samples of a scrape or of a book: series with their values.

use std::collections::BTreeMap;

/// The samples of one process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

// === impl Samples ===

impl Samples {
    /// Reads the Prometheus text format, version 0.0.4; lines that are no samples are passed over.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The series of a book.
    pub fn from_book(series: Vec<(String, u64)>) -> Self {
        let sample = |(series, value): (String, u64)| {
            let (name, labels) = series_of(&series)?;
            Some(Sample { name, labels, value: value as f64 })
        };
        Self(series.into_iter().filter_map(sample).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The series by the value of a label; those without it are left out.
    pub fn by_label(self, label: &str) -> BTreeMap<String, Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        for sample in self.0 {
            if let Some(value) = sample.labels.get(label) {
                all.entry(value.clone()).or_default().0.push(sample);
            }
        }
        all
    }

    /// Adds the series of `other` that are not here yet.
    pub fn extend_missing(&mut self, other: &Self) {
        let here = self.0.clone();
        let new = |s: &&Sample| !here.iter().any(|h| h.name == s.name && h.labels == s.labels);
        self.0.extend(other.0.iter().filter(new).cloned());
    }

    /// The sum over all series of this name whose labels have these values; 0 if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |s: &Sample| labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|value| value == v));
        self.0.iter().filter(|s| s.name == name && has(s)).map(|s| s.value).sum()
    }

    /// As [`Self::sum`], for counts.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels) as u64
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.rfind('}').map_or_else(|| line.find(' '), |at| Some(at + 1))?;
    let (name, labels) = series_of(&line[..end])?;
    let value = line[end..].split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// `name{label="value",…}`.
fn series_of(series: &str) -> Option<(String, BTreeMap<String, String>)> {
    let Some((name, rest)) = series.split_once('{') else { return Some((series.to_owned(), BTreeMap::new())) };
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_suffix('}')?;
    while let Some((label, quoted)) = rest.split_once("=\"") {
        let (value, after) = unquote(quoted)?;
        labels.insert(label.to_owned(), value);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some((name.to_owned(), labels))
}

/// The value up to its closing quote, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapes_and_books_read_alike() {
        let text =
            "# HELP x y\n# TYPE x counter\nx{a=\"1\",b=\"q\\\"}, z\"} 3\nx{a=\"2\",b=\"\"} 4\nplain 1.5e2\nbad{ 1\n";
        let scraped = Samples::parse(text);
        assert_eq!(scraped.count("x", &[]), 7);
        assert_eq!(scraped.count("x", &[("a", "1")]), 3);
        assert_eq!(scraped.count("x", &[("b", "q\"}, z")]), 3);
        assert_eq!(scraped.sum("plain", &[]), 150.0);
        assert_eq!(scraped.sum("missing", &[]), 0.0);
        let book = Samples::from_book(vec![("x{a=\"1\",b=\"q\\\"}, z\"}".into(), 3), ("x{a=\"2\",b=\"\"}".into(), 4)]);
        assert_eq!(book.0, scraped.0[..2]);
        let by_a = scraped.by_label("a");
        assert_eq!(
            by_a.iter().map(|(a, of_a)| (a.as_str(), of_a.count("x", &[]))).collect::<Vec<_>>(),
            [("1", 3), ("2", 4)]
        );
    }
}
