//! Every limit of the proxy, with its reason. None of them is policy: they bound memory, descriptors and patience.
//!
//! What depends on who the clients are is set by [`ClientLimits`]; the constants are the defaults, and the rest.

use std::time::Duration;

/// What a proxy bears of its clients. Times are machine time, whatever the scenario's scale.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct ClientLimits {
    /// Bytes of a request's body; beyond: 413
    #[arg(long, value_name = "BYTES", env = "GALTON_MAX_BODY_BYTES", default_value_t = BODY_BYTES)]
    pub(crate) max_body_bytes: u64,
    /// Bytes of a request's line and headers; beyond: 431
    #[arg(long, value_name = "BYTES", env = "GALTON_MAX_HEADER_BYTES", default_value_t = HEADER_BYTES as u32,
        value_parser = clap::value_parser!(u32).range(1024..=CLIENT_BUFFER_BYTES as i64))]
    pub(crate) max_header_bytes: u32,
    /// Bytes of a request-target; beyond: 414
    #[arg(long, value_name = "BYTES", env = "GALTON_MAX_URI_BYTES", default_value_t = URI_BYTES as u32)]
    pub(crate) max_uri_bytes: u32,
    /// From the first byte of a request to the end of its head; beyond: 408
    #[arg(long, value_name = "MS", env = "GALTON_HEAD_TIMEOUT_MS", default_value_t = ms(HEAD),
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) head_timeout_ms: u64,
    /// Between two pieces of a request's body; beyond: 408
    #[arg(long, value_name = "MS", env = "GALTON_BODY_TIMEOUT_MS", default_value_t = ms(BODY),
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) body_timeout_ms: u64,
    /// Without a request on a connection; beyond: it is closed
    #[arg(long, value_name = "MS", env = "GALTON_IDLE_TIMEOUT_MS", default_value_t = ms(IDLE),
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) idle_timeout_ms: u64,
    /// Without a request on an HTTP/1 connection; beyond: its memory is given back until the next one
    #[arg(long, value_name = "MS", env = "GALTON_PARK_AFTER_MS", default_value_t = ms(PARK),
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) park_after_ms: u64,
    /// Without a byte taken of what is written to a client; beyond: its connection is closed
    #[arg(long, value_name = "MS", env = "GALTON_STALL_TIMEOUT_MS", default_value_t = ms(STALL),
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) stall_timeout_ms: u64,
    /// For what is in flight when the proxy is told to stop; beyond: it is broken off
    #[arg(long, value_name = "MS", env = "GALTON_DRAIN_TIMEOUT_MS", default_value_t = ms(DRAIN))]
    pub(crate) drain_timeout_ms: u64,
}

// === impl ClientLimits ===

