use std::sync::Arc;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;
use crate::progress::figures::Figure;
use crate::progress::view::{Bar, Second, Title};

const INK: Ink = Ink { colour: true, paused: false };
const MS: u64 = 1_000_000;

fn view() -> View {
    let row = |name, ms: u64| Row { name, figures: [1, 2, 3, 4].map(|n| Figure::Value(n * ms * MS)) };
    let second = |n: u64| Second {
        completed: 900 + n,
        p50_ns: Some(n % 7 * MS),
        high_ns: Some((n % 7 + 5) * MS),
        bears_p99: true,
    };
    View {
        title: Arc::new(Title {
            url: "http://127.0.0.1:8080/".to_owned(),
            words: "seed 42: open loop, Poisson 1000/s; 30 s".to_owned(),
        }),
        phase: Phase::Sending,
        elapsed: Duration::from_secs(12),
        share: Some(0.4),
        left: Some(Duration::from_secs(18)),
        planned: Some(30_000),
        sent: 12_345,
        done: 12_340,
        in_flight: 5,
        outcomes: vec![("ok".to_owned(), 12_330), ("failed (connect)".to_owned(), 10)],
        offered: Rate { now: 1001.0, overall: 1000.0 },
        completed: Rate { now: 998.0, overall: 999.5 },
        latencies: vec![row("response", 10), row("  last 5 s", 20), row("send lag", 1), row("  last 5 s", 2)],
        seconds: (0..60).map(second).collect(),
        bars: (1..30).map(|n| Bar { below_ns: n * MS, count: n * 10 }).collect(),
        cpu_now: 0.123,
        cpu_peak: 0.456,
        verdict: Verdict::Valid,
        reasons: Vec::new(),
    }
}

fn buffer(view: &View, ink: Ink, width: u16, height: u16) -> ratatui::buffer::Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, ink)).unwrap().buffer.clone()
}

fn lines(view: &View, width: u16, height: u16) -> Vec<String> {
    let buffer = buffer(view, INK, width, height);
    let cells = buffer.content().chunks(usize::from(width));
    cells.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
}

#[track_caller]
fn assert_shows(lines: &[String], wanted: &[&str]) {
    for text in wanted {
        assert!(lines.iter().any(|line| line.contains(text)), "no {text:?} in\n{}", lines.join("\n"));
    }
}

#[test]
fn a_terminal_of_80_by_24_holds_everything() {
    let lines = lines(&view(), 80, 24);
    assert_shows(
        &lines,
        &[
            "loadgen  http://127.0.0.1:8080/",
            "p pause   q stop",
            "seed 42: open loop, Poisson 1000/s; 30 s",
            "40 %  00:12, 00:18 left",
            "sent      12345 of 30000",
            "in flight 5",
            "offered   1001/s, all 1000/s",
            "completed 998/s, all 1000/s",
            "ok        12330",
            "failed (connect) 10",
            "response         10 ms    20 ms    30 ms    40 ms",
            "  last 5 s        2 ms     4 ms     6 ms     8 ms",
            "generator CPU 12 %, sending thread at most 46 %",
            "completed, each of 40 s; most 959/s",
            "response time: ⠒ p50, • p99",
            "response times so far",
            "so far VALID",
        ],
    );
    assert!(lines[23].starts_with(" so far VALID"), "the verdict stands at the foot: {}", lines[23]);
    assert!(lines.iter().all(|line| !line.contains('…')));
}

#[test]
fn a_small_terminal_says_less_and_none_is_too_small() {
    assert_shows(&lines(&view(), 60, 20), &["sent      12345", "response ", "so far VALID"]);
    assert_shows(&lines(&view(), 80, 12), &["response  ", "so far VALID"]);
    assert_shows(&lines(&view(), 50, 18), &["sent      12345", "response  ", "VALID"]);
    assert_shows(&lines(&view(), 40, 8), &["00:12", "sent", "VALID"]);
    assert_shows(&lines(&view(), 20, 5), &["00:12", "12340 done", "10 errors", "p50 10 ms", "VALID"]);
    for width in [1, 2, 5, 10, 19, 30, 31, 45, 75, 76, 77, 200] {
        (1..=26).for_each(|height| drop(lines(&view(), width, height)));
    }
}

#[test]
fn nothing_yet_can_be_drawn() {
    let empty = Row { name: "", figures: [Figure::Needs(1); 4] };
    let view = View {
        share: None,
        left: None,
        planned: None,
        elapsed: Duration::ZERO,
        outcomes: Vec::new(),
        latencies: vec![empty; 4],
        seconds: Vec::new(),
        bars: Vec::new(),
        ..view()
    };
    for (width, height) in [(80, 24), (20, 5), (200, 60)] {
        assert_shows(&lines(&view, width, height), &["00:00"]);
    }
}

#[test]
fn what_speaks_against_the_measurement_is_shown() {
    let reasons = vec!["the generator did not keep up".to_owned(), "another one".to_owned()];
    let view = View { verdict: Verdict::Invalid, reasons, ..view() };
    assert_shows(&lines(&view, 80, 24), &["so far INVALID: the generator did not keep up", "another one"]);
}

#[test]
fn the_end_of_a_run_is_told() {
    let draining = View { phase: Phase::Draining, ..view() };
    assert_shows(&lines(&draining, 80, 24), &["00:12, waiting for 5 in flight"]);
    let stopping = View { phase: Phase::Stopping, ..view() };
    assert_shows(&lines(&stopping, 80, 24), &["stopping after 00:12"]);
}

#[test]
fn without_colours_there_are_none() {
    let coloured = |ink| buffer(&view(), ink, 80, 24).content().iter().any(|cell| cell.fg != Color::Reset);
    assert!(coloured(INK));
    assert!(!coloured(Ink { colour: false, ..INK }));
}
