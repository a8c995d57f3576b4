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
    /// Upper end.
    #[serde(serialize_with = "plain_option")]
    pub hi: Option<f64>,
    /// The figure of each replication.
    pub values: Vec<Option<f64>>,
}

/// The figures of one replication, in the order of its table.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures(Vec<Option<f64>>);

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
            latency.response.mean.map(|ns| ns as f64),
            quantile(&latency.response, 0.5),
            quantile(&latency.response, 0.9),
            quantile(&latency.response, 0.99),
            latency.overhead.mean.map(|ns| ns as f64),
            Some(report.rates.offered),
            Some(report.rates.completed),
            share(counts.rejected_in_all()),
            share(counts.timed_out),
            share(counts.failed_in_all()),
            share(retries),
            report.gauges.fleet.time.as_ref().map(|fleet| fleet.mean),
            Some(f64::from(scaling.peak)),
            Some(scaling.ups as f64),
            Some(scaling.downs as f64),
            report.gauges.slot_use,
        ])
    }

    /// The names of all figures.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FIGURES.into_iter().map(|(name, _)| name)
    }

    /// All of them `value`.
    #[cfg(test)]
    pub(crate) fn same(value: Option<f64>) -> Self {
        Self(vec![value; FIGURES.len()])
    }
}

fn quantile(summary: &Summary, q: f64) -> Option<f64> {
    summary.quantiles.iter().find(|quantile| quantile.q == q)?.value.map(|ns| ns as f64)
}

// === impl Replications ===

impl Replications {
    /// Of these runs, each with its seed.
    pub fn of(runs: &[(u64, Figures)]) -> Self {
        let figure = |(at, (name, unit)): (usize, (&'static str, Unit))| {
            Replicated::of(name, unit, runs.iter().map(|(_, Figures(values))| values[at]).collect())
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

    /// `replications.csv`: a line per replication.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("seed");
        for figure in &self.figures {
            text += &format!(",{}_{}", figure.name.replace(' ', "_"), figure.unit.suffix());
        }
        text.push('\n');
        for (at, seed) in self.seeds.iter().enumerate() {
            let cells = self.figures.iter().map(|f| f.values[at].map_or_else(String::new, |value| value.to_string()));
            text += &format!("{seed},{}\n", cells.collect::<Vec<_>>().join(","));
        }
        text
    }

    /// The table for a terminal.
    pub fn to_table(&self) -> String {
        let mut text = format!("{:<20} {:>10}  {:<24} {:>10}\n", "", "mean", "95 % interval", "std");
        for figure in &self.figures {
            let show = |value: Option<f64>| value.map_or_else(|| NOT_AVAILABLE.to_owned(), |v| figure.unit.show(v));
            let interval =
                figure.lo.map_or_else(String::new, |_| format!("[{}, {}]", show(figure.lo), show(figure.hi)));
            let std = figure.std.map_or_else(String::new, |std| figure.unit.show(std));
            let line = format!("{:<20} {:>10}  {interval:<24} {std:>10}", figure.name, show(figure.mean));
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

impl Replicated {
    fn of(name: &'static str, unit: Unit, values: Vec<Option<f64>>) -> Self {
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        let n = known.len() as f64;
        let mean = (n > 0.0).then(|| known.iter().sum::<f64>() / n);
        let std = mean.filter(|_| n > 1.0).map(|mean| {
            let squares: f64 = known.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (n - 1.0)).sqrt()
        });
        let reach = std.map(|std| student(ALPHA, known.len() - 1) * std / n.sqrt());
        let end = |sign: f64| Some(mean? + sign * reach?);
        Self { name, unit, mean, std, lo: end(-1.0), hi: end(1.0), values }
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
        let sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4].map(Some).to_vec();
        let figure = Replicated::of("sleep", Unit::Count, sleep);
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-3;
        assert!(close(figure.mean, 1.58) && close(figure.std, 1.230), "{figure:?}");
        assert!(close(figure.lo, 0.700) && close(figure.hi, 2.460), "{figure:?}");
    }

    #[test]
    fn what_some_lack_is_averaged_over_the_others_and_one_alone_has_no_interval() {
        let figure = Replicated::of("x", Unit::Ns, vec![None, Some(2.0), Some(4.0)]);
        assert_eq!((figure.mean, figure.values.len()), (Some(3.0), 3));
        let alone = Replicated::of("x", Unit::Ns, vec![Some(2.0)]);
        assert_eq!((alone.mean, alone.std, alone.lo), (Some(2.0), None, None));
        assert_eq!(Replicated::of("x", Unit::Ns, vec![None]).mean, None);
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
