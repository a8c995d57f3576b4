//! The command line. What a combination of flags means, and which do not go together, is decided in [`crate::settings`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ValueEnum};
use galton_core::dist::Dist;
use galton_runtime::role;

use crate::commands::Command;
use crate::measure_args::MeasureArgs;
use crate::output;
use crate::units::{self, ArrivalKind, Keys, Profile, ThinkDist};

/// What a scenario says itself.
const MODEL: [&str; 20] = [
    "concurrency",
    "num_requests",
    "duration",
    "rate",
    "arrival",
    "profile",
    "schedule",
    "speedup",
    "sessions",
    "max_in_flight",
    "overflow",
    "think_time_ms",
    "think_dist",
    "on_error",
    "seed",
    "drain",
    "timeout",
    "hold",
    "cpu",
    "key",
];

/// What only a run of its own has.
const STANDALONE: [&str; 10] =
    ["url", "warmup", "slo", "output_dir", "json", "log_requests", "prometheus", "progress", "quiet", "strict"];

/// Shown by `--help`.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 could not run, 2 wrong usage, 98 the measurement is not valid (--strict), \
    99 an objective was not kept (--slo), 130 interrupted (the results are still written)";

/// Open- and closed-loop load generator: sends requests to an HTTP server, measures from the intended send time on, and
/// says so when it was the bottleneck itself.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Where to send, http only.
    #[arg(default_value = "http://127.0.0.1:8080/")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) measure: MeasureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) testbed: TestbedArgs,
    #[command(flatten)]
    pub(crate) conducted: ConductedArgs,
}

/// Who sends, when, and how often.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Closed loop: N users, each with at most one request in flight. Default: 50, with 200 requests.
    #[arg(short, long, value_name = "N", value_parser = units::count)]
    pub(crate) concurrency: Option<u64>,
    /// Stop after N requests in total (10k and 1m are understood).
    #[arg(short, long, value_name = "N", value_parser = units::count)]
    pub(crate) num_requests: Option<u64>,
    /// Stop sending after D (500ms, 10s, 2m); with -n, whichever comes first.
    #[arg(short = 'z', long, value_name = "D", short_alias = 'd', visible_alias = "horizon", value_parser = units::horizon)]
    pub(crate) duration: Option<Duration>,
    /// Open loop: requests per second in total, whatever the server does.
    #[arg(short, long, value_name = "R", short_alias = 'q', allow_negative_numbers = true, value_parser = units::rate)]
    pub(crate) rate: Option<f64>,
    /// Open loop: poisson, poisson-exact, fixed, uniform:J, gamma:CV, weibull:K or lognormal:SIGMA. Default: poisson.
    #[arg(long, value_name = "DIST", value_parser = units::arrival)]
    pub(crate) arrival: Option<ArrivalKind>,
    /// Open loop, the rate over time: const, linear:A..B/30s, steps:50@0s,200@60s, sine:MEAN,AMPLITUDE,PERIOD or
    /// file:RATES.csv (t_ms,rate_per_sec).
    #[arg(long, value_name = "SPEC")]
    pub(crate) profile: Option<Profile>,
    /// Open loop: replay the arrivals of a CSV file with a column t_ms (and hold_ms, cpu), or of a run's trace.csv.
    #[arg(long, value_name = "FILE")]
    pub(crate) schedule: Option<PathBuf>,
    /// With --schedule: X times as fast.
    #[arg(long, value_name = "X", value_parser = units::factor)]
    pub(crate) speedup: Option<f64>,
    /// Partly open: R sessions begin per second, each with MEAN requests on average (geometric), one after the other.
    #[arg(long, value_name = "R:MEAN", value_parser = units::sessions)]
    pub(crate) sessions: Option<(f64, f64)>,
    /// Open loop: at most N requests in flight; see --overflow.
    #[arg(long, value_name = "N", value_parser = units::count)]
    pub(crate) max_in_flight: Option<u64>,
    /// What happens at --max-in-flight. Default: queue.
    #[arg(long, value_name = "WHAT")]
    pub(crate) overflow: Option<Overflow>,
    /// Closed loop and sessions: pause of a user after each response, in milliseconds.
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = units::milliseconds)]
    pub(crate) think_time_ms: Option<f64>,
    /// How think times spread: const, exp or lognormal:SIGMA about --think-time-ms, or uniform:A,B. Default: const.
    #[arg(long, value_name = "DIST")]
    pub(crate) think_dist: Option<ThinkDist>,
    /// Closed loop and sessions: what a user does after an error. Default: continue.
    #[arg(long, value_name = "WHAT")]
    pub(crate) on_error: Option<AfterError>,
    /// The seed of everything that is drawn. Default: 42.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Wait this long for what is in flight when sending is over. Default: the timeout and 1s more.
    #[arg(long, value_name = "D", value_parser = units::duration)]
    pub(crate) drain: Option<Duration>,
}

