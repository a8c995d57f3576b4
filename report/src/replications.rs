//! The same scenario with other seeds: what of a figure is the scenario's, and what is chance.
//!
//! Replications are independent, so the interval of a mean over them is Student's, whatever goes on within a run (Law and
//! Kelton, "Simulation Modeling and Analysis", section 9.4.1).

use serde::Serialize;

use crate::model::Report;
use crate::stats::{Summary, plain_option, student};
use crate::units::{NOT_AVAILABLE, digits, percent, rate, time};

/// What each side of an interval may err.
const ALPHA: f64 = 0.025;

/// Figures over replications.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replications {
    /// The seed of each.
    pub seeds: Vec<u64>,
    /// The figures.
    pub figures: Vec<Replicated>,
}

/// One figure over replications.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replicated {
    /// Which.
    pub name: &'static str,
    /// Of its numbers: `ns`, `per_sec`, `ratio`, `count`.
    pub unit: Unit,
    /// Mean over the replications that have it; none: no replication has.
    #[serde(serialize_with = "plain_option")]
    pub mean: Option<f64>,
    /// Standard deviation between replications; none: fewer than two have it.
    #[serde(serialize_with = "plain_option")]
    pub std: Option<f64>,
    /// Lower end of the mean's 95 % interval.
    #[serde(serialize_with = "plain_option")]
    pub lo: Option<f64>,
    /// Upper end; none also where a value is a lower bound.
    #[serde(serialize_with = "plain_option")]
    pub hi: Option<f64>,
    /// The figure of each replication.
    pub values: Vec<Option<f64>>,
    /// Which of them are lower bounds, as requests timed out; then the mean is one too.
    pub censored: Vec<bool>,
}

/// The figures of one replication, in the order of its table.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures(Vec<Figure>);

/// One figure of one replication.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figure {
    value: Option<f64>,
    /// The true value is at least this one.
    censored: bool,
}

/// What the numbers of a figure are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds of scenario time.
    Ns,
    /// Events per second of scenario time.
    PerSec,
    /// A fraction.
    Ratio,
    /// A number of things.
    Count,
}

const FIGURES: [(&str, Unit); 16] = [
    ("response mean", Unit::Ns),
    ("response p50", Unit::Ns),
    ("response p90", Unit::Ns),
    ("response p99", Unit::Ns),
    ("overhead mean", Unit::Ns),
    ("offered", Unit::PerSec),
    ("ok", Unit::PerSec),
    ("rejected", Unit::Ratio),
    ("timed out", Unit::Ratio),
    ("failed", Unit::Ratio),
    ("retries per request", Unit::Count),
    ("targets mean", Unit::Count),
    ("targets peak", Unit::Count),
    ("starts", Unit::Count),
    ("removals", Unit::Count),
    ("slots used", Unit::Ratio),
];

// === impl Figures ===

impl Figures {
    /// Of one report.
    pub fn of(report: &Report) -> Self {
        let (counts, latency, scaling) = (&report.counts, &report.latency, &report.scaling);
        let share = |n: u64| (counts.offered > 0).then(|| n as f64 / counts.offered as f64);
        let retries = report.retries.values().flatten().map(|(retries, n)| u64::from(*retries) * n).sum();
        Self(vec![
            mean(&latency.response),
            quantile(&latency.response, 0.5),
            quantile(&latency.response, 0.9),
            quantile(&latency.response, 0.99),
            mean(&latency.overhead),
            Some(report.rates.offered).into(),
            Some(report.rates.completed).into(),
            share(counts.rejected_in_all()).into(),
            share(counts.timed_out).into(),
            share(counts.failed_in_all()).into(),
            share(retries).into(),
            report.gauges.fleet.time.as_ref().map(|fleet| fleet.mean).into(),
            Some(f64::from(scaling.peak)).into(),
            Some(scaling.ups as f64).into(),
            Some(scaling.downs as f64).into(),
            report.gauges.slot_use.into(),
        ])
    }

