//! `sweep.svg`: small multiples, one panel per figure, the values side by side below each. On white paper of its own, so that
//! it can be read on a page of any colour.
//!
//! The values stand at even distances: 0, 10, 30, 100 are usual, and of these neither a linear nor a logarithmic axis makes
//! a good one; a value may also be a word.

use std::io;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{tick, words};
use super::panel::{self, Panel};
use super::places::Places;
use super::{Point, Sweep};
use crate::replications::Replicated;
use crate::units::things;

/// Columns of panels.
const COLUMNS: usize = 2;
/// Width and height of a panel. The drawing counts in whole points and is shown smaller than this: they are to be fine enough.
const PANEL: (u32, u32) = (800, 500);
/// Left, right and below: around the drawing and around a panel.
const MARGIN: u32 = 30;
/// Height of a line of the head.
const LINE: u32 = 40;
/// Height of the title.
const TITLE: u32 = 60;
/// Width of the marks before the words of a legend.
const KEY: i32 = 80;

/// Sizes of letters: of the title, of a panel's, of everything else.
const LETTERS: (u32, u32, u32) = (40, 34, 28);
const FAMILY: &str = "sans-serif";

const PAPER: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(29, 36, 48);
const SOFT: RGBColor = RGBColor(92, 102, 117);
const GRID: RGBColor = RGBColor(223, 227, 233);
/// Simulated.
const CURVE: RGBColor = RGBColor(47, 111, 222);
/// Live: not a shade of the curve, as it lies on it.
const LIVE: RGBColor = RGBColor(210, 60, 74);
/// One reference after the other; more begin again.
const REFERENCES: [RGBColor; 4] =
    [RGBColor(26, 156, 107), RGBColor(138, 92, 209), RGBColor(224, 138, 0), RGBColor(14, 155, 179)];

/// How much of a colour bands have: of all runs, of the mean.
const PALE: (f64, f64) = (0.12, 0.28);
const THICK: u32 = 4;
/// Dash and gap of a reference.
const DASH: (u32, u32) = (16, 10);
/// Half the size of a mark.
const MARK: i32 = 9;
/// Room on the axis before the first value and after the last, where the marks of the references are.
const ROOM: (f64, f64) = (0.4, 0.8);
/// How far the marks of the references are from the end of the axis.
const BESIDE: f64 = 0.25;
/// A line of the axis and its number for so many points of height.
const NUMBERS: usize = 6;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<io::Error>>;

// === impl Sweep ===

impl Sweep {
    /// `sweep.svg`: one file that needs no other, and no font but the reader's own.
    pub fn to_svg(&self) -> String {
        let mut text = String::new();
        draw(self, &mut text).expect("a string takes everything");
        text
    }
}

fn draw(sweep: &Sweep, text: &mut String) -> Drawn {
    let panels = panel::all(sweep);
    let columns = panels.len().clamp(1, COLUMNS);
    let rows = panels.len().div_ceil(columns);
    let legend = legend(sweep);
    let head = TITLE + LINE * legend.len() as u32 + MARGIN;
    // The head needs the width of two panels even where there is but one.
    let size = (PANEL.0 * COLUMNS as u32 + MARGIN, head + PANEL.1 * rows as u32 + MARGIN);
    let root = SVGBackend::with_string(text, size).into_drawing_area();
    root.fill(&PAPER)?;
    let (top, below) = root.split_vertically(head);
    draw_head(sweep, &legend, &top)?;
    let cells = below.margin(0, MARGIN, 0, MARGIN).split_evenly((rows.max(1), columns));
    for (panel, area) in panels.iter().zip(&cells) {
        draw_panel(sweep, panel, area)?;
    }
    root.present()
}

// === head ===

/// A line of the legend.
struct Entry {
    mark: Mark,
    words: String,
}

/// What stands before it.
#[derive(Clone, Copy)]
enum Mark {
    Curve,
    Live,
    AtLeast,
    Reference(usize),
}

