//! What a plan depends on and what not, and golden hashes: the same plan on every machine.

use serde_json::{Value, json};

use super::*;

/// The scenario of `traffic`, 10 seconds long.
fn scenario(traffic: Value) -> Scenario {
    let value = json!({"simulation": {"duration_ms": 10_000}, "traffic": traffic});
    Scenario::from_value("test", &value, &mut |_| Ok(TRACE.to_owned())).unwrap()
}

const TRACE: &str = "t_ms,hold_ms,cpu,host\n0,5,,1\n1.5,,7,\n2,0.25,3,0\n";

fn plan(traffic: Value) -> Plan {
    Plan::new(&scenario(traffic))
}

fn planned(traffic: Value) -> Vec<Planned> {
    plan(traffic).open_loop().collect()
}

/// Every kind of process, ramp and demand at least once.
fn golden() -> Vec<(Value, &'static str)> {
    vec![
        (json!({}), "c6aa60e52a60827a0335f5e91136498e74693fb2d8bfc4790d626f960154bd92"),
        (
            json!({"arrival": {"distribution": "gamma", "rate_per_sec": 100, "cv": 1.5,
                               "ramp": {"mode": "sine", "mean_rate_per_sec": 100, "amplitude_per_sec": 100,
                                        "period_ms": 3000}},
                   "request_duration_ms": {"distribution": "gamma", "mean_ms": 50, "cv": 2},
                   "cpu_demand": {"distribution": "weibull", "mean": 10, "cv": 0.5}}),
            "5fe4456ae06239077756ed5720a59ea29ab149b0066333fcb0167b6fe141606a",
        ),
        (
            json!({"arrival": {"rate_per_sec": 100, "count": 500,
                               "ramp": {"mode": "linear", "start_rate_per_sec": 0, "end_rate_per_sec": 100,
                                        "ramp_duration_ms": 5000}},
                   "request_duration_ms": {"distribution": "pareto", "min_ms": 5, "alpha": 1.5},
                   "cpu_demand": {"distribution": "bimodal", "fast": 1, "slow": 50, "slow_fraction": 0.1}}),
            "eb9d44062f27ee4ad56a890b2aabf2cec8f81fdf59347dc10b549c370e2eb014",
        ),
        (
            json!({"arrival": {"distribution": "mmpp", "rates_per_sec": [10, 200], "mean_dwell_ms": [500, 100]},
                   "request_duration_ms": {"mode": "percentiles", "p50": 10, "p80": 20, "p90": 40, "p99": 80,
                                           "p100": 160},
                   "cpu_demand": {"distribution": "uniform", "min": 1, "max": 3}}),
            "e0290ce0f87b39f3eace1b35ee9afcaffbce49d6a57cd1c62295b71c9492e21e",
        ),
        (
            json!({"arrival": {"distribution": "lognormal", "rate_per_sec": 100, "sigma": 1,
                               "ramp": {"mode": "spike", "base_rate_per_sec": 50, "peak_rate_per_sec": 500,
                                        "at_ms": 3000, "length_ms": 500}},
                   "request_duration_ms": {"distribution": "exponential", "mean_ms": 30}}),
            "42a2644b54555bc08b7b44a275be39c91022d142209395ef0b47e9734ff97ded",
        ),
        (
            json!({"arrival": {"distribution": "normal", "mean_ms": 10, "stddev_ms": 5}}),
            "6b11bf5f54cfddbdfea9ceb0044cab006a00a8a765f4b9a67213b881ead7624c",
        ),
        (
            json!({"arrival": {"distribution": "weibull", "rate_per_sec": 100, "cv": 2}}),
            "1ee9ddc13f7883cba96972bc66778b140d89120164fd637a17a9811b0f90dd98",
        ),
        (
            json!({"arrival": {"distribution": "trace", "file": "trace.csv"}}),
            "eb64be0fbfe5a58f8df0b7f42f4018db767ee046a0da01891a6423f5adffcccc",
        ),
        (
            json!({"closed_loop": {"concurrency": 50, "think_time_ms": 10, "num_requests": 5000}}),
            "36cd8f1a65f948158eff214e1541462afcbafd4c372c0c83830f6eca048809ff",
        ),
    ]
}

