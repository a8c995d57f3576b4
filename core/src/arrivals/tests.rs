//! Every process and every ramp against closed forms: 100 000 arrivals with seed 42 where a distribution is tested.

use super::*;
use crate::dist::tests::{assert_like, ks_distance, ks_limit};
use crate::scenario::{Ramp, RateStep, TraceArrival};

const LONG: Nanos = Nanos::from_millis(1 << 40);

fn arrival(process: ArrivalProcess, ramp: Ramp) -> Arrival {
    Arrival { process, count: None, ramp }
}

fn poisson(rate_per_sec: f64) -> ArrivalProcess {
    ArrivalProcess::Poisson { rate_per_sec }
}

fn regular(interval_ms: f64) -> ArrivalProcess {
    ArrivalProcess::Deterministic { interval_ms }
}

fn times(arrival: &Arrival, duration: Nanos) -> Vec<Nanos> {
    Arrivals::new(42, arrival, duration).collect()
}

/// The first `n` gaps, in milliseconds.
fn gaps_ms(process: ArrivalProcess, n: usize) -> Vec<f64> {
    let mut last = Nanos::ZERO;
    Arrivals::new(42, &arrival(process, Ramp::None), LONG)
        .take(n)
        .map(|at| (at - std::mem::replace(&mut last, at)).as_millis_f64())
        .collect()
}

fn seconds(s: u64) -> Nanos {
    Nanos::from_millis(1000 * s)
}

/// One ramp of each kind, about 1 to 20 arrivals per millisecond and never none.
fn ramps() -> [Ramp; 5] {
    [
        Ramp::Linear { start_rate_per_sec: 1000.0, end_rate_per_sec: 9000.0, ramp: seconds(3), hold: None },
        Ramp::Linear { start_rate_per_sec: 9000.0, end_rate_per_sec: 1000.0, ramp: seconds(3), hold: None },
        Ramp::Steps(
            [(0, 2000.0), (1, 20_000.0), (2, 1000.0)]
                .map(|(s, rate_per_sec)| RateStep { at: seconds(s), rate_per_sec })
                .to_vec(),
        ),
        Ramp::Sine { mean_rate_per_sec: 5000.0, amplitude_per_sec: 4000.0, period: seconds(1) },
        Ramp::Spike {
            base_rate_per_sec: 2000.0,
            peak_rate_per_sec: 20_000.0,
            at: Nanos::from_millis(1500),
            length: seconds(1),
        },
    ]
}

/// What each of [`ramps`] expects until `t` seconds, t ≤ 4, worked out by hand.
fn expected(ramp: &Ramp, t: f64) -> f64 {
    match ramp {
        Ramp::Linear { start_rate_per_sec: 1000.0, .. } if t <= 3.0 => 1000.0 * t + 4000.0 / 3.0 * t * t,
        Ramp::Linear { start_rate_per_sec: 1000.0, .. } => 15_000.0 + 9000.0 * (t - 3.0),
        Ramp::Linear { .. } if t <= 3.0 => 9000.0 * t - 4000.0 / 3.0 * t * t,
        Ramp::Linear { .. } => 15_000.0 + 1000.0 * (t - 3.0),
        Ramp::Steps(_) => 2000.0 * t.min(1.0) + 20_000.0 * (t - 1.0).clamp(0.0, 1.0) + 1000.0 * (t - 2.0).max(0.0),
        Ramp::Sine { .. } => 5000.0 * t + 4000.0 * (1.0 - (std::f64::consts::TAU * t).cos()) / std::f64::consts::TAU,
        Ramp::Spike { .. } => 2000.0 * t + 18_000.0 * (t - 1.5).clamp(0.0, 1.0),
        Ramp::None => unreachable!("not among them"),
    }
}

#[test]
fn poisson_gaps_are_exponential() {
    assert_like(&mut gaps_ms(poisson(20.0), 100_000), &Dist::Exponential { mean: 50.0 });
    assert_eq!(gaps_ms(poisson(20.0), 1000), gaps_ms(ArrivalProcess::Exponential { mean_ms: 50.0 }, 1000));
}

#[test]
fn normal_gaps_are_truncated_normal() {
    let process = ArrivalProcess::Normal { mean_ms: 50.0, stddev_ms: 40.0 };
    assert_like(&mut gaps_ms(process, 100_000), &Dist::Normal { mean: 50.0, stddev: 40.0 });
}

