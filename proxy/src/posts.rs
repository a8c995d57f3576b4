//! What this host says to the scaler: posts in order, over one keep-alive connection, off the request path.
//!
//! A post that met a broken connection is sent again, so that the scaler may see one twice; removals, releases and
//! what was given up are the same said twice, and a second start that nobody waits for is what a lost answer costs.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use galton_core::wire::{LeaveStartCall, ReleasedCall, ScaleDownCall, ScaleUpCall};
use galton_core::{CallId, HostId, TargetId};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::limits;

/// One thing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Post {
    /// Start a target for this call, which asked then (machine time).
    ScaleUp(CallId, u64),
    /// This call no longer waits for a start.
    LeaveStart(CallId),
    /// Remove this target.
    ScaleDown(TargetId),
    /// The cordon is known here and nothing is in flight there.
    Released(TargetId),
}

/// What is still to be said.
#[derive(Debug, Default)]
pub(crate) struct Posts {
    waiting: RefCell<VecDeque<Post>>,
    more: Notify,
}

/// The connection to the scaler.
#[derive(Debug)]
struct Link {
    scaler: String,
    host: HostId,
    sender: Option<SendRequest<Full<Bytes>>>,
}

// === impl Posts ===

impl Posts {
    /// Adds one; false if too many wait already.
    pub(crate) fn push(&self, post: Post) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= limits::POSTS {
            tracing::warn!(?post, "dropped: too much is waiting for the scaler");
            return false;
        }
        waiting.push_back(post);
        self.more.notify_one();
        true
    }

    /// Nobody waits any more for the targets that were to be asked for.
    pub(crate) fn forget_asks(&self) {
        self.waiting.borrow_mut().retain(|post| !matches!(post, Post::ScaleUp(..) | Post::LeaveStart(_)));
    }

    async fn next(&self) -> Post {
        loop {
            if let Some(post) = self.waiting.borrow_mut().pop_front() {
                return post;
            }
            self.more.notified().await;
        }
    }
}

/// Says everything, one thing after the other, for ever. `heard` is told what the scaler has heard, and whether it took it.
pub(crate) async fn run(posts: Rc<Posts>, scaler: String, host: HostId, heard: impl Fn(Post, bool)) {
    let mut link = Link { scaler, host, sender: None };
    loop {
        let post = posts.next().await;
        let status = link.say_until_heard(post).await;
        // A scale-down that is refused is an everyday decision: at the minimum, or another host was first.
        if matches!(post, Post::ScaleDown(_)) && status == StatusCode::CONFLICT {
            tracing::debug!(?post, "the scaler declines");
        } else if !status.is_success() {
            tracing::warn!(?post, %status, "the scaler does not take this");
        }
        heard(post, status.is_success());
    }
}

// === impl Link ===

impl Link {
    async fn say_until_heard(&mut self, post: Post) -> StatusCode {
        let (mut pause, longest) = limits::BACKOFF;
        loop {
            match self.say(post).await {
                Ok(status) => return status,
                Err(error) => tracing::warn!(?post, "the scaler was not reached, again in {pause:?}: {error:#}"),
            }
            self.sender = None;
            tokio::time::sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    async fn say(&mut self, post: Post) -> anyhow::Result<StatusCode> {
        let (path, body) = self.encode(post)?;
        // A connection that was closed while it was idle is no reason to wait.
        let mut sender = match self.sender.take().filter(SendRequest::is_ready) {
            Some(sender) => sender,
            None => connect(&self.scaler).await?,
        };
        let request = Request::post(path)
            .header(header::HOST, &self.scaler)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let rest = Limited::new(response.into_body(), limits::POST_ANSWER_BYTES).collect().await;
            rest.map_err(anyhow::Error::from_boxed)?;
            anyhow::Ok(status)
        };
        let status = within(limits::POST, exchange).await?;
        self.sender = Some(sender);
        Ok(status)
    }

    fn encode(&self, post: Post) -> serde_json::Result<(&'static str, Bytes)> {
        let host = self.host;
        let (path, body) = match post {
            Post::ScaleUp(call, asked_ns) => {
                let call = ScaleUpCall { host: Some(host), call: Some(call), asked_ns: Some(asked_ns) };
                ("/v1/scale-up", serde_json::to_vec(&call)?)
            }
            Post::LeaveStart(call) => ("/v1/leave-start", serde_json::to_vec(&LeaveStartCall { host, call })?),
            Post::ScaleDown(target) => {
                ("/v1/scale-down", serde_json::to_vec(&ScaleDownCall { host: Some(host), target })?)
            }
            Post::Released(target) => ("/v1/released", serde_json::to_vec(&ReleasedCall { host, target })?),
        };
        Ok((path, body.into()))
    }
}

async fn connect(scaler: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = within(limits::CONNECT, async { Ok(TcpStream::connect(scaler).await?) }).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the scaler broke");
        }
    });
    Ok(sender)
}

async fn within<T>(limit: Duration, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(limit, work).await.with_context(|| format!("nothing came of it within {limit:?}"))?
}