impl ClientLimits {
    pub(crate) fn head(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms)
    }

    pub(crate) fn body(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(crate) fn park_after(&self) -> Duration {
        Duration::from_millis(self.park_after_ms)
    }

    pub(crate) fn stall(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

#[cfg(test)]
impl ClientLimits {
    /// As these flags have it.
    pub(crate) fn parse(flags: &[&str]) -> Self {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            limits: ClientLimits,
        }
        <Cli as clap::Parser>::parse_from(std::iter::once(&"proxy").chain(flags)).limits
    }
}

/// As a flag has it.
const fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// Client connections at most. Each costs up to two descriptors and [`CLIENT_BUFFER_BYTES`]. Further ones wait in the
/// listener's backlog.
pub(crate) const CONNECTIONS: usize = 16_384;

/// Descriptors kept for everything but connections: listener, admin port, scaler, files, idle counts.
pub(crate) const RESERVED_DESCRIPTORS: usize = 128;

/// Share of the descriptors that connections of clients may take, in 1/8: most of them are idle, and an idle one needs no
/// connection to a target.
pub(crate) const CONNECTIONS_EIGHTHS: usize = 5;

/// Share of the connections that may have a request in flight at once, in 1/8: what exceeds it is answered 503 at once, so
/// that overload is an answer and not a growing backlog. Each may hold a connection to a target until its response is
/// complete, so the streams of HTTP/2 count as well.
pub(crate) const IN_FLIGHT_EIGHTHS: usize = 7;

/// Bytes of request line and headers, as in common servers (nginx: 32 KiB, Envoy: 60 KiB); beyond: 431.
pub(crate) const HEADER_BYTES: usize = 32 * 1024;

/// Bytes of a common head as a target is sent it; a longer one takes an allocation more.
pub(crate) const HEAD_BYTES: usize = 1000;

/// Bytes of a request-target: RFC 9112, section 3, wants 8000 at least; beyond: 414.
pub(crate) const URI_BYTES: usize = 8 * 1024;

/// Bytes of a request's body: bodies stream and are not kept, so this bounds patience and not memory; beyond: 413.
pub(crate) const BODY_BYTES: u64 = 1 << 30;

/// Read and write buffer per connection: room for a whole head twice.
pub(crate) const CLIENT_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes that a client's connection moves per request without having to wait for a turn: most requests and answers.
pub(crate) const FREE_BYTES: usize = 128 * 1024;

/// Bytes that it moves in a turn: a fraction of a millisecond for everybody else. Turns of a quarter of this cost a large body a
/// third more processor time.
pub(crate) const TURN_BYTES: usize = 512 * 1024;

/// From the first byte of a request to the end of its head, and from a connection to its first byte: common clients send
/// a head in one packet, and one that takes longer holds a connection for nothing; beyond: 408.
pub(crate) const HEAD: Duration = Duration::from_secs(20);

/// A body of which nothing comes for so long has been given up; beyond: 408.
pub(crate) const BODY: Duration = Duration::from_secs(30);

/// A connection without a request may be kept by a browser's or a pool's habit (nginx: 75 s); beyond: it is closed.
pub(crate) const IDLE: Duration = Duration::from_secs(75);

/// A connection of HTTP/1 without a request for so long is parked: nothing is kept but its socket. Requests that belong
/// together follow each other sooner, and those of a busy pool do; parking and its end cost about half of a small request,
/// and 15 kB are not much for a second.
pub(crate) const PARK: Duration = Duration::from_secs(1);

/// Bytes that are read of a parked connection before there is a buffer of its own: a common head.
pub(crate) const FIRST_BYTES: usize = 4 * 1024;

/// Connections fewer than there were, and at least half of them, after which free memory is given back to the kernel: 1 MB at
/// least, and not for those that come and go.
pub(crate) const FEWER_CONNECTIONS: usize = 64;

/// A client that takes nothing of what is written to it for so long is not there.
pub(crate) const STALL: Duration = Duration::from_secs(30);

/// How long a client that was told of its deadline may take to let the response go before its connection is closed.
pub(crate) const LET_GO: Duration = Duration::from_secs(1);

/// Bytes of a forwarded response after which it may no longer fit into the buffers between here and the client, so that
/// the client can hold it up.
pub(crate) const HELD_UP_BYTES: u64 = 32 * 1024;

/// What a client still sends after an answer that ends the connection is read for so long and up to so many bytes: closing
/// with unread bytes would reset the connection, and the answer be lost (RFC 9112, section 9.6).
pub(crate) const LINGER: (Duration, usize) = (Duration::from_secs(2), 4 * 1024 * 1024);

/// Streams of one HTTP/2 connection at once: RFC 9113, section 6.5.2, advises no less than 100.
pub(crate) const STREAMS: u32 = 100;

/// Requests that one HTTP/2 connection may take back before they are answered, if they are more than half of all: people
/// leave pages, but not that often, and each has cost a target a connection (Envoy: 500).
pub(crate) const TAKEN_BACK: u32 = 500;

/// Window of an HTTP/2 stream: what a target that does not read leaves in memory, twice an HTTP/1.1 body's buffer.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 128 * 1024;

/// Window of an HTTP/2 connection, whatever the number of its streams.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;

/// Bytes of responses that wait in memory per HTTP/2 stream, as for an HTTP/1.1 connection.
pub(crate) const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Streams that a client has reset before they were looked at (rapid reset, CVE-2023-44487): a client that changes its mind
/// has few, one that floods is sent GOAWAY.
pub(crate) const PENDING_RESETS: usize = 20;

/// Streams of one connection that were reset for errors of the client's (CVE-2025-8671): one with a fault has some,
/// one that floods is sent GOAWAY.
pub(crate) const ERROR_RESETS: usize = 128;

/// Bytes of a request's body that are kept so that a retry can send them again: small bodies are the common case, and
/// with every connection in use the worst case stays at 1 GiB.
pub(crate) const REPLAY_BYTES: usize = 64 * 1024;

/// Bytes of a refusal's body that are read to keep its connection; a longer one costs the connection.
pub(crate) const REFUSAL_BYTES: usize = 4 * 1024;

/// A connection to a target of the same machine or network takes far less; what takes longer is not there.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);

/// Bytes of interim responses that wait for a client before no more are taken: a client that does not read misses hints.
pub(crate) const INTERIM_BYTES: usize = 16 * 1024;

/// Bytes of a response's head.
pub(crate) const RESPONSE_HEAD_BYTES: usize = 64 * 1024;

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

/// How long a proxy bears that another has its number: longer than one that is being replaced takes to finish and to be missed.
pub(crate) const TAKEN: Duration = Duration::from_secs(10);

/// What is in flight at SIGTERM may take this long to finish.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);

/// Pause of the accept loop after an error (out of descriptors): the error would repeat at once.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// An injected delay that ends later than this was overrun by the machine, in nanoseconds.
pub(crate) const OVERRUN_NS: u64 = 1_000_000;