#[test]
fn gamma_gaps_are_gamma() {
    // With a cv of 2 one gap in 150 would be less than half a nanosecond, and rounded to nothing.
    let process = ArrivalProcess::Gamma { rate_per_sec: 20.0, cv: 1.5 };
    assert_like(&mut gaps_ms(process, 100_000), &Dist::Gamma { mean: 50.0, cv: 1.5 });
}

#[test]
fn weibull_gaps_are_weibull() {
    let process = ArrivalProcess::Weibull { rate_per_sec: 20.0, cv: 0.5 };
    assert_like(&mut gaps_ms(process, 100_000), &Dist::Weibull { mean: 50.0, cv: 0.5 });
}

#[test]
fn lognormal_gaps_are_lognormal() {
    let process = ArrivalProcess::LogNormal { rate_per_sec: 20.0, sigma: 0.8 };
    let median = 50.0 * libm::exp(-0.32);
    assert_like(&mut gaps_ms(process, 100_000), &Dist::LogNormal { median, sigma: 0.8 });
}

#[test]
fn regular_arrivals_begin_at_0_and_end_before_the_duration() {
    let third = times(&arrival(regular(10.0 / 3.0), Ramp::None), Nanos::from_millis(10));
    assert_eq!(third, [0, 3_333_333, 6_666_667].map(Nanos));
    let long = times(&arrival(regular(0.7), Ramp::None), seconds(70));
    assert_eq!(long.len(), 100_000);
    assert!(long.iter().zip(0..).all(|(at, k)| *at == Nanos(700_000 * k)));
}

#[test]
fn bursts_are_poisson_at_the_rate_of_their_phase() {
    let rates = [100.0, 0.0, 5000.0];
    let dwells = [20.0, 10.0, 5.0];
    let process = ArrivalProcess::Mmpp { rates_per_sec: rates.to_vec(), mean_dwell_ms: dwells.to_vec() };
    // The phases, drawn anew; the arrivals between two of them, each as the number expected until then.
    let (mut end, mut before, mut phase) = (0.0, 0.0, 0);
    let mut begin = 0.0;
    let dwell = |phase: usize| {
        Dist::Exponential { mean: dwells[phase % 3] }.sample(&mut KeyedRng::new(42, Purpose::Dwell, phase as u64))
    };
    end += dwell(phase);
    let mut last = 0.0;
    let mut gaps: Vec<f64> = Vec::new();
    for at in Arrivals::new(42, &arrival(process, Ramp::None), LONG).take(100_000) {
        while at.as_millis_f64() > end {
            before += rates[phase % 3] / 1e3 * (end - begin);
            phase += 1;
            begin = end;
            end += dwell(phase);
        }
        let count = before + rates[phase % 3] / 1e3 * (at.as_millis_f64() - begin);
        gaps.push(count - std::mem::replace(&mut last, count));
    }
    // A time is rounded to the nanosecond, which here is at most 5 millionths of an arrival.
    assert_like(&mut gaps, &Dist::Exponential { mean: 1.0 });
    // Mean rate 27/0.035 per second: 100 000 arrivals take 130 s, 3700 rounds. The number of arrivals per round has a
    // variance of 27 + 2² + 25², so 100 000 arrivals are within 6 % of that many rounds, 4 · 26/27 / √3700.
    let rounds = phase as f64 / 3.0;
    assert!((rounds / 3703.7 - 1.0).abs() < 0.06, "{rounds}");
}

#[test]
fn a_trace_is_replayed_until_the_duration() {
    let row = |ms| TraceArrival { at: Nanos::from_millis(ms), hold: None, cpu: None, host: None };
    let process = ArrivalProcess::Trace { file: "t.csv".to_owned(), rows: [5, 7, 7, 20].map(row).to_vec() };
    let until = |ms| times(&arrival(process.clone(), Ramp::None), Nanos::from_millis(ms));
    assert_eq!(until(20), [5, 7, 7].map(Nanos::from_millis));
    assert_eq!(until(21).len(), 4);
}

