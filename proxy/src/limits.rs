//! Every limit of the proxy, with its reason. None of them is policy: they bound memory, descriptors and patience.

use std::time::Duration;

/// Client connections at most. HTTP/1.1 has one request at a time per connection, so this bounds requests as well; each
/// costs up to two descriptors and [`CLIENT_BUFFER_BYTES`]. Further ones wait in the listener's backlog.
pub(crate) const CONNECTIONS: usize = 16_384;

/// Descriptors kept for everything but connections: listener, admin port, scaler, files, idle counts.
pub(crate) const RESERVED_DESCRIPTORS: usize = 128;

/// Share of the descriptors that connections of clients may take, in 1/8: most of them are idle, and an idle one needs no
/// connection to a target.
pub(crate) const CONNECTIONS_EIGHTHS: usize = 5;

/// Share of the connections that may wait for a response head at once, in 1/8: what exceeds it is answered 503 at once,
/// so that overload is an answer and not a growing backlog.
pub(crate) const IN_FLIGHT_EIGHTHS: usize = 7;

/// Bytes of request line and headers, as in common servers (nginx: 32 KiB, Envoy: 60 KiB); beyond: 431.
pub(crate) const HEADER_BYTES: usize = 32 * 1024;

/// Read and write buffer per connection: room for a whole head twice.
pub(crate) const CLIENT_BUFFER_BYTES: usize = 64 * 1024;

/// A client that takes longer for a request's head holds a connection for nothing; also bounds idle keep-alive.
pub(crate) const HEADER_READ: Duration = Duration::from_secs(60);

/// Bytes of a request's body that are kept so that a retry can send them again: small bodies are the common case, and
/// with every connection in use the worst case stays at 1 GiB.
pub(crate) const REPLAY_BYTES: usize = 64 * 1024;

/// Bytes of a refusal's body that are read to keep its connection; a longer one costs the connection.
pub(crate) const REFUSAL_BYTES: usize = 4 * 1024;

/// A connection to a target of the same machine or network takes far less; what takes longer is not there.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);

/// How long a connection to a target may take to become idle after its response was complete: the rest of an early
/// answer's request, or of a chunked body. One that does not is closed.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);

/// Idle connections kept per target beyond its concurrency limit: those of refused requests.
pub(crate) const SPARE_IDLE: usize = 4;

/// For a target's idle counts, whole exchange: an idle scan must not hang on a target that hangs.
pub(crate) const COUNTS: Duration = Duration::from_secs(1);

/// Idle counts read at once: enough for a quick scan, few enough descriptors.
pub(crate) const COUNTS_AT_ONCE: usize = 16;

/// For a post to the scaler, whole exchange.
pub(crate) const POST: Duration = Duration::from_secs(5);

/// Posts that may wait for the scaler; beyond this a request for a target is answered as refused.
pub(crate) const POSTS: usize = 16_384;

/// Bytes of an answer of the scaler to a post.
pub(crate) const POST_ANSWER_BYTES: usize = 64 * 1024;

/// Bytes of one line of the watch stream: a fleet of some thousand targets.
pub(crate) const WATCH_LINE_BYTES: usize = 4 * 1024 * 1024;

/// First and longest pause before the scaler is tried again.
pub(crate) const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a proxy asks for a host number: longer than the scaler keeps one for a proxy that never came.
pub(crate) const NUMBER: Duration = Duration::from_secs(30);

/// What is in flight at SIGTERM may take this long to finish.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);

/// Pause of the accept loop after an error (out of descriptors): the error would repeat at once.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// An injected delay that ends later than this was overrun by the machine, in nanoseconds.
pub(crate) const OVERRUN_NS: u64 = 1_000_000;
