//! A request onto a connection: its head as it is, and its body as it comes.

use std::error::Error;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::Body;
use tokio::io::AsyncWrite;

/// What a body's error becomes.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Bytes that an idle connection keeps for the next head.
const KEPT_BYTES: usize = 2 * 1024;

/// How a head says where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After a chunk of none (RFC 9112, section 7.1).
    Chunked,
}

/// What of a request is not sent yet.
#[derive(Debug)]
pub(super) struct Writer<B> {
    /// The head, and what comes before a piece of the body.
    before: Vec<u8>,
    piece: Bytes,
    after: &'static [u8],
    /// Bytes of these three that are sent.
    sent: usize,
    begun: bool,
    /// None: no more of it will come.
    body: Option<B>,
    /// Of a length: what is left of it.
    framing: Framing,
}

/// Why a request was not sent as a whole.
#[derive(Debug)]
pub(super) enum WriteError {
    Io(io::Error),
    Body(BoxError),
}

impl<B> Default for Writer<B> {
    fn default() -> Self {
        let (before, piece) = (Vec::new(), Bytes::new());
        Self { before, piece, after: b"", sent: 0, begun: false, body: None, framing: Framing::Length(0) }
    }
}

// === impl Writer ===

impl<B> Writer<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// The next request; the one before was sent.
    pub(super) fn begin(&mut self, head: &[u8], framing: Framing, body: B) {
        self.before.extend_from_slice(head);
        (self.begun, self.framing) = (false, framing);
        self.body = Some(body).filter(|body| framing != Framing::Length(0) || !body.is_end_stream());
    }

    /// Whether all of it was sent.
    pub(super) fn is_done(&self) -> bool {
        self.body.is_none() && self.left() == 0
    }

    /// Whether any of it was.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// No more of it is sent.
    pub(super) fn stop(&mut self) {
        *self = Self { begun: self.begun, ..Self::default() };
    }

    /// Ready when all of it is sent.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), WriteError>> {
        while !self.is_done() {
            // The first piece goes with the head, if it is there.
            self.fill(cx).map_err(WriteError::Body)?;
            if self.left() == 0 {
                break;
            }
            let n = ready!(self.write(cx, stream)).map_err(WriteError::Io)?;
            if n == 0 {
                return Poll::Ready(Err(WriteError::Io(io::ErrorKind::WriteZero.into())));
            }
            self.begun = true;
            self.sent += n;
            if self.left() == 0 {
                self.clear();
            }
        }
        if self.is_done() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn left(&self) -> usize {
        self.before.len() + self.piece.len() + self.after.len() - self.sent
    }

    fn clear(&mut self) {
        self.before.clear();
        self.before.shrink_to(KEPT_BYTES);
        (self.piece, self.after, self.sent) = (Bytes::new(), b"", 0);
    }

    fn write(&self, cx: &mut Context<'_>, stream: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.piece.is_empty() && self.after.is_empty() {
            return stream.poll_write(cx, &self.before[self.sent..]);
        }
        let mut parts = [&self.before[..], &self.piece, self.after].map(IoSlice::new);
        let mut parts = &mut parts[..];
        IoSlice::advance_slices(&mut parts, self.sent);
        stream.poll_write_vectored(cx, parts)
    }

    /// Takes the next piece of the body, unless one is being sent.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError> {
        while self.piece.is_empty()
            && let Some(body) = &mut self.body
        {
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.end(&HeaderMap::new())?,
                Poll::Ready(Some(frame)) => match frame.map_err(Into::into)?.into_data() {
                    Ok(data) => self.put(data)?,
                    Err(frame) => self.end(&frame.into_trailers().unwrap_or_default())?,
                },
            }
        }
        Ok(())
    }

    fn put(&mut self, data: Bytes) -> Result<(), BoxError> {
        let ends = self.body.as_ref().is_none_or(Body::is_end_stream);
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or("it is longer than its head says")?;
            }
            // A chunk of none would be the last.
            Framing::Chunked if data.is_empty() => {}
            Framing::Chunked => {
                write!(self.before, "{:x}\r\n", data.len())?;
                self.after = if ends { b"\r\n0\r\n\r\n" } else { b"\r\n" };
            }
        }
        self.piece = data;
        match self.framing {
            _ if !ends => {}
            Framing::Chunked if !self.piece.is_empty() => self.body = None,
            _ => self.end(&HeaderMap::new())?,
        }
        Ok(())
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), BoxError> {
        self.body = None;
        match self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => return Err("it is shorter than its head says".into()),
            Framing::Chunked => {
                self.before.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    put_header(&mut self.before, name.as_str().as_bytes(), value.as_bytes());
                }
                self.before.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }
}

/// Writes a header as a line of a head.
pub fn put_header(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}
