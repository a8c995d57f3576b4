//! Metric families made by hand, for figures that are kept elsewhere than in a metric of the `prometheus` crate.

use std::fmt::Write as _;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// One family of counters or gauges: its rows are labels and a value.
pub(crate) fn family<'a>(
    name: &str,
    help: &str,
    kind: MetricType,
    rows: impl Iterator<Item = (&'a [(String, String)], f64)>,
) -> MetricFamily {
    named(name, help, kind, rows.map(|(labels, value)| metric(kind, labels, value)).collect())
}

/// A family of these rows.
pub(crate) fn named(name: &str, help: &str, kind: MetricType, rows: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(rows);
    family
}

/// A row without a value.
pub(crate) fn labelled(labels: &[(String, String)]) -> Metric {
    Metric::from_label(labels.iter().map(label).collect())
}

fn metric(kind: MetricType, labels: &[(String, String)], value: f64) -> Metric {
    let mut metric = labelled(labels);
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn label((name, value): &(String, String)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.clone());
    pair.set_value(value.clone());
    pair
}

/// A series as the text format writes it: `name{label="value",…}`.
pub(crate) fn series(name: &str, labels: &[(&str, &str)]) -> String {
    let mut series = name.to_owned();
    for (i, (label, value)) in labels.iter().enumerate() {
        let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let before = if i == 0 { '{' } else { ',' };
        write!(series, "{before}{label}=\"{value}\"").expect("a String takes everything");
    }
    if !labels.is_empty() {
        series.push('}');
    }
    series
}