#[test]
fn a_plan_has_the_same_hash_on_every_machine() {
    for (traffic, sha256) in golden() {
        assert_eq!(plan(traffic.clone()).sha256(), sha256, "{traffic}");
    }
}

#[test]
fn the_loop_asks_what_its_requests_ask() {
    let plan = plan(json!({"arrival": {"rate_per_sec": 100.0}}));
    let all: Vec<Planned> = plan.open_loop().collect();
    assert!((900..1100).contains(&all.len()), "{}", all.len());
    assert!(all.iter().map(|planned| planned.seq).eq(0..all.len() as u64));
    for planned in all.iter().rev() {
        let request = RequestId::open(planned.seq);
        assert_eq!((planned.host, planned.demand), (plan.host(request), plan.demand(request)));
    }
    assert!(all.iter().all(|planned| planned.at < Nanos::from_millis(10_000)));
    assert!(all.is_sorted_by_key(|planned| planned.at));
    assert_eq!((plan.think_time(RequestId::open(3)), plan.user_start(3)), (Nanos::ZERO, Nanos::ZERO));
}

#[test]
fn hosts_change_neither_times_nor_demands() {
    let base = scenario(json!({"arrival": {"rate_per_sec": 100.0}}));
    let with_hosts = |hosts| {
        let mut scenario = base.clone();
        scenario.load_balancer.hosts = hosts;
        Plan::new(&scenario).open_loop().collect::<Vec<_>>()
    };
    let (two, five) = (with_hosts(2), with_hosts(5));
    let asked = |all: &[Planned]| all.iter().map(|p| (p.seq, p.at, p.demand.hold, p.demand.cpu)).collect::<Vec<_>>();
    assert_eq!(asked(&two), asked(&five));
    assert!(with_hosts(1).iter().all(|planned| planned.host == HostId(0)));
}

#[test]
fn hosts_are_uniform() {
    let mut scenario = scenario(json!({}));
    scenario.load_balancer.hosts = 5;
    let plan = Plan::new(&scenario);
    let mut counts = [0; 5];
    (0..20_000).for_each(|seq| counts[plan.host(RequestId::open(seq)).0 as usize] += 1);
    let square: f64 = counts.iter().map(|count| (f64::from(*count) - 4000.0).powi(2) / 4000.0).sum();
    // The chi-square distribution with 4 degrees of freedom is above this once in a hundred times.
    assert!(square < 13.28, "{counts:?}");
}

#[test]
fn more_draws_for_one_purpose_change_no_other() {
    // A gamma draw takes a random number of uniforms, a lognormal one exactly one.
    let lognormal = planned(json!({}));
    let gamma = planned(json!({"request_duration_ms": {"distribution": "gamma", "mean_ms": 100, "cv": 2}}));
    let rest = |all: &[Planned]| all.iter().map(|p| (p.seq, p.at, p.host, p.demand.cpu)).collect::<Vec<_>>();
    assert_eq!(rest(&lognormal), rest(&gamma));
    let same = lognormal.iter().zip(&gamma).filter(|(a, b)| a.demand.hold == b.demand.hold).count();
    assert_eq!(same, 0);
    let bursts = json!({"arrival": {"distribution": "mmpp", "rates_per_sec": [1, 50], "mean_dwell_ms": [100, 100]}});
    let (bursts, regular) =
        (planned(bursts), planned(json!({"arrival": {"distribution": "deterministic", "interval_ms": 10}})));
    assert!(bursts.len() > 100 && regular.len() == 1000);
    assert!(bursts.iter().zip(&regular).all(|(a, b)| (a.host, a.demand) == (b.host, b.demand)));
}

