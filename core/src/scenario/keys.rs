//! Every key of a scenario, section by section: name, kind, range, default, meaning. Distributions of hold time, CPU
//! demand and delays are in [`super::keys_dist`], limits and defaults in [`super::limits`].

use serde_json::json;

use super::keys_dist::{cpu, delay, hold};
use super::limits::*;
use super::model::{
    Architecture, CpuMode, OnDisconnect, SampleOn, SamplingMode, ScaleUp, ScalingPolicy, StartOffset, TieBreak, Writer,
};
use super::spec::{Key, Kind, Object, Range, Variant};
use super::traffic::OnError;
use super::words::Word;

/// The words of `load_balancer.retry_on`, in the order of [`super::model::RetryOn`].
pub(super) const RETRY_ON: [&str; 4] = ["full", "connect", "reset", "timeout"];

/// The whole file.
pub(super) fn scenario() -> Object {
    Object::of([
        Key::new(
            "description",
            Kind::Text { max_chars: MAX_TEXT, may_be_empty: true },
            "What the scenario shows, in a line.",
        )
        .or(""),
        section("simulation", simulation(), "The run itself."),
        section("traffic", traffic(), "Who asks, how often, for what."),
        section("load_balancer", load_balancer(), "The hosts and their policy."),
        section("targets", targets(), "The servers."),
        section("scaling", scaling(), "How the fleet grows and shrinks."),
        section("sampling", sampling(), "When gauges are sampled."),
        section("reporting", reporting(), "What is written, and where."),
    ])
}

/// An object all of whose keys have defaults.
fn section(name: &str, object: Object, doc: &'static str) -> Key {
    Key::object(name, object, doc).or(json!({}))
}

fn simulation() -> Object {
    Object::of([
        Key::int("seed", 0, u64::MAX, "The one seed.").or(SEED),
        Key::num("duration_ms", POSITIVE_MS, "Arrivals are planned in [0, duration).").or(DURATION_MS),
        Key::num("drain_ms", MS, "How long to wait for requests in flight after that.").or(DRAIN_MS),
        Key::num("total_time_ms", POSITIVE_MS, "Hard stop of the whole run.").optional(),
        Key::num("warmup_ms", MS, "Requests intended before this stay out of the statistics.").or(0),
    ])
}

// === traffic ===

fn traffic() -> Object {
    Object::of([
        section("arrival", arrival(), "Open loop: arrivals independent of completions."),
        Key::object("closed_loop", closed_loop(), "Closed loop: users wait for their responses.").optional(),
        section("request_duration_ms", hold(), "Hold time on the target."),
        section("cpu_demand", cpu(), "CPU demand of a request, in CPU units."),
        Key::num("timeout_ms", POSITIVE_MS, "Deadline of a request, from its intended send.").or(TIMEOUT_MS),
    ])
    .one_of(["arrival", "closed_loop"])
}

fn arrival() -> Object {
    Object::of([
        Key::int("count", 1, MAX_REQUESTS, "Exactly this many arrivals.").optional(),
        section("ramp", ramp(), "The rate over time."),
        Key::object("sessions", sessions(), "Partly open: what arrives are users with several requests.").optional(),
    ])
    .tagged("distribution", Some("poisson"), "Distribution of the gaps between arrivals.", arrival_variants())
}

fn arrival_variants() -> Vec<Variant> {
    let rate = || Key::num("rate_per_sec", POSITIVE_RATE, "Arrivals per second.").or(RATE_PER_SEC);
    let cv = || Key::num("cv", CV, "Coefficient of variation of a gap.");
    let mean = || Key::num("mean_ms", GAP_MS, "Mean gap.");
    vec![
        Variant::new("poisson", "Exponential gaps.", Object::of([rate()])),
        Variant::new(
            "exponential",
            "Exponential gaps, given by the gap.",
            Object::of([mean().optional(), Key::num("lambda", ARRIVAL_LAMBDA, "Arrivals per millisecond.").optional()])
                .one_of(["mean_ms", "lambda"]),
        ),
        Variant::new(
            "normal",
            "Normal gaps, truncated at 0.",
            Object::of([mean(), Key::num("stddev_ms", MS, "Standard deviation before truncation.")]),
        ),
        Variant::new(
            "deterministic",
            "Equal gaps; the first arrival is at 0.",
            Object::of([Key::num("interval_ms", GAP_MS, "The gap.")]),
        ),
        Variant::new("gamma", "Gamma gaps.", Object::of([rate(), cv()])),
        Variant::new(
            "uniform",
            "Uniform gaps between 1 − jitter and 1 + jitter times the mean.",
            Object::of([rate(), Key::num("jitter", JITTER, "Half the width, as a share of the mean.")]),
        ),
        Variant::new("weibull", "Weibull gaps.", Object::of([rate(), cv()])),
        Variant::new(
            "lognormal",
            "Lognormal gaps.",
            Object::of([rate(), Key::num("sigma", SIGMA, "Standard deviation of the logarithm of a gap.")]),
        ),
        Variant::new("mmpp", "Bursts: Poisson arrivals in phases that follow each other round and round.", mmpp()),
        Variant::new("trace", "Arrivals from a file.", trace()),
    ]
}

