//! The scaler's watch stream: the fleet as this host learns it, change by change, each when it is due and not before.
//!
//! Addresses are taken down when a line comes, decisions hear of it when it is due: lines due at once in their order on
//! the stream. A stream that breaks is opened again; its `Hello` then brings the whole fleet.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Context, anyhow, bail};
use bytes::{Buf, Bytes, BytesMut};
use galton_core::TargetId;
use galton_core::host::{Change, Input, ScaleUpAnswer};
use galton_core::wire::{HostInfo, Member, WatchLine, WireChange, WireScaleUp};
use galton_runtime::load_map::NumberTaken;
use galton_runtime::mono_ns;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::engine::Engine;
use crate::limits;
use crate::proxy::{Proxy, endpoint};
use crate::ready::Ready;

/// The scaler does not let this host watch, and says why.
#[derive(Debug, thiserror::Error)]
#[error("the scaler refuses: {0}")]
struct Refused(String);

/// This host's end of the stream.
#[derive(Debug)]
pub(crate) struct Watch {
    proxy: Rc<Proxy>,
    scaler: String,
    /// Where the watch begins; says who and where this host is.
    path: String,
    /// Says whether the stream is there.
    ready: Rc<Ready>,
    /// The fleet at T0, as far as it is known: version and ready targets.
    known: RefCell<(u64, Vec<Member>)>,
    /// Why this host cannot take part in the run.
    fatal: RefCell<Option<anyhow::Error>>,
}

// === impl Watch ===

impl Watch {
    /// Of the scaler at this address; `ready` follows whether the stream is there.
    pub(crate) fn new(proxy: Rc<Proxy>, scaler: String, info: HostInfo, ready: Rc<Ready>) -> Self {
        let HostInfo { host, data, admin } = info;
        let path = format!("/v1/watch?host={host}&data={data}&admin={admin}");
        Self { proxy, scaler, path, ready, known: RefCell::default(), fatal: RefCell::default() }
    }

