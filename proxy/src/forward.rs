//! One request from its head to the head of its response: what the host decides is carried out, attempt by attempt.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::rc::Rc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use galton_core::host::AttemptEnd;
use galton_core::{FailReason, Outcome, RejectReason, RequestId};
use galton_runtime::http1::{self, Framing, put_header};
use galton_runtime::mono_ns;
use http::header::{self, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};

use crate::body::{Forwarded, ProxyBody};
use crate::call::{Asking, Attempt, Call, Step};
use crate::calls::Answer;
use crate::declined::Declined;
use crate::engine::Engine;
use crate::front::{Client, Ongoing};
use crate::headers::{self, Given};
use crate::limits;
use crate::proxy::Proxy;
use crate::replay::{AttemptBody, BodyLimits, Fault, RequestBody};
use crate::request::{check, declared_length};
use crate::upstream::{Lease, NoResponse, Upstreams};
use crate::verdict::Verdict;

/// Numbers of requests that came without one begin here: far above any plan's, below those of closed loops.
const UNNUMBERED: u64 = 1 << 62;

/// A request on its way: its head as targets are sent it, attempt by attempt, and its body.
struct Outgoing {
    head: Vec<u8>,
    framing: Framing,
    /// Its response has no body.
    head_only: bool,
    body: RequestBody,
    /// Who is told of interim responses: HTTP/2's server sends none, and HTTP/1.0 knows of none.
    hears: Option<Rc<Client>>,
    /// A map that is no longer used, for the headers of a response.
    spare: Cell<HeaderMap>,
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
        let unread = !request.body().is_end_stream();
        let Some(ongoing) = Ongoing::begin(client) else {
            return Either::Right(unavailable(client, recv_ns, Declined::Overloaded, unread, None));
        };
        let Some(engine) = proxy.engine() else {
            return Either::Right(unavailable(client, recv_ns, Declined::NotStarted, unread, Some(ongoing)));
        };
        let version = request.version();
        let given = Given::of(request.headers());
        let asking = asking(proxy, &engine, &request, given, recv_ns);
        let seen = Seen { recv_ns, timed: engine.outside.recording.takes(asking.request) };
        let outgoing = match Outgoing::new(request, given, client) {
            Ok(outgoing) => outgoing,
            Err(why) => return Either::Right(malformed(client, why, unread, ongoing)),
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
                    let mut response = own_response(&engine, &answer, seen, ongoing);
                    if outgoing.body.unread() {
                        client.leave_unread();
                        ends_here(&client, &mut response);
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
                    let (mut head, ()) = response.into_parts();
                    finish_head(&engine, &mut head, &attempt, seen);
                    let ok = head.status.as_u16() < 400;
                    let body = Forwarded::begin(ok, call, outgoing.body, lease, Rc::clone(upstreams));
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
    fn new(request: Request<Incoming>, given: Given, client: &Rc<Client>) -> Result<Self, Declined> {
        let limits = &client.front.limits;
        let (mut head, body) = request.into_parts();
        let target = check(&mut head, given, limits)?;
        // A coding says how long it is by itself.
        let length = if given.length && !given.coding { declared_length(&head.headers) } else { None };
        if length.is_some_and(|length| length > limits.max_body_bytes) {
            return Err(Declined::BodyTooLarge);
        }
        let body = RequestBody::new(body, BodyLimits { bytes: limits.max_body_bytes, patience: limits.body() });
        let framing = match length {
            None if body.is_some() => Framing::Chunked,
            length => Framing::Length(length.unwrap_or(0)),
        };
        let mut bytes = Vec::with_capacity(limits::HEAD_BYTES);
        // `http://a?q` has no path.
        let root = if target.as_str().starts_with('?') { "/" } else { "" };
        for part in [head.method.as_str(), " ", root, target.as_str(), " HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        headers::to_target(&head.headers, given, head.version, &client.forwarded_for, &mut bytes);
        if framing == Framing::Chunked {
            put_header(&mut bytes, TRANSFER_ENCODING.as_str().as_bytes(), b"chunked");
        }
        bytes.extend_from_slice(b"\r\n");
        let head_only = head.method == Method::HEAD;
        // At once: the HTTP library can then use its buffer again, of which the values were parts.
        head.headers.clear();
        let hears = (head.version == Version::HTTP_11).then(|| Rc::clone(client));
        Ok(Self { head: bytes, framing, head_only, body, hears, spare: Cell::new(head.headers) })
    }

    fn request(&self) -> http1::Request<'_, AttemptBody> {
        let Self { head, framing, head_only, .. } = self;
        let (body, headers) = (self.body.attempt(), self.spare.take());
        http1::Request { head, framing: *framing, body, head_only: *head_only, headers }
    }

    /// Sends it to a target; how the attempt ended if there is nothing to forward.
    async fn try_target(
        &self,
        upstreams: &Rc<Upstreams>,
        attempt: &Attempt,
    ) -> Result<(Response<()>, Lease), AttemptEnd> {
        let interim = |response| {
            if let Some(client) = &self.hears {
                client.tell(response);
            }
        };
        let sent = upstreams.exchange(attempt.target, attempt.incarnation, || self.request(), interim).await;
        let (response, mut lease) = sent.map_err(|why| match why {
            NoResponse::Unconnected => AttemptEnd::Gone,
            NoResponse::Broken => AttemptEnd::Reset { committed: !self.body.replayable() },
            // It was processed, and nobody can tell with what result.
            NoResponse::Unasked => AttemptEnd::Reset { committed: true },
        })?;
        if !headers::refused(response.status(), response.headers()) {
            return Ok((response, lease));
        }
        // Read to its end, so that the connection can be used again.
        if lease.skip(limits::REFUSAL_BYTES).await {
            upstreams.check_in(lease);
        }
        Err(AttemptEnd::Full { committed: !self.body.replayable() })
    }
}

fn asking(proxy: &Proxy, engine: &Engine, request: &Request<Incoming>, given: Given, recv_ns: u64) -> Asking {
    let asked = headers::asked(request.headers(), given);
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

/// Answered before any host could decide.
fn unavailable(
    client: &Client,
    recv_ns: u64,
    why: Declined,
    unread: bool,
    ongoing: Option<Ongoing>,
) -> Response<ProxyBody> {
    let outcome = match why {
        Declined::Overloaded => Outcome::Failed(FailReason::Overloaded),
        _ => Outcome::Rejected(RejectReason::NoCapacity),
    };
    client.front.proxy.outside.metrics.answered(outcome);
    let mut response = decline(client, why, unread, ongoing);
    let done_ns = mono_ns();
    let verdict =
        Verdict { outcome, attempts: 0, target: None, recv_ns, done_ns, overhead_ns: done_ns - recv_ns, timed: true };
    verdict.write(response.headers_mut());
    response
}

/// A request that no target can be sent.
fn malformed(client: &Client, why: Declined, unread: bool, ongoing: Ongoing) -> Response<ProxyBody> {
    client.front.proxy.outside.metrics.answered(Outcome::Failed(FailReason::Http));
    decline(client, why, unread, Some(ongoing))
}

/// A request whose body turned out not to be what it must be.
fn faulty(client: &Client, fault: Fault, ongoing: Ongoing) -> Response<ProxyBody> {
    let why = match fault {
        Fault::Broken => Declined::BodyBroken,
        Fault::TooLarge => Declined::BodyTooLarge,
        Fault::Slow => Declined::BodyTimeout,
    };
    decline(client, why, true, Some(ongoing))
}

/// The answer; `unread`: there is a body that nobody has read to its end.
fn decline(client: &Client, why: Declined, unread: bool, ongoing: Option<Ongoing>) -> Response<ProxyBody> {
    if unread || why.closes() {
        client.leave_unread();
    }
    let mut response = why.response(client.http2()).map(|text| ProxyBody::own(text, ongoing));
    if unread {
        ends_here(client, &mut response);
    }
    response
}

/// The next request would begin behind what nobody reads.
fn ends_here(client: &Client, response: &mut Response<ProxyBody>) {
    if !client.http2() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
