//! An HTTP/1.1 connection to a server that is driven by the task which uses it.
//!
//! hyper's usual way is a task per connection: then a request costs two wake-ups more, one for the connection's task to
//! write it and one for the caller's to see the response. Nobody drives a connection while it is idle; that the server has
//! closed it shows when it is to be used again. Not here: pooling, retries, time-outs.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection that carries one request at a time.
pub struct Link<B: Body + 'static> {
    requests: SendRequest<B>,
    driver: Driver<B>,
}

/// None: the connection has ended. It is dropped then, so that whatever still waits for it learns that.
struct Driver<B: Body + 'static>(Option<Box<Connection<TokioIo<TcpStream>, B>>>);

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
        Ok(Self { requests, driver: Driver(Some(Box::new(driver))) })
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
        self.driver.0.is_some() && self.requests.is_ready()
    }

    /// Ready when it has ended.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.driver.poll(cx)
    }

    /// Whether nothing is known against sending another request over it.
    pub fn is_open(&self) -> bool {
        self.driver.0.is_some() && !self.requests.is_closed()
    }
}

impl<B: Body + 'static> fmt::Debug for Link<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("ended", &self.driver.0.is_none()).finish_non_exhaustive()
    }
}

// === impl Driver ===

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
        if let Poll::Ready(done) = work(cx) {
            return Poll::Ready(done);
        }
        // What the driver has read is there for the work, and what the work then asks for is there for the driver: first the
        // head, then the body. More comes by a wake-up.
        for _ in 0..2 {
            let _ = self.poll(cx);
            if let Poll::Ready(done) = work(cx) {
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    }

    /// Ready when the connection has ended; what went wrong reaches the request that was on it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(driver) = &mut self.0 else { return Poll::Ready(()) };
        if Pin::new(driver).poll(cx).is_ready() {
            self.0 = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
