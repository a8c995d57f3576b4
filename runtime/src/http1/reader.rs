//! Responses out of the bytes of a connection. Where the bytes come from is not known here.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use galton_core::wire::header;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper::body::{Frame, SizeHint};
use hyper::ext::ReasonPhrase;

/// Headers of a response, and trailers.
const HEADERS: usize = 100;
/// Bytes of what stands between two chunks, and of the trailers.
const FRAMING_BYTES: usize = 16 * 1024;

/// What Galton's own servers say: to make a name of it costs nothing.
static OWN: [HeaderName; 5] = [
    HeaderName::from_static(header::OUTCOME),
    HeaderName::from_static(header::TARGET),
    HeaderName::from_static(header::TARGET_START_NS),
    HeaderName::from_static(header::TARGET_DONE_NS),
    HeaderName::from_static(header::CPU_USED_NS),
];

/// One response after the other, as its bytes come.
#[derive(Debug)]
pub struct Reader {
    /// What came and was not read yet.
    input: Bytes,
    stage: Stage,
    /// Whether another response may follow on this connection.
    goes_on: bool,
    /// Of the head that is read, or of the next one.
    headers: HeaderMap,
    max_head_bytes: usize,
}

/// Why bytes are no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not HTTP/1.
    #[error("is malformed")]
    Malformed,
    /// A head, or the framing of a body, is too long.
    #[error("is too large")]
    TooLarge,
    /// It ended too soon.
    #[error("is incomplete")]
    Incomplete,
    /// It is in another protocol, or in a coding that is none of its body's.
    #[error("is in a protocol or a coding that was not asked for")]
    Unasked,
}

/// What of a head frames the response: one look at each name as it comes costs less than a search for each of them.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    connection: bool,
    coding: bool,
    length: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing: there was no request yet.
    Idle,
    /// The head of a response; whether it has no body, whatever it says.
    Head { head_only: bool },
    /// So many bytes.
    Sized(u64),
    /// A chunk's size.
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of a chunk's line.
    ChunkEnd,
    /// Trailers, or the empty line that says that there are none.
    Trailers,
    /// Whatever comes until the connection is closed.
    UntilClosed,
    /// Nothing: the response was read.
    Done,
}

// === impl Reader ===

impl Reader {
    /// Of a connection without a request; a head may have so many bytes.
    pub fn new(max_head_bytes: usize) -> Self {
        let (input, headers) = (Bytes::new(), HeaderMap::new());
        Self { input, stage: Stage::Idle, goes_on: true, headers, max_head_bytes }
    }

    /// A request was sent; the headers of its response go into this map.
    pub fn expect(&mut self, head_only: bool, mut headers: HeaderMap) {
        headers.clear();
        self.headers = headers;
        self.stage = Stage::Head { head_only };
    }

    /// These bytes came.
    pub fn push(&mut self, came: &[u8]) {
        if self.input.is_empty() {
            self.input = Bytes::copy_from_slice(came);
            return;
        }
        let mut input = BytesMut::with_capacity(self.input.len() + came.len());
        input.extend_from_slice(&self.input);
        input.extend_from_slice(came);
        self.input = input.freeze();
    }

    /// No more will come.
    pub fn closed(&mut self) -> Result<(), ReadError> {
        self.goes_on = false;
        match self.stage {
            Stage::UntilClosed => self.stage = Stage::Done,
            Stage::Idle | Stage::Done => {}
            _ => return Err(ReadError::Incomplete),
        }
        Ok(())
    }

