//! Draws a view: a pure function of the figures and of the size that there is.
//!
//! 80 × 24 holds everything. What does not fit goes in this order: the plots, the right column, the percentiles; a single line
//! still says how far the run is.

use galton_core::Nanos;
use galton_report::Verdict;
use galton_report::units::{self, digits, time};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, LineGauge, Paragraph};

use super::plots;
use super::view::{COLUMNS, Phase, Rate, Row, View};

/// Title, model and gauge.
const HEAD_ROWS: u16 = 3;
/// A heading and eight lines of figures.
const TABLE_ROWS: u16 = 9;
const FOOT_ROWS: u16 = 1;
/// Below it a plot says nothing.
const LEAST_PLOT_ROWS: u16 = 6;
/// Below it there is one column.
const TWO_COLUMNS: u16 = 76;
const COUNTS_WIDTH: u16 = 30;
/// Room for the name of a row of latencies: four columns of nine beside it fill what 80 columns leave.
const NAME: usize = 13;
/// Below it head and foot are left out.
const LEAST_ROWS: u16 = 8;

/// With what is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ink {
    /// Colours; without them all is told by signs and words anyway.
    pub(crate) colour: bool,
    /// The display stands still.
    pub(crate) paused: bool,
}

/// Draws the run onto the whole screen.
pub(crate) fn draw(frame: &mut Frame<'_>, view: &View, ink: Ink) {
    let area = frame.area();
    if area.height < LEAST_ROWS {
        return small(frame, area, view, ink);
    }
    let plots_fit = area.height >= HEAD_ROWS + TABLE_ROWS + LEAST_PLOT_ROWS + FOOT_ROWS;
    let table = if plots_fit { Constraint::Length(TABLE_ROWS) } else { Constraint::Fill(1) };
    let plot = if plots_fit { Constraint::Fill(1) } else { Constraint::Length(0) };
    let rows = [Constraint::Length(HEAD_ROWS), table, plot, Constraint::Length(FOOT_ROWS)];
    let [head, tables, plots, foot] = Layout::vertical(rows).areas(area);
    draw_head(frame, head, view, ink);
    if area.width >= TWO_COLUMNS {
        let columns = [Constraint::Length(COUNTS_WIDTH), Constraint::Fill(1)];
        let [left, right] = Layout::horizontal(columns).spacing(1).areas(tables);
        counts(frame, left, view, ink);
        latencies(frame, right, view, ink);
    } else {
        let [top, rest] = Layout::vertical([Constraint::Max(TABLE_ROWS), Constraint::Fill(1)]).areas(tables);
        counts(frame, top, view, ink);
        latencies(frame, rest, view, ink);
    }
    if plots_fit {
        draw_plots(frame, plots, view, ink);
    }
    frame.render_widget(verdict(view, ink), foot);
}

