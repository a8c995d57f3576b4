//! Figures over time: rates, the fleet, starts. Their resamples are of equal slices of time instead of requests.

use std::collections::{BTreeMap, BTreeSet};

use galton_core::record::{FleetEvent, FleetWhat};
use galton_core::{Nanos, TargetId};

use super::bootstrap::{Resamples, block_length};
use super::course::{Course, FEWEST_CYCLES};
use super::metric::Metric;
use super::subject::{Recorded, Request, Window};
use super::summary::{Estimate, Spread};
use crate::units::things;

/// Slices: fine enough to see a start, coarse enough that most rates have some requests in each.
const SLICES: usize = 500;
/// What makes the resamples of the two sides independent where they are not paired.
const KEYS: [u64; 2] = [101, 102];

/// What one side did over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct OverTime {
    series: BTreeMap<Metric, Series>,
    peak: Option<u32>,
}

/// A figure as a sum over slices of time, divided by something that is fixed.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    slices: Vec<u64>,
    divisor: f64,
    /// How often its course came round; none: it is as good as new with every request, or it never changes.
    cycles: Option<usize>,
}

/// Estimates of both sides. `paired`: slices of the same plan belong together.
pub(crate) fn estimates(a: &OverTime, b: &OverTime, paired: bool) -> [BTreeMap<Metric, Estimate>; 2] {
    let mut found = [BTreeMap::new(), BTreeMap::new()];
    for metric in Metric::ALL {
        let sides = [a.series.get(&metric), b.series.get(&metric)];
        let block = sides.iter().flatten().map(|series| series.block_length()).max().unwrap_or(1);
        for ((found, series), key) in found.iter_mut().zip(sides).zip(KEYS) {
            let key = if paired { KEYS[0] } else { key };
            found.extend(series.map(|series| (metric, series.estimate(block, key))));
        }
    }
    for (found, side) in found.iter_mut().zip([a, b]) {
        let peak = side.peak.map(|peak| Estimate::plain(f64::from(peak), Spread::Unknown));
        found.extend(peak.map(|peak| (Metric::FleetPeak, peak)));
    }
    found
}

// === impl OverTime ===

impl OverTime {
    /// What is known of one side.
    pub(crate) fn of(side: &Recorded) -> Self {
        let mut all = Self::default();
        if let Some(window) = side.window.filter(|window| window.end > window.start) {
            all.rates(side, window);
            if let Some(fleet) = &side.fleet {
                all.fleet(fleet, window);
            }
        }
        all
    }

    fn rates(&mut self, side: &Recorded, window: Window) {
        let measured = || side.requests.iter().filter(|request| side.measures(request));
        // What a count puts behind the end of the window was offered all the same, in its last slice.
        let at = |request: &Request| request.at.map(|at| at.min(window.end - Nanos(1)));
        let timed = !side.missing.contains(&"t_intended");
        let done = |request: &&Request| request.ok() && request.end.is_some_and(|end| window.start <= end);
        let within = |end: &Nanos| *end < window.end;
        if timed {
            self.insert(Metric::Offered, slices(window, measured().filter_map(at)), window.secs());
        }
        if timed && !side.missing.contains(&"outcome") {
            let ends = side.requests.iter().filter(done).filter_map(|request| request.end).filter(within);
            self.insert(Metric::Throughput, slices(window, ends), window.secs());
        }
    }

    fn fleet(&mut self, fleet: &[FleetEvent], window: Window) {
        let steps = ready_over_time(fleet);
        if steps.is_empty() {
            return;
        }
        let area = area(window, &steps);
        let cycles = (!is_fixed(&steps, window)).then(|| Course::within(window, &steps).cycles());
        let mean = Series { slices: area, divisor: (window.end - window.start).0 as f64, cycles };
        self.series.insert(Metric::FleetMean, mean);
        self.peak = steps.iter().map(|(_, ready)| *ready).max();
        let starts: Vec<Nanos> =
            fleet.iter().filter(|event| event.what == FleetWhat::Starting).map(|event| event.at).collect();
        let last = starts.iter().max().map_or(Nanos::ZERO, |last| *last + Nanos(1));
        let whole_run = Window { start: Nanos::ZERO, end: window.end.max(last) };
        self.insert(Metric::ScaleUps, slices(whole_run, starts), 1.0);
    }

    /// Why its mean fleet has no interval, if so.
    pub(crate) fn note(&self) -> Option<String> {
        let cycles = self.series.get(&Metric::FleetMean)?.cycles.filter(|cycles| *cycles < FEWEST_CYCLES)?;
        Some(format!(
            "targets mean has no interval: the fleet went from its lower to its upper quartile {} in the \
             window, and it takes {FEWEST_CYCLES} to know how another run would differ",
            things(cycles as u64, "time")
        ))
    }

