use clap::Parser;
use galton_core::plan::Planned;
use galton_core::scenario::Population;

use super::*;
use crate::args::Args;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &str) -> Result<Args, clap::Error> {
    Cli::try_parse_from(std::iter::once("loadgen").chain(line.split_whitespace())).map(|cli| cli.args)
}

fn of(line: &str) -> Result<Settings, UsageError> {
    let args = parse(line).unwrap();
    settings(&args.model, &args.request, None)
}

#[test]
fn combinations_that_make_no_sense_are_told_what_would() {
    let table = [
        (
            "-c 50 -r 10 -n 5",
            "--concurrency and --rate are mutually exclusive; to cap an open loop use --max-in-flight 50",
        ),
        ("-c 50", "--concurrency needs an end: add --num-requests N or --duration D"),
        ("-r 10", "--rate needs an end: add --num-requests N or --duration D"),
        (
            "-r 10 -n 5 --think-time-ms 3",
            "--think-time-ms and --rate are mutually exclusive; think time belongs to a closed loop or to --sessions",
        ),
        (
            "-r 10 -n 5 --on-error cancel",
            "--on-error and --rate are mutually exclusive; it says what the users of a closed loop do",
        ),
        ("-c 5 -n 5 --arrival fixed", "--arrival belongs to an open loop: add --rate R"),
        ("--max-in-flight 5", "--max-in-flight belongs to an open loop: add --rate R"),
        (
            "-r 10 -n 5 -z 1s --arrival poisson-exact",
            "--arrival poisson-exact takes --num-requests or --duration, not both: the rate gives the other",
        ),
        ("-c 5 --sessions 2:3 -n 5", "--concurrency and --sessions are mutually exclusive"),
        (
            "--profile linear:1..2/3s -c 5",
            "--concurrency and --profile are mutually exclusive; to cap an open loop use --max-in-flight 5",
        ),
        ("--profile steps:5@0s -r 5 -n 5", "--profile gives the rate: leave out --rate"),
        ("--profile const -n 5", "--profile const needs --rate R"),
        ("--profile steps:5@0s", "--profile needs an end: add --num-requests N or --duration D"),
        ("--sessions 2:3", "--sessions needs an end: add --num-requests N or --duration D"),
        ("--sessions 2:3 -n 5 --max-in-flight 3", "--max-in-flight belongs to an open loop: add --rate R"),
        ("-r 5 -n 5 --overflow shed", "--overflow says what happens at a cap: add --max-in-flight N"),
        ("-r 5 -n 5 --speedup 2", "--speedup needs --schedule FILE"),
        ("-c 5 -n 5 --think-dist exp", "--think-dist needs the mean: add --think-time-ms X"),
        (
            "-c 5 -n 5 --think-dist uniform:1ms,2ms --think-time-ms 3",
            "--think-dist uniform:A,B says the times itself: leave out --think-time-ms",
        ),
        ("--http2 --keepalive off", "--keepalive off belongs to HTTP/1.1: leave out --http2"),
        (
            "--keepalive off --max-requests-per-conn 3",
            "--keepalive off means --max-requests-per-conn 1: give one of them",
        ),
    ];
    for (line, message) in table {
        assert_eq!(of(line).unwrap_err().0, message, "{line}");
    }
}

#[test]
fn the_parser_refuses_values_and_flags_it_cannot_use() {
    for (line, part) in [
        ("-z 10", "has no unit"),
        ("-d {\"a\":1}", "for a request body use -b"),
        ("-n 0", "is not a count"),
        ("-r 0", "must be above 0"),
        ("-t 5", "has no unit"),
        ("--think-time-ms -1", "must be 0 or more"),
        ("--hold 100", "has no unit"),
        ("--wait-start", "--trace"),
        ("--trace t.csv --proxy 0=127.0.0.1:1", "--scenario"),
        ("--trace t.csv --scenario x.json", "--proxy"),
        ("--scenario x.json -r 5", "--rate"),
        ("--scaler 127.0.0.1:1 --proxy 0=127.0.0.1:1", "--proxy"),
        ("--scenario x.json --trace t.csv --proxy 0=127.0.0.1:1 -n 5", "--num-requests"),
        ("--scenario x.json --trace t.csv --proxy 0=127.0.0.1:1 --quiet", "--quiet"),
        ("--scenario x.json --trace t.csv --proxy 127.0.0.1:1", "HOST=ADDR"),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(part), "{line}: {error}");
    }
}

#[test]
fn aliases_mean_the_same() {
    let long = of("--rate 10 --duration 2s").unwrap();
    for line in ["-q 10 -z 2s", "-r 10 -d 2s", "-r 10 --horizon 2s"] {
        assert_eq!(of(line).unwrap().scenario, long.scenario, "{line}");
    }
}

#[test]
fn without_a_model_fifty_users_send_two_hundred_requests() {
    let settings = of("").unwrap();
    assert_eq!(settings.words, "seed 42: closed loop, 50 users, no think time; 200 requests");
    let TrafficModel::Closed(closed) = settings.scenario.traffic.model else { panic!("a closed loop") };
    assert_eq!((&closed.population, closed.num_requests), (&Population::Fixed(50), Some(200)));
    let TrafficModel::Closed(timed) = of("-z 3s").unwrap().scenario.traffic.model else { panic!("a closed loop") };
    assert_eq!((&timed.population, timed.num_requests), (&Population::Fixed(50), None));
}

