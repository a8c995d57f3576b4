use std::io::Write as _;
use std::net::TcpListener;

use clap::Parser;
use galton_core::plan::Plan;
use galton_core::record::{TraceOutcome, TraceRow};
use galton_core::{FailReason, Outcome, RejectReason, Scenario};
use galton_runtime::book::Book;
use galton_runtime::role;
use prometheus::Registry;

use super::*;
use crate::args::Args;
use crate::destination::Destination;
use crate::pacing::{Closed, Limits, Open};
use crate::scribe;
use crate::settings::settings;
use crate::tally::Tally;
use crate::template::Demands;
use crate::test_http2::Http2;
use crate::test_server::{Answer as Reply, Server};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// What came of a run.
struct Outcomes {
    rows: Vec<TraceRow>,
    tally: Tally,
    ran: Ran,
    meters: Meters,
}

/// Runs the command line against these addresses, host by host; `orders` may interfere.
fn run(line: &str, addrs: &[std::net::SocketAddr], orders: watch::Receiver<Order>) -> Outcomes {
    let args = Cli::try_parse_from(std::iter::once("loadgen").chain(line.split_whitespace())).unwrap().args;
    let settings = settings(&args.model, &args.request, None).unwrap();
    let mut scenario = settings.scenario.clone();
    scenario.load_balancer.hosts = addrs.len() as u32;
    let pacing: Box<dyn Pacing> = match Closed::new(&scenario) {
        Some(closed) => Box::new(closed),
        None => Box::new(Open::new(&Plan::new(&scenario), settings.limits)),
    };
    let template = template(&args.request);
    let job = Job {
        clock: ScenarioClock::new(mono_ns() + 20_000_000, 1.0),
        hosts: addrs
            .iter()
            .map(|addr| {
                Dial::new(*addr, args.request.connect_timeout).with(settings.protocol, settings.max_requests_per_conn)
            })
            .collect(),
        template,
        keys: settings.keys.clone().map(|keys| (keys, scenario.simulation.seed)),
        timeout: scenario.traffic.timeout,
        timeout_from_send: settings.limits.in_flight.is_some(),
        grace_ns: 0,
        drain: settings.drain,
        horizon: Nanos::ZERO,
        hard_stop: None,
    };
    run_job(job, pacing, orders)
}

fn run_job(job: Job, pacing: Box<dyn Pacing>, orders: watch::Receiver<Order>) -> Outcomes {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.csv");
    let meters = Meters::register(&Book::create(None).unwrap(), &Registry::new()).unwrap();
    let (rows, scribe) = scribe::start(Some(scribe::create_trace(&path).unwrap()), |_| {}).unwrap();
    let counted = meters.clone();
    let ran = role::run_on_time(async move {
        let alarm = Alarm::new().await?;
        Ok(Sender::new(job, pacing, alarm, counted, rows, orders).run().await)
    })
    .unwrap();
    let tally = scribe.finish().unwrap().tally;
    let trace = std::fs::File::open(&path).unwrap();
    let mut rows = galton_report::trace::read(std::io::BufReader::new(trace)).unwrap();
    rows.sort_by_key(|row| row.seq);
    Outcomes { rows, tally, ran, meters }
}

fn undisturbed() -> watch::Receiver<Order> {
    watch::channel(Order::Go).1
}

fn at_once() -> Reply {
    Reply::ok(Duration::ZERO, "")
}

fn answer(bytes: String) -> Reply {
    Reply { after: Duration::ZERO, bytes, close: false }
}

fn status(status: u16, headers: &str) -> Reply {
    answer(format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n"))
}

/// Half of the promised body, then the end.
fn broken() -> Reply {
    Reply { close: true, ..answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned()) }
}

#[track_caller]
fn assert_conserved(outcomes: &Outcomes) {
    assert_eq!(outcomes.ran.generator.planned, Some(outcomes.rows.len() as u64));
    assert_eq!(outcomes.tally.planned(), outcomes.rows.len() as u64);
    assert_eq!(outcomes.tally.offered(), outcomes.meters.sent());
    assert_eq!(outcomes.meters.in_flight(), 0);
    let integral = outcomes.ran.generator.in_flight_integral.unwrap();
    let sum = outcomes.tally.service_sum;
    assert!((integral - sum).abs() <= 0.005 * sum, "Little's law: {integral} against {sum}");
}

