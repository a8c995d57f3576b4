//! The targets as this proxy reaches them: their addresses, and the keep-alive connections of this thread to each.
//!
//! Connections belong to one process (incarnation) of a target and are reused last in, first out, so that few stay warm.
//! An address is taken down as soon as it is told; *that* a target may be used is decided in core. A request is sent on a
//! second connection only if not one byte of it went out on the first: anything else is core's to decide.

use std::cell::RefCell;
use std::collections::HashMap;

use galton_core::wire::Member;
use galton_core::{Incarnation, TargetId};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::limits;
use crate::replay::AttemptBody;

/// Every target that was told of.
#[derive(Debug)]
pub(crate) struct Upstreams {
    targets: RefCell<HashMap<TargetId, Upstream>>,
    learned: Notify,
    max_idle: usize,
}

/// A connection in use; give it back with [`Upstreams::check_in`] once its response is complete, else it is closed.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: SendRequest<AttemptBody>,
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
}

#[derive(Debug)]
struct Upstream {
    incarnation: Incarnation,
    data: String,
    admin: String,
    /// Its process died, or it is being removed and this proxy has nothing there any more.
    gone: bool,
    idle: Vec<SendRequest<AttemptBody>>,
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

    /// Sends a request and returns the head of its response; the lease is for its body.
    pub(crate) async fn exchange(
        &self,
        target: TargetId,
        incarnation: Incarnation,
        mut request: Request<AttemptBody>,
    ) -> Result<(Response<Incoming>, Lease), NoResponse> {
        loop {
            let mut lease = match self.check_out(target, incarnation) {
                Some(lease) => lease,
                None => self.connect(target, incarnation).await.ok_or(NoResponse::Unconnected)?,
            };
            match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, lease)),
                Err(mut error) => match error.take_message() {
                    // Closed while it was idle, and nothing has been written: this is not a second sending.
                    Some(unsent) if lease.reused => request = unsent,
                    _ => return Err(NoResponse::Broken),
                },
            }
        }
    }

    /// Keeps a connection whose response is complete.
    pub(crate) fn check_in(&self, lease: Lease) {
        // Not ready: the request's body has not been sent in full, or the connection is to be closed.
        if !lease.sender.is_ready() {
            return;
        }
        if let Some(known) = self.targets.borrow_mut().get_mut(&lease.target)
            && known.incarnation == lease.incarnation
            && !known.gone
            && known.idle.len() < self.max_idle
        {
            known.idle.push(lease.sender);
        }
    }

    fn check_out(&self, target: TargetId, incarnation: Incarnation) -> Option<Lease> {
        let mut targets = self.targets.borrow_mut();
        let known = targets.get_mut(&target).filter(|known| known.incarnation == incarnation)?;
        while let Some(sender) = known.idle.pop() {
            if sender.is_ready() {
                return Some(Lease { sender, target, incarnation, reused: true });
            }
        }
        None
    }

    async fn connect(&self, target: TargetId, incarnation: Incarnation) -> Option<Lease> {
        let connecting = async {
            let data = self.address(target, incarnation).await?;
            let stream = TcpStream::connect(data).await.ok()?;
            stream.set_nodelay(true).ok()?;
            http1::handshake(TokioIo::new(stream)).await.ok()
        };
        let (sender, connection) = timeout(limits::CONNECT, connecting).await.ok().flatten()?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%target, %error, "connection to a target broke");
            }
        });
        Some(Lease { sender, target, incarnation, reused: false })
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

// === impl Upstream ===

impl Upstream {
    fn close(&mut self) {
        self.gone = true;
        self.idle = Vec::new();
    }
}
