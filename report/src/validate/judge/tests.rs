use std::collections::BTreeMap;

use super::*;
use crate::validate::quantiles::Sorted;

/// Responses of about 100 ms, evenly spread over 20 ms.
fn responses(n: u64) -> Vec<u64> {
    (0..n).map(|i| 90_000_000 + i * 20_000_000 / n).collect()
}

fn run(responses: Vec<u64>) -> Observed {
    let mean = responses.iter().sum::<u64>() as f64 / responses.len() as f64;
    Observed {
        loss: 0.1,
        rate_per_sec: 100.0,
        retries: BTreeMap::from([(Some(0), 0.9), (Some(1), 0.1)]),
        refusals: Some(0.1),
        responses: Sorted::of(responses),
        mean_response: Some(mean),
        mean_overhead: Some(1_000_000.0),
        mean_fleet: Some(10.0),
        peak_fleet: 12.0,
        scale_ups: 10.0,
        mean_in_flight: Some(10.0),
        fleet: Default::default(),
        in_flight: Default::default(),
        fates: Default::default(),
    }
}

fn usual() -> Observed {
    run(responses(10_000))
}

/// An ensemble whose members differ in one figure by the values given.
fn varied(values: impl IntoIterator<Item = f64>, set: impl Fn(&mut Observed, f64)) -> Vec<Observed> {
    let one = |value| {
        let mut run = usual();
        set(&mut run, value);
        run
    };
    values.into_iter().map(one).collect()
}

fn of<'a>(verdicts: &'a Verdicts, name: &str) -> &'a Metric {
    verdicts.metrics.iter().find(|metric| metric.name == name).unwrap()
}

/// What becomes of one metric when the live runs have these values, against an ensemble of 40 that has 0 to 39 hundredths
/// of `spread` more than `base`.
fn judged(name: &str, live: &[f64], base: f64, spread: f64, set: fn(&mut Observed, f64)) -> (Judgement, Rule) {
    let ensemble = varied((0..40).map(|i| base + spread * f64::from(i) / 39.0), set);
    let verdicts = judge(&varied(live.iter().copied(), set), &ensemble, 1.0, false, true);
    let metric = of(&verdicts, name);
    (metric.judgement, metric.rule)
}

const AGREES_BY_RANGE: (Judgement, Rule) = (Judgement::Agrees, Rule::Range);
const AGREES_BY_FLOOR: (Judgement, Rule) = (Judgement::Agrees, Rule::Floor);
const DIFFERS: (Judgement, Rule) = (Judgement::Differs, Rule::None);

#[test]
fn equal_runs_agree_on_everything() {
    let verdicts = judge(&[usual(), usual()], &[usual()], 1.0, false, false);
    assert!(verdicts.agrees);
    assert!(verdicts.metrics.iter().all(|metric| metric.rule == Rule::Range), "{verdicts:#?}");
    assert!(verdicts.metrics.iter().all(|metric| metric.live == metric.ensemble));
}

#[test]
fn the_mean_of_the_live_runs_is_what_counts() {
    let loss: fn(&mut Observed, f64) = |run, value| run.loss = value;
    assert_eq!(judged("loss", &[0.0, 0.2], 0.05, 0.1, loss), AGREES_BY_RANGE);
    assert_eq!(judged("loss", &[0.2, 0.2], 0.05, 0.1, loss), DIFFERS);
}

#[test]
fn a_loss_agrees_within_half_a_per_cent_of_the_requests() {
    let loss: fn(&mut Observed, f64) = |run, value| run.loss = value;
    assert_eq!(judged("loss", &[0.104_9], 0.1, 0.0, loss), AGREES_BY_FLOOR);
    assert_eq!(judged("loss", &[0.095_1], 0.1, 0.0, loss), AGREES_BY_FLOOR);
    assert_eq!(judged("loss", &[0.105_1], 0.1, 0.0, loss), DIFFERS);
    assert_eq!(judged("loss", &[0.094_9], 0.1, 0.0, loss), DIFFERS);
}

