//! The targets as this proxy reaches them: their addresses, and the keep-alive connections of this thread to each.
//!
//! Connections belong to one process (incarnation) of a target and are reused last in, first out, so that few stay warm.
//! An address is taken down as soon as it is told; *that* a target may be used is decided in core. A request is sent on a
//! second connection only if not one byte of it went out on the first: anything else is core's to decide.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use galton_core::wire::Member;
use galton_core::{Incarnation, TargetId};
use galton_runtime::http1::{self, Link, LinkError, ReadError};
use http::{HeaderValue, Response};
use hyper::body::{Frame, SizeHint};
use rustc_hash::FxHashMap;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::replay::AttemptBody;
use crate::{limits, verdict};

/// Every target that was told of.
#[derive(Debug)]
pub(crate) struct Upstreams {
    targets: RefCell<FxHashMap<TargetId, Upstream>>,
    learned: Notify,
    max_idle: usize,
}

/// A connection in use; give it back with [`Upstreams::check_in`] once its response is complete, else it is closed.
#[derive(Debug)]
pub(crate) struct Lease {
    link: Box<Link<AttemptBody>>,
    target: TargetId,
    incarnation: Incarnation,
    reused: bool,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoResponse {
    /// There was no connection.
    Unconnected,
    /// The connection broke.
    Broken,
    /// There is one in another protocol, or in a coding that nobody asked for.
    Unasked,
}

#[derive(Debug)]
struct Upstream {
    incarnation: Incarnation,
    data: String,
    admin: String,
    /// As responses name it.
    name: HeaderValue,
    /// Its process died, or it is being removed and this proxy has nothing there any more.
    gone: bool,
    #[expect(clippy::vec_box, reason = "each is taken out and put back for every request")]
    idle: Vec<Box<Link<AttemptBody>>>,
}

// === impl Upstreams ===

impl Upstreams {
    /// Without targets; `max_concurrency` of a target is what it holds at once.
    pub(crate) fn new(max_concurrency: u32) -> Self {
        let max_idle = (max_concurrency as usize).saturating_add(limits::SPARE_IDLE);
        Self { targets: RefCell::default(), learned: Notify::new(), max_idle }
    }

    /// Takes down where a target is. An older process of it, or one that is known already, changes nothing.
    pub(crate) fn learn(&self, member: &Member) {
        let mut targets = self.targets.borrow_mut();
        if targets.get(&member.target).is_some_and(|known| known.incarnation >= member.incarnation) {
            return;
        }
        let upstream = Upstream {
            incarnation: member.incarnation,
            data: member.data.clone(),
            admin: member.admin.clone(),
            name: verdict::target(member.target),
            gone: false,
            idle: Vec::new(),
        };
        targets.insert(member.target, upstream);
        self.learned.notify_waiters();
    }

    /// This process of the target died.
    pub(crate) fn died(&self, target: TargetId, incarnation: Incarnation) {
        if let Some(known) = self.targets.borrow_mut().get_mut(&target)
            && known.incarnation == incarnation
        {
            known.close();
        }
    }

    /// The target is being removed, and nothing is in flight there.
    pub(crate) fn released(&self, target: TargetId) {
        if let Some(known) = self.targets.borrow_mut().get_mut(&target) {
            known.close();
        }
    }

    /// The process that a target is on, if it was told of.
    pub(crate) fn incarnation(&self, target: TargetId) -> Option<Incarnation> {
        self.targets.borrow().get(&target).map(|known| known.incarnation)
    }

    /// The admin address of a target, if it was told of.
    pub(crate) fn admin(&self, target: TargetId) -> Option<String> {
        self.targets.borrow().get(&target).map(|known| known.admin.clone())
    }

    /// The name of a target as responses have it.
    pub(crate) fn name(&self, target: TargetId) -> HeaderValue {
        self.targets.borrow().get(&target).map_or_else(|| verdict::target(target), |known| known.name.clone())
    }

