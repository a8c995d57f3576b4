//! The data port: HTTP/1.1, one request after the other on each connection.
//!
//! Reading on while a request is held is how hyper notices that the caller is gone, and then drops the request's future. A
//! caller that only stops sending (a half-closed connection) is gone too; one that has sent a further request already is
//! noticed when its turn comes.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use galton_core::scenario::OnDisconnect;
use galton_core::wire::{FULL, header};
use galton_runtime::mono_ns;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::demand::{self, Demand};
use crate::hold::{self, Held};

/// Connections at the same time: many times what can be held, since those in excess are to be refused, not kept waiting; below
/// the usual hard limit of descriptors.
const CONNECTIONS: usize = 16_384;
/// How much of a request's body is read (and thrown away). With more, the connection ends after the response.
const BODY_BYTES: u64 = 16 << 20;

type Answer = Response<Full<Bytes>>;

/// Accepts connections for as long as the process lives.
pub(crate) async fn accept(listener: TcpListener, app: Rc<App>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let app = app.clone();
                tokio::task::spawn_local(async move {
                    connection(stream, app).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the data port cannot accept");
                // Most likely out of descriptors: let others close theirs.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, app: Rc<App>) {
    // A connection that is gone already fails below.
    stream.set_nodelay(true).ok();
    let service = service_fn(|request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(answer(request, app).await) }
    });
    // No time-out between requests: a proxy keeps its connections for as long as it likes, and one that is closed while a
    // request is on its way would count as a broken attempt.
    let served = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a data connection broke");
    }
}

async fn answer(request: Request<Incoming>, app: Rc<App>) -> Answer {
    let start = mono_ns();
    if !app.has_room() {
        app.metrics.refused.inc();
        return refused(&app);
    }
    let demand = match demand::from_headers(request.headers()) {
        Ok(demand) => demand.unwrap_or_else(|| app.own_demand()),
        Err(why) => {
            app.metrics.malformed.inc();
            return respond(&app, StatusCode::BAD_REQUEST, why.into());
        }
    };
    let held = async { Ok(held(app.clone(), start, demand).await) };
    match tokio::try_join!(held, discard(request.into_body())) {
        Ok((held, ())) => completed(&app, &held),
        // The caller went away in the middle of it, or it is not HTTP: the hold is dropped here.
        Err(error) => respond(&app, StatusCode::BAD_REQUEST, format!("the body broke off: {error}\n").into()),
    }
}

/// Takes a slot, holds it, and frees it: before the response is handed to the connection. If the caller goes away, this
/// future is dropped.
async fn held(app: Rc<App>, start: u64, demand: Demand) -> Held {
    let slot = app.accept(start, &demand);
    let on_disconnect = app.config.on_disconnect;
    let held = async move {
        let held = hold::hold(&app, start, &demand).await;
        slot.complete(&held);
        held
    };
    match on_disconnect {
        OnDisconnect::Cancel => held.await,
        OnDisconnect::Finish => tokio::task::spawn_local(held).await.expect("a hold does not panic and is not aborted"),
    }
}

/// Reads a request's body to its end, or to the limit, while the request is held.
async fn discard(mut body: Incoming) -> hyper::Result<()> {
    let mut left = BODY_BYTES;
    while left > 0 && !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        left = left.saturating_sub(frame?.data_ref().map_or(0, |data| data.len() as u64));
    }
    Ok(())
}

fn completed(app: &App, held: &Held) -> Answer {
    let mut response = respond(app, StatusCode::OK, Bytes::from_static(b"ok\n"));
    let headers = response.headers_mut();
    headers.insert(header::OUTCOME, HeaderValue::from_static("ok"));
    headers.insert(header::TARGET_START_NS, held.start.into());
    headers.insert(header::TARGET_DONE_NS, held.done.into());
    if held.cpu_used > 0 {
        headers.insert(header::CPU_USED_NS, held.cpu_used.into());
    }
    response
}

fn refused(app: &App) -> Answer {
    let mut response = respond(app, StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(b"full\n"));
    response.headers_mut().insert(header::OUTCOME, HeaderValue::from_static(FULL));
    response
}

fn respond(app: &App, status: StatusCode, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::TARGET, app.config.name.clone());
    response
}
