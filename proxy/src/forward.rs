//! One request from its head to the head of its response: what the host decides is carried out, attempt by attempt.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use galton_core::host::AttemptEnd;
use galton_core::{FailReason, Outcome, RejectReason, RequestId};
use galton_runtime::mono_ns;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::body::{Forwarded, ProxyBody};
use crate::call::{Asking, Attempt, Call, Step};
use crate::calls::Answer;
use crate::engine::Engine;
use crate::headers::{self, Verdict};
use crate::limits;
use crate::proxy::Proxy;
use crate::replay::{AttemptBody, RequestBody};
use crate::upstream::{Lease, NoResponse, Upstreams};

/// Numbers of requests that came without one begin here: far above any plan's, below those of closed loops.
const UNNUMBERED: u64 = 1 << 62;

/// A request on its way: its head as targets see it, and its body.
struct Outgoing {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: RequestBody,
}

/// When the head of a request was there, and whether its times are told.
#[derive(Clone, Copy)]
struct Seen {
    recv_ns: u64,
    timed: bool,
}

/// Answers one request.
pub(crate) async fn forward(proxy: Rc<Proxy>, request: Request<Incoming>, peer: IpAddr) -> Response<ProxyBody> {
    let recv_ns = mono_ns();
    proxy.outside.metrics.received.inc();
    let Some(engine) = proxy.engine() else { return unavailable(&proxy, recv_ns, "the run has not started\n") };
    let asking = asking(&proxy, &engine, &request, recv_ns);
    let seen = Seen { recv_ns, timed: engine.outside.recording.takes(asking.request) };
    let outgoing = match Outgoing::new(request, peer) {
        Ok(outgoing) => outgoing,
        Err(status) => return malformed(&proxy, status),
    };
    let mut call = Call::arrive(Rc::clone(&engine), asking);
    engine.outside.metrics.pick.observe((mono_ns() - recv_ns) as f64 / 1e9);
    loop {
        let attempt = match call.step().await {
            Step::Answer(answer) => return own_response(&engine, &answer, seen),
            Step::Attempt(attempt) => attempt,
        };
        let upstreams = &engine.outside.upstreams;
        let tried = tokio::select! {
            biased;
            () = poll_fn(|cx| call.poll_abort(cx)) => continue,
            tried = outgoing.try_target(upstreams, &attempt) => tried,
        };
        match tried {
            Ok((response, lease)) => {
                let (mut head, incoming) = response.into_parts();
                finish_head(&engine, &mut head, &attempt, seen);
                let ok = head.status.as_u16() < 400;
                let body = Forwarded::begin(incoming, ok, call, outgoing.body, lease, Rc::clone(upstreams));
                return Response::from_parts(head, body);
            }
            // The client is gone: the call's drop says so.
            Err(_) if outgoing.body.broken() => return plain(StatusCode::BAD_REQUEST, "the request broke off\n"),
            Err(end) => call.end_attempt(end),
        }
    }
}

/// Answers a request for which there is no room.
pub(crate) fn overloaded(proxy: &Proxy) -> Response<ProxyBody> {
    proxy.outside.metrics.received.inc();
    unavailable(proxy, mono_ns(), "too many requests in flight at this proxy\n")
}

// === impl Outgoing ===

impl Outgoing {
    fn new(request: Request<Incoming>, peer: IpAddr) -> Result<Self, StatusCode> {
        let (head, body) = request.into_parts();
        if head.method == Method::CONNECT {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
        let mut headers = head.headers;
        if headers.get_all(header::HOST).iter().count() > 1 {
            return Err(StatusCode::BAD_REQUEST);
        }
        headers::to_target(&mut headers, head.version, peer);
        // A target is an origin server: it gets the path, not the whole URI that a client may send to a proxy.
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { method: head.method, uri: Uri::from(path), headers, body: RequestBody::new(body) })
    }