/// What is sent.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestArgs {
    /// The method. Default: GET, with a body POST.
    #[arg(short, long)]
    pub(crate) method: Option<http::Method>,
    /// A header, `Name: value`; repeatable.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// The body, or @FILE.
    #[arg(short, long, value_name = "STR|@FILE")]
    pub(crate) body: Option<String>,
    /// Give a request up after D.
    #[arg(short, long, value_name = "D", default_value = "10s", value_parser = units::timeout)]
    pub(crate) timeout: Duration,
    /// Give a connection attempt up after D.
    #[arg(long, value_name = "D", default_value = "2s", value_parser = units::timeout)]
    pub(crate) connect_timeout: Duration,
    /// Demand: how long a Galton target holds the request: 100ms, exp:100ms, lognormal:100ms,0.5, …
    #[arg(long, value_name = "DIST", value_parser = units::hold)]
    pub(crate) hold: Option<Dist>,
    /// Demand: CPU units that a Galton target accounts or burns: 10, normal:10,2, …
    #[arg(long, value_name = "DIST", value_parser = units::cpu)]
    pub(crate) cpu: Option<Dist>,
    /// A key drawn per request, for policies that hash one: uniform:N or zipf:EXPONENT,N.
    #[arg(long, value_name = "DIST")]
    pub(crate) key: Option<Keys>,
    /// Speak HTTP/1.1. The default.
    #[arg(long, conflicts_with = "http2")]
    pub(crate) http1: bool,
    /// Speak HTTP/2 with prior knowledge; up to 100 requests share a connection.
    #[arg(long)]
    pub(crate) http2: bool,
    /// Use a connection again: on or off.
    #[arg(long, value_name = "on|off", default_value = "on", action = ArgAction::Set, value_parser = units::on_off)]
    pub(crate) keepalive: bool,
    /// Close a connection after N requests.
    #[arg(long, value_name = "N", value_parser = units::count)]
    pub(crate) max_requests_per_conn: Option<u64>,
}

/// What is printed and written.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write the report there, as result.json, report.md and report.html, with its series and the interval log latency.hlog. If
    /// there is something in DIR, into a new directory below it.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Print the result as JSON, or write it to FILE.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = output::STDOUT, value_parser = output::file())]
    pub(crate) json: Option<PathBuf>,
    /// Write one CSV line per planned request, to PATH, or as trace.csv into the output directory.
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = output::IN_OUTPUT_DIR, value_parser = output::file())]
    pub(crate) log_requests: Option<PathBuf>,
    /// While running: serve /metrics there, for Prometheus.
    #[arg(long, value_name = "ADDR")]
    pub(crate) prometheus: Option<SocketAddr>,
    /// While running: the whole screen of a terminal, one line a second elsewhere.
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ViewStyle,
    /// No progress and no summary.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Exit with 98 if the measurement is not valid.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Several load-balancer hosts, and the traffic of a scenario.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Testbed")]
pub(crate) struct TestbedArgs {
    /// Send the traffic of this scenario file; excludes the model flags.
    #[arg(long, value_name = "FILE", env = "GALTON_SCENARIO", conflicts_with_all = MODEL)]
    pub(crate) scenario: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) hosts: HostsArgs,
}

/// Where several load-balancer hosts are.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Testbed")]
pub(crate) struct HostsArgs {
    /// Send to the proxies that this scaler knows of, each request to the host that the plan says.
    #[arg(long, value_name = "ADDR", env = "GALTON_SCALER", conflicts_with = "proxy")]
    pub(crate) scaler: Option<String>,
    /// Address of the data port of one load-balancer host, HOST=ADDR; repeatable (in the variable: with commas), every host once.
    #[arg(long, value_name = "HOST=ADDR", value_parser = proxy, env = "GALTON_PROXY", value_delimiter = ',')]
    pub(crate) proxy: Vec<(u32, SocketAddr)>,
}

/// The load generator as a part of a run, of which others make the report.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "As a part of a run")]
pub(crate) struct ConductedArgs {
    /// Write the trace there: one CSV line per planned request. With --scaler, scenario time begins for all when this says so.
    #[arg(long, value_name = "FILE", env = "GALTON_TRACE", requires = "scenario", requires = "HostsArgs",
        conflicts_with_all = STANDALONE)]
    pub(crate) trace: Option<PathBuf>,
    /// Write there, as JSON, what the load generator counted and noticed about itself.
    #[arg(long, value_name = "FILE", env = "GALTON_GENERATOR", requires = "trace")]
    pub(crate) generator: Option<PathBuf>,
    /// Run S times faster than the scenario says.
    #[arg(long, value_name = "S", env = "GALTON_TIME_SCALE", default_value_t = 1.0, requires = "trace",
        value_parser = role::time_scale)]
    pub(crate) time_scale: f64,
    /// Keep the counters in this memory-mapped file.
    #[arg(long, value_name = "FILE", env = "GALTON_BOOK", requires = "trace")]
    pub(crate) book: Option<PathBuf>,
    /// Serve /metrics, /start and /stop there.
    #[arg(long, value_name = "ADDR", env = "GALTON_ADMIN", default_value = "127.0.0.1:0", requires = "trace")]
    pub(crate) admin: SocketAddr,
    /// Standard input is the lifeline: end when it ends.
    #[arg(long, requires = "trace")]
    pub(crate) lifeline: bool,
    /// Under a conductor: begin when `POST /start` says so, not at once, and end when told to.
    #[arg(long, requires = "trace")]
    pub(crate) wait_start: bool,
}

/// `--overflow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Overflow {
    /// Requests wait for a place, and the wait counts as response time.
    Queue,
    /// Requests without a place are dropped, and counted.
    Shed,
}

/// `--on-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AfterError {
    /// Go on with the next request.
    Continue,
    /// The user ends.
    Cancel,
    /// The user ends, and a new one takes its place at once.
    Replace,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewStyle {
    /// The whole screen where a person sits in front of it, lines elsewhere.
    Auto,
    /// The whole screen: q or Ctrl-C stops, p pauses the display.
    Tui,
    /// One line a second.
    Line,
    /// Nothing.
    None,
}

/// `--progress` of what runs more than a load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// One line a second.
    Line,
    /// Nothing.
    None,
}

fn proxy(text: &str) -> Result<(u32, SocketAddr), String> {
    let (host, addr) = text.split_once('=').ok_or("expected HOST=ADDR, such as 0=127.0.0.1:9000")?;
    let host = host.parse().map_err(|_| format!("{host:?} is not the number of a host"))?;
    let addr = addr.parse().map_err(|_| format!("{addr:?} is not an address"))?;
    Ok((host, addr))
}
