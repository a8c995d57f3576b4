//! The bytes of a client's connection, with a note of every one that moves.
//!
//! The HTTP library answers by itself what it cannot parse, with a status alone. That is held back here, so that it can
//! be said with its reason.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::front::Client;

/// A stream that tells its [`Client`] what moves.
#[derive(Debug)]
pub(crate) struct ClientIo {
    stream: TcpStream,
    /// What was read of it before.
    first: Bytes,
    client: Rc<Client>,
}

impl ClientIo {
    /// The stream of this client, of which these bytes were read already.
    pub(crate) fn new(stream: TcpStream, first: Bytes, client: Rc<Client>) -> Self {
        Self { stream, first, client }
    }

    /// The stream alone, and what was read of it and not asked for.
    pub(crate) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.stream, self.first)
    }

    /// Ready when no interim response waits.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, client, .. } = self;
        let mut interim = client.interim.borrow_mut();
        while !interim.bytes().is_empty() {
            let polled = Pin::new(&mut *stream).poll_write(cx, interim.bytes());
            client.wrote(polled.is_ready());
            match ready!(polled)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => interim.sent(n),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.client.wrote(polled.is_ready());
        if let Poll::Ready(Ok(bytes)) = polled {
            self.client.moved(bytes);
        }
        polled
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let n = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(n));
            self.client.read();
            return Poll::Ready(Ok(()));
        }
        ready!(self.client.poll_turn());
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.client.read();
            self.client.moved(bytes);
        }
        polled
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.client.speaks_unasked() {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.client.poll_turn());
        ready!(self.poll_interim(cx))?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.client.speaks_unasked() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        ready!(self.client.poll_turn());
        ready!(self.poll_interim(cx))?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_interim(cx))?;
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if polled.is_ready() {
            self.client.flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.client.unasked() || self.client.lets_go() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