    fn request(&self) -> Request<AttemptBody> {
        let mut request = Request::new(self.body.attempt());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        headers::ensure_host(request.headers_mut());
        request
    }

    /// Sends it to a target; how the attempt ended if there is nothing to forward.
    async fn try_target(
        &self,
        upstreams: &Rc<Upstreams>,
        attempt: &Attempt,
    ) -> Result<(Response<Incoming>, Lease), AttemptEnd> {
        let sent = upstreams.exchange(attempt.target, attempt.incarnation, self.request()).await;
        let (response, lease) = sent.map_err(|why| match why {
            NoResponse::Unconnected => AttemptEnd::Gone,
            NoResponse::Broken => AttemptEnd::Reset { committed: !self.body.replayable() },
        })?;
        if !headers::refused(response.status(), response.headers()) {
            return Ok((response, lease));
        }
        // Read to its end, so that the connection can be used again.
        if Limited::new(response.into_body(), limits::REFUSAL_BYTES).collect().await.is_ok() {
            upstreams.check_in(lease);
        }
        Err(if self.body.replayable() { AttemptEnd::Full } else { AttemptEnd::Reset { committed: true } })
    }
}

fn asking(proxy: &Proxy, engine: &Engine, request: &Request<Incoming>, recv_ns: u64) -> Asking {
    let asked = headers::asked(request.headers());
    let deadline = match asked.deadline_ns {
        Some(ns) => engine.clock.scenario(ns),
        None => engine.clock.scenario(recv_ns) + proxy.scenario.traffic.timeout,
    };
    Asking {
        request: asked.request.unwrap_or_else(|| RequestId(UNNUMBERED + proxy.next_unnumbered())),
        deadline,
        idempotent: request.method().is_idempotent(),
        recv_ns,
    }
}

fn finish_head(engine: &Engine, head: &mut http::response::Parts, attempt: &Attempt, seen: Seen) {
    headers::to_client(&mut head.headers, head.version);
    head.version = Version::HTTP_11;
    let ok = head.status.as_u16() < 400;
    let verdict = Verdict {
        outcome: if ok { Outcome::Ok } else { Outcome::Failed(FailReason::Http) },
        attempts: attempt.attempts,
        target: Some(attempt.target),
        recv_ns: seen.recv_ns,
        done_ns: mono_ns(),
        overhead_ns: engine.clock.machine(attempt.overhead),
        timed: seen.timed,
    };
    verdict.write(&mut head.headers);
}

fn own_response(engine: &Engine, answer: &Answer, seen: Seen) -> Response<ProxyBody> {
    let status = match answer.outcome {
        Outcome::Rejected(_) => StatusCode::SERVICE_UNAVAILABLE,
        Outcome::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let mut response = plain(status, format!("{}\n", answer.outcome));
    let verdict = Verdict {
        outcome: answer.outcome,
        attempts: answer.attempts,
        target: answer.target,
        recv_ns: seen.recv_ns,
        done_ns: mono_ns(),
        overhead_ns: engine.clock.machine(answer.overhead),
        timed: seen.timed,
    };
    verdict.write(response.headers_mut());
    response
}

/// Rejected before any host could decide.
fn unavailable(proxy: &Proxy, recv_ns: u64, why: &'static str) -> Response<ProxyBody> {
    let outcome = Outcome::Rejected(RejectReason::NoCapacity);
    proxy.outside.metrics.answered(outcome);
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, why);
    let done_ns = mono_ns();
    let verdict =
        Verdict { outcome, attempts: 0, target: None, recv_ns, done_ns, overhead_ns: done_ns - recv_ns, timed: true };
    verdict.write(response.headers_mut());
    response
}

/// A request that no target can be sent.
fn malformed(proxy: &Proxy, status: StatusCode) -> Response<ProxyBody> {
    proxy.outside.metrics.answered(Outcome::Failed(FailReason::Http));
    plain(status, "this proxy does not forward such a request\n")
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<ProxyBody> {
    let mut response = Response::new(ProxyBody::Own(Some(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
