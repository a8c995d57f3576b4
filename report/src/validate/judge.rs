//! The verdict: every metric of the live runs against the ensemble.

use serde::Serialize;

use super::observed::{Observed, distance, mean_histogram};
use super::quantiles::JUMP_SHARE;
use super::range::{Range, mean};
use super::{MACHINE_NS, SHARE};
use crate::stats::{needed, plain_option, quantile_name};

/// Floor of the loss: a share of the requests.
const LOSS_FLOOR: f64 = 0.005;
/// Floor of the distance of the retries histograms: a share of the requests.
const RETRIES_FLOOR: f64 = 0.01;
/// Floor of the mean fleet: half a target.
const FLEET_FLOOR: f64 = 0.5;
/// Floor of counts of targets and starts.
const COUNT_FLOOR: f64 = 1.0;
/// Floor of the share of alike pairs.
const PAIRS_FLOOR: f64 = 0.01;
/// And so much of the share that the ensemble itself does not have alike: as many pairs part as there is jitter, and that of a
/// machine at work is not to the half that of its profile.
const PAIRS_SLACK: f64 = 0.5;
/// The quantiles of the response time that are compared.
const QUANTILES: [f64; 4] = [0.5, 0.8, 0.9, 0.99];
/// A quantile sits on a jump where the step is more than so many floors: less would not matter.
const LEAP_FLOORS: f64 = 2.0;

/// Everything that was compared for one scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdicts {
    /// No metric with a verdict differs.
    pub agrees: bool,
    /// One per metric.
    pub metrics: Vec<Metric>,
}

/// One metric: times are nanoseconds of scenario time, shares are 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Of what kind its numbers are.
    pub unit: Unit,
    /// Mean over the live runs; none: not known.
    #[serde(serialize_with = "plain_option")]
    pub live: Option<f64>,
    /// The live runs, one by one.
    pub live_runs: Vec<f64>,
    /// Mean of the ensemble; none: not known.
    #[serde(serialize_with = "plain_option")]
    pub ensemble: Option<f64>,
    /// Lower end of the ensemble's 95 % range.
    #[serde(serialize_with = "plain_option")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(serialize_with = "plain_option")]
    pub high: Option<f64>,
    /// A difference of the means up to this one does not count.
    #[serde(serialize_with = "plain_option")]
    pub floor: Option<f64>,
    /// Whether it agrees.
    pub judgement: Judgement,
    /// Which rule said so.
    pub rule: Rule,
    /// What else there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The kind of a metric's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share, 1 = 100 %.
    Share,
    /// Nanoseconds of scenario time.
    Ns,
    /// A number of targets.
    Targets,
    /// A number of requests.
    Requests,
    /// A number of starts.
    Starts,
}

/// Whether a metric agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The simulation tells the truth about it.
    Agrees,
    /// It does not.
    Differs,
    /// It is shown, and nothing follows from it.
    Shown,
    /// It is not known on both sides.
    Unknown,
}

/// The rule that a judgement rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The live mean lies in the ensemble's 95 % range.
    Range,
    /// The means differ by no more than the floor.
    Floor,
    /// The quantile sits on a jump, and the distribution functions agree there.
    Jump,
    /// None holds.
    None,
}

/// Compares. `time_scale`: that of the live runs. `pairs`: whether requests may be paired by number
/// ([`super::pairs_assertable`]). `jitter`: whether the ensemble has the machine's delays; without, pairs are only shown.
pub fn judge(live: &[Observed], ensemble: &[Observed], time_scale: f64, pairs: bool, jitter: bool) -> Verdicts {
    let sides = Sides { live, ensemble, machine_ns: MACHINE_NS * time_scale };
    let mut metrics = vec![sides.loss(), sides.retries()];
    metrics.extend(QUANTILES.map(|q| sides.quantile(q)));
    metrics.extend([sides.mean_response(), sides.fleet(), sides.scale_ups(), sides.in_flight()]);
    if pairs {
        metrics.push(sides.pairs(time_scale, jitter));
    }
    metrics.extend([sides.overhead(), sides.peak(), sides.refusals()].map(Metric::only_shown));
    let agrees = metrics.iter().all(|metric| metric.judgement != Judgement::Differs);
    Verdicts { agrees, metrics }
}