    /// The head of the response that is expected, as soon as it is whole; before that, those of interim ones (RFC 9110,
    /// section 15.2).
    pub fn head(&mut self) -> Result<Option<Response<()>>, ReadError> {
        let Stage::Head { head_only } = self.stage else { return Ok(None) };
        if self.input.is_empty() {
            return Ok(None);
        }
        let Some((response, found)) = self.parse_head()? else { return Ok(None) };
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Err(ReadError::Unasked),
            status if status.is_informational() => Ok(Some(response)),
            status => {
                if found.connection || response.version() == Version::HTTP_10 {
                    self.goes_on &= persists(response.version(), response.headers());
                }
                let bodiless = head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
                self.body_follows(response, found, bodiless).map(Some)
            }
        }
    }

    fn parse_head(&mut self) -> Result<Option<(Response<()>, Found)>, ReadError> {
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = ParserConfig::default();
        let status = config.parse_response_with_uninit_headers(&mut parsed, &self.input, &mut slots);
        let n = match status.map_err(|_| ReadError::Malformed)? {
            Status::Complete(n) if n <= self.max_head_bytes => n,
            Status::Partial if self.input.len() < self.max_head_bytes => return Ok(None),
            _ => return Err(ReadError::TooLarge),
        };
        let mut headers = std::mem::take(&mut self.headers);
        let found = fill(&mut headers, parsed.headers, &self.input)?;
        let mut response = Response::new(());
        *response.headers_mut() = headers;
        *response.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(ReadError::Malformed)?;
        *response.status_mut() = status;
        if let Some(reason) = parsed.reason.filter(|reason| Some(*reason) != status.canonical_reason())
            && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
        {
            response.extensions_mut().insert(reason);
        }
        self.input.advance(n);
        Ok(Some((response, found)))
    }

    /// What the head says of the body (RFC 9112, section 6.3).
    fn body_follows(
        &mut self,
        mut response: Response<()>,
        found: Found,
        bodiless: bool,
    ) -> Result<Response<()>, ReadError> {
        let (version, headers) = (response.version(), response.headers_mut());
        let chunked = found.coding && is_chunked(headers)?;
        let length = if found.length { one_length(headers)? } else { None };
        self.stage = match length {
            _ if bodiless => Stage::Done,
            length if chunked => {
                // Two lengths, or a coding that HTTP/1.0 does not know: whoever sent it may not know where it ends.
                self.goes_on &= length.is_none() && version == Version::HTTP_11;
                Stage::ChunkSize
            }
            Some(0) => Stage::Done,
            Some(length) => Stage::Sized(length),
            None => {
                self.goes_on = false;
                Stage::UntilClosed
            }
        };
        Ok(response)
    }

    /// The next part of the body. None: more bytes are needed, unless [`Self::is_done`].
    pub fn frame(&mut self) -> Result<Option<Frame<Bytes>>, ReadError> {
        match self.stage {
            Stage::ChunkSize | Stage::ChunkEnd => self.between_chunks()?,
            _ => {}
        }
        match self.stage {
            Stage::Sized(left) => Ok(self.take(left).map(|(data, left)| {
                self.stage = if left == 0 { Stage::Done } else { Stage::Sized(left) };
                Frame::data(data)
            })),
            Stage::UntilClosed => Ok(self.take(u64::MAX).map(|(data, _)| Frame::data(data))),
            Stage::Chunk(left) => {
                let Some((data, left)) = self.take(left) else { return Ok(None) };
                self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk(left) };
                // Whether it was the last one is to be known with it.
                self.between_chunks()?;
                Ok(Some(Frame::data(data)))
            }
            Stage::Trailers => Ok(self.trailers()?.map(Frame::trailers)),
            _ => Ok(None),
        }
    }

    /// Whether the response was read to its end.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// What is known of the length of the rest of the body.
    pub fn size_hint(&self) -> SizeHint {
        match self.stage {
            Stage::Sized(left) => SizeHint::with_exact(left),
            Stage::Done => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }

    /// Whether another response may follow the one that was read.
    pub fn can_go_on(&self) -> bool {
        self.goes_on && matches!(self.stage, Stage::Idle | Stage::Done) && self.input.is_empty()
    }

    /// Some of so many bytes, and how many are left then; none if none came.
    fn take(&mut self, left: u64) -> Option<(Bytes, u64)> {
        let n = left.min(self.input.len() as u64);
        (n > 0).then(|| (self.input.split_to(n as usize), left - n))
    }

    /// Reads what stands between two chunks (RFC 9112, section 7.1), as far as it came.
    fn between_chunks(&mut self) -> Result<(), ReadError> {
        if self.stage == Stage::ChunkEnd && self.is_next(b"\r\n")? {
            self.stage = Stage::ChunkSize;
        }
        let Some(first) = self.input.first().filter(|_| self.stage == Stage::ChunkSize) else { return Ok(()) };
        if !first.is_ascii_hexdigit() {
            return Err(ReadError::Malformed);
        }
        let (n, size) = match httparse::parse_chunk_size(&self.input).map_err(|_| ReadError::Malformed)? {
            Status::Complete(line) => line,
            Status::Partial => return self.not_too_long(self.input.len()),
        };
        self.not_too_long(n)?;
        if self.input[..n - 1].contains(&b'\n') {
            return Err(ReadError::Malformed);
        }
        self.input.advance(n);
        self.stage = if size == 0 { Stage::Trailers } else { Stage::Chunk(size) };
        if self.stage == Stage::Trailers && self.is_next(b"\r\n")? {
            self.stage = Stage::Done;
        }
        Ok(())
    }

    fn trailers(&mut self) -> Result<Option<HeaderMap>, ReadError> {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS];
        let parsed = httparse::parse_headers(&self.input, &mut slots);
        let Status::Complete((n, parsed)) = parsed.map_err(|_| ReadError::Malformed)? else {
            self.not_too_long(self.input.len())?;
            return Ok(None);
        };
        self.not_too_long(n)?;
        let mut trailers = HeaderMap::with_capacity(parsed.len());
        fill(&mut trailers, parsed, &self.input)?;
        self.input.advance(n);
        self.stage = Stage::Done;
        Ok(Some(trailers).filter(|trailers| !trailers.is_empty()))
    }

    fn not_too_long(&self, n: usize) -> Result<(), ReadError> {
        if n > FRAMING_BYTES { Err(ReadError::TooLarge) } else { Ok(()) }
    }

    /// Takes these two bytes if they are next; false if one of them has not come.
    fn is_next(&mut self, expected: &[u8; 2]) -> Result<bool, ReadError> {
        let came = &self.input[..self.input.len().min(2)];
        if *came != expected[..came.len()] {
            return if self.stage == Stage::Trailers { Ok(false) } else { Err(ReadError::Malformed) };
        }
        let whole = came.len() == 2;
        if whole {
            self.input.advance(2);
        }
        Ok(whole)
    }
}

