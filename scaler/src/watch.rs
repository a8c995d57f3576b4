//! The watch streams: one per load-balancer host, and those of observers, who see the changes but are no hosts.
//!
//! A stream is a bounded queue of lines that the admin thread sends. Its end, for whatever reason, comes back as an event.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use galton_core::HostId;
use galton_core::wire::{HostInfo, WatchLine};
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};

/// Most lines that wait for a peer. Every request that waits for a start has an answer coming, all at once; a host that
/// falls behind by more than this is as good as gone.
const LINES_WAITING: usize = 1 << 16;

/// Most observers at once: people with a terminal, not a fleet of them.
const OBSERVERS: usize = 16;

/// How long a number is kept for a proxy that asked for one, until it watches.
const KEPT: Duration = Duration::from_secs(10);

/// Names a stream, for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId(u64);

/// All open streams.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    streams: BTreeMap<StreamId, Peer>,
    opened: u64,
    /// Numbers that were given away lately, and until when (machine nanoseconds) they are kept.
    kept: BTreeMap<HostId, u64>,
}

/// Whose stream it is; none: an observer's.
pub(crate) type Watcher = Option<HostInfo>;

#[derive(Debug)]
struct Peer {
    watcher: Watcher,
    /// None: given up, being closed.
    lines: Option<mpsc::Sender<Bytes>>,
    /// Whether `Hello` was sent: nothing else goes before it.
    greeted: bool,
}

/// Why a stream was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WatchRefused {
    #[error("host {0} is being watched for already")]
    Taken(HostId),
    #[error("there are {OBSERVERS} observers already")]
    TooMany,
}

/// The peer's end of a stream: a body of lines.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: mpsc::Receiver<Bytes>,
    /// Dropped with the body, which tells the other end.
    _open: oneshot::Sender<Infallible>,
}

// === impl Watchers ===

impl Watchers {
    /// Opens a stream. The receiver errs when the stream has ended; then call [`Self::ended`].
    pub(crate) fn open(
        &mut self,
        watcher: Watcher,
    ) -> Result<(StreamId, Lines, oneshot::Receiver<Infallible>), WatchRefused> {
        match &watcher {
            Some(HostInfo { host, .. }) if self.watches(*host) => return Err(WatchRefused::Taken(*host)),
            Some(HostInfo { host, .. }) => drop(self.kept.remove(host)),
            None if self.streams.values().filter(|peer| peer.watcher.is_none()).count() >= OBSERVERS => {
                return Err(WatchRefused::TooMany);
            }
            None => {}
        }
        self.opened += 1;
        let id = StreamId(self.opened);
        let (sender, lines) = mpsc::channel(LINES_WAITING);
        let (open, ended) = oneshot::channel();
        self.streams.insert(id, Peer { watcher, lines: Some(sender), greeted: false });
        Ok((id, Lines { lines, _open: open }, ended))
    }

    /// The stream has ended. Returns its host, if it was a host's.
    pub(crate) fn ended(&mut self, id: StreamId) -> Option<HostId> {
        self.streams.remove(&id)?.host()
    }

    /// Whether this host has a stream.
    pub(crate) fn watches(&self, host: HostId) -> bool {
        self.streams.values().any(|peer| peer.host() == Some(host))
    }

    /// The lowest number below `room` that nobody has; it is kept for a while.
    pub(crate) fn number(&mut self, room: u32, now_ns: u64) -> Option<HostId> {
        self.kept.retain(|_, until_ns| *until_ns > now_ns);
        let free = |host: &HostId| !self.watches(*host) && !self.kept.contains_key(host);
        let host = (0..room).map(HostId).find(free)?;
        self.kept.insert(host, now_ns.saturating_add(KEPT.as_nanos() as u64));
        Some(host)
    }

    /// The hosts and where they are, by number.
    pub(crate) fn places(&self) -> Vec<HostInfo> {
        let mut places: Vec<_> = self.streams.values().filter_map(|peer| peer.watcher.clone()).collect();
        places.sort_by_key(|place| place.host);
        places
    }

    /// The hosts that have been greeted, by number.
    pub(crate) fn hosts(&self) -> Vec<HostId> {
        let mut hosts: Vec<_> = self.streams.values().filter(|p| p.greeted).filter_map(Peer::host).collect();
        hosts.sort_unstable();
        hosts
    }

    /// Streams that have not had their `Hello`.
    pub(crate) fn ungreeted(&self) -> Vec<StreamId> {
        self.streams.iter().filter(|(_, peer)| !peer.greeted).map(|(id, _)| *id).collect()
    }

    /// Sends the `Hello` with which a stream begins.
    pub(crate) fn greet(&mut self, id: StreamId, hello: &WatchLine) {
        if let Some(peer) = self.streams.get_mut(&id) {
            peer.greeted = true;
            peer.send(encode(hello));
        }
    }

