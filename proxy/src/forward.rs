//! One request from its head to the head of its response: what the host decides is carried out, attempt by attempt.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::rc::Rc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use galton_core::host::AttemptEnd;
use galton_core::{FailReason, Outcome, RejectReason, RequestId};
use galton_runtime::mono_ns;
use http::uri::Uri;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::body::{Forwarded, ProxyBody};
use crate::call::{Asking, Attempt, Call, Step};
use crate::calls::Answer;
use crate::declined::Declined;
use crate::engine::Engine;
use crate::front::{Client, Ongoing};
use crate::headers::{self, Verdict};
use crate::limits;
use crate::proxy::Proxy;
use crate::replay::{AttemptBody, BodyLimits, Fault, RequestBody};
use crate::request::{check, declared_length};
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

/// A request that a host decides about.
struct Forward {
    client: Rc<Client>,
    engine: Rc<Engine>,
    outgoing: Outgoing,
    call: Call,
    ongoing: Ongoing,
    seen: Seen,
    version: Version,
}

/// Answers one request.
pub(crate) fn forward(
    client: &Rc<Client>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ProxyBody>, Infallible>> + use<> {
    match Forward::begin(client, request) {
        Either::Left(forward) => Either::Left(forward.carry_out().map(Ok)),
        Either::Right(response) => Either::Right(ready(Ok(response))),
    }
}

// === impl Forward ===

impl Forward {
    /// The host hears of it, unless it is answered at once.
    fn begin(client: &Rc<Client>, request: Request<Incoming>) -> Either<Self, Response<ProxyBody>> {
        let recv_ns = mono_ns();
        let proxy = &client.front.proxy;
        proxy.outside.metrics.received.inc();
        let Some(ongoing) = Ongoing::begin(client) else {
            return Either::Right(unavailable(client, recv_ns, Declined::Overloaded, None));
        };
        let Some(engine) = proxy.engine() else {
            return Either::Right(unavailable(client, recv_ns, Declined::NotStarted, Some(ongoing)));
        };
        let version = request.version();
        let asking = asking(proxy, &engine, &request, recv_ns);
        let seen = Seen { recv_ns, timed: engine.outside.recording.takes(asking.request) };
        let outgoing = match Outgoing::new(request, client) {
            Ok(outgoing) => outgoing,
            Err(why) => return Either::Right(malformed(client, why, ongoing)),
        };
        let call = Call::arrive(Rc::clone(&engine), asking);
        engine.outside.metrics.pick.observe_ns(mono_ns() - recv_ns);
        Either::Left(Self { client: Rc::clone(client), engine, outgoing, call, ongoing, seen, version })
    }

    /// Attempt by attempt, until there is an answer.
    async fn carry_out(self) -> Response<ProxyBody> {
        let Self { client, engine, outgoing, mut call, ongoing, seen, version } = self;
        loop {
            let attempt = match call.step().await {
                Step::Answer(answer) => {
                    let unread = outgoing.body.unread();
                    if unread {
                        client.leave_unread();
                    }
                    let mut response = own_response(&engine, &answer, seen, ongoing);
                    if unread && !client.http2() {
                        // The next request would begin behind what nobody reads.
                        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                    }
                    return response;
                }
                Step::Attempt(attempt) => attempt,
            };
            let upstreams = &engine.outside.upstreams;
            let tried = tokio::select! {
                biased;
                () = poll_fn(|cx| call.poll_abort(cx)) => {
                    call.close_attempt(!outgoing.body.replayable());
                    continue;
                }
                tried = outgoing.try_target(upstreams, &attempt) => tried,
            };
            match tried {
                Ok((response, lease)) => {
                    let (mut head, incoming) = response.into_parts();
                    finish_head(&engine, &mut head, &attempt, seen);
                    let ok = head.status.as_u16() < 400;
                    let body = Forwarded::begin(incoming, ok, call, outgoing.body, lease, Rc::clone(upstreams));
                    return hand_on(head, body, version, ongoing);
                }
                Err(end) => match outgoing.body.fault() {
                    // No target's fault: the call's drop says that the client took it back.
                    Some(fault) => return faulty(&client, fault, ongoing),
                    None => call.end_attempt(end),
                },
            }
        }
    }
}

// === impl Outgoing ===

impl Outgoing {
    fn new(request: Request<Incoming>, client: &Client) -> Result<Self, Declined> {
        let limits = &client.front.limits;
        let (mut head, body) = request.into_parts();
        let uri = check(&mut head, limits)?;
        let mut headers = head.headers;
        let length = declared_length(&headers);
        if length.is_some_and(|length| length > limits.max_body_bytes) {
            return Err(Declined::BodyTooLarge);
        }
        headers::to_target(&mut headers, head.version, &client.forwarded_for);
        let body = RequestBody::new(body, BodyLimits { bytes: limits.max_body_bytes, patience: limits.body() });
        if length.is_none() && body.is_some() {
            // Said outright: hyper takes it for granted that a GET has no body, and would drop it.
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Ok(Self { method: head.method, uri, headers, body })
    }

    fn request(&self) -> Request<AttemptBody> {
        let mut request = Request::new(self.body.attempt());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
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
            let (head, body) = response.into_parts();
            return match headers::forwardable(&head) {
                true => Ok((Response::from_parts(head, body), lease)),
                // It was processed, and nobody can tell with what result.
                false => Err(AttemptEnd::Reset { committed: true }),
            };
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
    headers::to_client(head);
    head.version = Version::HTTP_11;
    let ok = head.status.as_u16() < 400;
    let verdict = Verdict {
        outcome: if ok { Outcome::Ok } else { Outcome::Failed(FailReason::Http) },
        attempts: attempt.attempts,
        target: Some(engine.outside.upstreams.name(attempt.target)),
        recv_ns: seen.recv_ns,
        done_ns: mono_ns(),
        overhead_ns: engine.clock.machine(attempt.overhead),
        timed: seen.timed,
    };
    verdict.write(&mut head.headers);
}

/// The response as a client of this version understands it.
fn hand_on(
    mut head: http::response::Parts,
    body: Forwarded,
    version: Version,
    ongoing: Ongoing,
) -> Response<ProxyBody> {
    if version == Version::HTTP_10 && !body.sized() {
        // Its end is the connection's end, so hyper must not offer to keep it.
        head.version = Version::HTTP_10;
    }
    let length = declared_length(&head.headers);
    let body = match length.filter(|_| head.status == StatusCode::NOT_MODIFIED && version != Version::HTTP_2) {
        Some(length) => ProxyBody::absent(length, ongoing),
        None => ProxyBody::forwarded(body, ongoing),
    };
    Response::from_parts(head, body)
}

fn own_response(engine: &Engine, answer: &Answer, seen: Seen, ongoing: Ongoing) -> Response<ProxyBody> {
    let status = match answer.outcome {
        Outcome::Rejected(_) => StatusCode::SERVICE_UNAVAILABLE,
        Outcome::TimedOut | Outcome::Failed(FailReason::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let text = Bytes::from(format!("{}\n", answer.outcome));
    let mut response = Response::new(ProxyBody::own(text, Some(ongoing)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let verdict = Verdict {
        outcome: answer.outcome,
        attempts: answer.attempts,
        target: answer.target.map(|target| engine.outside.upstreams.name(target)),
        recv_ns: seen.recv_ns,
        done_ns: mono_ns(),
        overhead_ns: engine.clock.machine(answer.overhead),
        timed: seen.timed,
    };
    verdict.write(response.headers_mut());
    response
}

/// Rejected before any host could decide.
fn unavailable(client: &Client, recv_ns: u64, why: Declined, ongoing: Option<Ongoing>) -> Response<ProxyBody> {
    let outcome = Outcome::Rejected(RejectReason::NoCapacity);
    client.front.proxy.outside.metrics.answered(outcome);
    client.leave_unread();
    let mut response = why.response(client.http2()).map(|text| ProxyBody::own(text, ongoing));
    let done_ns = mono_ns();
    let verdict =
        Verdict { outcome, attempts: 0, target: None, recv_ns, done_ns, overhead_ns: done_ns - recv_ns, timed: true };
    verdict.write(response.headers_mut());
    response
}

/// A request that no target can be sent.
fn malformed(client: &Client, why: Declined, ongoing: Ongoing) -> Response<ProxyBody> {
    client.front.proxy.outside.metrics.answered(Outcome::Failed(FailReason::Http));
    client.leave_unread();
    why.response(client.http2()).map(|text| ProxyBody::own(text, Some(ongoing)))
}

/// A request whose body turned out not to be what it must be.
fn faulty(client: &Client, fault: Fault, ongoing: Ongoing) -> Response<ProxyBody> {
    let why = match fault {
        Fault::Broken => Declined::BodyBroken,
        Fault::TooLarge => Declined::BodyTooLarge,
        Fault::Slow => Declined::BodyTimeout,
    };
    client.leave_unread();
    why.response(client.http2()).map(|text| ProxyBody::own(text, Some(ongoing)))
}