#[test]
fn a_ramp_is_exact_for_poisson_arrivals() {
    for ramp in ramps() {
        let times = times(&arrival(poisson(1.0), ramp.clone()), seconds(4));
        let total = expected(&ramp, 4.0);
        let excess = times.len() as f64 - total;
        assert!(excess.abs() < 4.0 * total.sqrt(), "{ramp:?}: {} arrivals, not {total}", times.len());
        let mut parts: Vec<f64> = times.iter().map(|at| expected(&ramp, at.as_secs_f64()) / total).collect();
        assert!(times.is_sorted() && times.iter().all(|at| *at < seconds(4)));
        let distance = ks_distance(&mut parts, |x| x.clamp(0.0, 1.0));
        assert!(distance < ks_limit(parts.len()), "{ramp:?}: distance {distance}");
    }
}

#[test]
fn a_ramp_is_exact_for_other_arrivals() {
    let gap = Dist::Gamma { mean: 1.0, cv: 0.5 };
    let normal = ArrivalProcess::Normal { mean_ms: 10.0, stddev_ms: 9.0 };
    for ramp in ramps() {
        let gaps = |process| {
            let mut last = 0.0;
            let all = Arrivals::new(42, &arrival(process, ramp.clone()), seconds(4)).map(|at| {
                let now = expected(&ramp, at.as_secs_f64());
                now - std::mem::replace(&mut last, now)
            });
            all.collect::<Vec<f64>>()
        };
        assert_like(&mut gaps(ArrivalProcess::Gamma { rate_per_sec: 1.0, cv: 0.5 }), &gap);
        // The mean gap is replaced, and stays 1/rate after truncation.
        let truncated = gaps(normal.clone());
        let mean = truncated.iter().sum::<f64>() / truncated.len() as f64;
        assert!((mean - 1.0).abs() < 4.0 * 0.7 / (truncated.len() as f64).sqrt(), "{ramp:?}: {mean}");
        // Regular arrivals tell to the nanosecond: 20 000/s makes 2·10⁻⁵ arrivals of one.
        assert!(gaps(regular(7.0)).iter().skip(1).all(|gap| (gap - 1.0).abs() < 3e-5), "{ramp:?}");
    }
}

#[test]
fn nothing_arrives_while_the_rate_is_0() {
    let step = |s, rate_per_sec| RateStep { at: seconds(s), rate_per_sec };
    let steps = Ramp::Steps(vec![step(1, 2.0), step(2, 0.0), step(3, 1.0), step(5, 0.0)]);
    let all = times(&arrival(regular(1.0), steps.clone()), seconds(1000));
    assert_eq!(all, [1000, 1500, 3000, 4000].map(Nanos::from_millis));
    let poisson = times(&arrival(poisson(1.0), steps), seconds(1000));
    assert!(
        poisson.iter().all(|at| (1..2).contains(&(at.0 / 1_000_000_000)) || (3..5).contains(&(at.0 / 1_000_000_000)))
    );
}

#[test]
fn a_linear_ramp_ends_after_its_hold() {
    let linear = |hold| Ramp::Linear { start_rate_per_sec: 0.0, end_rate_per_sec: 10.0, ramp: seconds(2), hold };
    let all = |hold| times(&arrival(regular(1.0), linear(hold)), seconds(10));
    // Λ(t) = 2.5 t² until 2 s.
    assert_eq!(all(None)[..3], [0.0, 0.4f64.sqrt(), 0.8f64.sqrt()].map(Nanos::from_secs_f64));
    assert_eq!(all(None).len(), 90);
    assert_eq!(all(Some(seconds(3))).len(), 40);
    assert_eq!(all(Some(seconds(3))).last(), Some(&Nanos::from_millis(4900)));
    assert_eq!(all(Some(Nanos::ZERO)).len(), 10);
    let jump = Ramp::Linear { start_rate_per_sec: 1.0, end_rate_per_sec: 10.0, ramp: Nanos::ZERO, hold: None };
    assert_eq!(times(&arrival(regular(1.0), jump), seconds(10)).len(), 100);
    let down = Ramp::Linear { start_rate_per_sec: 10.0, end_rate_per_sec: 0.0, ramp: seconds(2), hold: None };
    assert_eq!(times(&arrival(regular(1.0), down), seconds(10)).len(), 10);
}

