//! Of a sweep that was made up: no run is needed to see what is made of its figures.

use super::*;
use crate::replications::Figures;

/// Runs whose every figure is `value` and a bit more from seed to seed.
fn runs(value: f64, n: u64) -> Replications {
    let run = |seed: u64| (seed, Figures::same(Some(value * (1.0 + seed as f64 / 100.0))));
    Replications::of(&(0..n).map(run).collect::<Vec<_>>())
}

fn point(label: &str, value: f64, live: u64) -> Point {
    Point {
        label: label.to_owned(),
        overrides: vec![("a.b_ms".to_owned(), label.to_owned())],
        simulated: runs(value, 10),
        live: runs(value, live),
        live_runs: (0..live).map(|n| format!("{label}-{n}")).collect(),
        left_out: usize::from(live == 0),
    }
}

fn sweep(points: Vec<Point>, references: Vec<Point>) -> Sweep {
    Sweep {
        schema_version: SCHEMA_VERSION,
        started_unix_ns: 0,
        command: vec!["galton".to_owned()],
        version: "0".to_owned(),
        host: HostInfo { cpus: 1, kernel: String::new(), cpu_model: String::new() },
        name: "x".to_owned(),
        sentence: "A scenario.".to_owned(),
        time_scale: 1.0,
        profile: None,
        key: "a.b_ms".to_owned(),
        shown: DEFAULT_FIGURES.to_vec(),
        points,
        references,
    }
}

fn typical() -> Sweep {
    let points = vec![point("0", 1e6, 2), point("10", 2e6, 0), point("<b>", 3e6, 1)];
    sweep(points, vec![point("arch=lc", 5e5, 1)])
}

#[test]
fn the_table_has_a_line_per_value_and_fits_a_terminal() {
    let table = typical().to_table();
    let blocks: Vec<&str> = table.split("\n\n").collect();
    assert_eq!(blocks.len(), DEFAULT_FIGURES.len());
    let p99: Vec<&str> = blocks[3].lines().collect();
    assert!(p99[0].starts_with("response p99") && p99[0].ends_with("live"), "{table}");
    assert_eq!(p99[1], "0                      1.04 ms  [1.02, 1.07 ms]      [1, 1.09 ms]         1.00 ms");
    assert!(p99[2].starts_with("10 ") && p99[2].ends_with("2.18 ms]"), "no live run: {table}");
    assert!(p99[4].starts_with("arch=lc "), "{table}");
    assert!(blocks[..5].iter().flat_map(|block| block.lines()).all(|line| line.chars().count() <= 90), "{table}");
}

#[test]
fn the_csv_has_a_line_per_value_and_figure() {
    let csv = typical().to_csv();
    assert_eq!(csv.lines().count(), 1 + 4 * Figures::names().count());
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == columns), "{csv}");
    assert!(csv.contains("\npoint,10,starts,count,2090000,") && csv.contains(",2000000,2180000,,0,0,0\n"), "{csv}");
    assert!(csv.contains("\nreference,arch=lc,starts,count,522500,"), "{csv}");
    let awkward = sweep(vec![point("[1,\"2\"]", 1.0, 0)], Vec::new()).to_csv();
    assert!(awkward.contains("\npoint,\"[1,\"\"2\"\"]\",response mean,"), "{awkward}");
}

#[test]
fn the_json_holds_every_run() {
    let found: serde_json::Value = serde_json::from_str(&typical().to_json()).unwrap();
    assert_eq!(found["points"][0]["simulated"]["seeds"].as_array().unwrap().len(), 10);
    assert_eq!(found["points"][0]["live"]["figures"][0]["values"], serde_json::json!([1e6, 1.01e6]));
    assert_eq!((&found["points"][1]["left_out"], &found["references"][0]["left_out"]), (&1.into(), &0.into()));
}

#[test]
fn the_drawing_has_every_panel_value_and_mark_and_needs_nothing_else() {
    let svg = typical().to_svg();
    let text = |words: &str| svg.lines().filter(|line| line.trim() == words).count();
    let titles = ["retries per request", "starts", "targets mean", "response p99 (ms)", "overhead mean (ms)"];
    assert_eq!(titles.map(text), [1; 5]);
    assert_eq!(text("b (ms)"), DEFAULT_FIGURES.len(), "an axis title per panel");
    assert_eq!(text("&lt;b&gt;"), DEFAULT_FIGURES.len(), "a value is text");
    // Three live runs of values per panel, and one mark in the legend.
    let live = svg.lines().filter(|line| line.starts_with("<circle") && line.contains("#D23C4A")).count();
    assert_eq!(live, 3 * DEFAULT_FIGURES.len() + 1, "{svg}");
    for fetched in ["href", "@import", "url(", "<script"] {
        assert!(!svg.contains(fetched), "{fetched}");
    }
}

#[test]
fn one_value_without_figures_or_live_runs_is_drawn_too() {
    let mut alone = sweep(vec![point("only", 0.0, 0)], Vec::new());
    assert!(alone.to_svg().contains("only"));
    let nothing = Replications::of(&[(1, Figures::same(None))]);
    alone.points[0].simulated = nothing;
    assert!(alone.to_svg().contains("retries per request") && alone.to_table().contains("n/a"));
    assert!(!alone.to_svg().contains("live run"));
}

#[test]
fn lower_bounds_are_marked_everywhere() {
    let mut sweep = typical();
    let mut all: Vec<_> = (0..9).map(|seed| (seed, Figures::same(Some(1e6)))).collect();
    all.push((9, Figures::at_least(5e6)));
    sweep.points[1].simulated = Replications::of(&all);
    sweep.points[0].live = Replications::of(&all[8..]);
    let (table, csv, svg) = (sweep.to_table(), sweep.to_csv(), sweep.to_svg());
    let p99: Vec<&str> = table.split("\n\n").nth(3).unwrap().lines().collect();
    assert!(p99[1].ends_with("≥ 3 ms"), "{table}");
    assert!(p99[2].contains("≥ 1.40 ms  [") && p99[2].contains(", –]"), "{table}");
    let line = csv.lines().find(|line| line.starts_with("point,10,response p99,")).unwrap();
    assert!(
        line.ends_with(",,0,1,0") && line.contains(",ns,1400000,") && line.contains(",,1000000,5000000,"),
        "{line}"
    );
    assert!(svg.contains("triangle: at least this much") && !typical().to_svg().contains("triangle:"));
    let marks = |svg: &str| svg.lines().filter(|line| line.starts_with("<polygon")).count();
    // The mean of a point and a run of another per panel, one dark band more in pieces, and the legend's.
    assert!(marks(&svg) > marks(&typical().to_svg()) + 2 * DEFAULT_FIGURES.len(), "{svg}");
}