    fn insert(&mut self, metric: Metric, slices: Vec<u64>, divisor: f64) {
        self.series.insert(metric, Series { slices, divisor, cycles: None });
    }
}

/// How many instants fall into each slice of the window.
fn slices(window: Window, instants: impl IntoIterator<Item = Nanos>) -> Vec<u64> {
    let mut slices = vec![0; SLICES];
    let length = (window.end - window.start).0.max(1);
    for at in instants {
        let slice = u128::from((at - window.start).0) * SLICES as u128 / u128::from(length);
        slices[(slice as usize).min(SLICES - 1)] += 1;
    }
    slices
}

/// What is ready at the beginning stays, and nothing else comes: so the scenario says, not chance.
fn is_fixed(steps: &[(Nanos, u32)], window: Window) -> bool {
    steps.iter().all(|(at, _)| *at == Nanos::ZERO || *at >= window.end)
}

/// How many targets were ready, from when on: removal begins with the cordon.
fn ready_over_time(fleet: &[FleetEvent]) -> Vec<(Nanos, u32)> {
    let mut ready: BTreeSet<TargetId> = BTreeSet::new();
    let mut steps = Vec::new();
    for event in fleet {
        let Some(target) = event.target else { continue };
        match event.what {
            FleetWhat::Ready => ready.insert(target),
            FleetWhat::Cordoned
            | FleetWhat::Died
            | FleetWhat::GivenUp
            | FleetWhat::StartFailed
            | FleetWhat::Stopped => ready.remove(&target),
            _ => continue,
        };
        steps.push((event.at, ready.len() as u32));
    }
    steps
}

/// Ready targets times nanoseconds, in each slice of the window.
fn area(window: Window, steps: &[(Nanos, u32)]) -> Vec<u64> {
    let length = u128::from((window.end - window.start).0);
    let edge = |slice: usize| window.start + Nanos((length * slice as u128 / SLICES as u128) as u64);
    let mut steps = steps.iter().peekable();
    let mut ready = 0;
    let mut area_until = |from: Nanos, to: Nanos| {
        let (mut at, mut sum) = (from, 0);
        while let Some((when, then)) = steps.next_if(|(when, _)| *when < to) {
            sum += u64::from(ready) * (*when - at).0;
            (at, ready) = (at.max(*when), *then);
        }
        sum + u64::from(ready) * (to - at).0
    };
    (0..SLICES).map(|slice| area_until(edge(slice), edge(slice + 1))).collect()
}

// === impl Series ===

impl Series {
    /// Blocks are no shorter than a cycle.
    fn block_length(&self) -> usize {
        let cycle = self.cycles.map_or(1, |cycles| SLICES / cycles.max(1));
        block_length(&self.slices.iter().map(|sum| *sum as f64).collect::<Vec<_>>()).max(cycle)
    }

    fn estimate(&self, block: usize, key: u64) -> Estimate {
        let value = self.slices.iter().sum::<u64>() as f64 / self.divisor;
        let cycles = self.cycles.unwrap_or(usize::MAX);
        if cycles < FEWEST_CYCLES {
            return Estimate::plain(value, Spread::Unknown);
        }
        let resamples = Resamples::new(self.slices.len(), block, key);
        let values = resamples.sums(|i| self.slices[i]).iter().map(|sum| *sum as f64 / self.divisor).collect();
        Estimate::plain(value, Spread::Resampled(values, resamples.blocks().min(cycles)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, target: u32, what: FleetWhat) -> FleetEvent {
        FleetEvent {
            at: Nanos(at),
            version: 0,
            target: Some(TargetId(target)),
            incarnation: 0,
            what,
            host: None,
            delay: Nanos::ZERO,
            overrun: Nanos::ZERO,
            held: 0,
        }
    }

    #[test]
    fn the_fleet_is_weighted_by_time() {
        let fleet = [
            event(0, 1, FleetWhat::Ready),
            event(200, 2, FleetWhat::Starting),
            event(500, 2, FleetWhat::Ready),
            event(900, 1, FleetWhat::Cordoned),
            event(950, 1, FleetWhat::Stopped),
        ];
        let steps = ready_over_time(&fleet);
        assert_eq!(steps, [(Nanos(0), 1), (Nanos(500), 2), (Nanos(900), 1), (Nanos(950), 1)]);
        let window = Window { start: Nanos(100), end: Nanos(1_100) };
        assert_eq!(area(window, &steps).iter().sum::<u64>(), 400 + 2 * 400 + 200);
        assert_eq!(area(window, &steps)[0], 2);
    }

    #[test]
    fn instants_fall_into_their_slices() {
        let window = Window { start: Nanos(1_000), end: Nanos(2_000) };
        let found = slices(window, [1_000, 1_001, 1_002, 1_999].map(Nanos));
        assert_eq!((found[0], found[1], found[SLICES - 1], found.iter().sum::<u64>()), (2, 1, 1, 4));
    }
}