struct Sides<'a> {
    live: &'a [Observed],
    ensemble: &'a [Observed],
    /// [`MACHINE_NS`] in scenario time.
    machine_ns: f64,
}

// === impl Sides ===

impl Sides<'_> {
    fn loss(&self) -> Metric {
        self.plain("loss", Unit::Share, |run| Some(run.loss), |_| LOSS_FLOOR)
    }

    /// How far the mean histograms are apart, against how far a member is from the mean of the others.
    fn retries(&self) -> Metric {
        let histograms = |runs: &[&Observed]| mean_histogram(&runs.iter().map(|run| &run.retries).collect::<Vec<_>>());
        let all: Vec<&Observed> = self.ensemble.iter().collect();
        let middle = histograms(&all);
        let from_others = |i: usize| {
            let others: Vec<_> = all.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, run)| *run).collect();
            if others.is_empty() { 0.0 } else { distance(&self.ensemble[i].retries, &histograms(&others)) }
        };
        let live = distance(&histograms(&self.live.iter().collect::<Vec<_>>()), &middle);
        let own = Range::of((0..all.len()).map(from_others).collect());
        // No distance is the best one: the floor counts from there, and nothing can be too near.
        let range = own.map(|own| Range { mean: 0.0, low: 0.0, ..own });
        let runs = self.live.iter().map(|run| distance(&run.retries, &middle)).collect();
        let metric = Metric::new("retries, distance", Unit::Share, Some(live), runs, range, RETRIES_FLOOR);
        Metric { ensemble: own.map(|own| own.mean), ..metric }
    }

    fn quantile(&self, q: f64) -> Metric {
        let name = format!("response {}", quantile_name(q));
        let metric = self.plain(&name, Unit::Ns, |run| run.responses.quantile(q), |mean| self.time_floor(mean));
        match (metric.judgement, metric.ensemble, metric.floor) {
            (Judgement::Differs, Some(simulated), Some(floor)) if self.agrees_on_a_jump(q, simulated, floor) => {
                metric.agreeing(Rule::Jump)
            }
            (Judgement::Unknown, ..) => metric.noted(format!("needs {} responses", needed(q))),
            _ => metric,
        }
    }

    /// Whether the quantile sits on a jump, and the live distribution function passes it where the simulated one does.
    fn agrees_on_a_jump(&self, q: f64, simulated: f64, floor: f64) -> bool {
        let shares: Vec<f64> = self.live.iter().map(|run| run.responses.share_up_to(simulated)).collect();
        let near = mean(&shares).is_some_and(|share| (share - q).abs() <= JUMP_SHARE);
        let mut runs = self.live.iter().chain(self.ensemble);
        near && runs.any(|run| run.responses.leaps(q, LEAP_FLOORS * floor))
    }

    fn mean_response(&self) -> Metric {
        self.plain("response mean", Unit::Ns, |run| run.mean_response, |mean| self.time_floor(mean))
    }

    fn fleet(&self) -> Metric {
        self.plain("fleet mean", Unit::Targets, |run| run.mean_fleet, |mean| FLEET_FLOOR.max(SHARE * mean))
    }

    fn scale_ups(&self) -> Metric {
        self.plain("scale-ups", Unit::Starts, |run| Some(run.scale_ups), |_| COUNT_FLOOR)
    }

    /// The floor is that of the response time, as Little's law has it.
    fn in_flight(&self) -> Metric {
        let rates: Vec<f64> = self.ensemble.iter().map(|run| run.rate_per_sec).collect();
        let machine = mean(&rates).unwrap_or_default() * self.machine_ns / 1e9;
        self.plain("in flight mean", Unit::Requests, |run| run.mean_in_flight, |mean| SHARE * mean + machine)
    }

    /// The share of a run's requests that met the same fate in a member of the ensemble, on average over the members; only
    /// too few count.
    fn pairs(&self, time_scale: f64, jitter: bool) -> Metric {
        let among = |i: usize| {
            let others = self.ensemble.iter().enumerate().filter(|(j, _)| *j != i);
            let shares: Vec<f64> =
                others.map(|(_, other)| self.ensemble[i].fates.alike(&other.fates, time_scale)).collect();
            mean(&shares).unwrap_or(1.0)
        };
        let against = |run: &Observed| {
            let shares = self.ensemble.iter().map(|member| run.fates.alike(&member.fates, time_scale));
            mean(&shares.collect::<Vec<_>>()).unwrap_or_default()
        };
        let range = Range::of((0..self.ensemble.len()).map(among).collect()).map(|range| Range { high: 1.0, ..range });
        let runs: Vec<f64> = self.live.iter().map(against).collect();
        let floor = range.map_or(0.0, |range| PAIRS_SLACK * (1.0 - range.mean)).max(PAIRS_FLOOR);
        let metric = Metric::new("pairs alike", Unit::Share, mean(&runs), runs, range, floor);
        if jitter { metric } else { metric.only_shown().noted("no machine profile".to_owned()) }
    }

    fn overhead(&self) -> Metric {
        self.plain("overhead mean", Unit::Ns, |run| run.mean_overhead, |mean| self.time_floor(mean))
    }

    fn peak(&self) -> Metric {
        self.plain("fleet peak", Unit::Targets, |run| Some(run.peak_fleet), |_| COUNT_FLOOR)
    }

    fn refusals(&self) -> Metric {
        self.plain("refusals per request", Unit::Share, |run| run.refusals, |_| RETRIES_FLOOR)
    }

    fn time_floor(&self, mean: f64) -> f64 {
        SHARE * mean + self.machine_ns
    }

    /// A metric that is one number per run. Known only if every run has it.
    fn plain(
        &self,
        name: &str,
        unit: Unit,
        of: impl Fn(&Observed) -> Option<f64>,
        floor: impl Fn(f64) -> f64,
    ) -> Metric {
        let all = |runs: &[Observed]| runs.iter().map(&of).collect::<Option<Vec<f64>>>();
        let (live, range) = (all(self.live).unwrap_or_default(), Range::of(all(self.ensemble).unwrap_or_default()));
        let floor = range.map_or(0.0, |range| floor(range.mean));
        Metric::new(name, unit, mean(&live), live, range, floor)
    }
}