fn mmpp() -> Object {
    Object::of([
        numbers("rates_per_sec", RATE, "Rate of each phase."),
        numbers("mean_dwell_ms", POSITIVE_MS, "Mean stay in each phase, exponentially distributed."),
    ])
    .some_positive(["rates_per_sec"])
}

fn numbers(name: &str, range: Range, doc: &'static str) -> Key {
    // One phase would be Poisson.
    Key::new(name, Kind::List { item: Box::new(Kind::Num(range)), at_least: 2, at_most: MAX_STEPS }, doc)
}

fn trace() -> Object {
    let doc = "CSV with a header: t_ms, optionally hold_ms, cpu, host; or the trace.csv of a run. Relative to the scenario \
               file. A column that is there replaces the draw.";
    Object::of([Key::new("file", Kind::Text { max_chars: MAX_TEXT, may_be_empty: false }, doc)])
}

fn ramp() -> Object {
    Object::default().tagged(
        "mode",
        Some("none"),
        "Shape of the rate over time.",
        [
            Variant::new("none", "The distribution's own rate.", Object::default()),
            Variant::new("linear", "From one rate to another, and on.", linear()),
            Variant::new("steps", "Piecewise constant; 0 before the first step.", steps()),
            Variant::new("sine", "mean + amplitude · sin(2πt / period).", sine()),
            Variant::new("spike", "A base rate, and a peak for a while.", spike()),
        ],
    )
}

fn linear() -> Object {
    Object::of([
        Key::num("start_rate_per_sec", RATE, "Rate at 0."),
        Key::num("end_rate_per_sec", RATE, "Rate from the end of the ramp on."),
        Key::num("ramp_duration_ms", POSITIVE_MS, "Length of the ramp."),
        Key::num("hold_duration_ms", MS, "How long the end rate lasts, and then arrivals end; absent: to the end.")
            .optional(),
    ])
    .some_positive(["start_rate_per_sec", "end_rate_per_sec"])
}

fn steps() -> Object {
    let step = Object::of([Key::num("t_ms", MS, "From when on."), Key::num("rate_per_sec", RATE, "The rate.")]);
    let item = Box::new(Kind::Object(step));
    Object::of([Key::new("steps", Kind::List { item, at_least: 1, at_most: MAX_STEPS }, "The steps, by time.")])
}

fn sine() -> Object {
    Object::of([
        Key::num("mean_rate_per_sec", POSITIVE_RATE, "Mean rate."),
        Key::num("amplitude_per_sec", RATE, "Amplitude, at most the mean rate."),
        Key::num("period_ms", POSITIVE_MS, "Period."),
    ])
    .ascending(["amplitude_per_sec", "mean_rate_per_sec"])
}

fn spike() -> Object {
    Object::of([
        Key::num("base_rate_per_sec", RATE, "Rate outside of the spike."),
        Key::num("peak_rate_per_sec", RATE, "Rate within the spike."),
        Key::num("at_ms", MS, "When the spike begins."),
        Key::num("length_ms", POSITIVE_MS, "How long it lasts."),
    ])
    .some_positive(["base_rate_per_sec", "peak_rate_per_sec"])
}

fn closed_loop() -> Object {
    Object::of([
        Key::int("concurrency", 1, MAX_CONCURRENCY, "Users, each with at most one request in flight."),
        think_time(),
        budget(),
        on_error(),
    ])
}

fn sessions() -> Object {
    Object::of([
        Key::num("mean_requests", SESSION_REQUESTS, "Mean number of requests of a session (geometric)."),
        think_time(),
        budget(),
        on_error(),
    ])
}

fn think_time() -> Key {
    Key::new("think_time_ms", delay(), "Pause after each response.").or(0)
}

fn budget() -> Key {
    Key::int("num_requests", 1, MAX_REQUESTS, "Requests over all users; absent: until the duration ends.").optional()
}

fn on_error() -> Key {
    Key::word("on_error", OnError::words(), "What a user does after an error.").or(OnError::Continue.word())
}

// === the rest ===

fn load_balancer() -> Object {
    Object::of([
        Key::word("architecture", Architecture::words(), "The routing policy.").or(Architecture::RoundRobin.word()),
        Key::int("hosts", 1, MAX_HOSTS, "Proxy processes; each request goes to one of them at random.").or(HOSTS),
        Key::new("no_capacity", no_capacity(), "What a request does when nobody can take it.").or("wait_scale_up"),
        Key::new("retry_on", Kind::Words { of: RETRY_ON.to_vec(), at_least: 0 }, "What may be tried again.")
            .or(json!(["full", "connect"])),
        Key::num("try_timeout_ms", POSITIVE_MS, "Longest time for one attempt; absent: the deadline alone.").optional(),
        section("rr", round_robin(), "Round robin."),
        section("lc", least_conns(), "Least connections."),
    ])
}