/// The values share the bytes that came.
fn fill(headers: &mut HeaderMap, parsed: &[httparse::Header<'_>], input: &Bytes) -> Result<Found, ReadError> {
    let mut found = Found::default();
    for header in parsed {
        let name = name(header.name)?;
        found.connection |= name == CONNECTION;
        found.coding |= name == TRANSFER_ENCODING;
        found.length |= name == CONTENT_LENGTH;
        let value = HeaderValue::from_maybe_shared(input.slice_ref(header.value));
        headers.append(name, value.map_err(|_| ReadError::Malformed)?);
    }
    Ok(found)
}

fn name(name: &str) -> Result<HeaderName, ReadError> {
    match OWN.iter().find(|own| own.as_str() == name) {
        Some(own) => Ok(own.clone()),
        None => HeaderName::from_bytes(name.as_bytes()).map_err(|_| ReadError::Malformed),
    }
}

/// Whether the connection stays open after such a response (RFC 9112, section 9.3).
fn persists(version: Version, headers: &HeaderMap) -> bool {
    let says = |option: &[u8]| {
        let values = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
        values.map(<[u8]>::trim_ascii).any(|said| said.eq_ignore_ascii_case(option))
    };
    !says(b"close") && (version == Version::HTTP_11 || says(b"keep-alive"))
}

/// No other coding was asked for.
fn is_chunked(headers: &HeaderMap) -> Result<bool, ReadError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(ReadError::Unasked),
    }
}

/// The length that is declared; one that is repeated is declared once (RFC 9110, section 8.6).
fn one_length(headers: &mut HeaderMap) -> Result<Option<u64>, ReadError> {
    let mut declared = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = declared.next() else { return Ok(None) };
    let mut repeated = false;
    for other in declared {
        if other != first {
            return Err(ReadError::Malformed);
        }
        repeated = true;
    }
    if !first.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(ReadError::Malformed);
    }
    let length = first.to_str().ok().and_then(|length| length.parse().ok()).ok_or(ReadError::Malformed)?;
    if repeated {
        let first = first.clone();
        headers.insert(CONTENT_LENGTH, first);
    }
    Ok(Some(length))
}
