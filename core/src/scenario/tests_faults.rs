//! Bad scenarios: what is said about each, word for word.

use serde_json::{Value, json};

use super::tests::no_file;
use super::*;

/// The faults of `value`, one per line.
fn faults(value: &Value) -> String {
    match Scenario::from_value("bad", value, &mut no_file) {
        Ok(scenario) => panic!("{value} is valid: {scenario:?}"),
        Err(faults) => faults.to_string(),
    }
}

/// A tree with `value` at the dotted `path`.
fn tree(path: &str, value: &Value) -> Value {
    path.rsplit('.').fold(value.clone(), |inner, name| json!({ name: inner }))
}

/// Asserts that `value` at `path` has exactly these faults; a line that begins with a colon is about `path` itself.
fn check(table: &[(&str, Value, &str)]) {
    for (path, value, expected) in table {
        let expected: Vec<String> = expected
            .lines()
            .map(|line| if line.starts_with(':') { format!("{path}{line}") } else { line.trim().to_owned() })
            .collect();
        assert_eq!(faults(&tree(path, value)), expected.join("\n"), "{path} = {value}");
    }
}

#[test]
fn ranges_and_kinds() {
    check(&[
        ("simulation.seed", json!(-1), ": must be ≥ 0, got -1"),
        ("simulation.seed", json!(1.5), ": must be a whole number, got 1.5"),
        ("simulation.seed", json!("7"), ": must be a whole number, got \"7\""),
        ("simulation.duration_ms", json!(0), ": must be > 0, got 0"),
        ("simulation.duration_ms", json!(1e300), ": must be ≤ 604800000, got 1e+300"),
        ("simulation.duration_ms", json!(null), ": must be a number, got null"),
        ("simulation.drain_ms", json!("10s"), ": must be a number, got \"10s\""),
        ("simulation.total_time_ms", json!(-2.5), ": must be > 0, got -2.5"),
        ("traffic.arrival.rate_per_sec", json!(-5), ": must be > 0, got -5"),
        ("traffic.arrival.rate_per_sec", json!(2_000_000), ": must be ≤ 1000000, got 2000000"),
        ("traffic.arrival.count", json!(0), ": must be ≥ 1, got 0"),
        ("traffic.arrival.count", json!(1_000_000_000), ": must be ≤ 100000000, got 1000000000"),
        ("traffic.timeout_ms", json!([1]), ": must be a number, got a list"),
        ("load_balancer.hosts", json!(0), ": must be ≥ 1, got 0"),
        ("load_balancer.hosts", json!(65), ": must be ≤ 64, got 65"),
        ("load_balancer.rr.retry_limit", json!(1e30), ": must be ≤ 1024, got 1e+30"),
        ("load_balancer.rr", json!(3), ": must be an object, got 3"),
        ("targets.max_concurrency_per_target", json!(2_000_000), ": must be ≤ 1000000, got 2000000"),
        ("targets.cpu_capacity_per_target", json!(0.0), ": must be > 0, got 0.0"),
        ("scaling.max_targets", json!(5000), ": must be ≤ 1024, got 5000"),
        ("scaling.scan_interval_ms", json!(0), ": must be ≥ 1, got 0"),
        ("scaling.scale_up_delay_ms", json!(-1), ": must be ≥ 0, got -1 (or an object with mode)"),
        ("scaling.scale_up_delay_ms", json!("fast"), ": must be a number, got \"fast\" (or an object with mode)"),
        ("reporting.output_dir", json!(""), ": must not be empty"),
        ("reporting.include_plots", json!("yes"), ": must be true or false, got \"yes\""),
        ("description", json!("x".repeat(2001)), ": must have at most 2000 characters, got 2001"),
    ]);
    assert_eq!(faults(&json!([])), "must be an object, got a list");
}