#[test]
fn fifty_users_send_five_thousand_requests_and_not_one_more() {
    let server = Server::start(at_once());
    let outcomes = run("-c 50 -n 5000", &[server.addr], undisturbed());
    assert_eq!(server.seen().len(), 5000);
    assert_eq!(outcomes.tally.of(Outcome::Ok), 5000);
    assert_conserved(&outcomes);
    // One per user at most; fewer, if a user begins when the connection of another is idle already.
    let opened = server.connections();
    assert!((1..=50).contains(&opened), "{opened} connections");
    assert_eq!(outcomes.ran.connections, LinkCounts { opened, reused: 5000 - opened, exhausted: 0 });
    assert_eq!(outcomes.ran.body_bytes, 15_000);
    let users = outcomes.ran.generator.users.unwrap();
    assert_eq!((users.budget_exhausted, users.unfinished), (50, 0));
}

#[test]
fn a_budget_below_the_number_of_users_is_exact_too() {
    let server = Server::start(at_once());
    let outcomes = run("-c 200 -n 100", &[server.addr], undisturbed());
    assert_eq!(server.seen().len(), 100);
    assert_eq!(outcomes.rows.len(), 100);
    assert_eq!(outcomes.ran.generator.users.unwrap().budget_exhausted, 200);
    assert_conserved(&outcomes);
}

#[test]
fn an_open_loop_sends_its_plan_to_the_planned_hosts_and_never_early() {
    let servers = [Server::start(at_once()), Server::start(at_once())];
    let line = "-r 400 -n 200 --seed 3 --hold exp:2ms --cpu normal:10,2";
    let outcomes = run(line, &[servers[0].addr, servers[1].addr], undisturbed());
    assert_conserved(&outcomes);
    let args = Cli::try_parse_from(std::iter::once("loadgen").chain(line.split_whitespace())).unwrap().args;
    let mut scenario = settings(&args.model, &args.request, None).unwrap().scenario;
    scenario.load_balancer.hosts = 2;
    let plan: Vec<_> = Plan::new(&scenario).open_loop().take(200).collect();
    for (row, planned) in outcomes.rows.iter().zip(&plan) {
        assert_eq!((row.seq, row.host, row.t_intended), (planned.seq, Some(planned.host.0), planned.at));
        assert_eq!((row.hold_demand, row.cpu_demand), (planned.demand.hold, planned.demand.cpu));
        assert!(row.t_send.unwrap() >= row.t_intended, "request {} went out early", row.seq);
    }
    for (host, server) in servers.iter().enumerate() {
        let mut seen: Vec<u64> =
            server.seen().iter().map(|s| s.header("galton-seq").unwrap().parse().unwrap()).collect();
        seen.sort_unstable();
        let meant: Vec<u64> = plan.iter().filter(|p| p.host.0 as usize == host).map(|p| p.seq).collect();
        assert_eq!(seen, meant, "host {host}");
        for seen in server.seen() {
            let seq: usize = seen.header("galton-seq").unwrap().parse().unwrap();
            let deadline_ns: u64 = seen.header("galton-deadline-ns").unwrap().parse().unwrap();
            assert!(seen.at_ns + 10_000_000_000 >= deadline_ns, "the server saw request {seq} before its time");
            let hold = plan[seq].demand.hold.0.to_string();
            assert_eq!(seen.header("galton-hold-ns"), Some(hold.as_str()));
            assert!(seen.header("galton-cpu").is_some() && seen.header("galton-deadline-ns").is_some());
        }
    }
}

#[test]
fn under_a_cap_the_rest_queues_and_the_wait_counts() {
    let server = Server::start(Reply::ok(Duration::from_millis(10), ""));
    let outcomes = run("-r 2000 -n 40 --arrival fixed --max-in-flight 4", &[server.addr], undisturbed());
    assert_conserved(&outcomes);
    assert_eq!(outcomes.tally.of(Outcome::Ok), 40);
    assert!(server.connections() <= 4, "{} connections", server.connections());
    let last = outcomes.rows.last().unwrap();
    // 40 requests, 4 at a time, 10 ms each: the last one ends after 100 ms, and it was meant for 19.5 ms.
    assert!(last.response().unwrap() >= Nanos::from_millis(75), "{:?}", last.response());
    assert!(last.service().unwrap() < last.response().unwrap());
}

