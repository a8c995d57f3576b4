//! The admin server: a thread and a runtime of its own, so that no data-plane thread formats metrics.
//!
//! Serves `GET /metrics`, `GET /healthz` (200 as soon as it listens), `GET /readyz` (200 once ready, 503 before and while
//! draining) and whatever the role adds.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::role;

/// Connections at the same time: one watch per load-balancer host, the scrapes, a few people. The next one waits.
const CONNECTIONS: usize = 512;
/// Largest request body: every call here is a small JSON object.
const BODY_BYTES: usize = 1 << 20;
/// How long a client may take for the head of a request, idle time between two requests included, and again for its body:
/// longer than the pause between two scrapes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A response body: full, or streamed.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a role adds: called for every path that is not built in, with the request's body collected (1 MiB at most).
/// `None`: 404.
pub type Handler =
    Arc<dyn Fn(Request<Bytes>) -> Pin<Box<dyn Future<Output = Option<Response<Body>>> + Send>> + Send + Sync>;

/// What an admin server serves.
#[derive(Clone)]
pub struct Routes {
    /// What `/readyz` says.
    pub ready: Arc<AtomicBool>,
    /// What `/metrics` prints.
    pub registry: prometheus::Registry,
    /// What the role adds.
    pub handler: Option<Handler>,
}

/// A running admin server. It ends with the process.
#[derive(Debug)]
pub struct AdminServer {
    /// Where it listens.
    pub addr: SocketAddr,
}

/// Binds `addr` and serves on a thread of its own.
pub fn spawn(addr: SocketAddr, routes: Routes) -> anyhow::Result<AdminServer> {
    let listener = role::bind(addr)?;
    let addr = listener.local_addr().context("cannot read the admin address")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no admin runtime")?;
    let listener = {
        let _within = runtime.enter();
        TcpListener::from_std(listener).context("cannot watch the admin socket")?
    };
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || runtime.block_on(serve(listener, routes)))
        .context("cannot start the admin thread")?;
    Ok(AdminServer { addr })
}

/// A JSON response.
pub fn json<T: serde::Serialize>(status: u16, value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => respond(status, "application/json", bytes.into()),
        Err(error) => text(500, format!("cannot print the answer: {error}\n")),
    }
}

/// A plain-text response.
pub fn text(status: u16, text: impl Into<String>) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", text.into().into())
}

fn respond(status: u16, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

async fn serve(listener: TcpListener, routes: Routes) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small, and a watch must not wait for a full segment. A connection that is gone already
                // fails below.
                stream.set_nodelay(true).ok();
                let routes = routes.clone();
                tokio::spawn(async move {
                    connection(stream, routes).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin port cannot accept");
                // Most likely out of descriptors: let others close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, routes: Routes) {
    let service = service_fn(move |request| {
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(answer(request, &routes).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection broke");
    }
}

async fn answer(request: Request<Incoming>, routes: &Routes) -> Response<Body> {
    let built_in = match request.uri().path() {
        "/metrics" => metrics,
        "/healthz" => |_: &Routes| text(200, "ok\n"),
        "/readyz" => ready,
        _ => return added(request, routes).await,
    };
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        built_in(routes)
    } else {
        text(405, "only GET and HEAD here\n")
    }
}

fn metrics(routes: &Routes) -> Response<Body> {
    match prometheus::TextEncoder::new().encode_to_string(&routes.registry.gather()) {
        Ok(page) => respond(200, prometheus::TEXT_FORMAT, page.into()),
        Err(error) => text(500, format!("cannot print the metrics: {error}\n")),
    }
}

fn ready(routes: &Routes) -> Response<Body> {
    if routes.ready.load(Ordering::Acquire) { text(200, "ready\n") } else { text(503, "not ready\n") }
}

/// What the role answers.
async fn added(request: Request<Incoming>, routes: &Routes) -> Response<Body> {
    let (head, body) = request.into_parts();
    let not_found = format!("nothing at {} {}\n", head.method, head.uri.path());
    let Some(handler) = &routes.handler else { return text(404, not_found) };
    match tokio::time::timeout(READ_TIMEOUT, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(body)) => {
            let request = Request::from_parts(head, body.to_bytes());
            handler(request).await.unwrap_or_else(|| text(404, not_found))
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            text(413, format!("the body has more than {BODY_BYTES} bytes\n"))
        }
        Ok(Err(error)) => text(400, format!("cannot read the body: {error}\n")),
        Err(_) => text(408, format!("the body took more than {} s\n", READ_TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests;