    /// The names of all figures.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FIGURES.into_iter().map(|(name, _)| name)
    }

    /// All of them `value`.
    #[cfg(test)]
    pub(crate) fn same(value: Option<f64>) -> Self {
        Self(vec![value.into(); FIGURES.len()])
    }

    /// All of them at least `value`.
    #[cfg(test)]
    pub(crate) fn at_least(value: f64) -> Self {
        Self(vec![Figure { value: Some(value), censored: true }; FIGURES.len()])
    }
}

fn mean(summary: &Summary) -> Figure {
    Figure { value: summary.mean.map(|ns| ns as f64), censored: summary.censored > 0 }
}

fn quantile(summary: &Summary, q: f64) -> Figure {
    let found = summary.quantiles.iter().find(|quantile| quantile.q == q);
    let value = found.and_then(|found| found.value).map(|ns| ns as f64);
    Figure { value, censored: found.is_some_and(|found| found.censored) }
}

impl From<Option<f64>> for Figure {
    fn from(value: Option<f64>) -> Self {
        Self { value, censored: false }
    }
}

// === impl Replications ===

impl Replications {
    /// Of these runs, each with its seed.
    pub fn of(runs: &[(u64, Figures)]) -> Self {
        let figure = |(at, (name, unit)): (usize, (&'static str, Unit))| {
            Replicated::of(name, unit, &runs.iter().map(|(_, Figures(figures))| figures[at]).collect::<Vec<_>>())
        };
        let figures = FIGURES.into_iter().enumerate().map(figure).collect();
        Self { seeds: runs.iter().map(|(seed, _)| *seed).collect(), figures }
    }

    /// The figure of this name.
    pub(crate) fn figure(&self, name: &str) -> Option<&Replicated> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// `replications.json`. Ends with a newline.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("maps have string keys, and no writer can fail");
        text.push('\n');
        text
    }

    /// `replications.csv`: a line per replication. The last column names the figures that are lower bounds.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("seed");
        for figure in &self.figures {
            text += &format!(",{}_{}", figure.name.replace(' ', "_"), figure.unit.suffix());
        }
        text += ",censored\n";
        for (at, seed) in self.seeds.iter().enumerate() {
            let cells = self.figures.iter().map(|f| f.values[at].map_or_else(String::new, |value| value.to_string()));
            let censored = self.figures.iter().filter(|figure| figure.censored[at]).map(|f| f.name.replace(' ', "_"));
            let censored = censored.collect::<Vec<_>>().join(" ");
            text += &format!("{seed},{},{censored}\n", cells.collect::<Vec<_>>().join(","));
        }
        text
    }

    /// The table for a terminal.
    pub fn to_table(&self) -> String {
        let mut text = format!("{:<20} {:>10}  {:<24} {:>10}\n", "", "mean", "95 % interval", "std");
        for figure in &self.figures {
            let show = |value: Option<f64>| value.map_or_else(|| NOT_AVAILABLE.to_owned(), |v| figure.unit.show(v));
            let hi = figure.hi.map_or_else(|| "–".to_owned(), |hi| figure.unit.show(hi));
            let interval = figure.lo.map_or_else(String::new, |_| format!("[{}, {hi}]", show(figure.lo)));
            let mean = format!("{}{}", figure.bound(), show(figure.mean));
            let std = figure.std.map_or_else(String::new, |std| figure.unit.show(std));
            let line = format!("{:<20} {:>10}  {interval:<24} {std:>10}", figure.name, mean);
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

impl Replicated {
    fn of(name: &'static str, unit: Unit, figures: &[Figure]) -> Self {
        let values: Vec<Option<f64>> = figures.iter().map(|figure| figure.value).collect();
        let censored: Vec<bool> = figures.iter().map(|figure| figure.censored).collect();
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        let n = known.len() as f64;
        let mean = (n > 0.0).then(|| known.iter().sum::<f64>() / n);
        let std = mean.filter(|_| n > 1.0).map(|mean| {
            let squares: f64 = known.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (n - 1.0)).sqrt()
        });
        let reach = std.map(|std| student(ALPHA, known.len() - 1) * std / n.sqrt());
        let end = |sign: f64| Some(mean? + sign * reach?);
        let hi = end(1.0).filter(|_| !censored.contains(&true));
        Self { name, unit, mean, std, lo: end(-1.0), hi, values, censored }
    }

    /// Whether the true mean is at least this one.
    pub(crate) fn is_censored(&self) -> bool {
        self.censored.contains(&true)
    }

    /// What stands before the mean.
    pub(crate) fn bound(&self) -> &'static str {
        if self.is_censored() { "≥ " } else { "" }
    }

    /// What each replication found that has the figure, and whether that is a lower bound.
    pub(crate) fn found(&self) -> impl Iterator<Item = (f64, bool)> + '_ {
        self.values.iter().zip(&self.censored).filter_map(|(value, censored)| Some(((*value)?, *censored)))
    }
}