#[test]
fn a_closed_loop_obeys_its_law() {
    let server = Server::start(Reply::ok(Duration::from_millis(10), ""));
    let outcomes = run("-c 20 -z 1500ms --think-time-ms 40", &[server.addr], undisturbed());
    assert_conserved(&outcomes);
    let think = Nanos::from_millis(40);
    let (mut cycles, mut cycle_time) = (0_u64, 0.0);
    for user in 0..20 {
        let rows: Vec<&TraceRow> = outcomes.rows.iter().filter(|row| row.user == Some(user)).collect();
        for (round, pair) in rows.windows(2).enumerate() {
            assert_eq!(pair[0].round, Some(round as u32));
            assert_eq!(pair[1].t_intended, pair[0].t_end.unwrap() + think, "user {user}, round {round}");
            cycles += 1;
            cycle_time += (pair[1].t_intended - pair[0].t_intended).as_secs_f64();
        }
    }
    // X = N / (R + Z), with R from the intended send, so that it holds on a loaded machine too. What remains is the part
    // of a cycle that each user loses at the start and at the end.
    let law = 20.0 / (cycle_time / cycles as f64);
    let rate = cycles as f64 / 1.5;
    assert!((0.9..1.01).contains(&(rate / law)), "{rate}/s, the law says {law}/s");
    let users = outcomes.ran.generator.users.unwrap();
    assert_eq!((users.horizon, users.unfinished), (20, 0));
    let starts: Vec<Nanos> = outcomes.rows.iter().filter(|r| r.round == Some(0)).map(|r| r.t_intended).collect();
    assert_eq!(starts, (0..20).map(|u| Nanos::from_millis(2 * u)).collect::<Vec<_>>(), "user u starts at u·think/N");
}

#[test]
fn a_refused_connection_is_a_connect_failure_and_users_go_on() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let outcomes = run("-c 2 -n 6 --think-time-ms 1", &[closed], undisturbed());
    assert_eq!(outcomes.tally.of(Outcome::Failed(FailReason::Connect)), 6);
    assert_eq!(outcomes.meters.counters().connect_failures, 6);
    assert_conserved(&outcomes);
}

#[test]
fn a_response_that_breaks_off_is_a_reset_and_the_connection_is_not_used_again() {
    let server = Server::with(|n| if n == 1 { broken() } else { at_once() });
    let outcomes = run("-c 1 -n 3", &[server.addr], undisturbed());
    let ends: Vec<TraceOutcome> = outcomes.rows.iter().map(|row| row.outcome).collect();
    let reset = Outcome::Failed(FailReason::Reset);
    assert_eq!(ends, [Outcome::Ok, reset, Outcome::Ok].map(TraceOutcome::Offered));
    assert_eq!(outcomes.rows[1].status, Some(200));
    assert_eq!(server.connections(), 2);
    assert_conserved(&outcomes);
}

