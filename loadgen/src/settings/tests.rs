use clap::Parser;
use galton_core::plan::Planned;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &str) -> Result<Args, clap::Error> {
    Cli::try_parse_from(std::iter::once("loadgen").chain(line.split_whitespace())).map(|cli| cli.args)
}

fn of(line: &str) -> Result<Settings, UsageError> {
    settings(&parse(line).unwrap())
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
            "--think-time-ms and --rate are mutually exclusive; think time belongs to a closed loop",
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
        ("--proxy 0=127.0.0.1:1", "--scenario"),
        ("--scenario x.json", "--proxy"),
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
    assert_eq!((closed.concurrency, closed.num_requests), (50, Some(200)));
    let TrafficModel::Closed(timed) = of("-z 3s").unwrap().scenario.traffic.model else { panic!("a closed loop") };
    assert_eq!((timed.concurrency, timed.num_requests), (50, None));
}

#[test]
fn the_model_is_put_into_words() {
    for (line, words) in [
        (
            "-r 1000 -z 10s --seed 1 --max-in-flight 50",
            "seed 1: open loop, Poisson 1000/s, at most 50 in flight, the rest queue; 10 s",
        ),
        ("-r 2.5 -n 10k --arrival fixed", "seed 42: open loop, fixed gaps at 2.5/s; 10000 requests"),
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