#[test]
fn the_integral_and_its_inverse_agree() {
    for ramp in ramps().into_iter().chain([sine_to_0(seconds(3600))]) {
        let rate = Rate::new(&ramp, 0.0);
        for part in 1..4000 {
            let t = 1e6 * f64::from(part);
            let back = rate.when(rate.until(t)).unwrap();
            assert!((back - t).abs() < 1.0, "{ramp:?}: {t} ns came back as {back}");
        }
    }
}

#[test]
fn a_sine_that_touches_0_is_inverted_everywhere() {
    let rate = Rate::new(&sine_to_0(seconds(3600)), 0.0);
    // Around three quarters of the period the integral is flat; the count must come back, if not the time.
    let fine = (0..10_000).map(|part| 0.749 + 2e-7 * f64::from(part));
    let coarse = (0..30_000).map(|part| 1e-4 * f64::from(part));
    for count in fine.chain(coarse).map(|periods| 108_000.0 * periods) {
        let back = rate.until(rate.when(count).unwrap());
        assert!((back - count).abs() < 1e-8, "{count} came back as {back}");
    }
}

fn sine_to_0(period: Nanos) -> Ramp {
    Ramp::Sine { mean_rate_per_sec: 30.0, amplitude_per_sec: 30.0, period }
}

#[test]
fn a_count_of_poisson_arrivals_is_sorted_uniforms() {
    for ramp in [Ramp::None].into_iter().chain(ramps().into_iter().take(1)) {
        let exactly = |n| Arrival { process: poisson(3.0), count: Some(n), ramp: ramp.clone() };
        for n in [0, 1, 2, 17] {
            let times = times(&exactly(n), seconds(4));
            assert_eq!(times.len() as u64, n);
            assert!(times.is_sorted() && times.iter().all(|at| *at < seconds(4)), "{times:?}");
        }
        let part = |at: &Nanos| match ramp {
            Ramp::None => at.as_secs_f64() / 4.0,
            _ => expected(&ramp, at.as_secs_f64()) / expected(&ramp, 4.0),
        };
        let mut parts: Vec<f64> = times(&exactly(20_000), seconds(4)).iter().map(part).collect();
        assert!(ks_distance(&mut parts, |x| x.clamp(0.0, 1.0)) < ks_limit(20_000));
    }
    let late = Ramp::Steps(vec![RateStep { at: seconds(9), rate_per_sec: 1.0 }]);
    assert_eq!(times(&Arrival { process: poisson(1.0), count: Some(5), ramp: late }, seconds(4)), []);
    let crowded = times(&Arrival { process: poisson(1.0), count: Some(1000), ramp: Ramp::None }, Nanos(10));
    assert!(crowded.len() == 1000 && crowded.iter().all(|at| *at < Nanos(10)));
}

#[test]
fn a_count_of_other_arrivals_is_the_first_so_many() {
    let rates_per_sec = vec![10.0, 100.0];
    for process in [
        ArrivalProcess::Exponential { mean_ms: 10.0 },
        ArrivalProcess::Normal { mean_ms: 10.0, stddev_ms: 2.0 },
        regular(10.0),
        ArrivalProcess::Gamma { rate_per_sec: 100.0, cv: 2.0 },
        ArrivalProcess::Weibull { rate_per_sec: 100.0, cv: 2.0 },
        ArrivalProcess::LogNormal { rate_per_sec: 100.0, sigma: 0.5 },
        ArrivalProcess::Mmpp { rates_per_sec, mean_dwell_ms: vec![10.0, 10.0] },
    ] {
        let exactly = Arrival { process: process.clone(), count: Some(500), ramp: Ramp::None };
        let free = arrival(process.clone(), Ramp::None);
        let first: Vec<Nanos> = Arrivals::new(42, &free, LONG).take(500).collect();
        assert_eq!(times(&exactly, seconds(1)), first, "{process:?}");
    }
}

#[test]
fn a_process_without_a_rate_has_no_arrivals() {
    for process in [poisson(0.0), regular(f64::INFINITY), regular(0.0)] {
        assert_eq!(times(&arrival(process, Ramp::None), seconds(10)), []);
    }
    let ended = &mut Arrivals::new(42, &arrival(poisson(1.0), Ramp::None), Nanos::ZERO);
    assert_eq!((ended.next(), ended.next()), (None, None));
}
