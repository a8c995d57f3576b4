//! What one panel of the drawing holds: a figure over the values, in the unit it is drawn in.

use super::axis::{self, Scale};
use super::{Point, Sweep, range};
use crate::replications::Replicated;

/// One figure over the values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Panel {
    /// The figure and its unit.
    pub(super) title: String,
    /// Lower and upper end of the axis.
    pub(super) ends: (f64, f64),
    /// The simulated means; none: no run has the figure.
    pub(super) means: Vec<Option<f64>>,
    /// Which of them are lower bounds.
    pub(super) at_least: Vec<bool>,
    /// The 95 % interval of each mean.
    pub(super) intervals: Vec<Option<(f64, f64)>>,
    /// From the lowest to the highest of the simulated runs.
    pub(super) spreads: Vec<Option<(f64, f64)>>,
    /// What each live run found, and whether that is a lower bound.
    pub(super) live: Vec<Vec<(f64, bool)>>,
    /// What the values are to be seen against.
    pub(super) references: Vec<Reference>,
}

/// A figure that does not depend on the value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference {
    /// The simulated mean.
    pub(super) mean: Option<f64>,
    /// The mean is a lower bound.
    pub(super) at_least: bool,
    /// What each live run found, and whether that is a lower bound.
    pub(super) live: Vec<(f64, bool)>,
}

/// One panel per figure that is shown.
pub(super) fn all(sweep: &Sweep) -> Vec<Panel> {
    sweep.shown.iter().map(|figure| panel(sweep, figure)).collect()
}

fn panel(sweep: &Sweep, figure: &str) -> Panel {
    let everything: Vec<f64> = sweep.all().flat_map(|point| numbers(point, figure)).collect();
    let highest = everything.iter().copied().fold(0.0, f64::max);
    let lowest = everything.iter().copied().fold(highest, f64::min);
    let unit = sweep.points.iter().find_map(|point| Some(point.simulated(figure)?.unit));
    let scale = unit.map_or(Scale { unit: "", size: 1.0 }, |unit| Scale::of(unit, highest));
    let scaled = |(lo, hi): (f64, f64)| (lo.max(0.0) / scale.size, hi / scale.size);
    let simulated = |point: &Point| point.simulated(figure).cloned();
    let points: Vec<_> = sweep.points.iter().map(simulated).collect();
    let found = |point: &Point| live(point, figure).map(|(value, at_least)| (value / scale.size, at_least)).collect();
    let reference = |point: &Point| Reference {
        mean: simulated(point).and_then(|figure| Some(figure.mean? / scale.size)),
        at_least: simulated(point).is_some_and(|figure| figure.is_censored()),
        live: found(point),
    };
    Panel {
        title: scale.title(figure),
        ends: axis::ends(lowest / scale.size, highest / scale.size),
        means: points.iter().map(|figure| Some(figure.as_ref()?.mean? / scale.size)).collect(),
        at_least: points.iter().map(|figure| figure.as_ref().is_some_and(Replicated::is_censored)).collect(),
        intervals: points.iter().map(|figure| figure.as_ref()?.lo.zip(figure.as_ref()?.hi).map(scaled)).collect(),
        spreads: points.iter().map(|figure| range(figure.as_ref()?).map(scaled)).collect(),
        live: sweep.points.iter().map(found).collect(),
        references: sweep.references.iter().map(reference).collect(),
    }
}

/// What each live run found, and whether that is a lower bound.
fn live<'a>(point: &'a Point, figure: &str) -> impl Iterator<Item = (f64, bool)> + use<'a> {
    point.live(figure).into_iter().flat_map(Replicated::found)
}

/// Everything that must lie on the axis.
fn numbers(point: &Point, figure: &str) -> Vec<f64> {
    let simulated = point.simulated(figure);
    let interval = simulated.into_iter().flat_map(|figure| [figure.lo, figure.hi]).flatten();
    let runs = simulated.into_iter().flat_map(|figure| figure.values.iter().flatten().copied());
    interval.chain(runs).chain(live(point, figure).map(|(value, _)| value)).map(|value| value.max(0.0)).collect()
}