#[test]
fn words() {
    check(&[
        (
            "load_balancer.architecture",
            json!("round-robbin"),
            ": must be one of round_robin, least_conns, got \"round-robbin\"; did you mean round_robin?",
        ),
        ("load_balancer.architecture", json!(1), ": must be one of round_robin, least_conns, got 1"),
        ("load_balancer.lc.tie_break", json!("highest"), ": must be one of random, lowest_id, rotate, got \"highest\""),
        (
            "load_balancer.no_capacity",
            json!("queue"),
            ": must be one of wait_scale_up, fail, got \"queue\" (or an object with mode)",
        ),
        (
            "load_balancer.no_capacity",
            json!({"depth": 4}),
            "load_balancer.no_capacity.mode: is missing: one of wait_scale_up, fail, queue",
        ),
        (
            "load_balancer.no_capacity",
            json!({"mode": "queue", "depth": 0}),
            "load_balancer.no_capacity.depth: must be ≥ 1, got 0
             load_balancer.no_capacity.timeout_ms: is missing",
        ),
        (
            "load_balancer.no_capacity",
            json!({"mode": "fail", "depth": 4}),
            "load_balancer.no_capacity.depth: belongs to mode queue, not to fail",
        ),
        ("load_balancer.retry_on", json!("full"), ": must be a list, got \"full\""),
        ("load_balancer.retry_on", json!(["full", "full"]), "load_balancer.retry_on[1]: full is listed twice"),
        (
            "load_balancer.retry_on",
            json!(["late"]),
            "load_balancer.retry_on[0]: must be one of full, connect, reset, timeout, got \"late\"",
        ),
        ("sampling.sample_on", json!([]), ": must have at least 1 entries, got 0"),
        (
            "reporting.writers",
            json!(["json", "pdf"]),
            "reporting.writers[1]: must be one of json, markdown, csv, html, got \"pdf\"",
        ),
        (
            "scaling.scale_up_delay_ms",
            json!({"mean_ms": 10}),
            "scaling.scale_up_delay_ms.distribution: is missing: one of lognormal, normal, exponential, deterministic, gamma, \
             weibull, pareto, uniform, bimodal",
        ),
        (
            "traffic.request_duration_ms",
            json!({"distribution": "gama", "mean_ms": 10, "cv": 1}),
            "traffic.request_duration_ms.distribution: must be one of lognormal, normal, exponential, deterministic, gamma, \
             weibull, pareto, uniform, bimodal, got \"gama\"; did you mean gamma?",
        ),
        (
            "traffic.request_duration_ms",
            json!({"distribution": "deterministic", "value_ms": 10, "cv": 1}),
            "traffic.request_duration_ms.cv: belongs to distribution gamma or weibull, not to deterministic",
        ),
        ("scaling.policy", json!("hpa"), ": must be one of on_demand, got \"hpa\""),
    ]);
}

#[test]
fn unknown_keys() {
    check(&[
        ("simulaton", json!({}), ": unknown key; did you mean simulation?"),
        ("simulation.duration", json!(5), ": unknown key; did you mean duration_ms?"),
        ("traffic.arrival.rate_per_second", json!(5), ": unknown key; did you mean rate_per_sec?"),
        ("traffic.arrival.interval_ms", json!(5), ": belongs to distribution deterministic, not to poisson"),
        ("traffic.arrival.mean_ms", json!(5), ": belongs to distribution exponential or normal, not to poisson"),
        ("load_balancer.sync_delay_ms", json!(5), ": unknown key here; did you mean load_balancer.rr.sync_delay_ms?"),
        (
            "traffic.arrival.distribution",
            json!("posson"),
            ": must be one of poisson, exponential, normal, deterministic, gamma, uniform, weibull, lognormal, mmpp, trace, got \"posson\"; did you mean poisson?",
        ),
        ("sampling.window", json!(5), ": unknown key; known here: mode, sample_on"),
    ]);
    // Which keys belong there cannot be known before the tag is right.
    let arrival = json!({"distribution": "fixed", "interval_ms": 5, "zzzz": 1});
    let said = faults(&tree("traffic.arrival", &arrival));
    assert!(!said.contains("interval_ms") && said.contains("traffic.arrival.zzzz: unknown key"), "{said}");
}

