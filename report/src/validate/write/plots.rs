//! What each plot of a scenario shows: the ensemble as its mean within its 95 % band, every live run as a line over it.

use std::collections::BTreeSet;

use galton_core::Scenario;
use serde_json::{Value, json};

use crate::stats::needed;
use crate::validate::courses::{Course, Courses};
use crate::validate::observed::Observed;
use crate::validate::range::Range;
use crate::write::page::{number, series};

/// Places of a distribution function, evenly spaced in probability.
const GRID: u32 = 200;
/// The quantile at which the plots of the response time end; one request in a thousand would squeeze all the others.
const MOST_SHOWN: f64 = 0.999;
/// Colour of the live runs.
const LIVE: &str = "c3";
/// Colour of the ensemble.
const ENSEMBLE: &str = "c1";

/// One plot.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    pub(super) id: String,
    pub(super) title: &'static str,
    pub(super) caption: &'static str,
    pub(super) wide: bool,
    pub(super) spec: Value,
}

/// All plots of a scenario.
pub(super) fn all(scenario: &Scenario, live: &[Observed], ensemble: &[Observed]) -> Vec<Plot> {
    let name = &anchor(&scenario.name);
    let course = |of: fn(&Observed) -> &Course| {
        Courses::of(&live.iter().map(of).collect::<Vec<_>>(), &ensemble.iter().map(of).collect::<Vec<_>>())
    };
    let fleet = over_time(name, "fleet", scenario, "targets", course(|run| &run.fleet));
    let in_flight = over_time(name, "in-flight", scenario, "requests", course(|run| &run.in_flight));
    vec![
        Plot {
            id: format!("{name}-cdf"),
            title: "Response time, distribution",
            caption: "Share of the requests that were answered within a time, up to p99.9. Lines outside of the band are runs \
                      that no member of the ensemble resembles there.",
            wide: false,
            spec: distribution(name, live, ensemble),
        },
        Plot {
            id: format!("{name}-qq"),
            title: "Response time, quantile against quantile",
            caption: "Each quantile of a live run over the same quantile of the ensemble, up to p99.9. On the dashed line they are \
                      equal; above it the live run is slower.",
            wide: false,
            spec: quantiles(name, live, ensemble),
        },
        Plot {
            id: format!("{name}-retries"),
            title: "Retries per request",
            caption: "Share of the requests by number of retries, on a logarithmic axis. Bars: the ensemble, full up to the \
                      lower end of its 95 % range and pale up to the upper one. Rings: live runs.",
            wide: true,
            spec: retries(name, live, ensemble),
        },
        Plot {
            id: format!("{name}-fleet"),
            title: "Fleet over time",
            caption: "Ready targets. Shaded: what the statistics leave out.",
            wide: true,
            spec: fleet,
        },
        Plot {
            id: format!("{name}-in-flight"),
            title: "In flight over time",
            caption: "Requests held by all targets together.",
            wide: true,
            spec: in_flight,
        },
    ]
}

