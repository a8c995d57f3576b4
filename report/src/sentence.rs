//! The scenario in one sentence.

use galton_core::dist::Dist;
use galton_core::scenario::{
    Architecture, Arrival, ArrivalProcess, ClosedLoop, NoCapacity, Population, Ramp, ScaleUp, TrafficModel,
};
use galton_core::{Nanos, Scenario};

use crate::units::{count, digits, percent, rate, time};

/// "Round robin on 2 hosts (…) over 2 targets of 10 slots (…): open loop, Poisson 20/s for 120 s; hold …".
pub fn of(scenario: &Scenario) -> String {
    let lb = &scenario.load_balancer;
    let policy = match lb.architecture {
        Architecture::RoundRobin => format!("Round robin ({} retries)", lb.rr.retry_limit),
        Architecture::LeastConns => "Least connections".to_owned(),
    };
    let hosts = if lb.hosts == 1 { "one host".to_owned() } else { format!("{} hosts", lb.hosts) };
    format!(
        "{policy} on {hosts} over {} of {} slots, {}; {}; hold {}.",
        fleet(scenario),
        scenario.targets.max_concurrency,
        no_capacity(scenario),
        traffic(scenario),
        hold(scenario),
    )
}

/// A trace's column goes before the distribution.
fn hold(scenario: &Scenario) -> String {
    match &scenario.traffic.model {
        TrafficModel::Open(Arrival { process: ArrivalProcess::Trace { rows, .. }, .. })
            if rows.iter().all(|row| row.hold.is_some()) =>
        {
            "as in the trace".to_owned()
        }
        _ => distribution(&scenario.traffic.request_duration_ms, " ms"),
    }
}

fn fleet(scenario: &Scenario) -> String {
    let (initial, scaling) = (scenario.targets.initial_count, &scenario.scaling);
    let targets = if initial == 1 { "1 target".to_owned() } else { format!("{initial} targets") };
    if scaling.min_targets == scaling.max_targets {
        return targets;
    }
    format!("{targets} ({} to {})", scaling.min_targets, scaling.max_targets)
}

fn no_capacity(scenario: &Scenario) -> String {
    match (scenario.load_balancer.no_capacity, scenario.scaling.scale_up) {
        (NoCapacity::WaitScaleUp, ScaleUp::PerRequest) => "a start for every request without room".to_owned(),
        (NoCapacity::WaitScaleUp, ScaleUp::Coalesced) => "shared starts for requests without room".to_owned(),
        (NoCapacity::Fail, _) => "requests without room rejected".to_owned(),
        (NoCapacity::Queue { depth, timeout }, _) => {
            format!("requests without room in queues of {depth} for up to {}", time(timeout))
        }
    }
}

/// Its traffic alone.
pub fn traffic(scenario: &Scenario) -> String {
    let duration = scenario.simulation.duration;
    match &scenario.traffic.model {
        TrafficModel::Open(arrival) => open_loop(arrival, duration),
        TrafficModel::Closed(closed) => closed_loop(closed, duration),
    }
}

fn open_loop(arrival: &Arrival, duration: Nanos) -> String {
    format!("open loop, {} for {}", arrivals(arrival), time(duration))
}

fn arrivals(arrival: &Arrival) -> String {
    let process = match &arrival.process {
        ArrivalProcess::Poisson { rate_per_sec } => format!("Poisson{}", own_rate(arrival, *rate_per_sec)),
        ArrivalProcess::Exponential { mean_ms } => format!("Poisson{}", own_rate(arrival, 1e3 / mean_ms)),
        ArrivalProcess::Normal { mean_ms, .. } => format!("normal gaps{}", own_rate(arrival, 1e3 / mean_ms)),
        ArrivalProcess::Deterministic { interval_ms } => {
            format!("equal gaps{}", own_rate(arrival, 1e3 / interval_ms))
        }
        ArrivalProcess::Gamma { rate_per_sec, cv } => {
            format!("gamma gaps (cv {}){}", digits(*cv), own_rate(arrival, *rate_per_sec))
        }
        ArrivalProcess::Uniform { rate_per_sec, jitter } => {
            format!("uniform gaps ± {}{}", percent(*jitter), own_rate(arrival, *rate_per_sec))
        }
        ArrivalProcess::Weibull { rate_per_sec, cv } => {
            format!("Weibull gaps (cv {}){}", digits(*cv), own_rate(arrival, *rate_per_sec))
        }
        ArrivalProcess::LogNormal { rate_per_sec, .. } => {
            format!("lognormal gaps{}", own_rate(arrival, *rate_per_sec))
        }
        ArrivalProcess::Mmpp { rates_per_sec, .. } => {
            let rates: Vec<String> = rates_per_sec.iter().map(|r| digits(*r)).collect();
            format!("bursts of {}/s", rates.join(", "))
        }
        ArrivalProcess::Trace { file, rows } => {
            let name = file.rsplit('/').next().unwrap_or(file);
            format!("{} arrivals of the trace {name}", count(rows.len() as u64))
        }
    };
    let exactly = arrival.count.map(|n| format!(", exactly {}", count(n))).unwrap_or_default();
    format!("{process}{}{exactly}", ramp(&arrival.ramp))
}

