//! The client's side of an HTTP/1.1 connection (RFC 9112), driven by the task that uses it.
//!
//! A request is bytes that are ready to be sent, and a body that streams; of its response the head comes as a whole and the
//! body as it arrives. One request is carried at a time. Nobody drives a connection while it is idle: that the server has
//! closed it shows when it is to be used again. Nothing is kept of an idle connection but its socket and a small buffer;
//! what is read goes through a buffer of the thread. Not here: pooling, retries, time-outs.

mod reader;
mod writer;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

pub use self::reader::{ReadError, Reader};
use self::writer::{BoxError, WriteError, Writer};
pub use self::writer::{Framing, put_header};

/// Bytes read at once, and so the longest piece of a body.
const READ_BYTES: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A connection that carries one request at a time.
#[derive(Debug)]
pub struct Link<B> {
    stream: TcpStream,
    writer: Writer<B>,
    reader: Reader,
    /// Nothing more can be sent.
    broken: bool,
}

/// A request as it is sent.
#[derive(Debug)]
pub struct Request<'a, B> {
    /// Request line and headers, the empty line included.
    pub head: &'a [u8],
    /// What the head says of the body.
    pub framing: Framing,
    /// The body.
    pub body: B,
    /// Whether its response has no body, whatever that says (`HEAD`).
    pub head_only: bool,
    /// Takes the headers of the response.
    pub headers: HeaderMap,
}

/// Why a request has no response, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection broke before a byte of the request was sent.
    #[error("the connection broke before the request was sent: {0}")]
    Unsent(io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// What came is no response.
    #[error("the response {0}")]
    Response(#[from] ReadError),
    /// There is no more of the request's body, or not what its head says.
    #[error("the request's body: {0}")]
    Body(BoxError),
}

// === impl Link ===

impl<B> Link<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Over a stream; a response's head may have so many bytes.
    pub fn new(stream: TcpStream, max_head_bytes: usize) -> Self {
        Self { stream, writer: Writer::default(), reader: Reader::new(max_head_bytes), broken: false }
    }

    /// Sends a request and returns the head of its response; `interim` is told of those before it (RFC 9110, section 15.2).
    /// Dropped before that, it leaves a connection that cannot be used again. Only where [`Self::is_ready`].
    pub async fn send(
        &mut self,
        request: Request<'_, B>,
        mut interim: impl FnMut(Response<()>),
    ) -> Result<Response<()>, LinkError> {
        let Request { head, framing, body, head_only, headers } = request;
        self.writer.begin(head, framing, body);
        self.reader.expect(head_only, headers);
        let sent = poll_fn(|cx| self.poll_head(cx, &mut interim)).await;
        self.broken |= sent.is_err();
        sent
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        interim: &mut impl FnMut(Response<()>),
    ) -> Poll<Result<Response<()>, LinkError>> {
        loop {
            self.write(cx)?;
            match self.reader.head()? {
                Some(head) if head.status().is_informational() => interim(head),
                Some(head) => return Poll::Ready(Ok(head)),
                None => ready!(self.poll_read(cx))?,
            }
        }
    }

    /// The next part of the response's body.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, LinkError>>> {
        let polled = self.poll_body(cx);
        if let Poll::Ready(Some(Err(_))) = polled {
            self.broken = true;
        }
        polled
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, LinkError>>> {
        loop {
            self.write(cx)?;
            if let Some(frame) = self.reader.frame()? {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.is_end_stream() {
                return Poll::Ready(None);
            }
            ready!(self.poll_read(cx))?;
        }
    }

    /// Whether the response has been read to its end.
    pub fn is_end_stream(&self) -> bool {
        self.reader.is_done()
    }

    /// What is known of the length of the rest of the response's body.
    pub fn size_hint(&self) -> SizeHint {
        self.reader.size_hint()
    }

    /// Ready when it can carry another request (true), or none any more.
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.write(cx).is_err() {
            self.broken = true;
        }
        match self.is_open() && !self.is_ready() {
            true => Poll::Pending,
            false => Poll::Ready(self.is_ready()),
        }
    }

    /// Whether it can carry another request at once, as far as is known.
    pub fn is_ready(&self) -> bool {
        self.is_open() && self.writer.is_done()
    }

    /// Whether it may carry another request once all of the last one has been sent.
    pub fn is_open(&self) -> bool {
        !self.broken && self.reader.can_go_on()
    }

    /// Ready when it has ended though no request is on it.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Bytes that nobody asked for belong to no response.
        ready!(self.poll_read(cx)).ok();
        self.broken = true;
        Poll::Ready(())
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), LinkError> {
        match self.writer.poll(cx, &mut self.stream) {
            Poll::Ready(Err(WriteError::Body(error))) => Err(LinkError::Body(error)),
            Poll::Ready(Err(WriteError::Io(error))) if !self.writer.has_begun() => Err(LinkError::Unsent(error)),
            Poll::Ready(Err(WriteError::Io(_))) => {
                // The response may be there all the same.
                self.writer.stop();
                self.broken = true;
                Ok(())
            }
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let Self { stream, reader, .. } = self;
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
            match buf.filled() {
                [] => reader.closed()?,
                came => reader.push(came),
            }
            Poll::Ready(Ok(()))
        })
    }
}

#[cfg(test)]
mod tests;