fn legend(sweep: &Sweep) -> Vec<Entry> {
    let simulated = format!(
        "simulated: mean of {}; dark band: its 95 % interval, pale band: from the lowest to the highest seed",
        things(sweep.seeds() as u64, "seed")
    );
    let live = sweep.all().any(|point| !point.live_runs.is_empty());
    let curve = Entry { mark: Mark::Curve, words: simulated };
    let live = live.then(|| Entry { mark: Mark::Live, words: "live run".to_owned() });
    let reference = |(at, label): (usize, &str)| {
        let words = format!("{label}, simulated; diamond: live run");
        let words = if live.is_some() { words } else { format!("{label}, simulated") };
        Entry { mark: Mark::Reference(at), words }
    };
    let references = sweep.references.iter().map(|point| point.label.as_str()).enumerate().map(reference);
    let references: Vec<Entry> = references.collect();
    let bounds = sweep.shown.iter().any(|figure| {
        let both = |point: &Point| {
            [point.simulated(figure), point.live(figure)].map(|of| of.is_some_and(Replicated::is_censored))
        };
        sweep.all().any(|point| both(point).contains(&true))
    });
    let words = "triangle: at least this much, as requests timed out".to_owned();
    let at_least = bounds.then_some(Entry { mark: Mark::AtLeast, words });
    std::iter::once(curve).chain(live).chain(at_least).chain(references).collect()
}

fn draw_head(sweep: &Sweep, legend: &[Entry], area: &Area<'_>) -> Drawn {
    let left = MARGIN as i32;
    let title = format!("{}: {}", sweep.name, sweep.key);
    area.draw(&Text::new(title, (left, left / 2), (FAMILY, LETTERS.0).into_font().style(FontStyle::Bold).color(&INK)))?;
    for (n, entry) in legend.iter().enumerate() {
        let y = (TITLE + LINE * n as u32 + LINE / 2) as i32;
        draw_key(entry.mark, (left, y), area)?;
        let place = Pos::new(HPos::Left, VPos::Center);
        let style = (FAMILY, LETTERS.2).into_font().color(&INK).pos(place);
        area.draw(&Text::new(entry.words.clone(), (left + KEY, y), style))?;
    }
    Ok(())
}

fn draw_key(mark: Mark, (x, y): (i32, i32), area: &Area<'_>) -> Drawn {
    let (end, middle) = (x + KEY * 3 / 4, x + KEY * 3 / 8);
    let line = |colour: RGBColor, from, to| PathElement::new([(from, y), (to, y)], colour.stroke_width(THICK));
    match mark {
        Mark::Curve => {
            let band = |reach: i32| [(x, y - reach), (end, y + reach)];
            area.draw(&Rectangle::new(band(14), CURVE.mix(PALE.0).filled()))?;
            area.draw(&Rectangle::new(band(7), CURVE.mix(PALE.1).filled()))?;
            area.draw(&line(CURVE, x, end))
        }
        Mark::Live => area.draw(&Circle::new((middle, y), MARK, LIVE.filled())),
        Mark::AtLeast => area.draw(&(EmptyElement::at((middle, y)) + triangle(INK))),
        Mark::Reference(at) => {
            let (dash, gap) = (DASH.0 as i32, DASH.1 as i32);
            for from in (x..end).step_by((dash + gap) as usize) {
                area.draw(&line(reference_colour(at), from, (from + dash).min(end)))?;
            }
            Ok(())
        }
    }
}

fn reference_colour(at: usize) -> RGBColor {
    REFERENCES[at % REFERENCES.len()]
}

// === panel ===