#[test]
fn a_reused_connection_that_closes_without_an_answer_is_a_reset_and_nothing_is_sent_twice() {
    let server = Server::with(|n| if n == 1 { Reply { close: true, ..answer(String::new()) } } else { at_once() });
    let outcomes = run("-c 1 -n 3", &[server.addr], undisturbed());
    assert_eq!(outcomes.tally.of(Outcome::Failed(FailReason::Reset)), 1);
    assert_eq!(outcomes.tally.of(Outcome::Ok), 2);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_server_that_never_answers_times_out_and_its_sample_is_censored() {
    let server = Server::start(Reply::silence());
    let outcomes = run("-c 2 -n 4 -t 50ms", &[server.addr], undisturbed());
    assert_eq!(outcomes.tally.of(Outcome::TimedOut), 4);
    assert_eq!(outcomes.tally.response.len(), 4);
    assert!(outcomes.tally.response.min() >= 49_000_000, "{}", outcomes.tally.response.min());
    assert_conserved(&outcomes);
}

#[test]
fn what_a_galton_server_says_is_in_the_trace() {
    let server = Server::with(|n| match n {
        0 => Reply::ok(
            Duration::ZERO,
            "galton-outcome: ok\r\ngalton-attempts: 2\r\ngalton-target: t-003\r\ngalton-overhead-ns: 1500\r\n",
        ),
        1 => status(503, "galton-outcome: rejected;reason=retries_exhausted\r\ngalton-attempts: 3\r\n"),
        2 => status(503, "galton-outcome: full\r\n"),
        3 => status(504, "galton-outcome: timed_out\r\n"),
        _ => status(500, ""),
    });
    let outcomes = run("-c 1 -n 5", &[server.addr], undisturbed());
    let ends: Vec<TraceOutcome> = outcomes.rows.iter().map(|row| row.outcome).collect();
    let expected = [
        Outcome::Ok,
        Outcome::Rejected(RejectReason::RetriesExhausted),
        Outcome::Rejected(RejectReason::NoCapacity),
        Outcome::TimedOut,
        Outcome::Failed(FailReason::Http),
    ];
    assert_eq!(ends, expected.map(TraceOutcome::Offered));
    let first = &outcomes.rows[0];
    assert_eq!((first.attempts, first.target.map(|t| t.0), first.overhead), (Some(2), Some(3), Some(Nanos(1500))));
    assert_eq!((first.user, first.round, first.status), (Some(0), Some(0), Some(200)));
    assert_eq!(server.connections(), 1, "refusals keep the connection");
}

#[test]
fn at_the_cap_the_rest_can_be_shed() {
    let server = Server::start(Reply::ok(Duration::from_millis(50), ""));
    let outcomes =
        run("-r 1000 -n 40 --arrival fixed --max-in-flight 4 --overflow shed", &[server.addr], undisturbed());
    assert_eq!(outcomes.rows.len(), 40);
    let shed = outcomes.tally.of(Outcome::Shed);
    assert!(shed >= 30, "{shed} shed");
    assert_eq!(outcomes.tally.of(Outcome::Ok) + shed, 40);
    assert_eq!(server.seen().len() as u64, 40 - shed);
    assert!(
        outcomes.rows.iter().all(|row| row.t_send.is_none_or(|sent| sent < row.t_intended + Nanos::from_millis(49)))
    );
}

#[test]
fn sessions_come_and_go() {
    let server = Server::start(at_once());
    let outcomes = run("--sessions 200:3 -z 1s --think-time-ms 5", &[server.addr], undisturbed());
    assert_conserved(&outcomes);
    let begun = outcomes.rows.iter().filter(|row| row.round == Some(0)).count() as u64;
    let users = outcomes.ran.generator.users.unwrap();
    assert_eq!(users.completed + users.horizon, begun, "{users:?}");
    assert!((130..270).contains(&begun), "{begun} sessions of 200 expected");
    assert!(outcomes.rows.len() as u64 > begun);
}

#[test]
fn connections_are_used_as_often_as_allowed() {
    for (line, connections) in
        [("-c 1 -n 7", 1), ("-c 1 -n 7 --keepalive off", 7), ("-c 1 -n 7 --max-requests-per-conn 3", 3)]
    {
        let server = Server::start(at_once());
        let outcomes = run(line, &[server.addr], undisturbed());
        assert_eq!(outcomes.tally.of(Outcome::Ok), 7, "{line}");
        assert_eq!((server.connections(), outcomes.ran.connections.opened), (connections, connections), "{line}");
        assert_eq!(outcomes.ran.connections.reused, 7 - connections, "{line}");
        let closing = server.seen().iter().all(|seen| seen.header("connection") == Some("close"));
        assert_eq!(closing, line.contains("off"), "{line}");
    }
}

/// Answers the first bytes of each connection in HTTP/1.1, and waits until the client closes it.
fn deaf_to_http_2() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
                std::io::copy(&mut stream, &mut std::io::sink()).ok();
            });
        }
    });
    addr
}

