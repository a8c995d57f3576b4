//! One connection of a client, from its first bytes to its end: HTTP/1.1, or HTTP/2 with prior knowledge.
//!
//! The first bytes are looked at, not read, so that HTTP/1.1 pays for the choice once per connection. The HTTP library
//! drives the protocol; how long a client may take for what is decided here, on one timer per connection that is set
//! anew only when it fires, or when a head does not come whole: a request on a quick connection sets none. A connection
//! that stays idle is given back, to be parked.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::body::ProxyBody;
use crate::client_io::ClientIo;
use crate::declined::{HEAD_TIMEOUT, HEAD_TOO_LARGE, MALFORMED};
use crate::forward::forward;
use crate::front::{Client, Waiting};
use crate::limits::{self, ClientLimits};

/// How an HTTP/2 connection begins (RFC 9113, section 3.4), as far as no method of HTTP/1.1 does.
const PREFACE: &[u8; 3] = b"PRI";

/// What a connection begins with.
enum Beginning {
    Http1,
    Http2,
    /// So few bytes that it may be either.
    Short,
    /// Nothing for so long that it is to be parked.
    Idle,
    /// It ended, the host drains, or not a byte came in time.
    Nothing,
}

/// A connection as the HTTP library drives it.
type Http1<S> = http1::Connection<TokioIo<ClientIo>, S>;

/// How the HTTP library was done with a connection.
enum Ended {
    /// It ended it.
    Done(hyper::Result<()>),
    /// It let go of it between two requests.
    LetGo,
    /// The client takes too long.
    Overdue(Waiting),
    /// The client holds up what is over.
    Doomed,
}

/// Starts the tasks of HTTP/2 streams on this thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThisThread;

/// The timer of one connection.
struct Watch<'a> {
    limits: &'a ClientLimits,
    sleep: Pin<&'a mut Sleep>,
    /// What the timer was set for.
    armed: Waiting,
    alarm: Arc<Alarm>,
}

/// Notes that a timer has fired, so that nobody has to ask it whenever its task is awake.
struct Alarm {
    rung: AtomicBool,
    task: Waker,
}

/// Serves a connection, of which these bytes were read already, until either side ends it. Returns one that is to be parked.
pub(crate) async fn serve(mut stream: TcpStream, mut first: Bytes, client: Rc<Client>) -> Option<TcpStream> {
    let beginning = match first.is_empty() {
        _ if client.served() > 0 => Beginning::Http1,
        true => begin(&stream, &client).await,
        false => Beginning::of(&first),
    };
    let http2 = match beginning {
        Beginning::Http1 => false,
        Beginning::Http2 => true,
        Beginning::Short => {
            let more = timeout(client.front.limits.head(), more(&mut stream, first.into())).await;
            let Ok(Ok(more)) = more else { return None };
            first = more.into();
            first == PREFACE[..]
        }
        Beginning::Idle => return Some(stream),
        Beginning::Nothing => return None,
    };
    // Apart from this future, which would be as large as the larger of them while nothing has come.
    if http2 {
        Box::pin(serve_http2(stream, first, client)).await;
        return None;
    }
    loop {
        let (idle, unread) = Box::pin(serve_http1(stream, first, Rc::clone(&client))).await?;
        if unread.is_empty() {
            return Some(idle);
        }
        (stream, first) = (idle, unread);
    }
}

/// Looks at the first bytes and leaves them where they are.
async fn begin(stream: &TcpStream, client: &Client) -> Beginning {
    let mut first = [0; PREFACE.len()];
    let peeking = poll_fn(|cx| {
        if client.front.draining() {
            return Poll::Ready(Beginning::Nothing);
        }
        let asked_to_park = client.asked_to_park();
        match stream.poll_peek(cx, &mut ReadBuf::new(&mut first)) {
            Poll::Pending if asked_to_park => Poll::Ready(Beginning::Idle),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(n)) => Poll::Ready(Beginning::of(&first[..n])),
            Poll::Ready(Err(_)) => Poll::Ready(Beginning::Nothing),
        }
    });
    // No answer: nothing was asked, and a client that connects ahead would take it for that to its first request.
    timeout(client.front.limits.head(), peeking).await.unwrap_or(Beginning::Nothing)
}