#[test]
fn arrivals() {
    check(&[
        ("traffic.arrival", json!({"distribution": "exponential"}), ": needs one of mean_ms, lambda"),
        (
            "traffic.arrival",
            json!({"distribution": "exponential", "lambda": 0.1, "mean_ms": 10}),
            "traffic.arrival.lambda: cannot be given together with traffic.arrival.mean_ms",
        ),
        ("traffic.arrival", json!({"distribution": "deterministic"}), "traffic.arrival.interval_ms: is missing"),
        ("traffic.arrival", json!({"distribution": "gamma", "cv": 0}), "traffic.arrival.cv: must be ≥ 0.01, got 0"),
        (
            "traffic.arrival",
            json!({"distribution": "mmpp", "rates_per_sec": [1, 50, 3], "mean_dwell_ms": [100, 0]}),
            "traffic.arrival.mean_dwell_ms[1]: must be > 0, got 0",
        ),
        (
            "traffic.arrival",
            json!({"distribution": "mmpp", "rates_per_sec": [1, 50, 3], "mean_dwell_ms": [100, 10]}),
            "traffic.arrival.mean_dwell_ms: must have as many entries as rates_per_sec (3), got 2",
        ),
        (
            "traffic.arrival",
            json!({"distribution": "mmpp", "rates_per_sec": [0, 0], "mean_dwell_ms": [100, 10]}),
            "traffic.arrival.rates_per_sec: must not be all 0",
        ),
        (
            "traffic.arrival",
            json!({"distribution": "mmpp", "rates_per_sec": [1, 2], "mean_dwell_ms": [100, 10], "ramp": {"mode": "spike",
                "base_rate_per_sec": 1, "peak_rate_per_sec": 2, "at_ms": 1, "length_ms": 1}}),
            "traffic.arrival.ramp.mode: must be none with mmpp, whose phases have rates of their own",
        ),
        ("traffic.arrival", json!({"distribution": "trace"}), "traffic.arrival.file: is missing"),
        ("traffic.arrival", json!({"distribution": "trace", "file": "a.csv"}), "traffic.arrival.file: a.csv: not there"),
        (
            "traffic.arrival",
            json!({"distribution": "trace", "file": "a.csv", "ramp": {"mode": "sine", "mean_rate_per_sec": 5, "amplitude_per_sec": 6, "period_ms": 10}}),
            "traffic.arrival.ramp.mean_rate_per_sec: must be ≥ amplitude_per_sec (6), got 5
             traffic.arrival.ramp.mode: must be none with a trace, whose times are fixed
             traffic.arrival.file: a.csv: not there",
        ),
        (
            "traffic",
            json!({"arrival": {}, "closed_loop": {"concurrency": 3}}),
            "traffic.closed_loop: cannot be given together with traffic.arrival",
        ),
        (
            "traffic.closed_loop",
            json!({"concurrency": 1_000_001, "on_error": "stop", "num_requests": 0, "think_time_ms": {}}),
            "traffic.closed_loop.concurrency: must be ≤ 1000000, got 1000001
             traffic.closed_loop.think_time_ms.distribution: is missing: one of lognormal, normal, exponential, deterministic, gamma, weibull, pareto, uniform, bimodal
             traffic.closed_loop.num_requests: must be ≥ 1, got 0
             traffic.closed_loop.on_error: must be one of continue, cancel, replace, got \"stop\"",
        ),
    ]);
}