#[test]
fn a_trace_goes_before_the_draws() {
    let drawn = planned(json!({"arrival": {"distribution": "deterministic", "interval_ms": 10}}));
    let traced = planned(json!({"arrival": {"distribution": "trace", "file": "trace.csv"}}));
    let at: Vec<u64> = traced.iter().map(|planned| planned.at.0).collect();
    assert_eq!(at, [0, 1_500_000, 2_000_000]);
    let demand = |hold, cpu| Demand { hold, cpu };
    assert_eq!(traced[0].demand, demand(Nanos::from_millis(5), drawn[0].demand.cpu));
    assert_eq!(traced[1].demand, demand(drawn[1].demand.hold, 7.0));
    assert_eq!(traced[2].demand, demand(Nanos(250_000), 3.0));
    assert_eq!([traced[0].host, traced[1].host, traced[2].host], [HostId(1), drawn[1].host, HostId(0)]);
}

#[test]
fn a_closed_loop_is_keyed_by_user_and_round() {
    let think = json!({"distribution": "exponential", "mean_ms": 250});
    let plan = plan(json!({"closed_loop": {"concurrency": 3, "think_time_ms": think}}));
    assert_eq!(plan.open_loop().count(), 0);
    assert_eq!([0, 1, 2].map(|user| plan.user_start(user)), [0, 83_333_000, 166_666_000].map(Nanos));
    let requests: Vec<RequestId> = (0..60).flat_map(|u| (0..60).map(move |r| RequestId::closed(u, r))).collect();
    let mut thinks: Vec<Nanos> = requests.iter().map(|request| plan.think_time(*request)).collect();
    let mut holds: Vec<Nanos> = requests.iter().map(|request| plan.demand(*request).hold).collect();
    let mean = thinks.iter().map(|think| think.as_millis_f64()).sum::<f64>() / thinks.len() as f64;
    // Four standard errors of 3600 draws.
    assert!((mean - 250.0).abs() < 4.0 * 250.0 / 60.0, "{mean}");
    for draws in [&mut thinks, &mut holds] {
        draws.sort();
        draws.dedup();
        assert_eq!(draws.len(), 3600, "every request has draws of its own");
    }
}

#[test]
fn users_without_think_time_start_at_once() {
    let plan = plan(json!({"closed_loop": {"concurrency": 50}}));
    assert!((0..50).all(|user| plan.user_start(user) == Nanos::ZERO));
    assert_eq!(plan.think_time(RequestId::closed(7, 1)), Nanos::ZERO);
}

#[test]
fn the_hash_of_a_closed_loop_covers_its_parameters() {
    let with = |users: Value, hold: Value| plan(json!({"closed_loop": users, "request_duration_ms": hold})).sha256();
    let hold = json!({"distribution": "deterministic", "value_ms": 100});
    let base = with(json!({"concurrency": 5}), hold.clone());
    let others = [
        with(json!({"concurrency": 6}), hold.clone()),
        with(json!({"concurrency": 5, "num_requests": 100}), hold.clone()),
        with(json!({"concurrency": 5, "think_time_ms": 1}), hold.clone()),
        with(json!({"concurrency": 5, "on_error": "cancel"}), hold),
        with(json!({"concurrency": 5}), json!({"distribution": "exponential", "mean_ms": 100})),
    ];
    assert!(others.iter().all(|other| *other != base), "{others:?}");
    assert_eq!(base, with(json!({"concurrency": 5}), json!({"distribution": "deterministic", "value_ms": 100})));
}

#[test]
fn a_target_draws_for_foreign_clients_by_itself() {
    let plan = plan(json!({}));
    let first = plan.own_demand(TargetId(1), 0, 0);
    assert_eq!(plan.own_demand(TargetId(1), 0, 0), first);
    for (target, incarnation, count) in [(2, 0, 0), (1, 1, 0), (1, 0, 1)] {
        let other = plan.own_demand(TargetId(target), incarnation, count);
        assert!(other.hold != first.hold && other.cpu != first.cpu);
    }
}