#[test]
fn scale_ups_agree_within_one() {
    let ups: fn(&mut Observed, f64) = |run, value| run.scale_ups = value;
    assert_eq!(judged("scale-ups", &[11.0], 10.0, 0.0, ups), AGREES_BY_FLOOR);
    assert_eq!(judged("scale-ups", &[9.0], 10.0, 0.0, ups), AGREES_BY_FLOOR);
    assert_eq!(judged("scale-ups", &[11.0, 11.0, 12.0], 10.0, 0.0, ups), DIFFERS);
    assert_eq!(judged("scale-ups", &[13.9], 10.0, 4.0, ups), AGREES_BY_RANGE);
}

#[test]
fn a_mean_fleet_agrees_within_half_a_target_or_two_per_cent() {
    let fleet: fn(&mut Observed, f64) = |run, value| run.mean_fleet = Some(value);
    assert_eq!(judged("fleet mean", &[10.5], 10.0, 0.0, fleet), AGREES_BY_FLOOR);
    assert_eq!(judged("fleet mean", &[10.6], 10.0, 0.0, fleet), DIFFERS);
    assert_eq!(judged("fleet mean", &[102.0], 100.0, 0.0, fleet), AGREES_BY_FLOOR);
    assert_eq!(judged("fleet mean", &[102.1], 100.0, 0.0, fleet), DIFFERS);
}

#[test]
fn a_figure_that_is_not_known_on_both_sides_has_no_verdict() {
    let fleet: fn(&mut Observed, f64) = |run, value| run.mean_in_flight = Some(value).filter(|v| *v > 0.0);
    assert_eq!(judged("in flight mean", &[10.0, 0.0], 10.0, 0.0, fleet), (Judgement::Unknown, Rule::None));
    let verdicts = judge(&[run(responses(300))], &[usual()], 1.0, false, true);
    let p99 = of(&verdicts, "response p99");
    assert_eq!((p99.judgement, p99.live, p99.note.as_str()), (Judgement::Unknown, None, "needs 368 responses"));
    assert_eq!(of(&verdicts, "response p90").judgement, Judgement::Agrees);
}

/// All quantiles of the live run later by so many nanoseconds.
fn later(by: u64, time_scale: f64) -> Verdicts {
    let late = run(responses(10_000).into_iter().map(|ns| ns + by).collect());
    judge(&[late], &[usual()], time_scale, false, true)
}

#[test]
fn a_quantile_agrees_within_two_per_cent_and_a_fifth_of_a_millisecond_of_machine_time() {
    // p50 is 100 ms: 2 ms and 0.2 ms.
    assert_eq!(of(&later(2_190_000, 1.0), "response p50").rule, Rule::Floor);
    let late = later(2_210_000, 1.0);
    assert_eq!(of(&late, "response p50").judgement, Judgement::Differs);
    assert!(!late.agrees);
    // At time scale 10 the machine's 0.2 ms are 2 ms.
    assert_eq!(of(&later(3_990_000, 10.0), "response p50").rule, Rule::Floor);
    assert_eq!(of(&later(4_010_000, 10.0), "response p50").judgement, Judgement::Differs);
}

/// `waited` of 10 000 requests waited for 400 ms longer.
fn with_waits(waited: usize) -> Observed {
    run(responses(10_000)
        .into_iter()
        .enumerate()
        .map(|(i, ns)| ns + if i < waited { 400_000_000 } else { 0 })
        .collect())
}

