//! What the tests put around a proxy: targets that do as they are told, a scaler that says what it is told, clients.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use futures_util::stream;
use galton_core::table::{FleetRows, RowState};
use galton_core::wire::{HostInfo, Member, Start, WatchLine};
use galton_core::{HostId, Nanos, Scenario, TargetId};
use galton_runtime::book::{self, Book};
use galton_runtime::load_map::LoadMap;
use galton_runtime::{Shutdown, mono_ns};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tower::BoxError;

use crate::app::{Args, assemble, configured, serve};
use crate::metrics::Metrics;
use crate::ready::Ready;
use crate::server::Capacity;

/// Far beyond what anything here takes, also on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;
type Answering = Pin<Box<dyn Future<Output = Response<Body>>>>;
type Handler = Rc<dyn Fn(Request<Incoming>) -> Answering>;

/// Runs a test on one thread, within the time it may take.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(2 * PATIENCE, test).await.unwrap() });
}

/// Waits for a condition.
pub(super) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never came: {what}");
}

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is what is sent into it; dropping the sender ends it.
pub(super) fn channel() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Bytes>();
    let frames = stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|b| b.map(|b| Ok(Frame::data(b)))));
    (sender, BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// Serves HTTP on a port of its own; counts connections.
fn serve_http(listener: TcpListener, connections: Rc<Cell<usize>>, handler: Handler) -> JoinHandle<()> {
    spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.set(connections.get() + 1);
            let handler = Rc::clone(&handler);
            let service = service_fn(move |request| {
                let answering = handler(request);
                async move { Ok::<_, BoxError>(answering.await) }
            });
            spawn_local(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

// === targets ===

/// A target that does as it is told.
pub(super) struct FakeTarget {
    pub(super) number: u32,
    pub(super) addr: SocketAddr,
    /// Connections it accepted.
    pub(super) connections: Rc<Cell<usize>>,
    /// Heads of the requests it saw.
    pub(super) seen: Rc<RefCell<Vec<http::request::Parts>>>,
}

impl FakeTarget {
    /// Answers every request with what the handler says.
    pub(super) async fn http<F: Future<Output = Response<Body>> + 'static>(
        number: u32,
        handler: impl Fn(Request<Incoming>) -> F + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, seen) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let heads = Rc::clone(&seen);
        let handler = move |request: Request<Incoming>| -> Answering {
            let (head, body) = request.into_parts();
            heads.borrow_mut().push(head.clone());
            Box::pin(handler(Request::from_parts(head, body)))
        };
        serve_http(listener, Rc::clone(&connections), Rc::new(handler));
        Self { number, addr, connections, seen }
    }

    /// Does with each connection what the handler says.
    pub(super) async fn raw<F: Future<Output = ()> + 'static>(
        number: u32,
        handler: impl Fn(TcpStream) -> F + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Rc::new(Cell::new(0));
        let count = Rc::clone(&connections);
        spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.set(count.get() + 1);
                spawn_local(handler(stream));
            }
        });
        Self { number, addr, connections, seen: Rc::default() }
    }

    /// Is not there: nobody listens at its address.
    pub(super) async fn absent(number: u32) -> Self {
        let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        Self { number, addr, connections: Rc::default(), seen: Rc::default() }
    }

    /// Reads the whole request and answers `ok` with its own name.
    pub(super) async fn ok(number: u32) -> Self {
        Self::http(number, move |request| async move {
            let _ = request.into_body().collect().await;
            Response::new(full(TargetId(number).to_string()))
        })
        .await
    }

    /// Reads the whole request and refuses.
    pub(super) async fn refusing(number: u32) -> Self {
        Self::http(number, |request| async move {
            let _ = request.into_body().collect().await;
            refusal()
        })
        .await
    }

    pub(super) fn member(&self) -> Member {
        Member {
            target: TargetId(self.number),
            incarnation: 0,
            data: self.addr.to_string(),
            admin: self.addr.to_string(),
            since_ns: 0,
        }
    }
}

pub(super) fn refusal() -> Response<Body> {
    let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).header("galton-outcome", "full");
    response.body(full("full")).unwrap()
}

// === the scaler ===

/// A scaler that says what it is told and remembers what it was told.
pub(super) struct FakeScaler {
    pub(super) addr: SocketAddr,
    /// Path and body of every post.
    pub(super) posts: Rc<RefCell<Vec<(String, serde_json::Value)>>>,
    /// Posts are refused.
    pub(super) refusing: Rc<Cell<bool>>,
    hello: Rc<RefCell<WatchLine>>,
    stream: Rc<RefCell<Option<mpsc::UnboundedSender<Bytes>>>>,
    /// Watches opened so far.
    pub(super) watches: Rc<Cell<usize>>,
}