#[test]
fn a_server_that_does_not_speak_http_2_is_asked_whether_it_does() {
    let outcomes = run("--http2 -c 4 -n 40", &[deaf_to_http_2()], undisturbed());
    assert_eq!(outcomes.tally.of(Outcome::Failed(FailReason::Reset)), 40);
    let texts: Vec<&str> = outcomes.ran.errors.iter().map(|error| error.words()).collect();
    assert!(texts.iter().all(|text| text.ends_with("; does the server speak HTTP/2?")), "{texts:?}");
    assert_eq!(outcomes.ran.errors.iter().map(|error| error.requests).sum::<u64>(), 40);
    assert_conserved(&outcomes);
}

#[test]
fn http_2_shares_a_connection() {
    let server = Http2::start();
    for (line, requests, connections) in [
        ("--http2 -c 20 -n 400", 400, 1),
        ("--http2 -c 10 -n 100 --max-requests-per-conn 25", 100, 4),
        ("--http2 -c 150 -n 600", 600, 2),
    ] {
        let before = server.connections();
        let outcomes = run(line, &[server.addr], undisturbed());
        assert_eq!(outcomes.tally.of(Outcome::Ok), requests, "{line}");
        assert_eq!(outcomes.ran.body_bytes, 3 * requests);
        assert_conserved(&outcomes);
        let opened = outcomes.ran.connections.opened;
        assert_eq!(server.connections() - before, opened, "{line}");
        assert!((1..=connections).contains(&opened), "{line}: {opened} connections");
        assert_eq!(outcomes.ran.connections.reused, requests - opened, "{line}");
    }
}

