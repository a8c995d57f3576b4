//! From a tree that was read without a fault to the model. Nothing can fail here: kinds, ranges and presence were checked
//! against the same names.

use serde_json::Value;

use super::keys::RETRY_ON;
use super::model::*;
use super::traffic::*;
use super::words::Word;
use crate::dist::Dist;
use crate::time::Nanos;

const CHECKED: &str = "read against the declared keys";

/// A value of the tree.
#[derive(Clone, Copy)]
struct Node<'v>(&'v Value);

/// The scenario of `tree`; `rows` are those of its trace file, if it has one.
pub(super) fn build(name: &str, tree: &Value, rows: Vec<TraceArrival>) -> Scenario {
    let root = Node(tree);
    Scenario {
        name: name.to_owned(),
        description: root.text("description").to_owned(),
        simulation: simulation(root.at("simulation")),
        traffic: traffic(root.at("traffic"), rows),
        load_balancer: load_balancer(root.at("load_balancer")),
        targets: targets(root.at("targets")),
        scaling: scaling(root.at("scaling")),
        sampling: sampling(root.at("sampling")),
        reporting: reporting(root.at("reporting")),
    }
}

fn simulation(node: Node<'_>) -> Simulation {
    Simulation {
        seed: node.int("seed"),
        duration: node.time("duration_ms"),
        drain: node.time("drain_ms"),
        total_time: node.find("total_time_ms").map(Node::as_time),
        warmup: node.time("warmup_ms"),
    }
}

fn traffic(node: Node<'_>, rows: Vec<TraceArrival>) -> Traffic {
    Traffic {
        model: match node.find("closed_loop") {
            Some(users) => TrafficModel::Closed(closed_loop(users)),
            None => arrivals(node.at("arrival"), rows),
        },
        request_duration_ms: dist(node.at("request_duration_ms"), "_ms"),
        cpu_demand: dist(node.at("cpu_demand"), ""),
        timeout: node.time("timeout_ms"),
    }
}

fn arrivals(node: Node<'_>, rows: Vec<TraceArrival>) -> TrafficModel {
    let arrival = arrival(node, rows);
    match node.find("sessions") {
        Some(sessions) => {
            let mean_requests = sessions.num("mean_requests");
            TrafficModel::Closed(users(sessions, Population::Sessions { arrival, mean_requests }))
        }
        None => TrafficModel::Open(arrival),
    }
}

fn arrival(node: Node<'_>, rows: Vec<TraceArrival>) -> Arrival {
    Arrival { process: process(node, rows), count: node.find("count").map(Node::as_int), ramp: ramp(node.at("ramp")) }
}

fn process(node: Node<'_>, rows: Vec<TraceArrival>) -> ArrivalProcess {
    let rate_per_sec = || node.num("rate_per_sec");
    match node.text("distribution") {
        "poisson" => ArrivalProcess::Poisson { rate_per_sec: rate_per_sec() },
        "exponential" => ArrivalProcess::Exponential { mean_ms: mean(node, "mean_ms", "lambda") },
        "normal" => ArrivalProcess::Normal { mean_ms: node.num("mean_ms"), stddev_ms: node.num("stddev_ms") },
        "deterministic" => ArrivalProcess::Deterministic { interval_ms: node.num("interval_ms") },
        "gamma" => ArrivalProcess::Gamma { rate_per_sec: rate_per_sec(), cv: node.num("cv") },
        "uniform" => ArrivalProcess::Uniform { rate_per_sec: rate_per_sec(), jitter: node.num("jitter") },
        "weibull" => ArrivalProcess::Weibull { rate_per_sec: rate_per_sec(), cv: node.num("cv") },
        "lognormal" => ArrivalProcess::LogNormal { rate_per_sec: rate_per_sec(), sigma: node.num("sigma") },
        "mmpp" => ArrivalProcess::Mmpp {
            rates_per_sec: node.list("rates_per_sec").map(Node::as_num).collect(),
            mean_dwell_ms: node.list("mean_dwell_ms").map(Node::as_num).collect(),
        },
        "trace" => ArrivalProcess::Trace { file: node.text("file").to_owned(), rows },
        other => unreachable!("distribution {other}: {CHECKED}"),
    }
}