#[test]
fn ramps() {
    check(&[
        (
            "traffic.arrival.ramp",
            json!({"mode": "linear", "start_rate_per_sec": 0, "end_rate_per_sec": 0, "ramp_duration_ms": 5}),
            "traffic.arrival.ramp.start_rate_per_sec: must not be 0 together with end_rate_per_sec",
        ),
        (
            "traffic.arrival.ramp",
            json!({"mode": "spike", "base_rate_per_sec": 0, "peak_rate_per_sec": -1, "at_ms": 5}),
            "traffic.arrival.ramp.peak_rate_per_sec: must be ≥ 0, got -1
             traffic.arrival.ramp.length_ms: is missing",
        ),
        (
            "traffic.arrival.ramp",
            json!({"mode": "steps", "steps": []}),
            "traffic.arrival.ramp.steps: must have at least 1 entries, got 0",
        ),
        (
            "traffic.arrival.ramp",
            json!({"mode": "steps", "steps": [{"t_ms": 0, "rate_per_sec": 0}, {"t_ms": 5, "rate_per_sec": 0}, {"t_ms": 5, "rate_per_sec": 0}]}),
            "traffic.arrival.ramp.steps[2].t_ms: must be > that of the step before (5), got 5
             traffic.arrival.ramp.steps: must have a rate_per_sec that is not 0",
        ),
        (
            "traffic.arrival.ramp",
            json!({"mode": "steps", "steps": [{"at": 0}]}),
            "traffic.arrival.ramp.steps[0].at: unknown key; did you mean t_ms?
             traffic.arrival.ramp.steps[0].t_ms: is missing
             traffic.arrival.ramp.steps[0].rate_per_sec: is missing",
        ),
    ]);
}

#[test]
fn distributions() {
    check(&[
        (
            "traffic.request_duration_ms",
            json!({"mean_ms": 5, "median_ms": 4}),
            "traffic.request_duration_ms.median_ms: cannot be given together with traffic.request_duration_ms.mean_ms",
        ),
        (
            "traffic.request_duration_ms",
            json!({"distribution": "normal"}),
            "traffic.request_duration_ms.mean_ms: is missing
             traffic.request_duration_ms.stddev_ms: is missing",
        ),
        ("traffic.request_duration_ms", json!({"sigma": 6}), "traffic.request_duration_ms.sigma: must be ≤ 5, got 6"),
        ("traffic.request_duration_ms", json!({"distribution": "exponential"}), ": needs one of mean_ms, lambda_ms"),
        (
            "traffic.request_duration_ms",
            json!({"distribution": "pareto", "min_ms": 1, "alpha": 1}),
            "traffic.request_duration_ms.alpha: must be > 1, got 1",
        ),
        (
            "traffic.request_duration_ms",
            json!({"mode": "percentiles", "p50": 10, "p80": 20, "p90": 15, "p99": 30, "p100": 29}),
            "traffic.request_duration_ms.p90: must be ≥ p80 (20), got 15
             traffic.request_duration_ms.p100: must be ≥ p99 (30), got 29",
        ),
        (
            "traffic.request_duration_ms",
            json!({"mode": "percentiles", "p50": 10, "p80": 20, "p90": 25, "p99": 30, "mean_ms": 4}),
            "traffic.request_duration_ms.mean_ms: belongs to mode distribution, not to percentiles
             traffic.request_duration_ms.p100: is missing",
        ),
        (
            "traffic.cpu_demand",
            json!({"distribution": "uniform", "min": 5, "max": 4}),
            "traffic.cpu_demand.max: must be ≥ min (5), got 4",
        ),
        (
            "traffic.cpu_demand",
            json!({"distribution": "bimodal", "fast": 5, "slow": 4, "slow_fraction": 1.5}),
            "traffic.cpu_demand.slow_fraction: must be ≤ 1, got 1.5
             traffic.cpu_demand.slow: must be ≥ fast (5), got 4",
        ),
        ("traffic.cpu_demand", json!({"mean_ms": 5}), "traffic.cpu_demand.mean_ms: unknown key; did you mean mean?"),
        (
            "scaling.scale_up_delay_ms",
            json!({"distribution": "exponential", "mean_ms": 0}),
            "scaling.scale_up_delay_ms.mean_ms: must be > 0, got 0",
        ),
    ]);
}

#[test]
fn relations_between_sections() {
    check(&[
        ("simulation.warmup_ms", json!(120_000), ": must be < simulation.duration_ms (120000), got 120000"),
        (
            "simulation",
            json!({"warmup_ms": 10, "total_time_ms": 10}),
            "simulation.total_time_ms: must be > simulation.warmup_ms (10), got 10",
        ),
        (
            "scaling",
            json!({"min_targets": 3, "max_targets": 2}),
            "scaling.min_targets: must be ≤ scaling.max_targets (2), got 3
             targets.initial_count: must be ≥ scaling.min_targets (3), got 2",
        ),
        ("targets.initial_count", json!(101), ": must be ≤ scaling.max_targets (100), got 101"),
    ]);
}