/// A name as part of an element's id.
pub(super) fn anchor(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// The band's two sides, the live runs, and over them the mean.
fn lines(style: &str, ensemble: &[Option<Range>], live: &[Vec<Option<f64>>]) -> Vec<Value> {
    let of = |value: fn(&Range) -> f64| ensemble.iter().map(|range| number(range.as_ref().map(value))).collect();
    let stepped = |label, color, special, values| {
        let mut line = series(label, color, special, values);
        line["stepped"] = json!(style == "step");
        line
    };
    let mut lines = vec![
        stepped("95 % up to", "band", "edge", of(|range| range.high)),
        stepped("95 % from", "band", "edge", of(|range| range.low)),
    ];
    for (i, run) in live.iter().enumerate() {
        let values = run.iter().map(|value| number(*value)).collect();
        lines.push(series(&format!("live {}", i + 1), LIVE, style, values));
    }
    lines.push(stepped("ensemble mean", ENSEMBLE, "dashed", of(|range| range.mean)));
    lines
}

fn over_time(name: &str, what: &str, scenario: &Scenario, y: &str, courses: Courses) -> Value {
    let simulation = &scenario.simulation;
    let bucket = courses.secs.get(1).copied().unwrap_or(1.0);
    let span = courses.secs.last().map_or(1.0, |last| last + bucket);
    json!({"id": format!("{name}-{what}"), "kind": "time", "group": name, "y": y, "span": [0.0, span], "band": [0, 1],
           "window": [simulation.warmup.as_secs_f64(), simulation.duration.as_secs_f64().min(span)],
           "x": courses.secs, "series": lines("step", &courses.ensemble, &courses.live)})
}

/// Evenly spaced probabilities up to the last quantile that every run bears.
fn probabilities(live: &[Observed], ensemble: &[Observed]) -> Vec<f64> {
    let fewest = live.iter().chain(ensemble).map(|run| run.responses.len()).min().unwrap_or_default();
    let grid = (1..GRID).map(|k| f64::from(k) / f64::from(GRID)).chain([MOST_SHOWN]);
    grid.filter(|q| fewest as u64 >= needed(*q)).collect()
}

fn quantile_lines(runs: &[Observed], grid: &[f64]) -> Vec<Vec<Option<f64>>> {
    let ms = |run: &Observed, q: &f64| run.responses.quantile(*q).map(|ns| ns / 1e6);
    runs.iter().map(|run| grid.iter().map(|q| ms(run, q)).collect()).collect()
}

/// The range of the ensemble at each place.
fn ranges(members: &[Vec<Option<f64>>], places: usize) -> Vec<Option<Range>> {
    (0..places).map(|i| Range::of(members.iter().filter_map(|member| member[i]).collect())).collect()
}

/// Distribution functions, on places as dense as the requests are.
fn distribution(name: &str, live: &[Observed], ensemble: &[Observed]) -> Value {
    let grid = probabilities(live, ensemble);
    let quantiles = quantile_lines(live, &grid).into_iter().chain(quantile_lines(ensemble, &grid));
    let places: BTreeSet<u64> = quantiles.flatten().flatten().map(|ms| (ms * 1e3) as u64 + 1).collect();
    let places: Vec<u64> = thinned(places.into_iter().collect());
    let shares = |run: &Observed| -> Vec<Option<f64>> {
        places.iter().map(|us| Some(run.responses.share_up_to(*us as f64 * 1e3) * 100.0)).collect()
    };
    let members: Vec<_> = ensemble.iter().map(shares).collect();
    let live: Vec<_> = live.iter().map(shares).collect();
    let x: Vec<f64> = places.iter().map(|us| shown(*us as f64 / 1e3)).collect();
    json!({"id": format!("{name}-cdf"), "kind": "xy", "x_label": "response time, ms", "y": "% of the requests",
           "log_x": true, "span": ends(&x), "y_span": [0.0, 100.0], "band": [0, 1], "x": x, "series": lines("line", &ranges(&members, places.len()), &live)})
}

/// A time on a logarithmic axis, in milliseconds: rounded to what a screen shows, and above 0.
fn shown(ms: f64) -> f64 {
    ((ms * 1e3).round() / 1e3).max(1e-3)
}

/// The first and the last place of an axis.
fn ends(x: &[f64]) -> [f64; 2] {
    [x.first().copied().unwrap_or(1.0), x.last().copied().unwrap_or(1.0)]
}

/// At most a few times as many places as the grid has.
fn thinned(places: Vec<u64>) -> Vec<u64> {
    let step = places.len().div_ceil(4 * GRID as usize).max(1);
    let last = places.last().copied();
    let mut kept: Vec<u64> = places.into_iter().step_by(step).collect();
    kept.extend(last.filter(|last| kept.last() != Some(last)));
    kept
}

fn quantiles(name: &str, live: &[Observed], ensemble: &[Observed]) -> Value {
    let grid = probabilities(live, ensemble);
    let ranges = ranges(&quantile_lines(ensemble, &grid), grid.len());
    let x: Vec<f64> = ranges.iter().map(|range| range.map_or(0.0, |range| range.mean)).map(shown).collect();
    let mut lines = lines("line", &ranges, &quantile_lines(live, &grid));
    // The mean over itself is where the two are equal.
    if let Some(equal) = lines.last_mut() {
        equal["label"] = json!("equal");
    }
    json!({"id": format!("{name}-qq"), "kind": "xy", "x_label": "ensemble, ms", "y": "live, ms", "band": [0, 1],
           "log_x": true, "log_y": true, "span": ends(&x), "x": x, "series": lines})
}

fn retries(name: &str, live: &[Observed], ensemble: &[Observed]) -> Value {
    let keys: BTreeSet<Option<u32>> = live.iter().chain(ensemble).flat_map(|run| run.retries.keys().copied()).collect();
    let share = |run: &Observed, key: &Option<u32>| run.retries.get(key).copied().unwrap_or_default() * 100.0;
    let range = |key: &Option<u32>| Range::of(ensemble.iter().map(|run| share(run, key)).collect());
    let ranges: Vec<_> = keys.iter().map(range).collect();
    // Nothing has no place on a logarithmic axis.
    let some = |value: f64| number(Some(value).filter(|share| *share > 0.0));
    let of = |value: fn(&Range) -> f64| -> Vec<Value> {
        ranges.iter().map(|range| range.as_ref().map_or(Value::Null, |range| some(value(range)))).collect()
    };
    let mut lines = vec![
        series("ensemble, 95 % up to", "band", "bars", of(|range| range.high)),
        series("ensemble, 95 % from", ENSEMBLE, "bars", of(|range| range.low)),
    ];
    for (i, run) in live.iter().enumerate() {
        let values = keys.iter().map(|key| some(share(run, key))).collect();
        lines.push(series(&format!("live {}", i + 1), LIVE, "marks", values));
    }
    let label = |key: &Option<u32>| key.map_or_else(|| "no attempt".to_owned(), |retries| retries.to_string());
    json!({"id": format!("{name}-retries"), "kind": "bars", "overlaid": true, "log_y": true, "x_label": "retries",
           "y": "% of the requests", "labels": keys.iter().map(label).collect::<Vec<_>>(), "series": lines})
}
