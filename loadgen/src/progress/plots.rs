//! The plots of the terminal view: requests per second and response times over time, and response times by length.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph, Sparkline};

use super::draw::{Ink, duration, heading, per_second};
use super::view::{Bar, Second, View};

/// Room for a duration and a space.
const LABEL: usize = 10;
/// Room for a share.
const SHARE: usize = 8;

/// Completed requests in each of the last seconds.
pub(super) fn completed(frame: &mut Frame<'_>, area: Rect, view: &View, ink: Ink) {
    let seconds = latest(&view.seconds, area.width);
    let most = seconds.iter().map(|second| second.completed).max().unwrap_or(0);
    let name = format!("completed, each of {} s; most {}", seconds.len(), per_second(most));
    let line = Sparkline::default()
        .data(seconds.iter().map(|second| second.completed))
        .style(ink.of(Color::Cyan))
        .block(heading(&name, ink));
    frame.render_widget(line, area);
}

/// Median and 99th percentile of the response time in each of the last seconds.
pub(super) fn times(frame: &mut Frame<'_>, area: Rect, view: &View, ink: Ink) {
    let seconds = latest(&view.seconds, area.width);
    let of = |ns: fn(&Second) -> Option<u64>| -> Vec<(f64, f64)> {
        let points = seconds.iter().enumerate();
        points.filter_map(|(at, second)| Some((at as f64, ns(second)? as f64))).collect()
    };
    let (median, high) = (of(|second| second.p50_ns), of(|second| second.high_ns));
    let most = high.iter().map(|(_, ns)| *ns).fold(0.0, f64::max);
    let high_name = if seconds.iter().all(|second| second.bears_p99) { "p99" } else { "p99 or max" };
    let dataset = |name: &str, marker, points, colour| {
        let dataset = Dataset::default().name(name.to_owned()).marker(marker).graph_type(GraphType::Line);
        dataset.style(ink.of(colour)).data(points)
    };
    let datasets = vec![
        dataset("p50", Marker::Braille, &median, Color::Green),
        // Told apart without colours, too.
        dataset(high_name, Marker::Dot, &high, Color::Magenta),
    ];
    let y = [Line::from("0"), Line::from(duration(most as u64))];
    let last = (seconds.len().max(2) - 1) as f64;
    let chart = Chart::new(datasets)
        .block(heading(&format!("response time: ⠒ p50, • {high_name}"), ink))
        .legend_position(None)
        .x_axis(Axis::default().bounds([0.0, last]).style(ink.dim()))
        .y_axis(Axis::default().bounds([0.0, most.max(1.0)]).labels(y).style(ink.dim()));
    frame.render_widget(chart, area);
}

/// How many response times were how long.
pub(super) fn histogram(frame: &mut Frame<'_>, area: Rect, view: &View, ink: Ink) {
    let block = heading("response times so far", ink);
    let bars = fitting(&view.bars, block.inner(area).height);
    let total: u64 = bars.iter().map(|bar| bar.count).sum();
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1);
    let room = usize::from(area.width).saturating_sub(LABEL + SHARE + 3);
    let lines = bars.iter().map(|bar| {
        let length = (bar.count as f64 / most as f64 * room as f64).ceil() as usize;
        let share = bar.count as f64 / total as f64 * 100.0;
        Line::from(vec![
            Span::raw(format!("< {:>LABEL$} ", duration(bar.below_ns))),
            Span::styled(format!("{:<room$}", "█".repeat(length.min(room))), ink.of(Color::Cyan)),
            Span::raw(format!("{share:>6.2} %")),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

/// As many seconds as there are columns.
fn latest(seconds: &[Second], columns: u16) -> &[Second] {
    &seconds[seconds.len().saturating_sub(usize::from(columns))..]
}

/// As many bars as there are rows at most: neighbours become one.
fn fitting(bars: &[Bar], rows: u16) -> Vec<Bar> {
    let each = bars.len().div_ceil(usize::from(rows).max(1)).max(1);
    let merged = |bars: &[Bar]| {
        let count = bars.iter().map(|bar| bar.count).sum();
        Bar { below_ns: bars.last().map_or(0, |bar| bar.below_ns), count }
    };
    bars.chunks(each).map(merged).collect()
}