fn no_capacity() -> Kind {
    let queue = Object::of([
        Key::int("depth", 1, MAX_CONCURRENCY, "Most requests waiting per host."),
        Key::num("timeout_ms", POSITIVE_MS, "Longest wait."),
    ]);
    let modes = Object::default().tagged(
        "mode",
        None,
        "What a request does when nobody can take it.",
        [
            Variant::new("wait_scale_up", "Ask the scaler for a target and wait for it.", Object::default()),
            Variant::new("fail", "Reject.", Object::default()),
            Variant::new("queue", "Wait at the host, first in, first out.", queue),
        ],
    );
    Kind::Either(Box::new(Kind::Word(vec!["wait_scale_up", "fail"])), modes)
}

fn round_robin() -> Object {
    Object::of([
        Key::int("retry_limit", 0, MAX_RETRIES, "Retries after the first attempt.").or(RETRY_LIMIT),
        Key::num("retry_delay_ms", MS, "Wait after every refusal.").or(0),
        Key::num("sync_delay_ms", MS, "How long a fleet change takes to reach the hosts that did not cause it.")
            .or(SYNC_DELAY_MS),
        Key::word("start_offset", StartOffset::words(), "Where each host starts in the ring.")
            .or(StartOffset::Same.word()),
        Key::int(
            "idle_scale_down_threshold_requests_5m",
            0,
            MAX_THRESHOLD,
            "A target that accepted fewer requests than this within the idle window is idle; 0: never.",
        )
        .or(IDLE_THRESHOLD),
    ])
}

fn least_conns() -> Object {
    Object::of([
        Key::num("shared_map_lock_latency_ms", MS, "How long an operation on the shared map takes, one at a time.")
            .or(0),
        Key::num("retry_delay_ms", MS, "Wait after a target refused a reserved slot.").or(0),
        Key::int("retry_limit", 0, MAX_RETRIES, "Retries after the first attempt.").or(RETRY_LIMIT),
        Key::word("tie_break", TieBreak::words(), "Which of several equally loaded targets.")
            .or(TieBreak::Random.word()),
        Key::int(
            "idle_scale_down_threshold_outstanding_5m",
            0,
            MAX_CONCURRENCY,
            "A target whose in-flight count stayed below this for the whole idle window is idle; 0: never.",
        )
        .or(IDLE_THRESHOLD),
    ])
}

fn targets() -> Object {
    Object::of([
        Key::int("initial_count", 0, MAX_TARGETS, "Targets ready at the start.").or(INITIAL_COUNT),
        Key::int("max_concurrency_per_target", 1, MAX_CONCURRENCY, "Requests a target holds at most.")
            .or(MAX_CONCURRENCY_PER_TARGET),
        Key::num("cpu_capacity_per_target", POSITIVE_UNITS, "CPU units of a target.").or(CPU_CAPACITY),
        Key::word("on_disconnect", OnDisconnect::words(), "What happens to a hold whose caller went away.")
            .or(OnDisconnect::Cancel.word()),
        Key::num("cpu_unit_ms", CPU_UNIT_MS, "CPU time of one CPU unit (`burn`).").or(CPU_UNIT),
        Key::word("cpu_mode", CpuMode::words(), "What CPU demand does.").or(CpuMode::Account.word()),
    ])
}

fn scaling() -> Object {
    Object::of([
        Key::int("min_targets", 0, MAX_TARGETS, "Fewest targets.").or(MIN_TARGETS),
        Key::int("max_targets", 1, MAX_TARGETS, "Most targets, starts in progress counted.").or(MAX_TARGETS_DEFAULT),
        Key::word("policy", ScalingPolicy::words(), "Who asks for targets.").or(ScalingPolicy::OnDemand.word()),
        Key::new("scale_up_delay_ms", delay(), "From an accepted start to ready.").or(SCALE_DELAY_MS),
        Key::new("scale_down_delay_ms", delay(), "From an accepted removal to the stop, at least.").or(SCALE_DELAY_MS),
        Key::word("scale_up", ScaleUp::words(), "Whether exhausted requests share a start in progress.")
            .or(ScaleUp::PerRequest.word()),
        Key::num("idle_window_ms", PERIOD_MS, "The idle window.").or(IDLE_WINDOW_MS),
        Key::num("scan_interval_ms", PERIOD_MS, "How often a host looks for idle targets.").or(SCAN_INTERVAL_MS),
        Key::num("drain_timeout_ms", MS, "After this a draining target is stopped, whatever it holds.")
            .or(DRAIN_TIMEOUT_MS),
    ])
}

fn sampling() -> Object {
    Object::of([
        Key::word("mode", SamplingMode::words(), "How gauges are sampled.").or(SamplingMode::Event.word()),
        Key::new("sample_on", Kind::Words { of: SampleOn::words(), at_least: 1 }, "Which events take a sample.")
            .or(json!([SampleOn::LbDecision.word()])),
    ])
}

fn reporting() -> Object {
    Object::of([
        Key::new("output_dir", Kind::Text { max_chars: MAX_TEXT, may_be_empty: false }, "Where run directories go.")
            .or(OUTPUT_DIR),
        Key::new("writers", Kind::Words { of: Writer::words(), at_least: 1 }, "Which reports are written.")
            .or(json!(Writer::words())),
        Key::new("include_plots", Kind::Bool, "Whether the HTML has plots.").or(true),
    ])
}