    /// Watches until this host cannot take part in the run.
    pub(crate) async fn run(self) -> anyhow::Error {
        let (first, longest) = limits::BACKOFF;
        let mut pause = first;
        let mut patience = None;
        loop {
            let broke = self.follow().await;
            if self.ready.set(false) {
                pause = first;
            }
            if let Some(fatal) = self.fatal.take() {
                return fatal;
            }
            if let Some(engine) = self.proxy.engine() {
                engine.scaler_lost();
            }
            if let Some(error) = broke.as_ref().err().filter(|error| is_refusal(error)) {
                let until = *patience.get_or_insert_with(|| Instant::now() + limits::TAKEN);
                if Instant::now() >= until {
                    return anyhow!("{error:#} (tried for {:?})", limits::TAKEN);
                }
            } else {
                patience = None;
            }
            match broke {
                Ok(()) => tracing::warn!("the scaler ended the watch, again in {pause:?}"),
                Err(error) => tracing::warn!("the watch broke, again in {pause:?}: {error:#}"),
            }
            tokio::time::sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    /// One stream from its beginning to its end.
    async fn follow(&self) -> anyhow::Result<()> {
        let stream = timeout(limits::CONNECT, TcpStream::connect(&self.scaler)).await.context("connect")??;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let watching = async {
            let request = Request::get(&self.path).header(header::HOST, &self.scaler).body(Empty::<Bytes>::new())?;
            let response = sender.send_request(request).await?;
            match response.status() {
                status if status.is_success() => self.lines(response.into_body()).await,
                status => Err(refusal(status, response.into_body()).await),
            }
        };
        tokio::pin!(watching);
        tokio::select! {
            ended = &mut watching => ended,
            // The lines that came before the end are still to be read.
            closed = connection => { closed?; watching.await }
        }
    }

    async fn lines(&self, mut body: Incoming) -> anyhow::Result<()> {
        let mut buffer = BytesMut::new();
        while let Some(frame) = body.frame().await {
            buffer.extend_from_slice(frame?.data_ref().unwrap_or(&Bytes::new()));
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = serde_json::from_slice(&buffer[..end])
                    .with_context(|| format!("line {:?}", String::from_utf8_lossy(&buffer[..end])))?;
                buffer.advance(end + 1);
                self.line(line)?;
            }
            if buffer.len() > limits::WATCH_LINE_BYTES {
                bail!("a line is longer than {} bytes", limits::WATCH_LINE_BYTES);
            }
        }
        Ok(())
    }

    fn line(&self, line: WatchLine) -> anyhow::Result<()> {
        match line {
            WatchLine::Hello { start, map, version, members } => {
                self.snapshot(version, members);
                self.takes_part(self.proxy.share(map))?;
                start.map(|start| self.start(start)).transpose()?;
                self.ready.set(true);
            }
            WatchLine::Start(start) => self.start(start)?,
            WatchLine::Change { version, at_ns, due_ns, change } => self.change(version, at_ns, due_ns, change),
            WatchLine::Snapshot { version, members } => self.snapshot(version, members),
            WatchLine::ScaleUp { call, answer } => {
                if let Some(engine) = self.proxy.engine() {
                    let answer = self.scale_up_answer(answer);
                    engine.feed(Input::ScaleUp { call, answer });
                }
            }
            WatchLine::Ping => {}
        }
        Ok(())
    }

    fn start(&self, start: galton_core::wire::Start) -> anyhow::Result<()> {
        let known = self.known.borrow();
        self.takes_part(self.proxy.begin(start, known.0, &known.1))
    }

    /// What this host has to have for the run: an error is its end, but that another has its number.
    fn takes_part(&self, what: anyhow::Result<()>) -> anyhow::Result<()> {
        what.or_else(|error| {
            if is_refusal(&error) {
                return Err(error);
            }
            self.fatal.replace(Some(error));
            bail!("this host cannot take part")
        })
    }

    fn snapshot(&self, version: u64, members: Vec<Member>) {
        members.iter().for_each(|member| self.proxy.outside.upstreams.learn(member));
        match self.proxy.engine() {
            Some(engine) => {
                let members = members.iter().map(|member| endpoint(&engine.clock, member)).collect();
                engine.feed(Input::Snapshot { version, members });
            }
            None => *self.known.borrow_mut() = (version, members),
        }
    }

    fn change(&self, version: u64, at_ns: u64, due_ns: u64, change: WireChange) {
        if let WireChange::Ready(member) = &change {
            self.proxy.outside.upstreams.learn(member);
        }
        let Some(engine) = self.proxy.engine() else { return self.change_before_start(version, change) };
        if due_ns <= mono_ns() {
            return learn(&engine, version, at_ns, due_ns, change);
        }
        let timer = engine.outside.timer.clone();
        timer.call_at(due_ns, move || learn(&engine, version, at_ns, due_ns, change));
    }

    /// Every host knows the initial fleet as it is at T0.
    fn change_before_start(&self, version: u64, change: WireChange) {
        let mut known = self.known.borrow_mut();
        known.0 = version;
        match change {
            WireChange::Ready(member) => {
                known.1.retain(|m| m.target != member.target);
                known.1.push(member);
                known.1.sort_by_key(|m| m.target);
            }
            WireChange::Cordoned(target) => known.1.retain(|m| m.target != target),
            WireChange::Gone(target, incarnation) => {
                self.proxy.outside.upstreams.died(target, incarnation);
                known.1.retain(|m| (m.target, m.incarnation) != (target, incarnation));
            }
        }
    }

    fn scale_up_answer(&self, answer: WireScaleUp) -> ScaleUpAnswer {
        // Ready comes after the change that told of the target.
        let incarnation = |target: TargetId| self.proxy.outside.upstreams.incarnation(target).unwrap_or_default();
        match answer {
            WireScaleUp::Accepted(target) => ScaleUpAnswer::Accepted(target),
            WireScaleUp::Ready(target) => ScaleUpAnswer::Ready(target, incarnation(target)),
            WireScaleUp::Refused => ScaleUpAnswer::Refused,
            WireScaleUp::StartFailed => ScaleUpAnswer::StartFailed,
        }
    }
}

/// Whether it is that this host is not let in. That another has its number may pass: it may be a predecessor that ends.
fn is_refusal(error: &anyhow::Error) -> bool {
    error.is::<Refused>() || error.is::<NumberTaken>()
}

/// An answer that is no stream of lines. What the caller is not to blame for is no refusal.
async fn refusal(status: StatusCode, body: Incoming) -> anyhow::Error {
    let body = match Limited::new(body, limits::POST_ANSWER_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return anyhow::Error::from_boxed(error),
    };
    let why = String::from_utf8_lossy(&body).trim().to_owned();
    if status.is_client_error() { Refused(why).into() } else { anyhow!("the scaler answered {status}: {why}") }
}

/// The host learns a change. One that was held back is an injected delay.
fn learn(engine: &Rc<Engine>, version: u64, at_ns: u64, due_ns: u64, change: WireChange) {
    if due_ns > at_ns {
        engine.count_delay(due_ns);
    }
    let change = match change {
        WireChange::Ready(member) => Change::Ready(endpoint(&engine.clock, &member)),
        WireChange::Cordoned(target) => Change::Cordoned(target),
        WireChange::Gone(target, incarnation) => {
            engine.outside.upstreams.died(target, incarnation);
            Change::Gone(target, incarnation)
        }
    };
    engine.feed(Input::FleetChange { version, change });
}