/// Reads until it cannot be, or is, the beginning of HTTP/2.
async fn more(stream: &mut TcpStream, mut first: Vec<u8>) -> io::Result<Vec<u8>> {
    while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
        first.push(stream.read_u8().await?);
    }
    Ok(first)
}

/// Returns a connection that is to be parked, and what was read of its next request.
async fn serve_http1(stream: TcpStream, first: Bytes, client: Rc<Client>) -> Option<(TcpStream, Bytes)> {
    let limits = client.front.limits;
    client.read();
    let io = TokioIo::new(ClientIo::new(stream, first, Rc::clone(&client)));
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        // Small answers are copied behind their heads: cheaper than to have the kernel collect them.
        .writev(false)
        .max_buf_size(limits::CLIENT_BUFFER_BYTES)
        .max_header_size(limits.max_header_bytes as usize)
        .serve_connection(io, service(&client));
    let timer = pin!(sleep(limits.head()));
    let mut watch = Watch::new(&limits, timer, &client);
    let mut told = false;
    let ended = poll_fn(|cx| {
        if client.front.draining() && !told {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        let asked_to_park = client.asked_to_park();
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(Ended::Done(ended));
        }
        if asked_to_park && !told && client.idle() {
            told = true;
            if let Poll::Ready(ended) = let_go(&mut connection, &client, cx) {
                return Poll::Ready(ended);
            }
        }
        watch.poll(&client)
    })
    .await;
    let parts = connection.into_parts();
    let (stream, unread) = parts.io.into_inner().into_parts();
    if let Ended::LetGo = ended {
        return Some((
            stream,
            if unread.is_empty() { parts.read_buf } else { [parts.read_buf, unread].concat().into() },
        ));
    }
    end_http1(stream, &client, ended).await;
    None
}

/// Has the HTTP library let go of the connection. It does at once, and without another look at it, if for it too this is
/// between two requests; if not, it ends it after the request that it is at.
fn let_go<S>(connection: &mut Http1<S>, client: &Client, cx: &mut Context<'_>) -> Poll<Ended>
where
    S: Service<Request<Incoming>, Response = Response<ProxyBody>, Error = Infallible> + Unpin,
{
    client.let_go(true);
    Pin::new(&mut *connection).graceful_shutdown();
    let polled = Pin::new(connection).poll(cx);
    client.let_go(false);
    polled.map(|ended| ended.map_or_else(|error| Ended::Done(Err(error)), |()| Ended::LetGo))
}

/// What is left to do for a client when the HTTP library is done with it.
async fn end_http1(stream: TcpStream, client: &Client, ended: Ended) {
    match ended {
        Ended::Done(Err(error)) if error.is_parse() => {
            tracing::debug!(peer = %client.peer, %error, "not HTTP");
            match client.unasked() {
                true if error.is_parse_too_large() => answer(stream, HEAD_TOO_LARGE).await,
                true => answer(stream, MALFORMED).await,
                // Answered by the HTTP library, behind an answer that was not written in full.
                false => linger(stream).await,
            }
        }
        Ended::Done(Err(error)) => tracing::debug!(peer = %client.peer, %error, "connection to a client broke"),
        Ended::Done(Ok(())) if client.lingers() => linger(stream).await,
        Ended::Overdue(Waiting::Head(_)) => answer(stream, HEAD_TIMEOUT).await,
        Ended::Done(Ok(())) | Ended::LetGo | Ended::Overdue(_) | Ended::Doomed => {}
    }
}

async fn serve_http2(stream: TcpStream, first: Bytes, client: Rc<Client>) {
    let limits = client.front.limits;
    client.speaks_http2();
    let io = TokioIo::new(ClientIo::new(stream, first, Rc::clone(&client)));
    let mut connection = pin!(
        http2::Builder::new(ThisThread)
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits::STREAMS)
            .max_header_list_size(limits.max_header_bytes)
            .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(limits::SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(limits::PENDING_RESETS)
            .max_local_error_reset_streams(limits::ERROR_RESETS)
            .serve_connection(io, service(&client))
    );
    let timer = pin!(sleep(limits.idle()));
    let mut watch = Watch::new(&limits, timer, &client);
    let mut told = false;
    let ended = poll_fn(|cx| {
        loop {
            if client.front.draining() && !told {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Ended::Done(ended));
            }
            match ready!(watch.poll(&client)) {
                // An idle connection is first sent GOAWAY: a request may be on its way.
                Ended::Overdue(Waiting::Idle(_)) if !told => {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                    watch.arm(client.waiting());
                }
                ended => return Poll::Ready(ended),
            }
        }
    })
    .await;
    if let Ended::Done(Err(error)) = ended {
        tracing::debug!(peer = %client.peer, %error, "connection to a client broke");
    }
}