#[test]
fn all_faults_of_a_file_at_once() {
    let value = json!({
        "simulation": {"seed": "x", "duration_ms": 100, "warmup_ms": 100, "warmup": 1},
        "traffic": {
            "arrival": {"distribution": "normal", "mean_ms": 0, "ramp": {"mode": "sine"}},
            "request_duration_ms": {"mode": "percentile"},
            "cpu_demand": 10,
        },
        "load_balancer": {"hosts": 2.5, "retry_on": ["fulll", 3]},
        "targets": {"initial_count": 7},
        "scaling": {"max_targets": 5, "policy": null},
        "extra": true,
    });
    let expected = r#"extra: unknown key; known here: description, simulation, traffic, load_balancer, targets, scaling, sampling, reporting
simulation.warmup: unknown key; did you mean warmup_ms?
simulation.seed: must be a whole number, got "x"
traffic.arrival.ramp.mean_rate_per_sec: is missing
traffic.arrival.ramp.amplitude_per_sec: is missing
traffic.arrival.ramp.period_ms: is missing
traffic.arrival.mean_ms: must be ≥ 0.001, got 0
traffic.arrival.stddev_ms: is missing
traffic.request_duration_ms.mode: must be one of distribution, percentiles, got "percentile"; did you mean percentiles?
traffic.cpu_demand: must be an object, got 10
load_balancer.hosts: must be a whole number, got 2.5
load_balancer.retry_on[0]: must be one of full, connect, reset, timeout, got "fulll"; did you mean full?
load_balancer.retry_on[1]: must be one of full, connect, reset, timeout, got 3
scaling.policy: must be one of on_demand, got null
simulation.warmup_ms: must be < simulation.duration_ms (100), got 100
targets.initial_count: must be ≤ scaling.max_targets (5), got 7"#;
    assert_eq!(faults(&value), expected);
}

// === traces ===

fn trace(text: &'static str, hosts: u32) -> Result<Scenario, String> {
    let value = json!({
        "traffic": {"arrival": {"distribution": "trace", "file": "t.csv"}},
        "load_balancer": {"hosts": hosts},
    });
    Scenario::from_value("trace", &value, &mut |_| Ok(text.to_owned())).map_err(|faults| faults.to_string())
}