/// The rate, unless a ramp replaces it.
fn own_rate(arrival: &Arrival, per_sec: f64) -> String {
    if arrival.ramp == Ramp::None { format!(" {}", rate(per_sec)) } else { String::new() }
}

fn ramp(ramp: &Ramp) -> String {
    match ramp {
        Ramp::None => String::new(),
        Ramp::Linear { start_rate_per_sec, end_rate_per_sec, ramp, .. } => {
            format!(" from {} to {} within {}", rate(*start_rate_per_sec), rate(*end_rate_per_sec), time(*ramp))
        }
        Ramp::Steps(steps) => {
            let rates: Vec<String> = steps.iter().map(|s| digits(s.rate_per_sec)).collect();
            format!(" in steps of {}/s", rates.join(", "))
        }
        Ramp::Sine { mean_rate_per_sec, amplitude_per_sec, period } => {
            format!(" in waves of {} ± {} every {}", rate(*mean_rate_per_sec), rate(*amplitude_per_sec), time(*period))
        }
        Ramp::Spike { base_rate_per_sec, peak_rate_per_sec, at, length } => format!(
            " {}, {} within {} from {} on",
            rate(*base_rate_per_sec),
            rate(*peak_rate_per_sec),
            time(*length),
            time(*at)
        ),
    }
}

fn closed_loop(closed: &ClosedLoop, duration: Nanos) -> String {
    let users = match &closed.population {
        Population::Fixed(users) => format!("closed loop of {} users", count((*users).into())),
        Population::Sessions { arrival, mean_requests } => {
            format!("partly open, sessions of {} requests on average, {}", digits(*mean_requests), arrivals(arrival))
        }
    };
    let think = match closed.think_time_ms {
        Dist::Deterministic { value: 0.0 } => String::new(),
        ref dist => format!(", think time {}", distribution(dist, " ms")),
    };
    match closed.num_requests {
        Some(n) => format!("{users}{think}, {} requests within {}", count(n), time(duration)),
        None => format!("{users}{think}, for {}", time(duration)),
    }
}

/// A distribution with its main parameters.
pub(crate) fn distribution(dist: &Dist, unit: &str) -> String {
    match dist {
        Dist::Deterministic { value } => format!("{}{unit}", digits(*value)),
        Dist::Normal { mean, stddev } => format!("normal {} ± {}{unit}", digits(*mean), digits(*stddev)),
        Dist::LogNormal { median, sigma } => {
            format!("lognormal, median {}{unit}, sigma {}", digits(*median), digits(*sigma))
        }
        Dist::Exponential { mean } => format!("exponential, mean {}{unit}", digits(*mean)),
        Dist::Gamma { mean, cv } => format!("gamma, mean {}{unit}, cv {}", digits(*mean), digits(*cv)),
        Dist::Weibull { mean, cv } => format!("Weibull, mean {}{unit}, cv {}", digits(*mean), digits(*cv)),
        Dist::Pareto { min, alpha } => format!("Pareto from {}{unit}, exponent {}", digits(*min), digits(*alpha)),
        Dist::Uniform { min, max } => format!("uniform {} to {}{unit}", digits(*min), digits(*max)),
        Dist::Bimodal { fast, slow, slow_fraction } => {
            let slow_share = crate::units::percent(*slow_fraction);
            format!("{}{unit}, {slow_share} {}{unit}", digits(*fast), digits(*slow))
        }
        Dist::Percentiles { p50, p99, .. } => {
            format!("by percentiles, p50 {}{unit}, p99 {}{unit}", digits(*p50), digits(*p99))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sentence(value: Value) -> String {
        let mut no_files = |_: &str| Err("no files".to_owned());
        of(&Scenario::from_value("x", &value, &mut no_files).unwrap())
    }

    #[test]
    fn a_scenario_is_said_in_one_sentence() {
        assert_eq!(
            sentence(
                json!({"load_balancer": {"hosts": 1, "no_capacity": "fail"}, "scaling": {"min_targets": 2, "max_targets": 2}})
            ),
            "Round robin (2 retries) on one host over 2 targets of 10 slots, requests without room rejected; \
             open loop, Poisson 20/s for 120 s; hold lognormal, median 88.2 ms, sigma 0.50."
        );
        assert_eq!(
            sentence(json!({
                "load_balancer": {"architecture": "least_conns", "no_capacity": {"mode": "queue", "depth": 50, "timeout_ms": 500}},
                "traffic": {
                    "closed_loop": {"concurrency": 50, "num_requests": 5000},
                    "request_duration_ms": {"mode": "distribution", "distribution": "deterministic", "value_ms": 20}
                }
            })),
            "Least connections on 2 hosts over 2 targets (1 to 100) of 10 slots, requests without room in queues of 50 \
             for up to 500 ms; closed loop of 50 users, 5,000 requests within 120 s; hold 20 ms."
        );
    }
}