fn draw_panel(sweep: &Sweep, panel: &Panel, area: &Area<'_>) -> Drawn {
    let labels: Vec<String> = sweep.points.iter().map(|point| point.label.clone()).collect();
    let count = labels.len();
    let room = (ROOM.0, if panel.references.is_empty() { ROOM.0 } else { ROOM.1 });
    let places = Places::new(labels, room);
    let Range { start: from, end: to } = places.range();
    let title = (FAMILY, LETTERS.1).into_font().style(FontStyle::Bold).color(&INK);
    let letters = (FAMILY, LETTERS.2).into_font();
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN / 2)
        .caption(&panel.title, title)
        .x_label_area_size(LINE * 2)
        .y_label_area_size(LINE * 2)
        .build_cartesian_2d(places, panel.ends.0..panel.ends.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(2))
        .axis_style(SOFT.stroke_width(2))
        .label_style(letters.clone().color(&SOFT))
        .axis_desc_style(letters.color(&INK))
        .x_labels(count)
        .y_labels(NUMBERS)
        .y_label_formatter(&tick)
        .x_desc(words(&sweep.key))
        .draw()?;
    for (bands, share) in [(&panel.spreads, PALE.0), (&panel.intervals, PALE.1)] {
        chart.draw_series(stretches(bands).map(|band| Polygon::new(outline(&band), CURVE.mix(share).filled())))?;
    }
    for (at, reference) in panel.references.iter().enumerate() {
        let ends = reference.mean.iter().flat_map(|mean| [(from, *mean), (to, *mean)]);
        let style = reference_colour(at).stroke_width(THICK);
        chart.draw_series(DashedLineSeries::new(ends, DASH.0, DASH.1, style))?;
    }
    for stretch in stretches(&panel.means) {
        chart.draw_series([PathElement::new(stretch.clone(), CURVE.stroke_width(THICK))])?;
        chart.draw_series(stretch.into_iter().map(|place| Circle::new(place, MARK / 2, CURVE.filled())))?;
    }
    let live = panel.live.iter().enumerate().flat_map(|(n, runs)| runs.iter().map(move |(y, _)| (n as f64, *y)));
    chart.draw_series(live.map(|place| Circle::new(place, MARK, LIVE.filled())))?;
    for (at, reference) in panel.references.iter().enumerate() {
        let runs = reference.live.iter().map(|(y, _)| (to - BESIDE, *y));
        chart.draw_series(runs.map(|place| EmptyElement::at(place) + diamond(reference_colour(at))))?;
    }
    let bounds = lower_bounds(panel, to).into_iter();
    chart.draw_series(bounds.map(|(place, colour)| EmptyElement::at(place) + triangle(colour)))?;
    Ok(())
}

/// What is but a lower bound, and its colour. `end`: of the axis.
fn lower_bounds(panel: &Panel, end: f64) -> Vec<((f64, f64), RGBColor)> {
    let means = panel.means.iter().zip(&panel.at_least).enumerate();
    let means = means.filter_map(|(n, (mean, at_least))| Some(((n as f64, (*mean)?), CURVE)).filter(|_| *at_least));
    let marked = |runs: &[(f64, bool)], x: f64, colour: RGBColor| {
        let marked: Vec<_> = runs.iter().filter(|(_, at_least)| *at_least).map(|(y, _)| ((x, *y), colour)).collect();
        marked
    };
    let live = panel.live.iter().enumerate().flat_map(|(n, runs)| marked(runs, n as f64, LIVE));
    let references = panel.references.iter().enumerate().flat_map(|(at, reference)| {
        let mean = reference.mean.map(|mean| (mean, reference.at_least));
        let [mean, live] =
            [mean.as_slice(), reference.live.as_slice()].map(|runs| marked(runs, end - BESIDE, reference_colour(at)));
        mean.into_iter().chain(live)
    });
    means.chain(live).chain(references).collect()
}

/// Upwards, above what it marks.
fn triangle(colour: RGBColor) -> Polygon<(i32, i32)> {
    let (near, far) = (-MARK, -MARK * 3);
    Polygon::new([(-MARK, near), (MARK, near), (0, far)], colour.filled())
}

fn diamond(colour: RGBColor) -> Polygon<(i32, i32)> {
    let reach = MARK * 5 / 4;
    Polygon::new([(0, -reach), (reach, 0), (0, reach), (-reach, 0)], colour.filled())
}

/// Neighbours that are known, with their places: where a value has no figure, the curve has a gap.
fn stretches<T: Copy>(values: &[Option<T>]) -> impl Iterator<Item = Vec<(f64, T)>> {
    let placed: Vec<Option<(f64, T)>> =
        values.iter().enumerate().map(|(n, value)| value.map(|value| (n as f64, value))).collect();
    let stretches: Vec<Vec<(f64, T)>> =
        placed.split(Option::is_none).map(|stretch| stretch.iter().flatten().copied().collect()).collect();
    stretches.into_iter().filter(|stretch: &Vec<(f64, T)>| !stretch.is_empty())
}

/// Along the lower ends, and back along the upper ones.
fn outline(band: &[(f64, (f64, f64))]) -> Vec<(f64, f64)> {
    let lower = band.iter().map(|(x, (lo, _))| (*x, *lo));
    lower.chain(band.iter().rev().map(|(x, (_, hi))| (*x, *hi))).collect()
}
