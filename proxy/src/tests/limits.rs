//! What the process takes on, what it does with more, and what survives a task that panics.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use galton_core::wire::Start;
use galton_core::{FailReason, HostId, Nanos, Outcome, RequestId};
use galton_runtime::mono_ns;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::rig::{Client, FakeTarget, args, count, full, get, metrics, run, until};
use crate::app::{assemble, configured};
use crate::call::{Asking, Call, Step};
use crate::client_io::ClientIo;
use crate::front::{self, Front};
use crate::limits::{self, ClientLimits};
use crate::proxy::Proxy;
use crate::server::{Capacity, Server};

/// A host that runs and knows one target, without a scaler.
fn host(dir: &Path, target: &FakeTarget) -> Rc<Proxy> {
    let args = args(dir, "round_robin", ([127, 0, 0, 1], 1).into(), &[]);
    let proxy = assemble(&args, configured(&args).unwrap(), metrics(dir), HostId(0)).unwrap();
    proxy.outside.upstreams.learn(&target.member());
    proxy.begin(Start { t0_ns: mono_ns() }, 1, &[target.member()]).unwrap();
    Rc::new(proxy)
}

async fn served(proxy: Rc<Proxy>, capacity: Capacity, flags: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    spawn_local(async move {
        match Server::new(proxy, ClientLimits::parse(flags), capacity).unwrap().accept_all(&[listener]).await {}
    });
    addr
}

/// Answers when it is told to.
async fn gated() -> (FakeTarget, Rc<tokio::sync::Semaphore>) {
    let gate = Rc::new(tokio::sync::Semaphore::new(0));
    let passing = Rc::clone(&gate);
    let target = FakeTarget::http(1, move |_| {
        let passing = Rc::clone(&passing);
        async move {
            passing.acquire().await.unwrap().forget();
            http::Response::new(full("passed"))
        }
    })
    .await;
    (target, gate)
}

#[test]
fn requests_without_room_are_answered_at_once() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (target, gate) = gated().await;
        let addr = served(host(dir.path(), &target), Capacity { connections: 8, in_flight: 1 }, &[]).await;
        let mut first = Client::connect(addr).await;
        let shed = async {
            until("the first is in flight", || target.seen.borrow().len() == 1).await;
            let shed = Client::connect(addr).await.call(get()).await.unwrap();
            assert_eq!((shed.status, shed.header("galton-attempts")), (503, "0"));
            assert_eq!(shed.header("galton-outcome"), Outcome::Failed(FailReason::Overloaded).to_string());
            assert_eq!(shed.header("galton-error"), "overloaded");
            assert!(shed.body.starts_with(b"too many requests in flight"));
            gate.add_permits(1);
        };
        let (reply, ()) = tokio::join!(first.call(get()), shed);
        assert_eq!(reply.unwrap().body, "passed");
        assert_eq!(count(dir.path(), "received_total", ""), 2);
        assert_eq!(count(dir.path(), "overloaded_total", ""), 1);
        assert_eq!(count(dir.path(), "requests_total", "failed"), 1);
        assert_eq!(count(dir.path(), "requests_total", "rejected"), 0, "the policy decided nothing");
        gate.add_permits(1);
        assert_eq!(first.call(get()).await.unwrap().status, 200, "there is room again");
    });
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let target = FakeTarget::ok(1).await;
        let flags = &["--park-after-ms", "5"];
        let addr = served(host(dir.path(), &target), Capacity { connections: 1, in_flight: 1 }, flags).await;
        let mut first = Client::connect(addr).await;
        assert_eq!(first.call(get()).await.unwrap().status, 200);
        until("it is parked, in its place", || count(dir.path(), "parked_connections", "") == 1).await;
        let mut second = Client::connect(addr).await;
        let waiting = spawn_local(async move { second.call(get()).await.unwrap().status });
        assert_eq!(first.call(get()).await.unwrap().status, 200);
        assert!(!waiting.is_finished());
        first.vanish();
        assert_eq!(waiting.await.unwrap(), 200);
    });
}

#[test]
fn a_capacity_fits_into_the_descriptors_that_are_left() {
    let small = Capacity::of(1024);
    assert_eq!((small.connections, small.in_flight), (560, 336));
    assert_eq!(Capacity::of(usize::MAX).connections, crate::limits::CONNECTIONS);
    assert_eq!((Capacity::of(0).connections, Capacity::of(0).in_flight), (1, 1));
}

#[test]
fn a_task_that_panics_gives_its_slot_back() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let target = FakeTarget::ok(1).await;
        let proxy = host(dir.path(), &target);
        let engine = proxy.engine().unwrap();
        let asking = |n| Asking { request: RequestId(n), deadline: Nanos::MAX, idempotent: true, recv_ns: mono_ns() };
        let arrive = {
            let engine = Rc::clone(&engine);
            move |n| Call::arrive(Rc::clone(&engine), asking(n))
        };
        let in_flight = || count(dir.path(), "in_flight", "");

        let unseen = arrive(1);
        assert_eq!(in_flight(), 1, "dispatched, and its task does not know yet");
        drop(unseen);
        assert_eq!(in_flight(), 0);

        let panicking = spawn_local(async move {
            let mut call = arrive(2);
            assert!(matches!(call.step().await, Step::Attempt(_)));
            panic!("as this test wants it");
        });
        assert!(panicking.await.unwrap_err().is_panic());
        assert_eq!(in_flight(), 0);
        assert_eq!(engine.calls.borrow().len(), 0);
        assert_eq!(count(dir.path(), "attempts_total", "closed"), 2);
        assert_eq!(count(dir.path(), "requests_total", "cancelled"), 2);
    });
}

#[test]
fn what_does_not_fit_together_is_said_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = args(dir.path(), "least_conns", ([127, 0, 0, 1], 1).into(), &[]);
    args.map = None;
    let error = configured(&args).unwrap_err().to_string();
    assert!(error.contains("--map"), "{error}");
    args.role.scenario = None;
    let error = configured(&args).unwrap_err().to_string();
    assert!(error.contains("--scenario"), "{error}");
}

#[test]
fn a_connection_that_moves_much_takes_turns() {
    const PIECE: [u8; 16 * 1024] = [0; 16 * 1024];
    const ALL: usize = 64 * limits::TURN_BYTES;
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let target = FakeTarget::http(1, |_| async { http::Response::new(full("")) }).await;
        let front = Front::new(host(dir.path(), &target), ClientLimits::parse(&[]), 1).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, addr) = listener.accept().await.unwrap();
        let reading = spawn_local(async move {
            let mut taken = 0;
            while taken < ALL {
                taken += peer.read(&mut [0; 64 * 1024]).await.unwrap();
            }
        });
        let client = front::Client::enter(&front, addr.ip(), 0).await;
        // Its answers may begin at once.
        client.speaks_http2();
        let mut io = ClientIo::new(stream, Bytes::new(), Rc::clone(&client));
        let (mut moved, mut most) = (0, 0);
        poll_fn(|cx| {
            let before = moved;
            while moved < ALL {
                let Poll::Ready(wrote) = Pin::new(&mut io).poll_write(cx, &PIECE) else { break };
                moved += wrote.unwrap();
            }
            most = most.max(moved - before);
            if moved < ALL { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        // Without turns it is as much as the runtime lets one poll do, 2 MiB, where the socket's buffer takes that.
        assert!(most < limits::TURN_BYTES + PIECE.len(), "{most}");
        reading.await.unwrap();
    });
}