impl FakeScaler {
    async fn start(hello: WatchLine) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scaler = Self {
            addr: listener.local_addr().unwrap(),
            posts: Rc::default(),
            refusing: Rc::default(),
            hello: Rc::new(RefCell::new(hello)),
            stream: Rc::default(),
            watches: Rc::default(),
        };
        let (posts, refusing) = (scaler.posts.clone(), scaler.refusing.clone());
        let (hello, stream, watches) = (scaler.hello.clone(), scaler.stream.clone(), scaler.watches.clone());
        let handler = move |request: Request<Incoming>| -> Answering {
            if request.uri().path() == "/v1/watch" {
                let (sender, body) = channel();
                sender.send(encode(&hello.borrow())).unwrap();
                stream.replace(Some(sender));
                watches.set(watches.get() + 1);
                return Box::pin(async { Response::new(body) });
            }
            let posts = Rc::clone(&posts);
            let status = if refusing.get() { 409 } else { 202 };
            Box::pin(async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                posts.borrow_mut().push((path, serde_json::from_slice(&body).unwrap()));
                Response::builder().status(status).body(empty()).unwrap()
            })
        };
        serve_http(listener, Rc::default(), Rc::new(handler));
        scaler
    }

    /// From now on a watch begins with the word that this is the load map.
    pub(super) fn shares(&self, id: u64) {
        if let WatchLine::Hello { map, .. } = &mut *self.hello.borrow_mut() {
            *map = Some(id);
        }
    }

    /// Says a line on the watch.
    pub(super) fn say(&self, line: &WatchLine) {
        self.stream.borrow().as_ref().expect("watched").send(encode(line)).unwrap();
    }

    /// Ends the watch; the next one begins with this.
    pub(super) fn break_off(&self, hello: WatchLine) {
        self.hello.replace(hello);
        self.stream.replace(None);
    }

    /// Waits for a post to that path; returns the body of the first.
    pub(super) async fn post(&self, path: &str) -> serde_json::Value {
        let find = || self.posts.borrow().iter().find(|(p, _)| p == path).map(|(_, body)| body.clone());
        until(path, || find().is_some()).await;
        find().unwrap()
    }
}

fn encode(line: &WatchLine) -> Bytes {
    let mut line = serde_json::to_vec(line).unwrap();
    line.push(b'\n');
    line.into()
}

pub(super) fn hello(t0_ns: Option<u64>, version: u64, targets: &[&FakeTarget]) -> WatchLine {
    let members = targets.iter().map(|target| target.member()).collect();
    WatchLine::Hello { start: t0_ns.map(|t0_ns| Start { t0_ns }), map: None, version, members }
}

// === the proxy ===

/// A proxy between fakes.
pub(super) struct Rig {
    dir: TempDir,
    pub(super) addr: SocketAddr,
    pub(super) scaler: FakeScaler,
    /// The scaler's side of the load map.
    pub(super) map: LoadMap,
    pub(super) t0_ns: u64,
    pub(super) shutdown: Shutdown,
    pub(super) served: JoinHandle<anyhow::Result<ExitCode>>,
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// The arguments of a proxy, with every file in that directory, and `more`.
pub(super) fn args(dir: &Path, scenario: &str, scaler: SocketAddr, more: &[&str]) -> Args {
    let all: serde_json::Value = serde_json::from_str(include_str!("../../testdata/scenarios.json")).unwrap();
    std::fs::write(dir.join("scenario.json"), serde_json::to_vec(&all[scenario]).unwrap()).unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    let flags = [
        ("--scenario", file("scenario.json")),
        ("--scaler", scaler.to_string()),
        ("--map", file("map")),
        ("--records", file("records")),
    ];
    let words = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
    let more = more.iter().map(|word| (*word).to_owned());
    Cli::parse_from(std::iter::once("proxy".to_owned()).chain(words).chain(more)).args
}

pub(super) fn metrics(dir: &Path) -> Rc<Metrics> {
    let book = Book::create(Some(&dir.join("book"))).unwrap();
    Rc::new(Metrics::new(book, HostId(0)).unwrap())
}

impl Rig {
    /// A running proxy that knows these targets.
    pub(super) async fn start(scenario: &str, targets: &[&FakeTarget]) -> Self {
        Self::start_with(scenario, targets, &[]).await
    }

    /// The same with these flags.
    pub(super) async fn start_with(scenario: &str, targets: &[&FakeTarget], flags: &[&str]) -> Self {
        Self::launch(scenario, Some(mono_ns()), targets, flags).await
    }

    /// A proxy; without T0 it waits for the start.
    pub(super) async fn connect(scenario: &str, t0_ns: Option<u64>, targets: &[&FakeTarget]) -> Self {
        Self::launch(scenario, t0_ns, targets, &[]).await
    }