fn rows(scenario: Scenario) -> Vec<TraceArrival> {
    match scenario.traffic.model {
        TrafficModel::Open(Arrival { process: ArrivalProcess::Trace { rows, .. }, .. }) => rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn faults_of_a_trace_have_line_numbers() {
    for (text, expected) in [
        ("", "line 1: the header must have a column t_ms, or be that of a run's trace.csv"),
        ("t_ms,hold\n1,2", "line 1: unknown column \"hold\"; known: t_ms, hold_ms, cpu, host"),
        ("t_ms,cpu,cpu\n1,2,3", "line 1: column cpu is there twice"),
        ("t_ms\n", "has no rows"),
        ("t_ms,cpu\n1,2\n\n3\n", "line 4: must have 2 cells like the header, got 1"),
        ("t_ms\n-1\n", "line 2: time must be ≥ 0, got -1"),
        ("t_ms\nNaN\n", "line 2: time must be a number, got NaN"),
        ("t_ms\ninf\n", "line 2: time must be ≤ 604800000, got inf"),
        ("t_ms,hold_ms\n1,x\n", "line 2: hold must be a number, got \"x\""),
        (
            "t_ms,host\n1,1\n2,2\n3,-1\n",
            "line 3: host must be < load_balancer.hosts (2), got 2\nline 4: host must be a whole number, got \"-1\"",
        ),
    ] {
        let expected: Vec<String> =
            expected.lines().map(|line| format!("traffic.arrival.file: t.csv: {line}")).collect();
        assert_eq!(trace(text, 2).unwrap_err(), expected.join("\n"), "{text:?}");
    }
}

#[test]
fn a_faulty_trace_has_a_limit_of_faults() {
    let said = trace("t_ms\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\n", 1).unwrap_err();
    assert_eq!(said.lines().count(), limits::MAX_TRACE_FAULTS);
}

#[test]
fn a_trace_is_sorted_and_empty_cells_are_drawn() {
    let at = |ms| crate::time::Nanos::from_millis(ms);
    let read = rows(trace("host, t_ms ,cpu\r\n1,20,\r\n,10,2.5\r\n0,20,1\r\n", 2).unwrap());
    let row = |ms, cpu, host| TraceArrival { at: at(ms), hold: None, cpu, host };
    assert_eq!(read, [row(10, Some(2.5), None), row(20, None, Some(1)), row(20, Some(1.0), Some(0))]);
}

#[test]
fn the_trace_of_a_run_is_a_trace() {
    let read = rows(trace("seq,host,t_intended_ns,outcome,hold_demand_ns,cpu_demand\n0,1,1500,ok,7,9.5\n", 2).unwrap());
    let (at, hold) = (crate::time::Nanos(1500), Some(crate::time::Nanos(7)));
    assert_eq!(read, [TraceArrival { at, hold, cpu: Some(9.5), host: Some(1) }]);
}

#[test]
fn a_count_may_not_exceed_the_trace() {
    let value = json!({"traffic": {"arrival": {"distribution": "trace", "file": "t.csv", "count": 3}}});
    let faults = Scenario::from_value("trace", &value, &mut |_| Ok("t_ms\n1\n2\n".to_owned())).unwrap_err();
    assert_eq!(faults.to_string(), "traffic.arrival.count: must be ≤ the rows of the trace (2), got 3");
}

#[test]
fn a_scenario_that_can_never_send_anything() {
    let nothing = |arrival: Value, says: &str| {
        let scenario = json!({"simulation": {"duration_ms": 1_000}, "traffic": {"arrival": arrival}});
        let mut trace = |_: &str| Ok("t_ms\n1000\n2000\n".to_owned());
        match Scenario::from_value("bad", &scenario, &mut trace) {
            Ok(_) => assert_eq!(says, "", "{arrival} is valid"),
            Err(faults) => assert_eq!(faults.to_string(), says, "{arrival}"),
        }
    };
    let no_rate = "traffic.arrival.ramp: must have a rate above 0 before simulation.duration_ms (1000)";
    let steps =
        |at: u32| json!({"mode": "steps", "steps": [{"t_ms": 0, "rate_per_sec": 0}, {"t_ms": at, "rate_per_sec": 5}]});
    nothing(json!({"ramp": steps(1_000)}), no_rate);
    nothing(json!({"ramp": steps(999)}), "");
    for distribution in [json!({"distribution": "poisson"}), json!({"distribution": "gamma", "cv": 2})] {
        let mut arrival = distribution;
        (arrival["count"], arrival["ramp"]) = (json!(5), steps(1_000));
        nothing(arrival, no_rate);
    }
    nothing(json!({"ramp": steps(1_000), "sessions": {"mean_requests": 2}}), no_rate);
    let linear = json!({"mode": "linear", "start_rate_per_sec": 0, "end_rate_per_sec": 5, "ramp_duration_ms": 10_000});
    nothing(json!({ "ramp": linear }), "");
    let spike = |at: u32| json!({"ramp": {"mode": "spike", "base_rate_per_sec": 0, "peak_rate_per_sec": 5, "at_ms": at, "length_ms": 10}});
    nothing(spike(1_000), no_rate);
    nothing(spike(999), "");
    let trace = json!({"distribution": "trace", "file": "trace.csv"});
    nothing(trace, "traffic.arrival.file: must have a row before simulation.duration_ms (1000)");
    nothing(json!({"distribution": "trace", "file": "trace.csv", "count": 1}), "");
}