    /// A line for one host.
    pub(crate) fn tell(&mut self, host: HostId, line: &WatchLine) {
        self.send(line, |peer| peer.host() == Some(host));
    }

    /// A line for the observers.
    pub(crate) fn tell_observers(&mut self, line: &WatchLine) {
        self.send(line, |peer| peer.watcher.is_none());
    }

    /// A line for everybody.
    pub(crate) fn tell_all(&mut self, line: &WatchLine) {
        self.send(line, |_| true);
    }

    fn send(&mut self, line: &WatchLine, to: impl Fn(&Peer) -> bool) {
        let mut peers = self.streams.values_mut().filter(|peer| peer.greeted && to(peer)).peekable();
        if peers.peek().is_some() {
            let line = encode(line);
            peers.for_each(|peer| peer.send(line.clone()));
        }
    }
}

fn encode(line: &WatchLine) -> Bytes {
    let mut line = serde_json::to_vec(line).expect("a watch line has no map with keys that are not strings");
    line.push(b'\n');
    line.into()
}

// === impl Peer ===

impl Peer {
    fn host(&self) -> Option<HostId> {
        self.watcher.as_ref().map(|of| of.host)
    }

    fn send(&mut self, line: Bytes) {
        if self.lines.as_ref().is_some_and(|lines| lines.try_send(line).is_err()) {
            self.lines = None;
        }
    }
}

// === impl Lines ===

impl Stream for Lines {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    const HELLO: WatchLine = WatchLine::Hello { start: None, map: None, version: 0, members: Vec::new() };

    fn of(host: u32) -> Watcher {
        Some(HostInfo { host: HostId(host), data: "10.0.0.1:80".to_owned(), admin: "10.0.0.1:81".to_owned() })
    }

    async fn next(lines: &mut Lines) -> WatchLine {
        let frame = lines.next().await.unwrap().unwrap();
        serde_json::from_slice(frame.data_ref().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn nothing_goes_before_hello() {
        let mut watchers = Watchers::default();
        let (id, mut lines, _ended) = watchers.open(of(1)).unwrap();
        watchers.tell_all(&WatchLine::Ping);
        assert_eq!(watchers.hosts(), []);
        assert_eq!(watchers.ungreeted(), [id]);
        watchers.greet(id, &HELLO);
        watchers.tell(HostId(0), &WatchLine::Ping);
        watchers.tell(HostId(1), &WatchLine::Ping);
        assert_eq!((next(&mut lines).await, next(&mut lines).await), (HELLO, WatchLine::Ping));
        assert_eq!(watchers.hosts(), [HostId(1)]);
    }

    #[tokio::test]
    async fn one_stream_per_host_until_it_has_ended() {
        let mut watchers = Watchers::default();
        let (id, lines, ended) = watchers.open(of(0)).unwrap();
        assert_eq!(watchers.open(of(0)).unwrap_err(), WatchRefused::Taken(HostId(0)));
        drop(lines);
        assert!(ended.await.is_err());
        assert_eq!(watchers.ended(id), Some(HostId(0)));
        assert!(watchers.open(of(0)).is_ok());
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_cut_off() {
        let mut watchers = Watchers::default();
        let (id, mut lines, _ended) = watchers.open(of(0)).unwrap();
        watchers.greet(id, &HELLO);
        (0..LINES_WAITING).for_each(|_| watchers.tell(HostId(0), &WatchLine::Ping));
        assert!(watchers.watches(HostId(0)), "it is a host until its stream has ended");
        let mut read = 0;
        while lines.next().await.is_some() {
            read += 1;
        }
        assert_eq!(read, LINES_WAITING, "the stream ends where the queue was full");
    }

    #[test]
    fn observers_are_few() {
        let mut watchers = Watchers::default();
        let open: Vec<_> = (0..OBSERVERS).map(|_| watchers.open(None).unwrap()).collect();
        assert_eq!(watchers.open(None).unwrap_err(), WatchRefused::TooMany);
        watchers.ended(open[0].0);
        assert!(watchers.open(None).is_ok());
    }

    #[test]
    fn numbers_are_given_to_one_proxy_each() {
        let mut watchers = Watchers::default();
        let kept = KEPT.as_nanos() as u64;
        let _first = watchers.open(of(1)).unwrap();
        assert_eq!(watchers.number(3, 0), Some(HostId(0)));
        assert_eq!(watchers.number(3, 1), Some(HostId(2)), "0 is kept, 1 is there");
        assert_eq!(watchers.number(3, kept - 1), None);
        assert_eq!(watchers.number(3, kept), Some(HostId(0)), "nobody came for it");
        let _second = watchers.open(of(0)).unwrap();
        assert_eq!(watchers.number(3, kept + 1), Some(HostId(2)));
        assert_eq!(watchers.places().iter().map(|place| place.host.0).collect::<Vec<_>>(), [0, 1]);
    }
}