fn ramp(node: Node<'_>) -> Ramp {
    match node.text("mode") {
        "none" => Ramp::None,
        "linear" => Ramp::Linear {
            start_rate_per_sec: node.num("start_rate_per_sec"),
            end_rate_per_sec: node.num("end_rate_per_sec"),
            ramp: node.time("ramp_duration_ms"),
            hold: node.find("hold_duration_ms").map(Node::as_time),
        },
        "steps" => Ramp::Steps(
            node.list("steps")
                .map(|step| RateStep { at: step.time("t_ms"), rate_per_sec: step.num("rate_per_sec") })
                .collect(),
        ),
        "sine" => Ramp::Sine {
            mean_rate_per_sec: node.num("mean_rate_per_sec"),
            amplitude_per_sec: node.num("amplitude_per_sec"),
            period: node.time("period_ms"),
        },
        "spike" => Ramp::Spike {
            base_rate_per_sec: node.num("base_rate_per_sec"),
            peak_rate_per_sec: node.num("peak_rate_per_sec"),
            at: node.time("at_ms"),
            length: node.time("length_ms"),
        },
        other => unreachable!("ramp {other}: {CHECKED}"),
    }
}

fn closed_loop(node: Node<'_>) -> ClosedLoop {
    users(node, Population::Fixed(node.small("concurrency")))
}

/// What users do, whichever there are.
fn users(node: Node<'_>, population: Population) -> ClosedLoop {
    ClosedLoop {
        population,
        think_time_ms: delay(node.at("think_time_ms")),
        num_requests: node.find("num_requests").map(Node::as_int),
        on_error: node.word("on_error"),
    }
}

fn load_balancer(node: Node<'_>) -> LoadBalancer {
    let (rr, lc) = (node.at("rr"), node.at("lc"));
    let retries: Vec<&str> = node.list("retry_on").map(Node::as_text).collect();
    let [full, connect, reset, timeout] = RETRY_ON.map(|word| retries.contains(&word));
    LoadBalancer {
        architecture: node.word("architecture"),
        hosts: node.small("hosts"),
        no_capacity: no_capacity(node.at("no_capacity")),
        retry_on: RetryOn { full, connect, reset, timeout },
        try_timeout: node.find("try_timeout_ms").map(Node::as_time),
        rr: RoundRobin {
            retry_limit: rr.small("retry_limit"),
            retry_delay: rr.time("retry_delay_ms"),
            sync_delay: rr.time("sync_delay_ms"),
            start_offset: rr.word("start_offset"),
            idle_threshold_requests: rr.small("idle_scale_down_threshold_requests_5m"),
        },
        lc: LeastConns {
            lock_latency: lc.time("shared_map_lock_latency_ms"),
            retry_delay: lc.time("retry_delay_ms"),
            retry_limit: lc.small("retry_limit"),
            tie_break: lc.word("tie_break"),
            idle_threshold_outstanding: lc.small("idle_scale_down_threshold_outstanding_5m"),
        },
    }
}

fn no_capacity(node: Node<'_>) -> NoCapacity {
    match node.find("mode").unwrap_or(node).as_text() {
        "wait_scale_up" => NoCapacity::WaitScaleUp,
        "fail" => NoCapacity::Fail,
        "queue" => NoCapacity::Queue { depth: node.small("depth"), timeout: node.time("timeout_ms") },
        other => unreachable!("no_capacity {other}: {CHECKED}"),
    }
}

fn targets(node: Node<'_>) -> Targets {
    Targets {
        initial_count: node.small("initial_count"),
        max_concurrency: node.small("max_concurrency_per_target"),
        cpu_capacity: node.num("cpu_capacity_per_target"),
        on_disconnect: node.word("on_disconnect"),
        cpu_unit: node.time("cpu_unit_ms"),
        cpu_mode: node.word("cpu_mode"),
    }
}

fn scaling(node: Node<'_>) -> Scaling {
    Scaling {
        min_targets: node.small("min_targets"),
        max_targets: node.small("max_targets"),
        policy: node.word("policy"),
        scale_up_delay_ms: delay(node.at("scale_up_delay_ms")),
        scale_down_delay_ms: delay(node.at("scale_down_delay_ms")),
        scale_up: node.word("scale_up"),
        idle_window: node.time("idle_window_ms"),
        scan_interval: node.time("scan_interval_ms"),
        drain_timeout: node.time("drain_timeout_ms"),
    }
}