fn draw_plots(frame: &mut Frame<'_>, area: Rect, view: &View, ink: Ink) {
    if area.width < TWO_COLUMNS {
        return latencies(frame, area, view, ink);
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(1).areas(area);
    let [rates, times] = Layout::vertical([Constraint::Fill(2), Constraint::Fill(3)]).areas(left);
    plots::completed(frame, rates, view, ink);
    plots::times(frame, times, view, ink);
    plots::histogram(frame, right, view, ink);
}

/// No room for tables: the gauge, and as many lines as there are.
fn small(frame: &mut Frame<'_>, area: Rect, view: &View, ink: Ink) {
    let [top, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    frame.render_widget(gauge(view, ink), top);
    let response = &view.latencies[0].figures;
    let lines = vec![
        Line::from(format!("{} done, {} in flight", view.done, view.in_flight)),
        Line::from(format!("{} errors", errors(view))),
        Line::from(format!("p50 {}, p99 {}", response[0].print(), response[2].print())),
        verdict(view, ink),
    ];
    frame.render_widget(Paragraph::new(lines), rest);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View, ink: Ink) {
    let [title, model, bar] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
    let keys = if ink.paused { " paused   p go on   q stop " } else { " p pause   q stop " };
    let columns = [Constraint::Fill(1), Constraint::Length(keys.len() as u16)];
    let [left, right] = Layout::horizontal(columns).areas(title);
    let url = Span::styled(format!(" loadgen  {}", view.title.url), ink.bold());
    frame.render_widget(Paragraph::new(url), left);
    frame.render_widget(Paragraph::new(Span::styled(keys, ink.dim())), right);
    frame.render_widget(Paragraph::new(format!(" {}", view.title.words)), model);
    frame.render_widget(gauge(view, ink), bar);
}

fn gauge(view: &View, ink: Ink) -> LineGauge<'static> {
    let elapsed = clock(view.elapsed.as_secs());
    let label = match (view.phase, view.share, view.left) {
        (Phase::Stopping, ..) => format!(" stopping after {elapsed}"),
        (Phase::Draining, ..) => format!(" {elapsed}, waiting for {} in flight", view.in_flight),
        (Phase::Sending, Some(share), Some(left)) => {
            format!(" {:3.0} %  {elapsed}, {} left", share * 100.0, clock(left.as_secs_f64().ceil() as u64))
        }
        (Phase::Sending, ..) => format!(" {elapsed}"),
    };
    LineGauge::default()
        .ratio(view.share.unwrap_or(0.0).clamp(0.0, 1.0))
        .label(label)
        .filled_symbol("█")
        .unfilled_symbol("░")
        .filled_style(ink.of(Color::Cyan))
        .unfilled_style(ink.dim())
}

fn counts(frame: &mut Frame<'_>, area: Rect, view: &View, ink: Ink) {
    let of = view.planned.map_or(String::new(), |n| format!(" of {n}"));
    let mut lines = vec![
        pair("sent", &format!("{}{of}", view.sent)),
        pair("done", &view.done.to_string()),
        pair("in flight", &view.in_flight.to_string()),
        pair("offered", &rates(view.offered)),
        pair("completed", &rates(view.completed)),
    ];
    lines.extend(view.outcomes.iter().map(|(name, n)| {
        let style = match name.as_str() {
            "ok" if *n > 0 => ink.of(Color::Green),
            "ok" => Style::default(),
            _ => ink.of(Color::Red),
        };
        pair(name, &n.to_string()).style(style)
    }));
    frame.render_widget(Paragraph::new(lines).block(heading("requests", ink)), area);
}

/// Now, and since the beginning.
fn rates(rate: Rate) -> String {
    format!("{}/s, all {}/s", short(rate.now), short(rate.overall))
}

fn short(rate: f64) -> String {
    if rate < 9_995.0 { digits(rate) } else { format!("{}k", digits(rate / 1e3)) }
}

fn latencies(frame: &mut Frame<'_>, area: Rect, view: &View, ink: Ink) {
    let mut header = " ".repeat(NAME);
    for (name, _) in COLUMNS {
        header.push_str(&format!("{name:>9}"));
    }
    let mut lines = vec![Line::styled(header, ink.dim())];
    lines.extend(view.latencies.iter().map(row));
    lines.push(Line::default());
    lines.push(cpu(view));
    // More reasons than one, where there is room; the first stands at the foot.
    lines.extend(view.reasons.iter().skip(1).map(|text| Line::from(text.clone())));
    frame.render_widget(Paragraph::new(lines).block(heading("latency", ink)), area);
}

fn row(row: &Row) -> Line<'static> {
    let mut text = format!("{:NAME$}", row.name);
    for figure in row.figures {
        text.push_str(&format!("{:>9}", figure.print()));
    }
    Line::from(text)
}

fn cpu(view: &View) -> Line<'static> {
    let (now, peak) = (view.cpu_now * 100.0, view.cpu_peak * 100.0);
    Line::from(format!("generator CPU {now:.0} %, sending thread at most {peak:.0} %"))
}

fn verdict(view: &View, ink: Ink) -> Line<'static> {
    let style = match view.verdict {
        Verdict::Valid => ink.of(Color::Green),
        Verdict::Suspect => ink.of(Color::Yellow),
        Verdict::Invalid => ink.of(Color::Red),
    };
    let reason = view.reasons.first().map_or(String::new(), |text| format!(": {text}"));
    let so_far = Span::styled(view.verdict.to_string(), style.add_modifier(Modifier::BOLD));
    Line::from(vec![Span::raw(" so far "), so_far, Span::raw(reason)])
}

fn errors(view: &View) -> u64 {
    view.outcomes.iter().filter(|(name, _)| name != "ok").map(|(_, n)| n).sum()
}

fn pair(name: &str, value: &str) -> Line<'static> {
    // A long name still gets its space.
    Line::from(format!("{name:<9} {value}"))
}

/// A line above with a name in it: borders all around would cost a quarter of a small screen.
pub(super) fn heading(name: &str, ink: Ink) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(ink.dim()).title(Span::styled(format!(" {name} "), ink.bold()))
}

pub(super) fn duration(ns: u64) -> String {
    time(Nanos(ns))
}

pub(super) fn per_second(rate: u64) -> String {
    units::rate(rate as f64)
}

/// `1:02:03`, `02:03`.
fn clock(seconds: u64) -> String {
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m:02}:{s:02}") }
}

// === impl Ink ===

impl Ink {
    pub(super) fn of(self, colour: Color) -> Style {
        if self.colour { Style::default().fg(colour) } else { Style::default() }
    }

    pub(super) fn bold(self) -> Style {
        Style::default().add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim(self) -> Style {
        Style::default().add_modifier(Modifier::DIM)
    }
}

#[cfg(test)]
mod tests;