    async fn launch(scenario: &str, t0_ns: Option<u64>, targets: &[&FakeTarget], flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let scaler = FakeScaler::start(hello(t0_ns, 1, targets)).await;
        let args = args(dir.path(), scenario, scaler.addr, flags);
        let scenario = configured(&args).unwrap();
        let map = load_map(dir.path(), &scenario, targets);
        scaler.shares(map.id());
        let listener = galton_runtime::role::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = listener.local_addr().unwrap();
        let ready = Arc::new(AtomicBool::new(false));
        let shutdown = Shutdown::listen(false).unwrap();
        let proxy = assemble(&args, scenario, metrics(dir.path()), HostId(0)).unwrap();
        let info = HostInfo { host: HostId(0), data: addr.to_string(), admin: "127.0.0.1:1".to_owned() };
        let part = Ready::parts(1, &ready).remove(0);
        let capacity = Capacity::of(usize::MAX);
        let serving = serve(proxy, args, info, vec![listener], capacity, part, shutdown.clone());
        let served = spawn_local(serving);
        until("the watch", || ready.load(Ordering::Relaxed)).await;
        Self { dir, addr, scaler, map, t0_ns: t0_ns.unwrap_or_default(), shutdown, served }
    }

    /// The sum of the book's series of this name whose labels contain this.
    pub(super) fn count(&self, name: &str, label: &str) -> u64 {
        count(self.dir.path(), name, label)
    }

    /// What was recorded.
    pub(super) fn records(&self) -> Vec<galton_core::record::Decision> {
        galton_runtime::records::read(&self.dir.path().join("records")).unwrap()
    }

    /// Slots taken in the load map.
    pub(super) fn taken(&self) -> u64 {
        self.map.total_in_flight()
    }

    /// Path of the load map.
    pub(super) fn map_path(&self) -> PathBuf {
        self.dir.path().join("map")
    }

    /// One request over a connection of its own.
    pub(super) async fn call(&self, request: Request<Body>) -> Reply {
        Client::connect(self.addr).await.call(request).await.unwrap()
    }

    pub(super) async fn get(&self) -> Reply {
        self.call(get()).await
    }

    /// Waits until nothing is in flight anywhere, and checks that every request has one end.
    pub(super) async fn settled(&self) {
        until("nothing in flight", || {
            self.count("in_flight", "") == 0
                && self.taken() == 0
                && self.count("requests_total", "") == self.count("received_total", "")
        })
        .await;
        assert_eq!(self.count("attempts_total", ""), self.count("dispatches_total", ""));
    }
}

/// The sum of the series of this name in the directory's book whose labels contain this.
pub(super) fn count(dir: &Path, name: &str, label: &str) -> u64 {
    let series = book::read(&dir.join("book")).unwrap();
    let name = format!("galton_proxy_{name}{{");
    series.iter().filter(|(s, _)| s.starts_with(&name) && s.contains(label)).map(|(_, n)| n).sum()
}

fn load_map(dir: &Path, scenario: &Scenario, targets: &[&FakeTarget]) -> LoadMap {
    let mut map = LoadMap::create(&dir.join("map"), 64, 4, scenario.targets.max_concurrency, 0).unwrap();
    for target in targets {
        map.put(TargetId(target.number), 0, RowState::Ready, Nanos::ZERO);
    }
    map
}

// === clients ===

/// A connection to the proxy.
pub(super) struct Client {
    pub(super) sender: SendRequest<Body>,
    connection: JoinHandle<()>,
}

/// A response, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    pub(super) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = spawn_local(async move { drop(connection.await) });
        Self { sender, connection }
    }

    pub(super) async fn call(&mut self, request: Request<Body>) -> Result<Reply, BoxError> {
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Goes away without a word.
    pub(super) fn vanish(self) {
        self.connection.abort();
    }
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(super) fn get() -> Request<Body> {
    Request::get("/").header("host", "galton.test").body(empty()).unwrap()
}

pub(super) fn post(body: Body) -> Request<Body> {
    Request::post("/").header("host", "galton.test").body(body).unwrap()
}

// === raw clients ===

/// A connection on which tests write bytes of their own.
pub(super) struct Raw {
    pub(super) stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(super) async fn connect(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), read: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Everything until what was read contains this.
    pub(super) async fn until(&mut self, end: &str) -> String {
        while !contains(&self.read, end.as_bytes()) {
            assert!(self.more().await, "ended before {end:?}: {:?}", String::from_utf8_lossy(&self.read));
        }
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// Everything until the proxy ends the connection.
    pub(super) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    async fn more(&mut self) -> bool {
        let reading = self.stream.read_buf(&mut self.read);
        matches!(tokio::time::timeout(PATIENCE, reading).await.expect("the proxy says nothing"), Ok(1..))
    }
}

/// What comes back for these bytes until the proxy ends the connection.
pub(super) async fn exchange(addr: SocketAddr, bytes: &str) -> String {
    let mut raw = Raw::connect(addr).await;
    raw.send(bytes).await;
    raw.rest().await
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
