//! An HTTP/2 connection that many lanes share, each with one request at a time.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::ConnectError;

/// Requests that share a connection. RFC 9113, section 5.1.2, recommends that servers allow no fewer.
const PLACES: u32 = 100;

/// One connection; opened by whoever comes first.
#[derive(Debug)]
pub(super) struct Shared {
    requests: OnceCell<http2::SendRequest<Full<Bytes>>>,
    taken: Cell<u32>,
    /// Requests that nobody has reserved yet; none: any number.
    left: Cell<Option<u64>>,
    used: Cell<bool>,
}

/// A place on a connection; dropping it frees it.
#[derive(Debug)]
pub(super) struct Share(Rc<Shared>);

/// What runs the tasks that hyper needs beside the connection: this thread.
#[derive(Clone, Copy, Debug)]
struct ThisThread;

// === impl Shared ===

impl Shared {
    /// Not yet open, for at most so many requests.
    pub(super) fn new(max_requests: Option<u64>) -> Self {
        Self { requests: OnceCell::new(), taken: Cell::new(0), left: Cell::new(max_requests), used: Cell::new(false) }
    }

    /// No place on it is worth having.
    pub(super) fn is_retired(&self) -> bool {
        self.requests.get().is_some_and(http2::SendRequest::is_closed) || self.left.get() == Some(0)
    }
}

// === impl Share ===

impl Share {
    /// A place with one request reserved, if there is one.
    pub(super) fn take(shared: &Rc<Shared>) -> Option<Self> {
        if shared.taken.get() >= PLACES {
            return None;
        }
        shared.taken.set(shared.taken.get() + 1);
        let share = Self(shared.clone());
        share.reserve().then_some(share)
    }

    /// Reserves another request.
    pub(super) fn reserve(&self) -> bool {
        let left = self.0.left.get();
        self.0.left.set(left.map(|left| left.saturating_sub(1)));
        left != Some(0)
    }

    /// The way to send; whoever comes first opens the connection, the others wait. If that fails, the next one tries.
    pub(super) async fn requests<C>(
        &self,
        connect: impl FnOnce() -> C,
        opened: impl FnOnce(),
    ) -> Result<http2::SendRequest<Full<Bytes>>, ConnectError>
    where
        C: Future<Output = Result<TcpStream, ConnectError>>,
    {
        let open = async || {
            let (requests, driver) = http2::handshake(ThisThread, TokioIo::new(connect().await?)).await?;
            // What goes wrong on the connection reaches the requests that are on it.
            tokio::task::spawn_local(async move { drop(driver.await) });
            opened();
            Ok(requests)
        };
        self.0.requests.get_or_try_init(open).await.cloned()
    }

    /// A request goes over it. Whether it is not the first one.
    pub(super) fn use_again(&self) -> bool {
        self.0.used.replace(true)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get() - 1);
    }
}

// === impl ThisThread ===

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for ThisThread {
    fn execute(&self, task: F) {
        drop(tokio::task::spawn_local(task));
    }
}