fn sampling(node: Node<'_>) -> Sampling {
    Sampling { mode: node.word("mode"), sample_on: node.words("sample_on") }
}

fn reporting(node: Node<'_>) -> Reporting {
    Reporting {
        output_dir: node.text("output_dir").to_owned(),
        writers: node.words("writers"),
        include_plots: node.at("include_plots").0.as_bool().expect(CHECKED),
    }
}

/// A number of milliseconds, or a distribution of it.
fn delay(node: Node<'_>) -> Dist {
    match node.0.as_f64() {
        Some(value) => Dist::Deterministic { value },
        None => dist(node, "_ms"),
    }
}

/// The mean, or 1 / the key that may be given instead.
fn mean(node: Node<'_>, mean: &str, lambda: &str) -> f64 {
    node.find(mean).map_or_else(|| 1.0 / node.num(lambda), Node::as_num)
}

fn dist(node: Node<'_>, suffix: &str) -> Dist {
    if node.text("mode") == "percentiles" {
        let [p50, p80, p90, p99, p100] = ["p50", "p80", "p90", "p99", "p100"].map(|p| node.num(p));
        return Dist::Percentiles { p50, p80, p90, p99, p100 };
    }
    let name = |stem: &str| format!("{stem}{suffix}");
    let num = |stem: &str| node.num(&name(stem));
    match node.text("distribution") {
        "lognormal" => lognormal(node.num("sigma"), node.find(&name("median")).map(Node::as_num), || num("mean")),
        "normal" => Dist::Normal { mean: num("mean"), stddev: num("stddev") },
        "exponential" => Dist::Exponential { mean: mean(node, &name("mean"), &name("lambda")) },
        "deterministic" => Dist::Deterministic { value: num("value") },
        "gamma" => Dist::Gamma { mean: num("mean"), cv: node.num("cv") },
        "weibull" => Dist::Weibull { mean: num("mean"), cv: node.num("cv") },
        "pareto" => Dist::Pareto { min: num("min"), alpha: node.num("alpha") },
        "uniform" => Dist::Uniform { min: num("min"), max: num("max") },
        "bimodal" => Dist::Bimodal { fast: num("fast"), slow: num("slow"), slow_fraction: node.num("slow_fraction") },
        other => unreachable!("distribution {other}: {CHECKED}"),
    }
}

fn lognormal(sigma: f64, median: Option<f64>, mean: impl Fn() -> f64) -> Dist {
    Dist::LogNormal { median: median.unwrap_or_else(|| mean() * libm::exp(-sigma * sigma / 2.0)), sigma }
}

// === impl Node ===

impl<'v> Node<'v> {
    fn find(self, key: &str) -> Option<Self> {
        self.0.get(key).map(Node)
    }

    fn at(self, key: &str) -> Self {
        self.find(key).expect(CHECKED)
    }

    fn as_num(self) -> f64 {
        self.0.as_f64().expect(CHECKED)
    }

    fn as_int(self) -> u64 {
        self.0.as_u64().expect(CHECKED)
    }

    /// A time that is not 0 is at least a nanosecond.
    fn as_time(self) -> Nanos {
        let ms = self.as_num();
        Nanos::from_millis_f64(ms).max(Nanos(u64::from(ms > 0.0)))
    }

    fn as_text(self) -> &'v str {
        self.0.as_str().expect(CHECKED)
    }

    fn as_word<W: Word>(self) -> W {
        W::from_word(self.as_text()).expect(CHECKED)
    }

    fn num(self, key: &str) -> f64 {
        self.at(key).as_num()
    }

    fn int(self, key: &str) -> u64 {
        self.at(key).as_int()
    }

    fn small(self, key: &str) -> u32 {
        u32::try_from(self.int(key)).expect(CHECKED)
    }

    fn time(self, key: &str) -> Nanos {
        self.at(key).as_time()
    }

    fn text(self, key: &str) -> &'v str {
        self.at(key).as_text()
    }

    fn word<W: Word>(self, key: &str) -> W {
        self.at(key).as_word()
    }

    fn list(self, key: &str) -> impl Iterator<Item = Self> {
        self.at(key).0.as_array().expect(CHECKED).iter().map(Node)
    }

    fn words<W: Word>(self, key: &str) -> Vec<W> {
        self.list(key).map(Node::as_word).collect()
    }
}