#[test]
fn a_quantile_on_a_jump_agrees_where_the_distribution_functions_do() {
    let p90 = |live: usize, ensemble: usize| {
        let verdicts = judge(&[with_waits(live)], &[with_waits(ensemble)], 1.0, false, true);
        let metric = of(&verdicts, "response p90").clone();
        (metric.judgement, metric.rule)
    };
    // Just above 10 % waited on one side and just below it on the other: p90 is 500 ms here and 110 ms there.
    assert_eq!(p90(1_010, 990), (Judgement::Agrees, Rule::Jump));
    assert_eq!(p90(990, 1_010), (Judgement::Agrees, Rule::Jump));
    assert_eq!(p90(1_028, 999), (Judgement::Agrees, Rule::Jump));
    assert_eq!(p90(1_040, 999), DIFFERS, "0.4 % more waited, and that is more than 0.3 %");
    assert_eq!(p90(960, 1_010), DIFFERS);
}

#[test]
fn the_jump_rule_is_for_jumps_alone() {
    // Steep, but smooth: 0.003 of the requests beside p99 are 2.9 % away, which the distribution function alone would
    // let pass.
    let tail = |late: f64| {
        let value = |i: u64| 1e8 * (1.0 + late) * (-(1.0 - (i as f64 + 0.5) / 10_000.0).ln());
        run((0..10_000).map(|i| value(i) as u64).collect())
    };
    let verdicts = judge(&[tail(0.03)], &[tail(0.0)], 1.0, false, true);
    let p99 = of(&verdicts, "response p99");
    let share = tail(0.03).responses.share_up_to(p99.ensemble.unwrap());
    assert!((share - 0.99).abs() < 0.003, "{share}");
    assert_eq!((p99.judgement, p99.rule), DIFFERS);
}

#[test]
fn retries_agree_within_a_distance_of_one_per_cent_or_that_of_the_ensemble_from_itself() {
    let retries: fn(&mut Observed, f64) =
        |run, share| run.retries = BTreeMap::from([(Some(0), 1.0 - share), (Some(1), share)]);
    let name = "retries, distance";
    assert_eq!(judged(name, &[0.109], 0.1, 0.0, retries), AGREES_BY_FLOOR);
    assert_eq!(judged(name, &[0.111], 0.1, 0.0, retries), DIFFERS);
    assert_eq!(judged(name, &[0.1], 0.1, 0.0, retries), AGREES_BY_RANGE);
    // The ensemble spreads over 0.1 to 0.2, so its members are up to about 0.05 from the others.
    assert_eq!(judged(name, &[0.195], 0.1, 0.1, retries), AGREES_BY_RANGE);
    assert_eq!(judged(name, &[0.205], 0.1, 0.1, retries), DIFFERS);
    // Deviations of single runs cancel: the mean histogram is what is compared.
    assert_eq!(judged(name, &[0.05, 0.15], 0.1, 0.0, retries), AGREES_BY_RANGE);
}

#[test]
fn what_is_only_shown_has_no_say() {
    let refusals: fn(&mut Observed, f64) = |run, value| run.refusals = Some(value);
    let verdicts = judge(&varied([0.9], refusals), &[usual()], 1.0, false, true);
    assert_eq!(of(&verdicts, "refusals per request").judgement, Judgement::Shown);
    assert!(verdicts.agrees);
}

#[test]
fn in_flight_has_the_floor_of_the_response_time() {
    let held: fn(&mut Observed, f64) = |run, value| run.mean_in_flight = Some(value);
    // 2 % of 10, and 100 requests/s × 0.2 ms.
    assert_eq!(judged("in flight mean", &[10.21], 10.0, 0.0, held), AGREES_BY_FLOOR);
    assert_eq!(judged("in flight mean", &[10.23], 10.0, 0.0, held), DIFFERS);
}

#[test]
fn pairs_are_judged_only_where_they_may_be() {
    let names = |pairs, jitter| {
        let verdicts = judge(&[usual()], &[usual(), usual()], 1.0, pairs, jitter);
        verdicts.metrics.iter().find(|metric| metric.name == "pairs alike").map(|metric| metric.judgement)
    };
    assert_eq!(names(false, true), None);
    assert_eq!(names(true, false), Some(Judgement::Shown));
    assert!(names(true, true).is_some_and(|judgement| judgement != Judgement::Shown));
}
