//! From the model back to a tree with every key, which reads as an equal scenario.

use serde_json::{Map, Value, json};

use super::keys::RETRY_ON;
use super::model::*;
use super::traffic::*;
use super::words::Word;
use crate::dist::Dist;
use crate::time::Nanos;

/// Every key of `scenario`; optional ones only where they are set.
pub(super) fn write(scenario: &Scenario) -> Value {
    json!({
        "description": scenario.description,
        "simulation": simulation(&scenario.simulation),
        "traffic": traffic(&scenario.traffic),
        "load_balancer": load_balancer(&scenario.load_balancer),
        "targets": targets(&scenario.targets),
        "scaling": scaling(&scenario.scaling),
        "sampling": {
            "mode": scenario.sampling.mode.word(),
            "sample_on": words(&scenario.sampling.sample_on),
        },
        "reporting": {
            "output_dir": scenario.reporting.output_dir,
            "writers": words(&scenario.reporting.writers),
            "include_plots": scenario.reporting.include_plots,
        },
    })
}

/// A whole number as such: 100, not 100.0.
fn num(x: f64) -> Value {
    // Up to 2⁵³ both are the same number.
    if libm::trunc(x) == x && (0.0..9e15).contains(&x) { Value::from(x as u64) } else { Value::from(x) }
}

fn nums(list: &[f64]) -> Value {
    list.iter().map(|x| num(*x)).collect()
}

fn ms(time: Nanos) -> Value {
    num(time.as_millis_f64())
}

fn words<W: Word>(list: &[W]) -> Value {
    list.iter().map(|value| value.word()).collect()
}

/// `object` with a key that is left out where it has no value.
fn with(mut object: Value, key: &str, value: Option<Value>) -> Value {
    object.as_object_mut().map(|object| value.and_then(|value| object.insert(key.to_owned(), value)));
    object
}

fn simulation(simulation: &Simulation) -> Value {
    let object = json!({
        "seed": simulation.seed,
        "duration_ms": ms(simulation.duration),
        "drain_ms": ms(simulation.drain),
        "warmup_ms": ms(simulation.warmup),
    });
    with(object, "total_time_ms", simulation.total_time.map(ms))
}

fn traffic(traffic: &Traffic) -> Value {
    let object = json!({
        "request_duration_ms": dist(&traffic.request_duration_ms, "_ms"),
        "cpu_demand": dist(&traffic.cpu_demand, ""),
        "timeout_ms": ms(traffic.timeout),
    });
    match &traffic.model {
        TrafficModel::Open(open) => with(object, "arrival", Some(arrival(open))),
        TrafficModel::Closed(closed) => match &closed.population {
            Population::Fixed(users) => {
                let closed_loop = with(self::users(closed), "concurrency", Some(Value::from(*users)));
                with(object, "closed_loop", Some(closed_loop))
            }
            Population::Sessions { arrival, mean_requests } => {
                let sessions = with(users(closed), "mean_requests", Some(num(*mean_requests)));
                with(object, "arrival", Some(with(self::arrival(arrival), "sessions", Some(sessions))))
            }
        },
    }
}

fn arrival(arrival: &Arrival) -> Value {
    let object = with(process(&arrival.process), "ramp", Some(ramp(&arrival.ramp)));
    with(object, "count", arrival.count.map(Value::from))
}

fn process(process: &ArrivalProcess) -> Value {
    let rated = |name: &str, rate: f64| json!({"distribution": name, "rate_per_sec": num(rate)});
    match process {
        ArrivalProcess::Poisson { rate_per_sec } => rated("poisson", *rate_per_sec),
        ArrivalProcess::Exponential { mean_ms } => json!({"distribution": "exponential", "mean_ms": num(*mean_ms)}),
        ArrivalProcess::Normal { mean_ms, stddev_ms } => {
            json!({"distribution": "normal", "mean_ms": num(*mean_ms), "stddev_ms": num(*stddev_ms)})
        }
        ArrivalProcess::Deterministic { interval_ms } => {
            json!({"distribution": "deterministic", "interval_ms": num(*interval_ms)})
        }
        ArrivalProcess::Gamma { rate_per_sec, cv } => with(rated("gamma", *rate_per_sec), "cv", Some(num(*cv))),
        ArrivalProcess::Uniform { rate_per_sec, jitter } => {
            with(rated("uniform", *rate_per_sec), "jitter", Some(num(*jitter)))
        }
        ArrivalProcess::Weibull { rate_per_sec, cv } => with(rated("weibull", *rate_per_sec), "cv", Some(num(*cv))),
        ArrivalProcess::LogNormal { rate_per_sec, sigma } => {
            with(rated("lognormal", *rate_per_sec), "sigma", Some(num(*sigma)))
        }
        ArrivalProcess::Mmpp { rates_per_sec, mean_dwell_ms } => json!({
            "distribution": "mmpp", "rates_per_sec": nums(rates_per_sec), "mean_dwell_ms": nums(mean_dwell_ms),
        }),
        ArrivalProcess::Trace { file, .. } => json!({"distribution": "trace", "file": file}),
    }
}