    /// Sends a request and returns the head of its response; the lease is for its body. `interim` is told of those before.
    pub(crate) async fn exchange<'a>(
        &self,
        target: TargetId,
        incarnation: Incarnation,
        request: impl Fn() -> http1::Request<'a, AttemptBody>,
        interim: impl Fn(Response<()>),
    ) -> Result<(Response<()>, Lease), NoResponse> {
        loop {
            let mut lease = match poll_fn(|cx| Poll::Ready(self.check_out(target, incarnation, cx))).await {
                Some(lease) => lease,
                None => self.connect(target, incarnation).await.ok_or(NoResponse::Unconnected)?,
            };
            match lease.link.send(request(), &interim).await {
                Ok(response) => return Ok((response, lease)),
                // Closed while it was idle: this is not a second sending.
                Err(LinkError::Unsent(_)) if lease.reused => {}
                Err(LinkError::Response(ReadError::Unasked)) => return Err(NoResponse::Unasked),
                Err(error) => {
                    tracing::debug!(%error, "{target} did not answer");
                    return Err(NoResponse::Broken);
                }
            }
        }
    }

    /// Keeps a connection whose response is complete, as soon as it can carry another request.
    pub(crate) fn check_in(self: &Rc<Self>, lease: Lease) {
        if lease.link.is_ready() {
            self.keep(lease);
        } else if lease.link.is_open() {
            // The target still reads the request, or has not said the last of its response.
            tokio::task::spawn_local(Rc::clone(self).settle(lease));
        }
    }

    async fn settle(self: Rc<Self>, mut lease: Lease) {
        if let Ok(true) = timeout(limits::SETTLE, poll_fn(|cx| lease.link.poll_settled(cx))).await {
            self.keep(lease);
        }
    }

    fn keep(&self, lease: Lease) {
        if let Some(known) = self.targets.borrow_mut().get_mut(&lease.target)
            && known.incarnation == lease.incarnation
            && !known.gone
            && known.idle.len() < self.max_idle
        {
            known.idle.push(lease.link);
        }
    }

    fn check_out(&self, target: TargetId, incarnation: Incarnation, cx: &mut Context<'_>) -> Option<Lease> {
        let mut targets = self.targets.borrow_mut();
        let known = targets.get_mut(&target).filter(|known| known.incarnation == incarnation)?;
        while let Some(mut link) = known.idle.pop() {
            // Nobody has looked at it while it was idle.
            if link.poll_closed(cx).is_pending() && link.is_ready() {
                return Some(Lease { link, target, incarnation, reused: true });
            }
        }
        None
    }

    async fn connect(&self, target: TargetId, incarnation: Incarnation) -> Option<Lease> {
        let connecting = async {
            let data = self.address(target, incarnation).await?;
            let stream = TcpStream::connect(data).await.ok()?;
            stream.set_nodelay(true).ok()?;
            Some(Box::new(Link::new(stream, limits::RESPONSE_HEAD_BYTES)))
        };
        let link = timeout(limits::CONNECT, connecting).await.ok().flatten()?;
        Some(Lease { link, target, incarnation, reused: false })
    }

    /// Where that process is. With a shared table a target may be picked before its address has been told: that comes.
    async fn address(&self, target: TargetId, incarnation: Incarnation) -> Option<String> {
        loop {
            let learned = self.learned.notified();
            if let Some(known) = self.targets.borrow().get(&target)
                && known.incarnation >= incarnation
            {
                let there = known.incarnation == incarnation && !known.gone;
                return there.then(|| known.data.clone());
            }
            learned.await;
        }
    }
}

// === impl Lease ===

impl Lease {
    /// The next part of the response's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, LinkError>>> {
        self.link.poll_frame(cx)
    }

    /// Whether the response is complete.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.link.is_end_stream()
    }

    /// What is known of the length of the rest of the response's body.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.link.size_hint()
    }

    /// Reads the response's body to its end; false if it breaks, or is longer than that.
    pub(crate) async fn skip(&mut self, bytes: usize) -> bool {
        let mut left = bytes;
        while let Some(frame) = poll_fn(|cx| self.poll_frame(cx)).await {
            let Ok(frame) = frame else { return false };
            let Some(less) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return false };
            left = less;
        }
        true
    }
}

// === impl Upstream ===

impl Upstream {
    fn close(&mut self) {
        self.gone = true;
        self.idle = Vec::new();
    }
}