/// Every request of this client goes the same way.
fn service(
    client: &Rc<Client>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<ProxyBody>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<ProxyBody>, Infallible>> + use<>,
> + use<> {
    let client = Rc::clone(client);
    service_fn(move |request: Request<Incoming>| {
        tracing::debug!(peer = %client.peer, method = %request.method(), uri = %request.uri(), "request");
        // The future as it is: one around it would hold it twice, and it is moved for every request.
        forward(&client, request)
    })
}

/// Says this, and nothing after it.
async fn answer(mut stream: TcpStream, answer: &[u8]) {
    let answering = async {
        stream.write_all(answer).await?;
        stream.shutdown().await
    };
    // A client that does not even read this is not waited for.
    if let Ok(Ok(())) = timeout(limits::LINGER.0, answering).await {
        linger(stream).await;
    }
}

/// Reads what a client still sends, so that it can read what it was sent.
async fn linger(mut stream: TcpStream) {
    let (longest, most) = limits::LINGER;
    let reading = async {
        let mut left = most;
        let mut scratch = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = stream.read(&mut scratch).await {
            left = left.saturating_sub(n);
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(longest, reading).await;
}

// === impl Beginning ===

impl Beginning {
    /// Of a connection that has begun with these bytes; none if it has ended.
    fn of(first: &[u8]) -> Self {
        match first {
            [] => Self::Nothing,
            _ if first.starts_with(PREFACE) => Self::Http2,
            _ if PREFACE.starts_with(first) => Self::Short,
            _ => Self::Http1,
        }
    }
}

// === impl Watch ===

impl<'a> Watch<'a> {
    /// On a timer that is set for what the client waits for now; in its task.
    fn new(limits: &'a ClientLimits, sleep: Pin<&'a mut Sleep>, client: &Client) -> Self {
        let alarm = Alarm { rung: AtomicBool::new(true), task: client.task().clone() };
        Self { limits, sleep, armed: client.waiting(), alarm: Arc::new(alarm) }
    }

    /// Ready when the client has taken too long for what it is waited for.
    fn poll(&mut self, client: &Client) -> Poll<Ended> {
        if client.doomed() {
            return Poll::Ready(Ended::Doomed);
        }
        loop {
            let waiting = client.waiting();
            // What is rare is timed from here: a head that does not come whole, a client that does not read. What is
            // common is looked at when the timer fires, and so ends between once and twice its time.
            if matches!(waiting, Waiting::Head(_) | Waiting::Stalled(_)) && waiting != self.armed {
                self.arm(waiting);
            }
            ready!(self.poll_alarm());
            if waiting == self.armed && waiting != Waiting::Target {
                return Poll::Ready(Ended::Overdue(waiting));
            }
            self.arm(waiting);
        }
    }

    fn poll_alarm(&mut self) -> Poll<()> {
        if !self.alarm.rung.swap(false, Relaxed) {
            return Poll::Pending;
        }
        // It rings too when the timer has just been set, and is to know whom to call.
        let waker = Waker::from(Arc::clone(&self.alarm));
        self.sleep.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn arm(&mut self, waiting: Waiting) {
        self.armed = waiting;
        let patience = self.patience(waiting);
        self.sleep.as_mut().reset(Instant::now() + patience);
        self.alarm.rung.store(true, Relaxed);
    }

    fn patience(&self, waiting: Waiting) -> Duration {
        match waiting {
            Waiting::Head(_) => self.limits.head(),
            Waiting::Idle(_) => self.limits.idle(),
            // How long a target may take is the host's to decide.
            Waiting::Stalled(_) | Waiting::Target => self.limits.stall(),
        }
    }
}

// === impl Alarm ===

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        // Timers are of the task's own thread.
        self.rung.store(true, Relaxed);
        self.task.wake_by_ref();
    }
}

// === impl ThisThread ===

impl<F: Future<Output: 'static> + 'static> Executor<F> for ThisThread {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}