#[test]
fn keys_travel() {
    let server = Server::start(at_once());
    run("-c 1 -n 20 --key uniform:3", &[server.addr], undisturbed());
    let keys: std::collections::BTreeSet<String> =
        server.seen().iter().map(|seen| seen.header("galton-key").unwrap().to_owned()).collect();
    assert_eq!(keys, ["1", "2", "3"].map(str::to_owned).into());
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_is_opened_again() {
    // It says that it closes, so that nothing is sent to a dead connection.
    let server = Server::start(Reply { close: true, ..at_once() });
    let outcomes = run("-c 1 -n 3 --think-time-ms 20", &[server.addr], undisturbed());
    assert_eq!(outcomes.tally.of(Outcome::Ok), 3);
    assert_eq!(server.connections(), 3);
}

/// Gives `order` as soon as the server has seen a request.
fn order_once_seen(server: &Server, order: Order) -> watch::Receiver<Order> {
    let (sender, receiver) = watch::channel(Order::Go);
    let server = server.clone();
    std::thread::spawn(move || {
        while server.seen().is_empty() {
            std::thread::yield_now();
        }
        sender.send_replace(order);
        // The receiver waits for changes for as long as it likes.
        sender
    });
    receiver
}

#[test]
fn abandoning_a_run_ends_its_plan_and_accounts_for_every_request_of_it() {
    let server = Server::start(Reply::silence());
    let orders = order_once_seen(&server, Order::Abandon);
    let outcomes = run("-r 50 -n 500 --arrival fixed -t 60s", &[server.addr], orders);
    assert!(outcomes.ran.interrupted);
    assert!(outcomes.tally.of(Outcome::Unfinished) >= 1);
    assert_eq!(outcomes.tally.of(Outcome::Unfinished) + outcomes.tally.unsent, outcomes.rows.len() as u64);
    // What was meant for the seconds after that is no part of it.
    assert!(outcomes.rows.len() < 400, "{} rows", outcomes.rows.len());
    assert!(outcomes.rows.iter().enumerate().all(|(i, row)| row.seq == i as u64));
    assert_conserved(&outcomes);
}

#[test]
fn a_stop_sends_nothing_more_and_waits_for_what_is_in_flight() {
    let server = Server::start(Reply::ok(Duration::from_millis(100), ""));
    let orders = order_once_seen(&server, Order::Stop);
    let outcomes = run("-r 20 -n 400 --arrival fixed", &[server.addr], orders);
    assert!(outcomes.ran.interrupted);
    assert_eq!(outcomes.tally.of(Outcome::Unfinished), 0);
    assert_eq!(outcomes.tally.of(Outcome::Ok), server.seen().len() as u64);
    assert!(outcomes.rows.len() < 300, "{} rows", outcomes.rows.len());
    assert_conserved(&outcomes);
}

#[test]
fn a_drain_that_is_abandoned_is_an_interruption() {
    let server = Server::start(Reply::silence());
    let orders = order_once_seen(&server, Order::Abandon);
    let outcomes = run("-c 1 -n 1 -t 60s", &[server.addr], orders);
    assert!(outcomes.ran.interrupted);
    assert_eq!(outcomes.tally.of(Outcome::Unfinished), 1);
}

#[test]
fn after_the_drain_what_is_in_flight_is_unfinished() {
    let server = Server::start(Reply::silence());
    let outcomes = run("-r 100 -n 3 --drain 50ms", &[server.addr], undisturbed());
    assert_eq!(outcomes.tally.of(Outcome::Unfinished), 3);
    assert_conserved(&outcomes);
}

#[test]
fn the_hard_stop_ends_everything_and_time_scales() {
    let server = Server::start(Reply::silence());
    let mut scenario = Scenario::default();
    scenario.load_balancer.hosts = 1;
    scenario.simulation.duration = Nanos::from_millis(10_000);
    let started_ns = mono_ns();
    let job = Job {
        clock: ScenarioClock::new(started_ns, 10.0),
        hosts: vec![Dial::new(server.addr, Duration::from_secs(2))],
        template: template(&request_args()),
        keys: None,
        timeout: Nanos::from_millis(60_000),
        timeout_from_send: false,
        grace_ns: 0,
        drain: Nanos::from_millis(10_000),
        horizon: scenario.simulation.duration,
        hard_stop: Some(Nanos::from_millis(4_000)),
    };
    let pacing = Box::new(Open::new(&Plan::new(&scenario), Limits::default()));
    let outcomes = run_job(job, pacing, undisturbed());
    assert!(mono_ns() - started_ns >= 400_000_000, "4 s of scenario time, ten times faster");
    let planned = Plan::new(&scenario).open_loop().count() as u64;
    assert_eq!(outcomes.tally.planned(), planned);
    assert!(outcomes.tally.unsent > 0 && outcomes.tally.of(Outcome::Unfinished) > 0);
    assert!(!outcomes.ran.interrupted, "the scenario asked for it");
    assert!(outcomes.rows.iter().all(|row| row.t_send.is_none_or(|t| t < Nanos::from_millis(4_500))));
    assert_conserved(&outcomes);
}

#[test]
fn without_a_drain_the_run_still_lasts_for_its_duration_and_the_last_request_goes_out() {
    let server = Server::start(Reply::ok(Duration::from_millis(100), ""));
    let mut scenario = {
        let args = Cli::try_parse_from(["loadgen", "-r", "100", "-n", "5"]).unwrap().args;
        settings(&args.model, &args.request, None).unwrap().scenario
    };
    scenario.load_balancer.hosts = 1;
    let plan = Plan::new(&scenario);
    let last = plan.open_loop().nth(4).unwrap().at;
    let mut ends = Vec::new();
    for horizon in [last, last + Nanos::from_millis(2_000)] {
        let job = Job {
            clock: ScenarioClock::new(mono_ns() + 20_000_000, 1.0),
            hosts: vec![Dial::new(server.addr, Duration::from_secs(2))],
            template: template(&request_args()),
            keys: None,
            timeout: Nanos::from_millis(60_000),
            timeout_from_send: false,
            grace_ns: 0,
            drain: Nanos::ZERO,
            horizon,
            hard_stop: None,
        };
        let five = Limits { requests: Some(5), ..Limits::default() };
        let outcomes = run_job(job, Box::new(Open::new(&plan, five)), undisturbed());
        assert_eq!(outcomes.tally.unsent, 0);
        assert_conserved(&outcomes);
        ends.push(outcomes.tally.of(Outcome::Unfinished));
    }
    assert!(ends[0] >= 1, "nothing is waited for behind the horizon");
    assert_eq!(ends[1], 0, "all of them end before it");
}

fn request_args() -> crate::args::RequestArgs {
    Cli::try_parse_from(["loadgen"]).unwrap().args.request
}

fn template(args: &crate::args::RequestArgs) -> Template {
    let demands = Demands { hold: args.hold.is_some(), cpu: args.cpu.is_some(), key: args.key.is_some() };
    Destination::parse("http://127.0.0.1/").unwrap().template(args, Default::default(), demands).unwrap()
}