fn ramp(ramp: &Ramp) -> Value {
    match ramp {
        Ramp::None => json!({"mode": "none"}),
        Ramp::Linear { start_rate_per_sec, end_rate_per_sec, ramp, hold } => {
            let object = json!({
                "mode": "linear",
                "start_rate_per_sec": num(*start_rate_per_sec),
                "end_rate_per_sec": num(*end_rate_per_sec),
                "ramp_duration_ms": ms(*ramp),
            });
            with(object, "hold_duration_ms", hold.map(ms))
        }
        Ramp::Steps(steps) => {
            let step = |step: &RateStep| json!({"t_ms": ms(step.at), "rate_per_sec": num(step.rate_per_sec)});
            json!({"mode": "steps", "steps": steps.iter().map(step).collect::<Value>()})
        }
        Ramp::Sine { mean_rate_per_sec, amplitude_per_sec, period } => json!({
            "mode": "sine",
            "mean_rate_per_sec": num(*mean_rate_per_sec),
            "amplitude_per_sec": num(*amplitude_per_sec),
            "period_ms": ms(*period),
        }),
        Ramp::Spike { base_rate_per_sec, peak_rate_per_sec, at, length } => json!({
            "mode": "spike",
            "base_rate_per_sec": num(*base_rate_per_sec),
            "peak_rate_per_sec": num(*peak_rate_per_sec),
            "at_ms": ms(*at),
            "length_ms": ms(*length),
        }),
    }
}

fn users(users: &ClosedLoop) -> Value {
    let object = json!({
        "think_time_ms": delay(&users.think_time_ms),
        "on_error": users.on_error.word(),
    });
    with(object, "num_requests", users.num_requests.map(Value::from))
}

fn load_balancer(lb: &LoadBalancer) -> Value {
    let RetryOn { full, connect, reset, timeout } = lb.retry_on;
    let listed = [full, connect, reset, timeout];
    let retry_on = RETRY_ON.into_iter().zip(listed).filter(|(_, listed)| *listed).map(|(word, _)| word);
    let object = json!({
        "architecture": lb.architecture.word(),
        "hosts": lb.hosts,
        "no_capacity": no_capacity(lb.no_capacity),
        "retry_on": retry_on.collect::<Value>(),
        "rr": {
            "retry_limit": lb.rr.retry_limit,
            "retry_delay_ms": ms(lb.rr.retry_delay),
            "sync_delay_ms": ms(lb.rr.sync_delay),
            "start_offset": lb.rr.start_offset.word(),
            "idle_scale_down_threshold_requests_5m": lb.rr.idle_threshold_requests,
        },
        "lc": {
            "shared_map_lock_latency_ms": ms(lb.lc.lock_latency),
            "retry_delay_ms": ms(lb.lc.retry_delay),
            "retry_limit": lb.lc.retry_limit,
            "tie_break": lb.lc.tie_break.word(),
            "idle_scale_down_threshold_outstanding_5m": lb.lc.idle_threshold_outstanding,
        },
    });
    with(object, "try_timeout_ms", lb.try_timeout.map(|longest| json!(ms(longest))))
}

fn no_capacity(no_capacity: NoCapacity) -> Value {
    match no_capacity {
        NoCapacity::WaitScaleUp => json!("wait_scale_up"),
        NoCapacity::Fail => json!("fail"),
        NoCapacity::Queue { depth, timeout } => json!({"mode": "queue", "depth": depth, "timeout_ms": ms(timeout)}),
    }
}

fn targets(targets: &Targets) -> Value {
    json!({
        "initial_count": targets.initial_count,
        "max_concurrency_per_target": targets.max_concurrency,
        "cpu_capacity_per_target": num(targets.cpu_capacity),
        "on_disconnect": targets.on_disconnect.word(),
        "cpu_unit_ms": ms(targets.cpu_unit),
        "cpu_mode": targets.cpu_mode.word(),
    })
}

fn scaling(scaling: &Scaling) -> Value {
    json!({
        "min_targets": scaling.min_targets,
        "max_targets": scaling.max_targets,
        "policy": scaling.policy.word(),
        "scale_up_delay_ms": delay(&scaling.scale_up_delay_ms),
        "scale_down_delay_ms": delay(&scaling.scale_down_delay_ms),
        "scale_up": scaling.scale_up.word(),
        "idle_window_ms": ms(scaling.idle_window),
        "scan_interval_ms": ms(scaling.scan_interval),
        "drain_timeout_ms": ms(scaling.drain_timeout),
    })
}

fn delay(delay: &Dist) -> Value {
    match delay {
        Dist::Deterministic { value } => num(*value),
        other => dist(other, "_ms"),
    }
}

fn dist(dist: &Dist, suffix: &str) -> Value {
    let object = |name: &str, values: &[(&str, f64)]| {
        let mut object = Map::from_iter([("mode".to_owned(), json!("distribution"))]);
        object.insert("distribution".to_owned(), json!(name));
        object.extend(values.iter().map(|(key, value)| (key.replace('~', suffix), num(*value))));
        Value::Object(object)
    };
    match *dist {
        Dist::Deterministic { value } => object("deterministic", &[("value~", value)]),
        Dist::Normal { mean, stddev } => object("normal", &[("mean~", mean), ("stddev~", stddev)]),
        // By its median, which is what the model keeps: through the mean it would not come back to the last bit.
        Dist::LogNormal { median, sigma } => object("lognormal", &[("median~", median), ("sigma", sigma)]),
        Dist::Exponential { mean } => object("exponential", &[("mean~", mean)]),
        Dist::Gamma { mean, cv } => object("gamma", &[("mean~", mean), ("cv", cv)]),
        Dist::Weibull { mean, cv } => object("weibull", &[("mean~", mean), ("cv", cv)]),
        Dist::Pareto { min, alpha } => object("pareto", &[("min~", min), ("alpha", alpha)]),
        Dist::Uniform { min, max } => object("uniform", &[("min~", min), ("max~", max)]),
        Dist::Bimodal { fast, slow, slow_fraction } => {
            object("bimodal", &[("fast~", fast), ("slow~", slow), ("slow_fraction", slow_fraction)])
        }
        Dist::Percentiles { p50, p80, p90, p99, p100 } => json!({
            "mode": "percentiles", "p50": num(p50), "p80": num(p80), "p90": num(p90), "p99": num(p99), "p100": num(p100),
        }),
    }
}