// === impl Metric ===

impl Metric {
    fn new(name: &str, unit: Unit, live: Option<f64>, live_runs: Vec<f64>, range: Option<Range>, floor: f64) -> Self {
        let (judgement, rule) = match live.zip(range) {
            None => (Judgement::Unknown, Rule::None),
            Some((live, range)) if range.holds(live) => (Judgement::Agrees, Rule::Range),
            Some((live, range)) if (live - range.mean).abs() <= floor => (Judgement::Agrees, Rule::Floor),
            Some(_) => (Judgement::Differs, Rule::None),
        };
        Self {
            name: name.to_owned(),
            unit,
            live,
            live_runs,
            ensemble: range.map(|range| range.mean),
            low: range.map(|range| range.low),
            high: range.map(|range| range.high),
            floor: range.map(|_| floor),
            judgement,
            rule,
            note: String::new(),
        }
    }

    fn agreeing(self, rule: Rule) -> Self {
        Self { judgement: Judgement::Agrees, rule, ..self }
    }

    /// Takes the verdict away, and leaves the rule.
    fn only_shown(self) -> Self {
        let judgement = if self.judgement == Judgement::Unknown { Judgement::Unknown } else { Judgement::Shown };
        Self { judgement, ..self }
    }

    fn noted(self, note: String) -> Self {
        Self { note, ..self }
    }
}

#[cfg(test)]
mod tests;
