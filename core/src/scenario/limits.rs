//! Limits and defaults of a scenario, each with its reason.

use super::spec::Range;

/// Longest time anywhere: seven days. Beyond it a run on one machine is a mistake of units; below it a time in
/// nanoseconds is exact as a float of milliseconds.
const MAX_MS: f64 = 7.0 * 24.0 * 3600.0 * 1000.0;
/// A time that may be 0.
pub(super) const MS: Range = Range::from(0.0, MAX_MS);
/// A time that may not.
pub(super) const POSITIVE_MS: Range = Range::positive(MAX_MS);
/// A gap between arrivals: at least that of [`MAX_RATE`].
pub(super) const GAP_MS: Range = Range::from(1e3 / MAX_RATE, MAX_MS);
/// A period of looking: more often than every millisecond a host does nothing else.
pub(super) const PERIOD_MS: Range = Range::from(1.0, MAX_MS);
/// CPU time of one unit: above a minute a default request would burn ten.
pub(super) const CPU_UNIT_MS: Range = Range::positive(60_000.0);

/// Most arrivals per second: ten times what one machine can send.
pub(super) const MAX_RATE: f64 = 1e6;
/// A rate that may be 0 for a while.
pub(super) const RATE: Range = Range::from(0.0, MAX_RATE);
/// A rate of its own.
pub(super) const POSITIVE_RATE: Range = Range::positive(MAX_RATE);
/// Of uniform gaps: none is negative.
pub(super) const JITTER: Range = Range::positive(1.0);
/// 1 / mean, where a rate in the unit of its key is given instead: the mean stays below [`MAX_MS`].
pub(super) const LAMBDA: Range = Range::from(MIN_LAMBDA, 1e6);
/// Arrivals per millisecond: the mean gap stays within [`GAP_MS`].
pub(super) const ARRIVAL_LAMBDA: Range = Range::from(MIN_LAMBDA, MAX_RATE / 1e3);
const MIN_LAMBDA: f64 = 2e-9;

/// CPU units: no unit is that small.
const MAX_UNITS: f64 = 1e9;
/// CPU units that may be 0.
pub(super) const UNITS: Range = Range::from(0.0, MAX_UNITS);
/// CPU units that may not.
pub(super) const POSITIVE_UNITS: Range = Range::positive(MAX_UNITS);

/// Coefficient of variation: below 0.01 take `deterministic`; above 10 no run is long enough to see the mean.
pub(super) const CV: Range = Range::from(0.01, 10.0);
/// Standard deviation of a logarithm: at 5 the mean is a quarter of a million medians.
pub(super) const SIGMA: Range = Range::from(0.0, 5.0);
/// Tail exponent: at 1 and below the mean is infinite, so that no load is right; above 100 it is a constant.
pub(super) const ALPHA: Range = Range { min: 1.0, above: true, max: 100.0 };
/// A probability.
pub(super) const FRACTION: Range = Range::from(0.0, 1.0);

/// Most requests by count: their trace alone has 20 GB.
pub(super) const MAX_REQUESTS: u64 = 100_000_000;
/// Most rows of an arrival trace, which is held in memory.
pub(super) const MAX_TRACE_ROWS: usize = 5_000_000;
/// Most users, slots or places in a queue: more than one machine has sockets for.
pub(super) const MAX_CONCURRENCY: u64 = 1_000_000;
/// Mean number of requests of a session: at least the one that begins it.
pub(super) const SESSION_REQUESTS: Range = Range::from(1.0, 1e6);
/// Most load-balancer hosts: a process each.
pub(super) const MAX_HOSTS: u64 = 64;
/// Most targets: a process each; also the rows of the shared load table.
pub(super) const MAX_TARGETS: u64 = 1024;
/// Most retries: each is a dispatch, and more than one per target tells nothing new.
pub(super) const MAX_RETRIES: u64 = MAX_TARGETS;
/// Largest idle threshold, in requests: any number that fits says "always idle" long before.
pub(super) const MAX_THRESHOLD: u64 = 1_000_000_000;
/// Most steps of a ramp, and most phases of an MMPP: what a person writes down.
pub(super) const MAX_STEPS: usize = 1000;
/// Longest text, in characters.
pub(super) const MAX_TEXT: usize = 2000;
/// Most faults reported of one trace file: the rest repeat them.
pub(super) const MAX_TRACE_FAULTS: usize = 20;

/// 42: any number does, as long as it is always the same.
pub(super) const SEED: u64 = 42;
/// Two minutes: some scale-ups and the plateau after them.
pub(super) const DURATION_MS: u64 = 120_000;
/// Ten seconds: a hundred mean holds.
pub(super) const DRAIN_MS: u64 = 10_000;
/// 20 requests per second of 100 ms keep 2 slots of the 20 busy.
pub(super) const RATE_PER_SEC: u64 = 20;
/// A tenth of a second, the response time of an ordinary web request.
pub(super) const HOLD_MEAN_MS: u64 = 100;
/// The spread of ordinary service times: p99 is 2.8 times the mean.
pub(super) const HOLD_SIGMA: f64 = 0.5;
/// A tenth of the capacity, so that ten requests (the default limit) fill CPU and slots alike.
pub(super) const CPU_MEAN: u64 = 10;
/// A fifth of the mean: visible, and hardly ever truncated at 0.
pub(super) const CPU_STDDEV: u64 = 2;
/// What HTTP clients wait by custom.
pub(super) const TIMEOUT_MS: u64 = 60_000;
/// Two: the fewest whose knowledge can differ.
pub(super) const HOSTS: u64 = 2;
/// Two more tries after the first.
pub(super) const RETRY_LIMIT: u64 = 2;
/// What a configuration push takes on a good day.
pub(super) const SYNC_DELAY_MS: u64 = 100;
/// Idle is a target without any request.
pub(super) const IDLE_THRESHOLD: u64 = 1;
/// Two: the fewest among which there is a choice.
pub(super) const INITIAL_COUNT: u64 = 2;
/// Ten slots, see [`CPU_MEAN`].
pub(super) const MAX_CONCURRENCY_PER_TARGET: u64 = 10;
/// A hundred: units read as per cent.
pub(super) const CPU_CAPACITY: u64 = 100;
/// A millisecond of CPU time per unit.
pub(super) const CPU_UNIT: u64 = 1;
/// One target always stays.
pub(super) const MIN_TARGETS: u64 = 1;
/// More processes than a small machine bears, fewer than kill it.
pub(super) const MAX_TARGETS_DEFAULT: u64 = 100;
/// A warm process start.
pub(super) const SCALE_DELAY_MS: u64 = 200;
/// The "5 minutes" of the key names.
pub(super) const IDLE_WINDOW_MS: u64 = 300_000;
/// Every minute.
pub(super) const SCAN_INTERVAL_MS: u64 = 60_000;
/// What orchestrators allow by custom.
pub(super) const DRAIN_TIMEOUT_MS: u64 = 30_000;
/// Below the working directory.
pub(super) const OUTPUT_DIR: &str = "runs";