// === impl Unit ===

impl Unit {
    /// As in the names of columns.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::PerSec => "per_sec",
            Self::Ratio => "ratio",
            Self::Count => "count",
        }
    }

    /// For people.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Ns => time(galton_core::Nanos::rounded(value)),
            Self::PerSec => rate(value),
            Self::Ratio => percent(value),
            Self::Count => digits(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_student_s() {
        // Student's own example: the additional sleep of ten patients (1908).
        let sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4].map(|hours| Some(hours).into());
        let figure = Replicated::of("sleep", Unit::Count, &sleep);
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-3;
        assert!(close(figure.mean, 1.58) && close(figure.std, 1.230), "{figure:?}");
        assert!(close(figure.lo, 0.700) && close(figure.hi, 2.460), "{figure:?}");
    }

    #[test]
    fn what_some_lack_is_averaged_over_the_others_and_one_alone_has_no_interval() {
        let figure = Replicated::of("x", Unit::Ns, &[None, Some(2.0), Some(4.0)].map(Figure::from));
        assert_eq!((figure.mean, figure.values.len()), (Some(3.0), 3));
        let alone = Replicated::of("x", Unit::Ns, &[Some(2.0).into()]);
        assert_eq!((alone.mean, alone.std, alone.lo), (Some(2.0), None, None));
        assert_eq!(Replicated::of("x", Unit::Ns, &[None.into()]).mean, None);
    }

    #[test]
    fn a_mean_of_lower_bounds_is_one() {
        let all = Replications::of(&[(7, Figures::same(Some(1e6))), (8, Figures::at_least(3e6))]);
        let p99 = all.figure("response p99").unwrap();
        assert_eq!((p99.mean, p99.hi, p99.censored.as_slice()), (Some(2e6), None, &[false, true][..]));
        assert!(p99.lo.is_some());
        let (table, csv) = (all.to_table(), all.to_csv());
        assert!(table.lines().nth(4).unwrap().contains("≥ 2 ms  [") && table.contains(", –]"), "{table}");
        assert!(csv.lines().nth(1).unwrap().ends_with(','), "{csv}");
        assert!(csv.lines().nth(2).unwrap().contains(",response_mean response_p50 "), "{csv}");
    }

    #[test]
    fn the_table_and_the_csv_name_every_figure_with_its_unit() {
        let run = |value| Figures::same(Some(value));
        let all = Replications::of(&[(7, run(1e6)), (8, run(3e6))]);
        let (table, csv) = (all.to_table(), all.to_csv());
        assert!(table.lines().nth(1).unwrap().starts_with("response mean              2 ms"), "{table}");
        assert!(csv.starts_with("seed,response_mean_ns,") && csv.contains("\n8,3000000,"), "{csv}");
        assert_eq!(csv.lines().count(), 3);
    }
}
