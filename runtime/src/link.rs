//! An HTTP/1.1 connection to a server that is driven by the task which uses it.
//!
//! hyper's usual way is a task per connection: then a request costs two wake-ups more, one for the connection's task to
//! write it and one for the caller's to see the response. What the two ends of one connection then say to each other within
//! one poll is no reason to poll the task again: it goes to a gate, and no further while the link is being polled. Nobody
//! drives a connection while it is idle; that the server has closed it shows when it is to be used again. Not here: pooling,
//! retries, time-outs.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How often driver and work take turns within one poll: request, head, body, the end of it, and some to spare. A body goes
/// on by way of the task, so that one connection does not keep the others waiting.
const TURNS: usize = 6;

/// A connection that carries one request at a time.
pub struct Link<B: Body + 'static> {
    requests: SendRequest<B>,
    driver: Driver<B>,
}

struct Driver<B: Body + 'static> {
    /// None: it has ended. It is dropped then, so that whatever still waits for it learns that.
    connection: Option<Box<Connection<TokioIo<TcpStream>, B>>>,
    gate: Arc<Gate>,
    /// Of the gate.
    waker: Waker,
}

/// Between the connection and the task that uses it.
#[derive(Debug, Default)]
struct Gate {
    task: AtomicWaker,
    /// The task polls the link now, and will look at `again` before it is done.
    shut: AtomicBool,
    again: AtomicBool,
}

// === impl Link ===

impl<B> Link<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Over a stream, with hyper's settings.
    pub async fn new(stream: TcpStream, settings: &Builder) -> hyper::Result<Self> {
        let (requests, driver) = settings.handshake(TokioIo::new(stream)).await?;
        Ok(Self { requests, driver: Driver::new(driver) })
    }

    /// Sends a request and returns the head of its response. If nothing was written, the error has the request.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        let response = self.requests.try_send_request(request);
        self.driver.drive(response).await
    }

    /// Sends a request; `read` takes the response to its end.
    pub async fn exchange<T, R>(
        &mut self,
        request: Request<B>,
        read: impl FnOnce(Response<Incoming>) -> R,
    ) -> hyper::Result<T>
    where
        R: Future<Output = T>,
    {
        let Self { requests, driver } = self;
        driver.drive(async { Ok(read(requests.send_request(request).await?).await) }).await
    }

    /// The next part of a response's body.
    pub fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        self.driver.poll_with(cx, |cx| Pin::new(&mut *body).poll_frame(cx))
    }

    /// Ready when it can carry another request (true), or none any more.
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.is_ready() {
            return Poll::Ready(true);
        }
        let requests = &mut self.requests;
        self.driver.poll_with(cx, |cx| requests.poll_ready(cx).map(|ready| ready.is_ok()))
    }

    /// Whether it can carry another request at once, as far as is known.
    pub fn is_ready(&self) -> bool {
        self.driver.is_open() && self.requests.is_ready()
    }

    /// Ready when it has ended.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.driver.poll_closed(cx)
    }

    /// Whether nothing is known against sending another request over it.
    pub fn is_open(&self) -> bool {
        self.driver.is_open() && !self.requests.is_closed()
    }
}

impl<B: Body + 'static> fmt::Debug for Link<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("ended", &!self.driver.is_open()).finish_non_exhaustive()
    }
}

// === impl Driver ===

impl<B: Body + 'static> Driver<B> {
    fn new(connection: Connection<TokioIo<TcpStream>, B>) -> Self {
        let gate = Arc::new(Gate::default());
        let waker = Waker::from(Arc::clone(&gate));
        Self { connection: Some(Box::new(connection)), gate, waker }
    }

    fn is_open(&self) -> bool {
        self.connection.is_some()
    }
}

impl<B> Driver<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Does `work` and drives the connection under it meanwhile.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| self.poll_with(cx, |cx| work.as_mut().poll(cx))).await
    }

    fn poll_with<T>(&mut self, cx: &mut Context<'_>, mut work: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let Self { connection, gate, waker } = self;
        gate.task.register(cx.waker());
        gate.shut.store(true, SeqCst);
        let within = &mut Context::from_waker(waker);
        let mut polled = work(within);
        // What the driver has read is there for the work, and what the work then asks for is there for the driver.
        for _ in 0..TURNS {
            gate.again.store(false, SeqCst);
            if polled.is_ready() {
                break;
            }
            let _ = poll_connection(connection, within);
            polled = work(within);
            if !gate.again.load(SeqCst) {
                break;
            }
        }
        gate.shut.store(false, SeqCst);
        if polled.is_pending() && gate.again.load(SeqCst) {
            cx.waker().wake_by_ref();
        }
        polled
    }

    /// Ready when the connection has ended.
    fn poll_closed(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.gate.task.register(cx.waker());
        poll_connection(&mut self.connection, &mut Context::from_waker(&self.waker))
    }
}

/// Ready when it has ended; what went wrong reaches the request that was on it.
fn poll_connection<C: Future + Unpin>(connection: &mut Option<C>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(driven) = connection else { return Poll::Ready(()) };
    if Pin::new(driven).poll(cx).is_ready() {
        *connection = None;
        return Poll::Ready(());
    }
    Poll::Pending
}

// === impl Gate ===

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order, and the other way round where the gate opens: whoever comes second sees what the first has done.
        self.again.store(true, SeqCst);
        if !self.shut.load(SeqCst) {
            self.task.wake();
        }
    }
}