#[test]
fn the_model_is_put_into_words() {
    for (line, words) in [
        (
            "-r 1000 -z 10s --seed 1 --max-in-flight 50",
            "seed 1: open loop, Poisson 1000/s, at most 50 in flight, the rest queue; 10 s",
        ),
        ("-r 2.5 -n 10k --arrival fixed", "seed 42: open loop, fixed gaps 2.5/s; 10000 requests"),
        (
            "--profile steps:50@0s,200@60s -z 90s --max-in-flight 5 --overflow shed",
            "seed 42: open loop, Poisson in steps of 50, 200/s, at most 5 in flight, the rest are shed; 90 s",
        ),
        (
            "--sessions 20:5 -z 30s --think-time-ms 100 --think-dist exp",
            "seed 42: partly open, sessions of 5 requests on average, Poisson 20/s, exponential think time of 100 ms; 30 s",
        ),
        (
            "-c 1 -n 5 -z 1s --think-time-ms 20",
            "seed 42: closed loop, 1 user, 20 ms think time; 5 requests or 1 s, whichever comes first",
        ),
    ] {
        assert_eq!(of(line).unwrap().words, words);
    }
}

fn plan_of(line: &str) -> Vec<Planned> {
    let settings = of(line).unwrap();
    let requests = settings.limits.requests.map_or(usize::MAX, |n| n as usize);
    Plan::new(&settings.scenario).open_loop().take(requests).collect()
}

#[test]
fn the_same_seed_makes_the_same_plan() {
    let line = "-r 500 -z 2s --hold lognormal:20ms,0.5 --cpu exp:10";
    let plan = plan_of(line);
    assert!((800..1200).contains(&plan.len()), "about 1000, within 6 sigma: {}", plan.len());
    assert_eq!(plan, plan_of(line));
    assert_ne!(plan, plan_of(&format!("{line} --seed 7")));
}

#[test]
fn counts_are_exact() {
    assert_eq!(plan_of("-r 100 -n 321").len(), 321, "the plan goes on until the count is reached");
    let exact = plan_of("-r 100 -z 3s --arrival poisson-exact");
    assert_eq!(exact.len(), 300);
    assert!(exact.iter().all(|p| p.at < Nanos::from_millis(3000)));
    let by_count = plan_of("-r 100 -n 50 --arrival poisson-exact");
    assert_eq!(by_count.len(), 50);
    assert!(by_count.iter().all(|p| p.at < Nanos::from_millis(500)));
}

#[test]
fn the_same_plan_whatever_the_cap() {
    let plan = plan_of("-r 500 -z 2s");
    for cap in ["--max-in-flight 1", "--max-in-flight 10 --overflow shed"] {
        assert_eq!(plan_of(&format!("-r 500 -z 2s {cap}")), plan);
    }
}

#[test]
fn gaps_have_the_shape_that_was_asked_for() {
    // The coefficient of variation of 20 000 gaps: 1 for a Weibull of shape 1, J/√3 for uniform ones.
    for (line, cv) in [("weibull:1", 1.0), ("uniform:0.6", 0.6 / 3_f64.sqrt()), ("fixed", 0.0), ("gamma:2", 2.0)] {
        let plan = plan_of(&format!("-r 1000 -n 20001 --arrival {line}"));
        let gaps: Vec<f64> = plan.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64() * 1e3).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let std = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((mean - 1.0).abs() < 0.05, "{line}: mean {mean}");
        assert!((std / mean - cv).abs() < 0.05 * cv.max(0.1), "{line}: cv {}", std / mean);
    }
}

#[test]
fn a_profile_gives_the_rate_over_time() {
    let plan = plan_of("--profile linear:0..1000/10s -z 10s --arrival poisson-exact");
    assert_eq!(plan.len(), 5000);
    let early = plan.iter().filter(|p| p.at < Nanos::from_millis(5_000)).count();
    assert!((1100..1400).contains(&early), "a quarter of them: {early}");
}

#[test]
fn a_schedule_is_replayed_faster_if_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.csv");
    std::fs::write(&path, "t_ms,hold_ms\n0,5\n100,6\n250.5,\n").unwrap();
    let settings = of(&format!("--schedule {} --speedup 2", path.display())).unwrap();
    assert!(settings.words.ends_with("trace.csv, 2 times as fast"), "{}", settings.words);
    let plan: Vec<Planned> = Plan::new(&settings.scenario).open_loop().collect();
    assert_eq!(plan.iter().map(|p| p.at.0).collect::<Vec<_>>(), [0, 50_000_000, 125_250_000]);
    assert_eq!(plan.iter().map(|p| p.demand.hold.0).collect::<Vec<_>>(), [5_000_000, 6_000_000, 0]);
    std::fs::write(&path, "t_ms\n0\nsoon\n").unwrap();
    let error = of(&format!("--schedule {}", path.display())).unwrap_err().0;
    assert!(error.contains("line 3"), "{error}");
}
